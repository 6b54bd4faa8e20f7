"""The tender 招标 (paths 2.3): phases, legal transitions, frozen terms, bids, awards and the deposit."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from enum import StrEnum

from pydantic import Field

from domain import accounts, postings
from domain.accounts import Account
from domain.errors import (
    AboveCap,
    CurrencyMismatch,
    HoldTooLong,
    InvalidInput,
    SharesDoNotSum,
    WrongPhase,
)
from domain.model import Message
from domain.money import Currency, MinorUnits, Money, basis_points_of, format_money
from domain.policy import RefundPolicy, TenderPolicy
from domain.postings import JournalEntry, Share


class Phase(StrEnum):
    """Where a tender stands."""

    DRAFT = "draft"
    FUNDING = "funding"
    """The buyer is paying the deposit."""
    OPEN = "open"
    """Sealed bids come in."""
    SELECTING = "selecting"
    AWARDED = "awarded"
    """A bidder has been chosen and has not answered yet."""
    ACCEPTED = "accepted"
    """The bidder has taken the work on; the buyer is paying the first milestone."""
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    FAILED = "failed"
    """The buyer did not pay a milestone, or their bank has taken money back for good."""


FINAL = frozenset({Phase.COMPLETED, Phase.CANCELLED, Phase.EXPIRED, Phase.FAILED})
SEALED = frozenset({Phase.DRAFT, Phase.FUNDING, Phase.OPEN})
"""Phases in which nobody but its bidder sees a bid."""
PUBLIC = frozenset({Phase.FUNDING, Phase.OPEN, Phase.SELECTING, Phase.EXPIRED})
"""Phases whose deadlines and timeline tell nothing of what was agreed with a bidder."""


class Event(StrEnum):
    """What moves a tender."""

    FUNDING_ASKED = "funding_asked"
    DEPOSIT_PAID = "deposit_paid"
    DEPOSIT_UNPAID = "deposit_unpaid"
    CANCELLED = "cancelled"
    BIDDING_CLOSED = "bidding_closed"
    AWARDED = "awarded"
    SELECTION_LAPSED = "selection_lapsed"
    AWARD_ACCEPTED = "award_accepted"
    AWARD_DECLINED = "award_declined"
    AWARD_LAPSED = "award_lapsed"
    RETRACTED = "retracted"
    MILESTONE_PAID = "milestone_paid"
    MILESTONE_UNPAID = "milestone_unpaid"
    SUBMITTED = "submitted"
    APPROVED = "approved"
    APPROVAL_LAPSED = "approval_lapsed"
    CHANGES_REQUESTED = "changes_requested"
    CHANGES_LAPSED = "changes_lapsed"
    DELIVERY_LAPSED = "delivery_lapsed"
    MILESTONE_CANCELLED = "milestone_cancelled"
    HARD_STOP = "hard_stop"
    DISPUTED = "disputed"
    RULED = "ruled"
    RULING_LAPSED = "ruling_lapsed"
    CHARGED_BACK = "charged_back"
    """The buyer's bank keeps what it has taken back."""


_P = Phase
_NEXT_BIDDER = frozenset({_P.AWARDED, _P.SELECTING})
_WORK = frozenset({_P.IN_PROGRESS})
_UNPAID = frozenset({_P.IN_PROGRESS, _P.FAILED})
_CUT_SHORT = frozenset({_P.IN_PROGRESS, _P.CANCELLED})
_RELEASED = frozenset({_P.IN_PROGRESS, _P.COMPLETED})
_ANY_END = frozenset({_P.IN_PROGRESS, _P.COMPLETED, _P.CANCELLED, _P.FAILED})

