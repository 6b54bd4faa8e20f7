"""Pledge: the charge of a saved card has failed; its backer is told, reminded, and can mend it until the time is over.

There may be tens of thousands of these stories at a time, so each has few events.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import ActivityError, ApplicationError, WorkflowAlreadyStartedError
from temporalio.workflow import ParentClosePolicy

with workflow.unsafe.imports_passed_through():
    from activities.options import NOTE, PROVIDER
    from activities.pledge_cases import PledgeCases
    from domain.campaign_messages import PledgeCase, PledgeNews, PledgeStep
    from domain.cases import RefundCase
    from domain.errors import DomainError, WrongPhase
    from domain.money import format_money
    from runtime.temporal import start_attributes
    from workflows.following import Follower, in_words, reason_of, uninterrupted
    from workflows.names import refund_workflow_id
    from workflows.refund import Refund

PLEDGES_SETTLED = "pledges_settled"
"""Signal of the campaign: nobody it has waited for is left."""


@workflow.defn(name="Pledge", failure_exception_types=[DomainError])
class Pledge(Follower):
    """One failed charge, until it is mended or the pledge is dropped."""

    @workflow.init
    def __init__(self, case: PledgeCase) -> None:
        super().__init__(silence=case.drop_at - workflow.now() + case.silence)
        self.case = case
        self.standing: PledgeNews | None = None
        self.reminders = 0
        self.remind_at = workflow.now()
        self.tried: list[datetime] = []
        self.one_at_a_time = asyncio.Lock()

    @workflow.run
    async def run(self, case: PledgeCase) -> PledgeNews:
        while self.standing is None or not self.standing.over:
            async with self.one_at_a_time:
                if not self.over:
                    await self.step()
            await self.wait()
        self.end_of_wait()
        await workflow.wait_condition(workflow.all_handlers_finished)
        for refund in self.standing.refunds:
            await uninterrupted(self.send_back(refund))
        if self.standing.last:
            await self.tell_campaign(self.standing.campaign_workflow_id)
        workflow.set_current_details(f"**Charge of {self.amount}**\n\n{self.standing.state}")
        return self.standing

    @workflow.query
    def watch(self) -> PledgeNews | None:
        """Where the pledge stands."""
        return self.standing

    @workflow.update
    async def retry(self) -> PledgeNews:
        """The backer wants the saved card tried once more, now. Raises WrongPhase, TooLate, LimitReached."""
        async with self.one_at_a_time:
            self._require_retry()
            self.tried.append(workflow.now())
            step = self.ask_for(f"retry-{len(self.tried)}")
            try:
                self.standing = await uninterrupted(
                    workflow.execute_activity_method(
                        PledgeCases.retry,
                        step,
                        summary=f"Charge {self.amount} again, as the backer asks",
                        **PROVIDER,
                    )
                )
            except ActivityError as failed:
                raise reason_of(failed) from failed
            self.news = self.news or self.standing.over
            return self.standing

    @retry.validator
    def _require_retry(self) -> None:
        if self.over:
            raise WrongPhase("the charge is not waiting to be mended any more", field="state")
        self.case.require_retry(self.tried, workflow.now())

    async def step(self) -> None:
        """What is due now: the last attempt, a reminder, or a look at what woke the story."""
        self.news = False
        if workflow.now() >= self.case.drop_at:
            self.standing = await self.answer(
                self.drop, f"last charge of {self.amount}", self.case.poll
            )
        elif workflow.now() >= self.remind_at and workflow.now() < self.case.fix_until:
            self.reminders += 1
            self.remind_at += self.case.remind
            self.standing = await workflow.execute_local_activity_method(
                PledgeCases.remind,
                self.ask_for(f"reminder-{self.reminders}"),
                summary=f"Reminder {self.reminders}: the charge of {self.amount} failed",
                **NOTE,
            )
        else:
            self.standing = await workflow.execute_local_activity_method(
                PledgeCases.look, self.ask_for("look"), summary="Is it mended?", **NOTE
            )

    async def drop(self) -> PledgeNews:
        """The end of the time: the card is tried once more, and whatever is not paid then is dropped."""
        return await workflow.execute_activity_method(
            PledgeCases.drop,
            self.ask_for("last-try"),
            summary=f"Last attempt to charge {self.amount}, then drop the pledge",
            **PROVIDER,
        )

    def ask_for(self, step: str) -> PledgeStep:
        """The input of one step; a provider that was out of reach for long is not asked for the last try any more."""
        now = workflow.now()
        return PledgeStep(
            pledge_id=self.case.pledge_id,
            key=f"{self.case.pledge_id}/{step}",
            at=now,
            number=self.reminders,
            last_try=now < self.case.drop_at + self.case.silence,
        )

    async def wait(self) -> None:
        """Until somebody wakes the story, the next reminder, or the end of the time."""
        if self.over:
            return
        until = self.case.drop_at
        if self.remind_at < self.case.fix_until:
            until = min(until, self.remind_at)
        workflow.set_current_details(
            f"**Charge of {self.amount} failed**\n\nThe backer can mend it until "
            f"{in_words(self.case.fix_until)}; then it is tried once more, and the pledge dropped. "
            f"{self.reminders} reminders so far."
        )
        # Cancelling the story does not pay: it goes on until the pledge is settled.
        with suppress(TimeoutError, asyncio.CancelledError):
            await workflow.wait_condition(
                lambda: self.news,
                timeout=max(until - workflow.now(), timedelta()),
                timeout_summary=f"Reminder or end of the time to mend {self.amount}",
            )

    async def send_back(self, case: RefundCase) -> None:
        """Money that came when nobody had use for it any more."""
        with suppress(WorkflowAlreadyStartedError):
            await workflow.start_child_workflow(
                Refund.run,
                case,
                id=refund_workflow_id(case.refund_id),
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                parent_close_policy=ParentClosePolicy.ABANDON,
                static_summary=f"Refund of {format_money(case.amount, case.currency)}",
                search_attributes=start_attributes("refund", "", case.currency),
            )

    async def tell_campaign(self, workflow_id: str) -> None:
        """The campaign can be decided; one whose story has ended need not hear it."""
        with suppress(ApplicationError):
            await uninterrupted(
                workflow.get_external_workflow_handle(workflow_id).signal(PLEDGES_SETTLED)
            )

    @property
    def over(self) -> bool:
        """Whether nobody waits for the money any more."""
        return self.standing is not None and self.standing.over

    @property
    def amount(self) -> str:
        """The amount in words."""
        return format_money(self.case.amount, self.case.currency)
