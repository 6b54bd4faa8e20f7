"""What a path does when its payment is captured or given up, taken back by the payer's bank, and when its refund has ended.

One entry per kind of path.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import NamedTuple

from sqlalchemy.ext.asyncio import AsyncSession

from activities import stock
from activities.campaign_hooks import (
    campaign_funded,
    campaign_refunded,
    campaign_unfunded,
)
from activities.campaign_losses import (
    campaign_dispute_opened,
    campaign_dispute_won,
    campaign_pledge_lost,
)
from activities.contest_money import (
    contest_bounty_lost,
    contest_funded,
    contest_refunded,
    contest_unfunded,
)
from activities.escrow import refund_ended
from activities.in_kind_money import (
    in_kind_deposit_lost,
    in_kind_funded,
    in_kind_refunded,
    in_kind_unfunded,
)
from activities.losses import borne_by_payer, lost_entry
from activities.lot_money import lot_deposit_lost, lot_funded, lot_refunded, lot_unfunded
from activities.match_call_money import (
    match_budget_lost,
    match_call_funded,
    match_call_refunded,
    match_call_unfunded,
)
from activities.order_money import (
    order_funded,
    order_payment_lost,
    order_refunded,
    order_unfunded,
)
from activities.production_money import (
    production_funded,
    production_refunded,
    production_unfunded,
    production_wages_lost,
)
from activities.sales import sale_of
from activities.settlement import refund_escrow
from activities.tender_money import (
    tender_funded,
    tender_payment_lost,
    tender_refunded,
    tender_unfunded,
)
from activities.transitions import advance, funded_key, happened, timers, unfunded_key
from db import sale_rows
from db.tables import Path, Payment, Refund
from domain import campaign, contest, in_kind, lot, match_call, order, production, tender
from domain.chargebacks import Lost
from domain.errors import ProviderMismatch
from domain.ids import revived_workflow_id
from domain.money import format_money
from domain.path import Standing
from domain.payments import FollowPayment, FundingResult, PaymentOutcome, RefundCause, RefundState
from domain.sale import FINAL, Event, Phase, SaleTerms, deadlines, due_at, next_phase
from domain.sale_money import bank_took
from ledger import journal


async def recalled(session: AsyncSession, path: Path, payment: Payment) -> PaymentOutcome:
    """What became of a captured payment, whichever look has posted it: its answer may have been lost.

    Once the path has closed there is nothing left to do for it.
    """
    event = await happened(session, funded_key(payment))
    if event is None:
        raise ProviderMismatch(f"{payment.id} is captured, but no event tells what became of it")
    outcome = PaymentOutcome.model_validate(event.data)
    if path.closed_at is not None:
        return outcome.model_copy(update={"result": FundingResult.FUNDED})
    return outcome


async def recalled_expiry(
    session: AsyncSession, payment: Payment, outcome: PaymentOutcome
) -> PaymentOutcome:
    """What became of a payment that was given up, whichever look has written it down."""
    event = await happened(session, unfunded_key(payment))
    standing = Standing.model_validate(event.data) if event and event.data else None
    return outcome.model_copy(update={"result": FundingResult.EXPIRED, "standing": standing})


async def _no_part(session: AsyncSession, path: Path, payment: Payment, at: datetime) -> None:
    """What the bank has for the moment is no concern of the path's own rows."""


