"""How long the API's answers take: reads at a fixed rate while sales are made, and how many there are a second at most."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Iterator, Sequence

from domain.campaign import Phase
from tests.bench.figures import Figure
from tests.bench.load import Asked, Plan, Result, loaded
from tests.bench.market import LAMP, SELLER, Market, running_market
from tests.stories.crowd import campaign

SALES = 50
"""Open before anything is measured."""
RATE = 200
SECONDS = 20
SALES_MEANWHILE = 40
P99_MILLISECONDS = 25
CONNECTIONS = 16
AT_MOST = 3_000
"""Reads of the measurement without a rate."""
WRITTEN = 400
BUYERS = 10


def measure() -> list[Figure]:
    """Percentiles of reads at 200 a second; reads and writes per second at most."""
    return asyncio.run(_measure())


async def _measure() -> list[Figure]:
    async with running_market() as market:
        await market.open_sales(SALES, BUYERS)
        reads = itertools.cycle(await _reads(market))
        # What is asked for the first time in a process is not measured.
        await _asked(market, list(itertools.islice(reads, 300)))
        paced, _ = await asyncio.gather(
            _asked(market, list(itertools.islice(reads, RATE * SECONDS)), RATE, 64),
            market.open_sales(SALES_MEANWHILE, BUYERS),
        )
        fast = await _asked(market, list(itertools.islice(reads, AT_MOST)))
        listed = [market.writes("/v1/listings", SELLER, json.dumps(LAMP)) for _ in range(WRITTEN)]
        writes = await _asked(market, listed)
        placed = await _asked(market, list(itertools.islice(_orders(market), WRITTEN // 4)))
    return [
        *_percentiles(f"reads at {RATE}/s while sales are made", paced, P99_MILLISECONDS),
        Figure(name="reads/s at most", ours=fast.rate),
        *_percentiles("reads at most", fast),
        Figure(name="writes/s at most: listings", ours=writes.rate),
        *_percentiles("writes: listings", writes),
        Figure(name="writes/s at most: sales placed, with their workflows", ours=placed.rate),
        *_percentiles("writes: sales placed", placed),
    ]


async def _asked(
    market: Market, requests: Sequence[Asked], rate: float | None = None, more: int = CONNECTIONS
) -> Result:
    plan = Plan(port=market.port, connections=more, requests=requests, rate=rate)
    return (await loaded(plan)).require_success()


def _percentiles(name: str, found: Result, p99: float | None = None) -> Iterator[Figure]:
    for percent in (50, 95):
        yield Figure(name=f"p{percent} ms of {name}", ours=found.percentile(percent))
    yield Figure(
        name=f"p99 ms of {name}",
        ours=found.percentile(99),
        yardstick=p99,
        goal=None if p99 is None else 1.0,
        at_most=True,
    )


async def _reads(market: Market) -> list[Asked]:
    """A mixture of what people look at."""
    buyers = [f"buyer{number}" for number in range(BUYERS)]
    brief = {
        "title": "A mark for a tea house",
        "brief": "Ink and bamboo.",
        "bounty": {"amount": 100_000, "currency": "CNY"},
    }
    contest = (await market.post("/v1/contests", SELLER, brief))["id"]
    live = campaign(market.url, Phase.LIVE, provider="instant").campaign_id
    found = []
    for buyer in buyers:
        own = await market.http.get("/v1/sales", headers=market.headers(buyer))
        sale = own.raise_for_status().json()["items"][0]["id"]
        found += [
            market.reads(f"/v1/sales/{sale}", buyer),
            market.reads(f"/v1/sales/{sale}/deadlines", buyer),
            market.reads(f"/v1/sales/{sale}/timeline", buyer),
            market.reads("/v1/sales?limit=20", buyer),
            market.reads(f"/v1/contests/{contest}", SELLER),
            market.reads(f"/v1/campaigns/{live}", buyer),
            market.reads("/v1/me/balances", SELLER),
            market.reads(f"/v1/listings/{market.listing}", buyer),
            market.reads("/v1/listings?limit=20", buyer),
            market.reads("/v1/me", buyer),
        ]
    return found


def _orders(market: Market) -> Iterator[Asked]:
    lines = [{"listing_id": market.listing, "quantity": 1}]
    body = json.dumps({"lines": lines, "made_to_order_confirmed": True})
    for number in itertools.count():
        yield market.writes("/v1/sales", f"buyer{number % BUYERS}", body)
