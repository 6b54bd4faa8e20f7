"""Everything the sandbox can be told to do wrong, and what the other side then sees."""

from __future__ import annotations

import time

import httpx
import pytest

from providers.base import (
    PaymentStatus,
    PayoutStatus,
    ProviderUnavailable,
    RefundStatus,
)
from providers.sandbox import SandboxProvider
from tests.providers.conftest import MakeBox
from tests.providers.harness import (
    API_KEY,
    WEBHOOK_SECRET,
    Box,
    genuine,
    payment_request,
    payout_request,
    refund_request,
)
from tests.waiting import eventually


async def test_decline_then_pay(box: Box) -> None:
    opened = await box.client.create_payment(payment_request())
    await box.misbehave("payment", "decline", subject=opened.subject, reason="insufficient_funds")
    other = await box.paid()
    assert other.status is PaymentStatus.CAPTURED, "only the named payment is declined"

    declined = await box.pay(opened.reference)
    assert (declined.status_code, declined.json()["status"]) == (402, "open")
    seen = await box.client.get_payment(opened.reference)
    assert (seen.status, seen.decline_reason) == (PaymentStatus.OPEN, "insufficient_funds")
    assert (await box.pay(opened.reference)).status_code == 200
    await box.platform.expect(opened.subject, "payment.declined", "payment.captured")
    assert (await box.client.get_payment(opened.reference)).decline_reason is None


async def test_the_payer_declines(box: Box) -> None:
    opened = await box.client.create_payment(payment_request())
    assert (await box.pay(opened.reference, "decline")).status_code == 200
    seen = await box.client.get_payment(opened.reference)
    assert (seen.status, seen.decline_reason) == (PaymentStatus.OPEN, "declined_by_payer")
    await box.platform.expect(opened.subject, "payment.declined")


async def test_settle_later(box: Box) -> None:
    opened = await box.client.create_payment(payment_request())
    await box.misbehave("payment", "settle_later")
    await box.pay(opened.reference)
    captured = await box.client.get_payment(opened.reference)
    assert (captured.status, captured.settled) == (PaymentStatus.CAPTURED, False)
    assert await box.balance() == 0
    await box.command(f"/v1/payments/{opened.reference}/advance")
    await box.command(f"/v1/payments/{opened.reference}/advance")
    assert (await box.client.get_payment(opened.reference)).settled
    assert await box.balance() == 10_000 - 60
    await box.platform.expect(opened.subject, "payment.captured", "payment.settled")


async def test_late_capture(box: Box) -> None:
    opened = await box.client.create_payment(payment_request())
    await box.client.cancel_payment(opened.reference)
    await box.misbehave("payment", "late_capture", subject=opened.subject)
    assert (await box.pay(opened.reference)).status_code == 200
    assert (await box.client.get_payment(opened.reference)).status is PaymentStatus.CAPTURED
    await box.platform.expect(opened.subject, "payment.canceled", "payment.captured")


async def test_refund_refused(box: Box) -> None:
    payment = await box.paid()
    await box.misbehave("refund", "refund_refused", reason="card_expired")
    refund = await box.client.create_refund(refund_request(payment, 10_000))
    assert (refund.status, refund.failure_reason) == (RefundStatus.REFUSED, "card_expired")
    assert await box.balance() == 10_000 - 60
    await box.platform.expect(refund.subject, "refund.refused")
    again = await box.client.create_refund(refund_request(payment, 10_000))
    assert again.status is RefundStatus.SUCCEEDED, "a refused refund takes nothing"


@pytest.mark.parametrize(("to", "debited"), [("succeeded", 400), ("refused", 0)])
async def test_refund_pending(box: Box, to: str, debited: int) -> None:
    payment = await box.paid()
    await box.misbehave("refund", "refund_pending")
    refund = await box.client.create_refund(refund_request(payment, 400))
    assert refund.status is RefundStatus.PENDING
    assert await box.balance() == 10_000 - 60
    for _ in range(2):
        await box.command(f"/v1/refunds/{refund.reference}/advance", to=to)
    assert (await box.client.get_refund(refund.reference)).status == to
    assert await box.balance() == 10_000 - 60 - debited
    await box.platform.expect(refund.subject, f"refund.{to}")


