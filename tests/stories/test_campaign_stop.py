"""Campaigns that are called off after they had succeeded: what comes back, who shares it, and who owes the rest."""

from __future__ import annotations

import asyncio

import pytest

from domain.claims import PassedOn
from domain.money import split
from tests.stories.claims import earns, owes, pass_on, shared
from tests.stories.deliveries import (
    balance,
    creators,
    fulfilling,
    progress,
    refunds,
    released,
)
from tests.stories.funds import ADMIN, GOAL, PRICE, Fund, paid_in, sent_back, tier
from tests.stories.house import House
from tests.stories.money import destination, payout_at, take_out
from tests.stories.sponsors import Call
from tests.waiting import eventually

GIFTS = (0, 7, 0, 1_234, 13, 99, 3)
"""What seven backers give on top of the price."""
AMOUNTS = [PRICE + gift for gift in GIFTS]


async def of_seven(house: House, currency: str = "CNY") -> Fund:
    """A campaign that seven people have paid different amounts for."""
    fund = await Fund.live(house, currency=currency, tiers=[tier(currency=currency)])
    for number, gift in enumerate(GIFTS):
        extra = {"extra": gift} if gift else {}
        await fund.backed_by("card" if number % 2 else "wallet", **extra)
    await fund.close()
    await fund.until("successful")
    return fund


async def shortfalls(fund: Fund) -> list[int]:
    """What each backer does not get back, as they are told."""
    found = []
    for backer in fund.backers:
        path = f"/v1/pledges/{fund.pledges[backer]['id']}/reward"
        found.append((await fund.house.get(path, by=backer))["shortfall"]["amount"])
    return found


async def payables(fund: Fund) -> list[int]:
    """What each backer may take out."""
    return [await fund.house.payable(each) for each in fund.backers]


async def test_what_the_creator_has_taken_out_is_owed_to_the_backers(house: House) -> None:
    fund = await of_seven(house)
    total = sum(AMOUNTS)
    first = total * 4_000 // 10_000
    await fund.let_pass(14 * 86_400 + 1)
    await fund.until("fulfilling")
    got = creators(fund)
    await destination(house, fund.creator)
    payout = await take_out(house, fund.creator, 10_000)
    await payout_at(house, payout, "paid", by=fund.creator)

    found = await fund.act("cancel", fund.creator, note="The kiln has burnt down")
    assert found["phase"] == "stopped"
    fee = first - got
    back_fee = fee * (got - 10_000) // got
    left = total - first + (got - 10_000) + back_fee
    owed = total - left
    assert fund.postings("clawback", "claim") == [
        f"clawback: debit payable:creator {got - 10_000}",
        f"clawback: debit fee:platform {back_fee}",
        f"clawback: credit escrow:campaign {got - 10_000 + back_fee}",
        f"claim: debit receivable:creator {owed}",
        f"claim: credit claim:campaign {owed}",
    ]
    shares = split(left, AMOUNTS)
    await fund.ended(
        "stopped",
        *map(paid_in, AMOUNTS),
        released(first),
        fund.postings("clawback", "claim"),
        *map(sent_back, shares),
    )
    assert refunds(fund) == sorted(shares)
    assert await shortfalls(fund) == [a - b for a, b in zip(AMOUNTS, shares, strict=True)]
    told = (await progress(fund))["shortfall"]
    assert (told["given_back"]["amount"], told["shortfall"]["amount"]) == (left, owed)
    assert told["rate"] == left * 10_000 // total
    assert (creators(fund), creators(fund, "receivable")) == (0, owed)
    assert balance(fund, "claim", fund.id) == owed
    assert fund.states() == ["refunded"] * 7
    assert (await fund.timeline())[-2:] == ["cancelled by initiator", "given_back by system"]

    # Whatever the creator earns pays the debt first, and is passed on; too little to be worth it waits for more.
    short = await shortfalls(fund)
    await owes(house, fund.backers[1], 100)
    came = await earns(fund, 500)
    await pass_on(house)
    assert balance(fund, "claim", fund.id) == owed
    came += await earns(fund, 5_000)
    assert creators(fund, "receivable") == owed - came
    # Two workers at the same time, as after a network that was split.
    twice = await asyncio.gather(pass_on(house), pass_on(house))
    assert sum(each.pledges for each in twice) == 7
    parts = split(came, short)
    assert balance(fund, "claim", fund.id) == creators(fund, "receivable") == owed - came
    assert await payables(fund) == [part - 100 * (n == 1) for n, part in enumerate(parts)]
    assert await shortfalls(fund) == [a - b for a, b in zip(short, parts, strict=True)]
    told = (await progress(fund))["shortfall"]
    assert (told["given_back"]["amount"], told["shortfall"]["amount"]) == (left + came, owed - came)
    assert shared(fund) == [
        f"CNY {came // 100}.{came % 100:02} that the creator has paid since goes to the backers of 7 pledges"
    ]
    assert await pass_on(house) == PassedOn()

    # The rest, and nothing beyond it.
    more = await earns(fund, 20_000)
    assert await pass_on(house) == PassedOn(pledges=7)
    assert creators(fund) == more - (owed - came)
    assert await payables(fund) == [part - 100 * (n == 1) for n, part in enumerate(short)]
    assert await shortfalls(fund) == [0] * 7
    assert (await progress(fund))["shortfall"]["rate"] == 10_000
    assert balance(fund, "claim", fund.id) == creators(fund, "receivable") == 0
    assert (await fund.timeline())[-2:] == ["claim_shared by system"] * 2
    assert await pass_on(house) == PassedOn()
    await fund.adds_up()
    assert fund.states() == ["refunded"] * 7
    await fund.at_zero()


