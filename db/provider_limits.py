"""One rate for all workers together: how many calls a second batches make to one endpoint of a payment company."""

from __future__ import annotations

import asyncio

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from db.engine import Database

_TURNS_A_SECOND = 5
"""Into how many parts a second is cut: a worker books so many calls at a time and makes them at once."""


async def reserve(
    session: AsyncSession, provider: str, endpoint: str, calls: int, per_second: int
) -> float:
    """How many seconds to wait before so many calls may begin, by the database's clock; 0 per second is no limit.

    What nobody used in the past is lost: calls never pile up into a burst. Use a transaction of its own, since all
    workers meet at the endpoint's row.
    """
    if per_second == 0:
        return 0.0
    wait = await session.scalar(
        _RESERVE,
        {"provider": provider, "endpoint": endpoint, "calls": calls, "per_second": per_second},
    )
    return max(0.0, float(wait or 0))


# next_at is when the call after the booked ones may begin; the booked ones may begin that much earlier.
_RESERVE = text("""
    INSERT INTO provider_limits AS ours (provider, endpoint, next_at)
    VALUES (:provider, :endpoint,
        clock_timestamp() + make_interval(secs => CAST(:calls AS float8) / :per_second))
    ON CONFLICT (provider, endpoint) DO UPDATE SET next_at =
        greatest(ours.next_at, clock_timestamp())
        + make_interval(secs => CAST(:calls AS float8) / :per_second)
    RETURNING extract(epoch FROM ours.next_at - clock_timestamp())
        - CAST(:calls AS float8) / :per_second
""")


class Paces:
    """Turns for the calls of one process; every process asks the same database for its share of the rate."""

    def __init__(self, database: Database, per_second: int) -> None:
        self.database = database
        self.per_second = per_second
        self._locks: dict[tuple[str, str], asyncio.Lock] = {}
        self._booked: dict[tuple[str, str], int] = {}

    async def turn(self, provider: str, endpoint: str) -> None:
        """Returns when one call to this endpoint may begin; calls get their turns in the order in which they ask."""
        if self.per_second == 0:
            return
        key = (provider, endpoint)
        async with self._locks.setdefault(key, asyncio.Lock()):
            if not self._booked.get(key):
                calls = max(1, self.per_second // _TURNS_A_SECOND)
                async with self.database.transaction() as session:
                    wait = await reserve(session, provider, endpoint, calls, self.per_second)
                await asyncio.sleep(wait)
                self._booked[key] = calls
            self._booked[key] -= 1
