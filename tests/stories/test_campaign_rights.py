"""Who may act on a campaign and when: every act by everybody, and every act in every phase."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.api.client import assert_problem
from tests.stories.funds import PRICE, Fund, paid_in, sent_back, tier
from tests.stories.house import House, Json
from tests.stories.test_campaign import decline
from tests.waiting import eventually

ACTS = {
    "submit": "creator",
    "approve": "operator",
    "send-back": "operator",
    "withdraw": "creator",
    "cancel": "creator",
    "ban": "operator",
}
"""Each act and somebody who may do it."""
MAY = """
                creator backer operator stranger
    submit      409     403    403      403
    approve     403     403    409      403
    send-back   403     403    409      403
    withdraw    409     403    403      403
    cancel      ok      403    403      403
    ban         403     403    ok       403
    items       ok      403    403      403
"""


def body_of(act: str) -> Json:
    """A body the API accepts for this act."""
    if act == "items":
        return tier("One more")
    return {"note": "Why"} if act in ("send-back", "ban") else {}


def player(fund: Fund, role: str) -> str:
    """Who plays this role."""
    return {
        "creator": fund.creator,
        "backer": fund.backers[0] if fund.backers else f"backer-{fund.id[-8:]}",
        "operator": "admin",
        "stranger": f"stranger-{fund.id[-8:]}",
    }[role]


async def assert_only(fund: Fund, *possible: str) -> None:
    """Everything but what is possible now is refused, and nothing happens."""
    before, moves = await fund.timeline(), fund.postings()
    for act, role in ACTS.items():
        if act in possible:
            continue
        answer = await fund.try_to(act, player(fund, role), **body_of(act))
        problem = assert_problem(answer, 409, "wrong_phase")
        assert problem["field"] == "phase", (act, problem)
    assert (await fund.timeline(), fund.postings()) == (before, moves)


async def test_every_act_by_everybody(house: House) -> None:
    fund = await Fund.live(house)
    await fund.backed_by("card")
    columns, *rows = MAY.strip().splitlines()
    for row in rows:
        act, *cells = row.split()
        for role, expected in zip(columns.split(), cells, strict=True):
            if expected == "ok":
                continue
            answer = await fund.try_to(act, player(fund, role), **body_of(act))
            code = "forbidden" if expected == "403" else "wrong_phase"
            assert_problem(answer, int(expected), code)
        nobody = await house.http.post(
            f"/v1/campaigns/{fund.id}/{act}",
            json=body_of(act),
            headers={"Idempotency-Key": uuid.uuid4().hex},
        )
        assert_problem(nobody, 401, "unauthenticated")
    change: Json = {"on_sale": False}
    path = f"/v1/campaigns/{fund.id}/items/1"
    for role in ("backer", "operator", "stranger"):
        refused = await house.call("PATCH", path, by=player(fund, role), json=change)
        assert_problem(refused, 403, "forbidden")
    redrafted = await house.call(
        "PUT", f"/v1/campaigns/{fund.id}", by=player(fund, "stranger"), json={}
    )
    assert redrafted.status_code in (403, 422)
    assert (await fund.timeline())[-1] == "approved by operator"
    await fund.act("ban", "admin", note="A copy")
    await fund.ended("cancelled")
    await assert_only(fund)


async def test_every_act_in_every_phase(house: House) -> None:
    starts_at = datetime.now(UTC) + timedelta(days=1)
    fund = await Fund.submitted(house, goal=3 * PRICE, starts_at=starts_at.isoformat())
    await assert_only(fund, "approve", "send-back", "withdraw", "ban")
    await fund.act("send-back", "admin", note="Mend it")
    await assert_only(fund, "submit", "withdraw")
    await fund.act("submit", fund.creator)
    await fund.act("approve", "admin")
    await assert_only(fund, "withdraw", "ban")
    await fund.let_pass(86_400)
    await fund.until("live")
    await assert_only(fund, "cancel", "ban")
    unlucky, *_ = await fund.backed_by("card", "wallet")
    slow = await fund.pledge("slow", method="bank")
    await decline(house, unlucky, fund, times=1)
    await fund.close()
    await fund.until("waiting_funds")
    await assert_only(fund, "cancel", "ban")
    await fund.press(slow)
    await fund.until("collecting")

    async def errored() -> bool:
        return "errored" in fund.states()

    await eventually(errored)
    await assert_only(fund, "cancel", "ban")
    await fund.act("cancel", fund.creator, note="Enough")
    await fund.ended(
        "cancelled", paid_in(PRICE), paid_in(PRICE), sent_back(PRICE), sent_back(PRICE)
    )
    await assert_only(fund)


async def test_a_submission_sent_twice_with_one_key_is_one(house: House) -> None:
    fund = await Fund.drafted(house)
    path, key = f"/v1/campaigns/{fund.id}/submit", uuid.uuid4().hex

    async def send() -> Any:
        return await house.call("POST", path, by=fund.creator, key=key, json={})

    answers = [*await asyncio.gather(send(), send()), await send()]
    assert [answer.status_code for answer in answers] == [200] * 3
    assert await fund.timeline() == ["submitted by initiator"]
    await fund.act("withdraw", fund.creator)
    await fund.ended("cancelled")


async def test_cancelling_and_banning_at_once_does_one_of_them(house: House) -> None:
    fund = await Fund.live(house)
    await fund.backed_by("wallet")
    answers = await asyncio.gather(
        fund.try_to("cancel", fund.creator),
        fund.try_to("ban", "admin", note="A copy"),
        fund.try_to("cancel", fund.creator),
    )
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409]
    await fund.ended("cancelled", paid_in(PRICE), sent_back(PRICE))


async def test_the_story_stays_small_however_many_pledge(house: House) -> None:
    lengths = []
    for count in (1, 12):
        fund = await Fund.live(house, goal=PRICE)
        await fund.backed_by(*["card", "wallet"][:count] * max(1, count // 2))
        await fund.close()
        await fund.until("successful")
        lengths.append((await fund.story.describe()).history_length)
        assert len(await fund.timeline()) == 5
    few, many = lengths
    assert many <= few + 6 and many < 120, lengths
