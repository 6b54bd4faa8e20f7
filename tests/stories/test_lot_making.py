"""A lot in the making: words now and then, reminders, more time, and makers who never send anything."""

from __future__ import annotations

from tests.api.client import assert_problem
from tests.stories.house import House
from tests.stories.lots import (
    decided,
    deposit_back,
    deposit_kept,
    deposited,
    nobody_inspects,
    wages,
)
from tests.stories.workshop import DAY, MAKE, RATE, Workshop, funded, returned

UNITS = 10


async def test_a_maker_who_vanishes_loses_the_deposit_and_others_make_the_units(
    house: House,
) -> None:
    shop = await Workshop.published(house, units=UNITS, lot_most=UNITS, lots_at_once=3)
    lot = await shop.making(UNITS)
    await lot.act("report", note="Half of them are done")
    await lot.let_pass(7 * DAY + 1)
    assert "silent by system" in await lot.timeline()
    await lot.let_pass(MAKE - 7 * DAY + 3 * DAY)
    running = await lot.deadlines()
    assert set(running) == {"heartbeat", "abandonment"}, "reminded once"
    await lot.let_pass(7 * DAY + 1)
    await lot.ended("abandoned", deposited(UNITS), deposit_kept(UNITS))
    assert lot.materials() == {"store": -2 * UNITS, "missing": 2 * UNITS}
    told = [line for line in await lot.timeline() if line.endswith("system")]
    assert told.count("silent by system") >= 3
    assert told.count("overdue by system") == 1
    assert await house.payable(shop.requester) == UNITS * 200
    assert await shop.units() == {"open": UNITS}

    # The maker may try again, one lot after the other.
    again = await shop.claim(lot.maker, 1)
    answer = await shop.try_claim(lot.maker, 1)
    refused = assert_problem(answer, 409, "limit_reached")
    assert refused["accepted"] == "at most 1 at once after an abandoned one"
    await again.act("withdraw")
    await again.ended("lapsed")
    one_more = await shop.claim(lot.maker, 1)
    await one_more.act("withdraw")
    await one_more.ended("lapsed")

    other = await shop.handed_in(UNITS)
    assert other.maker != lot.maker
    await nobody_inspects(other, 5 * DAY + 1)
    await other.ended("settled", deposited(UNITS), wages(UNITS), deposit_back(UNITS))
    assert "inspection_lapsed by system" in await other.timeline()
    await shop.ended("completed", funded(UNITS * RATE))


async def test_more_time_puts_reminder_and_end_off(house: House) -> None:
    shop = await Workshop.published(house, units=UNITS, lot_most=UNITS)
    lot = await shop.making(UNITS)
    before = await lot.deadlines()
    await lot.supply("extend", seconds=5 * DAY)
    after = await lot.deadlines()
    assert after["heartbeat"]["due_at"] == before["heartbeat"]["due_at"]
    assert after["abandonment"]["due_at"] > before["abandonment"]["due_at"]
    await lot.let_pass(MAKE + 4 * DAY)
    assert "overdue by system" not in await lot.timeline()
    await lot.act("send-goods", made=0, unused=7, spoiled=2)
    await lot.supply("receive-goods")
    await lot.ended("settled", deposited(UNITS), deposit_back(7), deposit_kept(3))
    assert lot.materials() == {"store": -20, "returned": 14, "scrapped": 4, "missing": 2}
    assert await shop.units() == {"open": UNITS}
    await shop.act("stop")
    await shop.ended("completed", funded(UNITS * RATE), returned(UNITS * RATE))


async def test_what_was_made_is_paid_and_the_rest_is_divided(house: House) -> None:
    shop = await Workshop.published(house, units=UNITS, lot_most=UNITS)
    lot = await shop.handed_in(UNITS, made=6, unused=2, spoiled=1)
    await decided(lot, 6)
    await lot.ended("settled", deposited(UNITS), wages(6), deposit_back(8), deposit_kept(2))
    assert await shop.units() == {"open": 4, "accepted": 6}
