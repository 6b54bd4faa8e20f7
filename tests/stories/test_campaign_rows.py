"""Rows of the campaign's table that no longer story passes through, each to its end with all accounts at 0."""

from __future__ import annotations

from tests.stories.deliveries import (
    REVIEW,
    WAITING,
    on_part,
    released,
    ship,
    until_happened,
)
from tests.stories.funds import DAY, PRICE, Fund, paid_in
from tests.stories.house import House
from tests.stories.pledging import backed, sound
from tests.stories.test_campaign import unwound

HALVES = [
    {"trigger": "start", "basis_points": 5_000},
    {"trigger": "first_article", "basis_points": 5_000},
]


async def test_cards_are_charged_before_transfers_are_waited_for(house: House) -> None:
    """Enough without the transfer: charged first, and decided when the transfer is there."""
    fund = await Fund.live(house, goal=PRICE)
    await fund.backed_by("card")
    slow = await fund.pledge("slow", method="bank")
    await fund.close()
    await fund.until("waiting_funds")
    assert fund.states() == ["collected", "initiated"]
    await sound(fund)
    await fund.press(slow)
    found = await fund.until("successful")
    assert found["result"]["count"]["paid"] == 2 * PRICE
    decided = ["round_closed by system", "collected by system", "funds_settled by system"]
    assert (await fund.timeline())[-3:] == decided
    await unwound(fund)


async def test_locked_reminded_and_shipped_before_anything_is_released(house: House) -> None:
    """The creator works during the waiting time; one who is silent is reminded, where the rules are that strict."""
    fund = await Fund.live(house, goal=PRICE)
    house.sql(
        "UPDATE campaigns SET terms = jsonb_set(terms, '{rules,policy,update_seconds}', %s)"
        " WHERE id = %s",
        str(DAY),
        fund.id,
    )
    await fund.backed_by("wallet")
    await fund.close()
    await fund.until("successful")
    await fund.let_pass(DAY)
    await until_happened(fund, "update_due")
    assert (await fund.act("lock-rewards", fund.creator))["rewards_locked_at"]
    assert set(await fund.deadlines()) == {"disbursal", "update"}
    assert (await ship(fund, *fund.backers))["shipped"] == 1
    await until_happened(fund, "rewards_shipped")
    assert set(await fund.deadlines()) == {"disbursal"}
    assert (await fund.until("successful"))["totals"]["released"]["amount"] == 0
    await unwound(fund)


async def test_the_last_part_of_a_donation_completes_it(house: House) -> None:
    """By the operators' word, and by their silence."""
    first = 501 * 5_000 // 10_000
    for approved in (True, False):
        fund = await Fund.live(house, kind="donation", goal=500, tranches=HALVES)
        await backed(fund, f"giver-{fund.id}", tier=None, extra=501, method="wallet")
        await fund.close()
        await fund.until("successful")
        await fund.let_pass(WAITING + 1)
        await fund.until("fulfilling")
        await on_part(fund, 2, "report", note="The first lamp")
        if approved:
            await on_part(fund, 2, "approve")
        else:
            await fund.let_pass(REVIEW + 1)
        await fund.ended("completed", paid_in(501), released(first, 501 - first))
        how = "approved by operator" if approved else "lapsed by system"
        assert (await fund.timeline())[-1] == f"tranche_{how}"
