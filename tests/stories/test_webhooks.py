"""The door for webhooks: who may come in, what the inbox keeps, and that no word of a webhook moves money."""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256

import httpx
import pytest

from db import inbox as inbox_table
from domain.time import utc_now
from providers.sandbox_server.events import signed_headers
from tests.stories.house import House, Json
from tests.stories.money import all_answered, inbox, payment_reference, people, settled
from tests.stories.test_payments import FUNDED, SETTLED

SECONDS_TO_ANSWER = 5
FOREIGN_SECRET = "whsec_c29tZWJvZHktZWxzZXMtc2VjcmV0"


@dataclass
class Order:
    """An unpaid order, of which the payment company sends no news by itself."""

    sale: Json
    buyer: str

    @property
    def payment(self) -> str:
        """Our id of its payment."""
        return str(self.sale["payment"]["id"])


async def ordered(house: House) -> Order:
    buyer, seller = people()
    sale = await house.order(await house.listing(seller), by=buyer)
    await house.misbehave("webhook", "drop", subject=sale["payment"]["id"], times=9)
    return Order(sale, buyer)


def event(subject: str, kind: str = "payment.captured", **more: object) -> str:
    """A body as the payment company writes it."""
    at = utc_now().isoformat()
    return json.dumps({"type": kind, "timestamp": at, "data": {"subject": subject, **more}})


def new_id() -> str:
    return f"evt_{uuid.uuid4().hex}"


def signed(
    house: House,
    body: str,
    event_id: str | None = None,
    *,
    late: float = 0,
    secret: str | None = None,
) -> dict[str, str]:
    """Headers signed `late` seconds ago."""
    key = secret or house.settings.sandbox_webhook_secret.get_secret_value()
    at = utc_now() - timedelta(seconds=late)
    return signed_headers(key, event_id or new_id(), body, at)


async def send(
    house: House, body: str | bytes, headers: dict[str, str], to: str = "sandbox"
) -> httpx.Response:
    """Delivers a webhook, which must be answered in the time payment companies give."""
    started = time.monotonic()
    answer = await house.http.post(f"/v1/webhooks/{to}", content=body, headers=headers)
    assert time.monotonic() - started < SECONDS_TO_ANSWER
    return answer


def kept(house: House, body: str | bytes) -> list[tuple[str, str]]:
    """(status, reason) of the rejected deliveries of a body."""
    raw = body.encode() if isinstance(body, str) else body
    return [
        (str(status), str(reason))
        for status, reason in house.sql(
            "SELECT status, reason FROM webhook_inbox WHERE event_id = %s AND kind = 'rejected'",
            sha256(raw).hexdigest(),
        )
    ]


async def unchanged(house: House, order: Order) -> None:
    """The order waits for its money as before."""
    sale = await house.get(f"/v1/sales/{order.sale['id']}", by=order.buyer)
    assert sale["phase"] == "pending_payment"
    assert await house.postings(order.sale) == []


async def give_up(house: House, order: Order) -> None:
    """Ends the path."""
    await house.act(order.sale, "cancel", by=order.buyer)
    sale = await house.get(f"/v1/sales/{order.sale['id']}", by=order.buyer)
    if sale["phase"] != "expired":
        await house.until(order.sale, "refunded", by=order.buyer)
        await settled(house, order.sale)
    await house.assert_at_zero(order.sale)


@pytest.mark.parametrize(
    ("late", "secret", "why"),
    [
        (0, FOREIGN_SECRET, "no signature fits"),
        (301, None, "the timestamp is too far from now"),
        (-302, None, "the timestamp is too far from now"),
    ],
    ids=["forged", "stale", "from the future"],
)
async def test_a_webhook_that_is_not_of_the_payment_company_now(
    house: House, late: float, secret: str | None, why: str
) -> None:
    order = await ordered(house)
    await house.pay(order.sale)
    body = event(order.payment)
    for _ in range(2):
        answer = await send(house, body, signed(house, body, late=late, secret=secret))
        assert (answer.status_code, answer.json()["code"]) == (401, "webhook_refused")
    assert kept(house, body) == [("rejected", why)]
    assert await inbox(house, order.payment) == []
    await unchanged(house, order)
    await give_up(house, order)


async def test_a_webhook_without_headers(house: House) -> None:
    body = event("pay_nobody")
    answer = await send(house, body, {})
    assert (answer.status_code, answer.json()["field"]) == (401, "webhook-id")
    assert kept(house, body) == [("rejected", "webhook-id is missing or malformed")]


async def test_a_body_changed_on_the_way(house: House) -> None:
    order = await ordered(house)
    await house.pay(order.sale)
    true = event(order.payment)
    answer = await send(house, event(order.payment, amount=1), signed(house, true))
    assert answer.status_code == 401
    await unchanged(house, order)
    await give_up(house, order)


async def test_a_true_webhook_is_consumed_and_its_replays_change_nothing(house: House) -> None:
    order = await ordered(house)
    await house.pay(order.sale)
    event_id = new_id()
    body = event(order.payment)
    first = await send(house, body, signed(house, body, event_id))
    assert (first.status_code, first.json()) == (200, {"received": True, "known": False})
    await house.until(order.sale, "paid", by=order.buyer)

    other = event(order.payment, kind="payment.canceled")
    for replay in (body, other):
        again = await send(house, replay, signed(house, replay, event_id))
        assert (again.status_code, again.json()) == (200, {"received": True, "known": True})
    assert await inbox(house, order.payment) == [("payment.captured", "consumed")]
    stored = house.sql("SELECT body FROM webhook_inbox WHERE event_id = %s", event_id)
    assert bytes(stored[0][0]).decode() == body
    assert await house.postings(order.sale) == FUNDED + SETTLED
    await give_up(house, order)


