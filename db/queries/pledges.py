"""Pledges, as readers want them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import BigInteger, Select, Text, cast, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from db.tables import (
    Campaign,
    MatchReservation,
    Payment,
    Pledge,
    PledgeEvent,
    SavedCard,
)
from domain.match_call import ReservationState
from domain.pledge import PledgeState


@dataclass(frozen=True)
class PledgeRows:
    """A pledge and what belongs to it."""

    pledge: Pledge
    title: str
    """Of the campaign."""
    succeeded: bool
    """Whether the campaign has succeeded."""
    matched: int
    """What match calls have reserved or used for it, minor units."""
    payment: Payment | None
    card: SavedCard | None
    pending: Payment | None
    """The payment that a change waits for."""


async def pledge(session: AsyncSession, pledge_id: str) -> PledgeRows | None:
    """The pledge, or None."""
    found = await _rows(session, _query().where(Pledge.id == pledge_id))
    return found[0] if found else None


async def of_backer(
    session: AsyncSession, backer_id: str, after: str | None, limit: int
) -> Sequence[PledgeRows]:
    """A backer's pledges, newest first, before the pledge `after`."""
    query = _query().where(Pledge.backer_id == backer_id)
    if after is not None:
        query = query.where(Pledge.id < after)
    return await _rows(session, query.order_by(Pledge.id.desc()).limit(limit))


async def of_campaign(
    session: AsyncSession,
    campaign_id: str,
    state: PledgeState | None,
    after: str | None,
    limit: int,
) -> Sequence[PledgeRows]:
    """A campaign's pledges, or those in one state; oldest first, after the pledge `after`."""
    query = _query().where(Pledge.campaign_id == campaign_id)
    if state is not None:
        query = query.where(Pledge.state == state)
    if after is not None:
        query = query.where(Pledge.id > after)
    return await _rows(session, query.order_by(Pledge.id).limit(limit))


async def events(
    session: AsyncSession, pledge_id: str, after: int | None, limit: int
) -> Sequence[PledgeEvent]:
    """What happened to the pledge, oldest first, after the event of that number."""
    query = select(PledgeEvent).where(PledgeEvent.pledge_id == pledge_id)
    if after is not None:
        query = query.where(PledgeEvent.id > after)
    return (await session.scalars(query.order_by(PledgeEvent.id).limit(limit))).all()


def _query() -> Select[Pledge, str, bool, int, Payment | None, SavedCard | None, Payment | None]:
    pending = aliased(Payment)
    matched = (
        select(cast(func.coalesce(func.sum(MatchReservation.amount), 0), BigInteger))
        .where(
            MatchReservation.pledge_id == Pledge.id,
            MatchReservation.state != ReservationState.FREED,
        )
        .scalar_subquery()
    )
    return (
        select(
            Pledge,
            Campaign.terms["title"].astext,
            Campaign.succeeded_at.is_not(None),
            matched,
            Payment,
            SavedCard,
            pending,
        )
        .join(Campaign, Campaign.id == Pledge.campaign_id)
        .outerjoin(Payment, Payment.id == Pledge.payment_id)
        .outerjoin(SavedCard, SavedCard.id == Pledge.card_id)
        .outerjoin(pending, pending.id == cast(Pledge.pending["payment_id"].astext, Text))
    )


async def _rows(
    session: AsyncSession,
    query: Select[Pledge, str, bool, int, Payment | None, SavedCard | None, Payment | None],
) -> list[PledgeRows]:
    found = await session.execute(query.execution_options(populate_existing=True))
    return [PledgeRows(*row) for row in found]