TRANSITIONS: dict[tuple[Phase, Event], frozenset[Phase]] = {
    (_P.DRAFT, Event.FUNDING_ASKED): frozenset({_P.FUNDING}),
    (_P.DRAFT, Event.CANCELLED): frozenset({_P.CANCELLED}),
    (_P.FUNDING, Event.DEPOSIT_PAID): frozenset({_P.OPEN}),
    (_P.FUNDING, Event.DEPOSIT_UNPAID): frozenset({_P.EXPIRED}),
    (_P.FUNDING, Event.CANCELLED): frozenset({_P.CANCELLED}),
    (_P.OPEN, Event.BIDDING_CLOSED): frozenset({_P.SELECTING, _P.EXPIRED}),
    (_P.OPEN, Event.CANCELLED): frozenset({_P.CANCELLED}),
    (_P.SELECTING, Event.AWARDED): frozenset({_P.AWARDED}),
    (_P.SELECTING, Event.SELECTION_LAPSED): frozenset({_P.EXPIRED}),
    (_P.SELECTING, Event.CANCELLED): frozenset({_P.CANCELLED}),
    (_P.AWARDED, Event.AWARD_ACCEPTED): frozenset({_P.ACCEPTED}),
    (_P.AWARDED, Event.AWARD_DECLINED): _NEXT_BIDDER,
    (_P.AWARDED, Event.AWARD_LAPSED): _NEXT_BIDDER,
    (_P.ACCEPTED, Event.RETRACTED): _NEXT_BIDDER,
    (_P.ACCEPTED, Event.MILESTONE_PAID): _WORK,
    (_P.ACCEPTED, Event.MILESTONE_UNPAID): frozenset({_P.FAILED}),
    (_P.IN_PROGRESS, Event.MILESTONE_PAID): _WORK,
    (_P.IN_PROGRESS, Event.MILESTONE_UNPAID): _UNPAID,
    (_P.IN_PROGRESS, Event.SUBMITTED): _WORK,
    (_P.IN_PROGRESS, Event.APPROVED): _RELEASED,
    (_P.IN_PROGRESS, Event.APPROVAL_LAPSED): _RELEASED,
    (_P.IN_PROGRESS, Event.CHANGES_REQUESTED): _WORK,
    (_P.IN_PROGRESS, Event.CHANGES_LAPSED): _WORK,
    (_P.IN_PROGRESS, Event.DELIVERY_LAPSED): _WORK,
    (_P.IN_PROGRESS, Event.MILESTONE_CANCELLED): _CUT_SHORT,
    (_P.IN_PROGRESS, Event.HARD_STOP): _CUT_SHORT,
    (_P.IN_PROGRESS, Event.DISPUTED): _WORK,
    (_P.IN_PROGRESS, Event.RULED): _ANY_END,
    (_P.IN_PROGRESS, Event.RULING_LAPSED): _ANY_END,
    **{
        (phase, Event.CHARGED_BACK): frozenset({_P.FAILED})
        for phase in (_P.OPEN, _P.SELECTING, _P.AWARDED, _P.ACCEPTED, _P.IN_PROGRESS)
    },
}
"""The whole state machine of the path; what each milestone can do is domain.milestones.TRANSITIONS."""


def require_event(phase: str, event: str) -> frozenset[Phase]:
    """Where the event can lead from this phase. Raises WrongPhase when it cannot happen in it."""
    found = TRANSITIONS.get((Phase(phase), Event(event)))
    if found is None:
        possible = sorted({str(each) for origin, each in TRANSITIONS if origin == phase})
        raise WrongPhase(
            f"a tender that is {phase} cannot become {event}",
            field="phase",
            accepted=", ".join(possible) or "nothing: the tender has ended",
        )
    return found


class Weights(Message):
    """What counts in a bid, in hundredths that sum to 100."""

    price: int = Field(ge=0, le=100)
    lead_time: int = Field(ge=0, le=100)
    sample: int = Field(ge=0, le=100)


class Rules(Message):
    """The platform's rules as they stood when the buyer began to pay."""

    policy: TenderPolicy
    refund_policy: RefundPolicy
    provider: str
    return_url: str


class TenderTerms(Message):
    """What the buyer asks for. A draft's may change; once it is being funded nothing is ever recomputed."""

    tender_id: str
    buyer_id: str
    title: str
    brief: str
    file_ids: tuple[str, ...] = ()
    currency: Currency
    cap: int | None = None
    """The most a bid may ask for, minor units."""
    deposit: MinorUnits
    """The buyer's own money that answers for their keeping their side, minor units."""
    bidding_seconds: int
    weights: Weights | None = None
    rules: Rules

    @property
    def policy(self) -> TenderPolicy:
        """The windows and fees."""
        return self.rules.policy

    @property
    def deposit_account(self) -> Account:
        """Where the deposit lies."""
        return accounts.deposit(self.tender_id, self.buyer_id)

    @property
    def bidding(self) -> timedelta:
        """How long bids are taken."""
        return timedelta(seconds=self.bidding_seconds)


