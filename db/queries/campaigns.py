"""Campaigns, as readers want them: everything on one page of the same moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import ColumnElement, exists, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from db import match_rows, pledge_stats
from db.campaign_rows import BACKS_NOTHING
from db.queries.slow_counts import Counted, SlowCounts
from db.tables import (
    Campaign,
    CampaignItem,
    CampaignTranche,
    LedgerAccount,
    Path,
    Pledge,
    PledgeStat,
    Refund,
)
from domain import accounts
from domain.campaign import GIVES_BACK, OPEN_FOR_PLEDGES, Phase
from domain.campaign_messages import RunGoal
from domain.payments import RefundState
from domain.pledge import ENDED, Method, PledgeState

Which = Literal["live", "upcoming", "successful", "mine", "backed", "in_review"]
_SHOWN: dict[str, Sequence[Phase]] = {
    "live": sorted(OPEN_FOR_PLEDGES),
    "upcoming": (Phase.SCHEDULED,),
    "successful": (Phase.SUCCESSFUL, Phase.FULFILLING, Phase.COMPLETED),
    "in_review": (Phase.IN_REVIEW,),
}


@dataclass(frozen=True)
class Totals:
    """What stands of a campaign, minor units."""

    pledges: int = 0
    pledged: int = 0
    paid: int = 0
    matched: int = 0
    refunded: int = 0
    in_escrow: int = 0


@dataclass(frozen=True)
class RunRows:
    """How far it is with what is being done with every pledge, counted in pledges."""

    goal: RunGoal
    done: int
    failed: int
    left: int


@dataclass(frozen=True)
class CampaignRows:
    """A campaign and what belongs to it, all of one moment."""

    campaign: Campaign
    path: Path
    items: Sequence[CampaignItem]
    tranches: Sequence[CampaignTranche]
    totals: Totals
    run: RunRows | None
    now: datetime
    """By the database's clock."""


@dataclass(frozen=True)
class StatsRows:
    """Sums of what stands: (hour, pledges, minor units) and (tier, pledges, minor units)."""

    currency: str
    hours: Sequence[tuple[datetime, int, int]]
    tiers: Sequence[tuple[int, int, int]]


async def one_moment(session: AsyncSession) -> None:
    """Lets everything that is read in this transaction be of one moment. To be called before anything else."""
    await session.connection(execution_options={"isolation_level": "REPEATABLE READ"})


async def campaign(
    session: AsyncSession, campaign_id: str, counts: SlowCounts
) -> CampaignRows | None:
    """The campaign, or None. `counts` spares what reads a row for every pledge: `run`, and what was `refunded`."""
    row = (
        await session.execute(
            select(Campaign, Path, func.now())
            .join(Path, Path.id == Campaign.id)
            .where(Campaign.id == campaign_id)
            .execution_options(populate_existing=True)
        )
    ).first()
    if row is None:
        return None
    items = await session.scalars(
        select(CampaignItem)
        .where(CampaignItem.campaign_id == campaign_id)
        .order_by(CampaignItem.number)
        .execution_options(populate_existing=True)
    )
    tranches = await session.scalars(
        select(CampaignTranche)
        .where(CampaignTranche.campaign_id == campaign_id)
        .order_by(CampaignTranche.number)
    )
    return CampaignRows(
        campaign=row[0],
        path=row[1],
        items=items.all(),
        tranches=tranches.all(),
        totals=await _totals(session, campaign_id, counts),
        run=await _run(session, row[1], counts),
        now=row[2],
    )


async def page(
    session: AsyncSession, user_id: str, which: Which, after: str | None, limit: int
) -> Sequence[tuple[Campaign, Path, Totals]]:
    """Campaigns that stand there, or those of a user; newest first, before the campaign `after`."""
    query = select(Campaign, Path).join(Path, Path.id == Campaign.id)
    match which:
        case "mine":
            query = query.where(Path.kind == "campaign", Path.initiator_id == user_id)
        case "backed":
            backed = select(Pledge.campaign_id).where(
                Pledge.backer_id == user_id, Pledge.state.not_in(BACKS_NOTHING)
            )
            query = query.where(Campaign.id.in_(backed))
        case _:
            query = query.where(Path.kind == "campaign", Path.phase.in_(_SHOWN[which]))
    if after is not None:
        query = query.where(Campaign.id < after)
    found = (await session.execute(query.order_by(Campaign.id.desc()).limit(limit))).all()
    sums = await session.execute(
        select(
            PledgeStat.campaign_id,
            func.sum(PledgeStat.pledges),
            func.sum(PledgeStat.amount),
        )
        .where(PledgeStat.campaign_id.in_([row.id for row, _ in found]))
        .group_by(PledgeStat.campaign_id)
    )
    totals = {
        campaign_id: Totals(pledges=int(pledges), pledged=int(amount))
        for campaign_id, pledges, amount in sums
    }
    return [(row, path, totals.get(row.id, Totals())) for row, path in found]


