"""How amounts, times and other people's words are written for people who read them on a small phone, or hear them."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from enum import StrEnum
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from domain.model import Message
from domain.money import exponent, format_money

_BEIJING = timezone(timedelta(hours=8))
"""The whole of China, all year."""
_SPOKEN = {"USD": "美元", "EUR": "欧元", "JPY": "日元", "HKD": "港元", "GBP": "英镑"}
_MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()


class Language(StrEnum):
    """Languages that notices are written in."""

    ZH = "zh"
    EN = "en"


class Reader(Message):
    """Who reads a notice, and how."""

    language: Language = Language.ZH
    time_zone: str | None = None
    """IANA name; None: not known, and told in Beijing time."""
    acts_for: str | None = None
    """Of a broker: the maker's name."""


class Both(NamedTuple):
    """The same in both languages."""

    zh: str
    en: str

    def in_(self, language: Language) -> str:
        """The words in one of them."""
        return self.zh if language is Language.ZH else self.en


def until(at: datetime | None, reader: Reader) -> str:
    """A time as people say it, with the zone it is told in: `北京时间11月26日18:30前`, `by 26 Nov 18:30 Beijing time`."""
    chinese = reader.language is Language.ZH
    if at is None:
        return "近日" if chinese else "soon"
    zone = _zone(reader.time_zone)
    there = at.astimezone(zone or _BEIJING)
    if chinese:
        where = "您当地时间" if zone else "北京时间"
        return f"{where}{there.month}月{there.day}日{there:%H:%M}前"
    where = "your time" if zone else "Beijing time"
    return f"by {there.day} {_MONTHS[there.month - 1]} {there:%H:%M} {where}"


def _zone(name: str | None) -> ZoneInfo | None:
    """None for a zone that is not known, here or at all."""
    if name is None:
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def is_zone(name: str) -> bool:
    """Whether times can be told in this zone."""
    return _zone(name) is not None


def in_money(amount: int, currency: str, language: Language) -> str:
    """An amount as people say it: `1,234.5元` is written `1,234.50元`, and whole amounts without decimals."""
    if language is Language.EN:
        return format_money(amount, currency)
    number = format_money(amount, currency).removeprefix(f"{currency} ")
    if not amount % 10 ** exponent(currency):
        number = number.partition(".")[0]
    return f"{number}元" if currency == "CNY" else f"{number}{_SPOKEN.get(currency, currency)}"


def short(text: str, letters: int) -> str:
    """The beginning of what somebody else has written, in which no phone finds a link."""
    plain = " ".join(re.sub(r"[.。/\\:：@]+(?=\S)", " ", text).split())
    return plain if len(plain) <= letters else f"{plain[: letters - 1].rstrip()}…"


def lot_named(title: str, units: int, reader: Reader, letters: int) -> str:
    """Which lot it is about; for a broker, whose."""
    chinese = reader.language is Language.ZH
    # Latin letters take half the room.
    name = short(title, letters if chinese else 2 * letters)
    who = short(reader.acts_for, letters if chinese else 2 * letters) if reader.acts_for else ""
    if chinese:
        return f"{f'代{who}：' if who else ''}《{name}》{units}件："
    return f"{f'For {who}: ' if who else ''}{units} x “{name}”: "
