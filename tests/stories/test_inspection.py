"""Inspections: a plan that nobody can change, findings in tranches, what a passed and a failed sample allow, silence."""

from __future__ import annotations

import hashlib

import psycopg
import pytest

from domain.sampling_rules import SwitchState
from domain.sampling_tables import Severity
from tests.api.client import assert_problem
from tests.stories.house import House, Json
from tests.stories.looks import (
    MAJOR,
    concluded,
    found_on,
    looked,
    newest,
    report,
    try_to,
    units_of,
)
from tests.stories.lots import deposit_back, deposit_kept, deposited, nobody_inspects, wages
from tests.stories.test_frozen import user_id
from tests.stories.workshop import DAY, Lot, Workshop, funded, people, returned, standard_of
from tests.waiting import eventually

SMALL = 20
"""Units of a lot of which five are drawn, and none may have a major defect."""


async def shop_of(house: House, lots: int, **more: object) -> Workshop:
    """An order of so many small lots."""
    units = lots * SMALL
    return await Workshop.published(house, units=units, lot_most=SMALL, lots_at_once=9, **more)


async def handed_in(shop: Workshop, maker: str) -> Lot:
    """A small lot of this maker, waiting to be inspected."""
    lot = await shop.making(SMALL, maker=maker)
    await lot.act("send-goods", made=SMALL)
    await lot.supply("receive-goods")
    return lot


async def test_a_sample_that_passes_stands_for_the_lot(house: House) -> None:
    shop = await Workshop.published(house)
    lot = await shop.handed_in()
    opened = await newest(lot)
    plan, drawn = opened["plan"], opened["drawn"]
    assert [opened["round"], opened["units"], plan["size"], plan["letter"]] == [0, 100, 20, "F"]
    assert {each["defect_class"]: each["accept"] for each in plan["classes"]} == {
        "critical": 0,
        "major": 1,
        "minor": 2,
    }
    # Anybody can draw the same units once the seed is known.
    places = {
        unit: hashlib.sha256(f"{opened['seed']}:{unit}".encode()).digest() for unit in range(1, 101)
    }
    assert drawn == sorted(places, key=lambda unit: places[unit])[:20]
    assert opened["due_at"] == (await lot.deadlines())["inspection"]["due_at"]

    half = await report(lot, opened, found_on(drawn[:10]))
    assert (half["looked_at"], half["defective"], half["verdict"]) == (10, 0, None)
    early = await try_to(lot, opened, "decide", accepted=100)
    assert "10 units were not looked at" in assert_problem(early, 422, "invalid_input")["detail"]
    rest = [*found_on(drawn[10:11], MAJOR, "stain"), *found_on(drawn[11:])]
    assert (await report(lot, opened, rest))["defective"] == 1
    _refuses(house, opened["id"])

    too_many = await try_to(lot, opened, "decide", accepted=98, rejected=2)
    assert assert_problem(too_many, 422, "invalid_input")["field"] == "rejected"
    found = await concluded(lot, opened, accepted=99, rejected=1, note="One handle is loose")
    assert found["verdict"]["decision"] == "accepted"
    assert found["verdict"]["nonconforming"] == [drawn[10]]
    seen = await house.get(f"/v1/inspections/{opened['id']}/findings", lot.maker, limit=100)
    assert [each["unit"] for each in seen["items"] if each["defects"]] == [drawn[10]]
    await lot.until("decided")
    await lot.act("accept-decision")
    await lot.ended("settled", deposited(100), wages(99), deposit_back(99), deposit_kept(1))
    await shop.ended("completed", funded(), returned(500))


def _refuses(house: House, inspection: str) -> None:
    """Whoever writes SQL cannot change what was drawn, nor what was found."""
    for query in (
        "UPDATE inspections SET drawn = '[1]' WHERE id = %s",
        "UPDATE inspections SET seed = 'another' WHERE id = %s",
        "UPDATE inspections SET plan = plan || '{\"size\": 1}' WHERE id = %s",
        "UPDATE inspections SET due_at = due_at + interval '1 day' WHERE id = %s",
        "UPDATE inspection_findings SET defects = '[]' WHERE inspection_id = %s",
        "DELETE FROM inspection_findings WHERE inspection_id = %s",
        "DELETE FROM inspections WHERE id = %s",
    ):
        with pytest.raises(psycopg.errors.RestrictViolation):
            house.sql(f"{query} RETURNING 1", inspection)


async def test_four_ways_out_of_a_failed_sample(house: House) -> None:
    shop = await shop_of(house, 4)
    conceded = await shop.handed_in(SMALL)
    found = await looked_at_sample(conceded, bad=1)
    unnamed = await try_to(conceded, found, "decide", accepted=SMALL)
    assert assert_problem(unnamed, 422, "invalid_input")["field"] == "concession"
    known = await concluded(conceded, found, accepted=SMALL, concession=True, fault="requester")
    assert known["decision"]["concession"] and known["verdict"]["decision"] == "not_accepted"
    whole = [deposited(SMALL), wages(SMALL), deposit_back(SMALL)]
    await conceded.ended("settled", *whole)

    refused = await shop.handed_in(SMALL)
    found = await looked_at_sample(refused, bad=1)
    await concluded(refused, found, accepted=0, rejected=SMALL)
    await refused.until("decided")
    await refused.act("accept-decision")
    await refused.ended("settled", deposited(SMALL), deposit_kept(SMALL))

    full = await shop.handed_in(SMALL)
    full_look = await looked(full, bad=7)
    assert full_look["plan"]["scheme"] == "every_unit" and full_look["looked_at"] == 5
    pages = (await house.get(f"/v1/lots/{full.id}/inspections", full.maker))["items"]
    assert [each["size"] for each in pages] == [5, SMALL]
    assert pages[0]["due_at"] == pages[1]["due_at"], "within the same time"
    await concluded(full, full_look, accepted=13, rejected=7)
    await full.until("decided")
    await full.act("accept-decision")
    await full.ended("settled", deposited(SMALL), wages(13), deposit_back(13), deposit_kept(7))

    mended = await shop.handed_in(SMALL)
    for round_ in (1, 2):
        found = await looked_at_sample(mended, bad=1)
        await concluded(mended, found, accepted=0, rework=SMALL)
        await mended.until("rework")
        await mended.act("send-goods", made=SMALL)
        await mended.supply("receive-goods")
        assert (await newest(mended))["round"] == round_
    found = await looked_at_sample(mended, bad=1)
    third = await try_to(mended, found, "decide", accepted=0, rework=SMALL)
    assert assert_problem(third, 422, "invalid_input")["field"] == "rework"
    await concluded(mended, found, accepted=SMALL, concession=True)
    await mended.ended("settled", *whole)
    rejected = SMALL + 7
    assert await shop.units() == {"accepted": 4 * SMALL - rejected, "rejected": rejected}
    await shop.ended("completed", funded(4 * SMALL * 500), returned(rejected * 500))


