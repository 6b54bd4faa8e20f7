"""The sale's transitions, each one transaction: phase, stock, postings, deadlines and event together."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from temporalio import activity
from temporalio.client import Client

from activities import settlement, stock
from activities.collecting import Collecting
from activities.gathering import gather_payouts
from activities.transitions import advance, close_when_empty, happened, lock_path, timers
from db import inbox, parcels, sale_rows
from db.engine import Database
from db.tables import Chargeback, Path, PathEvent, Payment, Sale
from domain.cases import PaymentCase
from domain.chargebacks import UNDECIDED
from domain.errors import InvalidInput, NotFound, OutOfStock, PathNotEmpty, WrongPhase
from domain.ids import step_key
from domain.money import format_money
from domain.path import Collection
from domain.payments import PaymentState
from domain.sale import (
    FINAL,
    Event,
    Phase,
    SaleTerms,
    agree,
    deadlines,
    due_at,
    next_phase,
    payment_due_at,
)
from domain.sale_messages import OpenedSale, OpenSale, SaleStep, SaleStepDone
from domain.sale_money import in_escrow

_TAKES_ON = frozenset({Event.ACCEPTED, Event.SHIPPED, Event.HANDED_OVER})
"""What a seller does who counts on the money."""


class Sales:
    """Activities of the sale. `payout_at_once`: released money may leave without a waiting time.

    Without `collecting` only `move` can be used.
    """

    def __init__(
        self,
        database: Database,
        temporal: Client,
        collecting: Collecting | None = None,
        *,
        payout_at_once: bool,
    ) -> None:
        self.database = database
        self.temporal = temporal
        self.collecting = collecting
        self.payout_at_once = payout_at_once

    @activity.defn(name="open_sale")
    async def open(self, request: OpenSale) -> OpenedSale:
        """Reserves the pieces, freezes the terms and asks for the payment, or refuses with the reason."""
        terms = await self._reserve(request)
        order = request.start.order
        if order is None or self.collecting is None:
            return OpenedSale(terms=terms)
        asked = sale_payment(terms, order.return_url, request.at)
        return OpenedSale(terms=terms, collection=await self.collecting.collect(asked))

    async def _reserve(self, request: OpenSale) -> SaleTerms:
        order = request.start.order
        key = step_key(request.workflow_id, Event.PLACED)
        async with self.database.transaction() as session:
            if order is None or await happened(session, key):
                return await terms_of(session, request.start.sale_id)
            listed = await stock.lock_listings(session, [i.listing_id for i in order.items])
            terms = agree(order, listed, request.at)
            due = payment_due_at(terms, request.at)
            path = Path(
                id=order.sale_id,
                kind="sale",
                workflow_id=request.workflow_id,
                initiator_id=order.buyer_id,
                currency=terms.currency,
                phase=Phase.PENDING_PAYMENT,
            )
            session.add(path)
            await session.flush()
            session.add(
                Sale(
                    id=order.sale_id,
                    buyer_id=order.buyer_id,
                    seller_id=terms.seller_id,
                    total=terms.total,
                    terms=terms.model_dump(mode="json"),
                )
            )
            session.add(
                Payment(
                    id=order.payment_id,
                    path_id=order.sale_id,
                    payer_id=order.buyer_id,
                    provider=order.provider,
                    operation_id=step_key(request.workflow_id, "payment"),
                    amount=terms.total,
                    currency=terms.currency,
                    status=PaymentState.REQUESTED,
                    expires_at=due,
                )
            )
            await session.flush()
            if not await stock.reserve(session, terms, due):
                raise OutOfStock("the pieces are gone", field="lines")
            advance(
                session,
                path,
                key=key,
                kind=Event.PLACED,
                phase=Phase.PENDING_PAYMENT,
                actor="buyer",
                summary=f"Ordered for {format_money(terms.total, terms.currency)}",
                deadlines=deadlines(terms, Phase.PENDING_PAYMENT, due),
            )
        return terms

    @activity.defn(name="move_sale")
    async def move(self, step: SaleStep) -> SaleStepDone:
        """Takes the sale through one transition with everything that belongs to it."""
        async with self.database.transaction() as session:
            path = await lock_path(session, step.sale_id)
            sale = await sale_of(session, step.sale_id)
            terms = SaleTerms.model_validate(sale.terms)
            before = await happened(session, step.key)
            if before is not None:
                return SaleStepDone.model_validate(before.data)
            if step.phase_known not in (None, path.phase):
                return await _standing(session, path)
            if step.event is Event.LOST and (heard := await _heard_since(sale, step, terms)):
                return heard
            done = await self._apply(session, path, sale, terms, step)
        if done.phase is Phase.COMPLETED and self.payout_at_once:
            await gather_payouts(self.temporal, activity.info().task_queue)
        return done

    async def _apply(
        self, session: AsyncSession, path: Path, sale: Sale, terms: SaleTerms, step: SaleStep
    ) -> SaleStepDone:
        money = await sale_rows.money_of(session, sale, Phase(path.phase))
        phase = next_phase(Phase(path.phase), step.event)
        if step.event in _TAKES_ON and not sum(in_escrow(terms, money)):
            raise WrongPhase(
                "the buyer's bank has taken the whole price back for good",
                field="phase",
                accepted="declining or cancelling",
            )
        done = SaleStepDone(phase=phase, due_at=due_at(terms, phase, step.at))
        moved = terms.total
        match phase:
            case Phase.SHIPPED:
                await _record_parcel(session, sale, step)
            case Phase.DELIVERED:
                sale.delivered_at = step.at
            case Phase.COMPLETED:
                await _require_no_open_chargeback(session, sale.id)
                await stock.sell(session, sale.id)
                moved = await settlement.release(session, sale, money, step.key)
                sale.delivered_at = sale.delivered_at or step.at
                sale.completed_at = step.at
            case Phase.REFUNDING:
                refund_id, moved = await settlement.start_refund(session, sale, money, step)
                if refund_id is None:
                    phase = Phase.REFUNDED
                done = SaleStepDone(phase=phase, refund_id=refund_id, refunded=moved)
        if step.act.actor == "carrier":
            await inbox.consume(session, sale.id)
        # Balance that is offered for a refund goes on being offered.
        others = [each for each in timers(path) if each.subject]
        advance(
            session,
            path,
            key=step.key,
            kind=step.event,
            phase=phase,
            actor=step.act.actor,
            summary=narrate(terms, step, moved),
            deadlines=(*sale_rows.receipts(sale, money, phase, done.due_at), *others),
            data=done.model_dump(mode="json"),
        )
        if phase in FINAL:
            await close_when_empty(session, path, step.at)
        return done

    @activity.defn(name="look_up_sale")
    async def look_up(self, sale_id: str) -> SaleStepDone:
        """Where the sale stands in the books. Raises NotFound."""
        async with self.database.transaction() as session:
            return await _standing(session, await lock_path(session, sale_id))


def sale_payment(terms: SaleTerms, return_url: str, placed_at: datetime) -> Collection:
    """What the buyer is asked to pay for an order placed at this moment."""
    return Collection(
        case=PaymentCase(
            payment_id=terms.payment_id,
            path_id=terms.sale_id,
            payer_id=terms.buyer_id,
            amount=terms.total,
            currency=terms.currency,
            expires_at=payment_due_at(terms, placed_at),
            poll=terms.policy.poll,
            silence_seconds=terms.policy.provider_silence_seconds,
            refund_policy=terms.refund_policy,
        ),
        description=terms.title,
        return_url=return_url,
    )


def narrate(terms: SaleTerms, step: SaleStep, moved: int) -> str:
    """The event in words, with the amount that moves, in minor units, where money does."""
    total = format_money(moved, terms.currency)
    words = {
        Event.ACCEPTED: "The seller accepted the order",
        Event.DECLINED: f"The seller declined; {total} goes back to the buyer",
        Event.ACCEPTANCE_LAPSED: f"The seller did not answer; {total} goes back to the buyer",
        Event.CANCELLED: f"Cancelled by the {step.act.actor}; {total} goes back to the buyer",
        Event.SHIPPED: "Shipped",
        Event.HANDED_OVER: "Handed over in person",
        Event.SHIPMENT_LAPSED: f"Not shipped in time; {total} goes back to the buyer",
        Event.DELIVERED: "Delivered",
        Event.LOST: f"The parcel is lost; {total} goes back to the buyer",
        Event.CONFIRMED: f"The buyer confirmed; {total} released",
        Event.CONFIRMATION_LAPSED: f"No objection in time; {total} released",
    }.get(step.event, step.event.replace("_", " "))
    return f"{words}: {step.act.note}" if step.act.note else words


async def _require_no_open_chargeback(session: AsyncSession, sale_id: str) -> None:
    """Raises PathNotEmpty while the buyer's bank has money of the sale: what it has taken is not paid to the seller."""
    found = await session.scalar(
        select(Chargeback.reference).where(
            Chargeback.path_id == sale_id, Chargeback.status.in_(UNDECIDED)
        )
    )
    if found is not None:
        raise PathNotEmpty(f"the buyer's bank has money of {sale_id} for the moment")


