"""Messages of payments, refunds and payouts between workflows and activities."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum

from pydantic import Field

from domain.model import Instant, Message
from domain.money import Currency, MinorUnits
from domain.policy import Backoff, PayoutPolicy, RefundPolicy


class PaymentState(StrEnum):
    """Where a payment stands on our side."""

    REQUESTED = "requested"
    OPEN = "open"
    CAPTURED = "captured"
    EXPIRED = "expired"


class RefundState(StrEnum):
    """Where a refund stands on our side."""

    REQUESTED = "requested"
    PENDING = "pending"
    SUCCEEDED = "succeeded"
    REFUSED = "refused"
    """The provider will not send it; waits until the payer takes it as balance, or the offer's time is up."""
    CREDITED = "credited"


class PayoutState(StrEnum):
    """Where a payout stands on our side."""

    REQUESTED = "requested"
    IN_TRANSIT = "in_transit"
    PAID = "paid"
    FAILED = "failed"
    RETURNED = "returned"


class PaymentCase(Message):
    """Input of the Payment workflow: follow one payment until it is captured or expired."""

    payment_id: str
    path_id: str
    payer_id: str
    amount: MinorUnits
    currency: Currency
    expires_at: Instant
    poll: Backoff
    silence_seconds: int
    """A provider that cannot be reached for this long calls the operators."""
    refund_policy: RefundPolicy
    late: bool = False
    """Woken after the path stopped waiting: money may have come all the same."""

    @property
    def silence(self) -> timedelta:
        """How long the provider may be out of reach."""
        return timedelta(seconds=self.silence_seconds)


class Withdrawal(Message):
    """Nobody wants to pay any more: who said so, and their word."""

    actor: str
    note: str = ""


class FollowPayment(Message):
    """Ask to read the payment from the provider and to post what has happened."""

    payment_id: str
    at: Instant
    close: bool
    """Close it at the provider if it is still unpaid."""
    withdrawn: Withdrawal | None = None
    """Somebody has called it off; money that comes all the same goes back."""


class FundingResult(StrEnum):
    """What became of a payment when we looked."""

    WAITING = "waiting"
    FUNDED = "funded"
    EXPIRED = "expired"
    REVIVED = "revived"
    """Late money brought its path back to life."""
    RETURNING = "returning"
    """Late money that nobody can use: goes back by the refund named."""


class PaymentOutcome(Message):
    """The result of a look, and of the Payment workflow."""

    result: FundingResult
    at: Instant
    refund_id: str | None = None


class PresentedPayment(Message):
    """The payer can pay here."""

    payment_id: str
    checkout_url: str


class RefundCase(Message):
    """Input of the Refund workflow."""

    refund_id: str
    path_id: str
    amount: MinorUnits
    currency: Currency
    policy: RefundPolicy


class FollowRefund(Message):
    """Ask to read the refund from the provider and to post what has happened."""

    refund_id: str
    at: Instant
    offered_until: Instant
    """If the provider refuses: until when the payer may take the money as balance."""
    credit: bool = False
    """The offer has ended: put the money on the payer's balance, unless it has arrived meanwhile."""


class RefundOutcome(Message):
    """Where the refund stands after a look."""

    state: RefundState
    offered_until: Instant | None = None
    """Refused: until when the payer was told that the money can be taken as balance."""


class PayoutCase(Message):
    """Input of the Payout workflow. `amount` None: all that is available."""

    payout_id: str
    user_id: str
    currency: Currency
    amount: int | None = Field(default=None, gt=0)
    policy: PayoutPolicy


class ReservedPayout(Message):
    """The money has left the payable account and is in transit."""

    payout_id: str
    amount: MinorUnits
    currency: Currency


class FollowPayout(Message):
    """Ask to read the payout from the provider and to post what has happened."""

    payout_id: str
    at: Instant


class PayoutOutcome(Message):
    """Where the payout stands after a look."""

    state: PayoutState


class DuePage(Message):
    """One page of payees whose balance may leave by itself; `after` is the last user seen."""

    after: str = ""
    limit: int = 200


class DuePayouts(Message):
    """Payouts to start, and where the next page begins (None at the end)."""

    cases: tuple[PayoutCase, ...]
    next: str | None


class Redelivered(Message):
    """How many inbox rows were handed to their workflows again."""

    rows: int


class Forgotten(Message):
    """How many old rows were deleted."""

    idempotency_keys: int
    rejected_webhooks: int
