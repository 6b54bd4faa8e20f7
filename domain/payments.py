"""Messages of payments, refunds and payouts between workflows and activities."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from domain import accounts
from domain.accounts import Account
from domain.cases import PayoutCase
from domain.model import Instant, Message
from domain.money import Currency, MinorUnits
from domain.path import Standing


class PaymentState(StrEnum):
    """Where a payment stands on our side."""

    REQUESTED = "requested"
    OPEN = "open"
    CAPTURED = "captured"
    EXPIRED = "expired"


PAYMENT_MOVES: Mapping[PaymentState, frozenset[PaymentState]] = {
    PaymentState.REQUESTED: frozenset(
        {PaymentState.OPEN, PaymentState.CAPTURED, PaymentState.EXPIRED}
    ),
    PaymentState.OPEN: frozenset({PaymentState.CAPTURED, PaymentState.EXPIRED}),
    # Money that comes late is taken in, and goes back if nothing can be had for it any more.
    PaymentState.EXPIRED: frozenset({PaymentState.CAPTURED}),
    PaymentState.CAPTURED: frozenset(),
}
"""The whole state machine of a payment; what goes back of it is a refund."""


class Purpose(StrEnum):
    """What a payment pays for."""

    PRICE = "price"
    BOUNTY = "bounty"
    EXTENSION = "extension"
    """More bounty, for more time."""
    DEPOSIT = "deposit"
    """Stays the payer's own while all goes well; kept apart from the escrow."""
    MILESTONE = "milestone"
    BUDGET = "budget"
    """What a sponsor gives for campaigns; kept in the account of the match call."""
    PLEDGE = "pledge"
    WAGES = "wages"
    """What a requester pays in for all units of a production order; kept in its escrow."""


class RefundState(StrEnum):
    """Where a refund stands on our side."""

    REQUESTED = "requested"
    PENDING = "pending"
    SUCCEEDED = "succeeded"
    REFUSED = "refused"
    """The provider will not send it; waits until the payer takes it as balance, or the offer's time is up."""
    CREDITED = "credited"


REFUND_MOVES: Mapping[RefundState, frozenset[RefundState]] = {
    RefundState.REQUESTED: frozenset(
        {RefundState.PENDING, RefundState.SUCCEEDED, RefundState.REFUSED}
    ),
    RefundState.PENDING: frozenset({RefundState.SUCCEEDED, RefundState.REFUSED}),
    # A company that has refused may try again and succeed, as long as nothing was credited.
    RefundState.REFUSED: frozenset(
        {RefundState.PENDING, RefundState.SUCCEEDED, RefundState.CREDITED}
    ),
    RefundState.SUCCEEDED: frozenset(),
    RefundState.CREDITED: frozenset(),
}
"""The whole state machine of a refund."""


class RefundCause(StrEnum):
    """What asked for a refund."""

    PATH = "path"
    """The path itself, such as a sale that was called off."""
    RETURN = "return"
    DISPUTE = "dispute"
    GOODWILL = "goodwill"
    COMMAND = "command"


class PayoutState(StrEnum):
    """Where a payout stands on our side."""

    HELD = "held"
    """Taken out of the balance; an operator looks at it before it is sent."""
    REQUESTED = "requested"
    """Taken out of the balance; nobody has been asked to send it yet."""
    SUBMITTED = "submitted"
    """The provider was asked; whether it has understood is not known yet."""
    AWAITING_PAYEE = "awaiting_payee"
    """Lapses unless the payee confirms it at the provider."""
    IN_TRANSIT = "in_transit"
    PAID = "paid"
    FAILED = "failed"
    RETURNED = "returned"
    CANCELLED = "cancelled"
    """Never sent: its payee or an operator did not want it."""


PUT_BACK = frozenset({PayoutState.FAILED, PayoutState.RETURNED, PayoutState.CANCELLED})
"""States whose money is on the balance again."""
ON_THE_WAY = frozenset(
    {
        PayoutState.REQUESTED,
        PayoutState.SUBMITTED,
        PayoutState.AWAITING_PAYEE,
        PayoutState.IN_TRANSIT,
    }
)
"""States in which the provider has the next word."""
_ANSWERED = frozenset(
    {
        PayoutState.AWAITING_PAYEE,
        PayoutState.IN_TRANSIT,
        PayoutState.PAID,
        PayoutState.FAILED,
        PayoutState.RETURNED,
    }
)
PAYOUT_MOVES: Mapping[PayoutState, frozenset[PayoutState]] = {
    PayoutState.HELD: frozenset({PayoutState.REQUESTED, PayoutState.CANCELLED}),
    PayoutState.REQUESTED: _ANSWERED | {PayoutState.SUBMITTED},
    PayoutState.SUBMITTED: _ANSWERED,
    PayoutState.AWAITING_PAYEE: _ANSWERED - {PayoutState.AWAITING_PAYEE},
    # A company may ask the payee to confirm only after it has begun.
    PayoutState.IN_TRANSIT: _ANSWERED - {PayoutState.IN_TRANSIT},
    # What fails after it was paid has come back: the same as returned.
    PayoutState.PAID: frozenset({PayoutState.RETURNED, PayoutState.FAILED}),
    PayoutState.FAILED: frozenset(),
    PayoutState.RETURNED: frozenset(),
    PayoutState.CANCELLED: frozenset(),
}
"""The whole state machine of a payout."""


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
    tell: bool = False
    """Tell the path's story what became of the payment; it waits for that only once."""


def filled_account(purpose: Purpose, path_id: str, payer_id: str) -> Account:
    """The account of the path that a captured payment fills."""
    if purpose is Purpose.DEPOSIT:
        return accounts.deposit(path_id, payer_id)
    if purpose is Purpose.BUDGET:
        return accounts.match(path_id)
    return accounts.escrow(path_id)


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
    standing: Standing | None = None
    """Where the path stands after it, for paths with several payments."""


class PaymentNews(Message):
    """What a payment tells the story of its path when it has ended."""

    payment_id: str
    outcome: PaymentOutcome


class PresentedPayment(Message):
    """The payer can pay here."""

    payment_id: str
    checkout_url: str


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


class ReservedPayout(Message):
    """The money has left the payable account and is in transit."""

    payout_id: str
    amount: MinorUnits
    currency: Currency
    held: bool = False
    """Whether an operator looks at it before it is sent."""


class PayoutDecision(Message):
    """What becomes of a held payout. Without `send` nothing is decided: where does it stand?"""

    payout_id: str
    send: bool | None = None
    by: str | None = None
    """The payee or an operator; nobody: the time is up."""
    reason: str = ""


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