async def test_payout_failed(make_box: MakeBox) -> None:
    async with make_box(payout_fee=20) as box:
        await box.paid()
        await box.misbehave("payout", "payout_failed", reason="name_mismatch")
        sent = await box.client.create_payout(payout_request(4_000))
        assert sent.status is PayoutStatus.IN_TRANSIT
        await box.platform.expect(sent.subject, "payout.failed")
        failed = await box.client.get_payout(sent.reference)
        assert (failed.status, failed.failure_reason) == (PayoutStatus.FAILED, "name_mismatch")
        assert failed.fee == 0
        assert await box.balance() == 10_000 - 60


async def test_payout_hold_and_every_way_on(box: Box) -> None:
    await box.paid(100_000)
    await box.misbehave("payout", "payout_hold", times=3)
    for to in ("paid", "failed", "returned"):
        sent = await box.client.create_payout(payout_request(1_000))
        path = f"/v1/payouts/{sent.reference}/advance"
        for _ in range(2):
            assert (await box.command(path, to=to))["status"] == to
        await box.platform.expect(sent.subject, f"payout.{to}")
        final = await box.control.post(path, json={"to": "failed"})
        assert final.status_code == (200 if to == "failed" else 409)
    assert await box.balance() == 100_000 - 600 - 1_000


async def test_a_payout_lapses_that_its_payee_does_not_confirm(make_box: MakeBox) -> None:
    async with make_box(confirm_seconds=0.05, payout_fee=20) as box:
        await box.paid()
        await box.misbehave("payout", "payout_await_payee")
        sent = await box.client.create_payout(payout_request(4_000))
        assert sent.status is PayoutStatus.AWAITING_PAYEE
        assert sent.confirm_url is not None
        await box.platform.expect(sent.subject, "payout.awaiting_payee", "payout.failed")
        lapsed = await box.client.get_payout(sent.reference)
        assert (lapsed.status, lapsed.failure_reason) == (
            PayoutStatus.FAILED,
            "payee_did_not_confirm",
        )
        assert not lapsed.destination_at_fault
        assert await box.balance() == 10_000 - 60


async def test_payout_returned_after_paid_by_command(make_box: MakeBox) -> None:
    async with make_box(payout_fee=20) as box:
        await box.paid()
        sent = await box.client.create_payout(payout_request(4_000))
        await box.platform.expect(sent.subject, "payout.paid")
        await box.command(f"/v1/payouts/{sent.reference}/advance", to="returned", reason="closed")
        returned = await box.client.get_payout(sent.reference)
        assert (returned.status, returned.failure_reason) == (PayoutStatus.RETURNED, "closed")
        assert await box.balance() == 10_000 - 60 - 20, "the fee of a returned payout is kept"
        await box.platform.expect(sent.subject, "payout.paid", "payout.returned")


async def test_payout_returned_by_itself(box: Box) -> None:
    await box.paid()
    await box.misbehave("payout", "payout_returned", seconds=0.05)
    sent = await box.client.create_payout(payout_request(4_000))
    await box.platform.expect(sent.subject, "payout.paid", "payout.returned")
    assert await box.balance() == 10_000 - 60


async def test_dispute_won_and_lost(box: Box) -> None:
    payment = await box.paid()
    dispute = await box.command(f"/v1/payments/{payment.reference}/dispute", amount=4_000)
    assert (dispute["status"], dispute["subject"]) == ("open", payment.subject)
    assert await box.balance() == 10_000 - 60 - 4_000 - 1_500
    too_much = await box.control.post(
        f"/v1/payments/{payment.reference}/dispute", json={"amount": 6_001}
    )
    assert too_much.status_code == 409
    for _ in range(2):
        await box.command(f"/v1/disputes/{dispute['reference']}/close", won=True)
    assert await box.balance() == 10_000 - 60 - 1_500
    rest = await box.command(f"/v1/payments/{payment.reference}/dispute", reason="not_received")
    assert rest["amount"] == 10_000
    await box.command(f"/v1/disputes/{rest['reference']}/close", won=False)
    assert await box.balance() == -60 - 3_000
    changed = await box.control.post(f"/v1/disputes/{rest['reference']}/close", json={"won": True})
    assert changed.status_code == 409
    await box.platform.expect(
        payment.subject,
        "payment.captured",
        *["dispute.opened", "dispute.closed"] * 2,
    )
    events = [each for each in box.platform.received if each.subject == payment.subject]
    assert len({each.event_id for each in events}) == 5


