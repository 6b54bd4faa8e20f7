"""Pieces in stock: reserved for a sale with an expiry, then sold or released, each exactly once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from db.queries.sales import listed_item
from db.tables import Listing, Reservation
from domain.sale import COUNTED_STOCK, ListedItem, SaleTerms, StockKind


async def lock_listings(session: AsyncSession, ids: Sequence[str]) -> list[ListedItem]:
    """The listings as they stand, locked in id order until the transaction ends; unknown ids are left out."""
    rows = await session.scalars(
        select(Listing).where(Listing.id.in_(ids)).order_by(Listing.id).with_for_update()
    )
    return [listed_item(row) for row in rows]


async def reserve(session: AsyncSession, terms: SaleTerms, expires_at: datetime) -> bool:
    """Takes all lines out of stock for this sale; False, and nothing taken, when a piece is gone."""
    locked = {
        item.listing_id: item
        for item in await lock_listings(session, [line.listing_id for line in terms.lines])
    }
    for line in terms.lines:
        item = locked[line.listing_id]
        if item.stock_kind in COUNTED_STOCK and item.stock < line.quantity:
            return False
    for line in terms.lines:
        await _take(session, line.listing_id, -line.quantity, line.stock_kind)
        await session.merge(
            Reservation(
                sale_id=terms.sale_id,
                listing_id=line.listing_id,
                quantity=line.quantity,
                state="reserved",
                expires_at=expires_at,
            )
        )
    return True


async def release(session: AsyncSession, terms: SaleTerms) -> None:
    """Puts the reserved pieces back; pieces already released stay as they are."""
    ended = await _end(session, terms.sale_id, "released")
    for line in sorted(terms.lines, key=lambda each: each.listing_id):
        if line.listing_id in ended:
            await _take(session, line.listing_id, line.quantity, line.stock_kind)


async def sell(session: AsyncSession, sale_id: str) -> None:
    """The reserved pieces are gone for good."""
    await _end(session, sale_id, "sold")


async def _end(session: AsyncSession, sale_id: str, state: str) -> set[str]:
    ended = await session.scalars(
        update(Reservation)
        .where(Reservation.sale_id == sale_id, Reservation.state == "reserved")
        .values(state=state)
        .returning(Reservation.listing_id)
    )
    return set(ended)


async def _take(session: AsyncSession, listing_id: str, change: int, kind: StockKind) -> None:
    if kind in COUNTED_STOCK:
        await session.execute(
            update(Listing)
            .where(Listing.id == listing_id)
            .values(stock=Listing.stock + change)
            .execution_options(synchronize_session=False)
        )
