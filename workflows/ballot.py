"""Ballot 众投: people vote, the votes are counted, the result is on public notice, then it is final.

draft -> open -> closed -> notice -> final; too few voters: the voting goes on once, then final without a decision.
Used alone, or by another path as a child whose result says what the crowd has decided. Votes are rows and never come
here. The legal transitions are domain.ballot.TRANSITIONS.
"""

from __future__ import annotations

from datetime import datetime

from temporalio import workflow
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from activities.ballots import Ballots
    from activities.options import COUNT, MONEY
    from domain import ballot
    from domain.ballot import Event, Phase
    from domain.ballot_messages import (
        BallotAct,
        BallotOutcome,
        BallotStanding,
        BallotStart,
        BallotStep,
    )
    from domain.errors import DomainError
    from domain.path import Standing
    from workflows.story import Story


@workflow.defn(name="Ballot", failure_exception_types=[DomainError])
class Ballot(Story[BallotAct]):
    """One ballot."""

    @workflow.init
    def __init__(self, start: BallotStart) -> None:
        super().__init__()
        self.start = start
        self.outcome = BallotOutcome(ballot_id=start.ballot_id, decided=False)

    @workflow.run
    async def run(self, start: BallotStart) -> BallotOutcome:
        await self.opening()
        if self.refusal is not None:
            raise self.refusal
        while not self.over:
            await self.voting()
            await self.counting()
            await self.notice()
        await self.run_errands()
        return self.outcome

    # The story, phase by phase.

    async def opening(self) -> None:
        """A ballot of another path opens by itself, a draft when its initiator says so."""
        if self.start.terms is not None:
            await self.bring_about(Event.OPENED, over=self.has_moved())
        else:
            await workflow.wait_condition(
                lambda: self.phase is not None or self.refusal is not None
            )

    async def voting(self) -> None:
        """People vote until the deadline; if too few did, once more for half the time."""
        await self.stay_unless_called_off(Phase.OPEN)

    async def counting(self) -> None:
        """Every vote is read once, in the order in which they were cast; votes that were changed need an operator."""
        if self.stands_in(Phase.CLOSED):
            await self.bring_about(Event.COUNTED, over=self.has_moved())

    async def notice(self) -> None:
        """The result can be contested; votes declared void now are taken out and the rest counted again."""
        await self.stay_unless_called_off(Phase.NOTICE)

    # What people do.

    @workflow.update
    async def open(self, act: BallotAct) -> Standing:
        """The initiator opens the draft."""
        async with self.one_at_a_time:
            if self.standing is not None:
                return self.standing
            try:
                return await self.transition(Event.OPENED, act)
            except ApplicationError as refused:
                self.refusal = refused
                raise

    @workflow.update
    async def cancel(self, act: BallotAct) -> Standing:
        """An operator calls the ballot off; nothing is decided."""
        return await self.act(Event.CANCELLED, act)

    @workflow.update
    async def void_votes(self, act: BallotAct) -> Standing:
        """An operator declares votes void; answers when the rest has been counted, if the counting had been done."""
        standing = await self.act(Event.VOTES_VOIDED, act)
        await workflow.wait_condition(lambda: not self.stands_in(Phase.CLOSED))
        return self.standing or standing

    @cancel.validator
    def _can_cancel(self, act: BallotAct) -> None:
        self.require(Event.CANCELLED, act)

    @void_votes.validator
    def _can_void(self, act: BallotAct) -> None:
        self.require(Event.VOTES_VOIDED, act)

    # How it is done.

    async def stay_unless_called_off(self, phase: Phase) -> None:
        """Stays in the phase, unless operators cancelled the workflow while a transition was under way."""
        if self.stands_in(phase) and workflow.cancellation_reason() is not None:
            await self.heed_cancellation()
        await self.stay_in(phase)

    async def commit(
        self, event: str, act: BallotAct, key: str, at: datetime, subject: str
    ) -> Standing:
        """One transition; counting is the one that takes its time."""
        step = BallotStep(
            ballot_id=self.start.ballot_id,
            key=key,
            event=Event(event),
            act=act,
            at=at,
            workflow_id=workflow.info().workflow_id,
            opening=self.start if self.start.terms is not None else None,
        )
        if event == Event.COUNTED:
            standing = await workflow.execute_activity_method(
                Ballots.count, step, summary=f"Count the votes: {self.title}"[:200], **COUNT
            )
        else:
            standing = await workflow.execute_activity_method(
                Ballots.move, step, summary=_words(event, self.title), **MONEY
            )
        self.take_note(standing)
        return standing

    def take_note(self, standing: BallotStanding) -> None:
        """What the ballot has decided by now: nothing any more when it was cancelled."""
        if standing.phase == Phase.CANCELLED:
            self.outcome = BallotOutcome(ballot_id=self.start.ballot_id, decided=False)
        elif standing.outcome is not None:
            self.outcome = standing.outcome

    def allow(self, phase: str, event: str) -> None:
        """Raises WrongPhase unless the event can happen in this phase."""
        ballot.allow(Phase(phase), Event(event))

    def nobody(self, actor: str) -> BallotAct:
        """An act of the platform or of an operator in Temporal."""
        return BallotAct(actor=actor)

    def is_behind(self, act: BallotAct) -> bool:
        """A result shows in the books a moment before its news arrives here."""
        counted = self.stands_in(Phase.CLOSED) and act.phase_seen == Phase.NOTICE
        return counted or super().is_behind(act)

    def called_off_by_operators(self) -> str | None:
        """A ballot whose workflow is cancelled decides nothing, unless its result is final already."""
        return None if self.over or self.phase is None else Event.CANCELLED


def _words(event: str, title: str) -> str:
    return f"{event.replace('_', ' ').capitalize()}: {title}"[:200]
