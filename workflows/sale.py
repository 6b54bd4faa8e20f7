"""Sale: a buyer orders, the money waits in escrow, the seller ships, and whoever falls silent, the money still arrives.

pending_payment -> paid -> accepted -> shipped -> delivered -> completed; before shipment and for lost parcels
-> refunding -> refunded; unpaid -> expired. The legal transitions are domain.sale.TRANSITIONS.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import datetime

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError
from temporalio.workflow import ParentClosePolicy

with workflow.unsafe.imports_passed_through():
    from activities.collecting import Collecting
    from activities.options import CATCH_UP, MONEY, PRESENT
    from activities.sales import Sales
    from domain.cases import RefundCase
    from domain.errors import DomainError, ProviderUnreachable, Unavailable, WrongPhase
    from domain.ids import step_key
    from domain.money import format_money
    from domain.parcels import ParcelFact, ScanKind
    from domain.path import Collection
    from domain.payments import FundingResult, PaymentNews, PaymentOutcome, Withdrawal
    from domain.sale import (
        FINAL,
        TRANSITIONS,
        Delivery,
        Event,
        Phase,
        SaleTerms,
        can_follow,
        due_at,
        next_phase,
    )
    from domain.sale_messages import (
        OpenSale,
        SaleAct,
        SaleEnd,
        SaleStanding,
        SaleStart,
        SaleStep,
        Shipment,
    )
    from runtime.temporal import as_application_error, start_attributes
    from workflows.following import Alarm, Attended, in_words, noted, reason_of, uninterrupted
    from workflows.names import payment_workflow_id, refund_workflow_id
    from workflows.narration import describe_sale, keep_attributes, sale_attributes
    from workflows.payment import Payment
    from workflows.refund import Refund


SYSTEM = SaleAct(actor="system")
CARRIER = SaleAct(actor="carrier")
OPERATOR = SaleAct(actor="operator")
CALLED_OFF_BY_OPERATORS = frozenset({Phase.PAID, Phase.ACCEPTED})
"""Phases in which cancelling the workflow refunds the buyer."""
MOVES_NO_MONEY = frozenset({Event.ACCEPTED, Event.SHIPPED, Event.HANDED_OVER, Event.DELIVERED})


@workflow.defn(name="Sale", failure_exception_types=[DomainError])
class Sale(Attended):
    """One order of one buyer with one seller."""

    @workflow.init
    def __init__(self, start: SaleStart) -> None:
        super().__init__()
        self.start = start
        self.terms: SaleTerms | None = None
        self.phase: Phase | None = None
        self.due: datetime | None = None
        self.refusal: ApplicationError | None = None
        self.collection: Collection | None = None
        self.payable = False
        """Whether the buyer can pay."""
        self.paid: PaymentOutcome | None = None
        """What became of the payment."""
        self.refund_id: str | None = None
        self.refunded: int | None = None
        self.parcel_fact: ScanKind | None = None
        self.alarm = Alarm()
        self.one_at_a_time = asyncio.Lock()

    @workflow.run
    async def run(self, start: SaleStart) -> SaleEnd:
        await self.reservation()
        if start.order is not None:
            await self.payment_window()
        await self.acceptance()
        await self.shipment()
        await self.delivery()
        await self.inspection()
        await self.refund()
        await workflow.wait_condition(workflow.all_handlers_finished)
        return SaleEnd(phase=self.phase, refusal=self.refusal.message if self.refusal else None)

    # The story, phase by phase.

    async def reservation(self) -> None:
        """The pieces are set aside and the terms frozen, or the order is refused."""
        at = self.start.placed_at or workflow.now()
        try:
            opened = await uninterrupted(
                workflow.execute_activity_method(
                    Sales.open,
                    OpenSale(
                        start=self.start,
                        workflow_id=workflow.info().workflow_id,
                        at=at,
                    ),
                    summary="Set the pieces aside, fix the terms and ask for the payment",
                    **MONEY,
                )
            )
        except ActivityError as refused:
            self.refusal = reason_of(refused)
            workflow.set_current_details(f"**Refused**: {self.refusal.message}")
            return
        self.terms, self.collection = opened.terms, opened.collection
        paid_late_at = self.start.paid_late_at
        if paid_late_at is None:
            self.enter(Phase.PENDING_PAYMENT, at)
        else:
            self.enter(Phase.PAID, paid_late_at)

    async def payment_window(self) -> None:
        """The buyer pays in time, or the pieces go back on sale."""
        if self.phase is not Phase.PENDING_PAYMENT:
            return
        await self.present_payment()
        if self.is_cancelled:
            await self.call_off_payment()
        outcome = await uninterrupted(self.payment_end(), when_cancelled=self.call_off_payment)
        paid = outcome.result is FundingResult.FUNDED
        self.enter(Phase.PAID if paid else Phase.EXPIRED, outcome.at)

    async def acceptance(self) -> None:
        """The seller accepts; silence gives the buyer everything back."""
        await self.heed_cancellation(Phase.PAID)
        if await self.time_is_up(Phase.PAID):
            await self.lapse(Phase.PAID, Event.ACCEPTANCE_LAPSED)

    async def shipment(self) -> None:
        """The seller ships within the lead time; silence gives the buyer everything back."""
        await self.heed_cancellation(Phase.ACCEPTED)
        if await self.time_is_up(Phase.ACCEPTED):
            await self.lapse(Phase.ACCEPTED, Event.SHIPMENT_LAPSED)

    async def delivery(self) -> None:
        """The carrier delivers; a parcel nobody scans any more is lost, and the buyer gets everything back."""
        while self.stands_in(Phase.SHIPPED):
            silent = await self.time_is_up(Phase.SHIPPED)
            if self.parcel_fact is ScanKind.DELIVERED:
                await self.lapse(Phase.SHIPPED, Event.DELIVERED, CARRIER)
            elif self.parcel_fact is ScanKind.LOST:
                await self.lapse(Phase.SHIPPED, Event.LOST, CARRIER)
            elif silent:
                await self.lapse(Phase.SHIPPED, Event.LOST)

    async def inspection(self) -> None:
        """The buyer confirms; silence counts as content, and the seller is paid."""
        if await self.time_is_up(Phase.DELIVERED):
            await self.lapse(Phase.DELIVERED, Event.CONFIRMATION_LAPSED)

    async def refund(self) -> None:
        """What is in escrow goes back to the buyer."""
        if self.phase is not Phase.REFUNDING or self.terms is None or self.refund_id is None:
            return
        await uninterrupted(
            workflow.execute_child_workflow(
                Refund.run,
                RefundCase(
                    refund_id=self.refund_id,
                    path_id=self.terms.sale_id,
                    amount=self.refunded or self.terms.total,
                    currency=self.terms.currency,
                    policy=self.terms.refund_policy,
                ),
                id=refund_workflow_id(self.refund_id),
                parent_close_policy=ParentClosePolicy.ABANDON,
                static_summary=f"Refund of {self.amount}",
                search_attributes=start_attributes(
                    "refund", self.terms.buyer_id, self.terms.currency
                ),
            )
        )
        self.enter(Phase.REFUNDED, workflow.now())

    # What people and carriers do.

    @workflow.update
    async def place(self) -> SaleStanding:
        """The answer to the buyer who orders: where to pay is ready, or the order is refused."""
        await workflow.wait_condition(lambda: self.payable or self.refusal is not None)
        if self.refusal is not None:
            raise self.refusal
        return self.standing()

    @workflow.update
    async def accept(self, act: SaleAct) -> SaleStanding:
        """The seller takes the order on."""
        return await self.move(Event.ACCEPTED, act)

    @workflow.update
    async def decline(self, act: SaleAct) -> SaleStanding:
        """The seller does not take the order on."""
        return await self.move(Event.DECLINED, act)

    @workflow.update
    async def ship(self, shipment: Shipment) -> SaleStanding:
        """The pieces are with the carrier, or with the buyer when picked up."""
        return await self.move(self.shipping_event(), shipment, shipment)

    @workflow.update
    async def confirm(self, act: SaleAct) -> SaleStanding:
        """The buyer has the pieces and is content."""
        return await self.move(Event.CONFIRMED, act)

    @workflow.update
    async def cancel(self, act: SaleAct) -> SaleStanding:
        """Called off before shipment; whatever was paid goes back in full."""
        await self.catch_up(act)
        if self.stands_in(Phase.PENDING_PAYMENT):
            await self.give_up_payment(act)
        if self.stands_in(Phase.EXPIRED):
            return self.standing()
        return await self.move(Event.CANCELLED, act)

    @accept.validator
    def _can_accept(self, act: SaleAct) -> None:
        self.require(Event.ACCEPTED, act)

    @decline.validator
    def _can_decline(self, act: SaleAct) -> None:
        self.require(Event.DECLINED, act)

    @ship.validator
    def _can_ship(self, shipment: Shipment) -> None:
        self.require(self.shipping_event(), shipment)

    @confirm.validator
    def _can_confirm(self, act: SaleAct) -> None:
        self.require(Event.CONFIRMED, act)

    @cancel.validator
    def _can_cancel(self, act: SaleAct) -> None:
        self.require(Event.CANCELLED, act)

    @workflow.signal
    def payment_ended(self, news: PaymentNews) -> None:
        """The payment is captured or given up; the books say so already."""
        self.paid = news.outcome

    @workflow.signal
    def parcel(self, fact: ParcelFact) -> None:
        """The carrier reports that the parcel has arrived or is lost."""
        self.parcel_fact = fact.kind

    @workflow.query
    def standing(self) -> SaleStanding:
        """Where the sale stands, for operators and tests."""
        return SaleStanding(
            sale_id=self.start.sale_id, phase=self.phase or Phase.PENDING_PAYMENT, due_at=self.due
        )

    # How it is done.

    async def present_payment(self) -> None:
        """A page on which the buyer can pay, if there is none yet; without one in time the payment is closed at once."""
        asked = self.collection
        if asked is not None and not asked.presented:
            try:
                await uninterrupted(
                    workflow.execute_activity_method(
                        Collecting.present,
                        asked,
                        summary=f"Ask the provider for a page to pay {self.amount}",
                        **PRESENT,
                    )
                )
            except ActivityError as refused:
                self.refusal = _final(reason_of(refused))
                await self.withdraw(SYSTEM)
        self.payable = True

    async def payment_end(self) -> PaymentOutcome:
        """What became of the payment, as its own story tells."""
        await workflow.wait_condition(lambda: self.paid is not None)
        assert self.paid is not None
        return self.paid

    async def give_up_payment(self, act: SaleAct) -> None:
        """Nobody wants to pay any more; if the money was faster, the sale is paid all the same."""
        await workflow.wait_condition(lambda: self.payable)
        await self.withdraw(act)
        await workflow.wait_condition(lambda: not self.stands_in(Phase.PENDING_PAYMENT))

    async def call_off_payment(self) -> None:
        """An operator has cancelled the workflow before it was paid."""
        await self.withdraw(OPERATOR)

    async def withdraw(self, act: SaleAct) -> None:
        """Tells the payment; one that has just ended does not hear it."""
        payment = workflow.get_external_workflow_handle(
            payment_workflow_id(self.agreed().payment_id)
        )
        with suppress(ApplicationError):
            await payment.signal(Payment.withdraw, Withdrawal(actor=act.actor, note=act.note))

    async def time_is_up(self, phase: Phase) -> bool:
        """Waits in this phase: True at its deadline, False as soon as something else has happened."""
        if not self.stands_in(phase) or self.due is None:
            return False
        try:
            return await self.alarm.reached(
                self.due,
                over=lambda: not self.stands_in(phase) or self.parcel_arrived_in(phase),
                summary=f"{self.amount}: deadlines are looked at {in_words(self.due)}",
            )
        except asyncio.CancelledError:
            await self.heed_cancellation(phase)
            return await self.time_is_up(phase)

    async def heed_cancellation(self, phase: Phase) -> None:
        """An operator who cancels the workflow calls off what has not shipped; later it changes nothing."""
        if self.is_cancelled and phase in CALLED_OFF_BY_OPERATORS:
            await self.lapse(phase, Event.CANCELLED, OPERATOR)

    @property
    def is_cancelled(self) -> bool:
        """Whether an operator has cancelled the workflow in Temporal."""
        return workflow.cancellation_reason() is not None

    async def lapse(self, phase: Phase, event: Event, act: SaleAct = SYSTEM) -> None:
        """The sale moves on unless somebody has moved it on in the last moment."""
        while self.stands_in(phase):
            try:
                await uninterrupted(self.move_on_from(phase, event, act))
                return
            except ApplicationError as refused:
                await self.ask_operator(
                    f"{event} of {self.amount}: {refused.message}",
                    over=lambda: not self.stands_in(phase),
                )

    async def move_on_from(self, phase: Phase, event: Event, act: SaleAct) -> None:
        """One transition, unless an act that was under way has left the phase."""
        async with self.one_at_a_time:
            if self.stands_in(phase):
                await self.transition(event, act)

    async def move(
        self, event: Event, act: SaleAct, shipment: Shipment | None = None
    ) -> SaleStanding:
        """Somebody's act, one at a time."""
        if not self.can_happen(event):
            await self.catch_up(act)
        async with self.one_at_a_time:
            self.require(event)
            while not await self.transition(event, act, shipment):
                self.require(event)
        return self.standing()

    async def transition(
        self, event: Event, act: SaleAct, shipment: Shipment | None = None
    ) -> bool:
        """One transition, one activity, one database transaction.

        False: the books stood further, as an answer was lost; the story knows it now, and the event may come too late.
        """
        now = workflow.now()
        step = SaleStep(
            sale_id=self.start.sale_id,
            key=self.key_of(event),
            event=event,
            act=act,
            at=now,
            shipment=shipment,
            phase_known=self.phase,
        )
        summary = f"{event.replace('_', ' ').capitalize()}: {self.amount}"
        try:
            done = await uninterrupted(
                noted(Sales.move, step, summary)
                if event in MOVES_NO_MONEY
                else workflow.execute_activity_method(Sales.move, step, summary=summary, **MONEY)
            )
        except ActivityError as refused:
            raise reason_of(refused) from refused
        self.refund_id, self.refunded = done.refund_id, done.refunded
        self.enter(done.phase, now, done.due_at)
        return not done.caught_up

    def key_of(self, event: Event) -> str:
        """Makes the event happen once. What is only noted can be lost on its way here: it is known by its request."""
        request = workflow.current_update_info()
        step = f"{event}-{request.id}" if request and event in MOVES_NO_MONEY else event
        return step_key(workflow.info().workflow_id, step)

    def enter(self, phase: Phase, at: datetime, due: datetime | None = None) -> None:
        """The sale now stands in this phase; operators can read what it waits for."""
        terms = self.agreed()
        self.phase = phase
        self.due = due or due_at(terms, phase, at)
        workflow.set_current_details(describe_sale(terms, phase, self.due))
        keep_attributes(sale_attributes(terms, phase, self.due))

    def require(self, event: Event, act: SaleAct | None = None) -> None:
        """Raises WrongPhase unless the event can happen now, or in the phase whose news is still on its way here."""
        if act is not None and act.phase_seen is not None and self.is_behind(act):
            if not self.can_happen(event):
                next_phase(act.phase_seen, event)
            return
        if self.phase is None:
            raise WrongPhase("the order is not open yet", field="phase")
        next_phase(self.phase, event)

    def can_happen(self, event: Event) -> bool:
        """Whether the event can happen in the phase that the story knows."""
        return self.phase is not None and (self.phase, event) in TRANSITIONS

    def is_behind(self, act: SaleAct) -> bool:
        """Whether the books stood one phase further than this story when somebody decided to act."""
        if act.phase_seen is None or self.phase in FINAL:
            return False
        return self.phase is None or can_follow(self.phase, act.phase_seen)

    async def catch_up(self, act: SaleAct) -> None:
        """A payment shows in the books a moment before its news arrives here; what was only noted, when its answer is lost."""
        if self.is_behind(act):
            if self.phase in (None, Phase.PENDING_PAYMENT):
                with suppress(TimeoutError):
                    await workflow.wait_condition(lambda: not self.is_behind(act), timeout=CATCH_UP)
            else:
                await self.look_up(act)
        if self.is_behind(act):
            raise WrongPhase(
                "the news of what happened before has not arrived yet",
                field="phase",
                accepted="the same request with a new key, in a moment",
            )

    async def look_up(self, act: SaleAct) -> None:
        """Reads in the books where the sale stands."""
        async with self.one_at_a_time:
            if not self.is_behind(act):
                return
            here = await uninterrupted(
                workflow.execute_activity_method(
                    Sales.look_up,
                    self.start.sale_id,
                    summary=f"Where does the sale of {self.amount} stand?",
                    **MONEY,
                )
            )
            self.refund_id, self.refunded = here.refund_id, here.refunded
            self.enter(here.phase, workflow.now(), here.due_at)

    def shipping_event(self) -> Event:
        """Pieces that are picked up are handed over, all others are shipped."""
        pickup = self.terms is not None and self.terms.delivery is Delivery.PICKUP
        return Event.HANDED_OVER if pickup else Event.SHIPPED

    def stands_in(self, phase: Phase) -> bool:
        """Whether the sale is in this phase right now."""
        return self.phase is phase

    def parcel_arrived_in(self, phase: Phase) -> bool:
        """Whether the carrier has decided what this phase waits for."""
        return phase is Phase.SHIPPED and self.parcel_fact is not None

    def agreed(self) -> SaleTerms:
        """The frozen terms; there are none before the reservation."""
        if self.terms is None:
            raise WrongPhase("the order is not open yet", field="phase")
        return self.terms

    @property
    def amount(self) -> str:
        """The price in words."""
        terms = self.agreed()
        return format_money(terms.total, terms.currency)


def _final(reason: ApplicationError) -> ApplicationError:
    """A provider that stayed out of reach has ended the order: repeating the request cannot help, a new order can."""
    if reason.type != Unavailable.code:
        return reason
    return as_application_error(
        ProviderUnreachable("the payment company could not be reached; please order again")
    )
