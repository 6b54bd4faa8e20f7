"""What a path costs: history events, state transitions, bytes, database transactions, and paths/s beside a bare workflow.

Plays the happy path on a whole platform in this process: API over HTTP, worker, sandbox company. The bare workflow has as
many activities, local activities, timers, updates and signals, does nothing in them, and runs on the same servers.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import psycopg
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WithStartWorkflowOperation
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.worker import Worker

from domain.model import Message
from runtime.logging import configure
from tests.api.issuer import running_issuer
from tests.bench.bare import Bare, Work, nothing
from tests.bench.figures import Figure
from tests.replay import commands as replays
from tests.servers import Databases, running_postgres, running_temporal
from tests.stories.deals import Deal
from tests.stories.house import House, running_house
from tests.stories.money import destination, earned, payout_at, people, take_out
from worker.build import sandbox

PATHS = 16
AT_ONCE = 4
RATIO = 0.85
SALE_TO_RELEASE, PAYOUT = 45, 20
RECORDED: Mapping[str, tuple[str, int | None]] = {
    "contest_awarded": ("a contest with an objection, revisions and two prizes", 60),
    "contest_voted": ("a contest that the crowd decides", 60),
    "lot_settled": ("a lot with rework and an appeal", 60),
    "production_completed": ("a production order of two lots", None),
    "tender_done": ("a tender with two milestones", None),
    "campaign_stopped": ("a campaign that is stopped when a part is paid", None),
    "match_call_settled": ("a match call", None),
    "in_kind_claimed": ("a loan that is claimed", None),
    "ballot_child": ("a ballot", None),
    "return_offered": ("a return", None),
    "dispute_appealed": ("a dispute with an appeal", None),
    "order_paid": ("an order of several sellers", None),
}
"""By recording: what it is, and the most events that it may have. Whole courses, with what goes wrong in them."""
_WARM = 4
_REPORTED_SECONDS = 1.5
"""Servers report what they have committed a moment later."""


class Shape(Message):
    """What one workflow does: how often of each."""

    activities: int = 0
    local_activities: int = 0
    timers: int = 0
    updates: int = 0
    signals: int = 0


class Cost(Message):
    """Of one path."""

    events: int
    to_release: int
    transitions: int
    history_bytes: int
    shapes: tuple[Shape, ...]


def measure() -> list[Figure]:
    """What a sale and a payout cost, and sales per second beside bare workflows; what other paths cost, as recorded."""
    configure("ERROR")
    with ExitStack() as stack:
        server = stack.enter_context(running_postgres())
        url = stack.enter_context(Databases(server.url_of("postgres")).fresh())
        issuer = stack.enter_context(running_issuer())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="baigong-bench-")))

        async def played() -> list[Figure]:
            async with (
                running_temporal() as temporal,
                running_house(temporal.address, url, issuer, folder) as house,
            ):
                return [*await _sales(house), *await _payouts(house), *_recorded()]

        return asyncio.run(played())


async def _sales(house: House) -> list[Figure]:
    await _all(_WARM, lambda: _sale(house))
    before, began = _database(house), time.monotonic()
    deals = await _all(PATHS, lambda: _sale(house))
    rate = len(deals) / (time.monotonic() - began)
    after = await _written(house, before)
    costs = [
        await _cost(house, (f"sale-{deal.id}", f"payment-{deal.sale['payment']['id']}"))
        for deal in deals
    ]
    bare = await _bare_rate(house, costs[-1].shapes)
    return [
        Figure(
            name="sales/s, API and company in the same process, beside a bare workflow",
            ours=rate,
            yardstick=bare,
            goal=RATIO,
        ),
        Figure(
            name="events of a sale up to its release",
            ours=max(each.to_release for each in costs),
            yardstick=SALE_TO_RELEASE,
            goal=1.0,
            at_most=True,
        ),
        *_told("a sale with its payment", costs),
        Figure(name="database transactions of a sale", ours=after[0] / PATHS),
        Figure(name="bytes of rows of a sale", ours=after[1] / PATHS),
    ]


def _told(name: str, costs: Sequence[Cost]) -> list[Figure]:
    """What has no goal of its own, as means."""
    count = len(costs)
    return [
        Figure(name=f"events of {name}", ours=sum(each.events for each in costs) / count),
        Figure(
            name=f"state transitions of {name}",
            ours=sum(each.transitions for each in costs) / count,
        ),
        Figure(
            name=f"bytes of history of {name}",
            ours=sum(each.history_bytes for each in costs) / count,
        ),
    ]


def _recorded() -> list[Figure]:
    """Events and bytes of the other paths, as they stand in the recorded histories."""
    found = []
    for recording, (words, goal) in RECORDED.items():
        history = replays.history(recording)
        found.append(
            Figure(
                name=f"events of {words}",
                ours=len(history.events),
                yardstick=goal,
                goal=None if goal is None else 1.0,
                at_most=True,
            )
        )
        size = sum(each.ByteSize() for each in history.events)
        found.append(Figure(name=f"bytes of history of {words}", ours=size))
    return found


async def _sale(house: House) -> Deal:
    """From the order to the release, at the pace of people who see what happened before."""
    deal = await Deal.paid(house)
    await deal.told("paid")
    await deal.accept()
    number = await deal.ship()
    await house.scan(number, "delivered")
    await deal.told("delivered")
    await deal.act("confirm", deal.buyer)
    await house.workflow(f"sale-{deal.id}").result()
    return deal


async def _payouts(house: House) -> list[Figure]:
    _, seller = people()
    await earned(house, seller)
    await destination(house, seller)
    payout = await take_out(house, seller)
    await payout_at(house, payout, "paid", by=seller)
    await house.workflow(f"payout-{payout['id']}").result()
    cost = await _cost(house, (f"payout-{payout['id']}",))
    goal = Figure(
        name="events of a payout", ours=cost.events, yardstick=PAYOUT, goal=1.0, at_most=True
    )
    return [goal, *_told("a payout", [cost])[1:]]


async def _all(count: int, play: Callable[[], Awaitable[Deal]]) -> list[Deal]:
    """So many paths, some of them at a time."""
    turn = asyncio.Semaphore(AT_ONCE)

    async def one() -> Deal:
        async with turn:
            return await play()

    return await asyncio.gather(*(one() for _ in range(count)))


async def _cost(house: House, workflow_ids: Iterable[str]) -> Cost:
    """Of all workflows of a path together; `to_release` is of the first."""
    events = transitions = size = 0
    released: list[int] = []
    shapes = []
    for workflow_id in workflow_ids:
        handle = house.workflow(workflow_id)
        await handle.result()
        info = (await handle.describe()).raw_description.workflow_execution_info
        history = list((await handle.fetch_history()).events)
        events += len(history)
        transitions += info.state_transition_count
        size += info.history_size_bytes
        kinds = Counter(event.event_type for event in history)
        done = EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED
        released.append(max(each.event_id for each in history if each.event_type == done))
        shapes.append(
            Shape(
                activities=kinds[done],
                local_activities=kinds[EventType.EVENT_TYPE_MARKER_RECORDED],
                timers=kinds[EventType.EVENT_TYPE_TIMER_STARTED],
                updates=kinds[EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED],
                signals=kinds[EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED],
            )
        )
    return Cost(
        events=events,
        to_release=released[0],
        transitions=transitions,
        history_bytes=size,
        shapes=tuple(shapes),
    )


async def _bare_rate(house: House, shapes: Sequence[Shape]) -> float:
    """Paths of bare workflows a second, as many at a time."""
    queue = f"bare-{uuid.uuid4().hex[:8]}"
    turn = asyncio.Semaphore(AT_ONCE)

    async def path() -> None:
        async with turn:
            for shape in shapes:
                await _bare(house.temporal, queue, shape)

    async with Worker(
        house.temporal,
        task_queue=queue,
        workflows=[Bare],
        activities=[nothing],
        workflow_runner=sandbox(),
    ):
        await asyncio.gather(*(path() for _ in range(_WARM)))
        began = time.monotonic()
        await asyncio.gather(*(path() for _ in range(PATHS)))
        return PATHS / (time.monotonic() - began)


async def _bare(client: Client, queue: str, shape: Shape) -> None:
    """One bare workflow, prompted one by one; its work is dealt out evenly."""
    prompts = shape.updates + shape.signals
    work = [
        Work(
            activities=_share(shape.activities, prompts, turn),
            local_activities=_share(shape.local_activities, prompts, turn),
            timers=_share(shape.timers, prompts, turn),
        )
        for turn in range(prompts)
    ]
    name = f"bare-{uuid.uuid4().hex}"
    handle = client.get_workflow_handle(name)
    if not shape.updates:
        await client.start_workflow(Bare.run, prompts, id=name, task_queue=queue)
    for turn, each in enumerate(work):
        if turn >= shape.updates:
            await handle.signal(Bare.tell, each)
        elif turn:
            await handle.execute_update(Bare.ask, each)
        else:
            start = WithStartWorkflowOperation(
                Bare.run,
                prompts,
                id=name,
                task_queue=queue,
                id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
            )
            await client.execute_update_with_start_workflow(
                Bare.ask, each, start_workflow_operation=start
            )
    await handle.result()


def _share(of: int, prompts: int, turn: int) -> int:
    """What falls to one prompt when `of` steps are dealt out."""
    return of * (turn + 1) // prompts - of * turn // prompts


def _database(house: House) -> tuple[int, int]:
    """Transactions committed and bytes taken up so far."""
    url = house.settings.require_database_url()
    with psycopg.connect(url, autocommit=True) as connection:
        found = connection.execute(
            "SELECT xact_commit, pg_database_size(datname) FROM pg_stat_database"
            " WHERE datname = current_database()"
        ).fetchone()
    assert found is not None
    return int(found[0]), int(found[1])


async def _written(house: House, before: tuple[int, int]) -> tuple[int, int]:
    """What was committed and written since; what the platform does when nobody asks is among it."""
    await asyncio.sleep(_REPORTED_SECONDS)
    after = _database(house)
    return after[0] - before[0], after[1] - before[1]
