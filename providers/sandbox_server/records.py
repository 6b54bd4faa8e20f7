"""What the sandbox accepts, stores and answers. Amounts are whole minor units."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, computed_field

Amount = Annotated[int, Field(strict=True, ge=1, le=1_000_000_000_000_000)]
CurrencyCode = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
Token = Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]{1,255}$")]
"""An identifier of the caller: visible ASCII."""
TrackingNumber = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
Text = Annotated[str, StringConstraints(min_length=1, max_length=1_000)]
WebAddress = Annotated[str, StringConstraints(pattern=r"^https?://\S+$", max_length=2_000)]
"""http or https only: it becomes a link on the pay page."""
PaymentState = Literal["open", "captured", "canceled"]
CardState = Literal["open", "saved", "canceled"]
RefundState = Literal["pending", "succeeded", "refused"]
DisputeState = Literal["open", "under_review", "won", "lost"]
PayeeState = Literal["pending", "active", "restricted", "rejected"]
PayoutState = Literal["awaiting_payee", "in_transit", "paid", "failed", "returned"]
Channel = Literal["payments", "carrier"]
EVIDENCE_SECONDS = 10 * 24 * 3_600
"""How long a bank waits for evidence in a dispute when nothing else is said; the sandbox's never decides by itself."""
EVIDENCE_BYTES = 4_500_000
"""Most that the files of one dispute may have together."""


class Body(BaseModel):
    """Something sent to the sandbox; an unknown field is an error, not a surprise."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Record(BaseModel):
    """Something stored and answered."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class NewPayment(Body):
    operation_id: Token
    subject: Token
    amount: Amount
    currency: CurrencyCode
    description: Text
    return_url: WebAddress
    card_reference: Token | None = None
    """A saved card to charge now, while its holder is away; nobody pays by hand unless it is declined."""


class Payment(Record):
    reference: str
    operation_id: str
    subject: str
    status: PaymentState
    amount: int
    currency: str
    description: str
    return_url: str
    fee: int
    settled: bool
    decline_reason: str | None
    created_at: datetime
    card_reference: str | None
    hold_until: datetime | None
    """Until when its money may stay, if that was extended."""


class PaymentView(Payment):
    """A payment with the address of its pay page."""

    checkout_url: str


class NewCard(Body):
    operation_id: Token
    subject: Token
    currency: CurrencyCode
    description: Text
    return_url: WebAddress


class Card(Record):
    """A card on file: saved by its holder, charged later. There are no numbers here, play money needs none."""

    reference: str
    operation_id: str
    subject: str
    status: CardState
    currency: str
    description: str
    return_url: str
    decline_reason: str | None
    created_at: datetime


class CardView(Card):
    """A card with the address of the page on which it is saved."""

    checkout_url: str


class NewRefund(Body):
    operation_id: Token
    subject: Token
    payment_reference: Token
    amount: Amount
    currency: CurrencyCode


class Refund(Record):
    reference: str
    operation_id: str
    subject: str
    payment_reference: str
    status: RefundState
    amount: int
    currency: str
    failure_reason: str | None
    created_at: datetime


class NewPayout(Body):
    operation_id: Token
    subject: Token
    amount: Amount
    currency: CurrencyCode
    destination: Text
    holder: Text


INSUFFICIENT_BALANCE = "insufficient_balance"
"""Why a payout fails that the platform's balance does not cover."""
PAYEE_DECLINED = "payee_declined"
NOT_CONFIRMED = "payee_did_not_confirm"
"""Why a payout fails that its payee has not confirmed in time."""


class Payout(Record):
    reference: str
    operation_id: str
    subject: str
    status: PayoutState
    amount: int
    currency: str
    destination: str
    holder: str
    fee: int
    failure_reason: str | None
    created_at: datetime
    confirm_url: str | None = None
    """Where the payee confirms it, while that is awaited."""

    @computed_field
    def destination_at_fault(self) -> bool:
        """Whether the payee's bank said no; neither being short of balance nor what the payee does is its fault."""
        others = (INSUFFICIENT_BALANCE, PAYEE_DECLINED, NOT_CONFIRMED)
        return self.status in ("failed", "returned") and self.failure_reason not in others


class NewPayee(Body):
    operation_id: Token
    subject: Token


class Payee(Record):
    reference: str
    operation_id: str
    subject: str
    status: PayeeState
    requirements: tuple[str, ...]
    url: str
    """Where the payee proves who they are."""
    created_at: datetime


class AdvancePayee(Body):
    to: PayeeState
    requirements: tuple[Token, ...] = ()


class AdvanceRefund(Body):
    to: Literal["succeeded", "refused"] = "succeeded"
    reason: Text | None = None


class AdvancePayout(Body):
    to: Literal["in_transit", "paid", "failed", "returned"]
    reason: Text | None = None


class NewDispute(Body):
    amount: Amount | None = None
    """The whole payment when left out."""
    reason: Text = "fraudulent"
    due_seconds: Annotated[int, Field(ge=0, le=365 * 24 * 3_600)] = EVIDENCE_SECONDS
    """How long evidence is taken."""
    over: bool = False
    """Whether the bank may take more than is left of the payment: costs, or another rate of exchange."""


