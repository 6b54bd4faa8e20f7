"""Tender 招标: a buyer describes work, makers bid under seal, one is chosen, and the work is paid milestone by milestone.

funding -> open -> selecting -> awarded -> accepted -> in_progress -> completed. No bids or nobody chosen -> expired; a
bidder who does not keep an award gives way to the next; a milestone not paid, or money that the buyer's bank takes back
for good -> failed, and half of the deposit goes to the worker. The legal transitions are domain.tender.TRANSITIONS,
those of a milestone domain.milestones.TRANSITIONS.
"""

from __future__ import annotations

import asyncio
from datetime import datetime

from temporalio import workflow
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from activities.options import MONEY
    from activities.tenders import Tenders
    from domain.errors import DomainError, WrongPhase
    from domain.milestones import State, Work, require_move
    from domain.path import Standing
    from domain.policy import TenderPolicy
    from domain.tender import Event, Phase, require_event
    from domain.tender_messages import TenderAct, TenderEnd, TenderStart, TenderStep
    from workflows.story import Story

CALLED_OFF_BY_OPERATORS = frozenset({Phase.FUNDING, Phase.OPEN, Phase.SELECTING})
"""Phases in which cancelling the workflow gives the buyer everything back; later a bidder has a claim."""


@workflow.defn(name="Tender", failure_exception_types=[DomainError])
class Tender(Story[TenderAct]):
    """One tender of one buyer."""

    @workflow.init
    def __init__(self, start: TenderStart) -> None:
        super().__init__()
        self.start = start
        self.initiator = start.buyer_id
        self.policy: TenderPolicy | None = None

    @workflow.run
    async def run(self, start: TenderStart) -> TenderEnd:
        await self.publication()
        if self.standing is None and self.refusal is not None:
            # A story that has failed leaves the draft to the next one.
            raise self.refusal
        await self.deposit()
        await self.bidding()
        while self.stands_in(Phase.SELECTING, Phase.AWARDED, Phase.ACCEPTED):
            await self.selection()
            await self.answer()
            await self.first_payment()
        await self.work()
        await self.withdraw("system", "the tender is over")
        await self.run_errands()
        assert self.phase is not None
        return TenderEnd(phase=self.phase, refusal=self.refusal.message if self.refusal else None)

    # The story, phase by phase.

    async def publication(self) -> None:
        """The terms are fixed and the buyer is shown where to pay the deposit."""
        await workflow.wait_condition(lambda: self.standing is not None or self.refusal is not None)

    async def deposit(self) -> None:
        """The buyer pays the deposit in time, or the tender never opens."""
        await self.stay_in(Phase.FUNDING)

    async def bidding(self) -> None:
        """Makers bid under seal, as rows this story does not hear of; without any bid the deposit goes back."""
        await self.stay_in(Phase.OPEN)

    async def selection(self) -> None:
        """The buyer chooses; silence costs the listing fee."""
        await self.stay_in(Phase.SELECTING)

    async def answer(self) -> None:
        """The bidder takes the work on; a no or silence passes it to the next in reserve, else back to the buyer."""
        await self.stay_in(Phase.AWARDED)

    async def first_payment(self) -> None:
        """The buyer pays the first milestone, or loses half of the deposit; until then the bidder may step back."""
        await self.stay_in(Phase.ACCEPTED)

    async def work(self) -> None:
        """One milestone after the other is paid, shown and released; each has its own timers, and silence its own end.

        domain.milestones says what follows from each act and each silence.
        """
        await self.stay_in(Phase.IN_PROGRESS)

    # What people do.

    @workflow.update
    async def fund(self, act: TenderAct) -> Standing:
        """The buyer wants to pay the deposit: where to pay is ready, or the tender does not begin."""
        self.policy = act.funding.rules.policy if act.funding else None
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
    async def cancel(self, act: TenderAct) -> Standing:
        """The buyer calls the tender off before anybody was chosen."""
        return await self.without_payment(Event.CANCELLED, act)

    @workflow.update
    async def award(self, act: TenderAct) -> Standing:
        """The buyer chooses a bid, and perhaps others in reserve."""
        return await self.act(Event.AWARDED, act)

    @workflow.update
    async def accept_award(self, act: TenderAct) -> Standing:
        """The bidder takes the work on."""
        return await self.act(Event.AWARD_ACCEPTED, act)

    @workflow.update
    async def decline_award(self, act: TenderAct) -> Standing:
        """The bidder does not take the work on."""
        return await self.act(Event.AWARD_DECLINED, act)

    @workflow.update
    async def retract(self, act: TenderAct) -> Standing:
        """The bidder steps back before the first milestone is paid."""
        return await self.without_payment(Event.RETRACTED, act)

    @workflow.update
    async def submit(self, act: TenderAct) -> Standing:
        """The worker shows a milestone's result."""
        return await self.of_milestone(Event.SUBMITTED, act)

    @workflow.update
    async def approve(self, act: TenderAct) -> Standing:
        """The buyer approves a milestone, in full or in part."""
        return await self.of_milestone(Event.APPROVED, act)

    @workflow.update
    async def request_changes(self, act: TenderAct) -> Standing:
        """The buyer asks for changes."""
        return await self.of_milestone(Event.CHANGES_REQUESTED, act)

    @workflow.update
    async def cancel_milestone(self, act: TenderAct) -> Standing:
        """The buyer gives up on an overdue milestone."""
        return await self.of_milestone(Event.MILESTONE_CANCELLED, act)

    @workflow.update
    async def dispute(self, act: TenderAct) -> Standing:
        """Either side asks the operators to rule on a milestone."""
        return await self.of_milestone(Event.DISPUTED, act)

    @workflow.update
    async def rule(self, act: TenderAct) -> Standing:
        """Operators rule on a disputed milestone."""
        return await self.of_milestone(Event.RULED, act)

    @fund.validator
    def _can_fund(self, act: TenderAct) -> None:
        if self.standing is not None or self.refusal is not None:
            raise WrongPhase("the deposit has been asked for already", field="phase")

    @cancel.validator
    def _can_cancel(self, act: TenderAct) -> None:
        self.require(Event.CANCELLED, act)

    @award.validator
    def _can_award(self, act: TenderAct) -> None:
        self.require(Event.AWARDED, act)

    @accept_award.validator
    def _can_accept_award(self, act: TenderAct) -> None:
        self.require(Event.AWARD_ACCEPTED, act)

    @decline_award.validator
    def _can_decline_award(self, act: TenderAct) -> None:
        self.require(Event.AWARD_DECLINED, act)

    @retract.validator
    def _can_retract(self, act: TenderAct) -> None:
        self.require(Event.RETRACTED, act)

    @submit.validator
    def _can_submit(self, act: TenderAct) -> None:
        self.require_of_milestone(Event.SUBMITTED, act)

    @approve.validator
    def _can_approve(self, act: TenderAct) -> None:
        self.require_of_milestone(Event.APPROVED, act)

    @request_changes.validator
    def _can_request_changes(self, act: TenderAct) -> None:
        self.require_of_milestone(Event.CHANGES_REQUESTED, act)

    @cancel_milestone.validator
    def _can_cancel_milestone(self, act: TenderAct) -> None:
        self.require_of_milestone(Event.MILESTONE_CANCELLED, act)

    @dispute.validator
    def _can_dispute(self, act: TenderAct) -> None:
        self.require_of_milestone(Event.DISPUTED, act)

    @rule.validator
    def _can_rule(self, act: TenderAct) -> None:
        self.require_of_milestone(Event.RULED, act)

    # How it is done.

    def require_of_milestone(self, event: Event, act: TenderAct) -> None:
        """Raises what `require_move` raises, unless the books are ahead of this story, which then asks them."""
        self.require(event, act)
        if self.policy is None or self.standing is None or self.standing.details is None:
            return
        work = Work.model_validate(self.standing.details)
        known = work.milestone(act.milestone).state
        if known is not State.FUNDING or act.state_seen == State.FUNDING:
            require_move(self.policy, work, act.milestone, event, act.amount)

    async def of_milestone(self, event: Event, act: TenderAct) -> Standing:
        """Somebody's act on one milestone."""
        return await self.act(event, act, f"milestone {act.milestone}")

    async def without_payment(self, event: Event, act: TenderAct) -> Standing:
        """An act after which nobody waits for the open payment any more; if it comes all the same, it goes back."""
        standing = await self.act(event, act)
        await self.withdraw(act.actor, act.note)
        return standing

    async def transition(self, event: str, act: TenderAct, subject: str = "") -> Standing:
        """One transition; a milestone's payment that it asks for is collected beside the story."""
        standing = await super().transition(event, act, subject)
        if event != Event.FUNDING_ASKED:
            for collection in standing.collections:
                self.errands.append(asyncio.create_task(self.collect_patiently(collection)))
        return standing

    async def heed_cancellation(self) -> None:
        """An operator who cancels the workflow calls off what nobody has a claim on, and a deposit not paid yet."""
        await super().heed_cancellation()
        if self.stands_in(Phase.CANCELLED):
            await self.withdraw("operator")

    async def commit(
        self, event: str, act: TenderAct, key: str, at: datetime, subject: str
    ) -> Standing:
        about = f" of {subject}" if subject else ""
        return await workflow.execute_activity_method(
            Tenders.move,
            TenderStep(
                tender_id=self.start.tender_id,
                key=key,
                event=Event(event),
                act=act,
                at=at,
                subject=subject,
            ),
            summary=f"{event.replace('_', ' ').capitalize()}{about}",
            **MONEY,
        )

    def allow(self, phase: str, event: str) -> None:
        require_event(phase, event)

    def nobody(self, actor: str) -> TenderAct:
        return TenderAct(actor=actor)

    def called_off_by_operators(self) -> str | None:
        return Event.CANCELLED if self.phase in CALLED_OFF_BY_OPERATORS else None
