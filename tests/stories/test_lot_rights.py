"""Who may act on a lot and when: every act by everybody, every act in every phase, and who sees what."""

from __future__ import annotations

import uuid

from domain.ids import new_id
from tests.api.client import assert_problem
from tests.stories.house import House, Json
from tests.stories.lots import deposit_back, deposited, free_of_fee, wages
from tests.stories.test_frozen import user_id
from tests.stories.test_in_kind_offer import may_see
from tests.stories.workshop import (
    ADMIN,
    DAY,
    RATE,
    Lot,
    Workshop,
    funded,
    people,
    uploaded,
)

MAY = """
                      maker broker requester certifier operator other stranger
    send-sample       ok    ok     403       403       403      404   404
    approve-sample    403   403    ok        403       403      404   404
    refuse-sample     403   403    ok        403       403      404   404
    withdraw          ok    ok     403       403       403      404   404
    send-kit          403   403    ok        403       403      404   404
    receive-kit       ok    ok     403       403       403      404   404
    contest-kit       ok    ok     403       403       403      404   404
    admit-contest     403   403    ok        403       403      404   404
    rule-kit          403   403    403       403       ok       404   404
    report            ok    ok     403       403       403      404   404
    extend            403   403    ok        403       403      404   404
    send-goods        ok    ok     403       403       403      404   404
    receive-goods     403   403    ok        ok        403      404   404
    deny-goods        403   403    403       ok        403      404   404
    appeal            ok    ok     403       403       403      404   404
    accept-decision   ok    ok     403       403       403      404   404
    rule              403   403    403       403       ok       404   404
    call-off          403   403    403       403       ok       404   404
"""
"""`ok` is whatever the phase lets happen; `other` makes another lot of the same order."""
SEES = """
                      maker broker requester certifier operator other stranger
    lot               200   200    200       200       200      404   404
    materials         200   200    200       200       200      404   404
    deadlines         200   200    200       200       200      404   404
    timeline          200   200    200       200       200      404   404
    statement         200   200    200       403       200      404   404
    balances          200   200    200       403       200      404   404
"""
BODIES: dict[str, Json] = {
    "send-sample": {"file_ids": [new_id("fil")]},
    "contest-kit": {"note": "Wet", "file_ids": [new_id("fil")]},
    "refuse-sample": {"note": "Too loose"},
    "extend": {"seconds": DAY},
    "send-goods": {"made": 2},
    "appeal": {"note": "They are good"},
    "rule": {"note": "They are good", "accepted": 1},
    "call-off": {"note": "Stolen account"},
    "rule-kit": {"note": "They are dry", "as_promised": True},
    "deny-goods": {"note": "Nothing has come"},
}
WITH_PICTURES = ("send-sample", "contest-kit")
ACTORS = {
    "approve-sample": "requester",
    "refuse-sample": "requester",
    "send-kit": "requester",
    "extend": "requester",
    "receive-goods": "requester",
    "admit-contest": "requester",
    "rule-kit": "operator",
    "deny-goods": "requester",
    "rule": "operator",
    "call-off": "operator",
}
"""Who may do what the maker does not, where the requester inspects."""


def table(text: str) -> dict[str, dict[str, str]]:
    """Row -> column -> cell."""
    head, *rows = (line.split() for line in text.strip().splitlines())
    return {name: dict(zip(head, cells, strict=True)) for name, *cells in rows}


async def assert_only(lot: Lot, *possible: str) -> None:
    """Everything but what is possible now is refused, and nothing happens."""
    before = (await lot.timeline(), lot.postings(), lot.materials())
    by = {"requester": lot.shop.requester, "operator": ADMIN}
    shown = {"file_ids": [await uploaded(lot.house, lot.maker)]}
    for act in table(MAY):
        if act not in possible:
            who = by.get(ACTORS.get(act, ""), lot.maker)
            body = {**BODIES.get(act, {}), **(shown if act in WITH_PICTURES else {})}
            answer = await lot.try_to(act, who, **body)
            problem = assert_problem(answer, 409, "wrong_phase")
            assert problem["field"] == "phase", (act, problem)
    assert (await lot.timeline(), lot.postings(), lot.materials()) == before


async def judged(lot: Lot, accepted: int, *, rework: int = 0, rejected: int = 0) -> None:
    """The requester looks at every unit and decides; those that are not accepted have a loose handle."""
    await lot.until("inspecting")
    path, by = f"/v1/inspections/{(await lot.inspection())['id']}", lot.shop.requester
    loose = rework + rejected
    found = [
        {"unit": unit, "defects": ["handle"] if unit <= loose else []}
        for unit in range(1, accepted + loose + 1)
    ]
    await lot.house.post(f"{path}/findings", {"findings": found}, by=by)
    decision = {"accepted": accepted, "rework": rework, "rejected": rejected}
    await lot.house.post(f"{path}/decide", decision, by=by)
    await lot.until("rework" if rework else "decided")


