"""A bid as its bidder and as the buyer see it."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path
from sqlalchemy.ext.asyncio import AsyncSession

from api.policy import unknown
from api.schemas.bids import BidView
from db.queries import tenders
from db.queries.tenders import BidRows
from db.tables import Tender
from domain.ids import BidId
from domain.tender import Best, TenderTerms, score

ThisBid = Annotated[BidId, Path(alias="bid_id", description="Id of the bid.")]


async def stored_terms(session: AsyncSession, tender_id: str) -> TenderTerms:
    """The terms of an existing tender."""
    return TenderTerms.model_validate((await session.get_one(Tender, tender_id)).terms)


async def own_view(session: AsyncSession, tender_id: str, bid_id: str) -> BidView:
    """The bid as its bidder sees it. Raises NotFound."""
    terms = await stored_terms(session, tender_id)
    return BidView.of(await _rows(session, tender_id, bid_id), terms.currency)


async def buyers_view(session: AsyncSession, tender_id: str, bid_id: str) -> BidView:
    """The bid as the buyer sees it, with its score. Raises NotFound."""
    rows = await _rows(session, tender_id, bid_id)
    terms = await stored_terms(session, tender_id)
    return scored(rows, terms, await tenders.best(session, tender_id))


def scored(rows: BidRows, terms: TenderTerms, best: Best | None) -> BidView:
    """The bid with its score among all that stand, if the buyer has said what counts."""
    bid = rows.bid
    points = None
    if terms.weights and best:
        points = score(terms.weights, best, bid.price, bid.lead_days, bid.sample_score)
    return BidView.of(rows, terms.currency, score=points, for_buyer=True)


async def _rows(session: AsyncSession, tender_id: str, bid_id: str) -> BidRows:
    rows = await tenders.bid(session, tender_id, bid_id)
    if rows is None:
        raise unknown("bid")
    return rows