class CloseDispute(Body):
    won: bool
    anew: bool = False
    """Whether a bank that has decided before decides again."""


class EvidenceSection(Body):
    name: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    text: Annotated[str, StringConstraints(max_length=20_000)]


class EvidenceFile(Body):
    name: Annotated[str, StringConstraints(min_length=1, max_length=255)]
    media_type: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    size_bytes: Annotated[int, Field(ge=1)]
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    content: str | None = None
    """URL-safe base64 of the bytes; left out, only the digest is on file."""


class NewEvidence(Body):
    """Everything that speaks against a dispute; it is taken once."""

    statement: Annotated[str, StringConstraints(min_length=1, max_length=20_000)]
    sections: Annotated[tuple[EvidenceSection, ...], Field(max_length=20)] = ()
    files: Annotated[tuple[EvidenceFile, ...], Field(max_length=100)] = ()


class Evidence(Record):
    """What was handed in to a dispute."""

    dispute_reference: str
    operation_id: str
    received_at: datetime
    evidence: NewEvidence


class Dispute(Record):
    reference: str
    payment_reference: str
    operation_id: str
    subject: str
    status: DisputeState
    amount: int
    currency: str
    fee: int
    reason: str
    created_at: datetime
    due_by: datetime
    """Until when the bank reads evidence."""
    accepted: bool
    """Lost because it was given in."""


class Movement(Record):
    """One line of the statement; positive came in, negative went out."""

    id: int
    reference: str
    kind: str
    subject: str
    amount: int
    currency: str
    booked_at: datetime


class Statement(Record):
    """One page of a UTC day's movements, with the balances around the whole day."""

    day: str
    opening: dict[str, int]
    closing: dict[str, int]
    lines: list[Movement]
    next_after: int | None
    """Pass as `after` for the next page; null on the last."""


class Effect(StrEnum):
    """Ways to misbehave."""

    DECLINE = "decline"
    SETTLE_LATER = "settle_later"
    LATE_CAPTURE = "late_capture"
    REFUND_REFUSED = "refund_refused"
    REFUND_PENDING = "refund_pending"
    PAYOUT_AWAIT_PAYEE = "payout_await_payee"
    PAYOUT_FAILED = "payout_failed"
    PAYOUT_HOLD = "payout_hold"
    PAYOUT_RETURNED = "payout_returned"
    UNAVAILABLE = "unavailable"
    ANSWER_LOST = "answer_lost"
    CONNECTION_CUT = "connection_cut"
    DELAY = "delay"
    DUPLICATE = "duplicate"
    REORDER = "reorder"
    DROP = "drop"
    HOLD_REFUSED = "hold_refused"
    LINE_MISSING = "line_missing"
    LINE_DOUBLED = "line_doubled"
    LINE_AMOUNT = "line_amount"
    LINE_CURRENCY = "line_currency"
    LINE_SIGN = "line_sign"
    LINE_KIND = "line_kind"
    LINE_SUBJECT = "line_subject"
    LINE_LATE = "line_late"
    BALANCE_OFF = "balance_off"


Operation = Literal[
    "payment",
    "card",
    "charge",
    "refund",
    "payout",
    "dispute",
    "payee",
    "webhook",
    "cancel",
    "read",
    "hold",
    "statement",
]


class NewBehaviour(Body):
    """Misbehave `times` times at `operation`, for everybody or for one subject only."""

    operation: Operation
    effect: Effect
    times: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    subject: Token | None = None
    """A subject, operation id, reference or tracking number."""
    event: Token | None = None
    """For webhooks: only this event type, such as `payment.captured`; for statements: only this kind of line."""
    percent: Annotated[int, Field(ge=1, le=100)] = 100
    """For webhooks: how many in a hundred matching events it applies to; the others do not use it up."""
    seconds: Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)] = 0
    reason: Text | None = None


class Behaviour(Record):
    id: int
    operation: Operation
    effect: Effect
    times_left: int
    subject: str | None
    event: str | None
    percent: int
    seconds: float
    reason: str | None


class Delivery(Record):
    """One webhook in the log. A duplicated event has two of them with one `event_id`."""

    id: int
    event_id: str
    channel: Channel
    event_type: str
    subject: str
    body: str
    state: Literal["pending", "held", "delivered", "dropped", "given_up"]
    attempts: int
    due_at: datetime | None
    last_status: int | None
    last_error: str | None
    created_at: datetime
    delivered_at: datetime | None


class Endpoint(Body):
    """Where webhooks go; a field left out keeps its address."""

    url: WebAddress | None = None
    carrier_url: WebAddress | None = None


class NewParcel(Body):
    tracking_number: TrackingNumber
    label_paid_by: Literal["seller", "platform"] = "seller"


class NewScan(Body):
    kind: Literal["in_transit", "delivered", "lost"]


class Parcel(Record):
    tracking_number: str
    label_paid_by: Literal["seller", "platform"]
    kind: Literal["registered", "in_transit", "delivered", "lost"]
    created_at: datetime
