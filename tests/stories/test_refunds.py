"""Refunds: whatever the provider does, the payer has the money in the end, once."""

from __future__ import annotations

import pytest

from tests.stories.house import DAY, House
from tests.stories.money import (
    PRICE,
    all_answered,
    assert_sound,
    at_provider,
    called_off,
    destination,
    earned,
    payout_at,
    people,
    provider_moves,
    refund_of,
    take_out,
)

PAID_BACK = [
    "refund: debit escrow:sale 20000",
    "refund: credit refund_due:ref 20000",
    "refund_paid: debit refund_due:ref 20000",
    "refund_paid: credit cash:sandbox 20000",
]
CREDITED = [
    *PAID_BACK[:2],
    "refund_to_balance: debit refund_due:ref 20000",
    "refund_to_balance: credit payable:buyer 20000",
]


async def test_a_refund_that_succeeds(house: House) -> None:
    sale, buyer = await called_off(house)
    await house.until(sale, "refunded", by=buyer)
    refund = await refund_of(house, sale, "succeeded", by=buyer)
    assert refund["amount"]["amount"] == PRICE
    assert (await house.postings(sale))[-4:] == PAID_BACK
    await all_answered(house, refund["id"])
    await house.assert_at_zero(sale)


async def test_a_pending_refund_then_succeeds(house: House) -> None:
    sale, buyer = await called_off(house, "refund_pending")
    refund = await refund_of(house, sale, "pending", by=buyer)
    [theirs] = await at_provider(house, "refunds", refund["id"])
    early = await house.call("POST", f"/v1/refunds/{refund['id']}/accept-balance", by=buyer)
    assert (early.status_code, early.json()["code"]) == (409, "wrong_phase")
    await provider_moves(house, "refunds", theirs["reference"])
    await house.until(sale, "refunded", by=buyer)
    assert (await house.postings(sale))[-4:] == PAID_BACK
    await house.assert_at_zero(sale)


async def test_a_pending_refund_whose_webhook_is_dropped_is_found_by_the_poll(house: House) -> None:
    sale, buyer = await called_off(house, "refund_pending")
    refund = await refund_of(house, sale, "pending", by=buyer)
    [theirs] = await at_provider(house, "refunds", refund["id"])
    await house.misbehave("webhook", "drop", subject=refund["id"])
    await provider_moves(house, "refunds", theirs["reference"])
    await house.skipper.fast_forward(house.workflow(f"refund-{refund['id']}"), 60)
    await house.until(sale, "refunded", by=buyer)
    await house.assert_at_zero(sale)


async def test_a_refused_refund_is_taken_as_balance_and_paid_out(house: House) -> None:
    sale, buyer = await called_off(house, "refund_refused")
    refund = await refund_of(house, sale, "refused", by=buyer)
    assert (await house.get(f"/v1/sales/{sale['id']}", by=buyer))["phase"] == "refunding"
    accept = f"/v1/refunds/{refund['id']}/accept-balance"
    await all_answered(house, refund["id"])
    assert await house.payable(buyer) == 0

    stranger = await house.call("POST", accept, by="somebody-else")
    assert (stranger.status_code, stranger.json()["code"]) == (404, "not_found")
    taken = await house.call("POST", accept, by=buyer, key="take-it")
    assert (taken.status_code, taken.json()["status"]) == (200, "credited")
    again = await house.call("POST", accept, by=buyer, key="take-it")
    assert (again.status_code, again.json()) == (200, taken.json())
    late = await house.call("POST", accept, by=buyer)
    assert (late.status_code, late.json()["code"]) == (409, "wrong_phase")

    await house.until(sale, "refunded", by=buyer)
    assert (await house.postings(sale))[-4:] == CREDITED
    assert await house.payable(buyer) == PRICE
    await house.assert_at_zero(sale)
    await destination(house, buyer)
    # The provider keeps its fee of the refused refund: somebody else's money must be there as well.
    await earned(house, people()[1])
    payout = await take_out(house, buyer)
    await payout_at(house, payout, "paid", by=buyer)
    assert await house.payable(buyer) == 0
    await assert_sound(house)


async def test_a_refused_refund_and_silence_become_balance_after_fourteen_days(
    house: House,
) -> None:
    sale, buyer = await called_off(house, "refund_refused")
    refund = await refund_of(house, sale, "refused", by=buyer)
    workflow = house.workflow(f"refund-{refund['id']}")
    await house.skipper.fast_forward(workflow, 13 * DAY)
    assert (await house.get(f"/v1/refunds/{refund['id']}", by=buyer))["status"] == "refused"
    await house.skipper.fast_forward(workflow, 2 * DAY)
    await house.until(sale, "refunded", by=buyer)
    assert (await house.postings(sale))[-4:] == CREDITED
    assert await house.payable(buyer) == PRICE
    await house.assert_at_zero(sale)


@pytest.mark.parametrize("effect", ["answer_lost", "connection_cut", "unavailable"])
async def test_an_unclear_answer_makes_exactly_one_refund(house: House, effect: str) -> None:
    sale, buyer = await called_off(house, effect)
    await house.until(sale, "refunded", by=buyer)
    refund = await refund_of(house, sale, "succeeded", by=buyer)
    assert len(await at_provider(house, "refunds", refund["id"])) == 1
    assert (await house.postings(sale))[-4:] == PAID_BACK
    await house.assert_at_zero(sale)


async def test_an_unknown_refund_is_not_found(house: House) -> None:
    unknown = "ref_01h45ytscbebyvny4gc8cr8ma2"
    answer = await house.call("POST", f"/v1/refunds/{unknown}/accept-balance", by="anybody")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
