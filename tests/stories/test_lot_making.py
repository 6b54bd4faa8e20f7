"""A lot in the making: words now and then, reminders, more time, and makers who never send anything."""

from __future__ import annotations

from tests.api.client import assert_problem
from tests.stories.house import House, Json
from tests.stories.looks import MAJOR, concluded, found_on, newest, report, try_to
from tests.stories.lots import (
    decided,
    deposit_back,
    deposit_kept,
    deposited,
    nobody_inspects,
    wages,
)
from tests.stories.workshop import ADMIN, DAY, MAKE, RATE, Workshop, funded, returned

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
    # Nothing was made, and yet somebody counts what has come back before the deposit goes.
    inspection = await newest(lot)
    assert (inspection["units"], inspection["size"]) == (0, 0)
    answer = await try_to(lot, inspection, "decide", accepted=0, returned=8)
    assert assert_problem(answer, 422, "invalid_input")["field"] == "returned"
    await concluded(lot, inspection, accepted=0, returned=7)
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


async def test_what_is_not_in_the_parcel_is_not_paid(house: House) -> None:
    """Six of ten are said to be there and four are; materials of three are said to come back, and of one do."""
    shop = await Workshop.published(house, units=20, lot_most=UNITS, lots_at_once=2)
    lot = await shop.handed_in(UNITS, made=6, unused=3, spoiled=1)
    inspection = await newest(lot)
    await report(lot, inspection, [*found_on([1, 2, 3, 4]), *found_on([5], "missing")])
    answer = await try_to(lot, inspection, "findings", findings=found_on([6], "missing", MAJOR))
    assert assert_problem(answer, 422, "invalid_input")["accepted"] == "missing alone"
    await report(lot, inspection, found_on([6], "missing"))
    refused: list[tuple[Json, str]] = [
        ({"rejected": 1, "missing": 2, "accepted": 5}, "missing"),
        ({"rejected": 3, "missing": 3, "accepted": 3}, "missing"),
        ({"rejected": 2, "accepted": 4}, "rejected"),
        ({"rejected": 2, "missing": 2, "accepted": 4, "returned": 4}, "returned"),
    ]
    for wrong, field in refused:
        answer = await try_to(lot, inspection, "decide", **wrong)
        assert assert_problem(answer, 422, "invalid_input")["field"] == field
    await concluded(lot, inspection, accepted=4, rejected=2, missing=2, returned=1)
    await lot.until("decided")
    course = (await lot.now())["course"]
    assert (course["absent"], course["not_returned"]) == (2, 2)
    await lot.let_pass(3 * DAY + 1)
    paid = [wages(4), deposit_back(4), deposit_back(1), deposit_kept(5)]
    await lot.ended("settled", deposited(UNITS), *paid)
    assert lot.materials() == {
        "store": -20,
        "used": 8,
        "returned": 2,
        "scrapped": 2,
        "missing": 8,
    }
    assert await shop.units() == {"open": 16, "accepted": 4}, "others can make what never came"

    other = await shop.handed_in(UNITS, made=8, unused=2)
    inspection = await newest(other)
    await report(other, inspection, [*found_on(range(1, 7)), *found_on([7, 8], "missing")])
    await concluded(other, inspection, accepted=6, rejected=2, missing=2, returned=0)
    await other.until("decided")
    await other.act("appeal", note="The carrier has weighed all of it", jury=True)
    body = {"note": "By the weight it was all there", "accepted": 2}
    answer = await other.try_to("rule", ADMIN, **body)
    assert assert_problem(answer, 422, "invalid_input")["field"] == "returned"
    await other.act("rule", ADMIN, **body, returned=2)
    await other.ended(
        "settled",
        deposited(UNITS),
        wages(6),
        deposit_back(6),
        wages(2),
        deposit_back(4),
    )
    assert other.materials() == {"store": -20, "used": 16, "returned": 4}
