"""Production orders, as readers want them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import exists, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from db import production_rows
from db.tables import LedgerAccount, Lot, Path, PathEvent, Payment, ProductionOrder, User
from domain.deadlines import Deadline
from domain.production import Event, Phase
from domain.production_deadlines import as_of_now

Which = Literal["open", "requester", "maker", "inspector"]


@dataclass(frozen=True)
class OrderRows:
    """A production order and what belongs to it."""

    order: ProductionOrder
    path: Path
    payment: Payment | None


async def order(session: AsyncSession, order_id: str) -> OrderRows | None:
    """The order, or None."""
    row = (
        await session.execute(
            select(ProductionOrder, Path, Payment)
            .join(Path, Path.id == ProductionOrder.id)
            .outerjoin(Payment, Payment.id == ProductionOrder.payment_id)
            .where(ProductionOrder.id == order_id)
        )
    ).first()
    return OrderRows(*row) if row else None


async def page(
    session: AsyncSession, user_id: str, which: Which, after: str | None, limit: int
) -> Sequence[OrderRows]:
    """Orders of which units can be claimed, or those of a user in one part; newest first, before the order `after`."""
    query = select(ProductionOrder, Path).join(Path, Path.id == ProductionOrder.id)
    match which:
        case "open":
            query = query.where(
                Path.kind == "production",
                Path.phase == Phase.PUBLISHED,
                Path.paused_at.is_(None),
                ProductionOrder.open > 0,
            )
        case "requester":
            query = query.where(ProductionOrder.requester_id == user_id)
        case "maker":
            query = query.where(
                exists().where(
                    Lot.order_id == ProductionOrder.id,
                    or_(Lot.maker_id == user_id, Lot.broker_id == user_id),
                )
            )
        case "inspector":
            query = query.where(
                ProductionOrder.certifier_id == user_id,
                # Until it is published an order is its requester's alone.
                exists().where(PathEvent.path_id == Path.id, PathEvent.kind == Event.FUNDED),
            )
    if after is not None:
        query = query.where(ProductionOrder.id < after)
    rows = await session.execute(query.order_by(ProductionOrder.id.desc()).limit(limit))
    return [OrderRows(row, path, None) for row, path in rows]


async def was_published(session: AsyncSession, order_id: str) -> bool:
    """Whether the wages were ever paid in, so that everybody could see the order."""
    published = exists().where(PathEvent.path_id == order_id, PathEvent.kind == Event.FUNDED)
    return bool(await session.scalar(select(published)))


async def may_inspect(session: AsyncSession, user_id: str) -> bool:
    """Whether the user exists and is not frozen."""
    found = select(User.id).where(User.id == user_id, User.frozen_at.is_(None))
    return await session.scalar(found) is not None


async def timers_now(
    session: AsyncSession, order_id: str, running: Sequence[Deadline]
) -> tuple[Deadline, ...]:
    """The pending timers of an order with what they would post if they fired now."""
    row = await session.get_one(ProductionOrder, order_id, populate_existing=True)
    held = await session.scalar(
        select(func.coalesce(func.sum(LedgerAccount.balance), 0)).where(
            LedgerAccount.kind == "escrow", LedgerAccount.owner == order_id
        )
    )
    return as_of_now(production_rows.terms_of(row), running, int(held or 0), row.lots_running)
