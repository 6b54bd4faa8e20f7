"""What is common to all paths: the people of a path, its deadlines and its timeline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import TypeAdapter
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from db.tables import Path, PathEvent, Sale
from domain.deadlines import Deadline

_DEADLINES = TypeAdapter(tuple[Deadline, ...])


@dataclass(frozen=True)
class Parties:
    """Whose path it is."""

    buyer_id: str
    seller_id: str


@dataclass(frozen=True)
class Pending:
    """What a path waits for."""

    phase: str
    deadlines: tuple[Deadline, ...]


async def parties(session: AsyncSession, path_id: str) -> Parties | None:
    """The people of the path, or None when there is no such path."""
    row = (
        await session.execute(select(Sale.buyer_id, Sale.seller_id).where(Sale.id == path_id))
    ).first()
    return Parties(buyer_id=row[0], seller_id=row[1]) if row else None


async def pending(session: AsyncSession, path_id: str) -> Pending:
    """The phase and the pending timers of an existing path."""
    row = (
        await session.execute(select(Path.phase, Path.deadlines).where(Path.id == path_id))
    ).one()
    return Pending(phase=row[0], deadlines=_DEADLINES.validate_python(row[1]))


async def timeline(
    session: AsyncSession, path_id: str, after: int | None, limit: int
) -> Sequence[PathEvent]:
    """Up to `limit` events of the path, oldest first, after the event of that number."""
    query = select(PathEvent).where(PathEvent.path_id == path_id)
    if after is not None:
        query = query.where(PathEvent.id > after)
    return (await session.scalars(query.order_by(PathEvent.id).limit(limit))).all()
