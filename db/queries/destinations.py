"""Payout destinations."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from db.tables import PayoutDestination, User


async def replace(session: AsyncSession, new: PayoutDestination) -> PayoutDestination:
    """Writes the destination down as the user's active one for its currency, instead of the one before."""
    # Two at once would both find nothing to replace; the user row puts them in order.
    await session.get_one(User, new.user_id, with_for_update=True)
    await session.execute(
        update(PayoutDestination)
        .where(
            PayoutDestination.user_id == new.user_id,
            PayoutDestination.currency == new.currency,
            PayoutDestination.status == "active",
        )
        .values(status="replaced")
    )
    session.add(new)
    await session.flush()
    await session.refresh(new)
    return new


async def page(
    session: AsyncSession, user_id: str, after: str | None, limit: int
) -> Sequence[PayoutDestination]:
    """Up to `limit` destinations of the user, newest first, after the one with that id."""
    query = (
        select(PayoutDestination)
        .where(PayoutDestination.user_id == user_id)
        .order_by(PayoutDestination.id.desc())
        .limit(limit)
    )
    if after is not None:
        query = query.where(PayoutDestination.id < after)
    return (await session.scalars(query)).all()
