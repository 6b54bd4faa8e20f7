"""Campaigns that end before their success: by the creator, by operators, by a cancelled workflow, in every phase."""

from __future__ import annotations

import pytest

from tests.stories.funds import ADMIN, DAY, PRICE, Fund, money, paid_in, sent_back
from tests.stories.house import House
from tests.stories.money import needs_operator
from tests.stories.test_campaign import decline, stood, unwound
from tests.waiting import eventually

CREDITED = [
    f"refund_to_balance: debit refund_due:ref {PRICE}",
    f"refund_to_balance: credit payable:backer {PRICE}",
]


async def called_off(fund: Fund, by: str) -> None:
    """The creator cancels, operators ban, or they cancel the workflow."""
    if by == "creator":
        await fund.act("cancel", fund.creator, note="I cannot make them")
    elif by == "operator":
        await fund.act("ban", ADMIN, note="Not theirs to sell")
    else:
        await fund.story.cancel()
    reason = "cancelled" if by == "creator" else "banned"

    async def over() -> bool:
        found = await fund.now()
        return bool((found["phase"], found["end_reason"]) == ("cancelled", reason))

    await eventually(over)


@pytest.mark.parametrize("by", ["creator", "operator", "temporal"])
async def test_while_it_is_live(house: House, by: str) -> None:
    fund = await Fund.live(house)
    await fund.backed_by("card", "wallet")
    await fund.pledge("undecided")
    await stood(fund, 2)
    await called_off(fund, by)
    await fund.ended("cancelled", paid_in(PRICE), sent_back(PRICE))
    assert sorted(fund.states()) == ["expired", "refunded", "released"]


async def stuck_in_closing(house: House, **more: int) -> Fund:
    """A campaign whose time is up while the provider did not answer: the run comes by again in half a minute."""
    fund = await Fund.live(house, **more)
    await fund.backed_by("wallet")
    await fund.pledge("undecided")
    [(card,)] = house.sql(
        "SELECT card_id FROM pledges WHERE id = %s", fund.pledges["undecided"]["id"]
    )
    await house.misbehave("cancel", "unavailable", subject=card, times=1_000)
    await fund.close()

    async def waits() -> bool:
        progress = await house.workflow(closing_run(fund)).query("progress")
        return int(progress["left"]) == 1

    await fund.until("closing")
    await eventually(waits)
    (await house.sandbox.delete("/v1/behaviours")).raise_for_status()
    return fund


def closing_run(fund: Fund) -> str:
    """Id of the run that settles what was begun in time."""
    return f"pledge-run-{fund.id}-close-1-0"


@pytest.mark.parametrize("by", ["creator", "temporal"])
async def test_while_it_is_closing(house: House, by: str) -> None:
    """Acts come through while a run is under way, and end it."""
    fund = await stuck_in_closing(house)
    await called_off(fund, by)
    await fund.ended("cancelled", paid_in(PRICE), sent_back(PRICE))


@pytest.mark.parametrize("by", ["creator", "operator"])
async def test_while_it_is_collecting(house: House, by: str) -> None:
    fund = await Fund.live(house, goal=3 * PRICE)
    unlucky, *_ = await fund.backed_by("card", "card", "wallet")
    await decline(house, unlucky, fund)
    await fund.close()
    await fund.until("collecting")

    async def charged() -> bool:
        return sorted(fund.states()) == ["collected", "errored", "funded"]

    await eventually(charged)
    await called_off(fund, by)
    await fund.ended(
        "cancelled", paid_in(PRICE), paid_in(PRICE), sent_back(PRICE), sent_back(PRICE)
    )
    assert sorted(fund.states()) == ["refunded", "refunded", "released"]


@pytest.mark.parametrize("by", ["creator", "temporal"])
async def test_while_it_waits_for_slow_money(house: House, by: str) -> None:
    fund = await Fund.live(house)
    await fund.backed_by("wallet")
    await fund.pledge("slow", method="bank")
    await fund.close()
    await fund.until("waiting_funds")
    await called_off(fund, by)
    await fund.ended("cancelled", paid_in(PRICE), sent_back(PRICE))
    assert sorted(fund.states()) == ["expired", "refunded"]


@pytest.mark.parametrize("by", ["creator", "operator"])
async def test_in_the_second_round(house: House, by: str) -> None:
    """Also what has carried the first round goes back."""
    fund = await Fund.closed(
        house,
        "card",
        "wallet",
        funding="two_rounds",
        goal=PRICE,
        optimum=money(5 * PRICE),
        round2_seconds=2 * DAY,
    )
    await fund.until("round2")
    await fund.backed_by("wallet")
    await stood(fund, 3)
    await called_off(fund, by)
    await fund.ended(
        "cancelled", paid_in(PRICE), paid_in(PRICE), sent_back(PRICE), sent_back(PRICE)
    )
    assert fund.states() == ["released", "refunded", "refunded"]


async def test_refused_refunds_keep_it_open_until_they_are_credited(house: House) -> None:
    fund = await Fund.live(house)
    first, second = await fund.backed_by("wallet", "wallet")
    await house.misbehave("refund", "refund_refused", times=2)
    await called_off(fund, "creator")

    async def offered() -> bool:
        rows = house.sql(
            "SELECT offered_until FROM refunds WHERE path_id = %s AND status = 'refused'", fund.id
        )
        return len(rows) == 2 and all(until is not None for (until,) in rows)

    await eventually(offered, within_seconds=20)
    await eventually(lambda: _given_back(fund), within_seconds=20)
    assert house.sql("SELECT deadlines, closed_at FROM paths WHERE id = %s", fund.id) == [
        ([], None)
    ]
    for backer in (first, second):
        [(refund_id,)] = house.sql(
            "SELECT id FROM refunds WHERE pledge_id = %s", fund.pledges[backer]["id"]
        )
        await house.post(f"/v1/refunds/{refund_id}/accept-balance", by=backer)
        assert await house.payable(backer) == PRICE
    wanted = [line for line in sent_back(PRICE) if not line.startswith("refund_paid")]
    await fund.ended("cancelled", paid_in(PRICE) * 2, wanted * 2, CREDITED * 2)


async def _given_back(fund: Fund) -> bool:
    return (await fund.timeline())[-1] == "given_back by system"


async def test_a_run_that_breaks_needs_an_operator(house: House) -> None:
    fund = await stuck_in_closing(house, goal=PRICE)
    await house.workflow(closing_run(fund)).terminate("broken")

    async def asked() -> bool:
        return bool(await needs_operator(house, f"campaign-{fund.id}"))

    await eventually(asked)
    await fund.story.signal("wake")
    await fund.until("successful")
    assert sorted(fund.states()) == ["collected", "expired"]
    await unwound(fund)