async def test_a_ban_before_anything_was_released_gives_everything_back(house: House) -> None:
    call = await Call.opened(house, currency="JPY", budget=5_003)
    fund = await Fund.live(house, currency="JPY", tiers=[tier(currency="JPY")])
    await call.apply(fund.id, fund.creator)
    await call.act(f"projects/{fund.id}/accept", call.sponsor)
    await fund.backed_by("wallet", "card", "wallet")
    await fund.close()
    await fund.until("successful")
    assert (await fund.adds_up())["totals"]["matched"]["amount"] == 5_003
    refused = await fund.try_to("ban", ADMIN)
    assert refused.status_code == 422, "a ban needs a reason"
    await fund.act("ban", ADMIN, note="These are somebody else's lamps")
    await fund.until_closed()
    assert refunds(fund) == [PRICE] * 3
    assert fund.postings("match_returned") == [
        "match_returned: debit escrow:campaign 5003",
        "match_returned: credit match:mtc 5003",
    ]
    assert (await progress(fund))["shortfall"]["rate"] == 10_000
    assert creators(fund, "receivable") == 0
    await fund.at_zero()
    await call.let_pass(86_400 + 11)
    await call.until("ended")
    await call.assert_sums(returned=5_003)


async def test_backers_and_match_calls_share_what_is_left(house: House) -> None:
    """The call has ended meanwhile: its part goes on to the sponsor."""
    call = await Call.opened(house, budget=7_001)
    fund = await Fund.live(house)
    await call.apply(fund.id, fund.creator)
    await call.act(f"projects/{fund.id}/accept", call.sponsor)
    await fund.backed_by("wallet", "card")
    await fund.close()
    await fund.until("successful")
    await call.let_pass(86_400 + 11)
    await call.until("ended")
    await fund.let_pass(14 * 86_400 + 1)
    await fund.until("fulfilling")
    total = 2 * PRICE + 7_001
    first = total * 4_000 // 10_000
    assert fund.postings("release") == released(first)
    # A frozen creator's income is held, and comes back from there.
    await call.freeze(fund.creator)
    got = creators(fund, "held")
    assert got == first - (first * 500 + 5_000) // 10_000
    await fund.act("ban", ADMIN, note="Nothing is being made")
    await fund.until_closed()
    assert fund.postings("clawback")[0] == f"clawback: debit held:creator {got}"
    assert refunds(fund) == [PRICE, PRICE]
    assert creators(fund, "held") == creators(fund, "receivable") == 0
    await call.assert_sums(returned=7_001)

    async def closed() -> bool:
        return bool(house.sql("SELECT closed_at FROM paths WHERE id = %s", call.id)[0][0])

    await eventually(closed)
    await fund.at_zero()


@pytest.mark.parametrize("taken_out", [0, 1])
async def test_a_few_units_that_are_left_are_shared(house: House, taken_out: int) -> None:
    fund = await fulfilling(
        house,
        "wallet",
        "wallet",
        goal=GOAL,
        tranches=[
            {"trigger": "start", "basis_points": 9_999},
            {"trigger": "reserve", "basis_points": 1},
        ],
    )
    if taken_out:
        await destination(house, fund.creator)
        payout = await take_out(house, fund.creator, creators(fund))
        await payout_at(house, payout, "paid", by=fund.creator)
    await fund.act("cancel", fund.creator)
    await fund.until_closed()
    first = 2 * PRICE * 9_999 // 10_000
    left = 2 * PRICE - first if taken_out else 2 * PRICE
    assert refunds(fund) == sorted(split(left, [1, 1]))
    assert creators(fund, "receivable") == 2 * PRICE - left
    await fund.at_zero()
