"""What match calls add to a campaign: promised while it runs, in escrow when it succeeds, free again when it does not."""

from __future__ import annotations

import asyncio

from tests.stories import jobs, sponsors
from tests.stories.chargebacks import decided
from tests.stories.deliveries import creators, lost
from tests.stories.funds import (
    DAY,
    FINAL_CHARGES,
    FIX,
    PRICE,
    Fund,
    lines,
    paid_in,
    people,
    sent_back,
)
from tests.stories.house import House, Json
from tests.stories.sponsors import BUDGET, Call
from tests.stories.test_campaign import decline
from tests.stories.test_match_call_chargeback import taken_back
from tests.waiting import eventually

CAP = 6_000


def used(amount: int) -> list[str]:
    """What a match call's money posts when the campaign succeeds."""
    return lines(
        ("match_used", "debit match:mtc", amount), ("match_used", "credit escrow:campaign", amount)
    )


def returned(amount: int) -> list[str]:
    """What a campaign gives back, and a call that has closed sends on."""
    return [
        *lines(
            ("match_returned", "debit escrow:cmp", amount),
            ("match_returned", "credit match:call", amount),
        ),
        *jobs.sent_back("match:call", amount),
    ]


async def matched(
    house: House, *, cap: int = CAP, offer: Json | None = None, **more: object
) -> tuple[Fund, Call]:
    """A live campaign whose pledges a call matches: by this offer, or one to one, each up to a cap."""
    call = await Call.opened(house, offer=offer or {"per_pledge_cap": cap})
    fund = await Fund.live(house, **more)
    await call.apply(fund.id, fund.creator)
    await call.act(f"projects/{fund.id}/accept", call.sponsor)
    return fund, call


async def test_matches_join_the_escrow_at_success(house: House) -> None:
    """A charge that fails for good frees its match; the timer says beforehand what success would post."""
    fund, call = await matched(house, short_rule="pay_anyway")
    unlucky, _ = await fund.backed_by("card", "wallet")
    await decline(house, unlucky, fund)
    assert (await fund.now())["totals"]["matched"]["amount"] == 10_000
    await fund.close()
    await fund.until("collecting")

    async def errored() -> bool:
        return bool((await fund.pledge_of(unlucky))["state"] == "errored")

    await eventually(errored)
    posted = await fund.promised("fixing")
    assert posted in (
        [each.removeprefix("match_used: ") for each in used(amount)] for amount in (4_000, CAP)
    )
    await fund.let_pass(FIX + FINAL_CHARGES)
    found = await fund.until("successful")
    assert found["result"]["count"]["matched"] == CAP
    assert sorted(fund.postings()) == sorted([*paid_in(PRICE), *used(CAP)])
    assert found["totals"]["in_escrow"]["amount"] == PRICE + CAP
    await fund.adds_up()
    await call.assert_sums(left=10_000 - CAP, used=CAP)
    await fund.act("cancel", fund.creator, note="It cannot be made")
    await fund.until_closed()
    await fund.at_zero()
    await call.assert_sums(left=10_000)


async def test_matches_are_free_again_when_too_little_comes_together(house: House) -> None:
    fund, call = await matched(house, goal=10 * PRICE)
    await fund.backed_by("card", "wallet")
    await call.assert_sums(reserved=10_000)
    await fund.close()
    await fund.ended("failed", paid_in(PRICE), sent_back(PRICE))
    await call.assert_sums(left=10_000)
    await call.let_pass(DAY + 11)
    await call.until("ended")


async def test_matches_count_towards_the_goal_but_not_for_money_under_way(house: House) -> None:
    """With its match the transfer would be enough; without either nothing is."""
    fund, call = await matched(house, goal=PRICE + CAP + 4_000, cap=CAP)
    await fund.backed_by("wallet")
    slow = await fund.pledge("slow", method="bank")
    await fund.close()
    await fund.until("waiting_funds")
    assert (await fund.deadlines())["slow_funds"]["postings"] == []
    await fund.press(slow)
    found = await fund.until("successful")
    assert found["totals"]["in_escrow"]["amount"] == 2 * PRICE + 10_000
    await fund.adds_up()
    await fund.act("cancel", fund.creator)
    await fund.until_closed()
    await fund.at_zero()
    await call.assert_sums(left=10_000)


