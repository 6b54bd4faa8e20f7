"""Help in kind 众扶 (paths 2.9): a material given, a task done or equipment lent; phases, legal transitions and terms."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

from domain import accounts
from domain.accounts import Account
from domain.ballot import NO_CURRENCY
from domain.errors import HoldTooLong, InvalidInput, WrongPhase
from domain.model import Instant, Message
from domain.money import Currency, format_money
from domain.policy import InKindPolicy, RefundPolicy


class Help(StrEnum):
    """What is offered."""

    MATERIAL = "material"
    """Given for good."""
    TASK = "task"
    """Hours of work."""
    LOAN = "loan"
    """Equipment that comes back by a day, perhaps against a deposit."""


class Phase(StrEnum):
    """Where an offer stands."""

    DRAFT = "draft"
    OFFERED = "offered"
    """Whoever needs it asks for it."""
    MATCHED = "matched"
    """The supporter has picked somebody and has not handed it over yet."""
    DEPOSIT = "deposit"
    """The picked borrower is paying the deposit."""
    READY = "ready"
    """The deposit is there and the loan has not been handed over yet."""
    HANDED_OVER = "handed_over"
    """By the supporter's word; the asker has not confirmed it yet."""
    OBJECTED = "objected"
    """The asker says that nothing has come; operators rule."""
    LENT = "lent"
    OVERDUE = "overdue"
    SENT_BACK = "sent_back"
    """By the borrower's word; the lender has not confirmed it yet."""
    CLAIMED = "claimed"
    """The lender wants a part of the deposit and the borrower has not answered yet."""
    CONTESTED = "contested"
    """The borrower does not agree with the claim; operators rule."""
    COMPLETED = "completed"
    """The material was given, the task done."""
    RETURNED = "returned"
    """The loan is back, whatever became of the deposit."""
    FAILED = "failed"
    """What was promised has not come, or what was lent has not come back."""
    CANCELLED = "cancelled"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"


FINAL = frozenset(
    {
        Phase.COMPLETED,
        Phase.RETURNED,
        Phase.FAILED,
        Phase.CANCELLED,
        Phase.WITHDRAWN,
        Phase.EXPIRED,
    }
)
PICKED = frozenset({Phase.MATCHED, Phase.DEPOSIT, Phase.READY})
"""Phases between the choice and the handing over, in which both sides may still step back."""
LENDING = frozenset({Phase.LENT, Phase.OVERDUE, Phase.SENT_BACK, Phase.CLAIMED, Phase.CONTESTED})
"""Phases in which the borrower has the loan, or what became of it is not settled."""


class Event(StrEnum):
    """What moves an offer."""

    PUBLISHED = "published"
    WITHDRAWN = "withdrawn"
    OFFER_LAPSED = "offer_lapsed"
    PICKED = "picked"
    DEPOSIT_PAID = "deposit_paid"
    DEPOSIT_UNPAID = "deposit_unpaid"
    CALLED_OFF = "called_off"
    CANCELLED = "cancelled"
    """By an operator."""
    HAND_OVER_LAPSED = "hand_over_lapsed"
    HANDED_OVER = "handed_over"
    CONFIRMED = "confirmed"
    CONFIRMATION_LAPSED = "confirmation_lapsed"
    OBJECTED = "objected"
    FELL_DUE = "fell_due"
    """A reminder."""
    OVERDUE = "overdue"
    EXTENDED = "extended"
    SENT_BACK = "sent_back"
    RETURN_CONFIRMED = "return_confirmed"
    RETURN_LAPSED = "return_lapsed"
    OVERDUE_LAPSED = "overdue_lapsed"
    WRITTEN_OFF = "written_off"
    """The lender does not expect it back and claims nothing."""
    CLAIMED = "claimed"
    CLAIM_AGREED = "claim_agreed"
    CLAIM_LAPSED = "claim_lapsed"
    CLAIM_CONTESTED = "claim_contested"
    RULED = "ruled"
    RULING_LAPSED = "ruling_lapsed"
    CHARGED_BACK = "charged_back"
    """The borrower's bank keeps what it has taken back of the deposit."""


_P = Phase
_SETTLED = frozenset({_P.RETURNED, _P.FAILED})

