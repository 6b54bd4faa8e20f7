"""Contest 比稿: an owner deposits a bounty, creators enter, one is chosen, the choice is announced, the winner is paid.

funding -> open -> [picking -> final_round ->] choosing -> [voting ->] announced -> [contested ->] hand_over -> completed.
An owner who stays silent is decided for; no entries or nobody to give it to -> refunded; nobody chosen and guaranteed
-> split. The legal transitions are domain.contest.TRANSITIONS.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import datetime

from temporalio import workflow
from temporalio.exceptions import ApplicationError, ChildWorkflowError
from temporalio.workflow import ParentClosePolicy

with workflow.unsafe.imports_passed_through():
    from activities.contests import Contests
    from activities.options import MONEY
    from domain.ballot_messages import BallotOutcome, BallotStart
    from domain.contest import Event, Phase, require_possible
    from domain.contest_messages import ContestAct, ContestStanding, ContestStart, ContestStep
    from domain.errors import DomainError
    from domain.path import Standing
    from runtime.temporal import start_attributes
    from workflows.ballot import Ballot
    from workflows.following import uninterrupted
    from workflows.names import ballot_workflow_id
    from workflows.story import Story

CALLED_OFF_BY_OPERATORS = frozenset(
    {Phase.OPEN, Phase.PICKING, Phase.FINAL_ROUND, Phase.CHOOSING, Phase.VOTING}
)
"""Phases in which cancelling the workflow gives the owner everything back; later a winner has a claim."""
_NOT_PAID_YET = (Phase.ANNOUNCED, Phase.CONTESTED, Phase.HAND_OVER)


@workflow.defn(name="Contest", failure_exception_types=[DomainError])
class Contest(Story[ContestAct]):
    """One contest of one owner."""

    @workflow.init
    def __init__(self, start: ContestStart) -> None:
        super().__init__()
        self.start = start
        self.initiator = start.owner_id
        self.called = start.title or self.called
        self.crowd: BallotOutcome | None = None
        self.is_begun = False
        if start.reopening is not None:
            self.standing = Standing(path_id=start.contest_id, phase=Phase.COMPLETED)

    @workflow.run
    async def run(self, start: ContestStart) -> Standing | None:
        await self.beginning()
        if self.refusal is not None:
            raise self.refusal
        await self.bounty_arrives()
        await self.entries()
        await self.finalists()
        await self.final_round()
        while not self.over:
            moved = self.has_moved()
            await self.choice()
            await self.vote()
            await self.public_notice()
            await self.objection()
            await self.hand_over()
            await workflow.wait_condition(moved)
        await self.withdraw("system", "the contest is over")
        await self.run_errands()
        return self.standing

    # The story, phase by phase.

    async def beginning(self) -> None:
        """The owner asks to pay the bounty, or operators reopen a contest that has ended."""
        await workflow.wait_condition(lambda: self.is_begun)

    async def bounty_arrives(self) -> None:
        """The bounty is paid into escrow in time, or the contest never opens."""
        await self.stay_in(Phase.FUNDING)

    async def entries(self) -> None:
        """Creators enter until the deadline, which the owner can only move by adding bounty; without entries all goes back."""
        await self.stay_in(Phase.OPEN)

    async def finalists(self) -> None:
        """The owner picks the finalists; silence makes the shortlisted entries the finalists."""
        await self.stay_in(Phase.PICKING)

    async def final_round(self) -> None:
        """The finalists improve their entries."""
        await self.stay_in(Phase.FINAL_ROUND)

    async def choice(self) -> None:
        """The owner chooses, and is reminded; silence is resolved: one wins, the crowd votes, all share, or all goes back."""
        await self.stay_in(Phase.CHOOSING)

    async def vote(self) -> None:
        """The crowd chooses among the shortlisted entries; if the contest ends meanwhile, nobody needs the vote."""
        if not self.stands_in(Phase.VOTING):
            return
        self.crowd = None
        ballot = await uninterrupted(self.hold_ballot())
        await self.until_voted(ballot)
        if not self.stands_in(Phase.VOTING):
            ballot.cancel()
        # A vote that operators have terminated has decided nothing.
        with suppress(ChildWorkflowError):
            self.crowd = await uninterrupted(ballot)
        if self.stands_in(Phase.VOTING):
            decided = self.crowd is not None and self.crowd.decided
            event = Event.VOTED if decided else Event.NOT_DECIDED
            await self.bring_about(event, over=self.has_moved())

    async def until_voted(
        self, ballot: workflow.ChildWorkflowHandle[Ballot, BallotOutcome]
    ) -> None:
        """Waits for the crowd's word, or until the contest has moved on without it."""
        while self.stands_in(Phase.VOTING) and not ballot.done():
            try:
                await workflow.wait_condition(
                    lambda: ballot.done() or not self.stands_in(Phase.VOTING)
                )
            except asyncio.CancelledError:
                await self.heed_cancellation()

    async def public_notice(self) -> None:
        """公示: the decision waits for objections before money moves."""
        await self.stay_in(Phase.ANNOUNCED)

    async def objection(self) -> None:
        """Operators rule; without a ruling in time the decision stands."""
        await self.stay_in(Phase.CONTESTED)

    async def hand_over(self) -> None:
        """Each winner signs and hands over, the owner accepts; a silent winner loses the prize, a silent owner accepts."""
        await self.stay_in(Phase.HAND_OVER)

    # What people do.

    @workflow.update
    async def fund(self, act: ContestAct) -> Standing:
        """The owner wants to pay: where to pay is ready, or the contest does not begin."""
        try:
            return await self.answered(self.act(Event.FUNDING_ASKED, act))
        except ApplicationError as refused:
            self.refusal = refused if self.standing is None else None
            raise
        finally:
            self.is_begun = True

    @workflow.update
    async def cancel(self, act: ContestAct) -> Standing:
        """The owner gives up before the bounty is paid; if the money was faster, the contest opens all the same."""
        # The page to pay on may still be on its way from the provider: then there is nothing to close yet.
        await workflow.wait_condition(self.is_payable_or_beyond)
        await self.withdraw(act.actor, act.note)
        await workflow.wait_condition(lambda: not self.stands_in(Phase.FUNDING))
        return self.stands()

    @workflow.update
    async def extend(self, act: ContestAct) -> Standing:
        """The owner wants more time for entries and is asked to add to the bounty."""
        return await self.answered(self.act(Event.EXTENSION_ASKED, act))

    @workflow.update
    async def pick_finalists(self, act: ContestAct) -> Standing:
        """The owner names who goes on to the final round."""
        return await self.act(Event.FINALISTS_PICKED, act)

    @workflow.update
    async def announce(self, act: ContestAct) -> Standing:
        """The owner names the winners."""
        return await self.act(Event.ANNOUNCED, act)

    @workflow.update
    async def take_back(self, act: ContestAct) -> Standing:
        """The owner of a refundable contest takes the bounty back."""
        return await self.act(Event.TAKEN_BACK, act)

    @workflow.update
    async def object(self, act: ContestAct) -> Standing:
        """Somebody objects to an announced winner."""
        return await self.act(Event.OBJECTED, act)

    @workflow.update
    async def dismiss(self, act: ContestAct) -> Standing:
        """Operators find nothing wrong with an announced winner."""
        return await self.act(Event.OBJECTION_DISMISSED, act)

    @workflow.update
    async def void_entry(self, act: ContestAct) -> Standing:
        """Operators take a winning entry out before its prize is paid."""
        return await self.act(Event.ENTRY_VOIDED, act)

    @workflow.update
    async def deliver(self, act: ContestAct) -> Standing:
        """A winner signs the licence and hands over."""
        return await self.act(Event.HANDED_OVER, act)

    @workflow.update
    async def ask_revision(self, act: ContestAct) -> Standing:
        """The owner asks a winner for a revision."""
        return await self.act(Event.REVISION_ASKED, act)

    @workflow.update
    async def accept(self, act: ContestAct) -> Standing:
        """The owner accepts what a winner handed over; the prize is released."""
        return await self.act(Event.ACCEPTED, act)

    @workflow.update
    async def take_award_back(self, act: ContestAct) -> Standing:
        """Operators take a paid prize back: it goes to the next in the order, else to the owner."""
        try:
            return await self.act(Event.REOPENED, act)
        except ApplicationError as refused:
            self.refusal = refused
            raise
        finally:
            self.is_begun = True

    @pick_finalists.validator
    def _can_pick_finalists(self, act: ContestAct) -> None:
        self.require(Event.FINALISTS_PICKED, act)

    @extend.validator
    def _can_extend(self, act: ContestAct) -> None:
        self.require(Event.EXTENSION_ASKED, act)

    @announce.validator
    def _can_announce(self, act: ContestAct) -> None:
        self.require(Event.ANNOUNCED, act)

    @take_back.validator
    def _can_take_back(self, act: ContestAct) -> None:
        self.require(Event.TAKEN_BACK, act)

    @object.validator
    def _can_object(self, act: ContestAct) -> None:
        self.require(Event.OBJECTED, act)

    @dismiss.validator
    def _can_dismiss(self, act: ContestAct) -> None:
        self.require(Event.OBJECTION_DISMISSED, act)

    @void_entry.validator
    def _can_void_entry(self, act: ContestAct) -> None:
        self.require(Event.ENTRY_VOIDED, act)

    @deliver.validator
    def _can_deliver(self, act: ContestAct) -> None:
        self.require(Event.HANDED_OVER, act)

    @ask_revision.validator
    def _can_ask_revision(self, act: ContestAct) -> None:
        self.require(Event.REVISION_ASKED, act)

    @accept.validator
    def _can_accept(self, act: ContestAct) -> None:
        self.require(Event.ACCEPTED, act)

    @workflow.signal
    async def ballot_recounted(self, outcome: BallotOutcome) -> None:
        """Void votes have changed the crowd's order; what is not paid yet is decided anew."""
        if self.crowd is None or outcome.ballot_id != self.crowd.ballot_id:
            return
        self.crowd = outcome
        # The announcement of the former count may be under way.
        await workflow.wait_condition(lambda: not self.stands_in(Phase.VOTING))
        await self.bring_about(Event.RECOUNTED, over=lambda: not self.is_to_be_counted(outcome))

    def is_to_be_counted(self, outcome: BallotOutcome) -> bool:
        """Whether a new count can still change who is paid, and no newer one has come; acts meanwhile do not settle it."""
        return self.crowd is outcome and self.stands_in(*_NOT_PAID_YET)

    # How it is done.

    async def commit(
        self, event: str, act: ContestAct, key: str, at: datetime, subject: str
    ) -> ContestStanding:
        """One transition, one activity, one database transaction."""
        return await workflow.execute_activity_method(
            Contests.move,
            ContestStep(
                contest_id=self.start.contest_id,
                key=key,
                event=Event(event),
                act=act,
                at=at,
                subject=subject,
            ),
            summary=f"{event.replace('_', ' ').capitalize()}: {self.title}",
            **MONEY,
        )

    async def hold_ballot(self) -> workflow.ChildWorkflowHandle[Ballot, BallotOutcome]:
        """The ballot's own story, among the shortlisted entries."""
        asked = self.standing
        assert isinstance(asked, ContestStanding) and asked.ballot_id is not None
        return await workflow.start_child_workflow(
            Ballot.run,
            BallotStart(
                ballot_id=asked.ballot_id,
                terms=asked.ballot,
                initiator_id=self.start.owner_id,
                parent_path_id=self.start.contest_id,
            ),
            id=ballot_workflow_id(asked.ballot_id),
            parent_close_policy=ParentClosePolicy.ABANDON,
            static_summary=f"The crowd votes: {self.title}",
            search_attributes=start_attributes("ballot", self.start.owner_id, "XXX"),
        )

    def allow(self, phase: str, event: str) -> None:
        """Raises WrongPhase unless the event can happen in this phase."""
        require_possible(phase, event)

    def require(self, event: str, act: ContestAct | None = None) -> None:
        """Also lets the very first act in, before which nothing stands."""
        if self.standing is None and event == Event.FUNDING_ASKED:
            return
        super().require(event, act)

    def nobody(self, actor: str) -> ContestAct:
        """An act of the platform: for a vote, with the crowd's order."""
        return ContestAct(actor=actor, ranking=self.crowd.ranking if self.crowd else ())

    def is_payable_or_beyond(self) -> bool:
        """Whether the owner's payment is being collected, or it is no longer about that."""
        if self.refusal is not None or self.open_payments:
            return True
        return self.standing is not None and not self.stands_in(Phase.FUNDING)

    def called_off_by_operators(self) -> str | None:
        """Cancelling the workflow gives the owner everything back while nobody has a claim yet."""
        return Event.CANCELLED if self.stands_in(*CALLED_OFF_BY_OPERATORS) else None

    def stands(self) -> Standing:
        """Where the contest stands, as an answer."""
        assert self.standing is not None
        return self.standing
