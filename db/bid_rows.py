"""Bids and counter-offers as rows: written in one short transaction each, without the tender's story.

All of them are called under db.admission.admit, whose instant is when the request arrived.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from db.tables import Bid, BidRevision, Offer, PathEvent
from db.tender_rows import LIVE, VOIDED, WITHDRAWN
from domain.errors import Forbidden, LimitReached, NotFound, WrongPhase
from domain.tender import BidTerms

OPEN = "open"


async def place(
    session: AsyncSession,
    bid_id: str,
    tender_id: str,
    bidder_id: str,
    terms: BidTerms,
    at: datetime,
) -> Bid:
    """A new bid. Raises LimitReached while the bidder has one that stands."""
    made = await session.execute(
        insert(Bid)
        .values(
            id=bid_id,
            tender_id=tender_id,
            bidder_id=bidder_id,
            status=LIVE,
            revision=1,
            created_at=at,
            updated_at=at,
            **_columns(terms),
        )
        .on_conflict_do_nothing(
            index_elements=[Bid.tender_id, Bid.bidder_id], index_where=text("status = 'live'")
        )
        .returning(Bid.id)
    )
    if made.first() is None:
        raise LimitReached(
            "you have a bid on this tender already", accepted="a revision of it, or none"
        )
    session.add(BidRevision(bid_id=bid_id, number=1, at=at, **_columns(terms)))
    await session.flush()
    return await session.get_one(Bid, bid_id)


async def locked(session: AsyncSession, tender_id: str, bid_id: str) -> Bid:
    """The bid of this tender, alone for this transaction. Raises NotFound."""
    bid: Bid | None = await session.scalar(
        select(Bid).where(Bid.id == bid_id, Bid.tender_id == tender_id).with_for_update()
    )
    if bid is None:
        raise NotFound("there is no such bid")
    return bid


async def revise(
    session: AsyncSession, bid: Bid, terms: BidTerms, at: datetime, *, offer: int | None = None
) -> Bid:
    """The bid with other terms; `offer` is the counter-offer that brought them. Raises WrongPhase when withdrawn."""
    require_live(bid)
    bid.revision += 1
    bid.updated_at = at
    for name, value in _columns(terms).items():
        setattr(bid, name, value)
    session.add(
        BidRevision(bid_id=bid.id, number=bid.revision, at=at, offer=offer, **_columns(terms))
    )
    await session.flush()
    return bid


async def withdraw(session: AsyncSession, bid: Bid, at: datetime) -> Bid:
    """The bid stands no more. Raises WrongPhase when it was withdrawn before."""
    require_live(bid)
    bid.status = WITHDRAWN
    bid.updated_at = at
    await session.flush()
    return bid


async def void(session: AsyncSession, bid: Bid, phase: str, *, reason: str, at: datetime) -> Bid:
    """Operators take a bid out; the timeline says why, and not whose it was. Raises WrongPhase when it stands no more."""
    require_live(bid)
    bid.status = VOIDED
    bid.updated_at = at
    session.add(
        PathEvent(
            path_id=bid.tender_id,
            key=f"{bid.id}/voided",
            kind="bid_voided",
            phase=phase,
            actor="operator",
            summary=f"Operators void a bid: {reason}",
        )
    )
    await session.flush()
    return bid


async def offer(
    session: AsyncSession,
    bid: Bid,
    made_by: str,
    *,
    price: int,
    lead_days: int,
    note: str,
    at: datetime,
) -> Offer:
    """A counter-offer by one side; it takes the place of the one that is open. Raises WrongPhase when withdrawn."""
    require_live(bid)
    before = await _open(session, bid.id)
    if before is not None:
        before.state, before.answered_at = "superseded", at
        await session.flush()
    count = await session.scalar(
        select(func.count()).select_from(Offer).where(Offer.bid_id == bid.id)
    )
    made = Offer(
        bid_id=bid.id,
        number=int(count or 0) + 1,
        made_by=made_by,
        price=price,
        lead_days=lead_days,
        note=note,
        state=OPEN,
        at=at,
    )
    session.add(made)
    await session.flush()
    return made


async def answer(
    session: AsyncSession, bid: Bid, number: int, by: str, at: datetime, *, accepted: bool
) -> Offer:
    """The other side's answer to a counter-offer; accepted, it is the bid from now on.

    Raises NotFound, Forbidden for the side that made it, WrongPhase when it is not open any more.
    """
    require_live(bid)
    found = await session.get(Offer, (bid.id, number), populate_existing=True)
    if found is None:
        raise NotFound("there is no such offer")
    if found.made_by == by:
        raise Forbidden("an offer is answered by the other side", accepted="the other side")
    if found.state != OPEN:
        raise WrongPhase(f"the offer is {found.state}", field="state", accepted=OPEN)
    found.state, found.answered_at = ("accepted" if accepted else "declined"), at
    if accepted:
        terms = BidTerms(
            price=found.price,
            lead_days=found.lead_days,
            message=bid.message,
            file_ids=tuple(bid.file_ids),
        )
        await revise(session, bid, terms, at, offer=number)
    await session.flush()
    return found


def require_live(bid: Bid) -> None:
    """Raises WrongPhase when the bid was withdrawn."""
    if bid.status != LIVE:
        raise WrongPhase("the bid was withdrawn", field="status", accepted="a bid that stands")


async def _open(session: AsyncSession, bid_id: str) -> Offer | None:
    found: Offer | None = await session.scalar(
        select(Offer).where(Offer.bid_id == bid_id, Offer.state == OPEN)
    )
    return found


def _columns(terms: BidTerms) -> dict[str, object]:
    return {
        "price": terms.price,
        "lead_days": terms.lead_days,
        "message": terms.message,
        "file_ids": list(terms.file_ids),
    }
