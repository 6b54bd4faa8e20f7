"""Production orders as drafts and while they run, between rows and the rules of domain.production."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import BigInteger, cast, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from db.tables import Chargeback, Lot, Path, PathEvent, Payment, ProductionOrder, Refund
from domain.chargebacks import ChargebackState
from domain.errors import WrongPhase
from domain.payments import PaymentState, Purpose
from domain.production import Event, Phase, ProductionTerms, Units


async def draft(session: AsyncSession, terms: ProductionTerms, workflow_id: str) -> None:
    """Writes a new draft down."""
    session.add(
        Path(
            id=terms.order_id,
            kind="production",
            workflow_id=workflow_id,
            initiator_id=terms.requester_id,
            currency=terms.currency,
            phase=Phase.DRAFT,
        )
    )
    await session.flush()
    row = ProductionOrder(id=terms.order_id, requester_id=terms.requester_id)
    _take_over(row, terms)
    session.add(row)
    await session.flush()


async def redraft(session: AsyncSession, terms: ProductionTerms) -> None:
    """Replaces the terms of a draft. Raises WrongPhase when it is none any more."""
    path = await _draft(session, terms.order_id)
    path.currency = terms.currency
    _take_over(await session.get_one(ProductionOrder, terms.order_id), terms)
    await session.flush()


async def discard(session: AsyncSession, order_id: str, note: str) -> None:
    """Cancels a draft, about which no story has begun. Raises WrongPhase when it is none any more."""
    path = await _draft(session, order_id)
    path.phase = Phase.CANCELLED
    path.closed_at = await session.scalar(select(func.now()))
    (await session.get_one(ProductionOrder, order_id)).end_reason = Event.CANCELLED
    session.add(
        PathEvent(
            path_id=order_id,
            key=f"{order_id}/discarded",
            kind=Event.CANCELLED,
            phase=Phase.CANCELLED,
            actor="initiator",
            summary=f"The draft was given up{f': {note}' if note else ''}",
        )
    )


def _take_over(row: ProductionOrder, terms: ProductionTerms) -> None:
    """The row of a draft says what its terms say."""
    row.title = terms.title
    row.terms = terms.model_dump(mode="json")
    row.certifier_id = terms.certifier_id
    row.units = row.open = terms.units
    row.samples_left = terms.samples


async def _draft(session: AsyncSession, order_id: str) -> Path:
    path = await session.get_one(Path, order_id, with_for_update=True, populate_existing=True)
    if path.phase != Phase.DRAFT:
        raise WrongPhase(
            f"a production order that is {path.phase} is no draft any more",
            field="phase",
            accepted=Phase.DRAFT,
        )
    return path


def terms_of(row: ProductionOrder) -> ProductionTerms:
    """What the requester wants made."""
    return ProductionTerms.model_validate(row.terms)


def units_of(row: ProductionOrder) -> Units:
    """Where the units of an order are."""
    return Units(
        open=row.open,
        running=row.running,
        accepted=row.accepted,
        rejected=row.rejected,
        lost=row.lost,
    )


async def lock(session: AsyncSession, order_id: str) -> ProductionOrder | None:
    """The order's row as it is now, locked until the transaction ends; its path is locked already."""
    return await session.get(
        ProductionOrder, order_id, with_for_update=True, populate_existing=True
    )


async def lots_by_phase(session: AsyncSession, order_id: str) -> Mapping[str, int]:
    """How many lots of the order there are in each phase."""
    rows = await session.execute(
        select(Path.phase, func.count())
        .join(Lot, Lot.id == Path.id)
        .where(Lot.order_id == order_id)
        .group_by(Path.phase)
        .order_by(Path.phase)
    )
    return {phase: count for phase, count in rows}


async def returnable(session: AsyncSession, order_id: str) -> int:
    """Minor units that can go back through the requester's payment: neither sent back nor taken by a bank yet."""
    sent = (
        select(func.coalesce(func.sum(Refund.amount), 0))
        .where(Refund.payment_id == Payment.id)
        .scalar_subquery()
    )
    taken = (
        select(func.coalesce(func.sum(Chargeback.amount), 0))
        .where(Chargeback.payment_id == Payment.id, Chargeback.status == ChargebackState.LOST)
        .scalar_subquery()
    )
    left = func.greatest(0, Payment.amount - sent - taken)
    found = await session.scalar(
        select(cast(func.coalesce(func.sum(left), 0), BigInteger)).where(
            Payment.path_id == order_id,
            Payment.purpose == Purpose.WAGES,
            Payment.status == PaymentState.CAPTURED,
        )
    )
    return int(found or 0)
