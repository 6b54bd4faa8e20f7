"""Sales and what belongs to them, as readers want them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from db.tables import Listing, Path, Payment, Refund, Sale
from domain.payments import RefundCause
from domain.sale import ListedItem, StockKind


@dataclass(frozen=True)
class SaleRows:
    """A sale with its path, its payment, and the refund with which it ended, if it did."""

    sale: Sale
    path: Path
    payment: Payment
    refund: Refund | None


async def sale(session: AsyncSession, sale_id: str) -> SaleRows | None:
    """The sale, or None."""
    found = await _rows(session, Sale.id == sale_id, limit=1)
    return found[0] if found else None


async def sales_of(
    session: AsyncSession,
    user_id: str,
    side: Literal["buyer", "seller"],
    after: str | None,
    limit: int,
) -> Sequence[SaleRows]:
    """A user's sales on one side, newest first, before the sale `after`."""
    mine = (Sale.buyer_id if side == "buyer" else Sale.seller_id) == user_id
    return await _rows(session, mine if after is None else mine & (Sale.id < after), limit=limit)


async def sales_of_orders(session: AsyncSession, order_ids: Sequence[str]) -> Sequence[SaleRows]:
    """The sales of these orders of several sellers, in the order in which they were made."""
    if not order_ids:
        return []
    found = await _rows(session, Sale.order_id.in_(order_ids), limit=50 * len(order_ids))
    return list(reversed(found))


async def _rows(
    session: AsyncSession, which: ColumnElement[bool], limit: int
) -> Sequence[SaleRows]:
    rows = await session.execute(
        select(Sale, Path, Payment, Refund)
        .join(Path, Path.id == Sale.id)
        .join(Payment, or_(Payment.path_id == Sale.id, Payment.path_id == Sale.order_id))
        .outerjoin(Refund, (Refund.path_id == Sale.id) & (Refund.cause == RefundCause.PATH))
        .where(which)
        .order_by(Sale.id.desc())
        .limit(limit)
    )
    return [SaleRows(*row) for row in rows]


async def listed_items(session: AsyncSession, ids: Sequence[str]) -> list[ListedItem]:
    """The listings as the rules of a sale see them; unknown ids are left out."""
    rows = await session.scalars(select(Listing).where(Listing.id.in_(ids)))
    return [listed_item(row) for row in rows]


def listed_item(row: Listing) -> ListedItem:
    """A listing's row as the rules of a sale see it."""
    return ListedItem(
        listing_id=row.id,
        seller_id=row.seller_id,
        title=row.title,
        unit_price=row.unit_price,
        currency=row.currency,
        stock_kind=StockKind(row.stock_kind),
        stock=row.stock,
        lead_days=row.lead_days,
        available_from=row.available_from,
        royalty_basis_points=row.royalty_basis_points,
        royalty_sku=row.royalty_sku,
        delivery=tuple(row.delivery),
        on_sale=row.on_sale,
    )
