"""Payment: somebody is asked to pay; the story ends when the money is in escrow or the time is up.

It may be woken again at any later time: money that comes late still belongs to somebody.
"""

from __future__ import annotations

from collections.abc import Awaitable
from contextlib import suppress

from temporalio import workflow
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.workflow import ParentClosePolicy

with workflow.unsafe.imports_passed_through():
    from activities.options import PROVIDER
    from activities.payments import Payments
    from domain.cases import PaymentCase, RefundCase
    from domain.errors import DomainError
    from domain.money import format_money
    from domain.payments import FollowPayment, FundingResult, PaymentOutcome, Withdrawal
    from runtime.temporal import start_attributes
    from workflows.following import Follower, in_words, uninterrupted
    from workflows.names import refund_workflow_id, revival_of
    from workflows.refund import Refund


@workflow.defn(name="Payment", failure_exception_types=[DomainError])
class Payment(Follower):
    """One payment, followed until it is captured or expired."""

    @workflow.init
    def __init__(self, case: PaymentCase) -> None:
        super().__init__(silence=case.silence)
        self.case = case
        self.withdrawn: Withdrawal | None = None
        self.tells = not case.late
        """Whether the path's story waits for this payment; one that is looked at later on does not."""

    @workflow.run
    async def run(self, case: PaymentCase) -> PaymentOutcome:
        outcome = await self.look() if case.late else await self.wait_for_payer()
        while self.news:
            outcome = await self.look()
        if outcome.result is FundingResult.REVIVED:
            await uninterrupted(self.revive_path(outcome))
        if outcome.result is FundingResult.RETURNING:
            await uninterrupted(self.send_back(outcome))
        return outcome

    @workflow.signal
    def withdraw(self, withdrawal: Withdrawal) -> None:
        """Nobody wants to pay any more: close the payment now."""
        self.withdrawn = withdrawal
        self.news = True

    async def wait_for_payer(self) -> PaymentOutcome:
        """Until the money is there, or the time is up and the provider has closed the payment."""
        while True:
            self.tell()
            if self.withdrawn is None:
                # Past its time only a path that stands still keeps it waiting.
                expires_at = self.case.expires_at
                until = expires_at if workflow.now() < expires_at else None
                await self.until_news(self.case.poll, until, "has the buyer paid?")
            outcome = await self.look()
            if outcome.result is not FundingResult.WAITING:
                return outcome

    async def look(self) -> PaymentOutcome:
        """What the provider says now, posted."""
        self.news = False
        outcome = await self.answer(self.follow, f"payment of {self.amount}", self.case.poll)
        self.end_of_wait()
        if outcome.result is not FundingResult.WAITING:
            self.tells = False
        return outcome

    def follow(self) -> Awaitable[PaymentOutcome]:
        """One look; at the end of the time it closes the payment."""
        now = workflow.now()
        closing = self.withdrawn is not None or now >= self.case.expires_at
        return workflow.execute_activity_method(
            Payments.follow,
            FollowPayment(
                payment_id=self.case.payment_id,
                at=now,
                close=closing,
                withdrawn=self.withdrawn,
                tell=self.tells,
            ),
            summary=f"{'Close' if closing else 'Look at'} the payment of {self.amount}",
            **PROVIDER,
        )

    async def revive_path(self, outcome: PaymentOutcome) -> None:
        """The late money found its pieces still there: the path goes on, once, from where it was."""
        revival = revival_of(self.case.path_id, outcome.at)
        with suppress(WorkflowAlreadyStartedError):
            await workflow.start_child_workflow(
                revival.workflow,
                revival.start,
                id=revival.workflow_id,
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                parent_close_policy=ParentClosePolicy.ABANDON,
                static_summary=f"Paid late: {self.amount}",
            )

    async def send_back(self, outcome: PaymentOutcome) -> None:
        """The late money is of no use to the path any more."""
        if outcome.refund_id is None:
            return
        with suppress(WorkflowAlreadyStartedError):
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
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                parent_close_policy=ParentClosePolicy.ABANDON,
                static_summary=f"Refund of {self.amount}, paid too late",
                search_attributes=start_attributes(
                    "refund", self.case.payer_id, self.case.currency
                ),
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