TRANSITIONS: dict[tuple[Phase, Event], frozenset[Phase]] = {
    (_P.DRAFT, Event.PUBLISHED): frozenset({_P.OFFERED}),
    (_P.DRAFT, Event.WITHDRAWN): frozenset({_P.WITHDRAWN}),
    (_P.OFFERED, Event.WITHDRAWN): frozenset({_P.WITHDRAWN}),
    (_P.OFFERED, Event.OFFER_LAPSED): frozenset({_P.EXPIRED}),
    (_P.OFFERED, Event.PICKED): frozenset({_P.MATCHED, _P.DEPOSIT}),
    (_P.OFFERED, Event.CANCELLED): frozenset({_P.CANCELLED}),
    (_P.DEPOSIT, Event.DEPOSIT_PAID): frozenset({_P.READY}),
    (_P.DEPOSIT, Event.DEPOSIT_UNPAID): frozenset({_P.OFFERED}),
    **{
        (phase, Event.CALLED_OFF): frozenset({_P.OFFERED, _P.WITHDRAWN})
        for phase in (_P.MATCHED, _P.DEPOSIT, _P.READY)
    },
    **{
        (phase, Event.CANCELLED): frozenset({_P.CANCELLED})
        for phase in (_P.MATCHED, _P.DEPOSIT, _P.READY)
    },
    (_P.MATCHED, Event.HAND_OVER_LAPSED): frozenset({_P.CANCELLED}),
    (_P.READY, Event.HAND_OVER_LAPSED): frozenset({_P.CANCELLED}),
    (_P.MATCHED, Event.HANDED_OVER): frozenset({_P.HANDED_OVER, _P.LENT}),
    (_P.READY, Event.HANDED_OVER): frozenset({_P.LENT}),
    (_P.HANDED_OVER, Event.CONFIRMED): frozenset({_P.COMPLETED}),
    (_P.HANDED_OVER, Event.CONFIRMATION_LAPSED): frozenset({_P.COMPLETED}),
    (_P.HANDED_OVER, Event.OBJECTED): frozenset({_P.OBJECTED}),
    (_P.OBJECTED, Event.CONFIRMED): frozenset({_P.COMPLETED}),
    (_P.OBJECTED, Event.RULED): frozenset({_P.COMPLETED, _P.FAILED}),
    (_P.OBJECTED, Event.RULING_LAPSED): frozenset({_P.COMPLETED}),
    (_P.LENT, Event.FELL_DUE): frozenset({_P.LENT}),
    (_P.LENT, Event.OVERDUE): frozenset({_P.OVERDUE}),
    **{
        (phase, Event.EXTENDED): frozenset({phase})
        for phase in (_P.OFFERED, _P.MATCHED, _P.DEPOSIT, _P.READY, _P.LENT)
    },
    (_P.OVERDUE, Event.EXTENDED): frozenset({_P.LENT}),
    (_P.LENT, Event.SENT_BACK): frozenset({_P.SENT_BACK}),
    (_P.OVERDUE, Event.SENT_BACK): frozenset({_P.SENT_BACK}),
    **{
        (phase, Event.RETURN_CONFIRMED): frozenset({_P.RETURNED})
        for phase in (_P.LENT, _P.OVERDUE, _P.SENT_BACK, _P.CLAIMED, _P.CONTESTED)
    },
    (_P.SENT_BACK, Event.RETURN_LAPSED): frozenset({_P.RETURNED}),
    (_P.OVERDUE, Event.OVERDUE_LAPSED): frozenset({_P.RETURNED}),
    (_P.OVERDUE, Event.WRITTEN_OFF): frozenset({_P.FAILED}),
    **{
        (phase, Event.CLAIMED): frozenset({_P.CLAIMED})
        for phase in (_P.LENT, _P.OVERDUE, _P.SENT_BACK)
    },
    (_P.CLAIMED, Event.CLAIM_AGREED): _SETTLED,
    (_P.CLAIMED, Event.CLAIM_LAPSED): _SETTLED,
    (_P.CLAIMED, Event.CLAIM_CONTESTED): frozenset({_P.CONTESTED}),
    (_P.CONTESTED, Event.RULED): _SETTLED,
    (_P.CONTESTED, Event.RULING_LAPSED): _SETTLED,
    (_P.READY, Event.CHARGED_BACK): frozenset({_P.CANCELLED}),
    **{
        (phase, Event.CHARGED_BACK): frozenset({phase})
        for phase in (_P.LENT, _P.OVERDUE, _P.SENT_BACK, _P.CLAIMED, _P.CONTESTED)
    },
}
"""The whole state machine of the path."""


def require_event(phase: str, event: str) -> frozenset[Phase]:
    """Where the event can lead from this phase. Raises WrongPhase when it cannot happen in it."""
    found = TRANSITIONS.get((Phase(phase), Event(event)))
    if found is None:
        possible = sorted({str(each) for origin, each in TRANSITIONS if origin == phase})
        raise WrongPhase(
            f"an offer that is {phase} cannot become {event}",
            field="phase",
            accepted=", ".join(possible) or "nothing: the offer has ended",
        )
    return found


class Rules(Message):
    """The platform's rules as they stood when the offer was published."""

    policy: InKindPolicy
    refund_policy: RefundPolicy
    provider: str
    return_url: str
    max_hold_seconds: int
    """How long the provider holds a deposit."""


class Bounds(Message):
    """As much of the terms as decides what can happen."""

    help: Help
    deposit: int
    policy: InKindPolicy
    max_hold_seconds: int


