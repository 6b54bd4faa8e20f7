"""What only Temporal can tell: paths that nothing moves any more, and stories that have ended badly."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from temporalio import workflow
from temporalio.client import Client, WorkflowFailureError
from temporalio.exceptions import ApplicationError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from tests.chaos.checker.books import Books, Path
from tests.chaos.checker.stories import check_stories
from tests.waiting import eventually


@workflow.defn
class Waits:
    """A story that waits for a timer, or for nothing at all."""

    @workflow.run
    async def run(self, seconds: int) -> None:
        if seconds:
            await workflow.sleep(timedelta(seconds=seconds))
        await workflow.wait_condition(lambda: False)


@workflow.defn
class Fails:
    """A story that ends badly."""

    @workflow.run
    async def run(self) -> None:
        raise ApplicationError("the books contradict each other", non_retryable=True)


@asynccontextmanager
async def telling(address: str) -> AsyncIterator[tuple[Client, str]]:
    """A client, and the queue on which these stories are told."""
    client = await Client.connect(address)
    queue = f"chaos-{uuid.uuid4().hex}"
    runner = UnsandboxedWorkflowRunner()
    async with Worker(client, task_queue=queue, workflows=[Waits, Fails], workflow_runner=runner):
        yield client, queue


def books_of(path_id: str, *, waits: bool = False) -> Books:
    """The books of one open path."""
    path = Path(path_id, "sale", f"sale-{path_id}", "paid", is_closed=False, waits=waits)
    return Books([], [], [], [path], [], [], [], [], [], [], [], [])


async def found(client: Client, books: Books) -> set[str]:
    """What is said about the only path, whatever else there is on the server."""
    [path] = books.paths
    differences = await check_stories(books, client)
    return {each.check for each in differences if path.id in each.subject}


@pytest.fixture
def path_id() -> str:
    return f"sal_{uuid.uuid4().hex}"


@pytest.mark.parametrize(
    ("seconds", "shown", "expected"),
    [(3_600, False, set()), (0, True, set()), (0, False, {"path waits for nothing"})],
)
async def test_an_open_path_has_a_timer_or_waits_for_somebody(
    dev_server: str, path_id: str, seconds: int, shown: bool, expected: set[str]
) -> None:
    async with telling(dev_server) as (client, queue):
        story = await client.start_workflow(
            Waits.run, seconds, id=f"sale-{path_id}", task_queue=queue
        )
        while (await story.describe()).raw_description.HasField("pending_workflow_task"):
            await asyncio.sleep(0.01)
        assert await found(client, books_of(path_id, waits=shown)) == expected
        await story.terminate()


async def test_a_story_that_has_failed_is_named_with_its_reason(
    dev_server: str, path_id: str
) -> None:
    async with telling(dev_server) as (client, queue):
        with pytest.raises(WorkflowFailureError):
            await client.execute_workflow(Fails.run, id=f"sale-{path_id}", task_queue=queue)

        async def named() -> bool:
            return await found(client, books_of(path_id)) == {
                "story ended badly",
                "path without a story",
            }

        await eventually(named, what="the failed story is found")
        [ended] = [
            each
            for each in await check_stories(books_of(path_id), client)
            if each.subject == f"sale-{path_id}"
        ]
        assert ended.detail == "ApplicationError: the books contradict each other"