async def test_every_act_by_everybody_and_who_sees_a_lot(house: House) -> None:
    requester, [worker, broker, certifier, other, stranger] = people(5)
    worker_id = await user_id(house, worker)
    shop = await Workshop.published(
        house,
        by=requester,
        units=4,
        lot_most=2,
        sample_fee=100,
        samples=2,
        certifier_id=await user_id(house, certifier),
        certifier_fee=10,
    )
    consent = {"broker_id": await user_id(house, broker)}
    await house.post("/v1/broker-consents", consent, by=worker)
    lot = await shop.claim(broker, 2, **{"for": worker_id})
    await shop.claim(other, 2)
    known = {
        "maker": worker,
        "broker": broker,
        "requester": requester,
        "certifier": certifier,
        "operator": ADMIN,
        "other": other,
        "stranger": stranger,
    }
    before = await lot.timeline()
    for act, cells in table(MAY).items():
        for who, cell in cells.items():
            if cell != "ok":
                answer = await lot.try_to(act, known[who], **BODIES.get(act, {}))
                code = {"403": "forbidden", "404": "not_found"}[cell]
                assert_problem(answer, int(cell), code)
        nobody = await house.http.post(
            f"/v1/lots/{lot.id}/{act}",
            json=BODIES.get(act, {}),
            headers={"Idempotency-Key": uuid.uuid4().hex},
        )
        assert_problem(nobody, 401, "unauthenticated")
    for what, cells in table(SEES).items():
        path = f"/v1/lots/{lot.id}" + ("" if what == "lot" else f"/{what}")
        for who, cell in cells.items():
            answer = await house.call("GET", path, by=known[who])
            assert answer.status_code == int(cell), (what, who, answer.text)
    for who, count in (
        ("requester", 2), ("certifier", 2), ("operator", 2),
        ("maker", 1), ("broker", 1), ("other", 1), ("stranger", 0),
    ):  # fmt: skip
        page = await house.get(f"/v1/production-orders/{shop.id}/lots", by=known[who])
        assert len(page["items"]) == count, who
    hidden = await house.call("GET", f"/v1/production-orders/{new_id('prd')}/lots", by=stranger)
    assert_problem(hidden, 404, "not_found")
    assert await lot.timeline() == before

    # Pictures of the sample are for those who have to look at it.
    picture = await uploaded(house, broker)
    await lot.act("send-sample", file_ids=[picture])
    for who, sees in table(SEES)["lot"].items():
        assert await may_see(house, known[who], picture) is (sees == "200"), who
    await lot.act("call-off", ADMIN, note="Case 4711")
    assert (await lot.timeline())[-1] == "called_off by operator"
    assert (await lot.now(worker))["phase"] == "cancelled"


async def test_lists_are_paged(house: House) -> None:
    shop = await Workshop.published(house, units=3, lot_most=1)
    maker = people()[1][0]
    made = [(await shop.claim(maker, 1)).id for _ in range(3)][::-1]
    for path, by, more in (
        (f"/v1/production-orders/{shop.id}/lots", shop.requester, {}),
        ("/v1/me/lots", maker, {}),
        ("/v1/me/lots", shop.requester, {"which": "inspector"}),
    ):
        first = await house.get(path, by=by, limit=2, **more)
        rest = await house.get(path, by=by, limit=2, after=first["next"], **more)
        assert [each["id"] for each in (*first["items"], *rest["items"])] == made
        assert (len(first["items"]), rest["next"]) == (2, None)


async def test_every_act_in_every_phase(house: House) -> None:
    shop = await Workshop.published(house, units=2, lot_most=2, sample_fee=100, samples=1)
    lot = await shop.claim(units=2)
    await assert_only(lot, "send-sample", "withdraw", "call-off")
    await lot.show_sample()
    await assert_only(lot, "approve-sample", "refuse-sample", "call-off")
    await lot.supply("approve-sample")
    await assert_only(lot, "withdraw", "call-off")
    await lot.pay_deposit()
    await assert_only(lot, "send-kit", "withdraw", "call-off")
    await lot.supply("send-kit")
    await assert_only(lot, "receive-kit")
    await lot.act("receive-kit")
    page = await house.get(f"/v1/lots/{lot.id}/materials", by=lot.maker, limit=1)
    assert [(each["place"], each["pieces"]) for each in page["held"]] == [
        ("maker", 4),
        ("store", -4),
    ]
    moves = [*page["items"]]
    while page["next"]:
        page = await house.get(f"/v1/lots/{lot.id}/materials", by=lot.maker, after=page["next"])
        moves += page["items"]
    assert [(each["source"], each["target"], each["pieces"]) for each in moves] == [
        ("store", "on_the_way", 4),
        ("on_the_way", "maker", 4),
    ]
    await assert_only(lot, "report", "extend", "send-goods", "contest-kit")
    picture = await uploaded(house, lot.maker)
    await lot.act("contest-kit", note="Wet", file_ids=[picture])
    await assert_only(lot, "admit-contest", "rule-kit")
    await lot.act("rule-kit", ADMIN, note="They are dry", as_promised=True)
    await assert_only(lot, "report", "extend", "send-goods")
    await lot.act("report", note="Half of them are done")
    due = lot.lot["due_at"]
    assert (await lot.supply("extend", seconds=DAY))["due_at"] > due
    await lot.act("send-goods", made=2)
    await assert_only(lot, "receive-goods", "deny-goods")
    await lot.supply("receive-goods")
    await assert_only(lot)
    await judged(lot, 0, rework=1, rejected=1)
    await assert_only(lot, "send-goods")
    await lot.act("send-goods", made=1)
    await lot.supply("receive-goods")
    await judged(lot, 1)
    await assert_only(lot, "appeal", "accept-decision")
    await lot.act("appeal", note="It holds 2 kg")
    await assert_only(lot, "rule")
    answer = await lot.try_to("rule", ADMIN, note="Both do", accepted=2)
    assert assert_problem(answer, 422, "invalid_input")["accepted"] == "0 to 1"
    await lot.act("rule", ADMIN, note="It does", accepted=1)
    paid = [*wages(1), *deposit_back(1)]
    await lot.ended("settled", deposited(2), free_of_fee(100), paid, paid)
    await assert_only(lot)
    await shop.ended("completed", funded(2 * RATE + 100))
