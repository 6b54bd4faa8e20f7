"""The dispute 纠纷 (paths 2.11): phases, legal transitions, offers, rulings, and what silence does.

open -> mediation -> ruling -> ruled -> decided; before that an answer, a concession or an offer that is taken settles it.
A dispute is a path of its own about a part of another path's money, which stays locked meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from pydantic import Field

from domain.deadlines import Deadline, PlannedPosting
from domain.dispute_policy import DisputePolicy
from domain.errors import LimitReached, TalkFirst, WrongPhase
from domain.model import BasisPoints, Instant, Message
from domain.money import Currency, format_money
from domain.path import Act

WHOLE = 10_000
"""Basis points of everything that is disputed."""
MOST_DISPUTES = 20
"""Of one person about one path: opening and withdrawing them without end must not fill its timeline."""
MOST_SHOWN = 50
"""Pieces of evidence of one side."""


class Phase(StrEnum):
    """Where a dispute stands."""

    OPEN = "open"
    """The other side has to answer."""
    MEDIATION = "mediation"
    """Both make offers."""
    RULING = "ruling"
    """Operators have to rule."""
    PROPOSED = "proposed"
    """A ruling about so much money that another operator has to confirm it."""
    RULED = "ruled"
    """Either side may appeal."""
    APPEALED = "appealed"
    """Another operator has to rule."""
    SETTLED = "settled"
    """Both agree, or one side gave in."""
    DECIDED = "decided"
    """By silence, by a ruling, or by the path's own rule."""
    WITHDRAWN = "withdrawn"


FINAL = frozenset({Phase.SETTLED, Phase.DECIDED, Phase.WITHDRAWN})


class Event(StrEnum):
    """What moves a dispute."""

    OPENED = "dispute_opened"
    ANSWERED = "dispute_answered"
    CONCEDED = "dispute_conceded"
    ANSWER_LAPSED = "answer_lapsed"
    OFFERED = "offer_made"
    OFFER_TAKEN = "offer_taken"
    OFFER_REJECTED = "offer_rejected"
    OFFER_LAPSED = "offer_lapsed"
    ESCALATED = "ruling_asked"
    MEDIATION_LAPSED = "mediation_lapsed"
    RULED = "dispute_ruled"
    TOTAL_LAPSED = "ruling_lapsed"
    APPEALED = "dispute_appealed"
    APPEAL_LAPSED = "appeal_lapsed"
    RULED_AGAIN = "appeal_ruled"
    APPEAL_RULING_LAPSED = "appeal_ruling_lapsed"
    WITHDRAWN = "dispute_withdrawn"


_P = Phase
TRANSITIONS: dict[tuple[Phase, Event], frozenset[Phase]] = {
    (_P.OPEN, Event.OPENED): frozenset({_P.OPEN}),
    (_P.OPEN, Event.ANSWERED): frozenset({_P.MEDIATION}),
    (_P.OPEN, Event.CONCEDED): frozenset({_P.SETTLED}),
    (_P.OPEN, Event.ANSWER_LAPSED): frozenset({_P.DECIDED}),
    (_P.OPEN, Event.WITHDRAWN): frozenset({_P.WITHDRAWN}),
    (_P.MEDIATION, Event.CONCEDED): frozenset({_P.SETTLED}),
    (_P.MEDIATION, Event.OFFERED): frozenset({_P.MEDIATION}),
    (_P.MEDIATION, Event.OFFER_TAKEN): frozenset({_P.SETTLED}),
    (_P.MEDIATION, Event.OFFER_REJECTED): frozenset({_P.MEDIATION}),
    (_P.MEDIATION, Event.OFFER_LAPSED): frozenset({_P.SETTLED}),
    (_P.MEDIATION, Event.ESCALATED): frozenset({_P.RULING}),
    (_P.MEDIATION, Event.MEDIATION_LAPSED): frozenset({_P.RULING}),
    (_P.MEDIATION, Event.WITHDRAWN): frozenset({_P.WITHDRAWN}),
    (_P.RULING, Event.CONCEDED): frozenset({_P.SETTLED}),
    (_P.RULING, Event.RULED): frozenset({_P.RULED, _P.PROPOSED}),
    (_P.RULING, Event.TOTAL_LAPSED): frozenset({_P.DECIDED}),
    (_P.RULING, Event.WITHDRAWN): frozenset({_P.WITHDRAWN}),
    (_P.PROPOSED, Event.RULED): frozenset({_P.RULED, _P.PROPOSED}),
    (_P.PROPOSED, Event.CONCEDED): frozenset({_P.SETTLED}),
    (_P.PROPOSED, Event.TOTAL_LAPSED): frozenset({_P.DECIDED}),
    (_P.PROPOSED, Event.WITHDRAWN): frozenset({_P.WITHDRAWN}),
    (_P.RULED, Event.APPEALED): frozenset({_P.APPEALED}),
    (_P.RULED, Event.APPEAL_LAPSED): frozenset({_P.DECIDED}),
    (_P.APPEALED, Event.RULED_AGAIN): frozenset({_P.DECIDED}),
    (_P.APPEALED, Event.APPEAL_RULING_LAPSED): frozenset({_P.DECIDED}),
}
"""The whole state machine; what is not in it cannot happen."""
BY_RULING = frozenset({Event.APPEAL_LAPSED, Event.RULED_AGAIN, Event.APPEAL_RULING_LAPSED})
"""Ends for which the side that loses pays the arbitration fee."""


