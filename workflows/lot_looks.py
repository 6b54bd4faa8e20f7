"""Who else looks at a lot: the inspection and the jury of an appeal have stories of their own, which the lot follows."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime

from temporalio import workflow
from temporalio.exceptions import (
    ApplicationError,
    ChildWorkflowError,
    WorkflowAlreadyStartedError,
)
from temporalio.workflow import ParentClosePolicy

with workflow.unsafe.imports_passed_through():
    from domain.ballot_messages import BallotOutcome, BallotStart
    from domain.inspection import GRANT
    from domain.lot import Event, Phase
    from domain.production_messages import (
        InspectionOutcome,
        InspectionStart,
        InspectionTime,
        LotAct,
        LotNews,
        LotStart,
    )
    from runtime.temporal import start_attributes
    from workflows.ballot import Ballot
    from workflows.following import uninterrupted
    from workflows.inspection import Inspection
    from workflows.names import ballot_workflow_id, inspection_workflow_id
    from workflows.story import Story


class Judged(Story[LotAct]):
    """A lot as far as others judge it."""

    start: LotStart

    async def follow_inspection(self, inspection_id: str) -> None:
        """Waits until an inspection is decided, or its time is up, and takes note of it."""
        try:
            outcome = await uninterrupted(self.inspected(inspection_id))
        except (ChildWorkflowError, WorkflowAlreadyStartedError):
            # Operators have terminated it, or this story: it begins anew when they say so.
            await self.ask_operator(f"The inspection of {self.title} was ended from outside")
            return
        await self.bring_about(
            Event.INSPECTION_LAPSED if outcome.lapsed else Event.INSPECTED,
            act=LotAct(
                actor="system" if outcome.lapsed else "inspector", decision=outcome.decision
            ),
            subject=inspection_id,
            over=lambda: not self.waits_for_inspection(inspection_id),
        )

    async def inspected(self, inspection_id: str) -> InspectionOutcome:
        """Follows an inspection until it is decided, or its time is up; its time stands still when the lot does."""
        due_at = self.end_of_inspection(inspection_id)
        assert due_at is not None
        child = await workflow.start_child_workflow(
            Inspection.run,
            InspectionStart(
                inspection_id=inspection_id,
                lot_id=self.start.lot_id,
                due_at=due_at,
                title=self.start.title,
            ),
            id=inspection_workflow_id(inspection_id),
            parent_close_policy=ParentClosePolicy.ABANDON,
            static_summary=f"Inspection: {self.start.title}",
            search_attributes=start_attributes("lot", self.initiator, self.start.currency),
        )
        told: datetime | None = due_at
        while not await self.is_decided(child, inspection_id, told):
            told = self.time_left(inspection_id)
            # It may have been decided meanwhile.
            with suppress(ApplicationError):
                await child.signal(Inspection.timed, InspectionTime(due_at=told))
        return await child

    async def is_decided(
        self,
        child: workflow.ChildWorkflowHandle[Inspection, InspectionOutcome],
        inspection_id: str,
        told: datetime | None,
    ) -> bool:
        """Waits until the inspection has ended: True; False when its time is not any more what it was told."""
        await workflow.wait_condition(lambda: child.done() or self.time_left(inspection_id) != told)
        return child.done()

    def end_of_inspection(self, inspection_id: str) -> datetime | None:
        """Until when the inspection can be decided; None when the lot does not wait for it."""
        timers = self.standing.deadlines if self.standing else ()
        return next((each.due_at for each in timers if each.subject == inspection_id), None)

    def time_left(self, inspection_id: str) -> datetime | None:
        """The same; None while the lot stands still."""
        return None if self.paused else self.end_of_inspection(inspection_id)

    async def hold_vote(self, asked: LotNews) -> None:
        """Three peers vote on an appeal; if it is ruled on meanwhile nobody needs their vote.

        A jury that decides nothing leaves the appeal to operators, and to the end of their time.
        """
        ballot = await self.begun_vote(asked)
        if ballot is None:
            return
        await workflow.wait_condition(lambda: ballot.done() or not self.stands_in(Phase.APPEALED))
        if not ballot.done():
            ballot.cancel()
        outcome: BallotOutcome | None = None
        # A vote that operators have terminated has decided nothing.
        with suppress(ChildWorkflowError):
            outcome = await ballot
        if outcome is not None and outcome.decided:
            grants = outcome.ranking[:1] == (GRANT,)
            granted, returned = (asked.rejected, asked.not_returned) if grants else (0, 0)
            await self.bring_about(
                Event.RULED,
                act=LotAct(actor="jury", granted=granted, returned=returned),
                over=lambda: not self.stands_in(Phase.APPEALED),
            )

    async def begun_vote(
        self, asked: LotNews
    ) -> workflow.ChildWorkflowHandle[Ballot, BallotOutcome] | None:
        """The jurors' vote, begun; None when the appeal was decided before it could be."""
        assert asked.ballot_id is not None
        while self.stands_in(Phase.APPEALED):
            try:
                return await workflow.start_child_workflow(
                    Ballot.run,
                    BallotStart(
                        ballot_id=asked.ballot_id,
                        terms=asked.jury,
                        initiator_id=self.initiator,
                        parent_path_id=self.start.lot_id,
                    ),
                    id=ballot_workflow_id(asked.ballot_id),
                    parent_close_policy=ParentClosePolicy.ABANDON,
                    static_summary=f"Jury: {self.title}"[:200],
                    search_attributes=start_attributes("ballot", self.initiator, "XXX"),
                )
            except WorkflowAlreadyStartedError:
                await self.ask_operator(
                    f"The jury of {self.title} cannot be asked: another story runs as {asked.ballot_id}",
                    over=lambda: not self.stands_in(Phase.APPEALED),
                )
        return None

    def waits_for_inspection(self, inspection_id: str) -> bool:
        """Whether the lot stands where this inspection decides."""
        return self.stands_in(Phase.INSPECTING) and self.news_of_lot.inspection_id == inspection_id

    @property
    def news_of_lot(self) -> LotNews:
        """What is to be seen to besides timers and payments."""
        if self.standing is None or self.standing.details is None:
            return LotNews()
        return LotNews.model_validate(self.standing.details)
