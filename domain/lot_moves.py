"""What each event does with a lot: its phase, its money, its units and its materials. Nothing here reads or writes."""

from __future__ import annotations

from datetime import datetime, timedelta

from pydantic import Field

from domain import materials
from domain.errors import HoldTooLong, InvalidInput, TooLate, WrongPhase
from domain.lot import (
    Course,
    Decision,
    Event,
    Flow,
    HandIn,
    Moved,
    Phase,
    abandoned,
    begin,
    given_up,
    require_hand_in,
    sample_seen,
)
from domain.lot_decisions import (
    arrived,
    decided,
    goods_lost,
    rework_lapsed,
    ruled,
    ruling_lapsed,
    settle,
)
from domain.materials import Step
from domain.model import Instant, Message
from domain.production import ProductionTerms


class Said(Message):
    """What was said with an event, and what the books know."""

    sample_known: bool = False
    """Of a claim: whether a sample of this maker was approved before."""
    hand_in: HandIn | None = None
    """Of goods that are sent, or are on their way."""
    tracked: bool = True
    """Of goods: whether they travel under a number. Of others only who should have them knows whether they came."""
    covered: bool = True
    """Whether a carrier has had the goods in hand, under a label that the platform has paid for."""
    by_carrier: bool = False
    """Whether a carrier says it."""
    held_until: Instant | None = None
    """How long the provider holds the wages of the order."""
    decision: Decision | None = None
    granted: int | None = None
    """Of a ruling: how many rejected units are accepted after all."""
    returned: int | None = None
    """Of a ruling: the materials of how many unused units came back after all."""
    as_promised: bool | None = None
    """Of a ruling on a contested kit: whether it is what was promised."""
    seconds: int | None = None
    """Of more time."""
    amount: int = Field(default=0, ge=0)
    """What the bank keeps of the deposit, minor units."""


def move(
    terms: ProductionTerms,
    course: Course,
    phase: Phase,
    event: Event,
    at: datetime,
    said: Said | None = None,
) -> Moved:
    """What the event does. Raises InvalidInput for what nobody can ask for; that it fits the phase is not checked."""
    said = said or Said()
    moved = _move(terms, course, phase, event, said)
    if moved.phase is Phase.MAKING and moved.course.due_at is None:
        # The time for making begins when the maker has what it takes.
        due_at = at + timedelta(seconds=terms.make_seconds)
        moved = moved.model_copy(
            update={"course": moved.course.model_copy(update={"due_at": due_at})}
        )
    updates = {
        Event.EXTENDED: _extended,
        Event.KIT_RECEIVED: _confirmed,
        Event.KIT_CONTESTED: _contested,
        Event.KIT_RULED: _time_given_back,
    }
    update = updates.get(event)
    if update is not None:
        moved = moved.model_copy(update={"course": update(terms, moved.course, at, said)})
    return moved


def _move(terms: ProductionTerms, course: Course, phase: Phase, event: Event, said: Said) -> Moved:
    match event:
        case Event.CLAIMED:
            return begin(terms, course.units, sample_known=said.sample_known)
        case Event.SAMPLE_SENT:
            return Moved(course=course, phase=Phase.SAMPLE_REVIEW)
        case Event.SAMPLE_APPROVED | Event.SAMPLE_SILENCE:
            return sample_seen(terms, course, refused=False)
        case Event.SAMPLE_REFUSED:
            return sample_seen(terms, course, refused=True)
        case Event.CALLED_OFF if phase is Phase.SAMPLE_REVIEW:
            # The sample was made: it is paid although nobody looks at it any more.
            seen = sample_seen(terms, course, refused=True)
            return seen.model_copy(update={"phase": Phase.CANCELLED})
        case Event.CALLED_OFF | Event.KIT_NOT_SENT:
            return given_up(course, Phase.CANCELLED)
        case Event.SAMPLE_LAPSED | Event.DEPOSIT_UNPAID | Event.WITHDRAWN:
            return given_up(course, Phase.LAPSED)
        case Event.DEPOSIT_PAID:
            paid = course.model_copy(update={"deposit_held": course.units * terms.deposit})
            return Moved(course=paid, phase=Phase.KIT_PAID)
        case Event.DEPOSIT_LOST:
            return _deposit_lost(course, phase, said.amount)
        case Event.KIT_SENT:
            return Moved(course=course, phase=Phase.KIT_SHIPPED)
        case Event.KIT_LOST | Event.CONTEST_ADMITTED:
            return _another_kit(terms, course)
        case Event.KIT_RECEIVED:
            return Moved(course=course, phase=Phase.MAKING)
        case Event.KIT_CONTESTED:
            return Moved(course=course, phase=Phase.KIT_CONTESTED)
        case Event.KIT_RULED if _as_promised(said):
            return Moved(course=course, phase=Phase.MAKING)
        case Event.KIT_RULED | Event.CONTEST_LAPSED:
            return given_up(course, Phase.CANCELLED)
        case Event.HEARTBEAT | Event.SILENT | Event.OVERDUE | Event.EXTENDED:
            return Moved(course=course, phase=phase)
        case Event.ABANDONED:
            return abandoned(course)
        case _:
            return _after_making(terms, course, phase, event, said)


