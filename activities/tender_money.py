"""What a tender does when its deposit or a milestone is paid or not, and when a refund has ended."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from activities.escrow import refund_ended, return_late_money
from activities.tender_case import Case, Change, funded, load, settle
from activities.tender_work import carried_out, told
from activities.transitions import funded_key, recall, unfunded_key
from db.queries import file_access
from db.tables import MilestoneRow, Path, Payment, Refund
from db.tender_rows import work_of
from domain.milestones import State, move
from domain.path import Standing
from domain.payments import FollowPayment, PaymentOutcome, Purpose
from domain.tender import FINAL, Event, Phase
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


_NOBODY = TenderAct(actor="system")


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
