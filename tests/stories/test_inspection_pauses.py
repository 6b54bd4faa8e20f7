"""Inspections of lots whose maker's bank takes the deposit back: the inspector's time stands still with the lot."""

from __future__ import annotations

from datetime import datetime, timedelta

from db import inspection_rows
from domain.errors import TooLate
from domain.lot import Decision
from domain.path import Standing
from tests.api.client import assert_problem
from tests.stories.chargebacks import BANK_FEE, decided, opened
from tests.stories.house import House, Json
from tests.stories.jobs import lines
from tests.stories.looks import MAJOR, concluded, found_on, newest, report, try_to
from tests.stories.lots import (
    deposit_back,
    deposit_kept,
    deposited,
    inspection_of,
    nobody_inspects,
    wages,
)
from tests.stories.test_frozen import user_id
from tests.stories.test_inspection_appeals import appealed
from tests.stories.test_second_looks import calls_operator
from tests.stories.workshop import ADMIN, DAY, DEPOSIT, Lot, Workshop, people
from tests.waiting import eventually
from workflows.lot import Lot as LotStory

UNITS = 10
PAUSE_DAYS = 6
"""Longer than an inspection may take."""
BAD = [*found_on(range(1, 7), MAJOR), *found_on(range(7, UNITS + 1))]
"""Six units are not as agreed."""
GOOD = UNITS - 6
LOT_ENDS = [deposited(UNITS), wages(GOOD), deposit_back(GOOD), deposit_kept(6)]


async def handed_in(house: House) -> Lot:
    """A lot whose goods are there, of an order with no other lot."""
    shop = await Workshop.published(house, units=UNITS, lot_most=UNITS)
    lot = await shop.handed_in(UNITS)
    await lot.until("inspecting")
    return lot


async def disputed(lot: Lot) -> str:
    """The maker's bank takes the deposit back, and the lot stands still; the provider's name of the dispute."""
    payment = (await lot.now())["payment"]
    dispute = await opened(lot.house, {"id": lot.id, "payment": payment})
    await stands_still(lot, True)
    return dispute


async def stands_still(lot: Lot, still: bool) -> None:
    """Waits until the lot's story stands still, or goes on."""

    async def there() -> bool:
        return bool((await lot.house.workflow(lot.story).query("watch"))["is_paused"]) is still

    await eventually(there)


async def given_back(lot: Lot, dispute: str) -> None:
    """After days the maker's bank gives the deposit back, and the lot goes on."""
    lot.house.sql(
        "UPDATE paths SET paused_at = paused_at - make_interval(days => %s) WHERE id = %s",
        PAUSE_DAYS,
        lot.id,
    )
    await decided(lot.house, dispute, won=True)
    await stands_still(lot, False)


def taken_and_given_back() -> list[str]:
    """What a chargeback of the deposit posts that is won."""
    held = UNITS * DEPOSIT
    return lines(
        ("chargeback_open", "debit dispute:cbk", held),
        ("chargeback_open", "debit loss:platform", BANK_FEE),
        ("chargeback_open", "credit cash:sandbox", held + BANK_FEE),
        ("chargeback_won", "debit cash:sandbox", held),
        ("chargeback_won", "credit dispute:cbk", held),
    )


