"""What each event does to a published offer in kind: where it leads, and who gets how much of the deposit."""

from __future__ import annotations

from datetime import datetime, timedelta

from domain import accounts, postings
from domain.errors import AmountOutOfRange, InvalidInput, LimitReached, TooLate
from domain.in_kind import (
    FINAL,
    NOTHING,
    Bounds,
    Course,
    Event,
    Help,
    InKindTerms,
    Phase,
    Said,
    day,
    require_due,
    require_event,
    require_holdable,
)
from domain.model import Message
from domain.postings import JournalEntry, Share

_P = Phase


class Moved(Message):
    """What one event does."""

    phase: Phase
    course: Course
    to_lender: int = 0
    """Minor units of the deposit."""
    to_borrower: int = 0


def move(
    bounds: Bounds,
    course: Course,
    phase: Phase,
    event: Event,
    at: datetime,
    said: Said = NOTHING,
) -> Moved:
    """What the event does to a published offer.

    Raises WrongPhase, and for what was said InvalidInput, AmountOutOfRange, HoldTooLong, TooLate or LimitReached.
    """
    require_event(phase, event)
    match event:
        case Event.PICKED:
            return _picked(bounds, course, at, said)
        case Event.DEPOSIT_PAID:
            paid = {"held": bounds.deposit, "hold_until": said.hold_until}
            return Moved(phase=_P.READY, course=course.model_copy(update=paid))
        case Event.DEPOSIT_UNPAID:
            return _offered_again(bounds, course, at)
        case Event.CALLED_OFF:
            if said.offer_again:
                return _offered_again(bounds, course, at)
            return _ended(_P.WITHDRAWN, course)
        case Event.HANDED_OVER:
            return _handed_over(bounds, course, at)
        case Event.EXTENDED:
            return _extended(bounds, course, phase, at, said)
        case Event.CLAIMED:
            return _claimed(course, phase, said)
        case Event.RULED:
            return _ruled(course, phase, said)
        case Event.CLAIM_AGREED | Event.CLAIM_LAPSED:
            return _divided(course, _claim(course))
        case Event.RULING_LAPSED if phase is _P.CONTESTED:
            # Half each; the odd unit is the lender's.
            return _divided(course, _claim(course) - _claim(course) // 2)
        case Event.CHARGED_BACK:
            return _charged_back(course, phase, said)
        case _:
            [entered] = require_event(phase, event)
            if entered in FINAL:
                return _ended(entered, course)
            return Moved(phase=entered, course=course)


def entries(
    terms: InKindTerms, borrower_id: str | None, moved: Moved, key: str
) -> tuple[JournalEntry, ...]:
    """What an event pays the lender out of the deposit, without a fee."""
    if not moved.to_lender or borrower_id is None:
        return ()
    share = Share(account=accounts.payable(terms.supporter_id), amount=moved.to_lender)
    return (
        postings.release(
            key,
            terms.in_kind_id,
            [share],
            terms.path_currency,
            source=terms.deposit_account(borrower_id),
        ),
    )


def _picked(bounds: Bounds, course: Course, at: datetime, said: Said) -> Moved:
    if course.picks >= bounds.policy.picks:
        raise LimitReached(
            f"somebody was picked {course.picks} times", accepted="another offer of the same"
        )
    _require_ahead(course, at)
    require_holdable(bounds, course.due_at, at, None)
    chosen = course.model_copy(update={"asker_id": said.asker_id, "picks": course.picks + 1})
    return Moved(phase=_P.DEPOSIT if bounds.deposit else _P.MATCHED, course=chosen)


def _handed_over(bounds: Bounds, course: Course, at: datetime) -> Moved:
    _require_ahead(course, at)
    return Moved(phase=_P.LENT if bounds.help is Help.LOAN else _P.HANDED_OVER, course=course)


def _require_ahead(course: Course, at: datetime) -> None:
    if course.due_at is not None and course.due_at <= at:
        raise TooLate(
            f"it was to be back by {day(course.due_at)}",
            field="due_at",
            accepted="the same request when the day of return has been put off",
        )


def _offered_again(bounds: Bounds, course: Course, at: datetime) -> Moved:
    """Others can ask for the rest of the time, or for a while at least."""
    least = at + timedelta(seconds=bounds.policy.offer_again_seconds)
    open_again = course.model_copy(
        update={
            "asker_id": None,
            "held": 0,
            "hold_until": None,
            "offer_ends_at": max(course.offer_ends_at, least),
        }
    )
    return Moved(phase=_P.OFFERED, course=open_again, to_borrower=course.held)


def _ended(phase: Phase, course: Course) -> Moved:
    """The end, with all that is held of the deposit for the borrower."""
    return Moved(phase=phase, course=course.model_copy(update={"held": 0}), to_borrower=course.held)


def _extended(bounds: Bounds, course: Course, phase: Phase, at: datetime, said: Said) -> Moved:
    if course.due_at is None or said.due_at is None:
        raise InvalidInput("only a loan has a day of return", field="due_at", accepted="nothing")
    if course.extensions >= bounds.policy.extensions:
        raise LimitReached(
            f"the day of return was put off {course.extensions} times",
            accepted="the day as it stands",
        )
    if said.due_at <= course.due_at:
        raise InvalidInput(
            "the day of return can only be put off",
            field="due_at",
            accepted=f"after {day(course.due_at)}",
        )
    require_due(bounds, said.due_at, at)
    require_holdable(bounds, said.due_at, at, course.hold_until)
    later = {"due_at": said.due_at, "extensions": course.extensions + 1}
    return Moved(
        phase=_P.LENT if phase is _P.OVERDUE else phase, course=course.model_copy(update=later)
    )


def _claimed(course: Course, phase: Phase, said: Said) -> Moved:
    if said.amount is None or not 1 <= said.amount <= course.held:
        raise AmountOutOfRange(
            f"the deposit holds {course.held}",
            field="amount",
            accepted=f"1 to {course.held}" if course.held else "nothing: no deposit is held",
        )
    if phase is _P.LENT and not said.is_back:
        raise InvalidInput(
            "it is not overdue yet", field="is_back", accepted="true, or a claim when it is overdue"
        )
    wanted = {"claimed": said.amount, "is_back": said.is_back}
    return Moved(phase=_P.CLAIMED, course=course.model_copy(update=wanted))


def _claim(course: Course) -> int:
    """What the claim can still bring: the bank may have taken a part of the deposit since."""
    return min(course.claimed or 0, course.held)


def _divided(course: Course, to_lender: int) -> Moved:
    """So much of the deposit for the lender, the rest for the borrower."""
    settled = course.model_copy(update={"held": 0, "released": to_lender})
    return Moved(
        phase=_P.FAILED if course.is_back is False else _P.RETURNED,
        course=settled,
        to_lender=to_lender,
        to_borrower=course.held - to_lender,
    )


def _ruled(course: Course, phase: Phase, said: Said) -> Moved:
    if phase is _P.OBJECTED:
        if said.received is None:
            raise InvalidInput(
                "the ruling is whether the help has come", field="received", accepted="true, false"
            )
        return _ended(_P.COMPLETED if said.received else _P.FAILED, course)
    if said.amount is None or not 0 <= said.amount <= course.held:
        raise AmountOutOfRange(
            f"the ruling is how much of the {course.held} that are held the lender gets",
            field="lender_amount",
            accepted=f"0 to {course.held}",
        )
    return _divided(course, said.amount)


def _charged_back(course: Course, phase: Phase, said: Said) -> Moved:
    """The bank keeps a part; before the handing over that is the end, later the path goes on with the rest."""
    left = course.model_copy(update={"held": max(course.held - (said.amount or 0), 0)})
    if phase is _P.READY:
        return _ended(_P.CANCELLED, left)
    return Moved(phase=phase, course=left)