def require_terms(terms: TenderTerms, shortest_window_seconds: int) -> None:
    """Raises InvalidInput or SharesDoNotSum for terms that no tender can have."""
    longest = terms.policy.bidding_longest_seconds
    if not shortest_window_seconds <= terms.bidding_seconds <= longest:
        raise InvalidInput(
            "the time for bids is out of range",
            field="bidding_seconds",
            accepted=f"{shortest_window_seconds} to {longest} seconds",
        )
    weights = terms.weights
    if weights and weights.price + weights.lead_time + weights.sample != 100:
        raise SharesDoNotSum("the weights do not sum to 100", field="weights", accepted="100")


def require_holdable(policy: TenderPolicy, max_hold_seconds: int) -> None:
    """Raises HoldTooLong when one milestone's money could stay longer than the provider holds it."""
    if policy.hold_seconds() > max_hold_seconds:
        raise HoldTooLong(
            "the payment provider does not hold a milestone's money that long",
            accepted=f"at most {max_hold_seconds // 86_400} days from payment to release",
        )


class BidTerms(Message):
    """What a bidder offers."""

    price: MinorUnits
    lead_days: int = Field(ge=1)
    message: str
    file_ids: tuple[str, ...] = ()


def require_price(terms: TenderTerms, price: Money) -> None:
    """Raises CurrencyMismatch or AboveCap for a price the buyer does not take."""
    if price.currency != terms.currency:
        raise CurrencyMismatch(
            f"bids are in {terms.currency}", field="price.currency", accepted=terms.currency
        )
    if terms.cap is not None and price.amount > terms.cap:
        raise AboveCap(
            f"the buyer pays at most {format_money(terms.cap, terms.currency)}",
            field="price.amount",
            accepted=f"at most {terms.cap}",
        )


class Best(Message):
    """The lowest price and the shortest lead time of all bids that stand."""

    price: int
    lead_days: int


def score(weights: Weights, best: Best, price: int, lead_days: int, sample: int | None) -> int:
    """How good a bid is, 0 to 10,000: each criterion against the best bid's, weighted; a sample not rated counts 0."""
    cheapness = best.price * 10_000 // price
    speed = best.lead_days * 10_000 // lead_days
    quality = (sample or 0) * 100
    return (weights.price * cheapness + weights.lead_time * speed + weights.sample * quality) // 100


class PlannedMilestone(Message):
    """One part of the work and what it costs, minor units. `due_days` count from its payment."""

    title: str
    amount: MinorUnits
    due_days: int = Field(ge=1, le=60)


class Award(Message):
    """A bid, and the milestones in which its price is to be paid."""

    bid_id: str
    milestones: tuple[PlannedMilestone, ...]


def require_plan(award: Award, price: int, field: str = "milestones") -> None:
    """Raises SharesDoNotSum unless the milestones sum to the bid's price, both in minor units."""
    total = sum(each.amount for each in award.milestones)
    if total != price:
        raise SharesDoNotSum(
            f"the milestones sum to {total}, the bid is {price}", field=field, accepted=str(price)
        )


def forfeit(
    terms: TenderTerms, worker: Account, key: str, *, held: int | None = None
) -> tuple[JournalEntry, int]:
    """Half of the deposit for the worker, the odd unit theirs; and what goes back to the buyer, minor units.

    `held`: what there is of it, above 0, if not all.
    """
    deposit = terms.deposit if held is None else held
    back = deposit // 2
    share = Share(account=worker, amount=deposit - back)
    return _from_deposit(terms, share, key), back


def listing_fee(terms: TenderTerms, key: str) -> tuple[tuple[JournalEntry, ...], int]:
    """The platform's part of a deposit whose buyer chose nobody; and what goes back to the buyer, minor units."""
    fee = basis_points_of(terms.deposit, terms.policy.listing_fee_basis_points)
    share = Share(account=accounts.FEE, amount=fee)
    return ((_from_deposit(terms, share, key),) if fee else ()), terms.deposit - fee


def release_entry(terms: TenderTerms, worker: Account, amount: int, key: str) -> JournalEntry:
    """RELEASE of so much of the escrow to the worker, less the platform's commission."""
    fee = basis_points_of(amount, terms.policy.fee_basis_points)
    shares: Sequence[Share] = (
        Share(account=worker, amount=amount - fee),
        Share(account=accounts.FEE, amount=fee),
    )
    return postings.release(key, terms.tender_id, shares, terms.currency)


def _from_deposit(terms: TenderTerms, share: Share, key: str) -> JournalEntry:
    return postings.release(
        key, terms.tender_id, [share], terms.currency, source=terms.deposit_account
    )
