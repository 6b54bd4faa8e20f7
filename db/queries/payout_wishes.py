"""When payees want their balances to leave by themselves."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from db.tables import PayoutWish


async def keep(session: AsyncSession, row: PayoutWish) -> PayoutWish:
    """Replaces what was wished for that currency before."""
    kept = await session.merge(row)
    kept.changed_at = (await session.execute(select(func.now()))).scalar_one()
    await session.flush()
    return kept


async def of_user(session: AsyncSession, user_id: str) -> Sequence[PayoutWish]:
    """The user's wishes, by currency."""
    rows = await session.scalars(
        select(PayoutWish).where(PayoutWish.user_id == user_id).order_by(PayoutWish.currency)
    )
    return rows.all()
