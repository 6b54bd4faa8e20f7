"""Tenders and their milestones, as the API takes and shows them."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, StringConstraints

from api.schemas.base import Body, Line, MoneyIn, MoneyView, Prose, Remark, Utc, View
from api.schemas.contests import PathPaymentView, PayBy
from api.schemas.sales import Note, ReturnUrl
from db.admission import due_of
from db.queries.tenders import TenderRows
from db.tables import MilestoneRow, Path, Payment, Submission, Tender
from domain.ids import BidId, FileId
from domain.milestones import State
from domain.money import MinorUnits
from domain.tender import Award, Phase, PlannedMilestone, TenderTerms, Weights
from domain.tender_deadlines import BIDDING

MAX_FILES = 20
Files = Annotated[tuple[FileId, ...], Field(max_length=MAX_FILES)]
Reason = Annotated[Remark, StringConstraints(min_length=1)]


class WeightsIn(Body):
    """What counts in a bid, in hundredths that sum to 100."""

    price: int = Field(default=0, ge=0, le=100, strict=True)
    lead_time: int = Field(default=0, ge=0, le=100, strict=True)
    sample: int = Field(default=0, ge=0, le=100, strict=True)

    @property
    def weights(self) -> Weights:
        """The weights as the domain has them."""
        return Weights(price=self.price, lead_time=self.lead_time, sample=self.sample)


class TenderIn(Body):
    """What a buyer wants made. The deposit's currency is that of the tender and of all bids."""

    title: Line = Field(examples=["Forty bamboo lamps for a tea house"])
    brief: Prose = Field(min_length=1, examples=["Bamboo and paper, 40 cm high, warm light."])
    file_ids: Files = ()
    cap: MoneyIn | None = Field(default=None, description="The most a bid may ask for.")
    deposit: MoneyIn = Field(
        description="Stays the buyer's; half of it goes to a worker whose milestone is not paid."
    )
    bidding_seconds: int | None = Field(
        default=None,
        strict=True,
        description="How long bids are taken; at least three days are usual, seven the default.",
        examples=[604_800],
    )
    weights: WeightsIn | None = None


class FundingIn(Body):
    """How the buyer pays the deposit."""

    pay_by: PayBy = PayBy.CARD
    return_url: ReturnUrl | None = Field(
        default=None, description="Where the payment pages lead afterwards."
    )


class PlannedMilestoneIn(Body):
    """One part of the work; `amount` in minor units of the tender's currency."""

    title: Line = Field(examples=["Sample lamp"])
    amount: MinorUnits
    due_days: int = Field(
        ge=1, le=60, strict=True, description="Days from its payment.", examples=[14]
    )


class AwardIn(Body):
    """A bid, and the milestones in which exactly its price is paid."""

    bid_id: BidId
    milestones: list[PlannedMilestoneIn] = Field(min_length=1, max_length=20)

    @property
    def award(self) -> Award:
        """The award as the domain has it."""
        return Award(
            bid_id=self.bid_id,
            milestones=tuple(
                PlannedMilestone(title=m.title, amount=m.amount, due_days=m.due_days)
                for m in self.milestones
            ),
        )


class NewAward(AwardIn):
    """The chosen bid, and who is asked next, in this order, if its bidder does not take the work on."""

    reserves: list[AwardIn] = Field(default=[], max_length=10)
    note: Remark = ""


class SubmissionIn(Body):
    """What the worker shows."""

    note: Remark = Field(default="", examples=["The sample lamp, lit and unlit"])
    file_ids: Files = ()


class ApprovalIn(Note):
    """Approval in full, or of so much in minor units; the rest rolls on to the next milestone."""

    amount: MinorUnits | None = None


class ReasonIn(Body):
    """Why."""

    note: Reason = Field(examples=["The frame is not straight"])


class RulingIn(ReasonIn):
    """How much of the disputed milestone the worker gets, in minor units; the rest goes back to the buyer."""

    worker_amount: int = Field(ge=0, le=10_000_000_000_000, strict=True)


class SubmissionView(View):
    """What was shown for a milestone, and what the buyer wanted changed."""

    round: int
    note: str
    file_ids: list[str]
    at: Utc
    changes_wanted: str | None

    @classmethod
    def of(cls, row: Submission) -> Self:
        """The view of a submission's row."""
        return cls(
            round=row.round,
            note=row.note,
            file_ids=row.file_ids,
            at=row.at,
            changes_wanted=row.changes_wanted,
        )


