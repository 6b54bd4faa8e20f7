"""What payees state for tax offices, and the figures of past quarters, written down."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from db.tables import PayoutDestination, TaxProfileRow, TaxQuarter, User
from domain.tax import Figures, Quarter


async def keep_profile(session: AsyncSession, row: TaxProfileRow) -> TaxProfileRow:
    """Replaces what the payee stated before."""
    kept = await session.merge(row)
    kept.updated_at = (await session.execute(select(func.now()))).scalar_one()
    await session.flush()
    return kept


async def profile(session: AsyncSession, user_id: str) -> TaxProfileRow | None:
    """What the payee has stated."""
    return await session.get(TaxProfileRow, user_id)


async def profiles(session: AsyncSession, user_ids: Sequence[str]) -> dict[str, TaxProfileRow]:
    """The same of several."""
    rows = await session.scalars(select(TaxProfileRow).where(TaxProfileRow.user_id.in_(user_ids)))
    return {row.user_id: row for row in rows}


async def people(session: AsyncSession, user_ids: Sequence[str]) -> dict[str, User]:
    """Their accounts here."""
    rows = await session.scalars(select(User).where(User.id.in_(user_ids)))
    return {row.id: row for row in rows}


async def destinations(
    session: AsyncSession, user_ids: Sequence[str]
) -> dict[tuple[str, str], PayoutDestination]:
    """Where their money goes, by user and currency: the newest that is, or was, in use."""
    rows = await session.scalars(
        select(PayoutDestination)
        .where(PayoutDestination.user_id.in_(user_ids))
        .order_by(PayoutDestination.created_at, PayoutDestination.id)
    )
    return {(row.user_id, row.currency): row for row in rows}


async def write_down(
    session: AsyncSession, user_id: str, quarter: Quarter, figures: Sequence[Figures]
) -> None:
    """Writes a payee's figures down for good; what is written already stays."""
    await session.execute(
        insert(TaxQuarter)
        .values(
            [
                {
                    "user_id": user_id,
                    "year": quarter.year,
                    "quarter": quarter.number,
                    "currency": each.currency,
                    "figures": each.model_dump(mode="json"),
                }
                for each in figures
            ]
        )
        .on_conflict_do_nothing()
    )