async def test_a_lump_sum_that_is_not_due_any_more_is_no_success(house: House) -> None:
    """A backer withdraws: the sum that was reserved for two of them cannot carry the campaign over its goal."""
    lump = {"mode": "lump", "lump": CAP, "at_backers": 2}
    fund, call = await matched(house, offer=lump, goal=PRICE + CAP, short_rule="pay_anyway")
    [stays] = await fund.backed_by("card")

    async def stands() -> bool:
        return bool((await fund.pledge_of(stays))["state"] == "saved")

    await eventually(stands)
    [leaves] = await fund.backed_by("card")
    await call.assert_sums(left=BUDGET - CAP, reserved=CAP)
    await house.post(f"/v1/pledges/{fund.pledges[leaves]['id']}/cancel", {}, by=leaves)
    await fund.close()
    found = await fund.ended("failed")
    assert (found["result"]["count"]["pledged"], found["result"]["count"]["matched"]) == (PRICE, 0)
    assert (await fund.pledge_of(stays))["state"] == "released"
    await call.assert_sums(left=BUDGET)


async def test_a_lump_sum_that_the_last_two_make_due_only_together(house: House) -> None:
    """Both pledge before either has paid, so that neither sees the other; when the time is up the sum is there."""
    lump = {"mode": "lump", "lump": CAP, "at_backers": 2}
    fund, call = await matched(house, offer=lump, goal=2 * PRICE + CAP, short_rule="pay_anyway")
    one, other = people(2)[1]
    made = await asyncio.gather(*(fund.pledge(each, method="wallet") for each in (one, other)))
    for each in made:
        await fund.press(each)

    async def both_stand() -> bool:
        return fund.states() == ["funded", "funded"]

    await eventually(both_stand)
    await call.assert_sums(left=BUDGET)
    await fund.close()
    found = await fund.until("successful")
    assert found["totals"]["in_escrow"]["amount"] == 2 * PRICE + CAP
    await fund.adds_up()
    await call.assert_sums(left=BUDGET - CAP, used=CAP)
    await fund.act("cancel", fund.creator)
    await fund.until_closed()
    await fund.at_zero()
    await call.assert_sums(left=BUDGET)


async def test_money_a_bank_has_for_the_moment_comes_after_the_success(house: House) -> None:
    """The campaign is decided without it; given back, it is the creator's, though all else was paid long ago."""
    fund, call = await matched(house, kind="donation", goal=PRICE)
    await fund.backed_by("wallet", tier=None, extra=PRICE)
    dispute = await taken_back(call)
    await fund.close()
    found = await fund.until("successful")
    assert found["result"]["count"]["matched"] == found["totals"]["matched"]["amount"] == 0
    await fund.adds_up()
    await call.assert_sums(left=BUDGET - CAP, reserved=CAP)
    await fund.let_pass(14 * DAY + 1)
    await fund.until("completed")
    await fund.until_closed()
    had = creators(fund)
    await decided(house, dispute, won=True)

    async def handed_over() -> bool:
        return "match_paid by system" in await fund.timeline()

    await eventually(handed_over)
    assert fund.postings("match_used") == used(CAP)
    assert creators(fund) == had + CAP * 95 // 100
    await fund.adds_up()
    await fund.at_zero()
    await call.assert_sums(left=BUDGET - CAP, used=CAP)


async def test_what_comes_back_to_a_call_that_has_closed_goes_on_to_its_sponsor(
    house: House,
) -> None:
    """A pledge is lost while the call waits for another campaign; the campaign is stopped when the call has ended."""
    fund, call = await matched(house, cap=3_000)
    gone, _ = await fund.backed_by("wallet", "wallet")
    other = await call.accepted()
    await call.pledge(other, 2_000)
    await fund.close()
    await fund.until("successful")
    await call.act("close", call.sponsor)
    await call.until("closed")
    await call.assert_sums(reserved=2_000, used=6_000, returned=2_000)
    await lost(fund, gone)
    await call.assert_sums(reserved=2_000, used=3_000, returned=5_000)
    await call.fail(other)
    await call.until("ended")
    await fund.act("cancel", fund.creator)
    await fund.until_closed()
    await fund.at_zero()
    await call.ended(
        "ended",
        jobs.paid_in("match:call", BUDGET),
        sponsors.used(6_000),
        jobs.sent_back("match:call", 2_000),
        jobs.sent_back("match:call", 2_000),
        returned(3_000),
        returned(3_000),
    )
    await call.assert_sums(returned=BUDGET)