def is_backed_by(campaign_id: str, user_id: str) -> ColumnElement[bool]:
    """Whether the user has a pledge that makes them a backer."""
    return exists().where(
        Pledge.campaign_id == campaign_id,
        Pledge.backer_id == user_id,
        Pledge.state.not_in(BACKS_NOTHING),
    )


async def stats(session: AsyncSession, campaign_id: str) -> StatsRows | None:
    """What stands by hour and by tier, or None when there is no such campaign."""
    currency = await session.scalar(select(Path.currency).where(Path.id == campaign_id))
    if currency is None:
        return None
    of_campaign = PledgeStat.campaign_id == campaign_id
    sums = (func.sum(PledgeStat.pledges), func.sum(PledgeStat.amount))
    hours = await session.execute(
        select(PledgeStat.hour, *sums)
        .where(of_campaign)
        .group_by(PledgeStat.hour)
        .order_by(PledgeStat.hour)
    )
    tiers = await session.execute(
        select(PledgeStat.tier, *sums)
        .where(of_campaign)
        .group_by(PledgeStat.tier)
        .order_by(PledgeStat.tier)
    )
    return StatsRows(
        currency=currency,
        hours=[(hour, int(pledges), int(amount)) for hour, pledges, amount in hours],
        tiers=[(tier, int(pledges), int(amount)) for tier, pledges, amount in tiers],
    )


async def _totals(session: AsyncSession, campaign_id: str, counts: SlowCounts) -> Totals:
    """From sums that are kept up to date, and the escrow's own row."""
    stands = await pledge_stats.standing(session, campaign_id)
    account = accounts.escrow(campaign_id)
    in_escrow = await session.scalar(
        select(LedgerAccount.credits_posted - LedgerAccount.debits_posted).where(
            LedgerAccount.kind == account.kind, LedgerAccount.owner == account.owner
        )
    )

    async def refunded() -> Counted[int]:
        query = select(func.count(), func.sum(Refund.amount)).where(Refund.path_id == campaign_id)
        rows, amount = (await session.execute(query)).one()
        return Counted(int(amount or 0), rows=rows)

    return Totals(
        pledges=stands.pledges,
        pledged=stands.amount,
        paid=stands.paid,
        matched=await match_rows.matched(session, campaign_id),
        refunded=await counts.of(("refunded", campaign_id), refunded),
        in_escrow=int(in_escrow or 0),
    )


async def _run(session: AsyncSession, path: Path, counts: SlowCounts) -> RunRows | None:
    """How far what the present phase does with every pledge is; None when it does nothing."""
    phase = Phase(path.phase)
    if path.closed_at is not None or phase not in _RUNS:
        return None
    return await counts.of(
        ("run", path.id, phase), lambda: _count_run(session, path.id, _RUNS[phase])
    )


async def _count_run(session: AsyncSession, campaign_id: str, goal: RunGoal) -> Counted[RunRows]:
    of_campaign = Pledge.campaign_id == campaign_id
    rows = await session.execute(
        select(Pledge.state, func.count()).where(of_campaign).group_by(Pledge.state)
    )
    found = {PledgeState(state): count for state, count in rows}

    def total(*states: PledgeState) -> int:
        return sum(found.get(state, 0) for state in states)

    match goal:
        case RunGoal.CLOSE:
            left = await session.scalar(
                select(func.count()).where(
                    of_campaign, Pledge.state == _S.INITIATED, Pledge.method != Method.BANK
                )
            )
            run = RunRows(goal, total(*_S) - total(_S.INITIATED), 0, int(left or 0))
        case RunGoal.COLLECT:
            left = total(_S.SAVED, _S.CHARGING)
            run = RunRows(goal, total(_S.COLLECTED), total(_S.ERRORED, _S.DROPPED), left)
        case _:
            refused = await session.scalar(
                select(func.count()).where(
                    Refund.path_id == campaign_id, Refund.status == RefundState.REFUSED
                )
            )
            done, failed = total(*ENDED), int(refused or 0)
            run = RunRows(goal, done, failed, max(0, total(*_S) - done - failed))
    return Counted(run, rows=total(*_S))


_S = PledgeState
_RUNS = {
    Phase.CLOSING: RunGoal.CLOSE,
    Phase.COLLECTING: RunGoal.COLLECT,
    **dict.fromkeys(GIVES_BACK, RunGoal.GIVE_BACK),
}