@pytest.mark.parametrize("effect", ["answer_lost", "connection_cut"])
async def test_the_answer_is_lost_after_acting(box: Box, effect: str) -> None:
    request = payment_request()
    await box.misbehave("payment", effect)
    with pytest.raises(ProviderUnavailable):
        await box.client.create_payment(request)
    found = await box.client.find_payment(request.operation_id)
    assert found is not None
    assert (await box.client.create_payment(request)).reference == found.reference

    await box.pay(found.reference)
    refund = refund_request(found, 1_000)
    await box.misbehave("refund", effect, subject=refund.subject)
    with pytest.raises(ProviderUnavailable):
        await box.client.create_refund(refund)
    assert await box.client.find_refund(refund.operation_id) is not None

    payout = payout_request(1_000)
    await box.misbehave("payout", effect)
    with pytest.raises(ProviderUnavailable):
        await box.client.create_payout(payout)
    assert await box.client.find_payout(payout.operation_id) is not None
    assert await box.balance() == 10_000 - 60 - 2_000

    opened = await box.client.create_payment(payment_request())
    await box.misbehave("cancel", effect, subject=opened.subject)
    with pytest.raises(ProviderUnavailable):
        await box.client.cancel_payment(opened.reference)
    assert (await box.client.get_payment(opened.reference)).status is PaymentStatus.CANCELED


async def test_unavailable_does_not_act(box: Box) -> None:
    request = payment_request()
    await box.misbehave("payment", "unavailable", times=2, subject=request.operation_id)
    for _ in range(2):
        with pytest.raises(ProviderUnavailable, match="503"):
            await box.client.create_payment(request)
        assert await box.client.find_payment(request.operation_id) is None
    payment = await box.client.create_payment(request)
    await box.misbehave("cancel", "unavailable", subject=payment.subject)
    with pytest.raises(ProviderUnavailable):
        await box.client.cancel_payment(payment.reference)
    await box.misbehave("read", "unavailable", subject=payment.subject)
    with pytest.raises(ProviderUnavailable):
        await box.client.get_payment(payment.reference)
    await box.misbehave("read", "unavailable", subject=payment.operation_id)
    with pytest.raises(ProviderUnavailable):
        await box.client.find_payment(payment.operation_id)
    assert (await box.client.get_payment(payment.reference)).status is PaymentStatus.OPEN


async def test_a_delayed_answer_times_out_after_acting(box: Box) -> None:
    impatient = SandboxProvider(
        base_url=box.url,
        api_key=API_KEY,
        webhook_secret=WEBHOOK_SECRET,
        webhook_tolerance_seconds=300,
        timeout=httpx.Timeout(0.2),
    )
    request = payment_request()
    await box.misbehave("payment", "delay", seconds=1)
    with pytest.raises(ProviderUnavailable, match="ReadTimeout"):
        await impatient.create_payment(request)
    assert await box.client.find_payment(request.operation_id) is not None
    await impatient.aclose()


async def test_a_delayed_webhook(box: Box) -> None:
    opened = await box.client.create_payment(payment_request())
    await box.misbehave("webhook", "delay", subject=opened.subject, seconds=0.3)
    started = time.monotonic()
    await box.pay(opened.reference)
    await box.platform.expect(opened.subject, "payment.captured")
    assert time.monotonic() - started >= 0.3


async def test_a_duplicated_webhook_keeps_its_id(box: Box) -> None:
    opened = await box.client.create_payment(payment_request())
    await box.misbehave("webhook", "duplicate", event="payment.captured")
    await box.pay(opened.reference)
    await box.platform.expect(opened.subject, "payment.captured", "payment.captured")
    first, second = box.platform.received
    assert first.event_id == second.event_id
    assert first.body == second.body
    assert genuine(box, first) and genuine(box, second)


