"""Who may still write a row on a path: decided under the path's lock, by the phase and the database's clock.

What counts is when the request arrived. The database's clock minus the time the request has waited in this process is
that moment, so a crowd in the last second is not turned away because it had to queue; and a path closes only after a
grace in which what had arrived is written down.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from db.tables import Path
from domain.deadlines import Deadline
from domain.errors import NotFound, TooLate, WrongPhase


@dataclass(frozen=True)
class Arrival:
    """When a request reached this process, on a clock that only runs forward."""

    monotonic_seconds: float

    @property
    def waited_seconds(self) -> float:
        """How long the request has been here."""
        return max(0.0, time.monotonic() - self.monotonic_seconds)


@dataclass(frozen=True)
class Admitted:
    """The path, locked until the transaction ends, and when the request arrived by the database's clock."""

    path: Path
    at: datetime


async def admit(
    session: AsyncSession,
    path_id: str,
    arrival: Arrival,
    *,
    phases: Collection[str],
    deadline: str | None = None,
    alone: bool = False,
) -> Admitted:
    """Lets a row in while the path is in one of these phases and its `deadline`, if named, has not passed.

    Rows of several people are written side by side; closing the path waits for them, and they for it. With `alone`
    they come one after the other. Raises NotFound, WrongPhase, TooLate.
    """
    path = await session.scalar(
        select(Path)
        .where(Path.id == path_id)
        .with_for_update(read=not alone)
        # The path may have gone on while this waited for the lock.
        .execution_options(populate_existing=True)
    )
    if path is None:
        raise NotFound(f"there is no path {path_id}")
    at = await arrived_at(session, arrival)
    if path.phase not in phases or path.paused_at is not None:
        standing = "paused" if path.paused_at else path.phase
        raise WrongPhase(
            f"not possible while it is {standing}",
            field="phase",
            accepted=" or ".join(sorted(phases)),
        )
    closes_at = due_of(path, deadline) if deadline else None
    if closes_at is not None and at >= closes_at:
        raise TooLate(
            f"it closed at {closes_at.isoformat()}",
            field=deadline,
            accepted=f"before {closes_at.isoformat()}",
        )
    return Admitted(path=path, at=at)


async def arrived_at(session: AsyncSession, arrival: Arrival) -> datetime:
    """When the request arrived, by the database's clock."""
    found: datetime | None = await session.scalar(
        select(
            func.clock_timestamp() - func.make_interval(0, 0, 0, 0, 0, 0, arrival.waited_seconds)
        )
    )
    assert found is not None
    return found


def due_of(path: Path, name: str) -> datetime | None:
    """When the pending timer of this name fires; None when it is not running."""
    pending = (Deadline.model_validate(each) for each in path.deadlines)
    return next((each.due_at for each in pending if each.name == name), None)
