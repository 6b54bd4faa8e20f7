"""Contests, as the API takes and shows them."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Self

from pydantic import AfterValidator, Field, StringConstraints

from api.schemas.base import Body, Line, MoneyIn, MoneyView, Prose, Remark, Utc, View, distinct
from api.schemas.sales import Note, ReturnUrl
from db.queries.contests import ContestRows
from db.tables import HandOver, LicenceSignature, Payment, Refund
from domain.contest import (
    ContestState,
    ContestTerms,
    Phase,
    Prize,
    PrizeState,
    least_extension,
    refund_until,
)
from domain.deadlines import Deadline
from domain.ids import EntryId, FileId
from domain.money import MinorUnits
from domain.payments import PaymentState
from domain.proof import FileProof

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Files = Annotated[tuple[FileId, ...], Field(max_length=20), AfterValidator(distinct)]
EntryIds = Annotated[
    tuple[EntryId, ...], Field(min_length=1, max_length=500), AfterValidator(distinct)
]
Window = Annotated[int, Field(strict=True, ge=1, description="Seconds.")]
LicenceText = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=20, max_length=20_000)
]


class PayBy(StrEnum):
    """How somebody is going to pay; decides how long they may take."""

    CARD = "card"
    BANK_TRANSFER = "bank_transfer"


class Windows(Body):
    """Windows other than the platform's; each between the least the platform allows and its own rule."""

    entry_seconds: Window | None = None
    pick_seconds: Window | None = None
    final_seconds: Window | None = None
    choose_seconds: Window | None = None
    vote_seconds: Window | None = None
    vote_notice_seconds: Window | None = None
    notice_seconds: Window | None = None
    hand_over_seconds: Window | None = None
    accept_seconds: Window | None = None


class NewContest(Body):
    """What an owner is looking for, what it is worth to them, and by which rules."""

    title: Line = Field(examples=["A mark for a tea house"])
    brief: Prose = Field(default="", examples=["Ink and bamboo; for paper, wood and a sign."])
    bounty: MoneyIn
    prizes: tuple[MinorUnits, ...] | None = Field(
        default=None,
        min_length=1,
        max_length=20,
        description="Parts of the bounty, the first prize first; without it there is one prize.",
    )
    guaranteed: bool = Field(
        default=True,
        strict=True,
        description="Whether the bounty goes to creators in any case as soon as there are entries.",
    )
    sealed: bool = Field(
        default=True, strict=True, description="Whether creators see only their own entries."
    )
    rounds: int = Field(default=1, ge=1, le=2, strict=True)
    max_finalists: int = Field(default=6, ge=2, le=50, strict=True)
    entries_each: int | None = Field(
        default=None, ge=1, le=50, strict=True, description="Entries of one creator that count."
    )
    file_ids: Files = ()
    licence: LicenceText | None = Field(
        default=None, description="The text both sides sign; the platform's standard without it."
    )
    windows: Windows = Windows()


class FundContest(Body):
    """The owner signs the licence and pays."""

    licence_sha256: Sha256 = Field(description="SHA-256 of the licence that the owner signs.")
    pay_by: PayBy = PayBy.CARD
    return_url: ReturnUrl | None = None


class ExtendContest(Body):
    """More bounty, for more time."""

    amount: MinorUnits
    pay_by: PayBy = PayBy.CARD
    return_url: ReturnUrl | None = None


class Finalists(Note):
    """Who goes on to the final round."""

    entry_ids: EntryIds


class AwardIn(Body):
    """A prize and the entry that gets it."""

    prize: int = Field(default=1, ge=1, le=20, strict=True)
    entry_id: EntryId


class Announcement(Note):
    """The owner's choice."""

    awards: tuple[AwardIn, ...] = Field(min_length=1, max_length=20)
    runners_up: Annotated[tuple[EntryId, ...], AfterValidator(distinct)] = Field(
        default=(), max_length=50, description="Who follows when a winner is lost, the best first."
    )


class DeliveryIn(Note):
    """What a winner hands over, with the licence they sign."""

    prize: int = Field(default=1, ge=1, le=20, strict=True)
    licence_sha256: Sha256
    file_ids: Annotated[
        tuple[FileId, ...], Field(min_length=1, max_length=50), AfterValidator(distinct)
    ]


class PrizeNote(Note):
    """A word about what was handed over for a prize."""

    prize: int = Field(default=1, ge=1, le=20, strict=True)


class VoidAward(Body):
    """Operators take an award back, with the reason."""

    entry_id: EntryId
    reason: Annotated[Remark, Field(min_length=3)]


class PrizeView(View):
    """A prize: what it costs the owner, what its winner gets, and who that is."""

    rank: int
    amount: MoneyView
    net: MoneyView = Field(description="After the platform's commission.")
    state: PrizeState
    entry_id: str | None
    creator_id: str | None
    revisions: int

    @classmethod
    def of(cls, prize: Prize, terms: ContestTerms) -> Self:
        """The view of a prize."""
        return cls(
            rank=prize.rank,
            amount=MoneyView.of(prize.amount, terms.currency),
            net=MoneyView.of(terms.net(prize.amount), terms.currency),
            state=prize.state,
            entry_id=prize.entry_id,
            creator_id=prize.creator_id,
            revisions=prize.revisions,
        )


