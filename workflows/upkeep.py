"""The platform's recurring work, started by schedules. Deadlines never depend on it."""

from __future__ import annotations

from temporalio import workflow
from temporalio.workflow import ParentClosePolicy

with workflow.unsafe.imports_passed_through():
    from activities.options import MONEY
    from activities.payouts import Payouts
    from activities.redelivery import Redelivery
    from domain.payments import DuePage, PayoutCase, Redelivered
    from workflows.names import payout_workflow_id
    from workflows.payout import Payout


@workflow.defn(name="GatherPayouts")
class GatherPayouts:
    """Starts one payout for each payee and currency with money that may leave."""

    @workflow.run
    async def run(self, page: DuePage) -> None:
        due = await workflow.execute_activity_method(
            Payouts.due, page, summary="Who can be paid out?", **MONEY
        )
        for case in due.cases:
            await self.start(case)
        if due.next is not None:
            workflow.continue_as_new(DuePage(after=due.next, limit=page.limit))

    async def start(self, case: PayoutCase) -> None:
        """The payout goes its own way."""
        await workflow.start_child_workflow(
            Payout.run,
            case,
            id=payout_workflow_id(case.payout_id),
            parent_close_policy=ParentClosePolicy.ABANDON,
            static_summary=f"Payout of the {case.currency} balance",
        )


@workflow.defn(name="RedeliverInbox")
class RedeliverInbox:
    """Hands unanswered webhooks to their workflows again."""

    @workflow.run
    async def run(self) -> Redelivered:
        return await workflow.execute_activity_method(
            Redelivery.redeliver, summary="Re-deliver unanswered webhooks", **MONEY
        )
