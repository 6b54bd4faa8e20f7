"""A ballot counted again after its end: fraud was found, votes are declared void, and whoever relied on it is told."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

with workflow.unsafe.imports_passed_through():
    from activities.ballots import Ballots
    from activities.options import COUNT
    from domain.ballot import Event
    from domain.ballot_messages import BallotAct, BallotStanding, BallotStep, RetallyStart
    from domain.errors import DomainError
    from domain.path import Standing
    from workflows.following import reason_of, uninterrupted
    from workflows.names import retally_key
    from workflows.narration import describe_standing

RECOUNTED = "ballot_recounted"
"""Signal of paths that hold ballots; its fact is the new BallotOutcome."""


@workflow.defn(name="BallotRetally", failure_exception_types=[DomainError])
class BallotRetally:
    """Operators who find fraud at the same time meet in one run."""

    @workflow.init
    def __init__(self, start: RetallyStart) -> None:
        self.ballot_id = start.ballot_id
        self.done = False
        self.refusal: ApplicationError | None = None
        self.one_at_a_time = asyncio.Lock()

    @workflow.run
    async def run(self, start: RetallyStart) -> None:
        await uninterrupted(workflow.wait_condition(self.is_answered))
        if self.refusal is not None and not self.done:
            # A run that has failed leaves its number to the next one.
            raise self.refusal

    def is_answered(self) -> bool:
        """Whether everybody who has asked was answered."""
        return (self.done or self.refusal is not None) and workflow.all_handlers_finished()

    @workflow.update
    async def void_votes(self, act: BallotAct) -> Standing:
        """Declares votes void, counts the rest, and tells the path that asked the crowd if it decides otherwise."""
        async with self.one_at_a_time:
            try:
                standing = await self.count_again(act)
            except ApplicationError as refused:
                self.refusal = refused
                raise
            self.done = True
            workflow.set_current_details(describe_standing(standing, workflow.now()))
            await self.tell_parent(standing)
        return standing

    async def count_again(self, act: BallotAct) -> BallotStanding:
        """One activity, repeated safely by the key of the request."""
        step = BallotStep(
            ballot_id=self.ballot_id,
            key=retally_key(self.ballot_id, act.request_id),
            event=Event.RETALLIED,
            act=act,
            at=workflow.now(),
            workflow_id=workflow.info().workflow_id,
        )
        try:
            return await workflow.execute_activity_method(
                Ballots.retally, step, summary="Declare votes void and count again", **COUNT
            )
        except ActivityError as refused:
            raise reason_of(refused) from refused

    async def tell_parent(self, standing: BallotStanding) -> None:
        """A path that has ended does not hear it."""
        if not standing.changed or standing.parent_workflow_id is None:
            return
        parent = workflow.get_external_workflow_handle(standing.parent_workflow_id)
        with suppress(ApplicationError):
            await parent.signal(RECOUNTED, standing.outcome)
