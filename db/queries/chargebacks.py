"""Chargebacks as people see them, and payers who are locked because of one."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import exists, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from db.queries import paths
from db.tables import Chargeback, Path, Payment, PaymentPart, Sale
from domain.access import Relation
from domain.chargebacks import ChargebackState


async def get(
    session: AsyncSession, chargeback_id: str, *, lock: bool = False
) -> Chargeback | None:
    """The chargeback with this id."""
    query = select(Chargeback).where(Chargeback.id == chargeback_id)
    return await session.scalar(query.with_for_update() if lock else query)


async def relations(session: AsyncSession, row: Chargeback, user_id: str) -> frozenset[Relation]:
    """What the user is to the paths that the payment is for; a campaign's other backers have no part in it."""
    parts = select(PaymentPart.path_id).where(PaymentPart.payment_id == row.payment_id)
    found: set[Relation] = set()
    for path_id in {row.path_id, *(await session.scalars(parts))}:
        seen = await paths.seen_by(session, path_id, user_id)
        found |= seen.relations if seen else frozenset()
    if await session.scalar(select(Payment.pledge_id).where(Payment.id == row.payment_id)):
        found -= {Relation.BACKER}
    return frozenset(found)


async def page(
    session: AsyncSession,
    *,
    reader: str | None,
    status: ChargebackState | None,
    path_id: str | None,
    before: str | None,
    limit: int,
) -> Sequence[Chargeback]:
    """Up to `limit` chargebacks, newest first: those of payments that `reader` made, or of what they began or sold."""
    query = select(Chargeback).order_by(Chargeback.id.desc()).limit(limit)
    if reader is not None:
        parts = select(PaymentPart.path_id).where(PaymentPart.payment_id == Chargeback.payment_id)
        query = query.where(
            or_(
                Chargeback.payer_id == reader,
                exists().where(Path.id == Chargeback.path_id, Path.initiator_id == reader),
                exists().where(
                    or_(Sale.id == Chargeback.path_id, Sale.id.in_(parts)),
                    Sale.seller_id == reader,
                ),
            )
        )
    if status is not None:
        query = query.where(Chargeback.status == status)
    if path_id is not None:
        query = query.where(Chargeback.path_id == path_id)
    if before is not None:
        query = query.where(Chargeback.id < before)
    return (await session.scalars(query)).all()


async def locking(session: AsyncSession, payer_id: str) -> Chargeback | None:
    """A chargeback because of which the payer pays for nothing new: it is neither won nor cleared."""
    return await session.scalar(
        select(Chargeback)
        .where(
            Chargeback.payer_id == payer_id,
            Chargeback.status != ChargebackState.WON,
            Chargeback.cleared_at.is_(None),
            Chargeback.returned_at.is_(None),
        )
        .order_by(Chargeback.id)
        .limit(1)
    )
