"""Match calls, their projects and spendings, as readers want them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import BigInteger, ColumnElement, Select, cast, func, select, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession

from db.tables import (
    Campaign,
    Json,
    MatchApproval,
    MatchCall,
    MatchProject,
    MatchReservation,
    MatchSpending,
    Path,
    Payment,
    Pledge,
    User,
)
from domain.campaign import CampaignTerms
from domain.campaign import Phase as CampaignPhase
from domain.deadlines import Deadline
from domain.match_call import CallTerms, Phase, ProjectState, ReservationState
from domain.match_call_deadlines import as_of_now
from domain.payments import PaymentState
from domain.pledge import STANDING

Which = Literal["open", "sponsor", "approver"]
MATCHABLE = frozenset({CampaignPhase.SCHEDULED, CampaignPhase.LIVE, CampaignPhase.ROUND2})
"""Phases of a campaign in which it may apply and be accepted."""


@dataclass(frozen=True)
class CallRows:
    """A match call and what belongs to it."""

    call: MatchCall
    path: Path
    payments: Sequence[Payment]
    """Of the budget and its top-ups: the first, and those that can still be paid."""
    projects: int
    """How many are accepted."""


@dataclass(frozen=True)
class ProjectRows:
    """A campaign that has applied, and where it stands."""

    project: MatchProject
    phase: str
    title: str
    goal: int
    now: datetime
    """By the database's clock: an application that was not answered in time has lapsed."""

    @property
    def state(self) -> ProjectState:
        """Where the application stands now."""
        state = ProjectState(self.project.state)
        unanswered = state is ProjectState.APPLIED and self.now >= self.project.answer_by
        return ProjectState.LAPSED if unanswered else state


@dataclass(frozen=True)
class SpendingRows:
    """A spending and who has agreed to it."""

    spending: MatchSpending
    approvals: Sequence[MatchApproval]


@dataclass(frozen=True)
class Impact:
    """What a call has done for one campaign; amounts in minor units."""

    rows: ProjectRows
    backers: int
    """Different people whose pledges are matched."""
    pledges: int
    pledged: int
    """What those pledges bring themselves."""
    campaign_pledged: int
    """What all pledges of the campaign bring."""


@dataclass(frozen=True)
class Candidate:
    """A campaign that wants to apply."""

    terms: CampaignTerms
    phase: str


async def call(session: AsyncSession, call_id: str) -> CallRows | None:
    """The match call, or None."""
    row = (
        await session.execute(
            select(MatchCall, Path)
            .join(Path, Path.id == MatchCall.id)
            .where(MatchCall.id == call_id)
            .execution_options(populate_existing=True)
        )
    ).first()
    if row is None:
        return None
    found, path = row
    payments = await session.scalars(
        select(Payment)
        .where(
            Payment.path_id == call_id,
            (Payment.id == found.payment_id)
            | Payment.status.in_((PaymentState.REQUESTED, PaymentState.OPEN)),
        )
        .order_by(Payment.id)
    )
    accepted = await session.scalar(
        select(func.count())
        .select_from(MatchProject)
        .where(MatchProject.call_id == call_id, MatchProject.state == ProjectState.ACCEPTED)
    )
    return CallRows(found, path, payments.all(), int(accepted or 0))


async def was_draft(session: AsyncSession, call_id: str) -> bool:
    """Whether the call never got further than a draft."""
    return (await session.get_one(MatchCall, call_id)).payment_id is None


def approves(user_id: str) -> ColumnElement[bool]:
    """That the user is one of the call's approvers."""
    return MatchCall.terms["approvers"].contains(cast([user_id], JSONB))


async def page(
    session: AsyncSession, user_id: str, which: Which, after: str | None, limit: int
) -> Sequence[tuple[MatchCall, Path]]:
    """Calls that are open, or those of a user on one side; newest first, before the call `after`."""
    query = select(MatchCall, Path).join(Path, Path.id == MatchCall.id)
    match which:
        case "open":
            query = query.where(Path.kind == "match_call", Path.phase == Phase.OPEN)
        case "sponsor":
            query = query.where(Path.kind == "match_call", Path.initiator_id == user_id)
        case "approver":
            query = query.where(approves(user_id), Path.phase != Phase.DRAFT)
    if after is not None:
        query = query.where(MatchCall.id < after)
    rows = await session.execute(query.order_by(MatchCall.id.desc()).limit(limit))
    return [(row, path) for row, path in rows]


async def projects(
    session: AsyncSession, call_id: str, after: str | None, limit: int
) -> list[ProjectRows]:
    """Campaigns that have applied, after the campaign `after`."""
    query = _projects().where(MatchProject.call_id == call_id)
    if after is not None:
        query = query.where(MatchProject.campaign_id > after)
    rows = await session.execute(query.order_by(MatchProject.campaign_id).limit(limit))
    return [_project(*row) for row in rows]


async def project(session: AsyncSession, call_id: str, campaign_id: str) -> ProjectRows | None:
    """One application, or None."""
    row = (
        await session.execute(
            _projects()
            .where(MatchProject.call_id == call_id, MatchProject.campaign_id == campaign_id)
            .execution_options(populate_existing=True)
        )
    ).first()
    return None if row is None else _project(*row)


