"""Lots and their materials, as readers want them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import ColumnElement, Select, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from db.tables import Lot, MaterialMove, Path, Payment, ProductionOrder
from domain.materials import Movement, Place

Which = Literal["maker", "broker", "requester", "inspector"]


@dataclass(frozen=True)
class LotRows:
    """A lot and what belongs to it."""

    lot: Lot
    path: Path
    order: ProductionOrder
    payment: Payment | None
    """Of the deposit."""


async def order(session: AsyncSession, order_id: str) -> ProductionOrder | None:
    """The production order, or None."""
    return await session.get(ProductionOrder, order_id)


async def lot(session: AsyncSession, lot_id: str) -> LotRows | None:
    """The lot, or None."""
    row = (await session.execute(_ROWS.where(Lot.id == lot_id))).first()
    return None if row is None else LotRows(*row)


async def page(
    session: AsyncSession, user_id: str, which: Which, after: str | None, limit: int
) -> Sequence[LotRows]:
    """The lots of a user on one side, newest first, before the lot `after`."""
    mine: dict[Which, ColumnElement[bool]] = {
        "maker": Lot.maker_id == user_id,
        "broker": Lot.broker_id == user_id,
        "requester": ProductionOrder.requester_id == user_id,
        "inspector": func.coalesce(ProductionOrder.certifier_id, ProductionOrder.requester_id)
        == user_id,
    }
    return await _page(session, mine[which], after, limit)


async def of_order(
    session: AsyncSession, order_id: str, maker_id: str | None, after: str | None, limit: int
) -> Sequence[LotRows]:
    """All lots of an order, or those of one maker or broker; newest first, before the lot `after`."""
    which = Lot.order_id == order_id
    if maker_id is not None:
        which &= or_(Lot.maker_id == maker_id, Lot.broker_id == maker_id)
    return await _page(session, which, after, limit)


async def running(session: AsyncSession, order_id: str, maker_id: str) -> int:
    """How many lots of the order the maker has that are not over."""
    found = await session.scalar(
        select(func.count())
        .select_from(Lot)
        .join(Path, Path.id == Lot.id)
        .where(Lot.order_id == order_id, Lot.maker_id == maker_id, Path.closed_at.is_(None))
    )
    return int(found or 0)


async def moves(
    session: AsyncSession, lot_id: str, after: int | None, limit: int
) -> Sequence[MaterialMove]:
    """Up to `limit` movements of the lot's materials, oldest first, after the one of that number."""
    query = select(MaterialMove).where(MaterialMove.lot_id == lot_id)
    if after is not None:
        query = query.where(MaterialMove.id > after)
    return (await session.scalars(query.order_by(MaterialMove.id).limit(limit))).all()


async def moved(session: AsyncSession, lot_id: str) -> list[Movement]:
    """All movements of the lot's materials, summed by material, source and target."""
    rows = await session.execute(
        select(
            MaterialMove.material,
            MaterialMove.source,
            MaterialMove.target,
            func.sum(MaterialMove.pieces),
        )
        .where(MaterialMove.lot_id == lot_id)
        .group_by(MaterialMove.material, MaterialMove.source, MaterialMove.target)
    )
    return [
        Movement(material=material, source=Place(source), target=Place(target), pieces=pieces)
        for material, source, target, pieces in rows
    ]


_ROWS: Select[Lot, Path, ProductionOrder, Payment | None] = (
    select(Lot, Path, ProductionOrder, Payment)
    .join(Path, Path.id == Lot.id)
    .join(ProductionOrder, ProductionOrder.id == Lot.order_id)
    .outerjoin(Payment, Payment.id == Lot.payment_id)
)


async def _page(
    session: AsyncSession, which: ColumnElement[bool], after: str | None, limit: int
) -> Sequence[LotRows]:
    query = _ROWS.where(which)
    if after is not None:
        query = query.where(Lot.id < after)
    rows = await session.execute(query.order_by(Lot.id.desc()).limit(limit))
    return [LotRows(*row) for row in rows]
