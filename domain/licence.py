"""The licence that owner and winner sign when the owner brings no text of their own."""

from __future__ import annotations

STANDARD_LICENCE = """\
设计成果许可协议 / Licence of the winning work

1. 作者(获奖者)声明:作品为其独立创作,未侵犯他人权利;使用的第三方素材已列明并获许可。
   The author declares that the work is their own, that it infringes nobody's rights, and that third-party material in \
it is named and licensed.
2. 自奖金放款之时起,作者将作品财产权中的复制、发行、展览、信息网络传播、改编及据以生产手工艺品的权利转让给委托方。
   With the release of the prize the author transfers to the owner the rights to copy, publish, exhibit, put online and \
adapt the work, and to make craft products from it.
3. 署名权等人身权仍归作者;委托方在通常可行之处注明作者姓名。
   The author's moral rights remain; the owner names the author wherever that is usual.
4. 奖金未放款或被退回时,委托方不取得任何权利。
   Without the release of the prize, or when it is taken back, the owner has no right to the work.
"""