async def candidate(
    session: AsyncSession, campaign_id: str, *, lock: bool = False
) -> Candidate | None:
    """The campaign, or None; with `lock` it is not decided before the transaction ends."""
    query = select(Path).where(Path.id == campaign_id).execution_options(populate_existing=True)
    path = await session.scalar(query.with_for_update(read=True) if lock else query)
    row = await session.get(Campaign, campaign_id)
    if path is None or row is None:
        return None
    return Candidate(terms=CampaignTerms.model_validate(row.terms), phase=path.phase)


async def active(session: AsyncSession, user_ids: Collection[str]) -> set[str]:
    """Those of these users who exist and are not frozen."""
    rows = await session.scalars(
        select(User.id).where(User.id.in_(user_ids), User.frozen_at.is_(None))
    )
    return set(rows)


async def spendings(
    session: AsyncSession, call_id: str, after: str | None, limit: int
) -> list[SpendingRows]:
    """Spendings asked for, oldest first, after the spending `after`."""
    query = select(MatchSpending).where(MatchSpending.call_id == call_id)
    if after is not None:
        query = query.where(MatchSpending.id > after)
    rows = (await session.scalars(query.order_by(MatchSpending.id).limit(limit))).all()
    return await _with_approvals(session, rows)


async def spending(session: AsyncSession, call_id: str, spending_id: str) -> SpendingRows | None:
    """One spending, or None."""
    row = await session.scalar(
        select(MatchSpending)
        .where(MatchSpending.id == spending_id, MatchSpending.call_id == call_id)
        .execution_options(populate_existing=True)
    )
    return None if row is None else (await _with_approvals(session, [row]))[0]


async def report(session: AsyncSession, call_id: str) -> list[Impact]:
    """What the call has done for each campaign it has accepted, in the order in which they were."""
    rows = await session.execute(
        _projects()
        .where(MatchProject.call_id == call_id, MatchProject.state == ProjectState.ACCEPTED)
        .order_by(MatchProject.accepted_at, MatchProject.campaign_id)
    )
    found = [_project(*row) for row in rows]
    matched = await session.execute(
        select(
            MatchReservation.campaign_id,
            func.count(MatchReservation.backer_id.distinct()),
            func.count(MatchReservation.pledge_id),
            cast(func.coalesce(func.sum(Pledge.amount), 0), BigInteger),
        )
        .outerjoin(Pledge, Pledge.id == MatchReservation.pledge_id)
        .where(
            MatchReservation.call_id == call_id,
            MatchReservation.state != ReservationState.FREED,
            MatchReservation.amount > 0,
        )
        .group_by(MatchReservation.campaign_id)
    )
    by_campaign = {row[0]: row[1:] for row in matched}
    sums = await session.execute(
        select(Pledge.campaign_id, cast(func.sum(Pledge.amount), BigInteger))
        .where(
            Pledge.campaign_id.in_([each.project.campaign_id for each in found]),
            Pledge.state.in_(STANDING),
        )
        .group_by(Pledge.campaign_id)
    )
    pledged = {campaign_id: amount for campaign_id, amount in sums}
    return [
        Impact(
            each,
            *by_campaign.get(each.project.campaign_id, (0, 0, 0)),
            pledged.get(each.project.campaign_id, 0),
        )
        for each in found
    ]


async def in_account(session: AsyncSession, call_id: str) -> int:
    """What the ledger holds in the call's account, minor units."""
    found = await session.scalar(_IN_ACCOUNT, {"call_id": call_id})
    return int(found or 0)


async def timers_now(
    session: AsyncSession, call_id: str, running: Sequence[Deadline]
) -> tuple[Deadline, ...]:
    """The pending timers of a call with what they would post if they fired now."""
    row = await session.get_one(MatchCall, call_id, populate_existing=True)
    return as_of_now(CallTerms.model_validate(row.terms), running, row.budget.left)


_IN_ACCOUNT = text("SELECT balance FROM ledger_accounts WHERE kind = 'match' AND owner = :call_id")


def _projects() -> Select[MatchProject, str, Json, datetime]:
    return (
        select(MatchProject, Path.phase, Campaign.terms, func.now())
        .join(Path, Path.id == MatchProject.campaign_id)
        .join(Campaign, Campaign.id == MatchProject.campaign_id)
    )


def _project(project: MatchProject, phase: str, terms: Json, now: datetime) -> ProjectRows:
    known = CampaignTerms.model_validate(terms)
    return ProjectRows(project, phase, known.title, known.goal, now)


async def _with_approvals(
    session: AsyncSession, rows: Sequence[MatchSpending]
) -> list[SpendingRows]:
    approvals = await session.scalars(
        select(MatchApproval)
        .where(MatchApproval.spending_id.in_([row.id for row in rows]))
        .order_by(MatchApproval.spending_id, MatchApproval.at)
    )
    by_spending: dict[str, list[MatchApproval]] = {}
    for approval in approvals:
        by_spending.setdefault(approval.spending_id, []).append(approval)
    return [SpendingRows(row, by_spending.get(row.id, [])) for row in rows]
