"""Megabytes of worker and API with many open paths: sales that were ordered and paid through the API and wait."""

from __future__ import annotations

import asyncio
import os

from tests.bench.figures import Figure
from tests.bench.market import Market, running_market

# Ten thousand by hand: BAIGONG_BENCH_OPEN=10000.
OPEN = int(os.environ.get("BAIGONG_BENCH_OPEN", "500"))
MEGABYTES = 350


def measure() -> list[Figure]:
    """What both processes hold at the end, and held at most."""
    return asyncio.run(_measure())


async def _measure() -> list[Figure]:
    async with running_market() as market:
        await market.open_sales(OPEN)
        return [figure for name in ("worker", "api") for figure in _of(market, name)]


def _of(market: Market, name: str) -> list[Figure]:
    part = market.worker if name == "worker" else market.api
    of = f"megabytes of the {name}, {OPEN:,} open sales"
    return [
        Figure(
            name=f"peak {of}",
            ours=part.peak_memory(),
            yardstick=MEGABYTES,
            goal=1.0,
            at_most=True,
        ),
        Figure(name=f"steady {of}", ours=part.memory()),
    ]
