"""Tenders and their milestones, between rows and the rules of domain.tender and domain.milestones."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Select, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from db.tables import AwardRow, Bid, MilestoneRow, Path, PathEvent, Tender
from domain.errors import WrongPhase
from domain.milestones import Milestone, State, Work
from domain.model import Message
from domain.tender import Event, Phase, TenderTerms

LIVE = "live"
WITHDRAWN = "withdrawn"
VOIDED = "voided"
"""By operators, such as the bid of a fraud."""
_NOT_KEPT = ("declined", "lapsed", "retracted")


class Reliability(Message):
    """How somebody has answered the awards they got, on all tenders."""

    accepted: int = 0
    not_kept: int = 0
    """Declined, left unanswered or taken back."""


async def draft(session: AsyncSession, terms: TenderTerms, workflow_id: str) -> Tender:
    """Writes a new draft down."""
    session.add(
        Path(
            id=terms.tender_id,
            kind="tender",
            workflow_id=workflow_id,
            initiator_id=terms.buyer_id,
            currency=terms.currency,
            phase=Phase.DRAFT,
        )
    )
    await session.flush()
    row = Tender(id=terms.tender_id, terms=terms.model_dump(mode="json"))
    session.add(row)
    await session.flush()
    return row


async def redraft(session: AsyncSession, terms: TenderTerms) -> None:
    """Replaces the terms of a draft. Raises WrongPhase when it is none any more."""
    path = await _locked(session, terms.tender_id)
    _require_draft(path)
    path.currency = terms.currency
    row = await session.get_one(Tender, terms.tender_id)
    row.terms = terms.model_dump(mode="json")


async def discard(session: AsyncSession, tender_id: str, note: str) -> None:
    """Cancels a draft, about which no story has begun. Raises WrongPhase when it is none any more."""
    path = await _locked(session, tender_id)
    _require_draft(path)
    path.phase = Phase.CANCELLED
    path.closed_at = await session.scalar(select(func.now()))
    (await session.get_one(Tender, tender_id)).end_reason = Event.CANCELLED
    session.add(
        PathEvent(
            path_id=tender_id,
            key=f"{tender_id}/discarded",
            kind=Event.CANCELLED,
            phase=Phase.CANCELLED,
            actor="initiator",
            summary=f"The draft was given up{f': {note}' if note else ''}",
        )
    )


def _require_draft(path: Path) -> None:
    if path.phase != Phase.DRAFT:
        raise WrongPhase(
            f"a tender that is {path.phase} is no draft any more",
            field="phase",
            accepted=Phase.DRAFT,
        )


async def _locked(session: AsyncSession, tender_id: str) -> Path:
    return await session.get_one(Path, tender_id, with_for_update=True)


def live_bids(tender_id: str) -> Select[Bid]:
    """The bids that stand."""
    return select(Bid).where(Bid.tender_id == tender_id, Bid.status == LIVE)


async def count_live(session: AsyncSession, tender_id: str) -> int:
    """How many bids stand."""
    found = await session.scalar(select(func.count()).select_from(live_bids(tender_id).subquery()))
    return int(found or 0)


async def work_of(session: AsyncSession, row: Tender) -> Work:
    """The milestones of the accepted award; none before there is one."""
    rows = await session.scalars(
        select(MilestoneRow)
        .where(MilestoneRow.tender_id == row.id)
        .order_by(MilestoneRow.number)
        .execution_options(populate_existing=True)
    )
    return Work(
        milestones=tuple(milestone_of(each) for each in rows),
        ending=Phase(row.ending) if row.ending else None,
    )


def milestone_of(row: MilestoneRow) -> Milestone:
    """The milestone as the rules see it."""
    return Milestone(
        **{
            name: getattr(row, name)
            for name in Milestone.model_fields
            if name not in ("state", "disputed_from")
        },
        state=State(row.state),
        disputed_from=State(row.disputed_from) if row.disputed_from else None,
    )


async def store_work(session: AsyncSession, row: Tender, work: Work) -> None:
    """Writes the milestones as they are now; new ones are added."""
    row.ending = work.ending
    for each in work.milestones:
        values = each.model_dump(exclude={"number"})
        known = await session.get(MilestoneRow, (row.id, each.number))
        if known is None:
            session.add(MilestoneRow(tender_id=row.id, number=each.number, **values))
        else:
            for name, value in values.items():
                setattr(known, name, value)
    await session.flush()


async def forget_work(session: AsyncSession, tender_id: str) -> None:
    """Takes the milestones of an award back before any of them was paid."""
    await session.execute(delete(MilestoneRow).where(MilestoneRow.tender_id == tender_id))


async def add_award(
    session: AsyncSession, tender_id: str, bid: Bid, plan: Message, at: datetime
) -> None:
    """Writes down that the bid is awarded with this plan."""
    count = await session.scalar(
        select(func.count()).select_from(AwardRow).where(AwardRow.tender_id == tender_id)
    )
    session.add(
        AwardRow(
            tender_id=tender_id,
            number=int(count or 0) + 1,
            bid_id=bid.id,
            bidder_id=bid.bidder_id,
            plan=plan.model_dump(mode="json"),
            outcome="offered",
            at=at,
        )
    )


async def newest_award(session: AsyncSession, tender_id: str) -> AwardRow | None:
    """The award made last."""
    found: AwardRow | None = await session.scalar(
        select(AwardRow)
        .where(AwardRow.tender_id == tender_id)
        .order_by(AwardRow.number.desc())
        .limit(1)
    )
    return found


async def answer_award(
    session: AsyncSession, tender_id: str, outcome: str, at: datetime
) -> AwardRow:
    """Writes down how the award made last was answered."""
    award = await newest_award(session, tender_id)
    assert award is not None
    await session.execute(
        update(AwardRow)
        .where(AwardRow.tender_id == tender_id, AwardRow.number == award.number)
        .values(outcome=outcome, answered_at=at)
    )
    return award


async def reliability(session: AsyncSession, bidder_ids: Collection[str]) -> dict[str, Reliability]:
    """How these people have answered the awards they got."""
    kept = func.count().filter(AwardRow.outcome == "accepted")
    broken = func.count().filter(AwardRow.outcome.in_(_NOT_KEPT))
    rows = await session.execute(
        select(AwardRow.bidder_id, kept, broken)
        .where(AwardRow.bidder_id.in_(bidder_ids))
        .group_by(AwardRow.bidder_id)
    )
    found = {who: Reliability(accepted=a, not_kept=b) for who, a, b in rows}
    return {who: found.get(who, Reliability()) for who in bidder_ids}
