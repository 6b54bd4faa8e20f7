"""The one port to payment companies: what the platform may ask, and what comes back.

Every call that moves money carries an `operation_id`. It is the provider's idempotency key and is stored in the
provider's metadata, so that after an ambiguous answer the object can be looked up before anything is asked again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Protocol

from pydantic import ConfigDict, Field

from domain.errors import ProviderMismatch
from domain.model import Instant, Message
from domain.money import Currency, MinorUnits
from domain.payees import PayeeStatus

MAX_AT_ONCE = 100
"""Most references that one bulk read may name."""
EVIDENCE_TEXT = 20_000
"""Most characters of one part of the evidence in a dispute (Stripe)."""
EVIDENCE_BYTES = 4_500_000
"""Most that the files of one dispute may have together (Stripe)."""


class ProviderUnavailable(Exception):
    """No clear answer: refused connection, time-out, 5xx. The operation may or may not have happened."""


class PaymentStatus(StrEnum):
    """Where a payment stands at the provider."""

    OPEN = "open"
    """The payer can still pay (also after a declined attempt)."""
    CAPTURED = "captured"
    CANCELED = "canceled"


class CardStatus(StrEnum):
    """Where a saved card stands at the provider."""

    OPEN = "open"
    """The payer has not saved a card yet (also after a declined try)."""
    SAVED = "saved"
    """May be charged while its holder is away."""
    CANCELED = "canceled"
    """The page was closed before anything was saved, or the card was released."""


class RefundStatus(StrEnum):
    """Where a refund stands at the provider."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    REFUSED = "refused"


class PayoutStatus(StrEnum):
    """Where a payout stands at the provider. `paid` is not final: a bank may return it days later."""

    AWAITING_PAYEE = "awaiting_payee"
    """Lapses unless the payee confirms it at the provider."""
    IN_TRANSIT = "in_transit"
    PAID = "paid"
    FAILED = "failed"
    RETURNED = "returned"


class DisputeStatus(StrEnum):
    """Where a chargeback stands at the provider, who speaks for the payer's bank."""

    NEEDS_RESPONSE = "needs_response"
    """The money has left our balance; evidence can be handed in."""
    UNDER_REVIEW = "under_review"
    """Our evidence is in; the bank has not decided."""
    WON = "won"
    LOST = "lost"


class PaymentRequest(Message):
    """Ask a provider to let somebody pay."""

    operation_id: str
    subject: str
    """Our id of the payment (`pay_…`); comes back in webhooks."""
    amount: MinorUnits
    currency: Currency
    description: str
    return_url: str
    """Where the hosted page sends the payer afterwards."""


class ProviderPayment(Message):
    """A payment as the provider has it."""

    reference: str
    operation_id: str
    subject: str
    status: PaymentStatus
    amount: MinorUnits
    currency: Currency
    checkout_url: str
    fee: int = 0
    """What the provider keeps, in minor units; known once captured."""
    settled: bool = False
    """Whether amount minus fee has reached our balance at the provider."""
    decline_reason: str | None = None
    """Why the payer's last attempt failed."""
    hold_until: Instant | None = None
    """Until when its money may stay with the provider, where that was extended."""


class CardRequest(Message):
    """Ask a provider to let somebody save a card, without any charge."""

    operation_id: str
    subject: str
    """Our id of the saved card (`crd_…`); comes back in webhooks."""
    currency: Currency
    """What the card will be charged in."""
    description: str
    return_url: str
    """Where the hosted page sends the payer afterwards."""


class ProviderCard(Message):
    """A saved card as the provider has it. Its number never reaches us."""

    reference: str
    operation_id: str
    subject: str
    status: CardStatus
    currency: Currency
    checkout_url: str
    """The hosted page on which the payer saves the card."""
    decline_reason: str | None = None
    """Why the payer's last try to save a card failed."""


class ChargeRequest(Message):
    """Ask to charge a saved card while its holder is away."""

    operation_id: str
    subject: str
    """Our id of the payment (`pay_…`); comes back in webhooks."""
    card_reference: str
    amount: MinorUnits
    currency: Currency
    description: str
    return_url: str
    """Where the hosted page sends a payer who pays by hand after a decline."""


class RefundRequest(Message):
    """Ask for all or part of a captured payment to go back to the payer."""

    operation_id: str
    subject: str
    payment_reference: str
    amount: MinorUnits
    currency: Currency


class ProviderRefund(Message):
    """A refund as the provider has it."""

    reference: str
    operation_id: str
    subject: str
    status: RefundStatus
    amount: MinorUnits
    currency: Currency
    failure_reason: str | None = None


class PayoutRequest(Message):
    """Ask for money to leave to a payee's bank, wallet or card."""

    operation_id: str
    subject: str
    amount: MinorUnits
    currency: Currency
    destination: str
    """The payee's account at the provider's end, as stored in the payout destination."""
    holder: str
    """Name of the account's holder."""


