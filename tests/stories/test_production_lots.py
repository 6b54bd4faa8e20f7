"""Orders and their lots together: units are taken once, given back, and the last lot ends the order."""

from __future__ import annotations

import asyncio

import psycopg

from tests.api.client import assert_problem
from tests.stories.chargebacks import balance, decided, opened
from tests.stories.house import DAY, House
from tests.stories.lots import nobody_inspects
from tests.stories.test_production_chargeback import disputed, lost, wages_of
from tests.stories.workshop import CLAIMS, RATE, UNITS, Lot, Workshop, funded, people, returned
from tests.waiting import eventually

PAID = funded()


async def accepted_by_silence(lot: Lot, made: int, unused: int = 0) -> None:
    """The goods are sent and received, and nobody inspects them in time."""
    await lot.act("send-goods", made=made, unused=unused)
    await lot.supply("receive-goods")
    await nobody_inspects(lot, 5 * DAY + 1)
    await lot.until("settled")


async def test_all_units_are_made_and_the_last_lot_ends_the_order(house: House) -> None:
    shop = await Workshop.published(house, materials=[], lot_least=10)
    [one, two] = people(2)[1]
    first = await shop.claim(one, 60)
    assert first.lot["phase"] == "making"
    assert_problem(await shop.try_claim(two, 41), 409, "out_of_stock")
    second = await shop.claim(two, 40)
    assert await shop.units() == {"running": UNITS}
    assert_problem(await shop.try_claim(two, 10), 409, "out_of_stock")
    await accepted_by_silence(first, made=60)
    assert await shop.units() == {"accepted": 60, "running": 40}
    assert (await shop.now())["phase"] == "published"
    await accepted_by_silence(second, made=30, unused=10)
    # Ten units were given back, and somebody else takes them.
    assert await shop.units() == {"accepted": 90, "open": 10}
    third = await shop.claim(one, 10)
    await accepted_by_silence(third, made=10)
    done = await shop.ended("completed", PAID)
    assert done["end_reason"] == "lots_over"
    assert (done["lots"], done["lots_running"]) == (3, 0)
    assert await shop.units() == {"accepted": UNITS}
    fees = sum((units * RATE * 500 + 5_000) // 10_000 for units in (60, 30, 10))
    earned = await house.payable(one) + await house.payable(two)
    assert earned == UNITS * RATE - fees


async def test_after_the_stop_a_lot_is_finished_and_what_nobody_earned_goes_back(
    house: House,
) -> None:
    shop = await Workshop.published(house, materials=[])
    lot = await shop.claim(units=70)
    assert (await shop.act("stop"))["phase"] == "closing"
    assert_problem(await shop.try_claim(people()[1][0], 1), 409, "wrong_phase")
    await accepted_by_silence(lot, made=60)
    done = await shop.ended("completed", PAID, returned(40 * RATE))
    assert done["end_reason"] == "claims_stopped"
    assert await shop.units() == {"accepted": 60, "open": 40}
    # What the requester's bank takes back now is their debt: the maker's work is paid.
    payment = await wages_of(shop)
    await decided(house, await opened(house, payment, 5_000), won=False)
    await shop.ended(
        "completed", PAID, returned(40 * RATE), disputed(5_000), lost(5_000, receivable=5_000)
    )
    assert balance(house, "receivable", shop.order["requester_id"]) == 5_000


async def test_a_maker_who_has_begun_is_paid_though_the_bank_has_taken_the_wages_back(
    house: House,
) -> None:
    shop = await Workshop.published(house, materials=[])
    lot = await shop.claim(units=40)
    await decided(house, await opened(house, await wages_of(shop)), won=False)
    await shop.until("closing")
    assert_problem(await shop.try_claim(people()[1][0], 1), 409, "wrong_phase")
    await accepted_by_silence(lot, made=40)
    kept = 40 * RATE
    await shop.ended(
        "completed",
        PAID,
        disputed(UNITS * RATE),
        lost(UNITS * RATE, escrow=UNITS * RATE - kept, receivable=kept),
    )
    assert await house.payable(lot.maker) == kept - kept // 20
    assert balance(house, "receivable", shop.order["requester_id"]) == kept


async def test_who_claims_in_time_gets_the_units_however_long_it_takes_to_write_them_down(
    house: House,
) -> None:
    shop = await Workshop.published(house, materials=[])
    [early, late] = people(2)[1]
    house.sql(
        "UPDATE paths SET deadlines = jsonb_set(deadlines, '{0,due_at}',"
        " to_jsonb(now() + interval '2 seconds')) WHERE id = %s"
        " AND deadlines->0->>'name' = 'claims'",
        shop.id,
    )
    with psycopg.connect(house.settings.require_database_url()) as busy:
        busy.execute("SELECT 1 FROM paths WHERE id = %s FOR UPDATE", (shop.id,))
        in_time = asyncio.create_task(shop.try_claim(early, 10))
        passed = "SELECT (deadlines->0->>'due_at')::timestamptz < clock_timestamp() FROM paths"
        await eventually(lambda: house.sql(f"{passed} WHERE id = %s", shop.id)[0][0])
    answer = await in_time
    assert answer.status_code == 201, answer.text
    # The order closes some seconds later: until then who is late hears just that.
    await shop.let_pass(CLAIMS + 1)
    assert_problem(await shop.try_claim(late, 10), 409, "too_late")
    assert (await shop.now())["phase"] == "published"
    await shop.let_pass(10)
    await shop.until("closing")
    assert_problem(await shop.try_claim(late, 10), 409, "wrong_phase")
    lot = Lot(shop, early, answer.json())
    await lot.act("send-goods", made=0, spoiled=10)
    await lot.supply("receive-goods")
    await shop.ended("completed", PAID, returned(UNITS * RATE))


async def test_a_crowd_at_the_last_units_takes_each_of_them_once(house: House) -> None:
    """Twelve want two of eight units each; who steps back leaves them to others."""
    shop = await Workshop.published(house, units=8, lot_most=2, sample_fee=300, samples=12)
    paid = 8 * RATE + 12 * 300
    crowd = people(12)[1]
    answers = await asyncio.gather(*(shop.try_claim(maker, 2) for maker in crowd))
    taken = {
        maker: answer.json()
        for maker, answer in zip(crowd, answers, strict=True)
        if answer.status_code == 201
    }
    assert len(taken) == 4
    for maker, answer in zip(crowd, answers, strict=True):
        if maker not in taken:
            assert_problem(answer, 409, "out_of_stock")
    assert await shop.units() == {"running": 8}
    before = await shop.now()
    assert (before["lots"], before["lots_running"], before["samples_left"]) == (4, 4, 8)
    for maker, lot in taken.items():
        await Lot(shop, maker, lot).act("withdraw")
    after = await shop.now()
    assert (after["lots_running"], after["samples_left"]) == (0, 12)
    assert await shop.units() == {"open": 8}
    assert (await shop.act("stop"))["phase"] == "completed"
    await shop.ended("completed", funded(paid), returned(paid))