class PathPaymentView(View):
    """How and until when to pay."""

    id: str
    purpose: str = Field(examples=["bounty"])
    status: str = Field(examples=["open"])
    amount: MoneyView
    checkout_url: str | None
    expires_at: Utc

    @classmethod
    def of(cls, payment: Payment) -> Self:
        """The view of a payment of a path."""
        return cls(
            id=payment.id,
            purpose=payment.purpose,
            status=payment.status,
            amount=MoneyView.of(payment.amount, payment.currency),
            checkout_url=payment.checkout_url,
            expires_at=payment.expires_at,
        )


class PathRefundView(View):
    """Money on its way back."""

    id: str
    status: str = Field(examples=["succeeded"])
    reason: str
    amount: MoneyView

    @classmethod
    def of(cls, refund: Refund) -> Self:
        """The view of a refund of a path."""
        return cls(
            id=refund.id,
            status=refund.status,
            reason=refund.reason,
            amount=MoneyView.of(refund.amount, refund.currency),
        )


class LicenceView(View):
    """The text that both sides sign."""

    text: str
    sha256: str


class ContestView(View):
    """A contest."""

    id: str = Field(examples=["con_01h45ytscbebyvny4gc8cr8ma2"])
    phase: Phase
    owner_id: str
    title: Line
    brief: str
    file_ids: list[str]
    bounty: MoneyView
    prizes: list[PrizeView]
    guaranteed: bool = Field(
        description="Whether the bounty goes to creators in any case; true from the final round on."
    )
    refundable_until: Utc | None
    sealed: bool
    rounds: int
    max_finalists: int
    entries_each: int
    entry_counts: dict[str, int] = Field(description="Entries by status.")
    feedback_percent: int | None = Field(
        description="Share of the entries that the owner has shortlisted or put aside."
    )
    least_extension: MoneyView
    extensions_left: int
    entries_close_at: Utc | None
    licence: LicenceView
    payment: PathPaymentView | None = Field(description="What is to be paid now.")
    refunds: list[PathRefundView]
    ballot_id: str | None
    end_reason: str | None
    opened_at: Utc
    closed_at: Utc | None

    @classmethod
    def of(cls, rows: ContestRows, *, payments: bool = False) -> Self:
        """The view of a contest; where to pay only for its owner."""
        contest, path = rows.contest, rows.path
        terms = ContestTerms.model_validate(contest.terms)
        state = ContestState.model_validate(contest.state)
        pending = [Deadline.model_validate(each) for each in path.deadlines]
        due = [p for p in rows.payments if p.status in (PaymentState.REQUESTED, PaymentState.OPEN)]
        return cls(
            id=contest.id,
            phase=Phase(path.phase),
            owner_id=contest.owner_id,
            title=terms.title,
            brief=terms.brief,
            file_ids=list(terms.file_ids),
            bounty=MoneyView.of(state.bounty, terms.currency),
            prizes=[PrizeView.of(prize, terms) for prize in state.prizes],
            guaranteed=terms.guaranteed or state.final_round,
            refundable_until=refund_until(terms, state),
            sealed=terms.sealed,
            rounds=terms.rounds,
            max_finalists=terms.max_finalists,
            entries_each=terms.policy.entries_each,
            entry_counts=rows.counts,
            feedback_percent=_feedback(rows.counts),
            least_extension=MoneyView.of(least_extension(terms), terms.currency),
            extensions_left=max(0, terms.policy.extensions - state.extensions),
            entries_close_at=next((d.due_at for d in pending if d.name == "entries"), None),
            licence=LicenceView(text=terms.licence, sha256=terms.licence_sha256),
            payment=PathPaymentView.of(due[-1]) if due and payments else None,
            refunds=[PathRefundView.of(refund) for refund in rows.refunds],
            ballot_id=state.ballot_id,
            end_reason=contest.end_reason,
            opened_at=path.opened_at,
            closed_at=path.closed_at,
        )


def _feedback(counts: dict[str, int]) -> int | None:
    of = sum(counts.get(status, 0) for status in ("entered", "shortlisted", "eliminated"))
    told = counts.get("shortlisted", 0) + counts.get("eliminated", 0)
    return 100 * told // of if of else None


class HandOverView(View):
    """What a winner handed over."""

    entry_id: str
    prize: int
    number: int
    note: str
    files: list[FileProof]
    handed_over_at: Utc

    @classmethod
    def of(cls, row: HandOver) -> Self:
        """The view of a hand-over."""
        return cls(
            entry_id=row.entry_id,
            prize=row.prize,
            number=row.number,
            note=row.note,
            files=[FileProof.model_validate(each) for each in row.files],
            handed_over_at=row.handed_over_at,
        )


class SignatureView(View):
    """One side's acceptance of the licence."""

    user_id: str
    role: str
    entry_id: str | None
    text_sha256: str
    signed_at: Utc

    @classmethod
    def of(cls, row: LicenceSignature) -> Self:
        """The view of a signature."""
        return cls(
            user_id=row.user_id,
            role=row.role,
            entry_id=row.entry_id,
            text_sha256=row.text_sha256,
            signed_at=row.signed_at,
        )


class HandOversView(View):
    """What was handed over, and who signed what."""

    licence: LicenceView
    hand_overs: list[HandOverView]
    signatures: list[SignatureView]
