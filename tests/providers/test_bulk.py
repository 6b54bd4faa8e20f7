"""Many objects at once: what bulk reads answer, leave out and refuse."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import httpx
import pytest

from domain.errors import ProviderMismatch
from providers.base import (
    MAX_AT_ONCE,
    CardStatus,
    PaymentStatus,
    ProviderCard,
    ProviderPayment,
    ProviderRefund,
    ProviderUnavailable,
)
from providers.sandbox import SandboxProvider
from tests.providers.harness import Box, answering, card_request, charge_request, refund_request

Found = ProviderPayment | ProviderCard | ProviderRefund
Ask = Callable[[Sequence[str]], Awaitable[Sequence[Found]]]


def asks(provider: SandboxProvider) -> list[Ask]:
    """Every bulk read of the port."""
    return [provider.get_payments, provider.get_cards, provider.get_refunds]


async def test_bulk_reads_leave_out_what_is_unknown(box: Box) -> None:
    payments = [await box.paid(amount) for amount in (100, 200, 300)]
    cards = [await box.saved_card(), await box.client.save_card(card_request())]
    refunds = [await box.client.create_refund(refund_request(each, 50)) for each in payments[:2]]
    everything: list[Found] = [*payments, *cards, *refunds]
    known = [each.reference for each in everything]
    asked = [*known, "unknown", "spay_unknown", "", "a/b?c=d&e", "灯"]
    assert by_reference(await box.client.get_payments(asked)) == by_reference(payments)
    assert by_reference(await box.client.get_cards(asked)) == by_reference(cards)
    assert by_reference(await box.client.get_refunds(asked)) == by_reference(refunds)
    assert {each.status for each in cards} == {CardStatus.SAVED, CardStatus.OPEN}
    twice = [payments[0].reference] * 2
    assert await box.client.get_payments(twice) == payments[:1]


def by_reference(found: Sequence[Found]) -> list[Found]:
    """In an order that does not depend on the answer's."""
    return sorted(found, key=lambda each: each.reference)


async def test_a_hundred_at_once_and_no_more(box: Box) -> None:
    payment = await box.paid()
    hundred = [payment.reference, *(f"spay_{number:024x}" for number in range(MAX_AT_ONCE - 1))]
    assert await box.client.get_payments(hundred) == [payment]
    for ask in asks(box.client):
        with pytest.raises(ValueError, match="at most 100"):
            await ask([*hundred, "spay_more"])
    for query in (
        {"references": ",".join([*hundred, "spay_more"])},
        {"references": payment.reference, "operation_id": payment.operation_id},
    ):
        answer = await box.control.get("/v1/payments", params=query)
        assert answer.status_code == 422
        assert answer.headers["content-type"] == "application/problem+json"


async def test_nothing_asked_is_nothing_found(box: Box) -> None:
    await box.paid()
    for ask in asks(box.client):
        assert await ask([]) == []
    assert (await box.control.get("/v1/payments?references=")).json() == {"data": []}


@pytest.mark.parametrize("effect", ["unavailable", "answer_lost", "connection_cut"])
async def test_bulk_reads_misbehave_too(box: Box, effect: str) -> None:
    payments = [await box.paid(), await box.paid()]
    references = [each.reference for each in payments]
    await box.misbehave("read", effect, subject=payments[1].subject)
    assert await box.client.get_payments(references[:1]) == payments[:1], "not the named one"
    with pytest.raises(ProviderUnavailable):
        await box.client.get_payments(references)
    assert len(await box.client.get_payments(references)) == 2
    await box.misbehave("read", effect, subject=payments[0].operation_id)
    with pytest.raises(ProviderUnavailable):
        await box.client.find_payment(payments[0].operation_id)


CARD = {
    "reference": "scrd_1",
    "operation_id": "op",
    "subject": "crd_1",
    "status": "saved",
    "currency": "CNY",
    "checkout_url": "http://x/",
    "decline_reason": None,
}
PAYMENT = {**CARD, "reference": "spay_1", "status": "captured", "amount": 5}


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, content=b""),
        httpx.Response(200, json={"data": {}}),
        httpx.Response(200, json={"data": [PAYMENT, None]}),
        httpx.Response(200, json={"data": [{**PAYMENT, "amount": "5"}]}),
        httpx.Response(200, json={"data": [{**PAYMENT, "status": "saved"}]}),
        httpx.Response(404, text="<html>a proxy's own page</html>"),
        httpx.Response(429, json={}, headers={"content-type": "application/problem+json"}),
    ],
    ids=range(7),
)
async def test_one_unreadable_object_makes_the_answer_unclear(answer: httpx.Response) -> None:
    with pytest.raises(ProviderUnavailable):
        await answering(answer).get_payments(["spay_1"])


async def test_what_nobody_asked_for_is_a_mismatch() -> None:
    good = answering(httpx.Response(200, json={"data": [PAYMENT]}))
    [payment] = await good.get_payments(["spay_1", "spay_2"])
    assert (payment.status, payment.amount) == (PaymentStatus.CAPTURED, 5)
    with pytest.raises(ProviderMismatch):
        await good.get_payments(["spay_2"])
    with pytest.raises(ProviderMismatch):
        await answering(httpx.Response(200, json={"data": [CARD, CARD]})).get_cards(["scrd_1"])
    card = answering(httpx.Response(200, json=CARD))
    for ask in (card.close_card, card.release_card):
        assert (await ask("scrd_1")).status is CardStatus.SAVED
        with pytest.raises(ProviderMismatch):
            await ask("scrd_2")
    with pytest.raises(ProviderMismatch):
        await card.save_card(card_request())
    other = answering(httpx.Response(200, json=PAYMENT))
    with pytest.raises(ProviderMismatch):
        await other.retry_charge("spay_2", "retry/1")
    with pytest.raises(ProviderMismatch):
        await other.charge(charge_request(await card.release_card("scrd_1")))
