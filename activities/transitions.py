"""What every transition of every path has in common: once by key, phase, deadlines, event, all in one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from pydantic import JsonValue
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from db.tables import Path, PathEvent
from domain.deadlines import Deadline
from domain.errors import NotFound


async def lock_path(session: AsyncSession, path_id: str) -> Path:
    """The path's row, locked until the transaction ends. Raises NotFound."""
    path = await session.scalar(select(Path).where(Path.id == path_id).with_for_update())
    if path is None:
        raise NotFound(f"there is no path {path_id}")
    return path


async def happened(session: AsyncSession, key: str) -> PathEvent | None:
    """The event of a transition that a former attempt has already committed."""
    return await session.scalar(select(PathEvent).where(PathEvent.key == key))


def advance(
    session: AsyncSession,
    path: Path,
    *,
    key: str,
    kind: str,
    phase: str,
    actor: str,
    summary: str,
    deadlines: Sequence[Deadline],
    closed_at: datetime | None = None,
    data: Mapping[str, JsonValue] | None = None,
) -> None:
    """Moves the locked path to `phase` and records the event; `deadlines` replace the former ones."""
    path.phase = phase
    path.deadlines = [deadline.model_dump(mode="json") for deadline in deadlines]
    path.closed_at = closed_at
    session.add(
        PathEvent(
            path_id=path.id,
            key=key,
            kind=kind,
            phase=phase,
            actor=actor,
            summary=summary,
            data=dict(data or {}),
        )
    )
