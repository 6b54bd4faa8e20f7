"""The start page: what this company is, what it holds, what happened lately, and its switches."""

from __future__ import annotations

from urllib.parse import quote

from fastapi.responses import Response

from providers.sandbox_server import (
    behaviours,
    booking,
    cards,
    disputes,
    events,
    parcels,
    payments,
    payouts,
    refunds,
)
from providers.sandbox_server.html import (
    Html,
    button,
    card,
    choice,
    code,
    form,
    join,
    money,
    page,
    soft,
    table,
    text_block,
    text_field,
)
from providers.sandbox_server.lookup import Which
from providers.sandbox_server.records import Delivery, Dispute, Evidence, Parcel, Payout
from providers.sandbox_server.store import Tx
from providers.sandbox_server.web import Sandbox

_LATEST = 15
_NEWEST = Which(limit=_LATEST)
_MOST_SWITCHES = 100
_INTRO = (
    "A payment company and a carrier that exist only on this machine: play money, a hosted pay page, "
    "saved cards, refunds, payouts, signed webhooks, and switches to misbehave. "
    "本机上的模拟支付公司与承运商：仅为测试资金。"
)


def start_page(box: Sandbox, tx: Tx) -> Response:
    """The whole page, from one consistent view."""
    endpoint = events.endpoint(tx)
    body = join(
        [
            Html("<h1>Sandbox 沙盒支付</h1>"),
            soft(_INTRO),
            _balances(tx),
            _behaviours(tx),
            _payments(box, tx),
            _cards(box, tx),
            _refunds(tx),
            _disputes(tx),
            _payouts(tx),
            _parcels(tx),
            _deliveries(tx, f"{endpoint.url} · {endpoint.carrier_url}"),
        ]
    )
    return page("Sandbox 沙盒支付", body)


def _balances(tx: Tx) -> Html:
    rows = [(money(amount, currency),) for currency, amount in booking.balances(tx).items()]
    return card("余额 Balances", table(["平台余额 Held for the platform"], rows))


def _behaviours(tx: Tx) -> Html:
    options = [
        (f"{operation}:{effect}", f"{operation}: {effect}")
        for operation, effects in behaviours.EFFECTS.items()
        for effect in effects
    ]
    adding = form(
        "/ui/behaviours",
        "row",
        choice("异常 Misbehave", "what", options),
        text_field("次数 Times", "times", "1", short=True),
        text_field("秒 Seconds", "seconds", short=True),
        text_field("对象 Only subject", "subject"),
        text_field("事件 Only event", "event"),
        text_field("比例 Percent", "percent", short=True),
        text_field("原因 Reason", "reason"),
        button("打开 Switch on", primary=True),
    )
    rows = [
        (
            f"{item.operation}: {item.effect}",
            item.times_left,
            f"{item.seconds:g}",
            item.subject,
            item.event,
            item.percent,
            form(f"/ui/behaviours/{item.id}/off", "inline", button("关闭 Off")),
        )
        for item in behaviours.listed(tx, _MOST_SWITCHES)
    ]
    heads = ["异常 Effect", "次数 Times", "秒 Seconds", "对象 Subject", "事件 Event", "%", ""]
    more = behaviours.count(tx) - len(rows)
    rest = soft(f"还有 {more} 个 and {more} more") if more else Html("")
    return card("异常开关 Misbehaviours", adding, table(heads, rows), rest)


def _payments(box: Sandbox, tx: Tx) -> Html:
    rows = [
        (
            _link(box.view(item).checkout_url, item.reference),
            code(item.subject),
            money(item.amount, item.currency),
            _payment_state(item.status, item.settled, item.decline_reason),
            f"{item.created_at:%m-%d %H:%M:%S}",
        )
        for item in payments.listed(tx, _NEWEST)
    ]
    heads = ["支付 Payment", "对象 Subject", "金额 Amount", "状态 State", "UTC"]
    return card("收款 Payments", table(heads, rows))


def _payment_state(status: str, settled: bool, decline_reason: str | None) -> str:
    if status == "captured" and not settled:
        return "captured, not settled"
    return f"{status} ({decline_reason})" if decline_reason else status


def _cards(box: Sandbox, tx: Tx) -> Html:
    rows = [
        (
            _link(box.card_view(item).checkout_url, item.reference),
            code(item.subject),
            item.currency,
            f"{item.status} ({item.decline_reason})" if item.decline_reason else item.status,
            f"{item.created_at:%m-%d %H:%M:%S}",
        )
        for item in cards.listed(tx, _NEWEST)
    ]
    heads = ["银行卡 Card", "对象 Subject", "币种 Currency", "状态 State", "UTC"]
    return card("已存银行卡 Saved cards", table(heads, rows))


