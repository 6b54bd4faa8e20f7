"""Orders and their sales, as readers want them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, select
from sqlalchemy.ext.asyncio import AsyncSession

from db.queries import sales
from db.queries.sales import SaleRows
from db.tables import Order, Path, Payment
from domain.errors import NotFound
from domain.order import OrderTerms


@dataclass(frozen=True)
class OrderRows:
    """An order with its path, payment and sales."""

    order: Order
    path: Path
    payment: Payment
    sales: Sequence[SaleRows]


async def terms_of(session: AsyncSession, order_id: str) -> OrderTerms:
    """The frozen terms of an order. Raises NotFound."""
    found = await session.get(Order, order_id)
    if found is None:
        raise NotFound(f"there is no order {order_id}")
    return OrderTerms.model_validate(found.terms)


async def order(session: AsyncSession, order_id: str) -> OrderRows | None:
    """The order, or None."""
    found = await _rows(session, Order.id == order_id, limit=1)
    return found[0] if found else None


async def orders_of(
    session: AsyncSession, buyer_id: str, after: str | None, limit: int
) -> Sequence[OrderRows]:
    """A buyer's orders, newest first, before the order `after`."""
    mine = Order.buyer_id == buyer_id
    return await _rows(session, mine if after is None else mine & (Order.id < after), limit=limit)


async def _rows(
    session: AsyncSession, which: ColumnElement[bool], limit: int
) -> Sequence[OrderRows]:
    rows = await session.execute(
        select(Order, Path, Payment)
        .join(Path, Path.id == Order.id)
        .join(Payment, Payment.path_id == Order.id)
        .where(which)
        .order_by(Order.id.desc())
        .limit(limit)
    )
    found = rows.all()
    parts = await sales.sales_of_orders(session, [row.id for row, _, _ in found])
    return [
        OrderRows(row, path, payment, [each for each in parts if each.sale.order_id == row.id])
        for row, path, payment in found
    ]