class InKindTerms(Message):
    """What a supporter offers. A draft's may change; once it is published only the day of return may, later (`Course`)."""

    in_kind_id: str
    supporter_id: str
    help: Help
    title: str
    description: str
    file_ids: tuple[str, ...] = ()
    quantity: str = ""
    """How much of a material, in words."""
    hours: int | None = None
    """How much work a task is."""
    due_at: Instant | None = None
    """When a loan is to be back."""
    currency: Currency | None = None
    """Of the deposit; None without one."""
    deposit: int = 0
    """What a borrower leaves with the platform, minor units."""
    rules: Rules

    @property
    def policy(self) -> InKindPolicy:
        """The windows and limits."""
        return self.rules.policy

    @property
    def bounds(self) -> Bounds:
        """What decides what can happen."""
        return Bounds(
            help=self.help,
            deposit=self.deposit,
            policy=self.rules.policy,
            max_hold_seconds=self.rules.max_hold_seconds,
        )

    @property
    def path_currency(self) -> str:
        """What the path's row names; a path without money has no currency."""
        return self.currency or NO_CURRENCY

    def deposit_account(self, borrower_id: str) -> Account:
        """Where a borrower's deposit lies."""
        return accounts.deposit(self.in_kind_id, borrower_id)

    def money(self, amount: int) -> str:
        """An amount in words; of an offer with a deposit."""
        return format_money(amount, self.path_currency)


class Course(Message):
    """What has become of an offer since it was published."""

    due_at: Instant | None = None
    """When the loan is to be back, as it stands now."""
    offer_ends_at: Instant
    asker_id: str | None = None
    """Who was picked; None while nobody is."""
    held: int = 0
    """What the platform holds of the deposit, minor units."""
    hold_until: Instant | None = None
    """How long the provider holds that."""
    claimed: int | None = None
    """What the lender wants of it."""
    is_back: bool | None = None
    """Whether the loan is back, as the lender says with the claim."""
    released: int = 0
    """What the lender got of it in the end."""
    picks: int = 0
    """How often somebody was picked."""
    extensions: int = 0
    """How often the day of return was put off."""


class Said(Message):
    """What somebody says with an act; each event uses the fields that it needs."""

    asker_id: str | None = None
    """Who is picked."""
    offer_again: bool = True
    """Whether a supporter who calls off offers it to others."""
    due_at: Instant | None = None
    """The new day of return."""
    amount: int | None = None
    """Minor units of the deposit: a claim, a ruling, or what the bank has taken."""
    is_back: bool = True
    """Whether the loan is back, with a claim."""
    received: bool | None = None
    """Whether the help has come, with a ruling."""
    hold_until: Instant | None = None
    """How long the provider holds the deposit that was paid."""


NOTHING = Said()


def published(terms: InKindTerms, at: datetime) -> Course:
    """How an offer begins. Raises InvalidInput or HoldTooLong for a day of return that cannot be."""
    require_due(terms.bounds, terms.due_at, at)
    require_holdable(terms.bounds, terms.due_at, at, None)
    ends_at = at + timedelta(seconds=terms.policy.offer_seconds)
    return Course(due_at=terms.due_at, offer_ends_at=ends_at)


def require_terms(terms: InKindTerms, at: datetime) -> None:
    """Raises InvalidInput for terms that no offer can have."""
    loan, task = terms.help is Help.LOAN, terms.help is Help.TASK
    _only(terms.hours is not None, task, "hours", "tasks", needed=True)
    _only(bool(terms.quantity), terms.help is Help.MATERIAL, "quantity", "materials")
    _only(terms.due_at is not None, loan, "due_at", "loans", needed=True)
    _only(terms.deposit > 0, loan, "deposit", "loans")
    require_due(terms.bounds, terms.due_at, at)


def _only(given: bool, fits: bool, field: str, kind: str, *, needed: bool = False) -> None:
    if given and not fits:
        raise InvalidInput(f"{field} is for {kind} only", field=field, accepted="nothing")
    if needed and fits and not given:
        raise InvalidInput(f"{kind} need {field}", field=field, accepted=f"the {field} of {kind}")


def require_due(bounds: Bounds, due_at: datetime | None, at: datetime) -> None:
    """Raises InvalidInput when a loan would have to be back in the past, or too far ahead."""
    if due_at is None:
        return
    latest = at + timedelta(seconds=bounds.policy.loan_longest_seconds)
    if not at < due_at <= latest:
        raise InvalidInput(
            "a loan comes back in the future, and not too far ahead",
            field="due_at",
            accepted=f"after {day(at)}, until {day(latest)}",
        )


def require_holdable(
    bounds: Bounds, due_at: datetime | None, at: datetime, hold_until: datetime | None
) -> None:
    """Raises HoldTooLong when the deposit of this loan would have to be held longer than the provider holds it.

    `hold_until` is known once it was paid; before, holding can begin at once.
    """
    if due_at is None or not bounds.deposit:
        return
    until = hold_until or at + timedelta(seconds=bounds.max_hold_seconds)
    latest = until - timedelta(seconds=bounds.policy.settling_seconds())
    if due_at > latest:
        raise HoldTooLong(
            "the payment provider does not hold the deposit that long",
            field="due_at",
            accepted=f"until {day(latest)}",
        )


def day(moment: datetime) -> str:
    """A day of return, for people."""
    return f"{moment:%Y-%m-%d %H:%M} UTC"
