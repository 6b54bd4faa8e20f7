"""What an offer in kind does when its deposit is paid, not paid, sent back, or taken back by the borrower's bank."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from activities.escrow import refund_ended, return_late_money
from activities.in_kind_case import Case, carried_out, load, settle, unmoved
from activities.losses import borne_by_payer, lost_entry
from activities.transitions import funded_key, recall, timers, unfunded_key
from db.in_kind_rows import pass_ask
from db.tables import Path, Payment, Refund
from domain.chargebacks import Lost
from domain.in_kind import FINAL, Event, Phase, Said
from domain.in_kind_messages import InKindAct
from domain.path import Standing
from domain.payments import FollowPayment, FundingResult, PaymentOutcome
from ledger import journal


async def in_kind_funded(
    session: AsyncSession, path: Path, payment: Payment, look: FollowPayment
) -> PaymentOutcome:
    """The deposit is there and the loan can be handed over; what nobody waits for goes back."""
    act = InKindAct(actor="provider", said=Said(hold_until=payment.hold_deadline))
    case = await load(
        session,
        path,
        event=Event.DEPOSIT_PAID,
        key=funded_key(payment),
        at=look.at,
        act=act,
    )
    if not _awaited(case, payment):
        return await return_late_money(
            session,
            path,
            payment,
            look,
            why="Paid when it was not asked for any more",
            policy=case.terms.rules.refund_policy,
        )
    words = f"Deposit paid: {case.terms.money(case.terms.deposit)}; the loan can be handed over"
    change = await carried_out(case, case.moved(), words)
    outcome = PaymentOutcome(result=FundingResult.FUNDED, at=look.at)
    return outcome.model_copy(update={"standing": await settle(case, change, outcome)})


async def in_kind_unfunded(
    session: AsyncSession, path: Path, payment: Payment, look: FollowPayment
) -> Standing | None:
    """The deposit was not paid: the loan is offered to others again."""
    key = unfunded_key(payment)
    if before := await recall(session, key, Standing):
        return before
    case = await load(session, path, event=Event.DEPOSIT_UNPAID, key=key, at=look.at, act=_NOBODY)
    if not _awaited(case, payment):
        return None
    await pass_ask(session, path.id, payment.payer_id, look.at)
    words = "The deposit was not paid; the loan is offered to others again"
    return await settle(case, await carried_out(case, case.moved(), words))


async def in_kind_refunded(session: AsyncSession, path: Path, refund: Refund, at: datetime) -> None:
    """The borrower has the deposit, or a part of it, back."""
    await refund_ended(session, path, refund, at, over=Phase(path.phase) in FINAL)


async def in_kind_deposit_lost(
    session: AsyncSession, path: Path, payment: Payment, lost: Lost
) -> Standing | None:
    """The borrower's bank keeps what it took: what is held of the deposit pays, the borrower owes the rest.

    Before the handing over that is the end. Later the path goes on with what is left of the deposit.
    """
    if Phase(path.phase) in FINAL:
        await borne_by_payer(session, path, payment, lost)
        return None
    case = await load(
        session,
        path,
        event=Event.CHARGED_BACK,
        key=f"{lost.key}/borne",
        at=lost.at,
        act=InKindAct(actor="provider", said=Said(amount=lost.amount)),
    )
    if payment.id != case.row.payment_id or not case.row.held:
        # It went back earlier: what the account holds now is another payment's.
        entry = await lost_entry(session, path, payment, lost, payee=payment.payer_id, unreleased=0)
        await journal.post(session, entry)
        return unmoved(case)
    held = case.row.held
    change = await carried_out(case, case.moved(), _words(case, lost))
    entry = await lost_entry(session, path, payment, lost, payee=payment.payer_id, unreleased=held)
    change.entries.insert(0, entry)
    if change.phase is case.phase:
        change.running = timers(path)
    return await settle(case, change)


_NOBODY = InKindAct(actor="system")


def _awaited(case: Case, payment: Payment) -> bool:
    """Whether the offer still waits for this payment."""
    return case.phase is Phase.DEPOSIT and payment.id == case.row.payment_id


def _words(case: Case, lost: Lost) -> str:
    left = case.moved().course.held
    words = f"The borrower's bank keeps {case.terms.money(lost.amount)} of the deposit"
    if case.phase is Phase.READY:
        return f"{words}; nothing was handed over yet"
    return f"{words}; {case.terms.money(left)} of it is left"