class PathHooks(NamedTuple):
    """Each is called with the path's row locked, inside the transaction that posts the money."""

    funded: Callable[[AsyncSession, Path, Payment, FollowPayment], Awaitable[PaymentOutcome]]
    unfunded: Callable[[AsyncSession, Path, Payment, FollowPayment], Awaitable[Standing | None]]
    refunded: Callable[[AsyncSession, Path, Refund, datetime], Awaitable[None]]
    final: frozenset[str]
    """Phases in which the path has ended."""
    lost: Callable[[AsyncSession, Path, Payment, Lost], Awaitable[Standing | None]] = borne_by_payer
    """The payer's bank has taken money back for good. Posts activities.losses.lost_entry, so that the dispute stands at
    0, and answers where the path stands now. None: the path does not move; unless it had ended before, it stays paused
    and operators are called.

    It is called with the path no longer paused and its timers postponed, except when another chargeback is still open.
    """
    pauses: bool = True
    """Whether a chargeback stops the path until the bank has decided; its story must know the signals `pause` and
    `resume` (workflows.story)."""
    opened: Callable[[AsyncSession, Path, Payment, datetime], Awaitable[None]] = _no_part
    """The payer's bank has taken money back for the moment; the chargeback's row is there."""
    won: Callable[[AsyncSession, Path, Payment, datetime], Awaitable[None]] = _no_part
    """It has given the money back."""


async def _sale_funded(
    session: AsyncSession, path: Path, payment: Payment, look: FollowPayment
) -> PaymentOutcome:
    """The escrow is full: in time the sale is paid.

    Late it is revived if the pieces are still there and nobody has called it off, else the money goes back.
    """
    sale = await sale_of(session, path.id)
    terms = SaleTerms.model_validate(sale.terms)
    phase = Phase(path.phase)
    amount = format_money(payment.amount, payment.currency)
    key = funded_key(payment)
    outcome = PaymentOutcome(result=FundingResult.FUNDED, at=look.at)
    if phase is Phase.PENDING_PAYMENT:
        event, words = Event.PAYMENT_CAPTURED, f"Paid: {amount} in escrow"
    elif sale.end_reason != Event.CANCELLED and await stock.reserve(session, terms, look.at):
        event = Event.LATE_PAYMENT_ACCEPTED
        words = f"Paid after the order had expired; the pieces were still there: {amount} in escrow"
        outcome = PaymentOutcome(result=FundingResult.REVIVED, at=look.at)
        path.workflow_id = revived_workflow_id(path.workflow_id)
        sale.end_reason = None
    else:
        event = Event.LATE_PAYMENT_RETURNED
        words = f"Paid after the order had ended: {amount} goes back"
        money = await sale_rows.money_of(session, sale, phase)
        refund_id, _ = await refund_escrow(session, sale, money, key, event)
        outcome = PaymentOutcome(result=FundingResult.RETURNING, at=look.at, refund_id=refund_id)
        sale.end_reason = event
    entered = next_phase(phase, event)
    advance(
        session,
        path,
        key=key,
        kind=event,
        phase=entered,
        actor="provider",
        summary=words,
        deadlines=deadlines(terms, entered, due_at(terms, entered, look.at)),
        data=outcome.model_dump(mode="json"),
    )
    return outcome


async def _sale_unfunded(
    session: AsyncSession, path: Path, payment: Payment, look: FollowPayment
) -> None:
    """Nobody paid: the pieces go back on sale and the sale is over."""
    key = unfunded_key(payment)
    if await happened(session, key):
        return
    sale = await sale_of(session, path.id)
    event, actor, words = Event.PAYMENT_EXPIRED, "system", "Not paid in time"
    if look.withdrawn is not None:
        event, actor = Event.CANCELLED, look.withdrawn.actor
        words = f"Called off by the {actor} before it was paid"
    phase = next_phase(Phase(path.phase), event)
    sale.end_reason = event
    await stock.release(session, SaleTerms.model_validate(sale.terms))
    await journal.require_empty(session, path.id)
    note = f": {look.withdrawn.note}" if look.withdrawn and look.withdrawn.note else ""
    advance(
        session,
        path,
        key=key,
        kind=event,
        phase=phase,
        actor=actor,
        summary=f"{words}; the reserved pieces are back on sale{note}",
        deadlines=(),
        closed_at=look.at,
    )


