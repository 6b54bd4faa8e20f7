"""What a tender does when its deposit or a milestone is paid, not paid, or taken back by the buyer's bank."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from activities import payees
from activities.escrow import held, refund_ended, return_late_money
from activities.losses import borne_by_payer, lost_entry
from activities.tender_case import Case, Change, back_to_buyer, funded, load, settle
from activities.tender_work import carried_out, told
from activities.transitions import funded_key, recall, unfunded_key
from db.queries import file_access
from db.tables import MilestoneRow, Path, Payment, Refund
from db.tender_rows import store_work, work_of
from domain import accounts
from domain.chargebacks import Lost
from domain.milestones import Moved, State, charged_back, move
from domain.path import Standing
from domain.payments import FollowPayment, PaymentOutcome, Purpose
from domain.postings import JournalEntry
from domain.tender import FINAL, Event, Phase, forfeit, release_entry
from domain.tender_deadlines import phase_deadlines
from domain.tender_messages import TenderAct


async def tender_funded(
    session: AsyncSession, path: Path, payment: Payment, look: FollowPayment
) -> PaymentOutcome:
    """The deposit opens the tender, a milestone's payment starts the work; what nobody waits for goes back."""
    event = Event.MILESTONE_PAID if _is_milestone(payment) else Event.DEPOSIT_PAID
    act = TenderAct(actor="provider")
    case = await load(session, path, event=event, key=funded_key(payment), at=look.at, act=act)
    number = await _awaited(case, payment)
    if number is None:
        return await return_late_money(
            session,
            path,
            payment,
            look,
            why="Paid when it was not asked for any more",
            policy=case.terms.rules.refund_policy,
        )
    change = await (_milestone_paid(case, number) if number else _opened(case))
    outcome = funded(look.at)
    return outcome.model_copy(update={"standing": await settle(case, change, outcome)})


async def tender_unfunded(
    session: AsyncSession, path: Path, payment: Payment, look: FollowPayment
) -> Standing | None:
    """The deposit was not paid: the tender expires. A milestone was not paid: the tender fails."""
    key = unfunded_key(payment)
    if before := await recall(session, key, Standing):
        return before
    event = Event.MILESTONE_UNPAID if _is_milestone(payment) else Event.DEPOSIT_UNPAID
    withdrawn = look.withdrawn
    act = TenderAct(actor=withdrawn.actor, note=withdrawn.note) if withdrawn else _NOBODY
    case = await load(session, path, event=event, key=key, at=look.at, act=act)
    number = await _awaited(case, payment)
    if number is None:
        return None
    if number == 0:
        return await settle(case, Change(phase=Phase.EXPIRED, summary="The deposit was not paid"))
    work = await work_of(session, case.row)
    # A buyer who was never shown where to pay has not broken their word.
    at_fault = payment.checkout_url is not None
    moved = move(case.terms.policy, work, number, event, look.at, at_fault=at_fault)
    words = f"Milestone {number} was not paid" + told(case, moved, moved.work)
    return await settle(case, await carried_out(case, moved, words))


async def tender_refunded(session: AsyncSession, path: Path, refund: Refund, at: datetime) -> None:
    """The buyer has the money of one refund."""
    await refund_ended(session, path, refund, at, over=Phase(path.phase) in FINAL)


async def tender_payment_lost(
    session: AsyncSession, path: Path, payment: Payment, lost: Lost
) -> Standing | None:
    """The buyer's bank keeps what it took: what was not released pays, the buyer owes the rest, and the tender ends.

    Of what is left, what was shown goes to the worker, who also gets half of the deposit; the rest goes back.
    """
    if Phase(path.phase) in FINAL:
        await borne_by_payer(session, path, payment, lost)
        return None
    case = await load(
        session,
        path,
        event=Event.CHARGED_BACK,
        key=f"{lost.key}/ended",
        at=lost.at,
        act=TenderAct(actor="provider"),
    )
    # Until a bidder has taken the work on nobody but the buyer has a claim.
    worker_id = case.row.worker_id if case.phase in _WITH_WORKER else None
    if worker_id is not None:
        await payees.payee_account(session, worker_id)
    of_milestone = _is_milestone(payment)
    number = await _number_of(session, payment) if of_milestone else None
    moved = charged_back(await work_of(session, case.row), number, lost.amount)
    await store_work(session, case.row, moved.work)
    [deposit] = await held(session, path, case.terms.deposit_account)
    unreleased = moved.taken if of_milestone else deposit
    entry = await lost_entry(
        session, path, payment, lost, payee=case.terms.buyer_id, unreleased=unreleased
    )
    if not of_milestone:
        deposit -= min(deposit, lost.amount)
    case.row.end_reason = Event.CHARGED_BACK
    change = Change(
        phase=moved.phase,
        summary="The buyer's bank has taken money back; the tender ends",
        earner=worker_id,
        work=moved.work,
    )
    return await settle(case, await _divided(case, change, moved, deposit, entry))


async def _divided(
    case: Case, change: Change, moved: Moved, deposit: int, lost: JournalEntry
) -> Change:
    """What a lost payment has left over, divided; `deposit` is what is left of it."""
    change.entries.append(lost)
    back = deposit
    if change.earner is not None:
        worker = accounts.payable(change.earner)
        if moved.released:
            change.entries.append(
                release_entry(case.terms, worker, moved.released, f"{case.key}/release")
            )
        if deposit:
            share, back = forfeit(case.terms, worker, f"{case.key}/forfeit", held=deposit)
            change.entries.append(share)
    for amount, source in (
        (moved.refunded, accounts.escrow(case.path.id)),
        (back, case.terms.deposit_account),
    ):
        if amount:
            change.returns.append(await back_to_buyer(case, amount, source))
    return change


_NOBODY = TenderAct(actor="system")
_WITH_WORKER = frozenset({Phase.ACCEPTED, Phase.IN_PROGRESS})


def _is_milestone(payment: Payment) -> bool:
    return payment.purpose == Purpose.MILESTONE


async def _awaited(case: Case, payment: Payment) -> int | None:
    """The milestone the payment is for, 0 for the deposit; None when the tender does not wait for it any more."""
    if not _is_milestone(payment):
        return 0 if case.phase is Phase.FUNDING else None
    number: int | None = await case.session.scalar(
        select(MilestoneRow.number).where(
            MilestoneRow.payment_id == payment.id, MilestoneRow.state == State.FUNDING
        )
    )
    return number


async def _number_of(session: AsyncSession, payment: Payment) -> int | None:
    """The milestone that the payment was for; None when that plan has been given up."""
    found: int | None = await session.scalar(
        select(MilestoneRow.number).where(MilestoneRow.payment_id == payment.id)
    )
    return found


async def _opened(case: Case) -> Change:
    terms = case.terms
    await file_access.grant(case.session, terms.file_ids, case.path.id, file_access.MEMBERS)
    return Change(
        phase=Phase.OPEN,
        summary=f"Deposit paid: {case.money(terms.deposit)}; bids are welcome",
        deadlines=phase_deadlines(terms, Phase.OPEN, case.at),
    )


async def _milestone_paid(case: Case, number: int) -> Change:
    work = await work_of(case.session, case.row)
    moved = move(case.terms.policy, work, number, case.event, case.at)
    amount = case.money(work.milestone(number).amount)
    return await carried_out(case, moved, f"Milestone {number} paid: {amount} in escrow")
