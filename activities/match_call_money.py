"""What a match call does when its budget is paid, not paid, or taken back by the sponsor's bank."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from activities import payees
from activities.escrow import Returns, refund_ended, return_late_money
from activities.losses import borne_by_payer, lost_entry
from activities.match_call_case import (
    Case,
    Change,
    back_to_sponsor,
    kept,
    load,
    settle,
    unmoved,
    wound_up,
)
from activities.match_spendings import call_off_spendings
from activities.transitions import (
    advance,
    funded_key,
    happened,
    lock_path,
    recall,
    timers,
    unfunded_key,
)
from db import match_queue
from db.match_rows import Matched
from db.queries import file_access
from db.tables import MatchCall, Path, Payment, Refund
from domain.chargebacks import Lost
from domain.ids import step_key
from domain.match_call import FINAL, Event, Phase
from domain.match_call_deadlines import phase_deadlines
from domain.match_call_messages import CallAct
from domain.path import Standing
from domain.payments import FollowPayment, FundingResult, PaymentOutcome


async def match_call_funded(
    session: AsyncSession, path: Path, payment: Payment, look: FollowPayment
) -> PaymentOutcome:
    """The budget opens the call, a top-up adds to it; what nobody waits for any more goes back."""
    phase = Phase(path.phase)
    if phase not in (Phase.FUNDING, Phase.OPEN):
        row = await session.get_one(MatchCall, path.id)
        return await return_late_money(
            session,
            path,
            payment,
            look,
            why="Paid when it was not asked for any more",
            policy=match_queue.terms_of(row).rules.refund_policy,
        )
    first = phase is Phase.FUNDING
    case = await load(
        session,
        path,
        event=Event.BUDGET_PAID if first else Event.TOPPED_UP,
        key=funded_key(payment),
        at=look.at,
        act=_PROVIDER,
    )
    case.row.paid += payment.amount
    change = await (_opened(case) if first else _topped_up(case, payment))
    outcome = PaymentOutcome(result=FundingResult.FUNDED, at=look.at)
    return outcome.model_copy(update={"standing": await settle(case, change, outcome)})


async def match_call_unfunded(
    session: AsyncSession, path: Path, payment: Payment, look: FollowPayment
) -> Standing | None:
    """The budget was not paid: the call expires. A top-up was not paid: the call goes on without it."""
    key = unfunded_key(payment)
    if before := await recall(session, key, Standing):
        return before
    phase = Phase(path.phase)
    if phase not in (Phase.FUNDING, Phase.OPEN):
        return None
    first = phase is Phase.FUNDING
    who = look.withdrawn
    case = await load(
        session,
        path,
        event=Event.BUDGET_UNPAID if first else Event.TOP_UP_UNPAID,
        key=key,
        at=look.at,
        act=CallAct(actor=who.actor, note=who.note) if who else CallAct(actor="system"),
    )
    if first:
        return await settle(case, Change(phase=Phase.EXPIRED, summary="The budget was not paid"))
    change = Change(
        phase=case.phase,
        summary="The top-up was not paid",
        deadlines=kept(case, but=payment.id),
        subject=payment.id,
    )
    return await settle(case, change)


async def match_call_refunded(
    session: AsyncSession, path: Path, refund: Refund, at: datetime
) -> None:
    """The sponsor has the money of one refund."""
    await refund_ended(session, path, refund, at, over=Phase(path.phase) in FINAL)


async def match_budget_lost(
    session: AsyncSession, path: Path, payment: Payment, lost: Lost
) -> Standing | None:
    """The sponsor's bank keeps what it took: what is not used pays first, the sponsor owes the rest, the call closes.

    Promises that this leaves no money for are taken back, the newest first; spendings that nobody has approved before
    them.
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
    sponsor = case.terms.sponsor_id
    await payees.payee_account(session, sponsor)
    budget = case.row.budget
    counted = await _is_counted(session, payment)
    taken = min(lost.amount, budget.held) if counted else 0
    entry = await lost_entry(session, path, payment, lost, payee=sponsor, unreleased=taken)
    if not counted:
        # It had come too late and went back: it never was part of the budget.
        await payees.post(session, entry)
        return unmoved(case)
    unpromised = 0
    most = budget.held - taken
    if case.row.reserved > most:
        unpromised = await call_off_spendings(case)
        unpromised += await match_queue.shrink(session, case.row, most)
    case.row.lost += taken
    words = f"The sponsor's bank has taken {case.money(lost.amount)} back"
    if unpromised:
        words += f"; {case.money(unpromised)} is promised no more"
    change = await wound_up(case, words)
    change.entries.insert(0, entry)
    return await settle(case, change)


async def back_to_sponsors(
    session: AsyncSession, amounts: Sequence[Matched], *, key: str, at: datetime
) -> Returns:
    """Of what a campaign gives back: what belongs to calls that promise nothing any more goes on to their sponsors.

    For the campaign's own transition, after db.match_rows.give_back, which has locked the calls' paths: it posts the
    entries together with its match_returned, and its story sends the refunds. So it depends on no word to the call's
    story, which may have ended. An open call passes the money on instead. A closed one whose bank has the budget for the
    moment keeps it until that is decided.
    """
    entries, cases = [], []
    given = {each.call_id: each.amount for each in amounts if each.amount}
    for call_id in sorted(given):
        path = await lock_path(session, call_id)
        if not (path.phase in FINAL or (path.phase == Phase.CLOSED and path.paused_at is None)):
            continue
        case = await load(
            session,
            path,
            event=Event.SETTLED,
            key=step_key(key, call_id),
            at=at,
            act=CallAct(actor="system"),
        )
        change = Change(phase=case.phase, summary="")
        await back_to_sponsor(case, change, given[call_id])
        found = [refund for back in change.returns for refund in back.cases]
        advance(
            session,
            path,
            key=case.key,
            kind="given_back",
            phase=path.phase,
            actor="system",
            summary=f"A campaign gives {case.money(given[call_id])} back; it goes on to the sponsor",
            deadlines=timers(path),
            # Open again until refunds have arrived.
            closed_at=None if found else path.closed_at,
        )
        entries += [*change.entries, *(e for back in change.returns for e in back.entries)]
        cases += found
    await session.flush()
    return Returns(entries=tuple(entries), cases=tuple(cases))


_PROVIDER = CallAct(actor="provider")


async def _opened(case: Case) -> Change:
    terms = case.terms
    await file_access.grant(case.session, terms.file_ids, case.path.id, file_access.MEMBERS)
    return Change(
        phase=Phase.OPEN,
        summary=f"Budget paid: {case.money(terms.budget)}; campaigns may apply",
        deadlines=phase_deadlines(terms, Phase.OPEN, case.at),
    )


async def _topped_up(case: Case, payment: Payment) -> Change:
    """More budget: those who wait get it first."""
    await match_queue.settle(case.session, [case.row])
    return Change(
        phase=Phase.OPEN,
        summary=f"{case.money(payment.amount)} added to the budget",
        deadlines=kept(case, but=payment.id),
        subject=payment.id,
    )


async def _is_counted(session: AsyncSession, payment: Payment) -> bool:
    """Whether the payment became part of the budget; one that came too late went back at once."""
    event = await happened(session, funded_key(payment))
    return event is not None and event.kind in (Event.BUDGET_PAID, Event.TOPPED_UP)