async def test_reordered_webhooks(box: Box) -> None:
    opened = await box.client.create_payment(payment_request())
    await box.misbehave("webhook", "reorder", subject=opened.subject)
    await box.pay(opened.reference, "decline")
    [held] = await box.deliveries(opened.subject)
    assert (held["state"], held["event_type"]) == ("held", "payment.declined")
    # The one that overtakes is refused at first: the held one waits until it has arrived.
    box.platform.statuses += [503, 503]
    await box.pay(opened.reference)
    await box.platform.expect(opened.subject, *["payment.captured"] * 3, "payment.declined")


async def test_a_held_webhook_is_let_go_after_its_seconds(box: Box) -> None:
    opened = await box.client.create_payment(payment_request())
    await box.misbehave("webhook", "reorder", seconds=0.1)
    await box.pay(opened.reference)
    await box.platform.expect(opened.subject, "payment.captured")


async def test_two_held_webhooks_come_in_reverse(box: Box) -> None:
    opened = await box.client.create_payment(payment_request())
    await box.misbehave("webhook", "reorder", times=2)
    await box.pay(opened.reference, "decline")
    await box.pay(opened.reference)
    await box.command(f"/v1/payments/{opened.reference}/dispute")
    await box.platform.expect(
        opened.subject, "dispute.opened", "payment.captured", "payment.declined"
    )


async def test_a_dropped_webhook_never_comes_until_redelivered(box: Box) -> None:
    opened = await box.client.create_payment(payment_request())
    await box.misbehave("webhook", "drop", subject=opened.subject, event="payment.captured")
    await box.pay(opened.reference)
    other = await box.paid()
    await box.platform.expect(other.subject, "payment.captured")
    assert box.platform.kinds(opened.subject) == []
    [dropped] = await box.deliveries(opened.subject)
    assert (dropped["state"], dropped["attempts"]) == ("dropped", 0)
    await box.command(f"/v1/deliveries/{dropped['id']}/redeliver")
    await box.platform.expect(opened.subject, "payment.captured")


async def scanned(box: Box, number: str, times: int) -> list[dict[str, object]]:
    """A parcel's webhooks in the log after that many scans."""
    await box.person.post("/carrier/parcels", json={"tracking_number": number})
    for _ in range(times):
        await box.person.post(f"/carrier/parcels/{number}/scans", json={"kind": "in_transit"})
    return await box.deliveries(number)


async def test_a_switch_can_take_a_share_of_the_events(box: Box) -> None:
    await box.misbehave("webhook", "drop", event="parcel.in_transit", percent=40, times=1_000)
    await box.misbehave("webhook", "duplicate", event="parcel.in_transit", percent=40, times=1_000)
    events = {str(each["event_id"]): each["state"] for each in await scanned(box, "SF-4", 60)}
    dropped = sum(state == "dropped" for state in events.values())
    # 24 of 60 expected; this far off by chance is as rare as one in a hundred thousand.
    assert (len(events), 6 < dropped < 43) == (61, True), dropped
    [drop, duplicate] = (await box.control.get("/v1/behaviours")).json()["data"]
    assert (drop["percent"], drop["times_left"]) == (40, 1_000 - dropped), "not used up by others"
    doubled = 1_000 - duplicate["times_left"]
    assert 0 < doubled < 60 - dropped, "what is dropped is not all that would be doubled"
    await eventually(lambda: len(box.platform.received) == 61 - dropped + doubled)
    assert len({each.event_id for each in box.platform.received}) == 61 - dropped


async def test_a_share_of_the_events_comes_late(box: Box) -> None:
    await box.misbehave("webhook", "delay", percent=50, times=1_000, seconds=3_600)
    await scanned(box, "SF-5", 40)
    [switch] = (await box.control.get("/v1/behaviours")).json()["data"]
    assert 0 < 1_000 - switch["times_left"] < 41
    await eventually(lambda: len(box.platform.received) == 41 - (1_000 - switch["times_left"]))


