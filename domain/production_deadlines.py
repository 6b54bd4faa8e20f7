"""The pending timers of a production order: until when, who can stop them, what silence does, and what would be posted."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from domain import postings
from domain.deadlines import Deadline, planned
from domain.production import HAS_LOTS, Event, Phase, ProductionTerms

PAYMENT = "payment"
CLAIMS = "claims"
"""Until then lots can be claimed."""
LOOK = "look"
_LOOKS_OF_AGE = 20
"""An order is looked at after each twentieth of its age at the latest, so that a long one has a short history too."""


def phase_deadlines(terms: ProductionTerms, phase: Phase, at: datetime) -> tuple[Deadline, ...]:
    """The timers of a phase entered at this moment; in FUNDING `at` is when the payment expires."""
    match phase:
        case Phase.FUNDING:
            return (_payment(at),)
        case Phase.PUBLISHED:
            return (_claims(terms, at), look(terms, at, at))
        case Phase.CLOSING:
            return (look(terms, at, at),)
        case _:
            return ()


def look(terms: ProductionTerms, since: datetime, at: datetime) -> Deadline:
    """When operators see anew where the units of an order are that was published at `since`, looked at now."""
    seconds = max(terms.policy.look_seconds, int((at - since).total_seconds()) // _LOOKS_OF_AGE)
    return Deadline(
        name=LOOK,
        due_at=at + timedelta(seconds=seconds),
        stopped_by=("system: all lots over",),
        outcome="It is looked at anew how far the order is.",
        event=Event.LOOKED,
    )


def looked(
    terms: ProductionTerms,
    phase: Phase,
    running: Sequence[Deadline],
    since: datetime,
    at: datetime,
) -> tuple[Deadline, ...]:
    """The timers after a transition that leaves the order in its phase: claims end when they would have ended."""
    if phase not in HAS_LOTS:
        return ()
    claims = (each for each in running if each.name == CLAIMS and phase is Phase.PUBLISHED)
    return (*claims, look(terms, since, at))


def as_of_now(
    terms: ProductionTerms, running: Sequence[Deadline], in_escrow: int, lots_running: int
) -> tuple[Deadline, ...]:
    """The timers with what they would post if they fired now; `in_escrow` in minor units.

    Lots change it without the order's hearing of them, so it is told when somebody asks. While one runs the end of the
    claims posts nothing.
    """
    if lots_running or not in_escrow:
        return tuple(running)
    back = postings.refund("preview", terms.order_id, "new", in_escrow, terms.currency)
    return tuple(
        each.model_copy(update={"postings": planned(back)}) if each.name == CLAIMS else each
        for each in running
    )


def _payment(at: datetime) -> Deadline:
    return Deadline(
        name=PAYMENT,
        due_at=at,
        stopped_by=("initiator: pay", "initiator: cancel"),
        outcome="The order is cancelled before it was published.",
    )


def _claims(terms: ProductionTerms, at: datetime) -> Deadline:
    return Deadline(
        name=CLAIMS,
        due_at=at + timedelta(seconds=terms.claims_seconds),
        stopped_by=("initiator: stop",),
        outcome="Nothing more can be claimed. Lots that run are finished; "
        "what is left of the wages then goes back to the requester.",
        event=Event.CLAIMS_OVER,
        grace_seconds=terms.policy.grace_seconds,
    )