async def looked_at_sample(lot: Lot, bad: int) -> Json:
    """Looks at the drawn units only, and finds so many defective."""
    await lot.until("inspecting")
    found = await newest(lot)
    units = units_of(found)
    return await report(lot, found, [*found_on(units[:bad], MAJOR), *found_on(units[bad:])])


async def test_silence_accepts_everything_whatever_was_found(house: House) -> None:
    shop = await shop_of(house, 1)
    lot = await shop.handed_in(SMALL)
    await looked_at_sample(lot, bad=5)
    await nobody_inspects(lot, 5 * DAY + 1)
    await lot.ended("settled", deposited(SMALL), wages(SMALL), deposit_back(SMALL))
    said = await lot.timeline()
    assert said[-3:] == ["inspection_reminded by system"] * 2 + ["inspection_lapsed by system"]
    found = await newest(lot)
    assert found["decision"]["accepted"] == SMALL and found["verdict"] is None
    late = await try_to(lot, found, "decide", accepted=0, rejected=SMALL)
    assert_problem(late, 409, "wrong_phase")
    mine = await house.get("/v1/me/inspection-series", lot.maker)
    assert mine["items"] == [], "nobody has judged the lot"
    await shop.ended("completed", funded(SMALL * 500))


async def test_the_next_lot_depends_on_those_before(house: House) -> None:
    requester, [maker, other] = people(2)
    shop = await shop_of(house, 4, by=requester, standard=standard_of())
    for _ in range(2):
        lot = await handed_in(shop, maker)
        found = await looked_at_sample(lot, bad=1)
        assert found["plan"]["severity"] == "normal"
        await concluded(lot, found, accepted=SMALL, concession=True)
    series = (await house.get("/v1/me/inspection-series", maker))["items"]
    assert [(each["severity"], each["lots"], each["stopped"]) for each in series] == [
        ("tightened", 2, False)
    ]
    strict = await handed_in(shop, maker)
    assert (await newest(strict))["plan"]["severity"] == "tightened"
    await concluded(strict, await looked(strict, 0), accepted=SMALL)
    fresh = await shop.claim(other, SMALL)
    assert (await house.get("/v1/me/inspection-series", other))["items"] == []

    # Five lots that were not accepted on tightened inspection: nothing more until the maker has mended the process.
    maker_id, requester_id = await user_id(house, maker), await user_id(house, requester)
    stopped = SwitchState(severity=Severity.TIGHTENED, stopped=True)
    house.sql(
        "UPDATE inspection_series SET state = %s::jsonb WHERE maker_id = %s RETURNING 1",
        stopped.model_dump_json(),
        maker_id,
    )
    await fresh.act("withdraw")
    assert_problem(await shop.try_claim(maker, SMALL), 409, "limit_reached")
    resume = f"/v1/me/inspection-series/{maker_id}/resume"
    assert_problem(await house.call("POST", resume, by=maker, json={}), 404, "not_found")
    resumed = await house.post(resume, {"note": "New frames"}, by=requester)
    assert (resumed["severity"], resumed["stopped"]) == ("tightened", False)
    assert_problem(await house.call("POST", resume, by=requester, json={}), 409, "wrong_phase")
    seen = await house.get("/v1/me/inspection-series", requester, which="requester")
    assert [(each["maker_id"], each["requester_id"]) for each in seen["items"]] == [
        (maker_id, requester_id)
    ]
    last = await handed_in(shop, maker)
    await concluded(last, await looked(last, 0), accepted=SMALL)
    await last.ended("settled", deposited(SMALL), wages(SMALL), deposit_back(SMALL))
    await shop.ended("completed", funded(4 * SMALL * 500))


async def test_lots_that_stand_alone_have_no_series(house: House) -> None:
    standard = standard_of(sampling={"limiting_quality": "20.0"})
    shop = await shop_of(house, 1, standard=standard)
    lot = await shop.handed_in(SMALL)
    found = await looked_at_sample(lot, bad=0)
    assert found["plan"]["scheme"] == "isolated"
    assert found["plan"]["edition"] == "ISO 2859-2:1985"
    await concluded(lot, found, accepted=SMALL)
    assert (await house.get("/v1/me/inspection-series", lot.maker))["items"] == []
    await lot.ended("settled", deposited(SMALL), wages(SMALL), deposit_back(SMALL))

    async def told() -> bool:
        return bool((await shop.now())["phase"] == "completed")

    await eventually(told, within_seconds=20)
    await shop.ended("completed", funded(SMALL * 500))