async def test_a_forgery_does_not_block_the_true_event_of_its_id(house: House) -> None:
    order = await ordered(house)
    await house.pay(order.sale)
    event_id = new_id()
    body = event(order.payment)
    forged = await send(house, body, signed(house, body, event_id, secret=FOREIGN_SECRET))
    assert forged.status_code == 401
    true = await send(house, body, signed(house, body, event_id))
    assert (true.status_code, true.json()["known"]) == (200, False)
    await house.until(order.sale, "paid", by=order.buyer)
    assert kept(house, body) == [("rejected", "no signature fits")]
    await give_up(house, order)


@pytest.mark.parametrize("kind", ["payment.captured", "payment.teleported", "refund.succeeded"])
async def test_a_true_webhook_that_is_not_true(house: House, kind: str) -> None:
    """Signed, but the provider's object says otherwise: looked at, and nothing posted."""
    order = await ordered(house)
    body = event(order.payment, kind=kind, amount=20_000, status="captured")
    answer = await send(house, body, signed(house, body))
    assert answer.status_code == 200
    await all_answered(house, order.payment)
    assert await inbox(house, order.payment) == [(kind, "consumed")]
    await unchanged(house, order)
    await give_up(house, order)


@pytest.mark.parametrize(
    "subject", ["pay_01h45ytscbebyvny4gc8cr8ma2", "sal_01h45ytscbebyvny4gc8cr8ma2", "nobody"]
)
async def test_a_webhook_about_nothing_of_ours(house: House, subject: str) -> None:
    event_id = new_id()
    body = event(subject)
    answer = await send(house, body, signed(house, body, event_id))
    assert answer.status_code == 200
    row = house.sql("SELECT status, reason FROM webhook_inbox WHERE event_id = %s", event_id)
    assert row == [("ignored", "concerns nothing of ours")]


async def test_a_webhook_of_an_unknown_company_or_carrier(house: House) -> None:
    body = event("pay_nobody")
    for to in ("nobody", "carriers/nobody"):
        answer = await send(house, body, signed(house, body), to=to)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert kept(house, body) == []


MALFORMED = {
    "empty": "",
    "no JSON": "{",
    "not an object": "[1, 2]",
    "no subject": '{"type": "x", "timestamp": "2026-01-01T00:00:00Z", "data": {}}',
    "a subject that is no text": '{"type": "x", "timestamp": "2026-01-01T00:00:00Z", "data": {"subject": 7}}',
    "deep": "[" * 100_000 + "]" * 100_000,
    "not a number": '{"type": "x", "timestamp": NaN, "data": {"subject": "a"}}',
    "NUL": json.dumps(
        {"type": "x\0", "timestamp": "2026-01-01T00:00:00Z", "data": {"subject": "a"}}
    ),
    "huge": json.dumps({"type": "x" * 300_000}),
}


@pytest.mark.parametrize("name", MALFORMED)
async def test_a_signed_webhook_that_cannot_be_read(house: House, name: str) -> None:
    body = MALFORMED[name]
    answer = await send(house, body, signed(house, body))
    assert (answer.status_code, answer.json()["code"]) == (401, "webhook_refused")
    assert [status for status, _ in kept(house, body)] == ["rejected"]


async def test_bytes_that_are_no_text_and_more_than_a_request_may_hold(house: House) -> None:
    raw = b"\xff\xfe" + uuid.uuid4().bytes
    answer = await send(house, raw, signed(house, ""))
    assert answer.status_code == 401
    assert [status for status, _ in kept(house, raw)] == ["rejected"]
    flood = await send(house, b" " * 1_100_000, signed(house, ""))
    assert (flood.status_code, flood.json()["code"]) == (413, "content_too_large")


async def test_webhooks_are_in_the_openapi_document(house: House) -> None:
    paths = (await house.http.get("/openapi.json")).json()["paths"]
    for path in ("/v1/webhooks/{provider}", "/v1/webhooks/carriers/{carrier}"):
        assert {"200", "401", "404", "413", "503"} <= set(paths[path]["post"]["responses"])


async def test_a_dispute_webhook_without_a_dispute(house: House) -> None:
    """Signed, but the provider knows of none: looked at, and nothing posted."""
    order = await ordered(house)
    await house.pay(order.sale)
    body = event(order.payment)
    await send(house, body, signed(house, body))
    await house.until(order.sale, "paid", by=order.buyer)
    assert payment_reference(house, order.sale)
    news = event(order.payment, kind="dispute.opened")
    assert (await send(house, news, signed(house, news))).status_code == 200
    await all_answered(house, order.payment)
    assert await house.postings(order.sale) == FUNDED + SETTLED
    await give_up(house, order)


async def test_one_connection_keeps_any_number_of_webhooks(house: House) -> None:
    """PostgreSQL changes to a generic plan after some repetitions; the inbox must not notice."""
    async with house.database.transaction() as session:
        for _ in range(30):
            row = await inbox_table.keep(
                session, source="many", event_id=new_id(), kind="x", subject="y", body=b"{}"
            )
            assert row is not None
            await inbox_table.ignore(session, row, "a test")
