"""What of a campaign's promises would be handed over, if it were decided now. Nothing is changed here.

Two things are promised and still not certain: a lump sum that is not due any more, and money of a call whose bank has
taken so much back for the moment that not all promises could be kept. Neither counts for the campaign. What is counted
and what is handed over is decided by the same rules; amounts are minor units.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Text,
    case,
    cast,
    func,
    select,
)
from sqlalchemy.ext.asyncio import AsyncSession

from db.tables import (
    Campaign,
    Chargeback,
    MatchCall,
    MatchProject,
    MatchReservation,
    Path,
    Pledge,
)
from domain.chargebacks import UNDECIDED
from domain.match_call import CallTerms, Offer, ProjectState, ReservationState
from domain.model import Message
from domain.pledge import PAID, STANDING, PledgeState


class Expected(Message):
    """What one call would hand over, minor units."""

    call_id: str
    of: PledgeState | None
    """The state of the pledges that it is for; None for a lump sum that is due."""
    amount: int


async def expected(
    session: AsyncSession, campaign_id: str, standing: Collection[PledgeState] = STANDING
) -> Sequence[Expected]:
    """What is reserved for the campaign and would be handed over if pledges in these states were what it collects.

    A lump sum that is due only with the money that is still under way is told as if it were for the pledges that are
    INITIATED: it comes with them, or not at all.
    """
    rows = await session.execute(
        select(MatchReservation.call_id, Pledge.state, func.sum(MatchReservation.amount))
        .outerjoin(Pledge, Pledge.id == MatchReservation.pledge_id)
        .where(
            MatchReservation.campaign_id == campaign_id,
            MatchReservation.state == ReservationState.RESERVED,
            MatchReservation.amount > 0,
        )
        .group_by(MatchReservation.call_id, Pledge.state)
        .order_by(MatchReservation.call_id, Pledge.state)
    )
    reserved = [(call_id, state, int(amount)) for call_id, state, amount in rows]
    if not reserved:
        return ()
    doubtful = await in_doubt(session, {call_id for call_id, _, _ in reserved})
    lumps = await _offers(session, {call_id for call_id, state, _ in reserved if state is None})
    due = await lumps_due(session, campaign_id, lumps, standing)
    missing = {each: offer for each, offer in lumps.items() if each not in due}
    later = await lumps_due(session, campaign_id, missing, {*standing, PledgeState.INITIATED})
    found = []
    for call_id, state, amount in reserved:
        of = None if state is None else PledgeState(state)
        if call_id in doubtful or (of is None and call_id not in due | later):
            continue
        if of is None and call_id in later:
            of = PledgeState.INITIATED
        found.append(Expected(call_id=call_id, of=of, amount=amount))
    return found


async def in_doubt(session: AsyncSession, call_ids: Collection[str]) -> set[str]:
    """Paused calls that could not keep all their promises if the bank kept what it has taken back."""
    if not call_ids:
        return set()
    taken = (
        select(func.coalesce(func.sum(Chargeback.amount), 0))
        .where(Chargeback.path_id == MatchCall.id, Chargeback.status.in_(UNDECIDED))
        .scalar_subquery()
    )
    gone = MatchCall.used + MatchCall.spent + MatchCall.returned + MatchCall.lost
    rows = await session.scalars(
        select(MatchCall.id)
        .join(Path, Path.id == MatchCall.id)
        .where(
            MatchCall.id.in_(call_ids),
            Path.paused_at.is_not(None),
            MatchCall.reserved > MatchCall.paid - gone - taken,
        )
    )
    return set(rows)


async def lumps_due(
    session: AsyncSession,
    campaign_id: str,
    offers: Mapping[str, Offer],
    standing: Collection[PledgeState],
) -> set[str]:
    """Those of these calls whose lump sum is due, if pledges in these states are what the campaign collects."""
    if not offers:
        return set()
    states = Pledge.state.in_(sorted(standing))
    # What is planned to go back, though not written down as a refund yet, is not the campaign's.
    held = Pledge.paid - Pledge.refunded - func.coalesce(Pledge.to_refund, 0)
    brings = case((Pledge.state.in_(sorted(PAID)), held), else_=Pledge.amount)
    collected = await session.scalar(
        select(cast(func.coalesce(func.sum(brings), 0), BigInteger)).where(
            Pledge.campaign_id == campaign_id, states
        )
    )
    goal = await session.scalar(
        select(cast(cast(Campaign.terms["goal"], Text), BigInteger)).where(
            Campaign.id == campaign_id
        )
    )
    due = set()
    for call_id, offer in offers.items():
        people = await backers(session, campaign_id, offer.at_backers or 0, states)
        if offer.lump_is_due(goal=int(goal or 0), pledged=int(collected or 0), backers=people):
            due.add(call_id)
    return due


async def backers(
    session: AsyncSession, campaign_id: str, most: int, *conditions: ColumnElement[bool]
) -> int:
    """How many different people have pledged, counted up to `most`."""
    if not most:
        return 0
    some = (
        select(Pledge.backer_id)
        .where(Pledge.campaign_id == campaign_id, *conditions)
        .distinct()
        .limit(most)
    )
    return int(await session.scalar(select(func.count()).select_from(some.subquery())) or 0)


async def has_more_to_come(session: AsyncSession, call_id: str) -> Sequence[str]:
    """Campaigns that have succeeded while the call's money was in doubt, and have not got it yet; sorted."""
    rows = await session.scalars(
        select(MatchProject.campaign_id)
        .join(Campaign, Campaign.id == MatchProject.campaign_id)
        .where(
            MatchProject.call_id == call_id,
            MatchProject.state == ProjectState.ACCEPTED,
            MatchProject.decided_at.is_(None),
            Campaign.succeeded_at.is_not(None),
        )
        .order_by(MatchProject.campaign_id)
    )
    return rows.all()


async def _offers(session: AsyncSession, call_ids: Collection[str]) -> dict[str, Offer]:
    if not call_ids:
        return {}
    rows = await session.execute(
        select(MatchCall.id, MatchCall.terms).where(MatchCall.id.in_(call_ids))
    )
    return {call_id: CallTerms.model_validate(terms).offer for call_id, terms in rows}
