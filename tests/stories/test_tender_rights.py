"""Who may act on a tender and when: every act by everybody, and every act in every phase and state of a milestone."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

from tests.api.client import assert_problem
from tests.stories.house import House, Json
from tests.stories.jobs import DAY, DEPOSIT, Job, paid_in, released, sent_back

ACTS = {
    "fund": "buyer",
    "cancel": "buyer",
    "award": "buyer",
    "accept-award": "worker",
    "decline-award": "worker",
    "retract": "worker",
    "milestones/1/submit": "worker",
    "milestones/1/approve": "buyer",
    "milestones/1/request-changes": "buyer",
    "milestones/1/cancel": "buyer",
    "milestones/1/dispute": "worker",
    "milestones/1/rule": "operator",
}
"""Each act and somebody who may do it."""
MAY = """
                              buyer worker loser operator stranger
    fund                      ok    403    403   403      403
    cancel                    ok    403    403   403      403
    award                     ok    403    403   403      403
    accept-award              403   ok     403   403      403
    decline-award             403   ok     403   403      403
    retract                   403   ok     403   403      403
    milestones/1/submit       403   ok     403   403      403
    milestones/1/approve      ok    403    403   403      403
    milestones/1/request-changes ok 403    403   403      403
    milestones/1/cancel       ok    403    403   403      403
    milestones/1/dispute      ok    ok     403   403      403
    milestones/1/rule         403   403    403   ok       403
"""


def body_of(job: Job, act: str) -> Json:
    """A body the API accepts for this act."""
    if act == "award":
        return job.award_body(job.makers[0], 30_000)
    if act.endswith(("request-changes", "dispute")):
        return {"note": "Why"}
    if act.endswith("rule"):
        return {"note": "Why", "worker_amount": 1}
    return {}


def player(job: Job, role: str) -> str:
    """Who plays this role."""
    return {
        "buyer": job.buyer,
        "worker": job.makers[0],
        "loser": job.makers[-1],
        "operator": "admin",
        "stranger": f"stranger-{job.id[-8:]}",
    }[role]


async def assert_only(job: Job, *possible: str, acts: Any = tuple(ACTS)) -> None:
    """Everything but what is possible now is refused, and nothing happens."""
    before, moves = await job.timeline(), job.postings()
    for act in acts:
        if act in possible:
            continue
        by = player(job, ACTS[act])
        answer = await job.try_to(act, by, **body_of(job, act))
        problem = assert_problem(answer, 409, "wrong_phase")
        assert problem["field"] in ("phase", "milestone"), (act, problem)
    assert (await job.timeline(), job.postings()) == (before, moves)


MILESTONE = tuple(act for act in ACTS if act.startswith("milestones"))


def of_milestone(*verbs: str) -> list[str]:
    """Acts on the first milestone."""
    return [f"milestones/1/{verb}" for verb in verbs]


async def test_every_act_by_everybody(house: House) -> None:
    job = await Job.selecting(house, 30_000, 40_000)
    await job.award(job.makers[0], 30_000)
    await job.act("accept-award", job.worker)
    await job.pay_milestone(1)
    columns, *rows = MAY.strip().splitlines()
    for row in rows:
        act, *cells = row.split()
        for role, expected in zip(columns.split(), cells, strict=True):
            if expected == "ok":
                continue
            answer = await job.try_to(act, player(job, role), **body_of(job, act))
            assert_problem(answer, 403, "forbidden")
        nobody = await house.http.post(
            f"/v1/tenders/{job.id}/{act}",
            json=body_of(job, act),
            headers={"Idempotency-Key": uuid.uuid4().hex},
        )
        assert_problem(nobody, 401, "unauthenticated")
    assert (await job.timeline())[-1] == "milestone_paid by provider"
    await job.done(1)
    await job.until("completed")


async def test_every_act_in_every_phase(house: House) -> None:
    job = await Job.opened(house)
    job.bids = (await _bid(job)).bids
    await assert_only(job, "cancel")
    await job.let_pass(DAY + 11)
    await job.until("selecting")
    await assert_only(job, "cancel", "award")
    await job.award(job.makers[0], 30_000)
    await assert_only(job, "accept-award", "decline-award")
    await job.act("accept-award", job.worker)
    await assert_only(job, "retract")
    await job.pay_milestone(1)
    await assert_only(job, *of_milestone("submit", "dispute"))
    await job.shown(1)
    await assert_only(job, *of_milestone("approve", "request-changes", "dispute"))
    await job.on(1, "request-changes", job.buyer, note="Straighter")
    await assert_only(job, *of_milestone("submit", "dispute"))
    await job.let_pass(7 * DAY + 1)
    await job.until_milestone(1, "overdue")
    await assert_only(job, *of_milestone("submit", "cancel", "dispute"), acts=MILESTONE)
    await job.on(1, "dispute", job.worker, note="I was ill")
    await assert_only(job, *of_milestone("rule"), acts=MILESTONE)
    await job.on(1, "rule", "admin", worker_amount=30_000, note="They were")
    await job.ended(
        "completed",
        paid_in("deposit:buyer", DEPOSIT),
        paid_in("escrow:tender", 30_000),
        released(30_000),
        sent_back("deposit:buyer", DEPOSIT),
    )
    await assert_only(job)


async def _bid(job: Job) -> Job:
    await job.bid(f"maker-{job.id[-8:]}", 30_000)
    return job


async def test_an_award_sent_twice_with_one_key_is_one_award(house: House) -> None:
    job = await Job.selecting(house, 30_000)
    path, key = f"/v1/tenders/{job.id}/award", uuid.uuid4().hex
    body = job.award_body(job.makers[0], 30_000)

    async def send() -> Any:
        return await house.call("POST", path, by=job.buyer, key=key, json=body)

    answers = [*await asyncio.gather(send(), send()), await send()]
    assert [answer.status_code for answer in answers] == [200] * 3
    assert {answer.json()["phase"] for answer in answers} == {"awarded"}
    assert job.outcomes() == ["offered"]


async def test_approving_and_disputing_at_once_does_one_of_them(house: House) -> None:
    job = await Job.working(house, 30_000)
    await job.shown(1)
    answers = await asyncio.gather(
        job.try_on(1, "approve", job.buyer),
        job.try_on(1, "approve", job.buyer),
        job.try_on(1, "dispute", job.worker, note="Slow"),
    )
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409]
    if (await job.now())["phase"] == "in_progress":
        await job.on(1, "rule", "admin", worker_amount=30_000, note="Approved anyway")
    await job.ended(
        "completed",
        paid_in("deposit:buyer", DEPOSIT),
        paid_in("escrow:tender", 30_000),
        released(30_000),
        sent_back("deposit:buyer", DEPOSIT),
    )
