"""What each event does with a lot: its phase, its money, its units and its materials. Nothing here reads or writes."""

from __future__ import annotations

from datetime import datetime, timedelta

from pydantic import Field

from domain import materials
from domain.errors import InvalidInput
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
    settle,
)
from domain.materials import Step
from domain.model import Message
from domain.production import ProductionTerms


class Said(Message):
    """What was said with an event, and what the books know."""

    sample_known: bool = False
    """Of a claim: whether a sample of this maker was approved before."""
    hand_in: HandIn | None = None
    """Of goods that are sent, or are on their way."""
    traceable: bool = True
    """Whether a carrier has had the goods in hand: without any scan nobody knows that they were ever sent."""
    decision: Decision | None = None
    granted: int | None = None
    """Of a ruling: how many rejected units are accepted after all."""
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
    if event is Event.EXTENDED:
        moved = moved.model_copy(update={"course": _extended(terms, course, at, said)})
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
        case Event.KIT_LOST:
            again = course.model_copy(update={"kits_lost": course.kits_lost + 1})
            return Moved(course=again, phase=Phase.KIT_PAID)
        case Event.KIT_RECEIVED:
            return Moved(course=course, phase=Phase.MAKING)
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
            return goods_lost(terms, course, _sent(said), traceable=said.traceable)
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
            return ruled(terms, course, _granted(said))
        case Event.RULING_LAPSED:
            return ruled(terms, course, course.rejected)
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
        case Event.GOODS_RECEIVED if not again:
            found = materials.handed_in(before.units, _sent(said))
        case Event.GOODS_LOST if again:
            found = materials.goods_lost_again(moved.course.lost - before.lost)
        case Event.GOODS_LOST:
            return materials.goods_lost(before.units, _sent(said))
        case Event.INSPECTED | Event.INSPECTION_LAPSED | Event.RULED | Event.RULING_LAPSED:
            found = materials.accepted(moved.course.accepted - before.accepted)
    return [*found, *(materials.ended(moved.course) if moved.phase is Phase.SETTLED else [])]


def _deposit_lost(course: Course, phase: Phase, amount: int) -> Moved:
    """The maker's bank keeps part of the deposit: without it no kit is sent; later the lot goes on with what is left."""
    left = course.model_copy(
        update={"deposit_held": course.deposit_held - min(course.deposit_held, amount)}
    )
    if phase is Phase.KIT_PAID:
        return given_up(left, Phase.LAPSED)
    return Moved(course=left, phase=phase, flow=Flow())


def _extended(terms: ProductionTerms, course: Course, at: datetime, said: Said) -> Course:
    """More time from the requester; at most as much at once as a lot may have from its beginning."""
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
    return course.model_copy(update={"due_at": due_at})


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
