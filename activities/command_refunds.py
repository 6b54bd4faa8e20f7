"""Commands about one path: a part of a sale's price goes back, a timer is moved."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from activities import payees
from activities.command_ways import Done, Ordered
from activities.sales import sale_of
from activities.transitions import advance, lock_path, require_not_paused, timers
from db import sale_rows
from db.command_rows import REFUNDABLE
from db.tables import Chargeback, Path, Payment, Refund, Sale
from domain import accounts, postings, postings_back
from domain.cases import RefundCase
from domain.chargebacks import UNDECIDED, ChargebackState
from domain.commands import Bearer, Executed, ExtendDeadline, RefundPath, Tell, can_extend
from domain.errors import HoldTooLong, InvalidInput, RefundTooLarge, TooLate, WrongPhase
from domain.ids import new_id, step_key
from domain.money import Money, format_money
from domain.path import Standing
from domain.payments import PaymentState, RefundCause, RefundState
from domain.postings import JournalEntry
from domain.sale import Phase, SaleTerms
from domain.sale_money import refund_part
from ledger import journal


async def refund(ordered: Ordered) -> Done:
    """A part of a sale's price goes back to the buyer: of one line, or as a loss of the platform.

    Raises NotFound, WrongPhase before the payment and while the bank has money of it, RefundTooLarge.
    """
    assert isinstance(ordered.order, RefundPath)
    order, session = ordered.order, ordered.session
    path = await lock_path(session, order.path_id)
    if path.phase not in REFUNDABLE:
        raise WrongPhase(
            f"nothing of a sale that is {path.phase} can be sent back",
            field="phase",
            accepted=", ".join(sorted(REFUNDABLE)),
        )
    await _require_no_open_chargeback(session, path.id)
    sale = await sale_of(session, path.id)
    terms, phase = SaleTerms.model_validate(sale.terms), Phase(path.phase)
    payment = await _payment_with(session, path.id, order.amount)
    back = Refund(
        id=new_id("ref"),
        path_id=path.id,
        payment_id=payment.id,
        payer_id=payment.payer_id,
        provider=payment.provider,
        operation_id=step_key(ordered.key, "refund"),
        amount=order.amount,
        currency=payment.currency,
        reason="operators",
        cause=RefundCause.COMMAND,
        cause_id=ordered.command_id,
        status=RefundState.REQUESTED,
    )
    session.add(back)
    await session.flush()
    entries = await _out_of(ordered, order, sale, terms, phase, back)
    await journal.post(session, *entries)
    amount = format_money(order.amount, path.currency)
    due = next((each.due_at for each in timers(path) if not each.subject), None)
    others = [each for each in timers(path) if each.subject]
    money = await sale_rows.money_of(session, sale, phase)
    advance(
        session,
        path,
        key=step_key(ordered.key, "refunding"),
        kind="refund_ordered",
        phase=path.phase,
        actor="operator",
        summary=f"Operators send {amount} back to the buyer",
        deadlines=(*sale_rows.receipts(sale, money, phase, due), *others),
        data={"refund_id": back.id, "command_id": ordered.command_id},
    )
    case = RefundCase(
        refund_id=back.id,
        path_id=path.id,
        amount=order.amount,
        currency=payment.currency,
        policy=terms.refund_policy,
    )
    return Done(
        executed=Executed(refunds=(case,)),
        amounts=(Money(amount=order.amount, currency=payment.currency),),
        words=(f"{amount} goes back to the buyer",),
    )


async def _out_of(
    ordered: Ordered,
    order: RefundPath,
    sale: Sale,
    terms: SaleTerms,
    phase: Phase,
    back: Refund,
) -> list[JournalEntry]:
    """Where the money comes from: escrow first, then whoever got it; or the platform."""
    session, currency = ordered.session, terms.currency
    if order.bearer is Bearer.PLATFORM:
        key = step_key(ordered.key, "goodwill")
        return [
            postings_back.goodwill(key, sale.id, back.id, accounts.LOSS, order.amount, currency)
        ]
    money = await sale_rows.money_of(session, sale, phase)
    taken = refund_part(terms, money, {order.line: order.amount})
    sale_rows.keep_money(sale, taken.money)
    entries = []
    if taken.from_escrow:
        key = step_key(ordered.key, "escrow")
        entries.append(postings.refund(key, sale.id, back.id, taken.from_escrow, currency))
    if taken.from_escrow < order.amount:
        payee = await payees.payee_account(session, terms.seller_id)
        owed = accounts.receivable(terms.seller_id)
        pots = [each.account for each in taken.royalties]
        touched = [payee, owed, accounts.FEE, accounts.refund_due(back.id), *pots]
        touched.append(accounts.escrow(sale.id))
        held = await journal.balances(session, touched, currency, for_update=True, path_id=sale.id)
        entries.append(
            postings_back.take_back(
                step_key(ordered.key, "released"),
                sale.id,
                back.id,
                payee=payee,
                user_id=terms.seller_id,
                seller=taken.seller,
                balance=held[payee].available,
                fee=taken.fee,
                royalties=taken.royalties,
                currency=currency,
            )
        )
    return entries


async def _payment_with(session: AsyncSession, path_id: str, amount: int) -> Payment:
    """The captured payment, of which that much has not gone back yet. Raises RefundTooLarge."""
    payment = (
        await session.scalars(
            select(Payment)
            .where(Payment.path_id == path_id, Payment.status == PaymentState.CAPTURED)
            .with_for_update()
        )
    ).one()
    sent = select(func.coalesce(func.sum(Refund.amount), 0)).where(Refund.payment_id == payment.id)
    lost = select(func.coalesce(func.sum(Chargeback.amount), 0)).where(
        Chargeback.payment_id == payment.id, Chargeback.status == ChargebackState.LOST
    )
    gone = await session.scalar(select(sent.scalar_subquery() + lost.scalar_subquery()))
    left = payment.amount - int(gone or 0)
    if amount > left:
        raise RefundTooLarge(
            f"{format_money(left, payment.currency)} of the payment is left",
            field="amount",
            accepted=f"at most {left}",
        )
    return payment


async def _require_no_open_chargeback(session: AsyncSession, path_id: str) -> None:
    found = await session.scalar(
        select(Chargeback.id)
        .where(Chargeback.path_id == path_id, Chargeback.status.in_(UNDECIDED))
        .limit(1)
    )
    if found is not None:
        raise WrongPhase(
            "the buyer's bank has money of this sale for the moment",
            field="phase",
            accepted="the same command when the bank has decided",
        )


async def extend(ordered: Ordered) -> Done:
    """One timer of the path fires later. Raises InvalidInput, WrongPhase, TooLate and HoldTooLong."""
    assert isinstance(ordered.order, ExtendDeadline)
    order, session = ordered.order, ordered.session
    path = await lock_path(session, order.path_id)
    require_not_paused(path)
    if not can_extend(path.kind):
        raise InvalidInput(
            f"the timers of a {path.kind} stay as agreed",
            field="path_id",
            accepted="a path of another kind",
        )
    own = [each for each in timers(path) if each.event]
    wanted = [each for each in own if (each.name, each.subject) == (order.name, order.subject)]
    if len(wanted) != 1:
        raise InvalidInput(
            "the path has no such timer",
            field="name",
            accepted=", ".join(f"{each.name} {each.subject}".strip() for each in own) or "nothing",
        )
    moved = wanted[0].model_copy(
        update={"due_at": wanted[0].due_at + timedelta(seconds=order.seconds)}
    )
    now = (await session.execute(select(func.clock_timestamp()))).scalar_one()
    if wanted[0].passes_at <= now:
        raise TooLate("its time is over already", field="name", accepted="a timer that runs")
    until = await _held_until(session, path)
    if until is not None and moved.passes_at > until:
        raise HoldTooLong(
            "the payment provider does not hold the money that long",
            field="seconds",
            accepted=f"at most until {until:%Y-%m-%d %H:%M:%S} UTC",
        )
    left = tuple(moved if each == wanted[0] else each for each in timers(path))
    words = f"{order.name} ends on {moved.due_at:%Y-%m-%d %H:%M:%S} UTC"
    advance(
        session,
        path,
        key=step_key(ordered.key, "extended"),
        kind="deadline_extended",
        phase=path.phase,
        actor="operator",
        summary=f"Operators give more time: {words}",
        deadlines=left,
        data={"command_id": ordered.command_id},
    )
    await session.flush()
    return Done(
        executed=Executed(
            tell=Tell.RETIMED,
            workflow_id=path.workflow_id,
            standing=Standing(path_id=path.id, phase=path.phase, deadlines=left),
        ),
        words=(words,),
    )


async def _held_until(session: AsyncSession, path: Path) -> datetime | None:
    """Until when the payment companies hold what the path has."""
    found: datetime | None = await session.scalar(
        select(func.min(Payment.hold_deadline)).where(
            Payment.path_id == path.id, Payment.status == PaymentState.CAPTURED
        )
    )
    return found
