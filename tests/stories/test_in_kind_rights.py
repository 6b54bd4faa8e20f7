"""Who may act on help in kind and when: every act by everybody, and every act in every phase."""

from __future__ import annotations

import uuid

from tests.api.client import assert_problem
from tests.stories.house import House, Json
from tests.stories.in_kind import (
    ADMIN,
    DAY,
    DEPOSIT,
    DUE_DAYS,
    PAID,
    Aid,
    given_back,
    given_to_lender,
    in_days,
)

MAY = """
                 supporter picked other operator stranger
    publish      ok        403    403   403      403
    withdraw     ok        403    403   403      403
    asks         self      ok     ok    ok       ok
    pick         ok        403    403   403      403
    hand-over    ok        403    403   403      403
    confirm      403       ok     403   403      403
    object       403       ok     403   403      403
    call-off     ok        ok     403   403      403
    extend       ok        403    403   403      403
    send-back    403       ok     403   403      403
    return       ok        403    403   403      403
    write-off    ok        403    403   403      403
    claim        ok        403    403   403      403
    answer-claim 403       ok     403   403      403
    rule         403       403    403   ok       403
"""
"""Each act, and what somebody gets who may not do it; `ok`: who may, in the right phase."""
ACTS = [row.split()[0] for row in MAY.strip().splitlines()[1:]]
BY = {
    row.split()[0]: MAY.split()[row.split()[1:].index("ok")] for row in MAY.strip().splitlines()[1:]
}
"""Each act and the first who may do it."""


def body_of_act(aid: Aid, act: str) -> Json:
    """A body the API accepts for this act."""
    first = next(iter(aid.asks.values()))
    return {
        "pick": {"ask_id": first["id"]},
        "object": {"note": "Nothing has come"},
        "extend": {"due_at": in_days(DUE_DAYS + 5)},
        "claim": {"amount": {"amount": 1}, "note": "A scratch"},
        "answer-claim": {"agree": True},
        "rule": {"note": "So be it", "lender_amount": 1, "received": True},
    }.get(act, {})


def player(aid: Aid, role: str) -> str:
    """Who plays this role."""
    first, other = list(aid.asks)[:2]
    return {
        "supporter": aid.supporter,
        "picked": first,
        "other": other,
        "operator": ADMIN,
        "stranger": f"stranger-{aid.id[-8:]}",
    }[role]


async def assert_only(aid: Aid, *possible: str) -> None:
    """Everything but what is possible now is refused, and nothing happens."""
    before, moves = await aid.timeline(), aid.postings()
    for act in ACTS:
        if act in possible:
            continue
        answer = await aid.try_to(act, player(aid, BY[act]), **body_of_act(aid, act))
        problem = assert_problem(answer, 409, "wrong_phase")
        assert problem["field"] == "phase", (act, problem)
    assert (await aid.timeline(), aid.postings()) == (before, moves)


async def test_every_act_by_everybody(house: House) -> None:
    aid = await Aid.matched(house, askers=2)
    before = await aid.timeline()
    columns, *rows = MAY.strip().splitlines()
    for row in rows:
        act, *cells = row.split()
        for role, expected in zip(columns.split(), cells, strict=True):
            if expected == "ok":
                continue
            answer = await aid.try_to(act, player(aid, role), **body_of_act(aid, act))
            assert_problem(answer, 403, "self_dealing" if expected == "self" else "forbidden")
        nobody = await house.http.post(
            f"/v1/in-kind/{aid.id}/{act}",
            json=body_of_act(aid, act),
            headers={"Idempotency-Key": uuid.uuid4().hex},
        )
        assert_problem(nobody, 401, "unauthenticated")
    assert await aid.timeline() == before
    await aid.act("call-off", aid.supporter, offer_again=False)
    await aid.ended("withdrawn")


async def test_every_act_on_a_material_in_every_phase(house: House) -> None:
    aid = await Aid.asked(house, "material", askers=2)
    await aid.pick(player(aid, "picked"))
    await assert_only(aid, "hand-over", "call-off", "extend")
    answer = await aid.try_to("extend", aid.supporter, due_at=in_days(5))
    assert assert_problem(answer, 422, "invalid_input")["field"] == "due_at"
    await aid.act("hand-over", aid.supporter)
    await assert_only(aid, "confirm", "object")
    await aid.act("object", aid.picked, note="Nothing has come")
    await assert_only(aid, "confirm", "rule")
    await aid.act("rule", ADMIN, received=True, note="It has")
    await aid.ended("completed")
    await assert_only(aid)


async def test_every_act_on_a_loan_in_every_phase(house: House) -> None:
    aid = await Aid.drafted(house)
    for verb in ("call-off", "hand-over", "return"):
        assert_problem(await aid.try_to(verb, aid.supporter), 409, "wrong_phase")
    aid.offer = await aid.act("publish", aid.supporter)
    for asker in (f"first-{aid.id[-8:]}", f"other-{aid.id[-8:]}"):
        await aid.ask(asker)
    await assert_only(aid, "withdraw", "pick", "asks", "extend")
    await aid.pick(player(aid, "picked"))
    await assert_only(aid, "call-off", "extend")
    await aid.pay_deposit()
    await assert_only(aid, "call-off", "hand-over", "extend")
    await aid.act("hand-over", aid.supporter)
    await assert_only(aid, "extend", "send-back", "return", "claim")
    await aid.let_pass((DUE_DAYS + 7) * DAY + 1)
    await aid.until("overdue")
    await assert_only(aid, "extend", "send-back", "return", "claim", "write-off")
    await aid.act("send-back", aid.picked)
    await assert_only(aid, "return", "claim")
    await aid.claim(DEPOSIT)
    await assert_only(aid, "answer-claim", "return")
    await aid.act("answer-claim", aid.picked, agree=False)
    await assert_only(aid, "rule", "return")
    await aid.act("rule", ADMIN, lender_amount=1, note="A scratch")
    await aid.ended("returned", PAID, given_to_lender(1), given_back(DEPOSIT - 1))
    await assert_only(aid)