class ProviderPayout(Message):
    """A payout as the provider has it."""

    reference: str
    operation_id: str
    subject: str
    status: PayoutStatus
    amount: MinorUnits
    currency: Currency
    fee: int = 0
    failure_reason: str | None = None
    destination_at_fault: bool = False
    """Whether it failed because of the payee's account, so that another try needs another destination."""
    confirm_url: str | None = None
    """Where the payee confirms it, while that is awaited."""


class PayeeRequest(Message):
    """Ask a provider to verify somebody, so that it will pay them."""

    operation_id: str
    subject: str
    """Our id of the payee (`pye_…`); comes back in webhooks."""


class ProviderPayee(Message):
    """A payee as the provider has them."""

    reference: str
    operation_id: str
    subject: str
    status: PayeeStatus
    requirements: tuple[str, ...] = ()
    """What it wants to know, in its words."""
    url: str | None = None
    """The hosted page on which the payee answers that."""


class ProviderDispute(Message):
    """A chargeback as the provider has it: the payer's bank takes back a payment, or part of it."""

    reference: str
    payment_reference: str
    subject: str
    """Our id of the payment."""
    status: DisputeStatus
    amount: MinorUnits
    """What the bank takes; may be less than the payment, and more when currencies or costs were added."""
    fee: int = 0
    """What the provider keeps for it, whoever wins, in minor units."""
    currency: Currency
    due_by: Instant | None = None
    """Until when evidence counts."""


class EvidenceSection(Message):
    """One part of what we have to say in a dispute."""

    name: Annotated[str, Field(min_length=1, max_length=100)]
    text: Annotated[str, Field(max_length=EVIDENCE_TEXT)]


class EvidenceFile(Message):
    """A photo or document that speaks in a dispute."""

    model_config = ConfigDict(frozen=True, ser_json_bytes="base64", val_json_bytes="base64")

    name: Annotated[str, Field(min_length=1, max_length=255)]
    media_type: str
    size_bytes: Annotated[int, Field(ge=1)]
    sha256: str
    content: bytes | None = None
    """None where all files together would be more than EVIDENCE_BYTES; we keep it under its SHA-256."""


class DisputeEvidence(Message):
    """What we hand in against a chargeback, once."""

    statement: Annotated[str, Field(min_length=1, max_length=EVIDENCE_TEXT)]
    sections: Annotated[tuple[EvidenceSection, ...], Field(max_length=20)] = ()
    files: Annotated[tuple[EvidenceFile, ...], Field(max_length=100)] = ()


class ProviderEvent(Message):
    """What a verified webhook says: that something happened to `subject`. Amounts in it are never trusted."""

    event_id: str
    kind: str
    """Such as `payment.captured`, `card.saved`, `refund.succeeded`, `payout.returned`, `dispute.opened`."""
    subject: str
    """Our id of the payment, saved card, refund or payout, from the provider's metadata; a dispute's is its
    payment's."""
    occurred_at: Instant


class StatementLine(Message):
    """One movement on our balance at the provider."""

    line_id: str
    """The provider's name of the line: the same line read twice has the same one."""

    reference: str
    kind: str
    """`payment`, `fee`, `refund`, `payout`, `payout_return`, `dispute`, `dispute_fee`, …"""
    subject: str
    amount: int
    """Signed minor units: positive came in, negative went out."""
    currency: Currency
    booked_at: Instant


class Statement(Message):
    """One UTC day on our balance at the provider."""

    lines: tuple[StatementLine, ...]
    opening: dict[Currency, int]
    """Minor units by currency when the day began."""
    closing: dict[Currency, int]
    """When it ended."""


def is_same(
    ours: str, amount: int, currency: str, theirs: ProviderPayment | ProviderRefund | ProviderPayout
) -> bool:
    """Whether the provider's object is about this id of ours, amount and currency."""
    return (theirs.subject, theirs.amount, theirs.currency) == (ours, amount, currency)


def require_same(
    ours: str, amount: int, currency: str, theirs: ProviderPayment | ProviderRefund | ProviderPayout
) -> None:
    """Raises ProviderMismatch unless the provider's object is about this id of ours, amount and currency."""
    if not is_same(ours, amount, currency, theirs):
        raise ProviderMismatch(
            f"{theirs.reference} is {theirs.amount} {theirs.currency} for {theirs.subject}; "
            f"expected {amount} {currency} for {ours}"
        )


def require_same_card(ours: str, currency: str, theirs: ProviderCard) -> None:
    """Raises ProviderMismatch unless the provider's card is about this id of ours and currency."""
    if (theirs.subject, theirs.currency) != (ours, currency):
        raise ProviderMismatch(
            f"{theirs.reference} is a {theirs.currency} card for {theirs.subject}; "
            f"expected {currency} for {ours}"
        )


