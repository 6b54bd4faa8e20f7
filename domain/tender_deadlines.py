"""The pending timers of a tender: until when, who can stop them, what silence does, and what would be posted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from domain import accounts, postings
from domain.deadlines import Deadline, PlannedPosting, planned
from domain.milestones import (
    DepositFate,
    Milestone,
    Moved,
    State,
    Work,
    has_something_to_show,
    move,
)
from domain.postings import JournalEntry
from domain.tender import Event, Phase, TenderTerms, forfeit, listing_fee, release_entry

BIDDING = "bidding"
SELECTION = "selection"
_CANCEL = "initiator: cancel"
_DISPUTE = ("initiator: dispute", "bidder: dispute")
_SUBMIT = "bidder: submit"


def phase_deadlines(
    terms: TenderTerms, phase: Phase, at: datetime, *, reserves: int = 0
) -> tuple[Deadline, ...]:
    """The timer of a phase entered at this moment, of phases that have one of their own.

    `at` is when the payment expires in FUNDING. `reserves`: bidders who are next if the chosen one says no.
    """
    policy = terms.policy
    match phase:
        case Phase.FUNDING:
            return (_deposit(at),)
        case Phase.OPEN:
            return (_bidding(terms, at),)
        case Phase.SELECTING:
            return (_selection(terms, at + timedelta(seconds=policy.select_seconds)),)
        case Phase.AWARDED:
            return (_acceptance(at + timedelta(seconds=policy.accept_seconds), reserves),)
        case _:
            return ()


def _deposit(at: datetime) -> Deadline:
    return Deadline(
        name="deposit",
        due_at=at,
        stopped_by=("initiator: pay", _CANCEL),
        outcome="The tender expires before it has opened.",
    )


def _bidding(terms: TenderTerms, at: datetime) -> Deadline:
    return Deadline(
        name=BIDDING,
        due_at=at + terms.bidding,
        stopped_by=(_CANCEL,),
        outcome="The bids are opened to the buyer, who chooses; without any bid the buyer gets the deposit back.",
        event=Event.BIDDING_CLOSED,
        grace_seconds=terms.policy.grace_seconds,
    )


def _selection(terms: TenderTerms, due_at: datetime) -> Deadline:
    entries, back = listing_fee(terms, "preview")
    return Deadline(
        name=SELECTION,
        due_at=due_at,
        stopped_by=("initiator: award", _CANCEL),
        outcome="Nobody is chosen: the tender expires and the buyer gets the deposit back, less the listing fee.",
        postings=planned(*entries, *_deposit_back(terms, back)),
        event=Event.SELECTION_LAPSED,
    )


def _acceptance(due_at: datetime, reserves: int) -> Deadline:
    then = "the next bidder in reserve is asked" if reserves else "the buyer chooses again"
    return Deadline(
        name="acceptance",
        due_at=due_at,
        stopped_by=("bidder: accept award", "bidder: decline award"),
        outcome=f"The award lapses and {then}; the bidder is shown as less reliable.",
        event=Event.AWARD_LAPSED,
    )


def milestone_deadlines(
    terms: TenderTerms,
    worker_id: str,
    work: Work,
    at: datetime,
    changed: frozenset[int],
    running: Sequence[Deadline] = (),
) -> tuple[Deadline, ...]:
    """The timers of all milestones after a transition at `at`.

    Those of `changed` milestones start anew; the others keep the time they had in `running`. What each would post is
    told for the work as it is now.
    """
    kept = {(each.subject, each.name): each.due_at for each in running}
    found = []
    for milestone in work.milestones:
        for timer in _timers(terms, work, milestone, at):
            had = kept.get((timer.subject, timer.name), timer.due_at)
            # A hard stop that was put off while the path was paused stays so.
            due_at = max(timer.due_at, had) if milestone.number in changed else had
            shown = preview(terms, worker_id, work, milestone, timer, due_at)
            found.append(timer.model_copy(update={"due_at": due_at, "postings": shown}))
    return tuple(found)


def preview(
    terms: TenderTerms,
    worker_id: str,
    work: Work,
    milestone: Milestone,
    timer: Deadline,
    due_at: datetime,
) -> tuple[PlannedPosting, ...]:
    """Exactly what the timer would post."""
    event = Event(timer.event or Event.MILESTONE_UNPAID)
    moved = move(terms.policy, work, milestone.number, event, due_at)
    entries = [
        *worker_entries(terms, worker_id, moved, "preview"),
        *_escrow_back(terms, moved.refunded),
        *_deposit_back(terms, deposit_back(terms, moved.deposit)),
    ]
    return planned(*entries)


def worker_entries(
    terms: TenderTerms, worker_id: str, moved: Moved, key: str
) -> tuple[JournalEntry, ...]:
    """What a transition pays the worker, out of the escrow and out of a forfeited deposit."""
    worker = accounts.payable(worker_id)
    made = []
    if moved.released:
        made.append(release_entry(terms, worker, moved.released, f"{key}/release"))
    if moved.deposit is DepositFate.FORFEITED:
        made.append(forfeit(terms, worker, f"{key}/forfeit")[0])
    return tuple(made)


def deposit_back(terms: TenderTerms, fate: DepositFate) -> int:
    """How much of the deposit goes back to the buyer, minor units."""
    match fate:
        case DepositFate.RETURNED:
            return terms.deposit
        case DepositFate.FORFEITED:
            return terms.deposit // 2
        case DepositFate.KEPT:
            return 0


def _escrow_back(terms: TenderTerms, amount: int) -> Iterator[JournalEntry]:
    if amount:
        yield postings.refund("preview", terms.tender_id, "new", amount, terms.currency)


def _deposit_back(terms: TenderTerms, amount: int) -> Iterator[JournalEntry]:
    if amount:
        source = terms.deposit_account
        yield postings.refund(
            "preview", terms.tender_id, "new", amount, terms.currency, source=source
        )


def _timers(
    terms: TenderTerms, work: Work, milestone: Milestone, at: datetime
) -> Iterator[Deadline]:
    """The timers of one milestone, as if its state had been entered at `at`; their postings are still to be told."""
    policy = terms.policy

    def after(seconds: int) -> datetime:
        return at + timedelta(seconds=seconds)

    def timer(
        name: str, due_at: datetime, stopped_by: tuple[str, ...], outcome: str, event: str = ""
    ) -> Deadline:
        return Deadline(
            name=name,
            due_at=due_at,
            stopped_by=stopped_by,
            outcome=outcome,
            event=event,
            subject=milestone.subject,
        )

    match milestone.state:
        case State.FUNDING:
            yield timer(
                "milestone_payment",
                after(policy.milestone_payment_seconds),
                ("initiator: pay", *(("bidder: retract",) if _is_first(work) else ())),
                "The tender ends: half of the deposit goes to the worker, the rest back to the buyer.",
            )
        case State.SUBMITTED:
            yield timer(
                "approval",
                after(policy.approve_seconds),
                ("initiator: approve", "initiator: request changes", *_DISPUTE),
                "It counts as approved and the worker is paid.",
                Event.APPROVAL_LAPSED,
            )
        case State.CHANGES_REQUESTED:
            yield timer(
                "changes",
                after(policy.changes_seconds),
                (_SUBMIT, *_DISPUTE),
                "It is overdue: the buyer may cancel and get its money back.",
                Event.CHANGES_LAPSED,
            )
        case State.DISPUTED:
            shown = has_something_to_show(milestone)
            yield timer(
                "ruling",
                after(policy.ruling_seconds),
                ("operator: rule",),
                f"Its money goes to the {'worker' if shown else 'buyer'}.",
                Event.RULING_LAPSED,
            )
        case State.FUNDED | State.OVERDUE:
            yield from _delivery(terms, milestone, timer("", at, (_SUBMIT, *_DISPUTE), ""))


def _delivery(terms: TenderTerms, milestone: Milestone, blank: Deadline) -> Iterator[Deadline]:
    """The timers of work that is still to be submitted."""
    if milestone.due_at is None or milestone.hard_stop_at is None:
        return
    stopped_by = blank.stopped_by
    if milestone.state is State.FUNDED:
        yield blank.model_copy(
            update={
                "name": "delivery",
                "due_at": milestone.due_at + timedelta(seconds=terms.policy.late_seconds),
                "outcome": "It is overdue: the buyer may cancel and get its money back.",
                "event": Event.DELIVERY_LAPSED,
            }
        )
    else:
        stopped_by = ("initiator: cancel milestone", *stopped_by)
    yield blank.model_copy(
        update={
            "name": "hard_stop",
            "due_at": milestone.hard_stop_at,
            "stopped_by": stopped_by,
            "outcome": "The tender ends: its money and the deposit go back to the buyer.",
            "event": Event.HARD_STOP,
        }
    )


def _is_first(work: Work) -> bool:
    """Whether no milestone has been paid yet."""
    return all(each.state in (State.FUNDING, State.WAITING) for each in work.milestones)
