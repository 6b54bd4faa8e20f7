"""The pending timers of a match call: until when, who can stop them, what silence does, and what would be posted."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from domain import postings
from domain.deadlines import Deadline, planned
from domain.match_call import CallTerms, Event, Phase

OPEN_UNTIL = "end"
"""Until then projects, pledges and spendings are taken."""
SETTLEMENT = "settlement"
SPENDING = "approval"


def phase_deadlines(terms: CallTerms, phase: Phase, at: datetime) -> tuple[Deadline, ...]:
    """The timer of a phase entered at this moment; in FUNDING `at` is when the payment expires."""
    match phase:
        case Phase.FUNDING:
            return (_budget(at),)
        case Phase.OPEN:
            return (_end(terms, at + terms.open_for),)
        case Phase.CLOSED:
            return (_settlement(at + timedelta(seconds=terms.policy.settle_seconds)),)
        case _:
            return ()


def spending_deadline(terms: CallTerms, spending_id: str, at: datetime) -> Deadline:
    """Until when enough approvers must have agreed to a spending asked for at this moment."""
    return Deadline(
        name=SPENDING,
        due_at=at + timedelta(seconds=terms.policy.spending_seconds),
        stopped_by=("approver: approve", "approver: refuse"),
        outcome="The spending lapses; its money is free again.",
        event=Event.SPENDING_LAPSED,
        subject=spending_id,
    )


def top_up_deadline(payment_id: str, expires_at: datetime) -> Deadline:
    """Until when a top-up can be paid; the payment's own story runs the timer."""
    return Deadline(
        name="top_up",
        due_at=expires_at,
        stopped_by=("initiator: pay",),
        outcome="The top-up lapses; the call goes on without it.",
        subject=payment_id,
    )


def as_of_now(terms: CallTerms, running: Sequence[Deadline], left: int) -> tuple[Deadline, ...]:
    """The timers with what they would post if they fired now; `left` is what is promised to nobody, minor units.

    Every pledge changes it, so it is told when somebody asks.
    """
    if left <= 0:
        return tuple(running)
    back = planned(
        postings.refund("preview", terms.call_id, "new", left, terms.currency, source=terms.account)
    )
    return tuple(
        each.model_copy(update={"postings": back}) if each.name in _GIVE_BACK else each
        for each in running
    )


_GIVE_BACK = frozenset({OPEN_UNTIL, SETTLEMENT})


def _budget(at: datetime) -> Deadline:
    return Deadline(
        name="budget",
        due_at=at,
        stopped_by=("initiator: pay", "initiator: cancel"),
        outcome="The call expires before it has opened.",
    )


def _end(terms: CallTerms, due_at: datetime) -> Deadline:
    return Deadline(
        name=OPEN_UNTIL,
        due_at=due_at,
        stopped_by=("initiator: close", "operator: cancel"),
        outcome=(
            "The call closes: what is promised waits for its campaigns to be decided, all else goes back to the sponsor."
        ),
        event=Event.TIME_UP,
        grace_seconds=terms.policy.grace_seconds,
    )


def _settlement(due_at: datetime) -> Deadline:
    return Deadline(
        name=SETTLEMENT,
        due_at=due_at,
        stopped_by=("campaigns: decided",),
        outcome=(
            "What has become free goes back to the sponsor; if a campaign is still not decided, operators are called."
        ),
        event=Event.SETTLEMENT_OVERDUE,
    )
