"""What a path does when its payment is captured or given up, and when its refund has ended. One entry per kind of path."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import NamedTuple

from sqlalchemy.ext.asyncio import AsyncSession

from activities import stock
from activities.sales import sale_of, terms_of
from activities.settlement import refund_escrow
from activities.transitions import advance, happened
from db.tables import Path, Payment, Refund
from domain.money import format_money
from domain.payments import FundingResult
from domain.sale import Event, Phase, deadlines, due_at, next_phase
from ledger import journal


class Funding(NamedTuple):
    """What became of the money on its path."""

    result: FundingResult
    refund_id: str | None = None


async def recalled(session: AsyncSession, payment: Payment) -> Funding:
    """What an earlier attempt of the same look has committed, when its answer was lost."""
    event = await happened(session, _funded_key(payment))
    if event is None:
        return Funding(FundingResult.FUNDED)
    refund_id = event.data.get("refund_id")
    return Funding(FundingResult(str(event.data["result"])), str(refund_id) if refund_id else None)


def _funded_key(payment: Payment) -> str:
    return f"{payment.id}/funded"


class PathHooks(NamedTuple):
    """Each is called with the path's row locked, inside the transaction that posts the money."""

    funded: Callable[[AsyncSession, Path, Payment, datetime], Awaitable[Funding]]
    unfunded: Callable[[AsyncSession, Path, Payment, datetime], Awaitable[None]]
    refunded: Callable[[AsyncSession, Path, Refund, datetime], Awaitable[None]]


async def _sale_funded(
    session: AsyncSession, path: Path, payment: Payment, at: datetime
) -> Funding:
    """The escrow is full: in time the sale is paid; late it is revived if the pieces are still there, else refunded."""
    terms = await terms_of(session, path.id)
    phase = Phase(path.phase)
    amount = format_money(payment.amount, payment.currency)
    key = _funded_key(payment)
    if phase is Phase.PENDING_PAYMENT:
        event, funding = Event.PAYMENT_CAPTURED, Funding(FundingResult.FUNDED)
        words = f"Paid: {amount} in escrow"
    elif await stock.reserve(session, terms, at):
        event, funding = Event.LATE_PAYMENT_ACCEPTED, Funding(FundingResult.REVIVED)
        words = f"Paid after the order had expired; the pieces were still there: {amount} in escrow"
    else:
        event = Event.LATE_PAYMENT_RETURNED
        refund_id = await refund_escrow(session, path.id, key, event)
        funding = Funding(FundingResult.RETURNING, refund_id)
        (await sale_of(session, path.id)).end_reason = event
        words = f"Paid after the order had expired and the pieces were gone: {amount} goes back"
    entered = next_phase(phase, event)
    advance(
        session,
        path,
        key=key,
        kind=event,
        phase=entered,
        actor="provider",
        summary=words,
        deadlines=deadlines(terms, entered, due_at(terms, entered, at)),
        data={"result": funding.result, "refund_id": funding.refund_id},
    )
    return funding


async def _sale_unfunded(session: AsyncSession, path: Path, payment: Payment, at: datetime) -> None:
    """Nobody paid: the pieces go back on sale and the sale is over."""
    key = f"{payment.id}/unfunded"
    if await happened(session, key):
        return
    terms = await terms_of(session, path.id)
    phase = next_phase(Phase(path.phase), Event.PAYMENT_EXPIRED)
    await stock.release(session, terms)
    await journal.require_empty(session, path.id)
    advance(
        session,
        path,
        key=key,
        kind=Event.PAYMENT_EXPIRED,
        phase=phase,
        actor="system",
        summary="Not paid; the reserved pieces are back on sale",
        deadlines=(),
        closed_at=at,
    )


async def _sale_refunded(session: AsyncSession, path: Path, refund: Refund, at: datetime) -> None:
    """The buyer has everything back: the sale is over."""
    phase = next_phase(Phase(path.phase), Event.REFUNDED)
    await journal.require_empty(session, path.id)
    amount = format_money(refund.amount, refund.currency)
    advance(
        session,
        path,
        key=f"{refund.id}/ended",
        kind=Event.REFUNDED,
        phase=phase,
        actor="provider",
        summary=f"{amount} is back with the buyer",
        deadlines=(),
        closed_at=at,
        data={"refund_id": refund.id},
    )


HOOKS: dict[str, PathHooks] = {"sale": PathHooks(_sale_funded, _sale_unfunded, _sale_refunded)}
"""By kind of path."""
