"""What a contest does when money comes, does not come, has gone back, or is taken back by the owner's bank."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from activities.contest_case import Case, Change, all_back, load, settle
from activities.contest_choice import opened, shared, without_kin
from activities.escrow import in_escrow, refund_ended, return_late_money
from activities.losses import lost_entry
from activities.transitions import (
    advance,
    close_when_empty,
    funded_key,
    happened,
    timers,
    unfunded_key,
)
from db.tables import Contest, Path, Payment, Refund
from domain.chargebacks import Lost
from domain.contest import (
    FINAL,
    IN_PROGRESS,
    ContestTerms,
    Event,
    Phase,
    PrizeState,
    extended,
    sharing,
)
from domain.contest_deadlines import ENTRIES
from domain.contest_deadlines import extended as extended_deadlines
from domain.contest_messages import ContestAct
from domain.money import format_money
from domain.path import Standing
from domain.payments import FollowPayment, FundingResult, PaymentOutcome, Purpose
from ledger import journal

_PROVIDER = ContestAct(actor="provider")


async def contest_funded(
    session: AsyncSession, path: Path, payment: Payment, look: FollowPayment
) -> PaymentOutcome:
    """The bounty opens the contest, more bounty gives it more time; what comes too late goes back."""
    purpose = Purpose(payment.purpose)
    if purpose is Purpose.BOUNTY and path.phase == Phase.FUNDING:
        return await _take(session, path, payment, look, Event.FUNDED)
    if purpose is Purpose.EXTENSION and await _in_time(session, path, look.at):
        return await _take(session, path, payment, look, Event.EXTENDED)
    terms = ContestTerms.model_validate((await session.get_one(Contest, path.id)).terms)
    why = "Paid too late" if purpose is Purpose.BOUNTY else "Too late for more time"
    return await return_late_money(
        session, path, payment, look, why=why, policy=terms.refund_policy
    )


async def _in_time(session: AsyncSession, path: Path, at: datetime) -> bool:
    """Whether entries are still open and may be open longer."""
    closing = next((t for t in timers(path) if t.name == ENTRIES), None)
    if path.phase != Phase.OPEN or closing is None or at >= closing.passes_at:
        return False
    row = await session.get_one(Contest, path.id)
    terms = ContestTerms.model_validate(row.terms)
    return bool(row.state["extensions"] < terms.policy.extensions)


async def _take(
    session: AsyncSession, path: Path, payment: Payment, look: FollowPayment, event: Event
) -> PaymentOutcome:
    """One transition that money brings about; the event under the payment's key tells the outcome."""
    case = await load(
        session, path, event=event, key=funded_key(payment), at=look.at, act=_PROVIDER
    )
    amount = format_money(payment.amount, payment.currency)
    if event is Event.FUNDED:
        change = Change(
            phase=Phase.OPEN,
            state=case.state.model_copy(update={"funded_at": look.at}),
            summary=f"Paid: {amount} in escrow; creators may enter",
        )
    else:
        state = extended(case.terms, case.state, payment.amount)
        change = Change(
            phase=Phase.OPEN,
            state=state,
            summary=f"{amount} added to the bounty; entries stay open longer",
            deadlines=extended_deadlines(case.terms, state, timers(path)),
        )

    def outcome(standing: Standing) -> PaymentOutcome:
        return PaymentOutcome(result=FundingResult.FUNDED, at=look.at, standing=standing)

    return outcome(await settle(case, change, outcome))