async def _standing(session: AsyncSession, path: Path) -> SaleStepDone:
    """Where an earlier transition has left the sale: that of the newest event of its phase."""
    entered = await session.scalar(
        select(PathEvent)
        .where(PathEvent.path_id == path.id, PathEvent.phase == path.phase)
        .order_by(PathEvent.id.desc())
        .limit(1)
    )
    due = next((each.due_at for each in timers(path) if not each.subject), None)
    here = SaleStepDone(phase=Phase(path.phase), due_at=due, caught_up=True)
    if entered is None or "refund_id" not in entered.data:
        return here
    refund = {name: entered.data.get(name) for name in ("refund_id", "refunded")}
    return SaleStepDone.model_validate({**here.model_dump(), **refund})


async def sale_of(session: AsyncSession, sale_id: str) -> Sale:
    """The sale's row. Raises NotFound."""
    sale = await session.get(Sale, sale_id)
    if sale is None:
        raise NotFound(f"there is no sale {sale_id}")
    return sale


async def terms_of(session: AsyncSession, sale_id: str) -> SaleTerms:
    """The frozen terms of a sale. Raises NotFound."""
    return SaleTerms.model_validate((await sale_of(session, sale_id)).terms)


async def _heard_since(sale: Sale, step: SaleStep, terms: SaleTerms) -> SaleStepDone | None:
    """A scan that came meanwhile keeps the parcel alive: the new due time instead of the loss."""
    if step.act.actor == "carrier" or sale.last_scan_at is None:
        return None
    due = due_at(terms, Phase.SHIPPED, sale.last_scan_at)
    if due is None or due <= step.at:
        return None
    return SaleStepDone(phase=Phase.SHIPPED, due_at=due)


async def _record_parcel(session: AsyncSession, sale: Sale, step: SaleStep) -> None:
    if step.shipment is None:
        return
    if step.shipment.tracking_number is not None:
        await parcels.take_for_sale(session, step.shipment.carrier, step.shipment.tracking_number)
    sale.carrier = step.shipment.carrier
    sale.tracking_number = step.shipment.tracking_number
    try:
        await session.flush()
    except IntegrityError as taken:
        raise InvalidInput(
            "another sale travels under this tracking number",
            field="tracking_number",
            accepted="the number of this parcel",
        ) from taken
