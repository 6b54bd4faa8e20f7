"""Appeals against rejected units: a second inspector whom operators name, or a jury of three makers from elsewhere."""

from __future__ import annotations

from db import juries
from db.lot_rows import lot_of
from domain.ids import new_id
from domain.inspection import JURORS, jury_seconds, jury_terms
from domain.production import ProductionTerms
from domain.production_policy import ProductionPolicy
from domain.sampling import drawing_order
from tests.api.client import assert_problem
from tests.stories.house import House, Json
from tests.stories.looks import MAJOR, found_on, newest, report, try_to
from tests.stories.lots import decided, deposit_back, deposit_kept, deposited, wages
from tests.stories.peers import is_open, jurors_of, worked_elsewhere
from tests.stories.test_frozen import user_id
from tests.stories.workshop import ADMIN, DAY, RATE, Lot, Workshop, funded, people, returned

UNITS = 10
REJECTED = 3
PAID = [deposited(UNITS), wages(UNITS - REJECTED), deposit_back(UNITS - REJECTED)]


async def appealed(shop: Workshop, *, jury: bool) -> Lot:
    """A lot whose maker does not agree that three units are rejected."""
    lot = await shop.handed_in(UNITS)
    await decided(lot, UNITS - REJECTED, rejected=REJECTED)
    await lot.until("decided")
    await lot.act("appeal", note="The handles hold 2 kg", jury=jury)
    await lot.until("appealed")
    return lot


async def test_a_second_inspector_decides(house: House) -> None:
    requester, [second, third, stranger] = people(3)
    shop = await Workshop.published(house, by=requester, units=UNITS, lot_most=UNITS)
    lot = await appealed(shop, jury=False)
    first = await newest(lot)

    async def name(who: str, by: str = ADMIN) -> Json:
        path = f"/v1/lots/{lot.id}/name-inspector"
        answer = await house.call("POST", path, by=by, json={"inspector_id": who})
        found: Json = answer.json()
        return {**found, "status_code": answer.status_code}

    named = await user_id(house, second)
    assert (await name(named, by=lot.maker))["code"] == "forbidden"
    assert (await name(named, by=stranger))["code"] == "not_found"
    for who in (lot.maker, requester):
        assert (await name(await user_id(house, who)))["field"] == "inspector_id"
    assert (await name(new_id("usr")))["field"] == "inspector_id"
    frozen = await user_id(house, stranger)
    await house.post(f"/v1/users/{frozen}/freeze", {"reason": "Asked"}, by=ADMIN)
    assert (await name(frozen))["field"] == "inspector_id"
    replaced = await name(await user_id(house, third))
    assert_problem(await house.call("GET", f"/v1/lots/{lot.id}", by=second), 404, "not_found")
    found = await name(named)
    assert (found["appeal"], found["units"], found["plan"]["scheme"]) == (
        True,
        REJECTED,
        "every_unit",
    )
    assert found["due_at"] == (await lot.deadlines())["ruling"]["due_at"]

    # Neither the first inspector decides, nor whoever was named before.
    assert_problem(await try_to(lot, found, "decide", accepted=REJECTED), 403, "forbidden")
    answer = await try_to(lot, replaced, "decide", third, accepted=REJECTED)
    assert assert_problem(answer, 409, "wrong_phase")["accepted"] == found["id"]
    assert (await house.get(f"/v1/inspections/{first['id']}", second))["defective"] == REJECTED
    answer = await try_to(lot, found, "decide", second, accepted=REJECTED)
    assert_problem(answer, 422, "invalid_input")
    await report(lot, found, [*found_on([1], MAJOR), *found_on([2, 3])], second)
    for wrong in (
        {"accepted": 1, "rejected": 2},
        {"accepted": 2, "rework": 1},
        {"accepted": 2},
        {"accepted": 4},
    ):
        answer = await try_to(lot, found, "decide", second, **wrong)
        assert_problem(answer, 422, "invalid_input")
    answer = await try_to(lot, found, "decide", second, accepted=2, rejected=1, note="One is loose")
    assert answer.status_code == 200, answer.text
    assert answer.json()["decision"] == {
        "accepted": 2,
        "rework": 0,
        "rejected": 1,
        "missing": 0,
        "returned": None,
        "fault": "maker",
        "concession": False,
    }
    await lot.ended("settled", *PAID, wages(2), deposit_back(2), deposit_kept(1))
    assert "ruled by inspector" in await lot.timeline()
    await shop.ended("completed", funded(UNITS * RATE), returned(RATE))


