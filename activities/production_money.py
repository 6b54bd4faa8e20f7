"""What a production order does when its wages are paid in, not paid, or taken back by the requester's bank."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from activities import payees
from activities.escrow import in_escrow, refund_ended, return_late_money
from activities.losses import borne_by_payer, lost_entry
from activities.production_case import Case, Change, closed, load, settle
from activities.transitions import funded_key, recall, unfunded_key
from db.queries import file_access
from db.tables import Path, Payment, Refund
from domain.chargebacks import Lost
from domain.path import Standing
from domain.payments import FollowPayment, FundingResult, PaymentOutcome
from domain.production import FINAL, Event, Phase
from domain.production_deadlines import phase_deadlines
from domain.production_messages import ProductionAct

_PROVIDER = ProductionAct(actor="provider")


async def production_funded(
    session: AsyncSession, path: Path, payment: Payment, look: FollowPayment
) -> PaymentOutcome:
    """The wages publish the order; what nobody waits for any more goes back."""
    case = await load(
        session,
        path,
        event=Event.FUNDED,
        key=funded_key(payment),
        at=look.at,
        act=_PROVIDER,
    )
    if case.phase is not Phase.FUNDING:
        return await return_late_money(
            session,
            path,
            payment,
            look,
            why="Paid when it was not asked for any more",
            policy=case.terms.rules.refund_policy,
        )
    terms = case.terms
    await file_access.grant(session, terms.shown_files, path.id, file_access.MEMBERS)
    change = Change(
        phase=Phase.PUBLISHED,
        summary=f"Paid in: {case.money(terms.to_fund)} in escrow; {terms.units} units can be claimed",
        deadlines=phase_deadlines(terms, Phase.PUBLISHED, case.at),
    )
    outcome = PaymentOutcome(result=FundingResult.FUNDED, at=look.at)
    return outcome.model_copy(update={"standing": await settle(case, change, outcome)})


async def production_unfunded(
    session: AsyncSession, path: Path, payment: Payment, look: FollowPayment
) -> Standing | None:
    """Nobody has paid the wages in: the order was never there."""
    key = unfunded_key(payment)
    if before := await recall(session, key, Standing):
        return before
    who = look.withdrawn
    case = await load(
        session,
        path,
        event=Event.UNPAID,
        key=key,
        at=look.at,
        act=ProductionAct(actor=who.actor, note=who.note) if who else ProductionAct(actor="system"),
    )
    if case.phase is not Phase.FUNDING:
        return None
    return await settle(case, Change(phase=Phase.CANCELLED, summary="The wages were not paid in"))


async def production_refunded(
    session: AsyncSession, path: Path, refund: Refund, at: datetime
) -> None:
    """The requester has the money of one refund."""
    await refund_ended(session, path, refund, at, over=Phase(path.phase) in FINAL)


async def production_wages_lost(
    session: AsyncSession, path: Path, payment: Payment, lost: Lost
) -> Standing | None:
    """The requester's bank keeps what it took: nothing more can be claimed, and the requester owes what is not there.

    Makers who have begun are paid all the same: what their lots can still cost stays in escrow.
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
        act=_PROVIDER,
    )
    requester = case.terms.requester_id
    await payees.payee_account(session, requester)
    free = max(0, await in_escrow(session, path) - _promised(case))
    taken = min(free, lost.amount)
    entry = await lost_entry(session, path, payment, lost, payee=requester, unreleased=taken)
    words = f"The requester's bank has taken {case.money(lost.amount)} back"
    case.row.end_reason = Event.CHARGED_BACK
    return await settle(case, await closed(case, words, lost=entry, taken=taken))


def _promised(case: Case) -> int:
    """The most that running lots can still cost, in minor units; what they do not need is left at the end."""
    terms, row = case.terms, case.row
    if not row.lots_running:
        return 0
    samples = terms.samples - row.samples_left
    return row.running * terms.per_unit + samples * (terms.sample_fee or 0)
