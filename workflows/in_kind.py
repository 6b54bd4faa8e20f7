"""Help in kind 众扶: a supporter offers a material, hours of work or a loan, picks one of those who ask, and hands it over.

offered -> matched -> handed_over -> completed; a loan: offered -> (deposit -> ready | matched) -> lent -> returned. Nobody
picked -> expired; nothing handed over -> cancelled, with the deposit back; a loan that is late -> overdue, and a claim on
the deposit is agreed with, stands by silence, or is ruled on. The legal transitions are domain.in_kind.TRANSITIONS.
"""

from __future__ import annotations

import asyncio
from datetime import datetime

from temporalio import workflow
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from activities.in_kind import HelpInKind
    from activities.options import MONEY
    from domain.errors import DomainError, WrongPhase
    from domain.in_kind import FINAL, PICKED, Event, Phase, require_event
    from domain.in_kind_messages import InKindAct, InKindEnd, InKindStart, InKindStep, Known
    from domain.in_kind_moves import move
    from domain.path import Standing
    from workflows.story import Story

CALLED_OFF_BY_OPERATORS = PICKED | {Phase.OFFERED}
"""Phases in which cancelling the workflow ends the path, with the deposit back; later somebody has the thing."""


@workflow.defn(name="InKind", failure_exception_types=[DomainError])
class InKind(Story[InKindAct]):
    """One offer of one supporter."""

    @workflow.init
    def __init__(self, start: InKindStart) -> None:
        super().__init__()
        self.start = start
        self.initiator = start.supporter_id
        self.called = "the offer"

    @workflow.run
    async def run(self, start: InKindStart) -> InKindEnd:
        await self.publication()
        if self.standing is None and self.refusal is not None:
            # A story that has failed leaves the draft to the next one.
            raise self.refusal
        while self.stands_in(Phase.OFFERED, *PICKED):
            await self.offer()
            await self.deposit()
            await self.handing_over()
        await self.receipt()
        await self.loan()
        await self.coming_back()
        await self.claim()
        await self.withdraw("system", "the path is over")
        await self.run_errands()
        assert self.phase is not None
        return InKindEnd(phase=self.phase, refusal=self.refusal.message if self.refusal else None)

    # The story, phase by phase.

    async def publication(self) -> None:
        """The terms are fixed, and whoever needs it can ask for it."""
        await workflow.wait_condition(lambda: self.standing is not None or self.refusal is not None)

    async def offer(self) -> None:
        """People ask for it, as rows this story does not hear of; the supporter picks one, or the offer expires."""
        await self.stay_in(Phase.OFFERED)

    async def deposit(self) -> None:
        """The borrower pays the deposit in time, or the loan is offered to others again."""
        await self.stay_in(Phase.DEPOSIT)

    async def handing_over(self) -> None:
        """The supporter hands it over; either side may still step back, and silence cancels the path."""
        await self.stay_in(Phase.MATCHED, Phase.READY)

    async def receipt(self) -> None:
        """The asker confirms a material or a task; silence counts as received, an objection is ruled on."""
        await self.stay_in(Phase.HANDED_OVER, Phase.OBJECTED)

    async def loan(self) -> None:
        """The borrower has it: a reminder on the day of return, and later the lender may claim the deposit."""
        await self.stay_in(Phase.LENT, Phase.OVERDUE)

    async def coming_back(self) -> None:
        """The lender looks at what was sent back; silence counts as returned."""
        await self.stay_in(Phase.SENT_BACK)

    async def claim(self) -> None:
        """The borrower answers a claim on the deposit: a yes or silence lets it stand, a no is ruled on."""
        await self.stay_in(Phase.CLAIMED, Phase.CONTESTED)

    # What people do.

    @workflow.update
    async def publish(self, act: InKindAct) -> Standing:
        """The supporter publishes the draft."""
        async with self.one_at_a_time:
            try:
                return await self.transition(Event.PUBLISHED, act)
            except ApplicationError as refused:
                if self.standing is None:
                    self.refusal = refused
                raise

    @workflow.update
    async def take_back(self, act: InKindAct) -> Standing:
        """The supporter takes the offer back while nobody is picked."""
        return await self.act(Event.WITHDRAWN, act)

    @workflow.update
    async def pick(self, act: InKindAct) -> Standing:
        """The supporter picks one of those who ask."""
        return await self.act(Event.PICKED, act)

    @workflow.update
    async def call_off(self, act: InKindAct) -> Standing:
        """Either side steps back before the handing over; a deposit that comes all the same goes back."""
        standing = await self.act(Event.CALLED_OFF, act)
        await self.withdraw(act.actor)
        return standing

    @workflow.update
    async def hand_over(self, act: InKindAct) -> Standing:
        """The supporter has handed it over."""
        return await self.act(Event.HANDED_OVER, act)

    @workflow.update
    async def confirm(self, act: InKindAct) -> Standing:
        """The asker has received it."""
        return await self.act(Event.CONFIRMED, act)

    @workflow.update
    async def object(self, act: InKindAct) -> Standing:
        """The asker has not received it."""
        return await self.act(Event.OBJECTED, act)

    @workflow.update
    async def extend(self, act: InKindAct) -> Standing:
        """The lender puts the day of return off."""
        return await self.act(Event.EXTENDED, act)

    @workflow.update
    async def send_back(self, act: InKindAct) -> Standing:
        """The borrower has sent it back."""
        return await self.act(Event.SENT_BACK, act)

    @workflow.update
    async def confirm_return(self, act: InKindAct) -> Standing:
        """The lender has it back, and claims nothing."""
        return await self.act(Event.RETURN_CONFIRMED, act)

    @workflow.update
    async def write_off(self, act: InKindAct) -> Standing:
        """The lender does not expect it back, and claims nothing."""
        return await self.act(Event.WRITTEN_OFF, act)

    @workflow.update
    async def claim_deposit(self, act: InKindAct) -> Standing:
        """The lender wants a part of the deposit."""
        return await self.act(Event.CLAIMED, act)

    @workflow.update
    async def agree(self, act: InKindAct) -> Standing:
        """The borrower agrees with the claim."""
        return await self.act(Event.CLAIM_AGREED, act)

    @workflow.update
    async def contest(self, act: InKindAct) -> Standing:
        """The borrower does not agree with the claim."""
        return await self.act(Event.CLAIM_CONTESTED, act)

    @workflow.update
    async def rule(self, act: InKindAct) -> Standing:
        """Operators rule on an objection or a contested claim."""
        return await self.act(Event.RULED, act)

    @publish.validator
    def _can_publish(self, act: InKindAct) -> None:
        if self.standing is not None or self.refusal is not None:
            raise WrongPhase("the offer is published already", field="phase")

    @take_back.validator
    def _can_take_back(self, act: InKindAct) -> None:
        self.require_possible(Event.WITHDRAWN, act)

    @pick.validator
    def _can_pick(self, act: InKindAct) -> None:
        self.require_possible(Event.PICKED, act)

    @call_off.validator
    def _can_call_off(self, act: InKindAct) -> None:
        self.require_possible(Event.CALLED_OFF, act)

    @hand_over.validator
    def _can_hand_over(self, act: InKindAct) -> None:
        self.require_possible(Event.HANDED_OVER, act)

    @confirm.validator
    def _can_confirm(self, act: InKindAct) -> None:
        self.require_possible(Event.CONFIRMED, act)

    @object.validator
    def _can_object(self, act: InKindAct) -> None:
        self.require_possible(Event.OBJECTED, act)

    @extend.validator
    def _can_extend(self, act: InKindAct) -> None:
        self.require_possible(Event.EXTENDED, act)

    @send_back.validator
    def _can_send_back(self, act: InKindAct) -> None:
        self.require_possible(Event.SENT_BACK, act)

    @confirm_return.validator
    def _can_confirm_return(self, act: InKindAct) -> None:
        self.require_possible(Event.RETURN_CONFIRMED, act)

    @write_off.validator
    def _can_write_off(self, act: InKindAct) -> None:
        self.require_possible(Event.WRITTEN_OFF, act)

    @claim_deposit.validator
    def _can_claim_deposit(self, act: InKindAct) -> None:
        self.require_possible(Event.CLAIMED, act)

    @agree.validator
    def _can_agree(self, act: InKindAct) -> None:
        self.require_possible(Event.CLAIM_AGREED, act)

    @contest.validator
    def _can_contest(self, act: InKindAct) -> None:
        self.require_possible(Event.CLAIM_CONTESTED, act)

    @rule.validator
    def _can_rule(self, act: InKindAct) -> None:
        self.require_possible(Event.RULED, act)

    # How it is done.

    def require_possible(self, event: Event, act: InKindAct) -> None:
        """Raises what `move` raises, unless the books are ahead of this story, which then asks them.

        What is refused here leaves no trace in the history.
        """
        self.require(event, act)
        if self.standing is None or self.standing.details is None or self.is_behind(act):
            return
        known = Known.model_validate(self.standing.details)
        phase = Phase(self.standing.phase)
        move(known.bounds, known.course, phase, event, workflow.now(), act.said)

    async def transition(self, event: str, act: InKindAct, subject: str = "") -> Standing:
        """One transition; the deposit that it asks for is collected beside the story."""
        standing = await super().transition(event, act, subject)
        for collection in standing.collections:
            self.errands.append(asyncio.create_task(self.collect_patiently(collection)))
        return standing

    async def heed_cancellation(self) -> None:
        """An operator who cancels the workflow ends what was not handed over yet, and a deposit not paid yet."""
        await super().heed_cancellation()
        if self.stands_in(*FINAL):
            await self.withdraw("operator")

    async def commit(
        self, event: str, act: InKindAct, key: str, at: datetime, subject: str
    ) -> Standing:
        return await workflow.execute_activity_method(
            HelpInKind.move,
            InKindStep(
                in_kind_id=self.start.in_kind_id, key=key, event=Event(event), act=act, at=at
            ),
            summary=event.replace("_", " ").capitalize(),
            **MONEY,
        )

    def allow(self, phase: str, event: str) -> None:
        require_event(phase, event)

    def nobody(self, actor: str) -> InKindAct:
        return InKindAct(actor=actor)

    def called_off_by_operators(self) -> str | None:
        return Event.CANCELLED if self.phase in CALLED_OFF_BY_OPERATORS else None