def _after_making(
    terms: ProductionTerms, course: Course, phase: Phase, event: Event, said: Said
) -> Moved:
    again = course.in_rework > 0
    match event:
        case Event.GOODS_SENT:
            require_hand_in(course, _sent(said), phase)
            return Moved(course=course, phase=Phase.RETURN_SHIPPED)
        case Event.GOODS_RECEIVED:
            return arrived(terms, course, _sent(said), again=again)
        case Event.GOODS_LOST:
            return goods_lost(terms, course, _sent(said), covered=said.covered)
        case Event.GOODS_DENIED:
            if said.tracked:
                raise WrongPhase(
                    "the carrier says what became of these goods",
                    field="phase",
                    accepted="waiting for the carrier, or that the goods are there",
                )
            return goods_lost(terms, course, _sent(said), covered=False)
        case Event.INSPECTED:
            return decided(terms, course, _decision(said))
        case Event.INSPECTION_LAPSED:
            everything = Decision(accepted=course.undecided)
            return decided(terms, course, everything, inspected=False)
        case Event.REWORK_LAPSED:
            return rework_lapsed(terms, course)
        case Event.APPEALED:
            return Moved(course=course, phase=Phase.APPEALED)
        case Event.RULED:
            return ruled(terms, course, _granted(said), said.returned)
        case Event.RULING_LAPSED:
            return ruling_lapsed(terms, course)
        case _:
            return settle(terms, course)


def steps(before: Course, event: Event, moved: Moved, said: Said | None = None) -> list[Step]:
    """What the event does with the materials of the lot's units."""
    said = said or Said()
    again = before.in_rework > 0
    found: list[Step] = []
    match event:
        case Event.KIT_SENT:
            found = materials.kit_sent(before.units)
        case Event.KIT_RECEIVED:
            found = materials.kit_received(before.units)
        case Event.KIT_LOST:
            found = materials.kit_lost(before.units)
        case Event.ABANDONED:
            found = materials.abandoned(before.units)
        case Event.CONTEST_ADMITTED | Event.CONTEST_LAPSED:
            found = materials.kit_refused(before.units)
        case Event.KIT_RULED if moved.phase is Phase.CANCELLED:
            found = materials.kit_refused(before.units)
        case Event.GOODS_RECEIVED if not again:
            found = materials.handed_in(before.units, _sent(said))
        case Event.GOODS_LOST | Event.GOODS_DENIED:
            found = [] if again else materials.handed_in(before.units, _sent(said))
            now = moved.course
            unused = 0 if again else now.unused - now.not_returned
            found += materials.goods_lost(now.lost - before.lost, unused)
        case Event.INSPECTED | Event.INSPECTION_LAPSED | Event.RULED | Event.RULING_LAPSED:
            found = materials.accepted(moved.course.accepted - before.accepted)
    over = moved.phase in (Phase.SETTLED, Phase.LOST)
    return [*found, *(materials.ended(moved.course) if over else [])]


