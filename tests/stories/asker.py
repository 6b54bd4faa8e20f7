"""A path that asks the crowd: holds a ballot as its child, as a contest does, and notes what it hears afterwards."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from temporalio import workflow
from temporalio.worker import UnsandboxedWorkflowRunner, Worker
from temporalio.workflow import ParentClosePolicy

from domain.ballot import NO_CURRENCY
from domain.ballot_messages import BallotOutcome, BallotStart
from domain.model import Message
from runtime.temporal import start_attributes
from tests.stories.house import House
from workflows.ballot import Ballot
from workflows.names import ballot_workflow_id


class Question(Message):
    """What to ask, and where ballots are run."""

    start: BallotStart
    task_queue: str


@workflow.defn(name="Asker")
class Asker:
    """Goes on after the ballot, so that a later count can be told to it."""

    @workflow.init
    def __init__(self, question: Question) -> None:
        self.outcome: BallotOutcome | None = None
        self.recounts: list[BallotOutcome] = []
        self.enough = asyncio.Event()

    @workflow.run
    async def run(self, question: Question) -> None:
        ballot_id = question.start.ballot_id
        self.outcome = await workflow.execute_child_workflow(
            Ballot.run,
            question.start,
            id=ballot_workflow_id(ballot_id),
            task_queue=question.task_queue,
            parent_close_policy=ParentClosePolicy.ABANDON,
            static_summary="What the crowd says",
            search_attributes=start_attributes(
                "ballot", question.start.initiator_id or "", NO_CURRENCY
            ),
        )
        await self.enough.wait()

    @workflow.signal
    def ballot_recounted(self, outcome: BallotOutcome) -> None:
        """The crowd has said something else."""
        self.recounts.append(outcome)

    @workflow.signal
    def end(self) -> None:
        """The path is over."""
        self.enough.set()

    @workflow.query
    def heard(self) -> list[BallotOutcome]:
        """The result, and what changed it."""
        return [each for each in (self.outcome, *self.recounts) if each is not None]


@asynccontextmanager
async def askers(house: House) -> AsyncIterator[str]:
    """The task queue on which Asker runs."""
    queue = f"askers-{uuid.uuid4().hex[:8]}"
    async with Worker(
        house.temporal,
        task_queue=queue,
        workflows=[Asker],
        workflow_runner=UnsandboxedWorkflowRunner(),
    ):
        yield queue