async def test_a_jury_of_three_decides(house: House) -> None:
    await worked_elsewhere(house)
    shop = await Workshop.published(house, units=2 * UNITS, lot_most=UNITS)
    lot = await appealed(shop, jury=True)
    ballot = (await lot.now())["ballot_id"]
    assert ballot is not None

    # Anybody whom it is shown can draw the same jurors; the two sides do not learn who they are.
    drawn = await house.get(f"/v1/lots/{lot.id}/jury", by=ADMIN)
    order = drawing_order(drawn["seed"], range(1, drawn["candidates"] + 1))
    numbered = [drawn["candidate_ids"][number - 1] for number in order]
    jurors = drawn["juror_ids"]
    assert jurors == [each for each in numbered if each in jurors] and len(jurors) == JURORS
    assert not {lot.lot["maker_id"], shop.order["requester_id"]} & set(drawn["candidate_ids"])
    assert "juror_ids" not in await house.get(f"/v1/lots/{lot.id}/jury", by=lot.maker)

    subjects = await jurors_of(house, lot.id)
    vote = f"/v1/ballots/{ballot}/votes"
    agreed = {"options": ["as-agreed"]}

    await is_open(house, ballot)
    stranger = people(1)[1][0]
    answer = await house.call("POST", vote, by=stranger, json=agreed)
    assert assert_problem(answer, 403, "not_eligible")["field"] == "jury"
    assert_problem(await house.call("POST", vote, by=lot.maker, json=agreed), 403, "self_dealing")
    for juror in subjects:
        asked = (await house.get("/v1/me/notices", by=juror))["items"][0]["words"]
        assert "您被抽中当陪审，请在北京时间" in asked
        assert asked.endswith(f"{REJECTED}件不合格的到底合不合格。")
    mine = await house.get("/v1/me/juries", by=subjects[0])
    assert mine["items"][0]["ballot_id"] == ballot
    assert (await house.get(f"/v1/lots/{lot.id}", by=subjects[0]))["phase"] == "appealed"
    seen = (await house.get(f"/v1/lots/{lot.id}/inspections", by=subjects[0]))["items"]
    assert (await house.get(f"/v1/inspections/{seen[0]['id']}", subjects[0]))["defective"] == 3
    answer = await try_to(lot, seen[0], "decide", subjects[0], accepted=UNITS)
    assert_problem(answer, 403, "forbidden")
    named = {"inspector_id": await user_id(house, stranger)}
    answer = await house.call("POST", f"/v1/lots/{lot.id}/name-inspector", by=ADMIN, json=named)
    assert_problem(answer, 409, "wrong_phase")

    await house.post(vote, agreed, by=subjects[0])
    for juror in subjects[1:]:
        await house.post(vote, {"options": ["not-as-agreed"]}, by=juror)
    await voted(house, ballot)
    await lot.ended("settled", *PAID, deposit_kept(REJECTED))
    assert "ruled by jury" in await lot.timeline()

    # The money has gone where the jury said: votes found void now change nothing.
    void = {"seqs": [2, 3], "reason": "Paid for"}
    answer = await house.call("POST", f"/v1/ballots/{ballot}/void-votes", by=ADMIN, json=void)
    assert "before the release" in assert_problem(answer, 409, "wrong_phase")["detail"]
    assert house.sql("SELECT retallies FROM ballots WHERE id = %s", ballot) == [(0,)]

    # Another lot, and jurors who are of the maker's opinion.
    other = await appealed(shop, jury=True)
    ballot = (await other.now())["ballot_id"]
    await is_open(house, ballot)
    for juror in (await jurors_of(house, other.id))[:2]:
        await house.post(f"/v1/ballots/{ballot}/votes", agreed, by=juror)
    await voted(house, ballot)
    await other.ended("settled", *PAID, wages(REJECTED), deposit_back(REJECTED))
    await shop.ended("completed", funded(2 * UNITS * RATE), returned(REJECTED * RATE))


async def voted(house: House, ballot: str) -> None:
    """The time to vote passes, and that of the public notice."""
    story = house.workflow(f"ballot-{ballot}")
    voting, notice = jury_seconds(ProductionPolicy())
    await house.skipper.fast_forward(story, voting + 1)
    await house.skipper.fast_forward(story, notice + 1)


async def test_a_jury_that_decides_nothing(house: House) -> None:
    await worked_elsewhere(house)
    shop = await Workshop.published(house, units=2 * UNITS, lot_most=UNITS)
    unheard = await appealed(shop, jury=True)
    silent = str((await unheard.now())["ballot_id"])
    await is_open(house, silent)
    story = house.workflow(f"ballot-{silent}")
    voting, _ = jury_seconds(ProductionPolicy())
    await house.skipper.fast_forward(story, voting + 1)
    await house.skipper.fast_forward(story, voting)
    await story.result()
    assert (await unheard.now())["phase"] == "appealed", "operators can still rule"
    await unheard.let_pass(5 * DAY + 1)
    await unheard.ended("settled", *PAID, wages(REJECTED), deposit_back(REJECTED))

    # Operators may be faster than the jurors, whom nobody needs any more then.
    ruled = await appealed(shop, jury=True)
    ballot = str((await ruled.now())["ballot_id"])
    await is_open(house, ballot)
    await ruled.act("rule", ADMIN, accepted=1, note="One of them holds")
    await ruled.ended("settled", *PAID, wages(1), deposit_back(1), deposit_kept(2))
    await house.workflow(f"ballot-{ballot}").result()
    assert (await house.get(f"/v1/ballots/{ballot}", ADMIN))["phase"] == "cancelled"
    await shop.ended("completed", funded(2 * UNITS * RATE), returned(2 * RATE))


async def test_without_three_peers_there_is_no_jury(house: House) -> None:
    shop = await Workshop.published(house, units=UNITS, lot_most=UNITS)
    lot = await appealed(shop, jury=False)
    async with house.database.transaction() as session:
        row = await lot_of(session, lot.id)
        terms = ProductionTerms.model_validate(
            house.sql("SELECT terms FROM production_orders WHERE id = %s", shop.id)[0][0]
        )
        makers = [str(each) for (each,) in house.sql("SELECT DISTINCT maker_id FROM lots")]
        question = jury_terms(terms, REJECTED, ())
        drawn = await juries.draw(
            session, row, makers, question, terms.policy, initiator_id=row.maker_id
        )
    assert drawn is None
    await lot.act("rule", ADMIN, accepted=REJECTED, note="They hold")
    await lot.ended("settled", *PAID, wages(REJECTED), deposit_back(REJECTED))
    await shop.ended("completed", funded(UNITS * RATE))
