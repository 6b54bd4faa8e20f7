"""Match calls as drafts, and the projects that apply to them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import BigInteger, cast, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from db.tables import (
    Chargeback,
    MatchCall,
    MatchProject,
    Path,
    PathEvent,
    Payment,
    Refund,
)
from domain.chargebacks import ChargebackState
from domain.errors import LimitReached, NotFound, TooLate, WrongPhase
from domain.match_call import CallTerms, Event, Phase, ProjectState
from domain.payments import PaymentState, Purpose


async def draft(session: AsyncSession, terms: CallTerms, workflow_id: str) -> None:
    """Writes a new draft down."""
    session.add(
        Path(
            id=terms.call_id,
            kind="match_call",
            workflow_id=workflow_id,
            initiator_id=terms.sponsor_id,
            currency=terms.currency,
            phase=Phase.DRAFT,
        )
    )
    await session.flush()
    session.add(MatchCall(id=terms.call_id, terms=terms.model_dump(mode="json")))
    await session.flush()


async def redraft(session: AsyncSession, terms: CallTerms) -> None:
    """Replaces the terms of a draft. Raises WrongPhase when it is none any more."""
    path = await _draft(session, terms.call_id)
    path.currency = terms.currency
    (await session.get_one(MatchCall, terms.call_id)).terms = terms.model_dump(mode="json")


async def discard(session: AsyncSession, call_id: str, note: str) -> None:
    """Cancels a draft, about which no story has begun. Raises WrongPhase when it is none any more."""
    path = await _draft(session, call_id)
    path.phase = Phase.CANCELLED
    path.closed_at = await session.scalar(select(func.now()))
    (await session.get_one(MatchCall, call_id)).end_reason = Event.CANCELLED
    session.add(
        PathEvent(
            path_id=call_id,
            key=f"{call_id}/discarded",
            kind=Event.CANCELLED,
            phase=Phase.CANCELLED,
            actor="initiator",
            summary=f"The draft was given up{f': {note}' if note else ''}",
        )
    )


async def _draft(session: AsyncSession, call_id: str) -> Path:
    path = await session.get_one(Path, call_id, with_for_update=True)
    if path.phase != Phase.DRAFT:
        raise WrongPhase(
            f"a match call that is {path.phase} is no draft any more",
            field="phase",
            accepted=Phase.DRAFT,
        )
    return path


async def apply(
    session: AsyncSession,
    terms: CallTerms,
    campaign_id: str,
    creator_id: str,
    note: str,
    at: datetime,
    *,
    accepted: bool,
) -> MatchProject:
    """A campaign applies; `accepted` at once, or the sponsor has so long to answer. Raises LimitReached the second time.

    To be called under db.admission.admit, whose instant is `at`.
    """
    made = await session.execute(
        insert(MatchProject)
        .values(
            call_id=terms.call_id,
            campaign_id=campaign_id,
            creator_id=creator_id,
            state=ProjectState.ACCEPTED if accepted else ProjectState.APPLIED,
            note=note,
            applied_at=at,
            answer_by=at + timedelta(seconds=terms.policy.project_seconds),
            answered_at=at if accepted else None,
            # The order in which projects were accepted is that in which their pledges are matched.
            accepted_at=func.clock_timestamp() if accepted else None,
        )
        .on_conflict_do_nothing()
        .returning(MatchProject.campaign_id)
    )
    if made.first() is None:
        raise LimitReached("this campaign has applied already", accepted="once for each call")
    return await session.get_one(MatchProject, (terms.call_id, campaign_id))


async def answer(
    session: AsyncSession,
    call_id: str,
    campaign_id: str,
    note: str,
    at: datetime,
    *,
    accepted: bool,
) -> MatchProject:
    """The sponsor's answer, in time. Raises NotFound, WrongPhase, TooLate.

    To be called under db.admission.admit, whose instant is `at`.
    """
    row = await session.scalar(
        select(MatchProject)
        .where(MatchProject.call_id == call_id, MatchProject.campaign_id == campaign_id)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )
    if row is None:
        raise NotFound("this campaign has not applied")
    if row.state != ProjectState.APPLIED:
        raise WrongPhase(f"it is {row.state}", field="state", accepted=ProjectState.APPLIED)
    if at >= row.answer_by:
        raise TooLate(
            "silence has counted as a no",
            field="answer_by",
            accepted=f"before {row.answer_by.isoformat()}",
        )
    accepted_at = await session.scalar(select(func.clock_timestamp()))
    row.state = ProjectState.ACCEPTED if accepted else ProjectState.DECLINED
    row.answered_at, row.answer_note = at, note
    row.accepted_at = accepted_at if accepted else None
    await session.flush()
    return row


async def returnable(session: AsyncSession, call_id: str) -> int:
    """Minor units that can go back through the payments of the budget: what was neither sent back nor taken by a bank."""
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
    found = await session.scalar(
        select(
            cast(
                func.coalesce(func.sum(func.greatest(0, Payment.amount - sent - taken)), 0),
                BigInteger,
            )
        ).where(
            Payment.path_id == call_id,
            Payment.purpose == Purpose.BUDGET,
            Payment.status == PaymentState.CAPTURED,
        )
    )
    return int(found or 0)


async def pays_now(session: AsyncSession, call_id: str) -> Sequence[Payment]:
    """Payments of the call that can still be paid."""
    rows = await session.scalars(
        select(Payment)
        .where(
            Payment.path_id == call_id,
            Payment.status.in_((PaymentState.REQUESTED, PaymentState.OPEN)),
        )
        .order_by(Payment.id)
    )
    return rows.all()
