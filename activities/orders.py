"""The order's transitions, each one transaction: all of its sales together."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession
from temporalio import activity

from activities import stock
from activities.escrow import PaymentTerms, ask_for
from activities.transitions import advance, close_when_empty, funded_key, happened, lock_path
from db.engine import Database
from db.queries import orders
from db.tables import Order, Path, Payment, PaymentPart, Sale
from domain import order
from domain.errors import OutOfStock, ProviderMismatch
from domain.ids import new_id
from domain.money import format_money
from domain.order import Event, OrderTerms, Phase, deadlines, pay_by, split_cart
from domain.order_messages import OrderStep
from domain.path import Collection, Standing
from domain.payments import PaymentOutcome, Purpose
from domain.sale import SaleTerms


class Orders:
    """Activities of orders of several sellers."""

    def __init__(self, database: Database) -> None:
        self.database = database

    @activity.defn(name="move_order")
    async def move(self, step: OrderStep) -> Standing:
        """Opens the order, takes note of what late money has done, or ends it once its sales have their stories."""
        async with self.database.transaction() as session:
            before = await happened(session, step.key)
            if before is not None:
                return Standing.model_validate(before.data)
            match step.event:
                case Event.PLACED:
                    return await _open(session, step)
                case Event.LATE_PAYMENT_ACCEPTED:
                    return await _brought_back(session, step)
                case _:
                    return await _started(session, step)


async def _open(session: AsyncSession, step: OrderStep) -> Standing:
    """All pieces of all sellers are reserved, or nothing is. Raises what split_cart raises, or OutOfStock."""
    cart = step.start.cart
    assert cart is not None
    listed = await stock.lock_listings(session, [item.listing_id for item in cart.items])
    terms, sales = split_cart(cart, listed, step.at, lambda: new_id("sal"))
    due = pay_by(terms.policy, step.at)
    path = Path(
        id=terms.order_id,
        kind="order",
        workflow_id=step.workflow_id,
        initiator_id=terms.buyer_id,
        currency=terms.currency,
        phase=Phase.PENDING_PAYMENT,
    )
    session.add(path)
    await session.flush()
    session.add(
        Order(
            id=terms.order_id,
            buyer_id=terms.buyer_id,
            total=terms.total,
            terms=terms.model_dump(mode="json"),
        )
    )
    collection = ask_for(
        session,
        path,
        PaymentTerms(
            provider=terms.provider,
            return_url=terms.return_url,
            poll=terms.policy.poll,
            silence_seconds=terms.policy.provider_silence_seconds,
            refund_policy=terms.refund_policy,
        ),
        payment_id=terms.payment_id,
        payer_id=terms.buyer_id,
        purpose=Purpose.PRICE,
        amount=terms.total,
        expires_at=due,
        description=_described(sales),
        operation_id=f"{step.workflow_id}/payment",
    )
    await session.flush()
    pending = deadlines(Phase.PENDING_PAYMENT, due)
    for sale in sales:
        await _place(session, path, sale, terms.payment_id, due, step.key)
    standing = _standing(path, terms, Phase.PENDING_PAYMENT, collections=(collection,))
    standing = standing.model_copy(update={"deadlines": pending})
    amount = format_money(terms.total, terms.currency)
    advance(
        session,
        path,
        key=step.key,
        kind=Event.PLACED,
        phase=Phase.PENDING_PAYMENT,
        actor="buyer",
        summary=f"Ordered from {len(sales)} sellers for {amount}",
        deadlines=pending,
        data=standing.model_dump(mode="json"),
    )
    return standing


async def _place(
    session: AsyncSession, order: Path, sale: SaleTerms, payment_id: str, due: datetime, key: str
) -> None:
    """One sale of the order: its own path, its part of the payment and its pieces. Raises OutOfStock."""
    part = Path(
        id=sale.sale_id,
        kind="sale",
        workflow_id=f"sale-{sale.sale_id}",
        initiator_id=sale.buyer_id,
        currency=sale.currency,
        phase=Phase.PENDING_PAYMENT,
    )
    session.add(part)
    await session.flush()
    session.add(
        Sale(
            id=sale.sale_id,
            buyer_id=sale.buyer_id,
            seller_id=sale.seller_id,
            total=sale.total,
            terms=sale.model_dump(mode="json"),
            order_id=order.id,
        )
    )
    session.add(PaymentPart(payment_id=payment_id, path_id=sale.sale_id, amount=sale.total))
    await session.flush()
    if not await stock.reserve(session, sale, due):
        raise OutOfStock("the pieces are gone", field="lines")
    advance(
        session,
        part,
        key=f"{key}/{sale.sale_id}",
        kind=Event.PLACED,
        phase=Phase.PENDING_PAYMENT,
        actor="buyer",
        summary=f"Ordered for {format_money(sale.total, sale.currency)}, with other sellers' things",
        deadlines=deadlines(Phase.PENDING_PAYMENT, due),
    )


async def _brought_back(session: AsyncSession, step: OrderStep) -> Standing:
    """What late money has done to the order, as the look that posted it has written it down."""
    payment = await session.get_one(
        Payment, (await orders.terms_of(session, step.start.order_id)).payment_id
    )
    event = await happened(session, funded_key(payment))
    standing = PaymentOutcome.model_validate(event.data).standing if event else None
    if standing is None:
        raise ProviderMismatch(f"{payment.id} is captured, but no event tells what became of it")
    return standing


async def _started(session: AsyncSession, step: OrderStep) -> Standing:
    """Every sale has its own story now: the order has nothing left to do."""
    path = await lock_path(session, step.start.order_id)
    terms = await orders.terms_of(session, path.id)
    phase = order.next_phase(Phase(path.phase), step.event)
    standing = _standing(path, terms, phase)
    advance(
        session,
        path,
        key=step.key,
        kind=step.event,
        phase=phase,
        actor="system",
        summary="Each sale goes its own way",
        deadlines=(),
        data=standing.model_dump(mode="json"),
    )
    await close_when_empty(session, path, step.at)
    return standing


def _standing(
    path: Path, terms: OrderTerms, phase: Phase, collections: tuple[Collection, ...] = ()
) -> Standing:
    return Standing(
        path_id=path.id,
        phase=phase,
        collections=collections,
        title=terms.title,
        facts=(
            f"Amount: {format_money(terms.total, terms.currency)}",
            *(
                f"{part.sale_id}: {format_money(part.amount, terms.currency)} of {part.seller_id}"
                for part in terms.sales
            ),
        ),
        over=phase in order.FINAL,
    )


def _described(sales: tuple[SaleTerms, ...]) -> str:
    lines = [line for sale in sales for line in sale.lines]
    return ", ".join(f"{line.quantity} x {line.title}" for line in lines)[:200]
