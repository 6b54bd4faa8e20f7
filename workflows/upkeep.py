"""The platform's recurring work, started by schedules. Deadlines never depend on it."""

from __future__ import annotations

from temporalio import workflow
from temporalio.workflow import ParentClosePolicy

with workflow.unsafe.imports_passed_through():
    from activities.accounts import Accounts
    from activities.claims import Claims
    from activities.housekeeping import Housekeeping
    from activities.notices import Notices
    from activities.options import INTAKE, UPKEEP
    from activities.payouts import Payouts
    from activities.pledge_intake import PledgeIntakes
    from activities.redelivery import Redelivery
    from activities.stuck import StuckFinder
    from domain.campaign_messages import TakenIn
    from domain.cases import PayoutCase
    from domain.claims import PassedOn
    from domain.notices import SentNotices
    from domain.payments import DuePage, Forgotten, Redelivered
    from domain.stuck import Looked
    from runtime.temporal import start_attributes
    from workflows.names import payout_workflow_id
    from workflows.payout import Payout


@workflow.defn(name="GatherPayouts")
class GatherPayouts:
    """Starts one payout for each payee and currency with money that may leave."""

    @workflow.run
    async def run(self, page: DuePage) -> None:
        due = await workflow.execute_activity_method(
            Payouts.due, page, summary="Who can be paid out?", **UPKEEP
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
            search_attributes=start_attributes("payout", case.user_id, case.currency),
        )


@workflow.defn(name="EndClosings")
class EndClosings:
    """Closes the accounts of people who have asked for it, once their money has left."""

    @workflow.run
    async def run(self) -> None:
        await workflow.execute_activity_method(
            Accounts.end_closings, summary="Whose money has left?", **UPKEEP
        )


@workflow.defn(name="RedeliverInbox")
class RedeliverInbox:
    """Hands unanswered webhooks to their workflows again."""

    @workflow.run
    async def run(self) -> Redelivered:
        return await workflow.execute_activity_method(
            Redelivery.redeliver, summary="Re-deliver unanswered webhooks", **UPKEEP
        )


@workflow.defn(name="PledgeIntake")
class PledgeIntake:
    """Takes in what payment companies tell of pledges, and sees to what is due of them."""

    @workflow.run
    async def run(self) -> TakenIn:
        return await workflow.execute_activity_method(
            PledgeIntakes.take_in, summary="Take in news of pledges", **INTAKE
        )


@workflow.defn(name="PassOnClaims")
class PassOnClaims:
    """Passes on what creators of stopped campaigns have paid of what they owe their backers."""

    @workflow.run
    async def run(self) -> PassedOn:
        done = await workflow.execute_activity_method(
            Claims.pass_on, summary="Pass on what backers are owed", **UPKEEP
        )
        if done.left:
            workflow.continue_as_new()
        return done


@workflow.defn(name="KeepHouse")
class KeepHouse:
    """Forgets what nobody can need any more."""

    @workflow.run
    async def run(self) -> Forgotten:
        return await workflow.execute_activity_method(
            Housekeeping.forget, summary="Forget old keys and rejected webhooks", **UPKEEP
        )


@workflow.defn(name="SendNotices")
class SendNotices:
    """Sends the notices that wait."""

    @workflow.run
    async def run(self) -> SentNotices:
        return await workflow.execute_activity_method(
            Notices.send, summary="Send the notices that wait", **UPKEEP
        )


@workflow.defn(name="FindStuck")
class FindStuck:
    """Calls operators to what does not go on by itself."""

    @workflow.run
    async def run(self) -> Looked:
        return await workflow.execute_activity_method(
            StuckFinder.look, summary="Look for what is stuck", **UPKEEP
        )