async def contest_unfunded(
    session: AsyncSession, path: Path, payment: Payment, look: FollowPayment
) -> Standing | None:
    """Nobody paid: a contest never opens, an extension does not come about."""
    key = unfunded_key(payment)
    if await happened(session, key):
        return None
    withdrawn = look.withdrawn
    if payment.purpose == Purpose.EXTENSION or path.phase != Phase.FUNDING:
        advance(
            session,
            path,
            key=key,
            kind="extension_not_paid",
            phase=path.phase,
            actor="system",
            summary="The extension was not paid",
            deadlines=timers(path),
        )
        if Phase(path.phase) in FINAL:
            await close_when_empty(session, path, look.at)
        return None
    act = ContestAct(
        actor=withdrawn.actor if withdrawn else "system", note=withdrawn.note if withdrawn else ""
    )
    case = await load(session, path, event=Event.NOT_FUNDED, key=key, at=look.at, act=act)
    words = "Called off before it was paid" if withdrawn else "Not paid in time"
    return await settle(
        case,
        Change(phase=Phase.EXPIRED, state=case.state, summary=words, end_reason="not_funded"),
    )


async def contest_refunded(session: AsyncSession, path: Path, refund: Refund, at: datetime) -> None:
    """The owner has the money of one refund."""
    await refund_ended(session, path, refund, at, over=Phase(path.phase) in FINAL)


async def contest_bounty_lost(
    session: AsyncSession, path: Path, payment: Payment, lost: Lost
) -> Standing | None:
    """The owner's bank keeps what it took: before the release the escrow pays and the contest ends, else the owner owes it."""
    terms = ContestTerms.model_validate((await session.get_one(Contest, path.id)).terms)
    entry = await lost_entry(session, path, payment, lost, payee=terms.owner_id)
    await journal.post(session, entry)
    if Phase(path.phase) in FINAL:
        return None
    case = await load(
        session, path, event=Event.BOUNTY_LOST, key=f"{lost.key}/ended", at=lost.at, act=_PROVIDER
    )
    return await settle(case, await _after_the_loss(case))


async def cancelled(case: Case) -> Change:
    """Called off: everything that is still in escrow goes back to the owner, who keeps what was paid for before."""
    amount = await in_escrow(case.session, case.path)
    if case.phase is Phase.DRAFT or not amount:
        return Change(
            phase=Phase.EXPIRED if case.phase is Phase.DRAFT else Phase.CANCELLED,
            state=case.state,
            summary="The draft is withdrawn" if case.phase is Phase.DRAFT else "Called off",
            end_reason="cancelled",
        )
    state = case.state
    for prize in state.in_state(PrizeState.OPEN, *IN_PROGRESS):
        state = state.with_prize(opened(prize).model_copy(update={"state": PrizeState.REFUNDED}))
    return Change(
        phase=Phase.COMPLETED if state.in_state(PrizeState.RELEASED) else Phase.CANCELLED,
        state=state,
        summary=f"Called off by the operators; {case.money(amount)} goes back to the owner",
        returns=await all_back(case, amount),
        end_reason="cancelled",
    )


async def _after_the_loss(case: Case) -> Change:
    """The owner's bank has taken money back for good before it was released: the contest ends.

    What is left in escrow (an extension, a second payment) is shared as for a silent owner when the bounty is
    guaranteed, else it goes back.
    """
    left = await in_escrow(case.session, case.path)
    state = case.state
    for prize in state.in_state(*IN_PROGRESS):
        state = state.with_prize(opened(prize))
    ended = state
    for prize in state.in_state(PrizeState.OPEN):
        ended = ended.with_prize(prize.model_copy(update={"state": PrizeState.REFUNDED}))
    change = Change(
        phase=Phase.CHARGED_BACK,
        state=ended,
        summary="The owner's bank has taken the bounty back; the contest ends",
        end_reason="charged_back",
    )
    if not left:
        return change
    guaranteed = case.terms.guaranteed or state.final_round
    sharers = sharing(await without_kin(case)) if guaranteed else ()
    if not sharers:
        return replace(change, returns=await all_back(case, left))
    rest = state.prizes[0].model_copy(update={"amount": left, "state": PrizeState.OPEN})
    only = state.model_copy(update={"prizes": (rest,)})
    split = shared(replace(case, state=only), sharers, "The bounty was taken back")
    return replace(change, entries=split.entries, earners=split.earners)
