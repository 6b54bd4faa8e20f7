"""What match calls add to a campaign: promised while it runs, in escrow when it succeeds, free again when it does not."""

from __future__ import annotations

from tests.stories.funds import DAY, FINAL_CHARGES, FIX, PRICE, Fund, lines, paid_in, sent_back
from tests.stories.house import House
from tests.stories.sponsors import Call
from tests.stories.test_campaign import decline
from tests.waiting import eventually

CAP = 6_000


def used(amount: int) -> list[str]:
    """What a match call's money posts when the campaign succeeds."""
    return lines(
        ("match_used", "debit match:mtc", amount), ("match_used", "credit escrow:campaign", amount)
    )


async def matched(house: House, *, cap: int = CAP, **more: object) -> tuple[Fund, Call]:
    """A live campaign whose pledges a call matches one to one, each up to a cap."""
    call = await Call.opened(house, offer={"per_pledge_cap": cap})
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
