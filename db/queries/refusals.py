"""Refused self-dealing."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from db.tables import SelfDealingRefusal
from domain.access import Action
from domain.people import Tie


async def record(
    session: AsyncSession,
    *,
    request_id: str | None,
    path_id: str | None,
    action: Action,
    user_id: str,
    tie: Tie,
) -> None:
    """Writes a refusal down, once by `request_id`."""
    await session.execute(
        insert(SelfDealingRefusal)
        .values(
            request_id=request_id,
            path_id=path_id,
            action=action.value,
            user_id=user_id,
            other_id=tie.other_id,
            tie=tie.kind.value,
        )
        .on_conflict_do_nothing(index_elements=[SelfDealingRefusal.request_id])
    )


async def page(
    session: AsyncSession, path_id: str | None, after: int | None, limit: int
) -> Sequence[SelfDealingRefusal]:
    """Up to `limit` refusals of one path or of all, newest first, before the one of that number."""
    query = select(SelfDealingRefusal).order_by(SelfDealingRefusal.id.desc()).limit(limit)
    if path_id is not None:
        query = query.where(SelfDealingRefusal.path_id == path_id)
    if after is not None:
        query = query.where(SelfDealingRefusal.id < after)
    return (await session.scalars(query)).all()
