"""Tenders, bids and milestones, as readers want them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Select, exists, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from db.tables import (
    Bid,
    BidRevision,
    MilestoneRow,
    Offer,
    Path,
    PathEvent,
    Payment,
    Submission,
    Tender,
)
from db.tender_rows import LIVE, Reliability, count_live, reliability
from domain.tender import FINAL, SEALED, Best, Event, Phase

Which = Literal["open", "buyer", "bidder"]


@dataclass(frozen=True)
class TenderRows:
    """A tender and what belongs to it."""

    tender: Tender
    path: Path
    deposit: Payment | None
    milestones: Sequence[tuple[MilestoneRow, Payment | None]]
    submissions: Sequence[Submission]
    bids: int
    """How many stand."""


@dataclass(frozen=True)
class BidRows:
    """A bid and what belongs to it."""

    bid: Bid
    reliability: Reliability
    offers: Sequence[Offer]
    revisions: Sequence[BidRevision] = ()


async def tender(session: AsyncSession, tender_id: str) -> TenderRows | None:
    """The tender, or None."""
    row = (
        await session.execute(
            select(Tender, Path, Payment)
            .join(Path, Path.id == Tender.id)
            .outerjoin(Payment, Payment.id == Tender.deposit_payment_id)
            .where(Tender.id == tender_id)
        )
    ).first()
    if row is None:
        return None
    milestones = await session.execute(
        select(MilestoneRow, Payment)
        .outerjoin(Payment, Payment.id == MilestoneRow.payment_id)
        .where(MilestoneRow.tender_id == tender_id)
        .order_by(MilestoneRow.number)
    )
    submissions = await session.scalars(
        select(Submission)
        .where(Submission.tender_id == tender_id)
        .order_by(Submission.milestone, Submission.round)
    )
    return TenderRows(
        *row,
        milestones=[(milestone, payment) for milestone, payment in milestones],
        submissions=submissions.all(),
        bids=await count_live(session, tender_id),
    )


async def was_draft(session: AsyncSession, tender_id: str) -> bool:
    """Whether the tender never got further than a draft."""
    row = await session.get_one(Tender, tender_id)
    return row.deposit_payment_id is None


async def sealed(session: AsyncSession, tender_id: str, phase: str) -> bool:
    """Whether nobody but its bidder may see a bid: bidding has not closed, or the tender ended before it did."""
    if phase not in FINAL:
        return phase in SEALED
    closed = exists().where(PathEvent.path_id == tender_id, PathEvent.kind == Event.BIDDING_CLOSED)
    return not await session.scalar(select(closed))


async def page(
    session: AsyncSession, user_id: str, which: Which, after: str | None, limit: int
) -> Sequence[tuple[Tender, Path]]:
    """Tenders that take bids, or those of a user on one side; newest first, before the tender `after`."""
    query = select(Tender, Path).join(Path, Path.id == Tender.id)
    match which:
        case "open":
            query = query.where(Path.kind == "tender", Path.phase == Phase.OPEN)
        case "buyer":
            query = query.where(Path.kind == "tender", Path.initiator_id == user_id)
        case "bidder":
            query = query.where(
                exists().where(Bid.tender_id == Tender.id, Bid.bidder_id == user_id)
            )
    if after is not None:
        query = query.where(Tender.id < after)
    rows = await session.execute(query.order_by(Tender.id.desc()).limit(limit))
    return [(row, path) for row, path in rows]


async def bids(
    session: AsyncSession,
    tender_id: str,
    bidder_id: str | None,
    after: str | None,
    limit: int,
) -> Sequence[BidRows]:
    """All bids that stand, or every bid of one bidder; oldest first, after the bid `after`."""
    query = select(Bid).where(Bid.tender_id == tender_id)
    query = query.where(Bid.bidder_id == bidder_id if bidder_id else Bid.status == LIVE)
    if after is not None:
        query = query.where(Bid.id > after)
    return await _with_parts(session, query.order_by(Bid.id).limit(limit))


async def bid(session: AsyncSession, tender_id: str, bid_id: str) -> BidRows | None:
    """The bid with all its revisions, or None."""
    found = await _with_parts(
        session, select(Bid).where(Bid.id == bid_id, Bid.tender_id == tender_id)
    )
    if not found:
        return None
    revisions = await session.scalars(
        select(BidRevision).where(BidRevision.bid_id == bid_id).order_by(BidRevision.number)
    )
    one = found[0]
    return BidRows(one.bid, one.reliability, one.offers, revisions.all())


async def best(session: AsyncSession, tender_id: str) -> Best | None:
    """The lowest price and shortest lead time of the bids that stand; None without any."""
    price, lead_days = (
        await session.execute(
            select(func.min(Bid.price), func.min(Bid.lead_days)).where(
                Bid.tender_id == tender_id, Bid.status == LIVE
            )
        )
    ).one()
    return None if price is None else Best(price=price, lead_days=lead_days)


async def bidders(session: AsyncSession, tender_id: str, bid_ids: Sequence[str]) -> list[str]:
    """Whose bids on this tender these are; unknown ids are left out."""
    return list(
        await session.scalars(
            select(Bid.bidder_id).where(Bid.tender_id == tender_id, Bid.id.in_(bid_ids))
        )
    )


async def milestone_state(session: AsyncSession, tender_id: str, number: int) -> str | None:
    """Where the milestone stands; None when there is none."""
    found: str | None = await session.scalar(
        select(MilestoneRow.state).where(
            MilestoneRow.tender_id == tender_id, MilestoneRow.number == number
        )
    )
    return found


async def _with_parts(session: AsyncSession, query: Select[Bid]) -> list[BidRows]:
    rows = (await session.scalars(query)).all()
    records: Mapping[str, Reliability] = await reliability(session, {row.bidder_id for row in rows})
    offers = await session.scalars(
        select(Offer)
        .where(Offer.bid_id.in_([row.id for row in rows]))
        .order_by(Offer.bid_id, Offer.number)
    )
    by_bid: dict[str, list[Offer]] = {}
    for offer in offers:
        by_bid.setdefault(offer.bid_id, []).append(offer)
    return [BidRows(row, records[row.bidder_id], by_bid.get(row.id, [])) for row in rows]