async def test_a_dispute_does_not_make_junk_be_accepted(house: House) -> None:
    lot = await handed_in(house)
    before = await newest(lot)
    dispute = await disputed(lot)
    answer = await try_to(lot, before, "findings", findings=BAD)
    assert "paused" in assert_problem(answer, 409, "wrong_phase")["detail"]
    await nobody_inspects(lot, 5 * DAY + 1)
    # A word that comes now is refused, and costs nothing.
    answer = await try_to(lot, before, "decide", accepted=UNITS)
    assert_problem(answer, 409, "wrong_phase")
    assert (await lot.now())["phase"] == "inspecting"
    assert (await newest(lot))["decision"] is None

    await given_back(lot, dispute)
    after = await newest(lot)
    moved = _time(after["due_at"]) - _time(before["due_at"])
    assert timedelta(days=PAUSE_DAYS) <= moved < timedelta(days=PAUSE_DAYS, hours=1)
    assert after["due_at"] == (await lot.deadlines())["inspection"]["due_at"]
    await nobody_inspects(lot, DAY // 2)
    await report(lot, after, BAD)
    await concluded(lot, after, accepted=GOOD, rejected=6)
    await lot.until("decided")
    await lot.act("accept-decision")
    await lot.ended("settled", *LOT_ENDS, taken_and_given_back())


async def test_silence_after_a_dispute_accepts(house: House) -> None:
    lot = await handed_in(house)
    dispute = await disputed(lot)
    await given_back(lot, dispute)
    # Not at the end that it had before.
    await nobody_inspects(lot, 5 * DAY + 1)
    assert (await lot.now())["phase"] == "inspecting"
    await nobody_inspects(lot, PAUSE_DAYS * DAY + 1)
    await lot.ended(
        "settled", deposited(UNITS), wages(UNITS), deposit_back(UNITS), taken_and_given_back()
    )
    assert (await lot.timeline())[-1] == "inspection_lapsed by system"


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


async def test_findings_count_until_the_lots_own_timer_ends(house: House) -> None:
    lot = await handed_in(house)
    first = await newest(lot)
    with_timer(lot, "inspection", "-1 second")
    await too_late(lot, first, found_on([1]), lot.shop.requester)
    answer = await try_to(lot, first, "look-at-all")
    assert_problem(answer, 409, "too_late")
    with_timer(lot, "inspection", "1 day")
    await report(lot, first, BAD)
    with_timer(lot, "inspection", "-1 second")
    answer = await try_to(lot, first, "decide", accepted=GOOD, rejected=6)
    assert_problem(answer, 409, "too_late")
    with_timer(lot, "inspection", "1 day")
    await concluded(lot, first, accepted=GOOD, rejected=6)
    await lot.until("decided")
    await lot.act("accept-decision")
    await lot.ended("settled", *LOT_ENDS)


async def test_so_does_a_second_inspector(house: House) -> None:
    shop = await Workshop.published(house, units=UNITS, lot_most=UNITS)
    lot = await appealed(shop, jury=False)
    [second] = people(1)[1]
    named = {"inspector_id": await user_id(house, second)}
    path = f"/v1/lots/{lot.id}/name-inspector"
    with_timer(lot, "ruling", "-1 second")
    assert_problem(await house.call("POST", path, by=ADMIN, json=named), 409, "too_late")
    with_timer(lot, "ruling", "1 second")
    again = await house.post(path, named, by=ADMIN)
    # The lot has stood still meanwhile.
    with_timer(lot, "ruling", "6 days")
    found = await house.get(f"/v1/inspections/{again['id']}", second)
    assert found["due_at"] == (await lot.deadlines())["ruling"]["due_at"]
    await report(lot, found, found_on([1, 2, 3]), second)
    with_timer(lot, "ruling", "-1 second")
    await too_late(lot, found, found_on([1]), second)
    with_timer(lot, "ruling", "1 day")
    answer = await try_to(lot, found, "decide", second, accepted=3)
    assert answer.status_code == 200, answer.text
    await lot.ended(
        "settled", deposited(UNITS), wages(7), deposit_back(7), wages(3), deposit_back(3)
    )


def with_timer(lot: Lot, name: str, left: str) -> None:
    """The lot's timer of this name ends so long from now."""
    lot.house.sql(
        "UPDATE paths SET deadlines = (SELECT jsonb_agg(CASE WHEN each ->> 'name' = %s THEN"
        " jsonb_set(each, '{due_at}', to_jsonb(now() + %s::interval)) ELSE each END)"
        " FROM jsonb_array_elements(deadlines) each) WHERE id = %s",
        name,
        left,
        lot.id,
    )


async def too_late(lot: Lot, inspection: Json, seen: list[Json], by: str) -> None:
    """These findings come after the end."""
    answer = await try_to(lot, inspection, "findings", by, findings=seen)
    assert assert_problem(answer, 409, TooLate.code)["accepted"].startswith("before ")


async def test_what_an_inspector_has_decided_stands(house: House) -> None:
    """Their decision was written down, but its story was lost before it could say so; then the lot stands still."""
    lot = await handed_in(house)
    found = await newest(lot)
    await report(lot, found, BAD)
    decision = Decision(accepted=GOOD, rejected=6)
    async with house.database.transaction() as session:
        look = await inspection_rows.look(session, found["id"])
        await inspection_rows.conclude(session, look, await inspection_rows.verdict(session, look))
        inspection_rows.note_decision(
            look.row, decision.model_dump(mode="json"), "", look.row.opened_at
        )
    house.sql("UPDATE paths SET paused_at = now() WHERE id = %s", lot.id)
    await nobody_inspects(lot, 5 * DAY + 1)
    assert await house.workflow(inspection_of(lot)).result()
    await calls_operator(house, lot.story)

    # The bank's story tells that of the lot only now.
    house.sql("UPDATE paths SET paused_at = NULL WHERE id = %s", lot.id)
    timers = house.sql("SELECT deadlines FROM paths WHERE id = %s", lot.id)[0][0]
    goes_on = Standing.model_validate(
        {"path_id": lot.id, "phase": "inspecting", "deadlines": timers}
    )
    await house.workflow(lot.story).signal(LotStory.resume, goes_on)
    await lot.until("decided")
    await calls_operator(house, lot.story, False)
    await lot.act("accept-decision")
    await lot.ended("settled", *LOT_ENDS)
