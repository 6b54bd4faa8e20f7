"""What a lot does when its deposit is paid, not paid, sent back, or taken back by the maker's bank."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from activities import payees
from activities.escrow import refund_ended, return_late_money
from activities.losses import borne_by_payer, lost_entry
from activities.lot_case import Case, Change, load, settle, unmoved
from activities.transitions import funded_key, recall, unfunded_key
from db.tables import Path, Payment, Refund
from domain.chargebacks import Lost
from domain.lot import FINAL, Event, Phase
from domain.path import Standing
from domain.payments import FollowPayment, FundingResult, PaymentOutcome
from domain.production_messages import LotAct
from ledger import journal


async def lot_funded(
    session: AsyncSession, path: Path, payment: Payment, look: FollowPayment
) -> PaymentOutcome:
    """The deposit is there and the kit can be sent; what nobody waits for goes back."""
    case = await load(
        session,
        path,
        event=Event.DEPOSIT_PAID,
        key=funded_key(payment),
        at=look.at,
        act=LotAct(actor="provider"),
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
    words = f"Deposit paid: {case.money(payment.amount)}; the materials can be sent"
    outcome = PaymentOutcome(result=FundingResult.FUNDED, at=look.at)
    standing = await settle(case, Change(moved=case.moved(), summary=words), outcome)
    return outcome.model_copy(update={"standing": standing})


async def lot_unfunded(
    session: AsyncSession, path: Path, payment: Payment, look: FollowPayment
) -> Standing | None:
    """The deposit was not paid: others can claim the units."""
    key = unfunded_key(payment)
    if before := await recall(session, key, Standing):
        return before
    who = look.withdrawn
    case = await load(
        session,
        path,
        event=Event.DEPOSIT_UNPAID,
        key=key,
        at=look.at,
        act=LotAct(actor=who.actor, note=who.note) if who else LotAct(actor="system"),
    )
    if not _awaited(case, payment):
        return None
    words = "The deposit was not paid; others can claim the units"
    return await settle(case, Change(moved=case.moved(), summary=words))


async def lot_refunded(session: AsyncSession, path: Path, refund: Refund, at: datetime) -> None:
    """The maker has the deposit back."""
    await refund_ended(session, path, refund, at, over=Phase(path.phase) in FINAL)


async def lot_deposit_lost(
    session: AsyncSession, path: Path, payment: Payment, lost: Lost
) -> Standing | None:
    """The maker's bank keeps what it took: what is held of the deposit pays, the maker owes the rest.

    Before the materials are sent that is the end. Later the lot goes on with what is left of the deposit.
    """
    if Phase(path.phase) in FINAL:
        await borne_by_payer(session, path, payment, lost)
        return None
    case = await load(
        session,
        path,
        event=Event.DEPOSIT_LOST,
        key=f"{lost.key}/borne",
        at=lost.at,
        act=LotAct(actor="provider", amount=lost.amount),
    )
    await payees.payee_account(session, payment.payer_id)
    held = case.course.deposit_held if payment.id == case.row.payment_id else 0
    entry = await lost_entry(session, path, payment, lost, payee=payment.payer_id, unreleased=held)
    if not held:
        # It went back earlier, to the maker or for good.
        await journal.post(session, entry)
        return unmoved(case)
    words = f"The maker's bank keeps {case.money(lost.amount)} of the deposit"
    return await settle(case, Change(moved=case.moved(), summary=words, entries=[entry]))


def _awaited(case: Case, payment: Payment) -> bool:
    """Whether the lot still waits for this payment."""
    return case.phase is Phase.KIT_RESERVED and payment.id == case.row.payment_id