async def test_a_share_of_the_events_is_overtaken(box: Box) -> None:
    switch = await box.misbehave("webhook", "reorder", percent=50, times=1_000)
    await scanned(box, "SF-6", 40)
    await box.behave(switch)
    await scanned(box, "SF-6", 1)
    made = [str(each["event_id"]) for each in await box.deliveries("SF-6")]
    await eventually(lambda: len(box.platform.received) == 42)
    came = [each.event_id for each in box.platform.received]
    assert sorted(came) == sorted(made)
    assert came != made


async def test_a_refused_webhook_is_retried_with_a_fresh_signature(box: Box) -> None:
    box.platform.statuses += [500, 401, 302]
    payment = await box.paid()
    await box.platform.expect(payment.subject, *["payment.captured"] * 4)
    assert len({each.event_id for each in box.platform.received}) == 1
    assert all(genuine(box, each) for each in box.platform.received)

    async def delivered() -> bool:
        [delivery] = await box.deliveries(payment.subject)
        return (delivery["state"], delivery["attempts"]) == ("delivered", 4)

    await eventually(delivered)
    [delivery] = await box.deliveries(payment.subject)
    assert delivery["last_status"] == 204
    await box.command(f"/v1/deliveries/{delivery['id']}/redeliver")
    await box.platform.expect(payment.subject, *["payment.captured"] * 5)


async def test_a_webhook_is_given_up_in_the_end(make_box: MakeBox) -> None:
    async with make_box(give_up_seconds=0.1, webhook_url="http://127.0.0.1:1/") as box:
        payment = await box.paid()

        async def given_up() -> bool:
            [delivery] = await box.deliveries(payment.subject)
            return delivery["state"] == "given_up"

        await eventually(given_up)
        [delivery] = await box.deliveries(payment.subject)
        assert "ConnectionRefusedError" in str(delivery["last_error"])


async def test_a_restart_loses_nothing(make_box: MakeBox) -> None:
    async with make_box(webhook_url="http://127.0.0.1:1/", payout_seconds=3_600) as box:
        payment = await box.paid()
        held = await box.client.create_payout(payout_request(500))
        balance = await box.balance()
        await box.misbehave("payout", "payout_failed")
    async with make_box() as again:
        assert await again.balance() == balance
        assert (await again.client.get_payment(payment.reference)).settled
        await again.platform.expect(payment.subject, "payment.captured")
        found = await again.client.find_payout(held.operation_id)
        assert found is not None and found.status is PayoutStatus.IN_TRANSIT
        sent = await again.client.create_payout(payout_request(1))
        await again.platform.expect(sent.subject, "payout.failed")


async def test_switches_are_listed_and_switched_off(box: Box) -> None:
    await box.misbehave("payment", "decline", times=3)
    await box.misbehave("webhook", "drop", event="payout.paid")
    listed = (await box.control.get("/v1/behaviours")).json()["data"]
    assert [(each["effect"], each["times_left"]) for each in listed] == [
        ("decline", 3),
        ("drop", 1),
    ]
    await box.control.delete(f"/v1/behaviours/{listed[0]['id']}")
    assert len((await box.control.get("/v1/behaviours")).json()["data"]) == 1
    assert (await box.control.delete("/v1/behaviours")).status_code == 204
    assert (await box.control.get("/v1/behaviours")).json()["data"] == []


@pytest.mark.parametrize(
    "wish",
    [
        {"operation": "refund", "effect": "decline"},
        {"operation": "payment", "effect": "explode"},
        {"operation": "bank", "effect": "drop"},
        {"operation": "webhook", "effect": "delay"},
        {"operation": "webhook", "effect": "delay", "seconds": -1},
        {"operation": "webhook", "effect": "delay", "seconds": 1e300},
        {"operation": "webhook", "effect": "drop", "times": 0},
        {"operation": "webhook", "effect": "drop", "often": 1},
        {"operation": "webhook", "effect": "drop", "percent": 0},
        {"operation": "webhook", "effect": "drop", "percent": 101},
        {"operation": "charge", "effect": "decline", "percent": 10},
        {"operation": "card", "effect": "settle_later"},
        {"operation": "charge", "effect": "late_capture"},
    ],
)
async def test_impossible_switches_are_refused(box: Box, wish: dict[str, str | int]) -> None:
    answer = await box.control.post("/v1/behaviours", json=wish)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