def require_possible(phase: str, event: str) -> frozenset[Phase]:
    """Where the event can lead from this phase. Raises WrongPhase when it cannot happen in it."""
    found = TRANSITIONS.get((Phase(phase), Event(event)))
    if found is None:
        possible = sorted(str(e) for p, e in TRANSITIONS if p == phase)
        raise WrongPhase(
            f"a dispute that is {phase} cannot have {event}",
            field="phase",
            accepted=", ".join(possible) or "nothing: the dispute has ended",
        )
    return found


def next_phase(phase: str, event: str, *, confirmed: bool = True) -> Phase:
    """Where the event leads; `confirmed`: a ruling needs no other operator. Raises WrongPhase."""
    found = require_possible(phase, event)
    if len(found) > 1:
        return Phase.RULED if confirmed else Phase.PROPOSED
    [only] = found
    return only


class StakeKind(StrEnum):
    """What money a dispute is about."""

    SALE = "sale"
    """Lines of a sale, in escrow or released."""
    MILESTONE = "milestone"
    """A milestone of a tender, in escrow."""
    RELEASED = "released"
    """What somebody got out of any path."""


class StakePart(Message):
    """So much of one line of a sale, minor units."""

    line: int
    amount: int


class Stake(Message):
    """The money of a dispute: whose it was, whose it is going to be. Never recomputed."""

    kind: StakeKind
    about_id: str
    """The path."""
    subject: str = ""
    """Which part of the path, so that one part is disputed once at a time."""
    payer_id: str
    """Who paid, and gets back what a ruling says."""
    payee_id: str
    amount: int
    currency: Currency
    parts: tuple[StakePart, ...] = ()
    milestone: int = 0
    fee: int = 0
    """Of what was released: the commission in it, which the platform gives back in part."""

    def to_payer(self, basis_points: int) -> int:
        """What goes back to the payer, minor units, rounded to their disadvantage by less than one."""
        return self.amount * basis_points // WHOLE


class DisputeTerms(Message):
    """What a dispute is about; never recomputed."""

    dispute_id: str
    claimant_id: str
    respondent_id: str
    stake: Stake
    asked: BasisPoints
    """What the claimant wants the payer to get back."""
    words: str
    file_ids: tuple[str, ...] = ()
    return_id: str | None = None
    """The return that ended in this dispute."""
    opened_at: Instant
    policy: DisputePolicy


class Offer(Message):
    """What one side offers."""

    by_id: str
    to_payer: BasisPoints
    at: Instant


class Ruling(Message):
    """What an operator has decided."""

    by_id: str
    to_payer: BasisPoints
    reason: str


class Course(Message):
    """What has become of a dispute so far."""

    offer: Offer | None = None
    """The one that stands."""
    offers: dict[str, int] = Field(default_factory=dict)
    """How many each side has made."""
    mediation_since: Instant | None = None
    ruling: Ruling | None = None
    """Of the operator who ruled first, or last proposed; who has confirmed it is `confirmed_by`."""
    confirmed_by: str | None = None
    appealed_by: str | None = None
    second: Ruling | None = None
    outcome: BasisPoints | None = None
    """What the payer gets back in the end; none while it goes on, and when it was withdrawn."""
    refunded: int = 0
    fee: int = 0
    """What the losing side has paid for the ruling, minor units."""


class DisputeAct(Act):
    """Somebody's act on a dispute."""

    to_payer: BasisPoints | None = None
    """Of an offer or a ruling."""


class OpenDispute(Message):
    """Input of a dispute: who disputes what."""

    dispute_id: str
    about_id: str
    claimant_id: str
    milestone: int = 0
    lines: tuple[int, ...] = ()
    """Numbers of a sale's lines, from 0; none: all of them."""
    against_id: str | None = None
    """Who got the money, where several have."""
    amount: int | None = None
    """Of what was released: how much of it is disputed, minor units."""
    return_id: str | None = None
    asked: BasisPoints = WHOLE
    words: str
    file_ids: tuple[str, ...] = ()
    policy: DisputePolicy


class DisputeStep(Message):
    """Ask the database to take a dispute through one transition. `key` makes it happen once."""

    opening: OpenDispute
    workflow_id: str
    key: str
    event: Event
    act: DisputeAct
    at: Instant


class RulingAsked(Message):
    """Somebody asks what a ruling would post."""

    dispute_id: str
    to_payer: BasisPoints


def loser(terms: DisputeTerms, outcome: int) -> str | None:
    """Who gets less than half; None when both get half."""
    if outcome * 2 == WHOLE:
        return None
    return terms.stake.payee_id if outcome * 2 > WHOLE else terms.stake.payer_id


