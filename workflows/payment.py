"""Payment: somebody is asked to pay; the story ends when the money is in escrow or the time is up.

It may be woken again at any later time: money that comes late still belongs to somebody.
"""

from __future__ import annotations

from temporalio import workflow
from temporalio.exceptions import ActivityError, WorkflowAlreadyStartedError
from temporalio.workflow import ParentClosePolicy

with workflow.unsafe.imports_passed_through():
    from activities.options import PROVIDER
    from activities.payments import Payments
    from domain.errors import DomainError
    from domain.money import format_money
    from domain.payments import (
        FollowPayment,
        FundingResult,
        PaymentCase,
        PaymentOutcome,
        RefundCase,
    )
    from workflows.following import Follower, in_words, reason_of, uninterrupted
    from workflows.names import refund_workflow_id, revival_of
    from workflows.refund import Refund


@workflow.defn(name="Payment", failure_exception_types=[DomainError])
class Payment(Follower):
    """One payment, followed until it is captured or expired."""

    @workflow.init
    def __init__(self, case: PaymentCase) -> None:
        super().__init__()
        self.case = case
        self.withdrawn = False

    @workflow.run
    async def run(self, case: PaymentCase) -> PaymentOutcome:
        outcome = await self.look() if case.late else await self.wait_for_payer()
        if outcome.result is FundingResult.REVIVED:
            await self.revive_path(outcome)
        if outcome.result is FundingResult.RETURNING:
            await self.send_back(outcome)
        await self.read_the_rest()
        return outcome

    @workflow.signal
    def withdraw(self) -> None:
        """The payer has given up: close the payment now."""
        self.withdrawn = True
        self.news = True

    async def wait_for_payer(self) -> PaymentOutcome:
        """Until the money is there, or the time is up and the provider has closed the payment."""
        while True:
            self.tell()
            if not self.withdrawn:
                await self.until_news(self.case.poll, self.case.expires_at, "has the buyer paid?")
            outcome = await self.look()
            if outcome.result is not FundingResult.WAITING:
                return outcome

    async def look(self) -> PaymentOutcome:
        """What the provider says now, posted."""
        now = workflow.now()
        closing = self.withdrawn or now >= self.case.expires_at
        while True:
            try:
                return await uninterrupted(
                    workflow.execute_activity_method(
                        Payments.follow,
                        FollowPayment(payment_id=self.case.payment_id, at=now, close=closing),
                        summary=f"{'Close' if closing else 'Look at'} the payment of {self.amount}",
                        **PROVIDER,
                    )
                )
            except ActivityError as refused:
                await self.ask_operator(f"{self.amount}: {reason_of(refused).message}")

    async def revive_path(self, outcome: PaymentOutcome) -> None:
        """The late money found its pieces still there: the path goes on from where it was."""
        revival = revival_of(self.case.path_id, outcome.at)
        while True:
            try:
                await workflow.start_child_workflow(
                    revival.workflow,
                    revival.start,
                    id=revival.workflow_id,
                    parent_close_policy=ParentClosePolicy.ABANDON,
                    static_summary=f"Paid late: {self.amount}",
                )
                return
            except WorkflowAlreadyStartedError:
                # Its former run is just closing.
                await self.until_news(self.case.poll, None, "has the former run closed?")

    async def send_back(self, outcome: PaymentOutcome) -> None:
        """The late money is of no use to the path any more."""
        if outcome.refund_id is None:
            return
        await workflow.start_child_workflow(
            Refund.run,
            RefundCase(
                refund_id=outcome.refund_id,
                path_id=self.case.path_id,
                amount=self.case.amount,
                currency=self.case.currency,
                policy=self.case.refund_policy,
            ),
            id=refund_workflow_id(outcome.refund_id),
            parent_close_policy=ParentClosePolicy.ABANDON,
            static_summary=f"Refund of {self.amount}, paid too late",
        )

    def tell(self) -> None:
        """For the operators' eyes."""
        workflow.set_current_details(
            f"**Waiting for the payer: {self.amount}**\n\n"
            f"Until {in_words(self.case.expires_at)}; then the payment is closed and what was "
            f"reserved for it is free again."
        )

    @property
    def amount(self) -> str:
        """The amount in words."""
        return format_money(self.case.amount, self.case.currency)
