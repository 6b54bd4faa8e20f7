"""Every kind of path whose money reaches somebody: the dispute about it, a payee who is frozen, a payout the bank returns."""

from __future__ import annotations

import importlib
from collections.abc import Awaitable, Callable

import pytest

from tests.stories.carts import Cart
from tests.stories.chargebacks import balance
from tests.stories.contests import Show
from tests.stories.deliveries import WAITING, sent_home
from tests.stories.house import House
from tests.stories.in_kind import Aid
from tests.stories.jobs import Job
from tests.stories.lots import decided as inspected
from tests.stories.money import (
    assert_sound,
    destination,
    earned,
    payout_at,
    people,
    provider_moves,
    take_out,
)
from tests.stories.workshop import Workshop
from tests.waiting import eventually

DISPUTES = {
    "sale": "disputes.test_ruled_seventy_to_thirty",
    "order": "disputes_elsewhere.test_a_sale_of_an_order_is_disputed_by_itself",
    "contest": "disputes_elsewhere.test_a_prize_that_was_paid_is_disputed",
    "tender": "disputes_elsewhere.test_a_milestone_is_ruled_seventy_to_thirty",
    "campaign": "disputes_elsewhere.test_a_backer_disputes_what_a_creator_got",
    "in_kind": "disputes_elsewhere.test_a_deposit_that_went_to_its_lender_is_disputed",
    "lot": "disputes_elsewhere.test_what_a_maker_got_for_a_lot_is_disputed_and_owed",
}
"""Kind of path -> the test of a dispute. A match call pays campaigns and a production order its lots, never a person."""
FROZEN = {
    "sale": "frozen.test_a_sale_released_to_a_frozen_seller_is_held_until_they_are_cleared",
    "order": "unhappy_kinds.test_one_seller_of_an_order_is_frozen",
    "contest": "contest_people.test_the_prize_of_a_frozen_winner_is_held_until_they_are_cleared",
    "tender": "unhappy_kinds.test_a_frozen_worker_earns_what_is_held",
    "campaign": "unhappy_kinds.test_a_frozen_creators_tranche_is_held",
    "in_kind": "in_kind_return.test_a_frozen_lenders_part_is_held",
    "lot": "lot_chargeback.test_what_a_frozen_maker_earns_is_held",
}
"""Kind of path -> the test of a payee who is frozen when the money is released."""


@pytest.mark.parametrize("test", [*DISPUTES.values(), *FROZEN.values()])
def test_each_kind_has_its_tests(test: str) -> None:
    module, name = test.split(".")
    assert callable(getattr(importlib.import_module(f"tests.stories.test_{module}"), name))


async def frozen(house: House, who: str) -> str:
    """Somebody whose account is frozen; their id."""
    user_id = str((await house.get("/v1/me", by=who))["id"])
    await house.post(f"/v1/users/{user_id}/freeze", {"reason": "A look"}, by="admin")
    return user_id


async def test_one_seller_of_an_order_is_frozen(house: House) -> None:
    cart = await Cart.paid(house)
    held = await frozen(house, cart.sellers[0])
    # What runs goes on.
    await cart.complete(0)
    await cart.complete(1)
    assert await cart.earned() == [0, 4_600, 0]
    assert balance(house, "held", held) == 18_400
    await cart.assert_at_zero()
    await house.post(f"/v1/users/{held}/unfreeze", {"reason": "All is well"}, by="admin")
    await eventually(lambda: balance(house, "held", held) == 0)
    assert await cart.earned() == [18_400, 4_600, 0]


async def test_a_frozen_worker_earns_what_is_held(house: House) -> None:
    job = await Job.working(house, 30_000)
    await job.on(1, "submit", job.worker, note="Done")
    held = await frozen(house, job.worker)
    await job.on(1, "approve", job.buyer)
    await job.until("completed")
    assert await house.payable(job.worker) == 0
    assert balance(house, "held", held) == 27_000
    await assert_sound(house)


async def test_a_frozen_creators_tranche_is_held(house: House) -> None:
    fund = await sent_home(house, "card", "wallet")
    held = await frozen(house, fund.creator)
    await fund.let_pass(WAITING + 1)
    await fund.until("fulfilling")
    await eventually(lambda: balance(house, "held", held) > 0)
    assert await house.payable(fund.creator) == 0
    await assert_sound(house)


async def by_a_sale(house: House) -> str:
    """A seller with income."""
    _, seller = people()
    await earned(house, seller)
    return seller


async def by_an_order(house: House) -> str:
    """One of two sellers."""
    cart = await Cart.paid(house)
    await cart.complete(0)
    return cart.sellers[0]


async def by_a_contest(house: House) -> str:
    """A winner."""
    show = await Show.handing_over(house)
    winner = show.creators[0]
    await show.hand_over(winner)
    await show.act("accept")
    await show.ended("completed")
    return winner


async def by_a_tender(house: House) -> str:
    """A worker."""
    job = await Job.working(house, 30_000)
    await job.on(1, "submit", job.worker, note="Done")
    await job.on(1, "approve", job.buyer)
    await job.until("completed")
    return job.worker


async def by_a_campaign(house: House) -> str:
    """A creator."""
    fund = await sent_home(house, "card", "wallet")
    await fund.let_pass(WAITING + 1)
    await fund.until("fulfilling")

    async def paid() -> bool:
        return await house.payable(fund.creator) > 0

    await eventually(paid)
    return fund.creator


async def by_a_loan(house: House) -> str:
    """A lender whose claim was agreed with."""
    aid = await Aid.lent(house)
    await aid.act("send-back", aid.picked)
    await aid.claim(4_000)
    await aid.act("answer-claim", aid.picked, agree=True)
    await aid.until("returned")
    return aid.supporter


async def by_a_lot(house: House) -> str:
    """A maker."""
    shop = await Workshop.published(house, units=10, lot_most=10)
    lot = await shop.handed_in(10)
    await inspected(lot, 10)
    await lot.until("settled")
    return lot.maker


EARN = (by_a_sale, by_an_order, by_a_contest, by_a_tender, by_a_campaign, by_a_loan, by_a_lot)


@pytest.mark.parametrize("earn", EARN, ids=lambda each: str(each.__name__))
async def test_income_of_each_kind_comes_back_when_the_bank_returns_it(
    house: House, earn: Callable[[House], Awaitable[str]]
) -> None:
    who = await earn(house)
    income = await house.payable(who)
    await destination(house, who)
    payout = await take_out(house, who)
    await payout_at(house, payout, "paid", by=who)
    assert await house.payable(who) == 0
    [(reference,)] = house.sql("SELECT reference FROM payouts WHERE id = %s", payout["id"])
    await provider_moves(house, "payouts", str(reference), to="returned")
    await payout_at(house, payout, "returned", by=who)
    assert await house.payable(who) == income
    assert balance(house, "transit", payout["id"]) == 0
    await assert_sound(house)