def _deposit_lost(course: Course, phase: Phase, amount: int) -> Moved:
    """The maker's bank keeps part of the deposit: without it no kit is sent; later the lot goes on with what is left."""
    left = course.model_copy(
        update={"deposit_held": course.deposit_held - min(course.deposit_held, amount)}
    )
    if phase is Phase.KIT_PAID:
        return given_up(left, Phase.LAPSED)
    return Moved(course=left, phase=phase, flow=Flow())


def _another_kit(terms: ProductionTerms, course: Course) -> Moved:
    """The kit is gone, or no good: the requester sends another one, but nobody waits for kits without end."""
    course = course.model_copy(update={"kits_lost": course.kits_lost + 1, **_NO_KIT})
    if course.kits_lost >= terms.policy.kits_most:
        return given_up(course, Phase.CANCELLED)
    return Moved(course=course, phase=Phase.KIT_PAID)


_NO_KIT: dict[str, None] = {"due_at": None, "kit_confirmed_at": None, "contested_at": None}


def _confirmed(terms: ProductionTerms, course: Course, at: datetime, said: Said) -> Course:
    """The maker themselves says that the materials are there."""
    return course if said.by_carrier else course.model_copy(update={"kit_confirmed_at": at})


def _contested(terms: ProductionTerms, course: Course, at: datetime, said: Said) -> Course:
    """The materials are contested: once, and soon after the maker has said that they are there.

    A carrier's word alone begins no such time: the parcel may have gone to somebody else.
    """
    if not terms.materials:
        raise WrongPhase("no materials were sent for this lot", field="phase")
    if course.contested_at is not None:
        raise WrongPhase("these materials were contested already", field="phase")
    if course.kit_confirmed_at is not None:
        until = course.kit_confirmed_at + timedelta(seconds=terms.policy.kit_contest_seconds)
        if at >= until:
            raise TooLate(
                f"materials could be contested until {until.isoformat()}",
                accepted=f"before {until.isoformat()}",
            )
    return course.model_copy(update={"contested_at": at})


def _time_given_back(terms: ProductionTerms, course: Course, at: datetime, said: Said) -> Course:
    """The maker has the time that the contest has taken."""
    if course.due_at is None or course.contested_at is None:
        return course
    return course.model_copy(update={"due_at": course.due_at + (at - course.contested_at)})


def _extended(terms: ProductionTerms, course: Course, at: datetime, said: Said) -> Course:
    """More time from the requester; at most as much at once as a lot may have from its beginning.

    What follows the making has to end while the provider still holds the wages.
    """
    longest = terms.policy.make_longest_seconds
    if said.seconds is None or not 1 <= said.seconds <= longest:
        raise InvalidInput(
            "the time is out of range", field="seconds", accepted=f"1 to {longest} seconds"
        )
    assert course.due_at is not None
    due_at = course.due_at + timedelta(seconds=said.seconds)
    if due_at <= at:
        raise InvalidInput(
            "that much time would be over already",
            field="seconds",
            accepted=f"more than {int((at - course.due_at).total_seconds())} seconds",
        )
    rest = timedelta(seconds=terms.policy.after_making_seconds)
    if said.held_until is not None and due_at + rest > said.held_until:
        raise HoldTooLong(
            "the payment provider does not hold the wages that long",
            field="seconds",
            accepted=f"work that is due by {(said.held_until - rest).isoformat()}",
        )
    return course.model_copy(update={"due_at": due_at})


def _as_promised(said: Said) -> bool:
    if said.as_promised is None:
        raise InvalidInput("say whether the materials are as promised", field="as_promised")
    return said.as_promised


def _sent(said: Said) -> HandIn:
    if said.hand_in is None:
        raise InvalidInput("say what is sent", field="made")
    return said.hand_in


def _decision(said: Said) -> Decision:
    if said.decision is None:
        raise InvalidInput("the decision is missing", field="accepted")
    return said.decision


def _granted(said: Said) -> int:
    if said.granted is None:
        raise InvalidInput("say how many units are accepted after all", field="granted")
    return said.granted
