"""What an order does when its one payment is captured, given up, or taken back by the buyer's bank."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from activities import stock
from activities.losses import lost_before, lost_entry
from activities.settlement import refund_escrow
from activities.transitions import (
    advance,
    close_when_empty,
    funded_key,
    happened,
    lock_path,
    timers,
    unfunded_key,
)
from db import sale_rows
from db.queries import orders
from db.tables import Path, Payment, Refund, Sale
from domain import accounts, sale, sale_money
from domain.cases import RefundCase
from domain.chargebacks import Lost
from domain.errors import ProviderMismatch
from domain.ids import revived_workflow_id
from domain.money import format_money
from domain.order import Event, OrderTerms, Phase, allocate, next_phase
from domain.order_messages import PaidParts
from domain.path import Standing
from domain.payments import FollowPayment, FundingResult, PaymentOutcome
from domain.sale import SaleTerms
from ledger import journal

Part = tuple[Path, Sale, SaleTerms]


async def _parts(session: AsyncSession, terms: OrderTerms) -> list[Part]:
    """The order's sales, their paths locked in the order of their ids."""
    found = []
    for sale_id in sorted(part.sale_id for part in terms.sales):
        path = await lock_path(session, sale_id)
        row = await session.get_one(Sale, sale_id)
        found.append((path, row, SaleTerms.model_validate(row.terms)))
    return found


async def order_funded(
    session: AsyncSession, path: Path, payment: Payment, look: FollowPayment
) -> PaymentOutcome:
    """Each sale's escrow is full. Late, each goes on if its own pieces are still there, else its part goes back."""
    terms = await orders.terms_of(session, path.id)
    before = Phase(path.phase)
    paid: list[str] = []
    refunds: list[RefundCase] = []
    for part in await _parts(session, terms):
        refund = await _sale_funded(session, part, payment, look, in_time=before not in _ENDED)
        if refund is None:
            paid.append(part[0].id)
        else:
            refunds.append(refund)
    event, result = Event.PAYMENT_CAPTURED, FundingResult.FUNDED
    if before in _ENDED:
        event = Event.LATE_PAYMENT_ACCEPTED if paid else Event.LATE_PAYMENT_RETURNED
        result = FundingResult.REVIVED
        path.workflow_id = revived_workflow_id(path.workflow_id)
    phase = next_phase(before, event)
    left = PaidParts(
        buyer_id=terms.buyer_id,
        currency=terms.currency,
        sale_ids=tuple(paid),
        paid_at=look.at,
    )
    amount = format_money(payment.amount, payment.currency)
    standing = Standing(
        path_id=path.id,
        phase=phase,
        refunds=tuple(refunds),
        title=terms.title,
        facts=(f"Paid: {amount}",),
        over=True,
        details=left.model_dump(mode="json"),
    )
    outcome = PaymentOutcome(result=result, at=look.at, standing=standing)
    words = f"; {len(refunds)} of {len(terms.sales)} sales go back" if refunds else ""
    advance(
        session,
        path,
        key=funded_key(payment),
        kind=event,
        phase=phase,
        actor="provider",
        summary=f"Paid: {amount}, in escrow for {len(terms.sales)} sales{words}",
        deadlines=(),
        data=outcome.model_dump(mode="json"),
    )
    return outcome


_ENDED = frozenset({Phase.EXPIRED})


async def _sale_funded(
    session: AsyncSession, part: Part, payment: Payment, look: FollowPayment, *, in_time: bool
) -> RefundCase | None:
    """One sale is paid; None, or the refund of its part if its pieces are gone."""
    path, row, terms = part
    key = f"{funded_key(payment)}/{path.id}"
    amount = format_money(terms.total, terms.currency)
    case = None
    if in_time:
        event, words = sale.Event.PAYMENT_CAPTURED, f"Paid: {amount} in escrow"
    elif row.end_reason != sale.Event.CANCELLED and await stock.reserve(session, terms, look.at):
        event = sale.Event.LATE_PAYMENT_ACCEPTED
        words = f"Paid after the order had expired; the pieces were still there: {amount} in escrow"
        row.end_reason = None
    else:
        event = sale.Event.LATE_PAYMENT_RETURNED
        words = f"Paid after the order had ended: {amount} goes back"
        row.end_reason = event
        money = await sale_rows.money_of(session, row, sale.Phase(path.phase))
        refund_id, sent = await refund_escrow(session, row, money, key, event)
        assert refund_id is not None
        case = RefundCase(
            refund_id=refund_id,
            path_id=path.id,
            amount=sent,
            currency=terms.currency,
            policy=terms.refund_policy,
        )
    phase = sale.next_phase(sale.Phase(path.phase), event)
    advance(
        session,
        path,
        key=key,
        kind=event,
        phase=phase,
        actor="provider",
        summary=words,
        deadlines=sale.deadlines(terms, phase, sale.due_at(terms, phase, look.at)),
    )
    return case


