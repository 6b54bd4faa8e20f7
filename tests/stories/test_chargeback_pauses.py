"""A path of any kind stands still while the payer's bank has the money, and goes on with the time it had left.

The path here is of a kind of the test's own, so that only what all kinds share is seen.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy.ext.asyncio import AsyncSession
from temporalio.api.enums.v1 import EventType
from temporalio.service import RPCError

from activities.funding import HOOKS, PathHooks
from activities.losses import lost_entry
from activities.transitions import advance
from db.admission import Arrival, admit
from db.tables import Path, Payment
from domain import accounts, postings
from domain.chargebacks import Lost
from domain.deadlines import Deadline
from domain.errors import WrongPhase
from domain.ids import new_id
from domain.path import Standing
from domain.payments import Purpose, filled_account
from ledger import journal
from tests.providers.harness import payment_request
from tests.stories.chargebacks import (
    balance,
    borne,
    decided,
    in_dispute,
    opened,
    posted_by_chargebacks,
    story_of_chargeback,
    taken,
)
from tests.stories.deals import HOUR, people
from tests.stories.house import House, Json
from tests.stories.money import assert_sound, unheard
from tests.stories.test_second_looks import calls_operator
from tests.waiting import eventually

KIND = "craft"
BOUNTY = 10_000
FINAL = frozenset({"done"})
DUE = datetime(2030, 1, 1, tzinfo=UTC)


def hooks(**more: Any) -> PathHooks:
    """A kind of path that only chargebacks move."""
    sale = HOOKS["sale"]
    return PathHooks(sale.funded, sale.unfunded, sale.refunded, FINAL, **more)


@pytest.fixture(autouse=True)
def of_its_own_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kind exists, and has no treatment of its own for what is lost."""
    monkeypatch.setitem(HOOKS, KIND, hooks())


@pytest_asyncio.fixture
async def path(house: House) -> AsyncIterator[Json]:
    """A path with its bounty in escrow, and somebody who listens in its story's place."""
    made = await funded_path(house, Purpose.BOUNTY)
    story = await house.temporal.start_workflow(
        "Craft", id=made["workflow_id"], task_queue="nobody-works-here"
    )
    yield made
    with suppress(RPCError):
        await story.terminate("heard enough")


async def funded_path(house: House, purpose: Purpose) -> Json:
    """A path whose payment is captured, written past the API."""
    payer, _ = people()
    payer_id = (await house.get("/v1/me", by=payer))["id"]
    request = payment_request(BOUNTY)
    async with unheard(house):
        made = await house.sandbox.post(
            "/v1/payments",
            json=request.model_dump(),
            headers={"Idempotency-Key": request.operation_id},
        )
        reference = made.raise_for_status().json()["reference"]
        await house.pay({"payment": {"checkout_url": f"/pay/{reference}"}})
    path_id = new_id("crf")
    timers = [
        Deadline(name="entries", due_at=DUE, stopped_by=(), outcome="Closes.", event="closed"),
        Deadline(name="vote", due_at=DUE, stopped_by=(), outcome="Runs elsewhere."),
    ]
    async with house.database.transaction() as session:
        path = Path(
            id=path_id,
            kind=KIND,
            workflow_id=f"craft-{path_id}",
            initiator_id=payer_id,
            currency="CNY",
            phase="open",
            deadlines=[each.model_dump(mode="json") for each in timers],
        )
        session.add(path)
        await session.flush()
        payment = Payment(
            id=request.subject,
            path_id=path_id,
            payer_id=payer_id,
            provider="sandbox",
            operation_id=request.operation_id,
            reference=reference,
            amount=BOUNTY,
            currency="CNY",
            purpose=purpose,
            status="captured",
            expires_at=DUE,
            captured_at=DUE,
            settled_at=DUE,
        )
        session.add(payment)
        into = filled_account(purpose, path_id, payer_id)
        key = request.operation_id
        await journal.post(
            session,
            postings.fund(f"{key}/fund", path_id, "sandbox", BOUNTY, "CNY", into=into),
            postings.settle(f"{key}/settle", path_id, "sandbox", BOUNTY, 60, "CNY"),
        )
    return {
        "id": path_id,
        "workflow_id": f"craft-{path_id}",
        "payer_id": payer_id,
        "payment": {"id": request.subject},
    }


def state(house: House, path: Json) -> tuple[bool, dict[str, datetime]]:
    """Whether the path is paused, and when its timers fire."""
    [(paused, timers)] = house.sql(
        "SELECT paused_at IS NOT NULL, deadlines FROM paths WHERE id = %s", path["id"]
    )
    found = [Deadline.model_validate(each) for each in timers]
    return paused, {each.name: each.due_at for each in found}


async def heard(house: House, path: Json, *signals: str) -> list[Json]:
    """Waits until the path's story has heard exactly these signals; what each of them said."""

    async def all_of_them() -> tuple[list[Json]]:
        history = await house.workflow(path["workflow_id"]).fetch_history()
        events = [
            each.workflow_execution_signaled_event_attributes
            for each in history.events
            if each.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED
        ]
        assert [each.signal_name for each in events] == list(signals), events
        return ([json.loads(e.input.payloads[0].data) if e.input.payloads else {} for e in events],)

    [said] = await eventually(all_of_them)
    return said


async def enter(house: House, path: Json) -> None:
    """Somebody writes a row on the path."""
    async with house.database.transaction() as session:
        await admit(session, path["id"], Arrival(0), phases=["open"])


