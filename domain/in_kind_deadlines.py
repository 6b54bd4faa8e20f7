"""The pending timers of an offer in kind: until when, who can stop them, what silence does, and what would be posted."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from domain import postings
from domain.deadlines import Deadline, PlannedPosting, planned
from domain.in_kind import Course, Event, InKindTerms, Phase
from domain.in_kind_moves import entries, move

OFFER = "offer"
_CALL_OFF = ("initiator: call off", "asker: call off")
_RETURN = "initiator: confirm return"
_CLAIM = "initiator: claim"
_EXTEND = "initiator: extend"
_SEND_BACK = "asker: send back"


def deadlines(
    terms: InKindTerms,
    phase: Phase,
    course: Course,
    at: datetime,
    running: Sequence[Deadline] = (),
) -> tuple[Deadline, ...]:
    """The timers of a phase, with what each would post.

    As entered at this moment; or, if timers of the phase are `running`, those that run, with the time they had.
    """
    timed = _entered(terms, phase, course, at)
    if running:
        times = {each.name: each.due_at for each in running}
        timed = tuple(
            each.model_copy(update={"due_at": times[each.name]})
            for each in timed
            if each.name in times
        )
    return tuple(
        each.model_copy(update={"postings": preview(terms, phase, course, each)}) for each in timed
    )


def preview(
    terms: InKindTerms, phase: Phase, course: Course, timer: Deadline
) -> tuple[PlannedPosting, ...]:
    """Exactly what the timer would post."""
    if not timer.event or course.asker_id is None:
        return ()
    moved = move(terms.bounds, course, phase, Event(timer.event), timer.due_at)
    made = list(entries(terms, course.asker_id, moved, "preview"))
    if moved.to_borrower:
        source = terms.deposit_account(course.asker_id)
        made.append(
            postings.refund(
                "preview",
                terms.in_kind_id,
                "new",
                moved.to_borrower,
                terms.path_currency,
                source=source,
            )
        )
    return planned(*made)


def _entered(
    terms: InKindTerms, phase: Phase, course: Course, at: datetime
) -> tuple[Deadline, ...]:
    """The timers of a phase entered at this moment; their postings are still to be told."""
    policy = terms.policy

    def after(seconds: int) -> datetime:
        return at + timedelta(seconds=seconds)

    back = "; the borrower gets the deposit back" if course.held else ""
    claim = (_CLAIM,) if course.held else ()
    match phase:
        case Phase.OFFERED:
            return (_offer(course),)
        case Phase.DEPOSIT:
            return (_deposit(after(policy.deposit_seconds)),)
        case Phase.MATCHED | Phase.READY:
            return (_hand_over(after(policy.hand_over_seconds), back),)
        case Phase.HANDED_OVER:
            return (_confirmation(after(policy.confirm_seconds)),)
        case Phase.OBJECTED:
            words = "It counts as received and the path is completed."
            return (_ruling(after(policy.ruling_seconds), words, "asker: confirm"),)
        case Phase.LENT:
            return _loan(terms, course, claim)
        case Phase.OVERDUE:
            return (_overdue(after(policy.overdue_silence_seconds), back, claim),)
        case Phase.SENT_BACK:
            return (_return(after(policy.return_seconds), back, claim),)
        case Phase.CLAIMED:
            return (_claim_answer(after(policy.claim_answer_seconds)),)
        case Phase.CONTESTED:
            words = "The lender gets half of the claim, the borrower the rest of the deposit."
            return (_ruling(after(policy.ruling_seconds), words, _RETURN),)
        case _:
            return ()


def _offer(course: Course) -> Deadline:
    return Deadline(
        name=OFFER,
        due_at=course.offer_ends_at,
        stopped_by=("initiator: pick", "initiator: withdraw"),
        outcome="Nobody is picked: the offer expires.",
        event=Event.OFFER_LAPSED,
    )


def _deposit(due_at: datetime) -> Deadline:
    return Deadline(
        name="deposit",
        due_at=due_at,
        stopped_by=("asker: pay", *_CALL_OFF),
        outcome="The loan is offered to others again.",
    )


def _hand_over(due_at: datetime, back: str) -> Deadline:
    return Deadline(
        name="hand_over",
        due_at=due_at,
        stopped_by=("initiator: hand over", *_CALL_OFF),
        outcome=f"The path is cancelled{back}.",
        event=Event.HAND_OVER_LAPSED,
    )


def _confirmation(due_at: datetime) -> Deadline:
    return Deadline(
        name="confirmation",
        due_at=due_at,
        stopped_by=("asker: confirm", "asker: object"),
        outcome="It counts as received and the path is completed.",
        event=Event.CONFIRMATION_LAPSED,
    )


def _ruling(due_at: datetime, outcome: str, otherwise: str) -> Deadline:
    return Deadline(
        name="ruling",
        due_at=due_at,
        stopped_by=("operator: rule", otherwise),
        outcome=outcome,
        event=Event.RULING_LAPSED,
    )


def _loan(terms: InKindTerms, course: Course, claim: tuple[str, ...]) -> tuple[Deadline, ...]:
    """The reminder on the day of return, and the day from which on the lender may claim the deposit."""
    assert course.due_at is not None
    late = timedelta(seconds=terms.policy.late_seconds)
    stopped_by = (_SEND_BACK, _RETURN, *claim, _EXTEND)
    may = "the lender may claim the deposit" if course.held else "the lender may write it off"
    return (
        Deadline(
            name="due",
            due_at=course.due_at,
            stopped_by=stopped_by,
            outcome="The borrower is reminded.",
            event=Event.FELL_DUE,
        ),
        Deadline(
            name="overdue",
            due_at=course.due_at + late,
            stopped_by=stopped_by,
            outcome=f"It is overdue: {may}.",
            event=Event.OVERDUE,
        ),
    )


def _overdue(due_at: datetime, back: str, claim: tuple[str, ...]) -> Deadline:
    return Deadline(
        name="lender_silence",
        due_at=due_at,
        stopped_by=(_SEND_BACK, _RETURN, *claim, _EXTEND, "initiator: write off"),
        outcome=f"It counts as returned{back}.",
        event=Event.OVERDUE_LAPSED,
    )


def _return(due_at: datetime, back: str, claim: tuple[str, ...]) -> Deadline:
    return Deadline(
        name="return",
        due_at=due_at,
        stopped_by=(_RETURN, *claim),
        outcome=f"It counts as returned{back}.",
        event=Event.RETURN_LAPSED,
    )


def _claim_answer(due_at: datetime) -> Deadline:
    return Deadline(
        name="claim_answer",
        due_at=due_at,
        stopped_by=("asker: answer claim", _RETURN),
        outcome="The claim stands: the lender gets it out of the deposit, the borrower the rest.",
        event=Event.CLAIM_LAPSED,
    )
