"""Disputes, as the API takes and shows them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Self

from pydantic import Field

from api.schemas.base import Body, MoneyView, Prose, Utc, View
from api.schemas.sales import Note
from api.schemas.tenders import Files, Reason
from db.dispute_rows import course_of, terms_of
from db.tables import Dispute, DisputeEvidence, Path
from domain.disputes import Phase, StakeKind, evidence_until
from domain.ids import ReturnId, UserId
from domain.model import BasisPoints


class DisputeIn(Body):
    """What is disputed, and why."""

    words: Reason = Field(examples=["The blanket is not the one in the pictures"])
    to_payer: BasisPoints = Field(
        default=10_000,
        description="What should go back to who paid, in basis points: 10000 is all of it.",
    )
    lines: list[Annotated[int, Field(ge=0, le=49, strict=True)]] = Field(
        default_factory=list,
        max_length=50,
        description="Of a sale: numbers of its lines, from 0; none means all of them.",
    )
    return_id: ReturnId | None = Field(
        default=None, description="Of a sale: the return that this goes on from."
    )
    milestone: int = Field(
        default=0, ge=0, le=100, strict=True, description="Of a tender: which milestone."
    )
    against_id: UserId | None = Field(
        default=None, description="Who got the money that was released, where several have."
    )
    amount: int | None = Field(
        default=None, ge=1, strict=True, description="Of what was released: minor units."
    )
    file_ids: Files = Field(default=(), description="Photos; the other side sees them.")


class ShareIn(Note):
    """What goes back to who paid."""

    to_payer: BasisPoints = Field(description="Basis points: 10000 is all of it.")


class RulingIn(Body):
    """What an operator decides, with the reason that both sides read."""

    to_payer: BasisPoints = Field(description="Basis points: 10000 is all of it.", examples=[7_000])
    note: Reason = Field(examples=["The glaze is chipped, but it can be used"])


class EvidenceIn(Body):
    """What one side shows."""

    words: Prose = Field(min_length=1)
    file_ids: Files = ()


class EvidenceView(View):
    """What one side has shown."""

    id: str
    author_id: str
    words: str
    file_ids: list[str]
    at: Utc

    @classmethod
    def of(cls, row: DisputeEvidence) -> Self:
        """The view of one piece of evidence."""
        return cls(
            id=row.id,
            author_id=row.author_id,
            words=row.words,
            file_ids=row.file_ids,
            at=row.at,
        )


class OfferView(View):
    """The offer that stands."""

    by_id: str
    to_payer: BasisPoints
    at: Utc


class RulingView(View):
    """What an operator has decided."""

    to_payer: BasisPoints
    reason: str


class DisputeView(View):
    """A dispute."""

    id: str = Field(examples=["dsp_01h45ytscbebyvny4gc8cr8ma2"])
    phase: Phase
    about_id: str
    kind: StakeKind
    milestone: int
    return_id: str | None
    claimant_id: str
    respondent_id: str
    payer_id: str
    payee_id: str
    amount: MoneyView
    """What is disputed."""
    words: str
    file_ids: list[str]
    asked: BasisPoints
    offer: OfferView | None
    ruling: RulingView | None
    second_ruling: RulingView | None
    appealed_by: str | None
    outcome: BasisPoints | None
    """What went back to who paid in the end, in basis points."""
    refunded: MoneyView
    fee: MoneyView
    """What the side that lost a ruling has paid for it."""
    evidence_until: Utc
    evidence: list[EvidenceView]
    end_reason: str | None
    opened_at: Utc
    ended_at: Utc | None

    @classmethod
    def of(cls, found: tuple[Dispute, Path], shown: Sequence[DisputeEvidence] = ()) -> Self:
        """The view of a dispute and its path."""
        row, path = found
        terms, course = terms_of(row), course_of(row)
        stake, first, second = terms.stake, course.ruling, course.second
        offer = course.offer
        return cls(
            id=row.id,
            phase=Phase(path.phase),
            about_id=row.about_id,
            kind=stake.kind,
            milestone=stake.milestone,
            return_id=terms.return_id,
            claimant_id=row.claimant_id,
            respondent_id=row.respondent_id,
            payer_id=stake.payer_id,
            payee_id=stake.payee_id,
            amount=MoneyView.of(stake.amount, stake.currency),
            words=terms.words,
            file_ids=list(terms.file_ids),
            asked=terms.asked,
            offer=OfferView(by_id=offer.by_id, to_payer=offer.to_payer, at=offer.at)
            if offer
            else None,
            ruling=RulingView(to_payer=first.to_payer, reason=first.reason) if first else None,
            second_ruling=RulingView(to_payer=second.to_payer, reason=second.reason)
            if second
            else None,
            appealed_by=course.appealed_by,
            outcome=course.outcome,
            refunded=MoneyView.of(course.refunded, stake.currency),
            fee=MoneyView.of(course.fee, stake.currency),
            evidence_until=evidence_until(terms, course),
            evidence=[EvidenceView.of(each) for each in shown],
            end_reason=row.end_reason,
            opened_at=terms.opened_at,
            ended_at=row.ended_at,
        )
