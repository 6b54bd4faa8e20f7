"""Backers change their pledges and take them back: seats, matches, totals and money follow at once, and only once."""

from __future__ import annotations

import asyncio
from collections import Counter

from domain.match_call import Mode, Offer
from tests.stories.deals import refused
from tests.stories.funds import PRICE, Fund, money, people, sent_back, tier
from tests.stories.house import House, Json
from tests.stories.pledging import (
    act,
    backed,
    card_at_provider,
    changed,
    field_of,
    kinds,
    press,
    sound,
    stands,
    taken,
    time_is_up,
    try_act,
    wound_up,
)
from tests.waiting import eventually

TIERS = [tier(seats=2), tier("Two lamps", 2 * PRICE, seats=2), tier("A bulb", 500)]


async def refunded(fund: Fund, backer: str, amount: int) -> Json:
    """Waits until so much of the pledge has gone back."""

    async def there() -> Json | None:
        found = await fund.pledge_of(backer)
        assert found["refunded"]["amount"] == amount
        query = "SELECT count(*) FROM refunds WHERE path_id = %s AND ended_at IS NULL"
        assert fund.house.sql(query, fund.id) == [(0,)]
        return found

    return await eventually(there, within_seconds=20) or {}


async def test_a_saved_pledge_changes_at_once(house: House) -> None:
    fund = await Fund.live(house, tiers=TIERS)
    [name] = people(1)[1]
    await backed(fund, name)
    bigger = await act(fund, name, "change", tier={"number": 2}, extra=money(7))
    assert (bigger["amount"]["amount"], bigger["state"]) == (2 * PRICE + 7, "saved")
    assert (taken(fund, 1), taken(fund, 2)) == (0, 1)
    await sound(fund)
    smaller = await act(fund, name, "change", tier={"number": 3}, amount=money(800))
    assert smaller["selection"]["extra"]["amount"] == 300
    assert (taken(fund, 1), taken(fund, 2), bigger["to_do"]) == (0, 0, None)
    await sound(fund)
    gift = await act(fund, name, "change", amount=money(1))
    assert (gift["amount"]["amount"], gift["selection"]["tier"]) == (1, None)
    assert await kinds(fund, name) == ["changed"] * 3
    await sound(fund)
    await wound_up(fund)


async def test_a_paid_pledge_gets_smaller_and_the_difference_goes_back(house: House) -> None:
    fund = await Fund.live(house, tiers=TIERS)
    [name] = people(1)[1]
    await backed(fund, name, method="wallet", tier=2)
    same = await act(fund, name, "change", tier={"number": 1}, amount=money(2 * PRICE))
    assert (same["amount"]["amount"], same["paid"]["amount"]) == (2 * PRICE, 2 * PRICE)
    await sound(fund)
    await act(fund, name, "change", tier={"number": 1})
    found = await refunded(fund, name, PRICE)
    assert (found["amount"]["amount"], found["state"]) == (PRICE, "funded")
    assert (taken(fund, 1), taken(fund, 2)) == (1, 0)
    assert sorted(fund.postings("refund", "refund_paid")) == sorted(sent_back(PRICE))
    await sound(fund)
    await wound_up(fund)


async def test_a_paid_pledge_gets_bigger_when_the_difference_is_paid(house: House) -> None:
    fund = await Fund.live(house, tiers=TIERS)
    [name] = people(1)[1]
    await backed(fund, name, method="wallet")
    asked = await act(fund, name, "change", tier={"number": 2}, extra=money(5))
    do = asked["to_do"]
    assert (do["action"], do["amount"]["amount"]) == ("pay_change", PRICE + 5)
    assert (asked["amount"]["amount"], asked["pending"]["amount"]["amount"]) == (
        PRICE,
        2 * PRICE + 5,
    )
    assert (taken(fund, 1), taken(fund, 2)) == (1, 1)
    await sound(fund)
    await refused(
        await try_act(fund, name, "change", tier={"number": 3}), 409, "wrong_phase", "state"
    )
    assert (await press(fund, do["checkout_url"], "pay")).status_code == 200

    async def paid() -> bool:
        return bool((await fund.pledge_of(name))["amount"]["amount"] == 2 * PRICE + 5)

    await eventually(paid)
    found = await fund.pledge_of(name)
    assert (found["pending"], found["to_do"], found["state"]) == (None, None, "funded")
    assert found["paid"]["amount"] == 2 * PRICE + 5
    assert (taken(fund, 1), taken(fund, 2)) == (0, 1)
    await sound(fund)
    await act(fund, name, "cancel")
    await stands(fund, name, "refunded")
    assert taken(fund, 2) == 0
    await sound(fund)
    await wound_up(fund)


