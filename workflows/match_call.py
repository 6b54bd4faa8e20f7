"""Match call 众扶: a sponsor's budget grows what backers give to campaigns.

funding -> open -> closed -> ended. Not paid -> expired; called off -> cancelled. Projects, pledges and what is promised to
them are rows this story does not hear of; it opens the call, closes it in time, decides spendings, and gives back what
is promised to nobody. The legal transitions are domain.match_call.TRANSITIONS.
"""

from __future__ import annotations

import asyncio
from datetime import datetime

from temporalio import workflow
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from activities.match_calls import MatchCalls
    from activities.options import MONEY, UPKEEP
    from domain.errors import DomainError, Forbidden, WrongPhase
    from domain.match_call import Event, Phase, require_event
    from domain.match_call_messages import CallAct, CallEnd, CallStart, CallStep
    from domain.path import Standing
    from runtime.search_attributes import NEEDS_OPERATOR
    from workflows.story import Story


@workflow.defn(name="MatchCall", failure_exception_types=[DomainError])
class MatchCall(Story[CallAct]):
    """One match call of one sponsor."""

    @workflow.init
    def __init__(self, start: CallStart) -> None:
        super().__init__()
        self.start = start
        self.initiator = start.sponsor_id
        self.decided = False
        self.was_paused = False
        """Whether campaigns may have waited for the bank."""

    @workflow.run
    async def run(self, start: CallStart) -> CallEnd:
        await self.publication()
        if self.standing is None and self.refusal is not None:
            # A story that has failed leaves the draft to the next one.
            raise self.refusal
        await self.budget()
        await self.matching()
        await self.settlement()
        await self.withdraw("system", "the match call is over")
        await self.run_errands()
        assert self.phase is not None
        return CallEnd(phase=self.phase, refusal=self.refusal.message if self.refusal else None)

    # The story, phase by phase.

    async def publication(self) -> None:
        """The terms are fixed and the sponsor is shown where to pay the budget."""
        await workflow.wait_condition(lambda: self.standing is not None or self.refusal is not None)

    async def budget(self) -> None:
        """The sponsor pays the budget in time, or the call never opens."""
        await self.stay_in(Phase.FUNDING)

    async def matching(self) -> None:
        """Campaigns apply and their pledges are matched, as rows; spendings lapse one by one, and then the time is up."""
        await self.stay_in(Phase.OPEN)

    async def settlement(self) -> None:
        """What was promised waits for its campaigns; whenever one is decided, what became free goes back.

        When nothing is heard of them for too long the books are looked at, and operators are called.
        """
        if self.stands_in(Phase.CLOSED):
            await self.withdraw("system", "the match call has closed")
        while self.stands_in(Phase.CLOSED):
            if self.decided:
                self.decided = False
                await self.bring_about(Event.SETTLED, over=self.has_moved())
                continue
            due = self.next_deadline()
            if await self.passes(due) and due is not None:
                await self.bring_about(due.event, subject=due.subject, over=self.has_moved())
        self.call_operators(needed=False)

    # What people and other stories do.

    @workflow.signal
    def campaign_decided(self) -> None:
        """A campaign that was promised money has succeeded, failed, or given some back."""
        self.decided = True
        if self.stands_in(Phase.CLOSED):
            self.moves += 1
        if self.was_paused and not self.paused:
            # It may have been decided by books in which the pause had not ended yet.
            self.errands.append(asyncio.create_task(self.serve_those_who_waited()))

    @workflow.signal
    def pause(self) -> None:
        """The bank has taken the budget back for the moment: nothing is promised, and nothing doubtful handed over."""
        self.was_paused = True
        super().pause()

    @workflow.signal
    def resume(self, standing: Standing) -> None:
        """The bank has decided: campaigns that have succeeded meanwhile get what has waited for them."""
        super().resume(standing)
        self.errands.append(asyncio.create_task(self.serve_those_who_waited()))

    async def serve_those_who_waited(self) -> None:
        """What has waited for the bank goes where it belongs, if the call still holds anything."""
        await self.bring_about(
            Event.RESUMED, over=lambda: not self.stands_in(Phase.OPEN, Phase.CLOSED)
        )

    @workflow.update
    async def fund(self, act: CallAct) -> Standing:
        """The sponsor wants to pay the budget: where to pay is ready, or the call does not begin."""
        try:
            async with self.one_at_a_time:
                standing = await self.transition(Event.FUNDING_ASKED, act)
            for collection in standing.collections:
                await self.collect(collection)
        except ApplicationError as refused:
            self.refusal = refused
            raise
        return standing

    @workflow.update
    async def top_up(self, act: CallAct) -> Standing:
        """The sponsor wants to add to the budget: where to pay is ready."""
        return await self.answered(self.act(Event.TOP_UP_ASKED, act))

    @workflow.update
    async def cancel(self, act: CallAct) -> Standing:
        """Called off: by the sponsor before it has opened, by operators while it is open."""
        standing = await self.act(Event.CANCELLED, act)
        await self.withdraw(act.actor, act.note)
        return standing

    @workflow.update
    async def close(self, act: CallAct) -> Standing:
        """The sponsor closes the call before its time."""
        return await self.act(Event.CLOSED, act)

    @workflow.update
    async def ask_for_spending(self, act: CallAct) -> Standing:
        """The sponsor or an approver wants somebody to be paid out of the budget."""
        return await self.act(Event.SPENDING_ASKED, act)

    @workflow.update
    async def approve_spending(self, act: CallAct) -> Standing:
        """An approver agrees to a spending."""
        return await self.act(Event.SPENDING_APPROVED, act)

    @workflow.update
    async def refuse_spending(self, act: CallAct) -> Standing:
        """An approver does not agree."""
        return await self.act(Event.SPENDING_REFUSED, act)

    @fund.validator
    def _can_fund(self, act: CallAct) -> None:
        if self.standing is not None or self.refusal is not None:
            raise WrongPhase("the budget has been asked for already", field="phase")

    @top_up.validator
    def _can_top_up(self, act: CallAct) -> None:
        self.require(Event.TOP_UP_ASKED, act)

    @cancel.validator
    def _can_cancel(self, act: CallAct) -> None:
        self.require(Event.CANCELLED, act)
        if self.stands_in(Phase.OPEN) and act.actor != "operator":
            raise Forbidden("an open call is closed, not called off", accepted="operator")

    @close.validator
    def _can_close(self, act: CallAct) -> None:
        self.require(Event.CLOSED, act)

    @ask_for_spending.validator
    def _can_ask_for_spending(self, act: CallAct) -> None:
        self.require(Event.SPENDING_ASKED, act)

    @approve_spending.validator
    def _can_approve_spending(self, act: CallAct) -> None:
        self.require(Event.SPENDING_APPROVED, act)

    @refuse_spending.validator
    def _can_refuse_spending(self, act: CallAct) -> None:
        self.require(Event.SPENDING_REFUSED, act)

    # How it is done.

    async def transition(self, event: str, act: CallAct, subject: str = "") -> Standing:
        """One transition; a closed call that looked in vain for decisions is shown to the operators."""
        standing = await super().transition(event, act, subject)
        if event == Event.SETTLEMENT_OVERDUE:
            self.call_operators(needed=self.stands_in(Phase.CLOSED))
        return standing

    def call_operators(self, *, needed: bool) -> None:
        """Somebody should see why campaigns are not decided; the story goes on waiting for them."""
        if needed != self.overdue:
            self.overdue = needed
            workflow.upsert_search_attributes([NEEDS_OPERATOR.value_set(needed)])

    async def heed_cancellation(self) -> None:
        """An operator who cancels the workflow calls off a call that is open, and a budget not paid yet."""
        await super().heed_cancellation()
        if self.stands_in(Phase.CANCELLED):
            await self.withdraw("operator")

    async def commit(
        self, event: str, act: CallAct, key: str, at: datetime, subject: str
    ) -> Standing:
        about = f" of {subject}" if subject else ""
        return await workflow.execute_activity_method(
            MatchCalls.move,
            CallStep(
                call_id=self.start.call_id,
                key=key,
                event=Event(event),
                act=act,
                at=at,
                subject=subject,
            ),
            summary=f"{event.replace('_', ' ').capitalize()}{about}",
            **(UPKEEP if event == Event.RESUMED else MONEY),
        )

    def allow(self, phase: str, event: str) -> None:
        require_event(phase, event)

    def nobody(self, actor: str) -> CallAct:
        return CallAct(actor=actor)

    def called_off_by_operators(self) -> str | None:
        return Event.CANCELLED if self.stands_in(Phase.FUNDING, Phase.OPEN) else None
