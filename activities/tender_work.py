"""The work under an accepted award: milestones paid, shown, approved, disputed, and the money of each."""

from __future__ import annotations

from datetime import timedelta

from activities.escrow import ask_for
from activities.tender_case import Case, Change, back_to_buyer, payment_terms
from activities.transitions import timers
from db.queries import file_access
from db.tables import MilestoneRow, Submission
from db.tender_rows import store_work, work_of
from domain import accounts
from domain.errors import Forbidden
from domain.ids import new_id, step_key
from domain.milestones import DepositFate, Milestone, Moved, Work, move, subject_number
from domain.path import Collection
from domain.payments import Purpose
from domain.tender import Event, Phase
from domain.tender_deadlines import deposit_back, milestone_deadlines, worker_entries

_BY_WORKER = frozenset({Event.SUBMITTED})
_BY_EITHER = frozenset({Event.DISPUTED})


def require_worker(case: Case) -> None:
    """Raises Forbidden unless it is the one to whom the work is awarded."""
    if case.act.user_id != case.row.worker_id:
        raise Forbidden("the work is awarded to somebody else", accepted="the worker")


async def worked(case: Case) -> Change:
    """One milestone's transition, by somebody's act or by nobody's."""
    if case.event in _BY_WORKER:
        require_worker(case)
    if case.event in _BY_EITHER and case.act.user_id != case.terms.buyer_id:
        require_worker(case)
    work = await work_of(case.session, case.row)
    number = subject_number(case.subject)
    moved = move(case.terms.policy, work, number, case.event, case.at, amount=case.act.amount)
    change = await carried_out(case, moved, _words(case, work.milestone(number), moved))
    await _keep(case, moved.work.milestone(number))
    return change


async def carried_out(case: Case, moved: Moved, summary: str) -> Change:
    """The milestones written down, with the postings, refunds, payment and timers that follow."""
    await store_work(case.session, case.row, moved.work)
    worker_id = case.row.worker_id
    assert worker_id is not None
    if moved.work.ending is not None and case.row.end_reason is None:
        case.row.end_reason = case.event
    returns = []
    for amount, source in (
        (moved.refunded, accounts.escrow(case.path.id)),
        (deposit_back(case.terms, moved.deposit), case.terms.deposit_account),
    ):
        if amount:
            returns.append(await back_to_buyer(case, amount, source))
    collections: tuple[Collection, ...] = ()
    if moved.asks_for is not None:
        collections = (await ask_for_payment(case, moved.work.milestone(moved.asks_for)),)
    timed = milestone_deadlines(
        case.terms, worker_id, moved.work, case.at, moved.changed, timers(case.path)
    )
    return Change(
        phase=moved.phase,
        summary=summary,
        deadlines=timed,
        entries=list(worker_entries(case.terms, worker_id, moved, case.key)),
        returns=returns,
        collections=collections,
        earner=worker_id,
        work=moved.work,
    )


async def ask_for_payment(case: Case, milestone: Milestone) -> Collection:
    """The buyer is asked to pay a milestone."""
    window = case.terms.policy.milestone_payment_seconds
    payment_id = new_id("pay")
    collection = ask_for(
        case.session,
        case.path,
        payment_terms(case.terms, window),
        payment_id=payment_id,
        payer_id=case.terms.buyer_id,
        purpose=Purpose.MILESTONE,
        amount=milestone.amount,
        expires_at=case.at + timedelta(seconds=window),
        description=f"{case.terms.title}, milestone {milestone.number}: {milestone.title}"[:500],
        operation_id=step_key(case.key, "payment"),
    )
    await case.session.flush()
    row = await case.session.get_one(MilestoneRow, (case.path.id, milestone.number))
    row.payment_id = payment_id
    await case.session.flush()
    return collection


async def _keep(case: Case, milestone: Milestone) -> None:
    """What was submitted, shown to the buyer; or what the buyer wants to be changed."""
    if case.event is Event.SUBMITTED:
        case.session.add(
            Submission(
                tender_id=case.path.id,
                milestone=milestone.number,
                round=milestone.rounds,
                note=case.act.note,
                file_ids=list(case.act.file_ids),
                at=case.at,
            )
        )
        await file_access.grant(case.session, case.act.file_ids, case.path.id, case.terms.buyer_id)
    if case.event is Event.CHANGES_REQUESTED:
        shown = await case.session.get_one(
            Submission, (case.path.id, milestone.number, milestone.rounds)
        )
        shown.changes_wanted = case.act.note


def _words(case: Case, before: Milestone, moved: Moved) -> str:
    """The transition in words."""
    name = f"Milestone {before.number}"
    paid, back = case.money(moved.released), case.money(moved.refunded)
    words = {
        Event.SUBMITTED: f"{name} was submitted",
        Event.APPROVED: f"{name} was approved; {paid} released",
        Event.APPROVAL_LAPSED: f"No objection to milestone {before.number} in time; {paid} released",
        Event.CHANGES_REQUESTED: f"The buyer asks for changes of milestone {before.number}",
        Event.CHANGES_LAPSED: f"{name} was not changed in time; the buyer may cancel",
        Event.DELIVERY_LAPSED: f"{name} is overdue; the buyer may cancel",
        Event.MILESTONE_CANCELLED: f"The buyer cancelled milestone {before.number}; {back} goes back",
        Event.HARD_STOP: f"{name} was given up; {back} goes back to the buyer",
        Event.DISPUTED: f"{name} is disputed by the {case.act.actor}",
        Event.RULED: f"Ruled on milestone {before.number}: {paid} to the worker, {back} to the buyer",
        Event.RULING_LAPSED: f"No ruling on milestone {before.number} in time: {paid} to the worker, "
        f"{back} to the buyer",
    }.get(case.event, name)
    return words + told(case, moved, moved.work)


def told(case: Case, moved: Moved, work: Work) -> str:
    """What else a transition brings, in words."""
    parts = []
    if moved.asks_for is not None:
        amount = case.money(work.milestone(moved.asks_for).amount)
        parts.append(f"the buyer is asked to pay {amount} for milestone {moved.asks_for}")
    if moved.phase is Phase.COMPLETED:
        parts.append("the work is done")
    if moved.deposit is DepositFate.RETURNED:
        parts.append("the deposit goes back to the buyer")
    if moved.deposit is DepositFate.FORFEITED:
        parts.append("half of the deposit goes to the worker")
    return "".join(f"; {part}" for part in parts)
