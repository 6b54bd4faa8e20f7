"""Whole campaigns of a thousand to a hundred thousand pledges: charged, decided, stopped and given back.

Measured are the story's history events, which must not grow with the pledges, refunds per second, the worker's memory,
and how long the pages of the largest campaign take. Worker and API are processes of their own; the payment company costs
nothing.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import psycopg
from temporalio.client import Client, WorkflowHandle

from db.engine import Database
from domain.campaign import CampaignTerms, Phase
from domain.campaign_messages import CampaignAct, CampaignStanding, CampaignStart
from domain.pledge import Method, PledgeState
from runtime.settings import settings
from runtime.temporal import connect
from tests.api.issuer import Issuer, running_issuer
from tests.bench import pages
from tests.bench.figures import Figure
from tests.bench.ground import running_database, running_part, settings_of
from tests.bench.pages import Timing
from tests.servers import free_port, running_temporal
from tests.stories.crowd import Crowd, campaign, crowd
from tests.waiting import eventually
from workflows.campaign import Campaign
from workflows.names import campaign_workflow_id

# A hundred thousand by hand: BAIGONG_BENCH_PLEDGES=1000,10000,100000.
SIZES = tuple(map(int, os.environ.get("BAIGONG_BENCH_PLEDGES", "1000,10000").split(",")))
REFUNDS_A_SECOND = 300
MEGABYTES = 350
"""Of the worker, at most."""
_PATIENCE_SECONDS = 1_800


def measure() -> list[Figure]:
    """Events per campaign by size, refunds per second, the worker's peak memory, and pages of the largest campaign."""
    with running_database() as (server, folder):
        return asyncio.run(_measure(server.url, folder))


async def _measure(url: str, folder: Path) -> list[Figure]:
    async with AsyncExitStack() as stack:
        temporal = await stack.enter_async_context(running_temporal())
        issuer = stack.enter_context(running_issuer())
        port = free_port()
        environment = settings_of(url, folder, port, issuer.url, temporal.address)
        stack.enter_context(running_part("api", environment))
        api = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False)
        await stack.enter_async_context(api)
        client = await connect(settings().model_copy(update={"temporal_address": temporal.address}))
        database = Database(url)
        stack.push_async_callback(database.aclose)
        ground = _Ground(client, database, url, issuer, api)
        worker = stack.enter_context(running_part("worker", environment))
        runs = [await _one(ground, size) for size in SIZES]
        peak = worker.peak_memory()
    return [*_events(runs), *_rates(runs), _memory(peak), *_pages(runs)]


@dataclass(frozen=True)
class _Ground:
    """What a run needs."""

    client: Client
    database: Database
    url: str
    issuer: Issuer
    api: httpx.AsyncClient


@dataclass(frozen=True)
class _Run:
    """What was seen of one campaign."""

    size: int
    events: int
    charged: float
    """Seconds from the deadline to the success; half of the pledges are cards."""
    returned: float
    """Seconds from the stop until everything is back."""
    pages: Sequence[Timing]


def _events(runs: list[_Run]) -> Iterator[Figure]:
    for run in runs:
        name = f"history events of a campaign of {run.size:,} pledges, against the smallest"
        yield Figure(name=name, ours=run.events, yardstick=runs[0].events, goal=1.1, at_most=True)


def _rates(runs: list[_Run]) -> Iterator[Figure]:
    for run in runs[1:] or runs:
        name = f"refunds/s of a campaign of {run.size:,} pledges, provider costs nothing"
        rate = run.size / run.returned
        yield Figure(name=name, ours=rate, yardstick=REFUNDS_A_SECOND, goal=1.0)


def _memory(peak: float) -> Figure:
    name = "peak megabytes of the worker"
    return Figure(name=name, ours=peak, yardstick=MEGABYTES, goal=1.0, at_most=True)


def _pages(runs: list[_Run]) -> Iterator[Figure]:
    largest = max(runs, key=lambda run: run.size)
    for timing in largest.pages:
        yield from timing.figures(largest.size)


async def _one(ground: _Ground, size: int) -> _Run:
    """One campaign from its review to the last refund."""
    url = ground.url
    made = campaign(url, Phase.DRAFT, provider="instant")
    story = await _live(ground.client, url, made)
    groups = {
        (PledgeState.SAVED, Method.CARD): size // 2,
        (PledgeState.FUNDED, Method.WALLET): size - size // 2,
    }
    await crowd(
        ground.database,
        url,
        made,
        groups,
        provider="instant",
        issuer=ground.issuer.url,
        lumped=True,
    )
    token = ground.issuer.token(made.ones[0].subject)
    timings = await pages.while_live(ground.api, made.campaign_id, token)
    began = time.monotonic()
    await _time_is_up(url, story, made.campaign_id)
    await _until(url, "SELECT phase = 'successful' FROM paths WHERE id = %s", made.campaign_id)
    charged = time.monotonic() - began
    began = time.monotonic()
    ban = CampaignAct(actor="operator", note="Stopped for the measurement")
    await story.execute_update(Campaign.ban, ban)
    await _until(url, "SELECT closed_at IS NOT NULL FROM paths WHERE id = %s", made.campaign_id)
    returned = time.monotonic() - began
    await story.result()
    events = len((await story.fetch_history()).events)
    page = f"/v1/campaigns/{made.campaign_id}"
    timings.append(await pages.timed(ground.api, "a stopped campaign's page", page, token))
    return _Run(size, events, charged, returned, timings)


async def _live(client: Client, url: str, made: Crowd) -> WorkflowHandle[Any, Any]:
    """The story of a campaign that has been approved."""
    story = await client.start_workflow(
        Campaign.run,
        CampaignStart(campaign_id=made.campaign_id, creator_id=made.creator_id),
        id=campaign_workflow_id(made.campaign_id),
        task_queue=settings().temporal_task_queue,
    )
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT terms FROM campaigns WHERE id = %s", (made.campaign_id,)
        ).fetchone()
    assert row is not None
    rules = CampaignTerms.model_validate(row[0]).rules
    creator = CampaignAct(actor="initiator", user_id=made.creator_id, rules=rules)
    await story.execute_update(Campaign.submit, creator)
    await story.execute_update(Campaign.approve, CampaignAct(actor="operator"))
    return story


async def _time_is_up(url: str, story: WorkflowHandle[Any, Any], campaign_id: str) -> None:
    """The deadline is now."""
    seen = CampaignStanding.model_validate((await story.query("watch"))["standing"])
    moved = tuple(each.model_copy(update={"due_at": datetime.now(UTC)}) for each in seen.deadlines)
    told = json.dumps([each.model_dump(mode="json") for each in moved])
    with psycopg.connect(url) as connection:
        connection.execute(
            "UPDATE paths SET deadlines = %s::jsonb WHERE id = %s", (told, campaign_id)
        )
    await story.signal("told", seen.model_copy(update={"deadlines": moved}))


async def _until(url: str, query: str, campaign_id: str) -> None:
    def there() -> bool:
        with psycopg.connect(url) as connection:
            row = connection.execute(query.encode(), (campaign_id,)).fetchone()
        return bool(row and row[0])

    await eventually(there, within_seconds=_PATIENCE_SECONDS)