def _refunds(tx: Tx) -> Html:
    rows = [
        (
            code(item.reference),
            code(item.subject),
            money(item.amount, item.currency),
            f"{item.status} ({item.failure_reason})" if item.failure_reason else item.status,
            f"{item.created_at:%m-%d %H:%M:%S}",
        )
        for item in refunds.listed(tx, _NEWEST)
    ]
    heads = ["退款 Refund", "对象 Subject", "金额 Amount", "状态 State", "UTC"]
    return card("退款 Refunds", table(heads, rows))


def _disputes(tx: Tx) -> Html:
    rows = [
        (
            _link(f"/ui/disputes/{item.reference}", item.reference),
            code(item.subject),
            money(item.amount, item.currency),
            item.reason,
            f"{item.status} (accepted)" if item.accepted else item.status,
            f"{item.due_by:%m-%d %H:%M:%S}",
            _verdicts(item),
        )
        for item in disputes.listed(tx, None, _LATEST)
    ]
    heads = [
        "拒付 Dispute",
        "对象 Subject",
        "金额 Amount",
        "原因 Reason",
        "状态 State",
        "截止 Due",
        "",
    ]
    return card("拒付 Disputes", table(heads, rows))


def _verdicts(item: Dispute) -> Html:
    return form(
        f"/ui/disputes/{item.reference}",
        "inline",
        *[
            button(label, name="won", value=won)
            for label, won, status in (
                ("胜诉 Won", "true", "won"),
                ("败诉 Lost", "false", "lost"),
            )
            if status != item.status
        ],
    )


def evidence_page(found: Evidence) -> Response:
    """What was handed in to a dispute, as the payer's bank reads it."""
    evidence = found.evidence
    sections = [card(each.name, text_block(each.text)) for each in evidence.sections]
    files = [
        (
            item.name,
            item.media_type,
            item.size_bytes,
            code(item.sha256),
            "是 Yes" if item.content else "否 No",
        )
        for item in evidence.files
    ]
    heads = ["文件 File", "类型 Type", "字节 Bytes", "SHA-256", "内容 Content"]
    title = f"证据 Evidence {found.dispute_reference}"
    body = [
        Html("<h1>{}</h1>").format(title),
        card("说明 Statement", text_block(evidence.statement)),
        *sections,
        card("文件 Files", table(heads, files)),
    ]
    return page(title, join(body))


def _payouts(tx: Tx) -> Html:
    rows = [
        (
            code(item.reference),
            code(item.subject),
            money(item.amount, item.currency),
            item.holder,
            f"{item.status} ({item.failure_reason})" if item.failure_reason else item.status,
            _bank_buttons(item),
        )
        for item in payouts.listed(tx, _NEWEST)
    ]
    heads = ["打款 Payout", "对象 Subject", "金额 Amount", "收款人 Holder", "状态 State", ""]
    return card("打款 Payouts", table(heads, rows))


def _bank_buttons(item: Payout) -> Html:
    steps = [
        button(label, name="to", value=to) for to, label in payouts.next_steps(item.status).items()
    ]
    return form(f"/ui/payouts/{item.reference}", "inline", *steps) if steps else Html("")


def _parcels(tx: Tx) -> Html:
    adding = form(
        "/ui/parcels",
        "row",
        text_field("运单号 Tracking number", "tracking_number"),
        choice(
            "面单 Label paid by", "label_paid_by", [("seller", "seller"), ("platform", "platform")]
        ),
        button("登记 Register", primary=True),
    )
    rows = [
        (code(item.tracking_number), item.label_paid_by, item.kind, _scan_buttons(item))
        for item in parcels.listed(tx, _LATEST)
    ]
    heads = ["运单号 Tracking", "面单 Label", "状态 State", ""]
    return card("承运商 Carrier", adding, table(heads, rows))


def _scan_buttons(item: Parcel) -> Html:
    return form(
        f"/ui/parcels/{quote(item.tracking_number, safe='')}",
        "inline",
        button("运输中 In transit", name="kind", value="in_transit"),
        button("签收 Delivered", name="kind", value="delivered"),
        button("丢失 Lost", name="kind", value="lost"),
    )


def _deliveries(tx: Tx, addresses: str) -> Html:
    rows = [
        (
            code(item.event_type),
            code(item.subject),
            item.state,
            item.attempts,
            _outcome(item),
            form(f"/ui/deliveries/{item.id}", "inline", button("重发 Send again")),
        )
        for item in events.listed(tx, 2 * _LATEST)
    ]
    heads = ["事件 Event", "对象 Subject", "状态 State", "次数 Tries", "回应 Answer", ""]
    return card("回调 Webhooks", soft(addresses), table(heads, rows))


def _outcome(item: Delivery) -> str:
    return item.last_error or (str(item.last_status) if item.last_status is not None else "")


def _link(address: str, text: str) -> Html:
    return Html('<a href="{}"><code>{}</code></a>').format(address, text)