async def _sale_refunded(session: AsyncSession, path: Path, refund: Refund, at: datetime) -> None:
    """The buyer has everything back: the sale is over, and closed unless their bank has taken money back as well.

    A refund that somebody else than the sale has asked for leaves it where it stands.
    """
    if refund.cause != RefundCause.PATH or Phase(path.phase) is not Phase.REFUNDING:
        await refund_ended(session, path, refund, at, over=Phase(path.phase) in FINAL)
        return
    phase = next_phase(Phase(path.phase), Event.REFUNDED)
    closed = await journal.is_empty(session, path.id)
    amount = format_money(refund.amount, refund.currency)
    credited = refund.status == RefundState.CREDITED
    advance(
        session,
        path,
        key=f"{refund.id}/ended",
        kind=Event.REFUNDED,
        phase=phase,
        actor="system" if credited else "provider",
        summary=f"{amount} is {'on the balance of' if credited else 'back with'} the buyer",
        deadlines=(),
        closed_at=at if closed else None,
        data={"refund_id": refund.id},
    )


async def _sale_lost(
    session: AsyncSession, path: Path, payment: Payment, lost: Lost
) -> Standing | None:
    """Before the release escrow pays, after it the seller, as far as they and the commission got any of this payment.

    A sale that is refunded owes the seller nothing: the buyer has the money twice then. One that has not ended goes on
    with what the bank has left of it, if anything, so it tells where it stands.
    """
    sale = await sale_of(session, path.id)
    terms, phase = SaleTerms.model_validate(sale.terms), Phase(path.phase)
    money = await sale_rows.money_of(session, sale, phase, but=lost.chargeback_id)
    taken = bank_took(terms, money, lost.amount)
    sale_rows.keep_money(sale, taken.money)
    if phase is Phase.COMPLETED:
        entry = await lost_entry(
            session,
            path,
            payment,
            lost,
            payee=terms.seller_id,
            fee_returned=taken.fee,
            royalties=taken.royalties,
            beyond=taken.beyond,
        )
    else:
        entry = await lost_entry(session, path, payment, lost, payee=terms.buyer_id)
    await journal.post(session, entry)
    if phase in FINAL:
        return None
    pending = timers(path)
    if pending and due_at(terms, phase, lost.at) is not None:
        pending = sale_rows.receipts(sale, taken.money, phase, pending[0].due_at)
        path.deadlines = [each.model_dump(mode="json") for each in pending]
    return Standing(path_id=path.id, phase=phase, deadlines=pending)


HOOKS: dict[str, PathHooks] = {
    "sale": PathHooks(
        _sale_funded, _sale_unfunded, _sale_refunded, FINAL, lost=_sale_lost, pauses=False
    ),
    "order": PathHooks(
        order_funded,
        order_unfunded,
        order_refunded,
        order.FINAL,
        lost=order_payment_lost,
        pauses=False,
    ),
    "contest": PathHooks(
        contest_funded,
        contest_unfunded,
        contest_refunded,
        contest.FINAL,
        lost=contest_bounty_lost,
    ),
    "tender": PathHooks(
        tender_funded,
        tender_unfunded,
        tender_refunded,
        tender.FINAL,
        lost=tender_payment_lost,
    ),
    "campaign": PathHooks(
        campaign_funded,
        campaign_unfunded,
        campaign_refunded,
        campaign.FINAL,
        lost=campaign_pledge_lost,
        pauses=False,
        opened=campaign_dispute_opened,
        won=campaign_dispute_won,
    ),
    "match_call": PathHooks(
        match_call_funded,
        match_call_unfunded,
        match_call_refunded,
        match_call.FINAL,
        lost=match_budget_lost,
    ),
    "in_kind": PathHooks(
        in_kind_funded,
        in_kind_unfunded,
        in_kind_refunded,
        in_kind.FINAL,
        lost=in_kind_deposit_lost,
    ),
    "production": PathHooks(
        production_funded,
        production_unfunded,
        production_refunded,
        production.FINAL,
        lost=production_wages_lost,
    ),
    "lot": PathHooks(
        lot_funded,
        lot_unfunded,
        lot_refunded,
        lot.FINAL,
        lost=lot_deposit_lost,
    ),
}
"""By kind of path."""
