"""Listings."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import exists, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from db.tables import Listing, Reservation


async def now(session: AsyncSession) -> datetime:
    """The database's clock."""
    return (await session.scalars(select(func.now()))).one()


async def get(session: AsyncSession, listing_id: str) -> Listing | None:
    """The listing with this id."""
    return await session.get(Listing, listing_id)


async def locked(session: AsyncSession, listing_id: str) -> Listing | None:
    """The listing with this id, locked until the transaction ends."""
    return await session.get(Listing, listing_id, with_for_update=True)


async def add(session: AsyncSession, listing: Listing) -> Listing:
    """Writes the listing down and reads back what the database filled in."""
    session.add(listing)
    return await saved(session, listing)


async def saved(session: AsyncSession, listing: Listing) -> Listing:
    """The listing as the database has it after the changes made so far."""
    await session.flush()
    await session.refresh(listing)
    return listing


async def has_open_reservation(session: AsyncSession, listing_id: str) -> bool:
    """Whether a sale that has not ended holds pieces of the listing."""
    found = await session.scalar(
        select(
            exists().where(Reservation.listing_id == listing_id, Reservation.state == "reserved")
        )
    )
    return bool(found)


async def page(
    session: AsyncSession,
    *,
    seller_id: str | None,
    only_on_sale: bool,
    after: str | None,
    limit: int,
) -> Sequence[Listing]:
    """Up to `limit` listings, newest first, after the listing with that id."""
    query = select(Listing).order_by(Listing.id.desc()).limit(limit)
    if only_on_sale:
        query = query.where(Listing.on_sale)
    if seller_id is not None:
        query = query.where(Listing.seller_id == seller_id)
    if after is not None:
        query = query.where(Listing.id < after)
    return (await session.scalars(query)).all()