async def test_a_change_that_nobody_pays_lapses(house: House) -> None:
    fund = await Fund.live(house, tiers=TIERS)
    [name] = people(1)[1]
    made = await backed(fund, name, method="wallet")

    async def lapsed() -> bool:
        return (await fund.pledge_of(name))["pending"] is None

    # No success leaves a change of a collected pledge open; if one were, it would end in the same way.
    for state in ("funded", "collected"):
        asked = await act(fund, name, "change", tier={"number": 2})
        moved = "UPDATE pledges SET state = %s, expires_at = now() WHERE id = %s"
        await changed(fund, moved, state, made["id"])
        await eventually(lapsed)
        assert (taken(fund, 1), taken(fund, 2)) == (1, 0)
        assert (await press(fund, asked["to_do"]["checkout_url"], "pay")).status_code == 409
        assert (await kinds(fund, name))[-1] == "change_lapsed"
        await stands(fund, name, state)
        await changed(fund, "UPDATE pledges SET state = 'funded' WHERE id = %s", made["id"])
        await sound(fund)
    late = await act(fund, name, "change", tier={"number": 2})
    payment = late["pending"]["payment_id"]
    await time_is_up(fund, made)
    await eventually(lapsed)
    await house.misbehave("payment", "late_capture", subject=payment)
    assert (await press(fund, late["to_do"]["checkout_url"], "pay")).status_code == 200
    found = await refunded(fund, name, PRICE)
    assert (found["state"], found["amount"]["amount"]) == ("funded", PRICE)
    await sound(fund)
    await wound_up(fund)


async def test_taken_back_in_every_state(house: House) -> None:
    fund = await Fund.live(house, tiers=[tier(seats=9), tier("Two", 2 * PRICE, seats=9)])
    begun, saved, paid, pending = people(4)[1]
    first = await fund.pledge(begun)
    second = await backed(fund, saved)
    await backed(fund, paid, method="wallet")
    await backed(fund, pending, method="wallet")
    change = await act(fund, pending, "change", tier={"number": 2})
    await refused(
        await try_act(fund, begun, "change", tier={"number": 2}), 409, "wrong_phase", "state"
    )
    for name, state in ((begun, "cancelled"), (saved, "cancelled"), (paid, "refunding")):
        found = await act(fund, name, "cancel", note="Sorry")
        assert (found["state"], found["holds_seats"]) == (state, False)
        await sound(fund)
    found = await act(fund, pending, "cancel")
    assert (found["state"], found["pending"]) == ("refunding", None)
    assert (taken(fund, 1), taken(fund, 2)) == (0, 0)
    for name in (paid, pending):
        await stands(fund, name, "refunded")
        await refused(await try_act(fund, name, "cancel"), 409, "wrong_phase", "state")

    async def closed() -> bool:
        return {await card_at_provider(fund, each) for each in (first, second)} == {"canceled"}

    await eventually(closed)

    async def unpayable() -> bool:
        return (await press(fund, change["to_do"]["checkout_url"], "pay")).status_code == 409

    await eventually(unpayable)
    assert fund.postings("fund").count("fund: credit escrow:campaign 10001") == 2
    await sound(fund)
    await wound_up(fund)


