"""Payments, refunds and payouts, as readers want them."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from db.tables import Payee, Payment, Payout, Refund


async def payment(session: AsyncSession, payment_id: str) -> Payment | None:
    """The payment, or None."""
    return await session.get(Payment, payment_id)


async def refund(session: AsyncSession, refund_id: str) -> Refund | None:
    """The refund, or None."""
    return await session.get(Refund, refund_id)


async def payout(session: AsyncSession, payout_id: str) -> Payout | None:
    """The payout, or None."""
    return await session.get(Payout, payout_id)


async def payouts_of(
    session: AsyncSession, user_id: str, after: str | None, limit: int
) -> Sequence[Payout]:
    """A user's payouts, newest first, before the payout `after`."""
    mine = select(Payout).where(Payout.user_id == user_id)
    if after is not None:
        mine = mine.where(Payout.id < after)
    return (await session.scalars(mine.order_by(Payout.id.desc()).limit(limit))).all()


async def payee(session: AsyncSession, user_id: str, provider: str) -> Payee | None:
    """Somebody as this payment company knows them."""
    found: Payee | None = await session.scalar(
        select(Payee).where(Payee.user_id == user_id, Payee.provider == provider)
    )
    return found
