"""What becomes of a payout that is held: sent after all, or put back on the balance."""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from activities import payees
from activities.command_ways import Done, Ordered
from db.case_rows import end_case
from db.tables import Payout
from domain import postings
from domain.commands import DecidePayout, Executed, Tell
from domain.errors import AccountFrozen, InvalidInput, NotFound, WrongPhase
from domain.money import Money
from domain.operator_cases import CaseKind
from domain.payments import PayoutDecision, PayoutState


async def decide(session: AsyncSession, decision: PayoutDecision) -> PayoutState:
    """Sends the payout or puts its money back, and answers where it stands. Raises NotFound, WrongPhase, AccountFrozen.

    Nobody's decision, when the time is up, never fails: a payee who was frozen meanwhile is not paid.
    """
    row = await session.scalar(
        select(Payout).where(Payout.id == decision.payout_id).with_for_update()
    )
    if row is None:
        raise NotFound(f"there is no payout {decision.payout_id}")
    state = PayoutState(row.status)
    if decision.send is None:
        return state
    if state is not PayoutState.HELD:
        if decision.by is None or _says_the_same(row, decision):
            return state
        raise WrongPhase(f"the payout is {state}", field="status", accepted="a payout that is held")
    send = decision.send
    if send:
        try:
            await payees.require_withdrawing(session, row.user_id)
        except AccountFrozen:
            if decision.by is not None:
                raise
            send = False
    if not send:
        await payees.post(
            session,
            postings.payout_failed(
                f"{row.id}/failed", row.id, row.user_id, row.amount, row.currency
            ),
        )
        row.ended_at = func.now()
        row.failure_reason = decision.reason or "not sent"
    row.status = PayoutState.REQUESTED if send else PayoutState.CANCELLED
    row.decided_by, row.decided_at = decision.by, func.now()
    outcome = "sent" if send else "not_sent"
    await end_case(
        session,
        CaseKind.PAYOUT_REVIEW,
        row.id,
        outcome,
        by=decision.by,
        reason=decision.reason or "nobody has decided in time",
    )
    return PayoutState.REQUESTED if send else PayoutState.CANCELLED


async def as_command(ordered: Ordered) -> Done:
    """The same as a command that another operator has approved. Raises InvalidInput when the payee is another."""
    assert isinstance(ordered.order, DecidePayout)
    order = ordered.order
    row = await ordered.session.get(Payout, order.payout_id)
    if row is None or row.user_id != order.user_id:
        raise InvalidInput("there is no such payout of theirs", field="payout_id")
    if row.status != PayoutState.HELD:
        raise WrongPhase(
            f"the payout is {row.status}", field="status", accepted="a payout that is held"
        )
    decision = PayoutDecision(
        payout_id=row.id, send=order.send, by=ordered.by, reason=f"command {ordered.command_id}"
    )
    await decide(ordered.session, decision)
    money = Money(amount=row.amount, currency=row.currency)
    return Done(
        executed=Executed(tell=Tell.LOOK, workflow_id=f"payout-{row.id}"),
        amounts=(money,),
        words=(f"The payout of {money} is {'sent' if order.send else 'put back'}",),
    )


def _says_the_same(row: Payout, decision: PayoutDecision) -> bool:
    """Whether it is the decision that was made, told again."""
    sent = row.status != PayoutState.CANCELLED
    return row.decided_by == decision.by and sent == decision.send
