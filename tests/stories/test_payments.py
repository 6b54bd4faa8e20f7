"""Payments: lost, doubled and late news, lost answers, and a provider that is wrong. Each captured once, or not at all."""

from __future__ import annotations

import pytest

from tests.stories.house import House, Json
from tests.stories.money import (
    all_answered,
    at_provider,
    inbox,
    needs_operator,
    payment_reference,
    people,
    provider_moves,
    redeliver,
    rewrite_at_provider,
    settled,
    unheard,
)
from tests.waiting import eventually

FUNDED = ["fund: debit clearing:sandbox 20000", "fund: credit escrow:sale 20000"]
SETTLED = [
    "settle: debit cash:sandbox 19880",
    "settle: debit psp_fee:platform 120",
    "settle: credit clearing:sandbox 20000",
]


async def ordered(house: House) -> tuple[Json, str]:
    buyer, seller = people()
    return await house.order(await house.listing(seller), by=buyer), buyer


async def refunded(house: House, sale: Json, buyer: str) -> None:
    """Ends the path: the buyer takes the money back, and nothing is left anywhere."""
    await house.act(sale, "cancel", by=buyer)
    await house.until(sale, "refunded", by=buyer)
    await settled(house, sale)
    await house.assert_at_zero(sale)


async def test_a_dropped_webhook_is_found_by_the_poll(house: House) -> None:
    sale, buyer = await ordered(house)
    await house.misbehave("webhook", "drop", subject=sale["payment"]["id"])
    await house.pay(sale)
    await house.let_pass(sale, 60, workflow="payment")
    await house.until(sale, "paid", by=buyer)
    assert await inbox(house, sale["payment"]["id"]) == []
    await refunded(house, sale, buyer)


async def test_a_duplicated_webhook_is_posted_once(house: House) -> None:
    sale, buyer = await ordered(house)
    payment = sale["payment"]["id"]
    await house.misbehave("webhook", "duplicate", subject=payment)
    await house.pay(sale)
    await house.until(sale, "paid", by=buyer)

    async def both_sent() -> bool:
        log = await house.sandbox.get("/v1/deliveries", params={"subject": payment})
        return [each["state"] for each in log.json()["data"]] == ["delivered", "delivered"]

    await eventually(both_sent)
    assert await inbox(house, payment) == [("payment.captured", "consumed")]
    assert await house.postings(sale) == FUNDED + SETTLED
    await refunded(house, sale, buyer)


async def test_reordered_webhooks_are_posted_once(house: House) -> None:
    sale, buyer = await ordered(house)
    payment = sale["payment"]["id"]
    await house.misbehave("payment", "decline", subject=payment)
    await house.misbehave("webhook", "reorder", subject=payment, event="payment.declined")
    await house.pay(sale)
    await house.pay(sale)
    await house.until(sale, "paid", by=buyer)
    await eventually(
        lambda: house.sql(
            "SELECT 1 FROM webhook_inbox WHERE kind = 'payment.declined' AND subject = %s", payment
        )
    )
    assert [kind for kind, _ in await inbox(house, payment)] == [
        "payment.captured",
        "payment.declined",
    ]
    await all_answered(house, payment)
    assert await house.postings(sale) == FUNDED + SETTLED
    await refunded(house, sale, buyer)


@pytest.mark.parametrize("effect", ["answer_lost", "connection_cut", "unavailable"])
async def test_an_unclear_answer_makes_exactly_one_payment(house: House, effect: str) -> None:
    await house.misbehave("payment", effect)
    sale, buyer = await ordered(house)
    assert len(await at_provider(house, "payments", sale["payment"]["id"])) == 1
    await house.pay(sale)
    await house.until(sale, "paid", by=buyer)
    await refunded(house, sale, buyer)


async def test_declined_then_paid(house: House) -> None:
    sale, buyer = await ordered(house)
    payment = sale["payment"]["id"]
    await house.misbehave("payment", "decline", subject=payment, reason="insufficient_funds")
    assert (await house.pay(sale)).json()["status"] == "open"
    await all_answered(house, payment)
    assert (await house.get(f"/v1/sales/{sale['id']}", by=buyer))["phase"] == "pending_payment"
    assert await house.postings(sale) == []
    await house.pay(sale)
    await house.until(sale, "paid", by=buyer)
    await refunded(house, sale, buyer)


