"""Order: things of several sellers are paid at once; from then on each sale goes its own way.

pending_payment -> paid; unpaid or called off -> expired. Late money brings those sales back whose pieces are still
there. The legal transitions are domain.order.TRANSITIONS.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime

from temporalio import workflow
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError
from temporalio.workflow import ParentClosePolicy

with workflow.unsafe.imports_passed_through():
    from activities.options import MONEY
    from activities.orders import Orders
    from domain.errors import DomainError, WrongPhase
    from domain.order import FINAL, Event, Phase, next_phase
    from domain.order_messages import OrderAct, OrderEnd, OrderStart, OrderStep, PaidParts
    from domain.path import Standing
    from domain.sale_messages import SaleStart
    from runtime.temporal import start_attributes
    from workflows.following import uninterrupted
    from workflows.names import sale_workflow_id
    from workflows.sale import Sale
    from workflows.story import Story


@workflow.defn(name="Order", failure_exception_types=[DomainError])
class Order(Story[OrderAct]):
    """One order of one buyer with several sellers."""

    @workflow.init
    def __init__(self, start: OrderStart) -> None:
        super().__init__()
        self.start = start
        self.initiator = start.cart.buyer_id if start.cart else ""
        self.called = "the order"
        self.payable = False

    @workflow.run
    async def run(self, start: OrderStart) -> OrderEnd:
        if start.cart is not None:
            await self.reservation()
            await self.payment_window()
        else:
            await self.bring_about(Event.LATE_PAYMENT_ACCEPTED, over=self.has_moved())
        await self.sales()
        await self.run_errands()
        return OrderEnd(phase=self.phase, refusal=self.refusal.message if self.refusal else None)

    # The story, phase by phase.

    async def reservation(self) -> None:
        """The pieces of all sellers are set aside and the terms frozen, or the order is refused."""
        try:
            await self.answered(self.transition(Event.PLACED, self.nobody("buyer")))
        except ApplicationError as refused:
            self.refusal = refused
            workflow.set_current_details(f"**Refused**: {refused.message}")
            return
        self.payable = True

    async def payment_window(self) -> None:
        """The buyer pays in time, or the pieces go back on sale."""
        await self.stay_in(Phase.PENDING_PAYMENT)

    async def sales(self) -> None:
        """Each sale that is paid begins its own story; then the order has nothing left to do."""
        if not self.stands_in(Phase.PAID) or self.standing is None:
            return
        parts = PaidParts.model_validate(self.standing.details)
        self.initiator = parts.buyer_id
        for sale_id in parts.sale_ids:
            await uninterrupted(self.start_sale(sale_id, parts))
        await self.bring_about(Event.SALES_STARTED, over=self.has_moved())

    async def start_sale(self, sale_id: str, parts: PaidParts) -> None:
        """Once, whatever is repeated."""
        with suppress(WorkflowAlreadyStartedError):
            await workflow.start_child_workflow(
                Sale.run,
                SaleStart(sale_id=sale_id, paid_late_at=parts.paid_at),
                id=sale_workflow_id(sale_id),
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                parent_close_policy=ParentClosePolicy.ABANDON,
                static_summary=f"Sale of {self.title}",
                search_attributes=start_attributes("sale", parts.buyer_id, parts.currency),
            )

    # What people do.

    @workflow.update
    async def place(self, act: OrderAct) -> Standing:
        """The answer to the buyer who orders: where to pay is ready, or the order is refused."""
        await workflow.wait_condition(lambda: self.payable or self.refusal is not None)
        if self.refusal is not None:
            raise self.refusal
        assert self.standing is not None
        return self.standing

    @workflow.update
    async def cancel(self, act: OrderAct) -> Standing:
        """The buyer calls the whole order off before it is paid."""
        await workflow.wait_condition(lambda: self.payable or self.refusal is not None)
        while self.stands_in(Phase.PENDING_PAYMENT):
            moved = self.has_moved()
            await self.withdraw(act.actor, act.note)
            await workflow.wait_condition(moved)
        if self.standing is None or not self.stands_in(Phase.EXPIRED):
            raise WrongPhase(
                "the order is paid: each sale is cancelled by itself",
                field="phase",
                accepted="POST /v1/sales/{sale_id}/cancel",
            )
        return self.standing

    @cancel.validator
    def _can_cancel(self, act: OrderAct) -> None:
        self.require(Event.CANCELLED, act)

    # How it is done.

    async def heed_cancellation(self) -> None:
        """An operator who cancels the workflow calls an unpaid order off; later each sale is its own."""
        if self.stands_in(Phase.PENDING_PAYMENT):
            await self.withdraw("operator")

    async def commit(
        self, event: str, act: OrderAct, key: str, at: datetime, subject: str
    ) -> Standing:
        """One transition: all sales of the order together."""
        return await workflow.execute_activity_method(
            Orders.move,
            OrderStep(
                start=self.start,
                workflow_id=workflow.info().workflow_id,
                key=key,
                event=Event(event),
                act=act,
                at=at,
            ),
            summary=f"{event.replace('_', ' ').capitalize()}: {self.title}",
            **MONEY,
        )

    def allow(self, phase: str, event: str) -> None:
        """Raises WrongPhase unless the event can happen in this phase."""
        next_phase(Phase(phase), Event(event))

    def nobody(self, actor: str) -> OrderAct:
        """An act of the platform or of an operator in Temporal."""
        return OrderAct(actor=actor)

    @property
    def over(self) -> bool:
        """Whether the order has ended, or never began."""
        return self.refusal is not None or self.phase in FINAL