async def test_a_won_chargeback_gives_the_lost_time_back(house: House, path: Json) -> None:
    dispute = await opened(house, path)
    assert state(house, path) == (True, {"entries": DUE, "vote": DUE})
    await heard(house, path, "pause")
    with pytest.raises(WrongPhase, match="paused"):
        await enter(house, path)

    story = house.workflow(story_of_chargeback(path))
    await house.skipper.fast_forward(story, HOUR)
    await decided(house, dispute, won=True)
    [(began, ended)] = house.sql(
        "SELECT opened_at, ended_at FROM chargebacks WHERE reference = %s", dispute
    )
    assert ended - began >= timedelta(hours=1)
    # What other stories run has not stood still.
    assert state(house, path) == (False, {"entries": DUE + (ended - began), "vote": DUE})
    _, standing = await heard(house, path, "pause", "resume")
    assert standing["phase"] == "open"
    told = [Deadline.model_validate(each).due_at for each in standing["deadlines"]]
    assert told == [DUE + (ended - began), DUE]
    await enter(house, path)
    await story.result()
    assert balance(house, "escrow", path["id"]) == BOUNTY
    await assert_sound(house)


async def test_the_path_goes_on_when_the_last_of_several_is_won(house: House, path: Json) -> None:
    first = await opened(house, path, 3_000)
    second = await opened(house, path, 4_000)
    await decided(house, first, won=True)
    assert state(house, path) == (True, {"entries": DUE, "vote": DUE})
    await decided(house, second, won=True)
    paused, timers = state(house, path)
    [(began,), (_,)] = house.sql(
        "SELECT opened_at FROM chargebacks WHERE path_id = %s ORDER BY id", path["id"]
    )
    [(ended,)] = house.sql("SELECT ended_at FROM chargebacks WHERE reference = %s", second)
    assert (paused, timers["entries"]) == (False, DUE + (ended - began))
    await heard(house, path, "pause", "pause", "resume")


async def test_what_is_lost_without_a_treatment_leaves_the_path_to_the_operators(
    house: House, path: Json
) -> None:
    """Escrow pays; the path stays paused, also when another chargeback is won later."""
    await decided(house, await opened(house, path, 4_000), won=False)
    assert posted_by_chargebacks(house, path) == [*taken(4_000), *borne(4_000, escrow=4_000)]
    assert in_dispute(house, path) == 0
    await calls_operator(house, story_of_chargeback(path))
    await decided(house, await opened(house, path, 5_000), won=True)
    assert state(house, path)[0]
    await calls_operator(house, story_of_chargeback(path))
    await heard(house, path, "pause", "pause")
    await assert_sound(house)


async def ends(session: AsyncSession, path: Path, payment: Payment, lost: Lost) -> Standing:
    """A treatment: what is there pays, the payer owes the rest, and the path is over."""
    entry = await lost_entry(session, path, payment, lost, payee=payment.payer_id)
    await journal.post(session, entry)
    assert path.paused_at is None
    advance(
        session,
        path,
        key=lost.key,
        kind="bounty_lost",
        phase="done",
        actor="provider",
        summary="The bounty is gone",
        deadlines=(),
    )
    return Standing(path_id=path.id, phase="done", over=True)


async def test_a_treatment_ends_the_path(
    house: House, path: Json, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(HOOKS, KIND, hooks(lost=ends))
    await decided(house, await opened(house, path), won=False)
    assert posted_by_chargebacks(house, path)[-2:] == borne(BOUNTY, escrow=BOUNTY)
    _, standing = await heard(house, path, "pause", "resume")
    assert (standing["phase"], standing["over"]) == ("done", True)
    assert state(house, path) == (False, {})
    await house.workflow(story_of_chargeback(path)).result()
    await house.assert_at_zero(path)


async def test_a_payer_owes_what_was_released(
    house: House, path: Json, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What went to creators stays with them; the payer, who has it back, owes it."""
    monkeypatch.setitem(HOOKS, KIND, hooks(lost=ends))
    _, creator = people()
    creator_id = (await house.get("/v1/me", by=creator))["id"]
    async with house.database.transaction() as session:
        share = postings.Share(account=accounts.payable(creator_id), amount=6_000)
        await journal.post(session, postings.release(new_id("x"), path["id"], [share], "CNY"))
    await decided(house, await opened(house, path), won=False)
    assert posted_by_chargebacks(house, path)[-3:] == borne(BOUNTY, escrow=4_000, receivable=6_000)
    assert balance(house, "receivable", path["payer_id"]) == 6_000
    assert await house.payable(creator) == 6_000
    await house.assert_at_zero(path)


async def test_a_deposit_pays_for_itself(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(HOOKS, KIND, hooks(lost=ends))
    path = await funded_path(house, Purpose.DEPOSIT)
    await decided(house, await opened(house, path), won=False)
    assert posted_by_chargebacks(house, path)[-2:] == borne(BOUNTY, deposit=BOUNTY)
    await house.assert_at_zero(path)


async def test_after_the_end_nothing_is_paused(house: House, path: Json) -> None:
    house.sql("UPDATE paths SET phase = 'done', deadlines = '[]' WHERE id = %s", path["id"])
    dispute = await opened(house, path, 9_999)
    assert not state(house, path)[0]
    await decided(house, dispute, won=False)
    await house.workflow(story_of_chargeback(path)).result()
    await heard(house, path)
    assert balance(house, "escrow", path["id"]) == 1
