"""Journal entries per second, against pgbench doing the same inserts and updates, and against django-hordak.

All on one server, in turns. An entry has two postings and is written in a transaction of its own. *Spread*: it moves money
between two accounts out of a pool that no other entry of the moment uses, but by chance; *hot*: one of the two is the same
for all.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from db.engine import Database
from domain import postings
from domain.postings import JournalEntry
from ledger import journal
from tests.bench import hordak, plain
from tests.bench.figures import Figure
from tests.bench.ground import running_database

SECONDS = 2
"""Of one turn."""
TURNS = 3
PAIRS = 1_000
CONNECTIONS = (1, 4, 16)
GOALS = {"spread": 0.6, "hot": 0.5}
HORDAK_TIMES = 5
_HOT = "hot"


def measure() -> list[Figure]:
    """Entries per second with 1, 4 and 16 connections."""
    with running_database() as (server, folder):
        plain.prepare(server.url, PAIRS)
        asyncio.run(_prepare(server.url))
        hordak_url = hordak.prepare(server, PAIRS)
        return [*_against_plain(server.url, folder), *_against_hordak(server.url, hordak_url)]


def _against_plain(url: str, folder: Path) -> Iterator[Figure]:
    for kind, goal in GOALS.items():
        script = plain.script(folder, PAIRS, hot=kind == _HOT)
        for connections in CONNECTIONS:

            def ours(connections: int = connections, kind: str = kind) -> float:
                return asyncio.run(_journal(url, connections, hot=kind == _HOT))

            def theirs(connections: int = connections, script: Path = script) -> float:
                return plain.rate(url, script, connections, SECONDS)

            name = f"ledger entries/s, {kind}, {connections} connections, against pgbench"
            yield _in_turns(name, ours, theirs, goal)


def _against_hordak(url: str, hordak_url: str) -> Iterator[Figure]:
    for connections in CONNECTIONS:

        def ours(connections: int = connections) -> float:
            return asyncio.run(_journal(url, connections, hot=False))

        def theirs(connections: int = connections) -> float:
            return hordak.rate(hordak_url, connections, SECONDS)

        name = f"ledger entries/s, spread, {connections} connections, against django-hordak"
        yield _in_turns(name, ours, theirs, HORDAK_TIMES)


def _in_turns(
    name: str, ours: Callable[[], float], theirs: Callable[[], float], goal: float
) -> Figure:
    """The medians of turns that the two sides take one after the other, so that the machine is the same for both."""
    turns = [(ours(), theirs()) for _ in range(TURNS)]
    us, them = (statistics.median(each) for each in zip(*turns, strict=True))
    return Figure(name=name, ours=us, yardstick=them, goal=goal)


async def _prepare(url: str) -> None:
    """The accounts of the pool exist before anything is measured, as do those of the other side."""
    database = Database(url, 1)
    async with database.transaction() as session:
        opened = [_entry(number, hot=hot) for number in range(PAIRS) for hot in (False, True)]
        await journal.post(session, *opened)
    await database.aclose()


def _entry(number: int, *, hot: bool) -> JournalEntry:
    """Money of one pair of accounts, or of the hot one and one of a pair."""
    provider, path = _HOT if hot else f"p{number}", f"sal_{number}"
    return postings.fund(f"{uuid.uuid4()}/fund", path, provider, 100, "CNY")


async def _journal(url: str, connections: int, *, hot: bool) -> float:
    """Entries per second of as many tasks as connections."""
    database = Database(url, connections)
    # A connection that is opened is not measured.
    await asyncio.gather(*(database.ping() for _ in range(connections)))
    began = time.monotonic()

    async def work() -> int:
        written = 0
        while time.monotonic() - began < SECONDS:
            async with database.transaction() as session:
                await journal.post(session, _entry(random.randrange(PAIRS), hot=hot))
            written += 1
        return written

    try:
        written = await asyncio.gather(*(work() for _ in range(connections)))
        return sum(written) / (time.monotonic() - began)
    finally:
        await database.aclose()
