"""A jury whose vote cannot begin: nobody gets hold of its ballot, operators are called, and the appeal ends in time."""

from __future__ import annotations

import pytest

from db import juries
from domain.ballot_messages import BallotStart
from domain.ids import new_id
from tests.api.client import assert_problem
from tests.stories.house import House
from tests.stories.lots import deposit_back, deposit_kept, wages
from tests.stories.peers import is_open, worked_elsewhere
from tests.stories.test_inspection_appeals import PAID, REJECTED, UNITS, appealed
from tests.stories.test_second_looks import calls_operator
from tests.stories.workshop import ADMIN, DAY, RATE, Workshop, funded, returned
from workflows.ballot import Ballot

EASY = {
    "title": "Are they good?",
    "mode": "approval",
    "options": [{"label": "Yes"}, {"label": "No"}],
    "voting_seconds": 3 * DAY,
    "notice_seconds": DAY,
}


async def test_a_vote_that_cannot_begin(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    await worked_elsewhere(house)
    shop = await Workshop.published(house, units=2 * UNITS, lot_most=UNITS)
    ballots = [new_id("bal"), new_id("bal")]
    others = [
        await house.temporal.start_workflow(
            Ballot.run,
            BallotStart(ballot_id=each),
            id=f"ballot-{each}",
            task_queue=house.settings.temporal_task_queue,
        )
        for each in ballots
    ]
    named = iter(ballots)
    monkeypatch.setattr(juries, "new_id", lambda _: next(named))

    left = await appealed(shop, jury=True)
    await calls_operator(house, left.story)
    # It is a draft all the time, and the maker is its initiator.
    path = f"/v1/ballots/{ballots[0]}"
    assert (await house.get(path, left.maker))["phase"] == "draft"
    for method, verb, body in (("POST", "/open", {}), ("POST", "/cancel", {}), ("PUT", "", EASY)):
        answer = await house.call(method, f"{path}{verb}", by=left.maker, json=body)
        assert "another path" in assert_problem(answer, 403, "forbidden")["detail"]
    kept = house.sql("SELECT terms -> 'jury' FROM ballots WHERE id = %s", ballots[0])
    assert kept == [(True,)]
    await left.let_pass(5 * DAY + 1)
    await left.ended("settled", *PAID, wages(REJECTED), deposit_back(REJECTED))

    mended = await appealed(shop, jury=True)
    await calls_operator(house, mended.story)
    for other in others:
        await other.terminate("in the way")
    await house.workflow(mended.story).signal("wake")
    await is_open(house, ballots[1])
    await mended.act("rule", ADMIN, accepted=0, note="They break")
    await mended.ended("settled", *PAID, deposit_kept(REJECTED))
    await house.workflow(f"ballot-{ballots[1]}").result()
    await shop.ended("completed", funded(2 * UNITS * RATE), returned(REJECTED * RATE))