class MilestoneView(View):
    """One part of the work."""

    number: int
    title: str
    state: State
    amount: MoneyView = Field(description="What the buyer pays for it.")
    carried: MoneyView = Field(description="What has rolled on to it from the one before.")
    released: MoneyView = Field(description="Released to the worker, commission included.")
    refunded: MoneyView
    due_at: Utc | None
    change_requests: int
    payment: PathPaymentView | None = Field(description="For the buyer.")
    submissions: list[SubmissionView]

    @classmethod
    def of(
        cls,
        row: MilestoneRow,
        currency: str,
        payment: Payment | None,
        submissions: list[SubmissionView],
    ) -> Self:
        """The view of a milestone's row."""

        def money(amount: int) -> MoneyView:
            return MoneyView.of(amount, currency)

        return cls(
            number=row.number,
            title=row.title,
            state=State(row.state),
            amount=money(row.amount),
            carried=money(row.carried),
            released=money(row.released),
            refunded=money(row.refunded),
            due_at=row.due_at,
            change_requests=row.changes,
            payment=PathPaymentView.of(payment) if payment else None,
            submissions=submissions,
        )


class TenderCard(View):
    """A tender in a list."""

    id: str = Field(examples=["ten_01h45ytscbebyvny4gc8cr8ma2"])
    phase: Phase
    buyer_id: str
    title: str
    cap: MoneyView | None
    deposit: MoneyView
    bidding_closes_at: Utc | None
    opened_at: Utc
    closed_at: Utc | None

    @classmethod
    def of(cls, tender: Tender, path: Path) -> Self:
        """The view of a tender's row."""
        return cls(**_card(TenderTerms.model_validate(tender.terms), path))


def _card(terms: TenderTerms, path: Path) -> dict[str, object]:
    """What lists and pages show of a tender."""
    return {
        "id": path.id,
        "phase": Phase(path.phase),
        "buyer_id": terms.buyer_id,
        "title": terms.title,
        "cap": MoneyView.of(terms.cap, terms.currency) if terms.cap else None,
        "deposit": MoneyView.of(terms.deposit, terms.currency),
        "bidding_closes_at": due_of(path, BIDDING),
        "opened_at": path.opened_at,
        "closed_at": path.closed_at,
    }


class TenderView(TenderCard):
    """A tender. What was agreed with the worker is shown to buyer, worker and operators."""

    brief: str
    file_ids: list[str]
    bidding_seconds: int
    weights: WeightsIn | None
    bids: int | None = Field(description="How many stand; for the buyer and operators.")
    worker_id: str | None
    payment: PathPaymentView | None = Field(description="The deposit's payment, for the buyer.")
    milestones: list[MilestoneView]
    end_reason: str | None

    @classmethod
    def seen(cls, rows: TenderRows, *, as_buyer: bool, as_party: bool) -> Self:
        """The view of a tender for its buyer, for others who have part in it (operators too), or for anybody."""
        terms = TenderTerms.model_validate(rows.tender.terms)
        weights = terms.weights
        inside = as_buyer or as_party
        return cls(
            **_card(terms, rows.path),
            brief=terms.brief,
            file_ids=list(terms.file_ids),
            bidding_seconds=terms.bidding_seconds,
            weights=WeightsIn(**weights.model_dump()) if weights else None,
            bids=None,
            worker_id=rows.tender.worker_id if inside else None,
            payment=PathPaymentView.of(rows.deposit) if rows.deposit and as_buyer else None,
            milestones=_milestones(rows, terms.currency, as_buyer=as_buyer) if inside else [],
            end_reason=rows.tender.end_reason,
        )

    def with_bids(self, count: int) -> Self:
        """The same with the number of bids, for those who may know it."""
        return self.model_copy(update={"bids": count})


def _milestones(rows: TenderRows, currency: str, *, as_buyer: bool) -> list[MilestoneView]:
    shown: dict[int, list[SubmissionView]] = {}
    for each in rows.submissions:
        shown.setdefault(each.milestone, []).append(SubmissionView.of(each))
    return [
        MilestoneView.of(row, currency, payment if as_buyer else None, shown.get(row.number, []))
        for row, payment in rows.milestones
    ]
