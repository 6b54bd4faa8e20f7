"""Lump sums of match calls: reserved once for a campaign whose pledges have taken it far enough.

Everything here works on rows of match_calls that the caller has locked. Amounts are minor units.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import exists, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from db import match_due, match_queue
from db.tables import MatchCall, MatchProject, MatchReservation, Pledge
from domain.match_call import Mode, ReservationState, match_of
from domain.pledge import PAID, STANDING


async def with_pledge(
    session: AsyncSession,
    call: MatchCall,
    project: MatchProject,
    pledge_id: str,
    pledged: int,
    goal: int,
) -> int:
    """Reserves the call's sum if this pledge takes the campaign far enough, to `pledged`; once. Answers how much."""
    if await _is_there(session, call, project):
        return 0
    offer = match_queue.terms_of(call).offer
    backers = await match_due.backers(
        session,
        project.campaign_id,
        offer.at_backers or 0,
        or_(Pledge.state.in_(STANDING), Pledge.id == pledge_id),
    )
    if not offer.lump_is_due(goal=goal, pledged=pledged, backers=backers):
        return 0
    return await _enqueue(session, call, project)


async def reserve(session: AsyncSession, call: MatchCall, project: MatchProject) -> int:
    """Reserves the call's sum, which is due; once. Answers how much there was of it."""
    if await _is_there(session, call, project):
        return 0
    return await _enqueue(session, call, project)


async def not_due(session: AsyncSession, campaign_id: str, calls: Sequence[MatchCall]) -> list[str]:
    """Calls whose lump sum what was collected is not enough for."""
    offers = {each.id: match_queue.terms_of(each).offer for each in calls}
    lumps = {each: offer for each, offer in offers.items() if offer.mode is Mode.LUMP}
    due = await match_due.lumps_due(session, campaign_id, lumps, PAID)
    return sorted(set(lumps) - due)


async def _is_there(session: AsyncSession, call: MatchCall, project: MatchProject) -> bool:
    there = exists().where(
        MatchReservation.call_id == call.id,
        MatchReservation.campaign_id == project.campaign_id,
        MatchReservation.state != ReservationState.FREED,
    )
    return bool(await session.scalar(select(there)))


async def _enqueue(session: AsyncSession, call: MatchCall, project: MatchProject) -> int:
    offer = match_queue.terms_of(call).offer
    amount = match_of(
        offer,
        offer.lump,
        project=project.reserved + project.used,
        person=0,
        left=call.budget.left,
    )
    return await match_queue.enqueue(
        session, call, project.campaign_id, wanted=offer.lump, amount=amount
    )
