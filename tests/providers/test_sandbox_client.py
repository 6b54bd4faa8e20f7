"""The contract of the port, kept by our client against a running sandbox."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from domain.errors import NotFound, ProviderMismatch, ProviderRefused
from providers.base import (
    DisputeStatus,
    PaymentProvider,
    PaymentStatus,
    PayoutStatus,
    ProviderUnavailable,
    RefundStatus,
)
from providers.lanes import Lanes
from providers.sandbox import SandboxProvider
from tests.providers.conftest import MakeBox
from tests.providers.harness import (
    API_KEY,
    WEBHOOK_SECRET,
    Box,
    answering,
    payment_request,
    payout_request,
    refund_request,
)
from tests.waiting import eventually


def today() -> datetime:
    return datetime.now(UTC)


async def test_payment_from_request_to_capture(box: Box) -> None:
    provider: PaymentProvider = box.client
    request = payment_request(10_050)
    opened = await provider.create_payment(request)
    assert opened.status is PaymentStatus.OPEN
    assert opened.checkout_url == f"{box.url}/pay/{opened.reference}"
    assert (opened.fee, opened.settled) == (0, False)

    answer = await box.pay(opened.reference)
    assert (answer.status_code, answer.json()["status"]) == (200, "captured")
    captured = await provider.get_payment(opened.reference)
    assert captured.status is PaymentStatus.CAPTURED
    assert (captured.fee, captured.settled) == (60, True)  # 0.6 % of 10,050 is 60.3
    assert await box.balance() == 10_050 - 60
    await box.platform.expect(request.subject, "payment.captured")
    event = provider.verify_webhook(
        box.platform.received[0].headers, box.platform.received[0].body, today()
    )
    assert (event.kind, event.subject) == ("payment.captured", request.subject)
    assert box.platform.received[0].path == "v1/webhooks/sandbox"


@pytest.mark.parametrize(
    ("amount", "fee"), [(83, 0), (84, 1), (250, 2), (249, 1), (10**13, 6 * 10**10)]
)
async def test_fee_is_rounded_half_up(box: Box, amount: int, fee: int) -> None:
    assert (await box.paid(amount)).fee == fee


async def test_the_same_operation_is_the_same_object(box: Box) -> None:
    request = payment_request()
    first = await box.client.create_payment(request)
    assert await box.client.create_payment(request) == first
    assert await box.client.find_payment(request.operation_id) == first
    assert await box.client.find_payment("payment-unknown/create") is None
    with pytest.raises(ProviderRefused, match="idempotency_key_reused"):
        await box.client.create_payment(request.model_copy(update={"amount": 1}))

    payment = await box.paid()
    refund = refund_request(payment, 400)
    made = await box.client.create_refund(refund)
    assert await box.client.create_refund(refund) == made
    assert await box.client.find_refund(refund.operation_id) == made
    payout = payout_request(300)
    sent = await box.client.create_payout(payout)
    again = await box.client.create_payout(payout)
    assert again.reference == sent.reference
    found = await box.client.find_payout(payout.operation_id)
    assert found is not None and found.reference == sent.reference
    assert await box.balance() == 10_000 - 60 - 400 - 300
    with pytest.raises(ProviderRefused):
        await box.client.create_refund(refund.model_copy(update={"amount": 1}))
    with pytest.raises(ProviderRefused):
        await box.client.create_payout(payout.model_copy(update={"holder": "Somebody else"}))


async def test_one_operation_id_under_two_keys_is_refused(box: Box) -> None:
    request = payment_request()
    await box.client.create_payment(request)
    answer = await box.control.post(
        "/v1/payments", json=request.model_dump(), headers={"Idempotency-Key": "other"}
    )
    assert (answer.status_code, answer.json()["code"]) == (409, "operation_id_reused")


async def test_cancel_closes_an_open_payment_and_answers_a_captured_one(box: Box) -> None:
    opened = await box.client.create_payment(payment_request())
    canceled = await box.client.cancel_payment(opened.reference)
    assert canceled.status is PaymentStatus.CANCELED
    assert await box.client.cancel_payment(opened.reference) == canceled
    refused = await box.pay(opened.reference)
    assert (refused.status_code, refused.json()["code"]) == (409, "payment_canceled")
    await box.platform.expect(opened.subject, "payment.canceled")
    captured = await box.paid()
    assert (await box.client.cancel_payment(captured.reference)) == captured


async def test_partial_refunds_never_exceed_the_payment(box: Box) -> None:
    payment = await box.paid(1_000)
    first = await box.client.create_refund(refund_request(payment, 600))
    assert first.status is RefundStatus.SUCCEEDED
    await box.platform.expect(first.subject, "refund.succeeded")
    with pytest.raises(ProviderRefused, match="400 minor units are left"):
        await box.client.create_refund(refund_request(payment, 401))
    last = await box.client.create_refund(refund_request(payment, 400))
    assert await box.client.get_refund(last.reference) == last
    assert await box.balance() == -6, "the fee is not returned"


async def test_refund_of_an_unpaid_or_foreign_payment_is_refused(box: Box) -> None:
    opened = await box.client.create_payment(payment_request())
    with pytest.raises(ProviderRefused, match="not_captured"):
        await box.client.create_refund(refund_request(opened, 1))
    payment = await box.paid()
    euros = refund_request(payment, 1).model_copy(update={"currency": "EUR"})
    with pytest.raises(ProviderRefused, match="currency_mismatch"):
        await box.client.create_refund(euros)
    unknown = refund_request(payment, 1).model_copy(update={"payment_reference": "spay_unknown"})
    with pytest.raises(ProviderRefused, match="no such payment"):
        await box.client.create_refund(unknown)


async def test_payout_is_debited_at_once_and_arrives(make_box: MakeBox) -> None:
    async with make_box(payout_fee=25, payout_seconds=0.05) as box:
        await box.paid(10_000)
        request = payout_request(5_000)
        sent = await box.client.create_payout(request)
        assert (sent.status, sent.fee) == (PayoutStatus.IN_TRANSIT, 25)
        assert await box.balance() == 10_000 - 60 - 5_000 - 25
        await box.platform.expect(request.subject, "payout.paid")
        paid = await box.client.get_payout(sent.reference)
        assert paid.status is PayoutStatus.PAID
        assert await box.balance() == 10_000 - 60 - 5_000 - 25


async def test_payout_above_the_balance_fails(box: Box) -> None:
    await box.paid(1_000)
    exact = await box.client.create_payout(payout_request(994))
    assert exact.status is PayoutStatus.IN_TRANSIT
    failed = await box.client.create_payout(payout_request(1))
    assert failed.status is PayoutStatus.FAILED
    assert failed.failure_reason == "insufficient_balance"
    await box.platform.expect(failed.subject, "payout.failed")
    assert await box.balance() == 0
    other = await box.client.create_payout(payout_request(1, "EUR"))
    assert other.status is PayoutStatus.FAILED, "currencies do not mix"


async def test_two_payers_at_once_capture_once(box: Box) -> None:
    opened = await box.client.create_payment(payment_request())
    answers = await asyncio.gather(*(box.pay(opened.reference) for _ in range(8)))
    assert {answer.status_code for answer in answers} == {200}
    assert await box.balance() == 10_000 - 60
    await box.platform.expect(opened.subject, "payment.captured")


async def test_disputes_of_a_payment(box: Box) -> None:
    payment, other = await box.paid(10_000), await box.paid(500)
    assert await box.client.list_disputes(payment.reference) == []
    await box.command(f"/v1/payments/{other.reference}/dispute")
    first = await box.command(f"/v1/payments/{payment.reference}/dispute", amount=4_000)
    second = await box.command(f"/v1/payments/{payment.reference}/dispute")
    older, newer = await box.client.list_disputes(payment.reference)
    assert (older.reference, newer.reference) == (first["reference"], second["reference"])
    assert (older.amount, newer.amount) == (4_000, 6_000)
    for dispute in (older, newer):
        assert (dispute.payment_reference, dispute.subject) == (payment.reference, payment.subject)
        assert (dispute.status, dispute.fee) == (DisputeStatus.NEEDS_RESPONSE, 1_500)
        assert dispute.due_by is not None and dispute.due_by > today()
        assert await box.client.get_dispute(dispute.reference) == dispute
    await box.command(f"/v1/disputes/{older.reference}/close", won=True)
    await box.command(f"/v1/disputes/{newer.reference}/close", won=False)
    found = await box.client.list_disputes(payment.reference)
    assert [each.status for each in found] == [DisputeStatus.WON, DisputeStatus.LOST]
    assert await box.client.list_disputes("unknown") == []


async def test_statement_adds_up_to_the_balance(make_box: MakeBox) -> None:
    now = [datetime(2026, 3, 1, 23, 59, 59, tzinfo=UTC)]
    async with make_box(clock=lambda: now[0], payout_fee=7) as box:
        payment = await box.paid(10_000)
        yen = await box.paid(5_000, "JPY")
        await box.client.create_refund(refund_request(payment, 1_234))
        sent = await box.client.create_payout(payout_request(3_000))
        await box.platform.expect(sent.subject, "payout.paid")
        now[0] += timedelta(seconds=2)
        await box.command(f"/v1/payouts/{sent.reference}/advance", to="returned")
        dispute = await box.command(f"/v1/payments/{payment.reference}/dispute", amount=500)
        await box.command(f"/v1/disputes/{dispute['reference']}/close", won=True)

        first = (await box.client.statement(datetime(2026, 3, 1, tzinfo=UTC).date())).lines
        second = (await box.client.statement(datetime(2026, 3, 2, tzinfo=UTC).date())).lines
        assert [(line.kind, line.amount, line.currency) for line in first] == [
            ("payment", 10_000, "CNY"),
            ("fee", -60, "CNY"),
            ("payment", 5_000, "JPY"),
            ("fee", -30, "JPY"),
            ("refund", -1_234, "CNY"),
            ("payout", -3_000, "CNY"),
            ("payout_fee", -7, "CNY"),
        ]
        assert [(line.kind, line.amount) for line in second] == [
            ("payout_return", 3_000),
            ("dispute", -500),
            ("dispute_fee", -1_500),
            ("dispute_return", 500),
        ]
        assert first[2].subject == yen.subject
        for currency in ("CNY", "JPY"):
            lines = [line.amount for line in (*first, *second) if line.currency == currency]
            assert sum(lines) == await box.balance(currency)
        page = (await box.control.get("/v1/statements/2026-03-02")).json()
        assert page["opening"] == {"CNY": 10_000 - 60 - 1_234 - 3_007, "JPY": 4_970}
        assert page["closing"] == (await box.control.get("/v1/balance")).json()["balances"]


async def test_a_long_statement_comes_in_pages(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("providers.sandbox_server.booking.PAGE", 3)
    for _ in range(4):
        await box.paid(1_000)
    lines = (await box.client.statement(today().date())).lines
    assert len(lines) == 8
    assert sum(line.amount for line in lines) == await box.balance()


async def test_unknown_objects_are_not_found(box: Box) -> None:
    for ask in (
        box.client.get_payment,
        box.client.cancel_payment,
        box.client.get_refund,
        box.client.get_payout,
        box.client.get_dispute,
    ):
        with pytest.raises(NotFound):
            await ask("unknown/../x?y")


async def test_a_wrong_key_is_unavailable_not_refused(box: Box) -> None:
    stranger = SandboxProvider(
        base_url=box.url,
        api_key="wrong",
        webhook_secret=WEBHOOK_SECRET,
        webhook_tolerance_seconds=300,
    )
    with pytest.raises(ProviderUnavailable, match="401"):
        await stranger.create_payment(payment_request())
    await stranger.aclose()


async def test_many_questions_at_once_are_all_answered(box: Box) -> None:
    payment = await box.paid()
    for _round in range(2):
        answers = await asyncio.gather(
            *(box.client.get_payment(payment.reference) for _ in range(50))
        )
        assert answers == [payment] * 50


async def test_a_transport_without_certificates_refuses_https() -> None:
    async with httpx.AsyncClient(transport=Lanes(tls=False)) as http:
        with pytest.raises(httpx.UnsupportedProtocol):
            await http.get("https://127.0.0.1:1/")


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_refused_connection_is_unavailable(scheme: str) -> None:
    provider = SandboxProvider(
        base_url=f"{scheme}://127.0.0.1:1",
        api_key=API_KEY,
        webhook_secret=WEBHOOK_SECRET,
        webhook_tolerance_seconds=300,
    )
    with pytest.raises(ProviderUnavailable):
        await provider.get_payment("spay_1")
    await provider.aclose()


GOOD = {
    "reference": "spay_1",
    "operation_id": "op",
    "subject": "pay_1",
    "status": "open",
    "amount": 5,
    "currency": "CNY",
    "checkout_url": "http://x/",
    "fee": 0,
    "settled": False,
    "decline_reason": None,
}


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, content=b""),
        httpx.Response(200, content=b"\xff\xfe"),
        httpx.Response(200, content=b"[" * 100_000),
        httpx.Response(200, json=[]),
        httpx.Response(200, json={**GOOD, "amount": "5"}),
        httpx.Response(200, json={**GOOD, "amount": 5.0}),
        httpx.Response(200, json={**GOOD, "amount": -5}),
        httpx.Response(200, json={**GOOD, "amount": 10**30}),
        httpx.Response(200, json={**GOOD, "status": "paid"}),
        httpx.Response(200, json={**GOOD, "currency": "XXX"}),
        httpx.Response(200, json={**GOOD, "settled": 1}),
        httpx.Response(302, headers={"location": "/elsewhere"}),
        httpx.Response(404, text="<html>a proxy's own page</html>"),
        httpx.Response(400, content=b"{", headers={"content-type": "application/problem+json"}),
        httpx.Response(429, json={}, headers={"content-type": "application/problem+json"}),
        httpx.Response(500, json={}, headers={"content-type": "application/problem+json"}),
        httpx.Response(504, text="timeout"),
    ],
)
async def test_an_unclear_answer_is_unavailable(answer: httpx.Response) -> None:
    with pytest.raises(ProviderUnavailable):
        await answering(answer).get_payment("spay_1")


async def test_a_good_answer_is_read() -> None:
    payment = await answering(httpx.Response(200, json={**GOOD, "new_field": 1})).get_payment("x")
    assert payment.amount == 5


async def test_somebody_elses_object_is_a_mismatch() -> None:
    with pytest.raises(ProviderMismatch):
        await answering(httpx.Response(200, json=GOOD)).create_payment(payment_request())
    twice = httpx.Response(200, json={"data": [GOOD, GOOD]})
    with pytest.raises(ProviderMismatch):
        await answering(twice).find_payment("op")


async def test_the_lookup_agrees_with_the_object(box: Box) -> None:
    payment = await box.paid()
    assert await box.client.find_payment(payment.operation_id) == payment
    await eventually(lambda: box.platform.received)