async def test_taken_back_while_it_is_paid_and_runs_out(house: House) -> None:
    """Whoever comes first, its seat is free exactly once and its money is back."""
    fund = await Fund.live(house, tiers=[tier(seats=20)])
    names = people(12)[1]
    made = {
        name: await fund.pledge(name, method="wallet" if place % 2 else "card")
        for place, name in enumerate(names)
    }

    async def race(name: str) -> int:
        page = made[name]["to_do"]
        action = "save" if page["action"] == "save_card" else "pay"
        _, taken_back, _ = await asyncio.gather(
            press(fund, page["checkout_url"], action),
            try_act(fund, name, "cancel"),
            time_is_up(fund, made[name]),
        )
        return taken_back.status_code

    answers = Counter(await asyncio.gather(*(race(name) for name in names)))
    assert set(answers) <= {200, 409}

    async def over() -> bool:
        states = Counter(fund.states())
        assert set(states) <= {"cancelled", "refunded", "expired", "saved", "funded"}, states
        kept = states["saved"] + states["funded"]
        assert taken(fund) == kept
        query = "SELECT count(*) FROM pledges WHERE campaign_id = %s AND expires_at IS NOT NULL"
        assert house.sql(query, fund.id) == [(0,)]
        return True

    await eventually(over, within_seconds=40)
    await sound(fund)
    await wound_up(fund)
    assert taken(fund) == 0


async def test_matches_follow(house: House) -> None:
    fund = await Fund.live(house, tiers=[tier(), tier("Two", 2 * PRICE)], goal=90_000)
    field = field_of(house)
    call = field.call(Offer(mode=Mode.PER_PLEDGE), budget=3 * PRICE)
    field.accept(call, fund.id)
    first, second, third = people(3)[1]
    made = await fund.pledge(first)
    assert made["matched"]["amount"] == PRICE
    await backed(fund, second, method="wallet", tier=2)
    assert (await fund.pledge_of(second))["matched"]["amount"] == 2 * PRICE
    await fund.pledge(third)
    assert (await fund.pledge_of(third))["matched"]["amount"] == 0
    await sound(fund)
    # What one gives up goes to who waits.
    await act(fund, second, "change", tier={"number": 1})
    assert (await fund.pledge_of(second))["matched"]["amount"] == PRICE
    assert (await fund.pledge_of(third))["matched"]["amount"] == PRICE
    await time_is_up(fund, made)
    found = await stands(fund, first, "expired")
    assert found["matched"]["amount"] == 0
    await refunded(fund, second, PRICE)
    asked = await act(fund, second, "change", tier={"number": 2})
    assert asked["matched"]["amount"] == PRICE
    await press(fund, asked["to_do"]["checkout_url"], "pay")

    async def more() -> bool:
        return bool((await fund.pledge_of(second))["matched"]["amount"] == 2 * PRICE)

    await eventually(more)
    await act(fund, third, "cancel")
    assert (await fund.pledge_of(third))["matched"]["amount"] == 0
    assert await field.matched(fund.id) == 2 * PRICE
    await sound(fund)
    await wound_up(fund)
    assert await field.matched(fund.id) == 0
    field.assert_adds_up()


async def test_what_carried_the_first_round_stays_in_the_second(house: House) -> None:
    fund = await Fund.live(
        house,
        funding="two_rounds",
        goal=2 * PRICE,
        optimum=money(50 * PRICE),
        round2_seconds=86_400,
        tiers=[tier(seats=9), tier("Two", 2 * PRICE, seats=9)],
    )
    saved, paid, new = people(3)[1]
    await backed(fund, saved)
    await backed(fund, paid, method="wallet")
    await fund.close()
    await fund.until("round2")
    for name in (saved, paid):
        await refused(await try_act(fund, name, "cancel"), 409, "wrong_phase", "round")
        less = await try_act(fund, name, "change", tier={"number": 1}, amount=money(PRICE - 1))
        await refused(less, 422, "below_price", "amount")
        gift = await try_act(fund, name, "change", amount=money(PRICE - 1))
        await refused(gift, 409, "wrong_phase", "round")
    more = await act(fund, saved, "change", tier={"number": 2})
    assert (more["state"], more["amount"]["amount"]) == ("saved", 2 * PRICE)
    asked = await act(fund, paid, "change", tier={"number": 1}, extra=money(3))
    assert asked["to_do"]["amount"]["amount"] == 3
    await press(fund, asked["to_do"]["checkout_url"], "pay")
    made = await backed(fund, new, method="wallet")
    assert made["round"] == 2
    await act(fund, new, "cancel")
    await stands(fund, new, "refunded")
    await sound(fund)
    await wound_up(fund)
