"""A card saved today and charged later: the contract of the port, kept by our client against a running sandbox."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from domain.errors import NotFound, ProviderMismatch, ProviderRefused
from providers.base import (
    CardStatus,
    PaymentProvider,
    PaymentStatus,
    ProviderUnavailable,
    RefundStatus,
    require_same_card,
)
from tests.providers.harness import (
    Box,
    card_request,
    charge_request,
    payment_request,
    refund_request,
)

FEE = 60
"""What the sandbox keeps of 10,000."""


async def test_a_card_is_saved_now_and_charged_later(box: Box) -> None:
    provider: PaymentProvider = box.client
    asked = card_request()
    card = await provider.save_card(asked)
    assert (card.status, card.subject, card.currency) == (CardStatus.OPEN, asked.subject, "CNY")
    assert card.checkout_url == f"{box.url}/card/{card.reference}"
    assert await box.balance() == 0, "saving costs nothing"

    answer = await box.press(card.reference)
    assert (answer.status_code, answer.json()["status"]) == (200, "saved")
    assert (await box.press(card.reference)).status_code == 200
    assert [each.status for each in await provider.get_cards([card.reference])] == [
        CardStatus.SAVED
    ]
    request = charge_request(card)
    charged = await provider.charge(request)
    assert (charged.status, charged.fee, charged.settled) == (PaymentStatus.CAPTURED, FEE, True)
    assert await provider.get_payment(charged.reference) == charged
    assert await box.balance() == 10_000 - FEE
    assert (await provider.charge(charge_request(card))).status is PaymentStatus.CAPTURED

    await box.platform.expect(asked.subject, "card.saved")
    await box.platform.expect(request.subject, "payment.captured")
    [news] = [each for each in box.platform.received if each.subject == asked.subject]
    event = provider.verify_webhook(news.headers, news.body, datetime.now(UTC))
    assert (event.kind, event.subject) == ("card.saved", asked.subject)


async def test_the_same_operation_is_the_same_card(box: Box) -> None:
    request = card_request()
    card = await box.client.save_card(request)
    assert await box.client.save_card(request) == card
    assert await box.client.find_card(request.operation_id) == card
    assert await box.client.find_card("card-unknown/save") is None
    with pytest.raises(ProviderRefused, match="idempotency_key_reused"):
        await box.client.save_card(request.model_copy(update={"currency": "EUR"}))
    answer = await box.control.post(
        "/v1/cards", json=request.model_dump(), headers={"Idempotency-Key": "other"}
    )
    assert (answer.status_code, answer.json()["code"]) == (409, "operation_id_reused")
    require_same_card(request.subject, "CNY", card)
    for subject, currency in ((request.subject, "EUR"), ("crd_other", "CNY")):
        with pytest.raises(ProviderMismatch, match=card.reference):
            require_same_card(subject, currency, card)


async def test_a_card_declined_on_the_page_can_still_be_saved(box: Box) -> None:
    card = await box.client.save_card(card_request())
    await box.misbehave("card", "decline", subject=card.subject, reason="expired_card")
    other = await box.saved_card()
    assert other.status is CardStatus.SAVED, "only the named card is declined"
    declined = await box.press(card.reference)
    assert (declined.status_code, declined.json()["status"]) == (402, "open")
    [seen] = await box.client.get_cards([card.reference])
    assert (seen.status, seen.decline_reason) == (CardStatus.OPEN, "expired_card")
    assert (await box.press(card.reference, "decline")).status_code == 200
    [seen] = await box.client.get_cards([card.reference])
    assert (seen.status, seen.decline_reason) == (CardStatus.OPEN, "declined_by_payer")
    assert (await box.press(card.reference)).status_code == 200
    [seen] = await box.client.get_cards([card.reference])
    assert (seen.status, seen.decline_reason) == (CardStatus.SAVED, None)
    assert (await box.press(card.reference, "decline")).json()["status"] == "saved"
    await box.platform.expect(card.subject, "card.declined", "card.declined", "card.saved")


async def test_closing_ends_an_open_page_only(box: Box) -> None:
    opened = await box.client.save_card(card_request())
    closed = await box.client.close_card(opened.reference)
    assert closed.status is CardStatus.CANCELED
    assert await box.client.close_card(opened.reference) == closed
    late = await box.press(opened.reference)
    assert (late.status_code, late.json()["code"]) == (409, "card_canceled")
    saved = await box.saved_card()
    assert await box.client.close_card(saved.reference) == saved
    assert (await box.client.charge(charge_request(saved))).status is PaymentStatus.CAPTURED
    await box.platform.expect(opened.subject, "card.canceled")
    await box.platform.expect(saved.subject, "card.saved")


async def test_releasing_ends_a_page_and_forgets_a_card(box: Box) -> None:
    opened, saved = await box.client.save_card(card_request()), await box.saved_card()
    for card in (opened, saved):
        released = await box.client.release_card(card.reference)
        assert released.status is CardStatus.CANCELED
        assert await box.client.release_card(card.reference) == released
        assert await box.client.close_card(card.reference) == released
        assert (await box.press(card.reference)).status_code == 409
        request = charge_request(card)
        with pytest.raises(ProviderRefused, match="card_not_saved"):
            await box.client.charge(request)
        assert await box.client.find_payment(request.operation_id) is None
    await box.platform.expect(opened.subject, "card.canceled")
    await box.platform.expect(saved.subject, "card.saved", "card.canceled")


async def test_a_charge_needs_a_saved_card_in_its_currency(box: Box) -> None:
    saved, opened = await box.saved_card(), await box.client.save_card(card_request())
    asked = charge_request(saved)
    for changed, why in (
        ({"card_reference": opened.reference}, "card_not_saved: this card is open"),
        ({"card_reference": "scrd_unknown"}, "no such card"),
        ({"currency": "EUR"}, "currency_mismatch"),
    ):
        with pytest.raises(ProviderRefused, match=why):
            await box.client.charge(asked.model_copy(update=changed))
        assert await box.client.find_payment(asked.operation_id) is None, "nothing was made"
    assert (await box.client.charge(asked)).status is PaymentStatus.CAPTURED


async def test_one_operation_never_charges_twice(box: Box) -> None:
    card, other = await box.saved_card(), await box.saved_card()
    request = charge_request(card)
    answers = await asyncio.gather(*(box.client.charge(request) for _ in range(8)))
    assert len({each.reference for each in answers}) == 1
    assert await box.balance() == 10_000 - FEE
    assert await box.client.find_payment(request.operation_id) == answers[0]
    await box.client.release_card(card.reference)
    assert await box.client.charge(request) == answers[0], "a card forgotten since changes nothing"
    for changed in ({"card_reference": other.reference}, {"amount": 1}):
        with pytest.raises(ProviderRefused, match="idempotency_key_reused"):
            await box.client.charge(request.model_copy(update=changed))
    await box.platform.expect(request.subject, "payment.captured")


async def test_a_declined_charge_is_retried_until_it_is_captured(box: Box) -> None:
    request = charge_request(await box.saved_card())
    switch = await box.misbehave(
        "charge", "decline", subject=request.subject, times=1_000, reason="insufficient_funds"
    )
    declined = await box.client.charge(request)
    assert (declined.status, declined.decline_reason) == (PaymentStatus.OPEN, "insufficient_funds")
    assert declined.checkout_url == f"{box.url}/pay/{declined.reference}"
    assert await box.client.charge(request) == declined, "the same operation tries no second time"
    await box.platform.expect(request.subject, "payment.declined")

    again = [box.client.retry_charge(declined.reference, "retry/1") for _ in range(5)]
    assert {each.status for each in await asyncio.gather(*again)} == {PaymentStatus.OPEN}
    await box.platform.expect(request.subject, *["payment.declined"] * 2)
    await box.behave(switch)
    seen = await box.client.retry_charge(declined.reference, "retry/1")
    assert seen == declined, "that operation has had its attempt"
    captured = await box.client.retry_charge(declined.reference, "retry/2")
    assert (captured.status, captured.decline_reason) == (PaymentStatus.CAPTURED, None)
    for operation in ("retry/1", "retry/2", "retry/3"):
        assert await box.client.retry_charge(declined.reference, operation) == captured
    assert await box.balance() == 10_000 - FEE
    await box.platform.expect(request.subject, *["payment.declined"] * 2, "payment.captured")
    events = [each for each in box.platform.received if each.subject == request.subject]
    assert len({each.event_id for each in events}) == 3


async def test_a_declined_charge_can_be_paid_by_hand(box: Box) -> None:
    request = charge_request(await box.saved_card())
    await box.misbehave("charge", "decline", subject=request.card_reference)
    declined = await box.client.charge(request)
    assert declined.decline_reason == "card_declined"
    page = await box.person.get(declined.checkout_url)
    assert "支付未成功，可以重试 Not paid, you can try again" in page.text
    await box.misbehave("payment", "decline", subject=request.subject, reason="wrong_pin")
    assert (await box.pay(declined.reference)).status_code == 402
    assert (await box.pay(declined.reference)).status_code == 200
    paid = await box.client.retry_charge(declined.reference, "retry/1")
    assert paid.status is PaymentStatus.CAPTURED
    assert await box.balance() == 10_000 - FEE, "paid by hand, not charged as well"
    await box.platform.expect(
        request.subject, "payment.declined", "payment.declined", "payment.captured"
    )


async def test_what_cannot_be_retried_is_refused(box: Box) -> None:
    card = await box.saved_card()
    await box.misbehave("charge", "decline", times=3)
    closed = await box.client.charge(charge_request(card))
    await box.client.retry_charge(closed.reference, "retry/closed")
    canceled = await box.client.cancel_payment(closed.reference)
    assert canceled.status is PaymentStatus.CANCELED
    assert (await box.pay(closed.reference)).status_code == 409
    assert await box.client.retry_charge(closed.reference, "retry/closed") == canceled
    with pytest.raises(ProviderRefused, match="payment_canceled"):
        await box.client.retry_charge(closed.reference, "retry/later")
    await box.platform.expect(
        closed.subject, "payment.declined", "payment.declined", "payment.canceled"
    )
    ordinary = await box.client.create_payment(payment_request())
    with pytest.raises(ProviderRefused, match="not_a_charge"):
        await box.client.retry_charge(ordinary.reference, "retry/ordinary")
    with pytest.raises(ProviderRefused, match="idempotency_key_reused"):
        await box.client.retry_charge(ordinary.reference, "retry/closed")
    forgotten = await box.client.charge(charge_request(card))
    await box.client.release_card(card.reference)
    with pytest.raises(ProviderRefused, match="card_not_saved"):
        await box.client.retry_charge(forgotten.reference, "retry/forgotten")
    assert (await box.client.get_payment(forgotten.reference)).status is PaymentStatus.OPEN
    with pytest.raises(NotFound):
        await box.client.retry_charge("spay_unknown", "retry/unknown")
    for ask in (box.client.close_card, box.client.release_card):
        with pytest.raises(NotFound):
            await ask("scrd_unknown")
    assert await box.balance() == 0


async def test_a_charge_is_refunded_and_disputed_like_any_payment(box: Box) -> None:
    charged = await box.client.charge(charge_request(await box.saved_card()))
    assert await box.client.cancel_payment(charged.reference) == charged
    refund = await box.client.create_refund(refund_request(charged, 4_000))
    assert refund.status is RefundStatus.SUCCEEDED
    await box.command(f"/v1/payments/{charged.reference}/dispute", amount=6_000)
    [dispute] = await box.client.list_disputes(charged.reference)
    assert (dispute.subject, dispute.amount) == (charged.subject, 6_000)
    assert await box.balance() == 10_000 - FEE - 4_000 - 6_000 - dispute.fee


async def test_every_tenth_charge_is_declined(box: Box) -> None:
    cards = [await box.saved_card() for _ in range(20)]
    requests = [charge_request(card) for card in cards]
    # By the card before anybody knows the payment, or by the payment itself.
    await box.misbehave("charge", "decline", subject=cards[0].subject, times=1_000_000)
    await box.misbehave("charge", "decline", subject=requests[10].subject)
    charged = await asyncio.gather(*(box.client.charge(each) for each in requests))
    declined = [at for at, each in enumerate(charged) if each.status is PaymentStatus.OPEN]
    assert declined == [0, 10]
    retried = [
        await box.client.retry_charge(charged[at].reference, f"retry/{at}") for at in declined
    ]
    assert [each.status for each in retried] == [PaymentStatus.OPEN, PaymentStatus.CAPTURED]


async def test_a_charge_can_settle_later(box: Box) -> None:
    await box.misbehave("charge", "settle_later")
    charged = await box.client.charge(charge_request(await box.saved_card()))
    assert (charged.status, charged.settled) == (PaymentStatus.CAPTURED, False)
    assert await box.balance() == 0
    await box.command(f"/v1/payments/{charged.reference}/advance")
    assert (await box.client.get_payment(charged.reference)).settled
    assert await box.balance() == 10_000 - FEE


@pytest.mark.parametrize("effect", ["answer_lost", "connection_cut"])
async def test_an_answer_lost_after_acting_is_found_again(box: Box, effect: str) -> None:
    asked = card_request()
    await box.misbehave("card", effect)
    with pytest.raises(ProviderUnavailable):
        await box.client.save_card(asked)
    card = await box.client.find_card(asked.operation_id)
    assert card is not None and await box.client.save_card(asked) == card
    await box.press(card.reference)

    request = charge_request(card)
    await box.misbehave("charge", effect, subject=card.subject)
    await box.misbehave("charge", "decline", subject=request.subject, times=2)
    with pytest.raises(ProviderUnavailable):
        await box.client.charge(request)
    made = await box.client.find_payment(request.operation_id)
    assert made is not None and await box.client.charge(request) == made
    await box.misbehave("charge", effect, subject=asked.subject)
    with pytest.raises(ProviderUnavailable):
        await box.client.retry_charge(made.reference, "retry/1")
    await box.client.retry_charge(made.reference, "retry/1")
    await box.platform.expect(request.subject, *["payment.declined"] * 2)

    await box.misbehave("cancel", effect, subject=asked.operation_id)
    with pytest.raises(ProviderUnavailable):
        await box.client.release_card(card.reference)
    [released] = await box.client.get_cards([card.reference])
    assert released.status is CardStatus.CANCELED
    opened = await box.client.save_card(card_request())
    await box.misbehave("cancel", effect, subject=opened.reference)
    with pytest.raises(ProviderUnavailable):
        await box.client.close_card(opened.reference)
    assert (await box.client.close_card(opened.reference)).status is CardStatus.CANCELED
    await box.platform.expect(opened.subject, "card.canceled")


async def test_unavailable_does_not_act(box: Box) -> None:
    asked = card_request()
    await box.misbehave("card", "unavailable", subject=asked.subject)
    with pytest.raises(ProviderUnavailable, match="503"):
        await box.client.save_card(asked)
    assert await box.client.find_card(asked.operation_id) is None
    card = await box.client.save_card(asked)
    await box.press(card.reference)
    request = charge_request(card)
    await box.misbehave("charge", "unavailable", subject=card.subject)
    await box.misbehave("charge", "decline")
    with pytest.raises(ProviderUnavailable, match="503"):
        await box.client.charge(request)
    assert await box.client.find_payment(request.operation_id) is None
    declined = await box.client.charge(request)
    await box.misbehave("charge", "unavailable", subject=request.operation_id)
    with pytest.raises(ProviderUnavailable, match="503"):
        await box.client.retry_charge(declined.reference, "retry/1")
    assert (await box.client.get_payment(declined.reference)).status is PaymentStatus.OPEN
    captured = await box.client.retry_charge(declined.reference, "retry/1")
    assert captured.status is PaymentStatus.CAPTURED
    await box.misbehave("cancel", "unavailable", subject=card.subject)
    with pytest.raises(ProviderUnavailable, match="503"):
        await box.client.release_card(card.reference)
    [kept] = await box.client.get_cards([card.reference])
    assert kept.status is CardStatus.SAVED
