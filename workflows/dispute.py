"""Dispute 纠纷: two sides of a path do not agree about money; they answer, talk, and if need be operators rule.

open -> mediation -> ruling -> ruled -> decided, with an appeal in between; an answer that never comes loses, an offer that
nobody answers is taken. The legal transitions are domain.disputes.TRANSITIONS. Only what is disputed stands still.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime

from temporalio import workflow
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from activities.disputes import Disputes
    from activities.options import MONEY
    from domain.disputes import DisputeAct, DisputeStep, Event, OpenDispute, Phase, require_possible
    from domain.errors import DomainError, WrongPhase
    from domain.path import Standing
    from workflows.following import uninterrupted
    from workflows.names import return_workflow_id
    from workflows.story import Story


@workflow.defn(name="Dispute", failure_exception_types=[DomainError])
class Dispute(Story[DisputeAct]):
    """One dispute about a part of one path's money."""

    @workflow.init
    def __init__(self, opening: OpenDispute) -> None:
        super().__init__()
        self.opening = opening
        self.initiator = opening.claimant_id
        self.called = "the dispute"

    @workflow.run
    async def run(self, opening: OpenDispute) -> str:
        await self.complaint()
        if self.standing is None and self.refusal is not None:
            raise self.refusal
        await self.answer()
        await self.mediation()
        await self.ruling()
        await self.appeal()
        await self.run_errands()
        assert self.phase is not None
        return self.phase

    # The story, phase by phase.

    async def complaint(self) -> None:
        """One side says what is wrong; what it is about is locked."""
        await workflow.wait_condition(lambda: self.standing is not None or self.refusal is not None)
        await self.tell_return()

    async def answer(self) -> None:
        """The other side answers; silence loses."""
        await self.stay_in(Phase.OPEN)

    async def mediation(self) -> None:
        """Both make offers; silence takes one. When the time is up, operators rule."""
        await self.stay_in(Phase.MEDIATION)

    async def ruling(self) -> None:
        """Operators rule, two of them about large amounts; if they never do, the path's own rule decides."""
        await self.stay_in(Phase.RULING, Phase.PROPOSED)

    async def appeal(self) -> None:
        """Either side appeals in time and another operator rules, or the ruling stands."""
        await self.stay_in(Phase.RULED, Phase.APPEALED)

    # What people do.

    @workflow.update
    async def open(self, act: DisputeAct) -> Standing:
        """The claimant opens it."""
        async with self.one_at_a_time:
            try:
                return await self.transition(Event.OPENED, act)
            except ApplicationError as refused:
                if self.standing is None:
                    self.refusal = refused
                raise

    @workflow.update
    async def reply(self, act: DisputeAct) -> Standing:
        """The other side answers."""
        return await self.act(Event.ANSWERED, act)

    @workflow.update
    async def concede(self, act: DisputeAct) -> Standing:
        """One side gives in."""
        return await self.act(Event.CONCEDED, act)

    @workflow.update
    async def offer(self, act: DisputeAct) -> Standing:
        """One side makes an offer, in the place of the one that stands."""
        return await self.act(Event.OFFERED, act)

    @workflow.update
    async def take(self, act: DisputeAct) -> Standing:
        """The side that was offered something takes it."""
        return await self.act(Event.OFFER_TAKEN, act)

    @workflow.update
    async def reject(self, act: DisputeAct) -> Standing:
        """The side that was offered something does not take it."""
        return await self.act(Event.OFFER_REJECTED, act)

    @workflow.update
    async def escalate(self, act: DisputeAct) -> Standing:
        """One side asks for a ruling."""
        return await self.act(Event.ESCALATED, act)

    @workflow.update
    async def rule(self, act: DisputeAct) -> Standing:
        """An operator rules; on an appeal, another one."""
        again = self.stands_in(Phase.APPEALED)
        return await self.act(Event.RULED_AGAIN if again else Event.RULED, act)

    @workflow.update
    async def appeal_ruling(self, act: DisputeAct) -> Standing:
        """One side appeals."""
        return await self.act(Event.APPEALED, act)

    @workflow.update
    async def withdraw_dispute(self, act: DisputeAct) -> Standing:
        """The claimant leaves it."""
        return await self.act(Event.WITHDRAWN, act)

    @open.validator
    def _can_open(self, act: DisputeAct) -> None:
        if self.standing is not None or self.refusal is not None:
            raise WrongPhase("the dispute is open already", field="phase")

    @reply.validator
    def _can_reply(self, act: DisputeAct) -> None:
        self.require(Event.ANSWERED, act)

    @concede.validator
    def _can_concede(self, act: DisputeAct) -> None:
        self.require(Event.CONCEDED, act)

    @offer.validator
    def _can_offer(self, act: DisputeAct) -> None:
        self.require(Event.OFFERED, act)

    @take.validator
    def _can_take(self, act: DisputeAct) -> None:
        self.require(Event.OFFER_TAKEN, act)

    @reject.validator
    def _can_reject(self, act: DisputeAct) -> None:
        self.require(Event.OFFER_REJECTED, act)

    @escalate.validator
    def _can_escalate(self, act: DisputeAct) -> None:
        self.require(Event.ESCALATED, act)

    @rule.validator
    def _can_rule(self, act: DisputeAct) -> None:
        again = self.stands_in(Phase.APPEALED)
        self.require(Event.RULED_AGAIN if again else Event.RULED, act)

    @appeal_ruling.validator
    def _can_appeal(self, act: DisputeAct) -> None:
        self.require(Event.APPEALED, act)

    @withdraw_dispute.validator
    def _can_withdraw(self, act: DisputeAct) -> None:
        self.require(Event.WITHDRAWN, act)

    # How it is done.

    async def tell_return(self) -> None:
        """The story of the return that this goes on from is over; one that has ended need not hear it."""
        if self.opening.return_id is None or self.standing is None or self.standing.details is None:
            return
        story = workflow.get_external_workflow_handle(return_workflow_id(self.opening.return_id))
        with suppress(ApplicationError):
            await uninterrupted(
                story.signal("told", Standing.model_validate(self.standing.details))
            )

    async def commit(
        self, event: str, act: DisputeAct, key: str, at: datetime, subject: str
    ) -> Standing:
        return await workflow.execute_activity_method(
            Disputes.move,
            DisputeStep(
                opening=self.opening,
                workflow_id=workflow.info().workflow_id,
                key=key,
                event=Event(event),
                act=act,
                at=at,
            ),
            summary=event.replace("_", " ").capitalize(),
            **MONEY,
        )

    def allow(self, phase: str, event: str) -> None:
        require_possible(phase, event)

    def nobody(self, actor: str) -> DisputeAct:
        return DisputeAct(actor=actor)
