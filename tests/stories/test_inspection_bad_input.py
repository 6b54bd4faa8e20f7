"""What nobody can do to an inspection: report for units that were not drawn, decide early, twice, or for somebody else."""

from __future__ import annotations

from domain.ids import new_id
from tests.api.client import assert_problem
from tests.stories.house import House, Json
from tests.stories.looks import MAJOR, found_on, newest, report, try_to
from tests.stories.lots import deposit_back, deposited, free_of_fee, wages
from tests.stories.test_frozen import user_id
from tests.stories.workshop import ADMIN, RATE, Workshop, funded, people, returned, uploaded

UNITS = 20
FEE = 10
"""Of the certifier, for each unit."""


async def test_bad_input(house: House) -> None:
    requester, [certifier, stranger] = people(2)
    shop = await Workshop.published(
        house,
        by=requester,
        units=UNITS,
        lot_most=UNITS,
        certifier_id=await user_id(house, certifier),
        certifier_fee=FEE,
    )
    lot = await shop.making(UNITS)
    await lot.act("send-goods", made=UNITS)
    await lot.act("receive-goods", certifier)
    await lot.until("inspecting")
    found = await newest(lot)
    drawn = found["drawn"]
    [strange, *_] = [unit for unit in range(1, UNITS + 1) if unit not in drawn]
    foreign = await uploaded(house, lot.maker)

    one = {"unit": drawn[0], "defects": []}
    for seen, status, code, field in (
        ([{**one, "unit": strange}], 422, "invalid_input", "findings[0].unit"),
        ([one, one], 422, "invalid_input", "findings[1].unit"),
        ([{**one, "defects": ["ugly"]}], 422, "invalid_input", "findings[0].defects"),
        ([{**one, "file_ids": [foreign]}], 422, "unknown_file", "file_ids[0]"),
    ):
        answer = await try_to(lot, found, "findings", certifier, findings=seen)
        assert assert_problem(answer, status, code)["field"] == field, seen
    for wrong in ([], [{**one, "unit": 0}], [{**one, "defects": [MAJOR, MAJOR]}], [{"unit": "1"}]):
        answer = await try_to(lot, found, "findings", certifier, findings=wrong)
        assert answer.status_code == 422, wrong

    await report(lot, found, [one], certifier)
    again = await try_to(lot, found, "findings", certifier, findings=[one])
    assert again.json()["looked_at"] == 1, "the same again changes nothing"
    other = {**one, "defects": [MAJOR]}
    answer = await try_to(lot, found, "findings", certifier, findings=[other])
    refusal = assert_problem(answer, 422, "invalid_input")
    assert (refusal["field"], refusal["accepted"]) == ("findings[0].defects", "no defects")

    # Not by the requester, when a certifier inspects; not by the maker; and strangers do not even see it.
    body = {"accepted": UNITS}
    for who, status, code in (
        (requester, 403, "forbidden"),
        (lot.maker, 403, "forbidden"),
        (ADMIN, 403, "forbidden"),
        (stranger, 404, "not_found"),
    ):
        assert_problem(await try_to(lot, found, "decide", who, **body), status, code)
        assert_problem(await try_to(lot, found, "look-at-all", who), status, code)
        answer = await try_to(lot, found, "findings", who, findings=[one])
        assert_problem(answer, status, code)
    path = f"/v1/inspections/{found['id']}"
    assert_problem(await house.call("GET", path, by=stranger), 404, "not_found")
    unknown = f"/v1/inspections/{new_id('ins')}"
    assert_problem(await house.call("GET", unknown, by=requester), 404, "not_found")
    for who in (requester, certifier, lot.maker, ADMIN):
        assert (await house.get(path, who))["looked_at"] == 1

    # Not before every drawn unit was looked at, and never about more or fewer units than were handed in.
    assert_problem(await try_to(lot, found, "decide", certifier, **body), 422, "invalid_input")
    assert_problem(await try_to(lot, found, "look-at-all", certifier), 422, "invalid_input")
    await report(lot, found, found_on(drawn[1:]), certifier)
    for counts in (
        {"accepted": UNITS - 1},
        {"accepted": UNITS, "rejected": 1},
        {"accepted": 0, "rework": UNITS + 1},
    ):
        answer = await try_to(lot, found, "decide", certifier, **counts)
        assert assert_problem(answer, 422, "invalid_input")["accepted"] == f"{UNITS} in all"
    answer = await try_to(lot, found, "decide", certifier, **body, concession=True)
    assert assert_problem(answer, 422, "invalid_input")["field"] == "concession"
    assert_problem(await try_to(lot, found, "look-at-all", certifier), 409, "wrong_phase")
    nonsense: tuple[Json, ...] = (
        {"accepted": -1},
        {"accepted": 1.5},
        {"accepted": UNITS, "fault": "nobody"},
        {},
    )
    for said in nonsense:
        assert (await try_to(lot, found, "decide", certifier, **said)).status_code == 422

    answer = await try_to(lot, found, "decide", certifier, **body)
    assert answer.status_code == 200, answer.text
    paid = (wages(UNITS), deposit_back(UNITS), free_of_fee(UNITS * FEE, "certifier"))
    await lot.ended("settled", deposited(UNITS), *paid)
    assert_problem(await try_to(lot, found, "decide", certifier, **body), 409, "wrong_phase")
    answer = await try_to(lot, found, "findings", certifier, findings=[one])
    assert_problem(answer, 409, "wrong_phase")
    await shop.ended("completed", funded(UNITS * (RATE + FEE)))


async def test_a_full_look_takes_the_place_of_the_sample(house: House) -> None:
    shop = await Workshop.published(house, units=UNITS, lot_most=UNITS)
    lot = await shop.handed_in(UNITS)
    await lot.until("inspecting")
    sample = await newest(lot)
    drawn = sample["drawn"]
    await report(lot, sample, [*found_on(drawn[:1], MAJOR), *found_on(drawn[1:])])
    full = (await try_to(lot, sample, "look-at-all")).json()
    assert full["id"] != sample["id"]
    old = (
        await try_to(lot, sample, "findings", findings=found_on(drawn[:1], MAJOR)),
        await try_to(lot, sample, "look-at-all"),
        await try_to(lot, sample, "decide", accepted=0, rejected=UNITS),
    )
    for answer in old:
        assert assert_problem(answer, 409, "wrong_phase")["accepted"] == full["id"]
    # What was found on the sample counts there too.
    answer = await try_to(lot, full, "findings", findings=found_on(drawn[:1]))
    assert assert_problem(answer, 422, "invalid_input")["accepted"] == MAJOR
    answer = await try_to(lot, full, "findings", findings=found_on([UNITS + 1]))
    assert assert_problem(answer, 422, "invalid_input")["accepted"] == f"1 to {UNITS}"
    answer = await try_to(lot, full, "decide", accepted=0, rejected=UNITS)
    assert_problem(answer, 422, "invalid_input")
    await report(lot, full, found_on(unit for unit in range(1, UNITS + 1) if unit not in drawn))
    answer = await try_to(lot, full, "decide", accepted=0, rejected=UNITS)
    assert_problem(answer, 422, "invalid_input")
    answer = await try_to(lot, full, "decide", accepted=UNITS - 1, rejected=1, fault="requester")
    assert answer.status_code == 200, answer.text
    await lot.until("decided")
    await lot.act("accept-decision")
    paid = (wages(UNITS - 1), deposit_back(UNITS - 1), deposit_back(1))
    await lot.ended("settled", deposited(UNITS), *paid)
    await shop.ended("completed", funded(UNITS * RATE), returned(RATE))