async def order_unfunded(
    session: AsyncSession, path: Path, payment: Payment, look: FollowPayment
) -> Standing | None:
    """Nobody paid: the pieces of all sellers go back on sale, and the order is over with all of its sales."""
    key = unfunded_key(payment)
    if await happened(session, key):
        return None
    terms = await orders.terms_of(session, path.id)
    event, actor, words = Event.PAYMENT_EXPIRED, "system", "Not paid in time"
    note = ""
    if look.withdrawn is not None:
        event, actor = Event.CANCELLED, look.withdrawn.actor
        words = f"Called off by the {actor} before it was paid"
        note = f": {look.withdrawn.note}" if look.withdrawn.note else ""
    summary = f"{words}; the reserved pieces are back on sale{note}"
    phase = next_phase(Phase(path.phase), event)
    parts = await _parts(session, terms)
    await stock.lock_listings(
        session, [line.listing_id for _, _, each in parts for line in each.lines]
    )
    for part, row, sale_terms in parts:
        row.end_reason = event
        await stock.release(session, sale_terms)
        advance(
            session,
            part,
            key=f"{key}/{part.id}",
            kind=event,
            phase=sale.next_phase(sale.Phase(part.phase), sale.Event(event)),
            actor=actor,
            summary=summary,
            deadlines=(),
            closed_at=look.at,
        )
    standing = Standing(path_id=path.id, phase=phase, title=terms.title, over=True)
    advance(
        session,
        path,
        key=key,
        kind=event,
        phase=phase,
        actor=actor,
        summary=summary,
        deadlines=(),
        closed_at=look.at,
        data=standing.model_dump(mode="json"),
    )
    return standing


async def order_refunded(session: AsyncSession, path: Path, refund: Refund, at: datetime) -> None:
    """Refunds belong to the sales. Raises ProviderMismatch: an order has none of its own."""
    raise ProviderMismatch(f"{refund.id} is a refund of {path.id}, whose sales have the refunds")


async def order_payment_lost(
    session: AsyncSession, path: Path, payment: Payment, lost: Lost
) -> Standing | None:
    """The bank names no sale: each bears by what is left of it. What is left of none the buyer has twice."""
    terms = await orders.terms_of(session, path.id)
    parts = await _parts(session, terms)
    money = [
        await sale_rows.money_of(session, row, sale.Phase(each.phase)) for each, row, _ in parts
    ]
    left = [
        sum(sale_money.in_escrow(each, held)) + sum(line.still_released for line in held.lines)
        for (_, _, each), held in zip(parts, money, strict=True)
    ]
    taken = allocate(lost.amount, left)
    await _lock_accounts(session, path, parts, lost)
    for part, held, amount in zip(parts, money, taken, strict=True):
        if amount:
            await _sale_lost(session, part, held, payment, _share_of(lost, amount, part[0].id))
    rest = lost.amount - sum(taken)
    if rest:
        above = lost.amount + await lost_before(session, payment, lost) - payment.amount
        entry = await lost_entry(
            session,
            path,
            payment,
            lost.model_copy(update={"amount": rest}),
            payee=terms.buyer_id,
            beyond=min(rest, max(0, above)),
        )
        await journal.post(session, entry)
    return None


def _share_of(lost: Lost, amount: int, sale_id: str) -> Lost:
    return lost.model_copy(update={"amount": amount, "key": f"{lost.key}/{sale_id}"})


async def _lock_accounts(
    session: AsyncSession, path: Path, parts: Sequence[Part], lost: Lost
) -> None:
    """Locks whatever the entries may touch at once, in the ledger's order: they are posted one after the other."""
    lines = [line for _, _, terms in parts for line in terms.lines]
    pots = {line.royalty_sku for line in lines if line.royalty_sku is not None}
    people = {terms.seller_id for _, _, terms in parts} | {parts[0][2].buyer_id}
    await journal.balances(
        session,
        [
            *(accounts.escrow(each.id) for each, _, _ in parts),
            *(accounts.payable(each) for each in sorted(people)),
            *(accounts.held(each) for each in sorted(people)),
            *(accounts.receivable(each) for each in sorted(people)),
            *(accounts.royalty(each) for each in sorted(pots)),
            accounts.dispute(lost.chargeback_id),
            accounts.FEE,
            accounts.LOSS,
            accounts.PROTECTION_FUND,
        ],
        lost.currency,
        for_update=True,
        path_id=path.id,
    )


async def _sale_lost(
    session: AsyncSession,
    part: Part,
    money: sale_money.SaleMoney,
    payment: Payment,
    lost: Lost,
) -> None:
    """One sale bears its share: its escrow first, then its seller as far as they and the commission got any of it."""
    path, row, terms = part
    phase = sale.Phase(path.phase)
    taken = sale_money.bank_took(terms, money, lost.amount)
    sale_rows.keep_money(row, taken.money)
    ended = phase is sale.Phase.COMPLETED
    entry = await lost_entry(
        session,
        path,
        payment,
        lost,
        payee=terms.seller_id if ended else terms.buyer_id,
        fee_returned=taken.fee if ended else 0,
        royalties=taken.royalties if ended else (),
    )
    await journal.post(session, entry)
    pending = timers(path)
    if phase not in sale.FINAL and pending and sale.due_at(terms, phase, lost.at) is not None:
        pending = sale_rows.receipts(row, taken.money, phase, pending[0].due_at)
    advance(
        session,
        path,
        key=lost.key,
        kind="chargeback_lost",
        phase=phase,
        actor="provider",
        summary=f"The buyer's bank keeps {format_money(lost.amount, lost.currency)} of this sale",
        deadlines=pending,
        closed_at=path.closed_at,
        data={"chargeback_id": lost.chargeback_id},
    )
    if phase in sale.FINAL:
        await close_when_empty(session, path, lost.at)