async def test_money_stays_in_clearing_until_the_provider_has_settled(house: House) -> None:
    sale, buyer = await ordered(house)
    await house.misbehave("payment", "settle_later", subject=sale["payment"]["id"])
    await house.pay(sale)
    await house.until(sale, "paid", by=buyer)
    assert await house.postings(sale) == FUNDED
    await provider_moves(house, "payments", payment_reference(house, sale))
    await settled(house, sale)
    assert await house.postings(sale) == FUNDED + SETTLED
    await refunded(house, sale, buyer)


async def test_a_settlement_whose_webhook_never_came_is_found(house: House) -> None:
    sale, buyer = await ordered(house)
    payment = sale["payment"]["id"]
    await house.misbehave("payment", "settle_later", subject=payment)
    await house.misbehave("webhook", "drop", subject=payment, event="payment.settled")
    await house.pay(sale)
    await house.until(sale, "paid", by=buyer)
    await provider_moves(house, "payments", payment_reference(house, sale))
    await redeliver(house)
    assert await house.postings(sale) == FUNDED

    def grown_older(by: str) -> None:
        house.sql(
            "UPDATE payments SET created_at = now() - %s::interval WHERE id = %s", by, payment
        )

    grown_older("30 minutes")
    await redeliver(house)
    assert await house.postings(sale) == FUNDED, "looked at more often than once an hour"
    grown_older("2 hours")
    await redeliver(house)
    await settled(house, sale)
    assert await house.postings(sale) == FUNDED + SETTLED
    await refunded(house, sale, buyer)


@pytest.mark.parametrize(
    ("column", "wrong", "right"), [("amount", 1, 20_000), ("currency", "USD", "CNY")]
)
async def test_another_amount_or_currency_calls_an_operator(
    house: House, column: str, wrong: object, right: object
) -> None:
    sale, buyer = await ordered(house)
    payment = sale["payment"]["id"]
    workflow_id = f"payment-{payment}"
    change = f"UPDATE payments SET {column} = ? WHERE subject = ?"
    await house.misbehave("webhook", "drop", subject=payment)
    await house.pay(sale)
    rewrite_at_provider(house, change, wrong, payment)
    await house.workflow(workflow_id).signal("wake")

    async def called() -> bool | None:
        return await needs_operator(house, workflow_id)

    await eventually(called)
    assert await house.postings(sale) == []
    assert (await house.get(f"/v1/sales/{sale['id']}", by=buyer))["phase"] == "pending_payment"

    await house.workflow(workflow_id).signal("wake")  # too early: nothing has been mended
    assert await house.postings(sale) == []
    rewrite_at_provider(house, change, right, payment)
    await house.workflow(workflow_id).signal("wake")
    await house.until(sale, "paid", by=buyer)
    assert await needs_operator(house, workflow_id) is False
    await refunded(house, sale, buyer)


async def test_a_payment_the_provider_cancels_ends_the_sale(house: House) -> None:
    sale, buyer = await ordered(house)
    reference = payment_reference(house, sale)
    (await house.sandbox.post(f"/v1/payments/{reference}/cancel")).raise_for_status()
    await house.until(sale, "expired", by=buyer)
    assert await house.postings(sale) == []
    await house.assert_at_zero(sale)


async def test_news_about_nothing_in_particular_changes_nothing(house: House) -> None:
    """Webhooks that all got lost, and a platform that looks again and again: posted once."""
    sale, buyer = await ordered(house)
    async with unheard(house):
        await house.pay(sale)
        for _ in range(3):
            await house.workflow(f"payment-{sale['payment']['id']}").signal("wake")
        await house.until(sale, "paid", by=buyer)
    assert await house.postings(sale) == FUNDED + SETTLED
    await refunded(house, sale, buyer)