class PaymentProvider(Protocol):
    """A payment company.

    Every method raises ProviderUnavailable when the answer is not clear, and domain.errors.ProviderRefused when the
    provider understood and refused. What takes a single reference raises domain.errors.NotFound when the provider
    does not know it; bulk reads leave unknown references out, answer in any order, and raise ValueError for more
    than MAX_AT_ONCE references.
    """

    code: str
    max_hold_days: int
    """Longest time captured money may wait on our balance before the provider must let it go."""

    async def create_payment(self, request: PaymentRequest) -> ProviderPayment: ...

    async def get_payment(self, reference: str) -> ProviderPayment: ...

    async def get_payments(self, references: Sequence[str]) -> list[ProviderPayment]: ...

    async def find_payment(self, operation_id: str) -> ProviderPayment | None: ...

    async def cancel_payment(self, reference: str) -> ProviderPayment:
        """Closes an unpaid payment; answers the captured one when the payer was faster."""
        ...

    async def extend_hold(self, reference: str, operation_id: str) -> ProviderPayment:
        """Asks that captured money may stay longer; `hold_until` says how long. The same operation extends once.

        Raises domain.errors.ProviderRefused where the provider lets it stay no longer.
        """
        ...

    async def save_card(self, request: CardRequest) -> ProviderCard:
        """Opens a page on which somebody saves a card. The same operation is the same card."""
        ...

    async def get_cards(self, references: Sequence[str]) -> list[ProviderCard]: ...

    async def find_card(self, operation_id: str) -> ProviderCard | None: ...

    async def close_card(self, reference: str) -> ProviderCard:
        """Closes an open page; answers the saved card when the payer was faster."""
        ...

    async def release_card(self, reference: str) -> ProviderCard:
        """Closes an open page, or forgets a saved card also when it was saved a moment ago. Again changes nothing."""
        ...

    async def charge(self, request: ChargeRequest) -> ProviderPayment:
        """Charges a saved card at once; the same operation never charges twice.

        A declined charge stays open: it can be tried again, or paid by hand with any card on its `checkout_url`.
        Raises domain.errors.ProviderRefused when the card is unknown, not saved, released, or of another currency.
        """
        ...

    async def retry_charge(self, reference: str, operation_id: str) -> ProviderPayment:
        """Tries an open charge once more on its saved card; the same operation makes one attempt only.

        Answers the payment as it now is; a captured one is left alone. Raises domain.errors.ProviderRefused when
        the payment is canceled or no charge, or when its card was released.
        """
        ...

    async def create_refund(self, request: RefundRequest) -> ProviderRefund: ...

    async def get_refund(self, reference: str) -> ProviderRefund: ...

    async def get_refunds(self, references: Sequence[str]) -> list[ProviderRefund]: ...

    async def find_refund(self, operation_id: str) -> ProviderRefund | None: ...

    async def create_payout(self, request: PayoutRequest) -> ProviderPayout: ...

    async def get_payout(self, reference: str) -> ProviderPayout: ...

    async def find_payout(self, operation_id: str) -> ProviderPayout | None: ...

    async def create_payee(self, request: PayeeRequest) -> ProviderPayee:
        """Has somebody verified. The same operation is the same payee."""
        ...

    async def get_payee(self, reference: str) -> ProviderPayee: ...

    async def find_payee(self, operation_id: str) -> ProviderPayee | None: ...

    async def balance(self, currency: str) -> int:
        """What can leave now, in minor units; below 0 after refunds and disputes that took more than was there."""
        ...

    async def list_disputes(self, payment_reference: str) -> list[ProviderDispute]:
        """All chargebacks of a payment, oldest first."""
        ...

    async def get_dispute(self, reference: str) -> ProviderDispute: ...

    async def submit_evidence(
        self, reference: str, operation_id: str, evidence: DisputeEvidence
    ) -> ProviderDispute:
        """Hands in the evidence; the same operation and evidence again change nothing.

        It is taken once: raises domain.errors.ProviderRefused for other evidence, after `due_by`, and once the bank
        has decided.
        """
        ...

    async def accept_dispute(self, reference: str, operation_id: str) -> ProviderDispute:
        """Gives in: the chargeback is lost at once. Raises domain.errors.ProviderRefused once the bank has decided."""
        ...

    async def statement(self, day: date) -> Statement:
        """All movements booked on that UTC day, oldest first, and the balances around it."""
        ...

    def verify_webhook(
        self, headers: Mapping[str, str], body: bytes, now: datetime
    ) -> ProviderEvent:
        """Checks signature and time on the raw bytes. Raises domain.errors.WebhookRefused."""
        ...

    async def aclose(self) -> None:
        """Closes the connections to the provider."""
        ...
