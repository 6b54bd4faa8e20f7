"""Bids and counter-offers, as the API takes and shows them."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field

from api.schemas.base import Body, MoneyIn, MoneyView, Page, Prose, Remark, Utc, View
from api.schemas.tenders import Files, Reason
from db.queries.tenders import BidRows
from db.tables import Bid, BidRevision, Offer
from domain.tender import BidTerms

LeadDays = Annotated[int, Field(ge=1, le=730, strict=True, examples=[30])]


class BidIn(Body):
    """What a bidder offers."""

    price: MoneyIn
    lead_days: LeadDays
    message: Prose = ""
    file_ids: Files = Field(
        default=(), description="Samples; private ones are shown to the buyer when bidding closes."
    )

    @property
    def terms(self) -> BidTerms:
        """The bid as the domain has it."""
        return BidTerms(
            price=self.price.amount,
            lead_days=self.lead_days,
            message=self.message,
            file_ids=self.file_ids,
        )


class OfferIn(Body):
    """Another price or lead time."""

    price: MoneyIn
    lead_days: LeadDays
    note: Remark = ""


class VoidIn(Body):
    """Why operators take a bid out."""

    note: Reason = Field(examples=["Three accounts of one person, case 12"])


class SampleScoreIn(Body):
    """How good the buyer finds a bid's sample."""

    score: int = Field(ge=0, le=100, strict=True)


class OfferView(View):
    """A counter-offer."""

    number: int
    made_by: Literal["initiator", "bidder"]
    price: MoneyView
    lead_days: int
    note: str
    state: str = Field(examples=["open"], description="open, accepted, declined or superseded.")
    at: Utc
    answered_at: Utc | None

    @classmethod
    def of(cls, row: Offer, currency: str) -> Self:
        """The view of an offer's row."""
        return cls(
            number=row.number,
            made_by="bidder" if row.made_by == "bidder" else "initiator",
            price=MoneyView.of(row.price, currency),
            lead_days=row.lead_days,
            note=row.note,
            state=row.state,
            at=row.at,
            answered_at=row.answered_at,
        )


class RevisionView(View):
    """A bid as it stood once; `offer` is the counter-offer whose acceptance made it."""

    number: int
    price: MoneyView
    lead_days: int
    message: str
    file_ids: list[str]
    offer: int | None
    at: Utc

    @classmethod
    def of(cls, row: BidRevision, currency: str) -> Self:
        """The view of a revision's row."""
        return cls(
            number=row.number,
            price=MoneyView.of(row.price, currency),
            lead_days=row.lead_days,
            message=row.message,
            file_ids=row.file_ids,
            offer=row.offer,
            at=row.at,
        )


class ReliabilityView(View):
    """How the bidder has answered the awards they got, on all tenders."""

    accepted: int
    not_kept: int = Field(description="Declined, left unanswered or taken back.")


class BidView(View):
    """A bid as it stands."""

    id: str = Field(examples=["bid_01h45ytscbebyvny4gc8cr8ma2"])
    tender_id: str
    bidder_id: str
    status: str = Field(examples=["live"], description="live, withdrawn, or voided by operators.")
    price: MoneyView
    lead_days: int
    message: str
    file_ids: list[str]
    revision: int
    reliability: ReliabilityView
    sample_score: int | None = Field(description="For the buyer.")
    score: int | None = Field(
        description="0 to 10,000 by the tender's weights, against the best of all bids; for the buyer."
    )
    offers: list[OfferView]
    revisions: list[RevisionView] = Field(description="For the bidder, on the bid's own page.")
    created_at: Utc
    updated_at: Utc

    @classmethod
    def of(
        cls, rows: BidRows, currency: str, *, score: int | None = None, for_buyer: bool = False
    ) -> Self:
        """The view of a bid for the buyer or for its bidder."""
        bid: Bid = rows.bid
        revisions = [] if for_buyer else rows.revisions
        return cls(
            id=bid.id,
            tender_id=bid.tender_id,
            bidder_id=bid.bidder_id,
            status=bid.status,
            price=MoneyView.of(bid.price, currency),
            lead_days=bid.lead_days,
            message=bid.message,
            file_ids=bid.file_ids,
            revision=bid.revision,
            reliability=ReliabilityView(**rows.reliability.model_dump()),
            sample_score=bid.sample_score if for_buyer else None,
            score=score,
            offers=[OfferView.of(offer, currency) for offer in rows.offers],
            revisions=[RevisionView.of(each, currency) for each in revisions],
            created_at=bid.created_at,
            updated_at=bid.updated_at,
        )


class BidPage(Page[BidView]):
    """The own bids; for the buyer and operators all that stand, once bidding has closed."""

    sealed: bool = Field(description="Whether bids are still sealed.")