def arbitration_fee(policy: DisputePolicy, amount: int, balance: int) -> int:
    """What the losing side pays for a ruling, minor units: never more than it has."""
    wanted = amount * policy.arbitration_basis_points // WHOLE
    return max(0, min(wanted, policy.arbitration_most, balance))


def offered(terms: DisputeTerms, course: Course, by_id: str, to_payer: int, at: datetime) -> Course:
    """The course with a new offer, which takes the place of the one that stands. Raises LimitReached."""
    made = course.offers.get(by_id, 0)
    if made >= terms.policy.offers_each:
        raise LimitReached(
            f"you have made {made} offers", accepted="taking the other side's, or a ruling"
        )
    return course.model_copy(
        update={
            "offer": Offer(by_id=by_id, to_payer=to_payer, at=at),
            "offers": {**course.offers, by_id: made + 1},
        }
    )


def require_escalation(terms: DisputeTerms, course: Course, at: datetime) -> None:
    """Raises TalkFirst while both should still talk."""
    assert course.mediation_since is not None
    from_ = course.mediation_since + timedelta(seconds=terms.policy.escalate_seconds)
    if at < from_:
        raise TalkFirst(
            "both sides should talk a while before operators rule",
            field="phase",
            accepted=f"from {from_:%Y-%m-%d %H:%M:%S} UTC on",
        )


def evidence_until(terms: DisputeTerms, course: Course) -> datetime:
    """Until when evidence is taken: from the opening on, and a while into the mediation."""
    since = course.mediation_since or terms.opened_at + timedelta(
        seconds=terms.policy.answer_seconds
    )
    return since + timedelta(seconds=terms.policy.evidence_seconds)


class _Timer(NamedTuple):
    name: str
    since: datetime
    seconds: int
    event: Event
    outcome: str
    share: int | None
    """What the payer gets back then, basis points; None when nothing moves."""


def deadlines(
    terms: DisputeTerms,
    course: Course,
    phase: Phase,
    at: datetime,
    previews: dict[int, Sequence[PlannedPosting]],
    default: int,
) -> tuple[Deadline, ...]:
    """The pending timers of a dispute that has entered `phase` at this moment.

    `previews`: what would be posted by the payer's share in basis points; `default`: their share by the path's own rule.
    """
    return tuple(
        Deadline(
            name=each.name,
            due_at=each.since + timedelta(seconds=each.seconds),
            stopped_by=_STOPPED_BY[each.name],
            outcome=each.outcome
            if each.share is None
            else f"{each.outcome}: {in_words(terms.stake, each.share)}.",
            postings=() if each.share is None else tuple(previews.get(each.share, ())),
            event=each.event,
        )
        for each in _running(terms, course, phase, at, default)
    )


def _running(
    terms: DisputeTerms, course: Course, phase: Phase, at: datetime, default: int
) -> list[_Timer]:
    policy, offer, ruling = terms.policy, course.offer, course.ruling
    ruled = ruling.to_payer if ruling else default
    match phase:
        case Phase.OPEN:
            lapse, wait = Event.ANSWER_LAPSED, policy.answer_seconds
            return [_Timer("answer", at, wait, lapse, "Silence loses", terms.asked)]
        case Phase.MEDIATION:
            since, wait = course.mediation_since or at, policy.mediation_seconds
            lapse = Event.MEDIATION_LAPSED
            talk = _Timer("mediation", since, wait, lapse, "Operators rule.", None)
            if offer is None:
                return [talk]
            taken, wait = "Silence takes the offer", policy.reply_seconds
            lapse = Event.OFFER_LAPSED
            return [_Timer("reply", offer.at, wait, lapse, taken, offer.to_payer), talk]
        case Phase.RULING | Phase.PROPOSED:
            own, wait = "The path's own rule decides", policy.total_seconds
            return [_Timer("ruling", terms.opened_at, wait, Event.TOTAL_LAPSED, own, default)]
        case Phase.RULED:
            lapse, wait = Event.APPEAL_LAPSED, policy.appeal_seconds
            return [_Timer("appeal", at, wait, lapse, "The ruling stands", ruled)]
        case Phase.APPEALED:
            lapse, wait = Event.APPEAL_RULING_LAPSED, policy.appeal_ruling_seconds
            return [_Timer("second ruling", at, wait, lapse, "The first ruling stands", ruled)]
    return []


_STOPPED_BY = {
    "answer": ("respondent: answer", "respondent: concede", "claimant: withdraw"),
    "mediation": ("either: take an offer", "either: concede", "claimant: withdraw"),
    "reply": ("other side: take", "other side: reject", "other side: offer"),
    "ruling": ("operator: rule", "either: concede", "claimant: withdraw"),
    "appeal": ("either: appeal",),
    "second ruling": ("another operator: rule",),
}


def in_words(stake: Stake, share: int) -> str:
    """Who gets what."""
    back = stake.to_payer(share)
    return (
        f"{format_money(back, stake.currency)} of {format_money(stake.amount, stake.currency)} "
        "for who paid, the rest for who was to get it"
    )
