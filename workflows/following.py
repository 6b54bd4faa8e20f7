"""What all stories that follow somebody else's process share: wait for news, look by oneself when none comes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TypeVar

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

with workflow.unsafe.imports_passed_through():
    from domain.policy import Backoff
    from runtime import search_attributes as attributes

Result = TypeVar("Result")


class Attended:
    """A story that operators can be called to."""

    def __init__(self) -> None:
        self.news = False

    @workflow.signal
    def wake(self) -> None:
        """Something happened, or an operator has mended something: look again."""
        self.news = True

    async def ask_operator(self, why: str) -> None:
        """Shows the case to the operators and waits until somebody wakes it."""
        workflow.set_current_details(
            f"**Needs an operator**\n\n{why}\n\nSend the signal `wake` to try again."
        )
        workflow.upsert_search_attributes([attributes.NEEDS_OPERATOR.value_set(True)])
        self.news = False
        await uninterrupted(workflow.wait_condition(lambda: self.news))
        self.news = False
        workflow.upsert_search_attributes([attributes.NEEDS_OPERATOR.value_set(False)])


class Follower(Attended):
    """Woken by the provider's webhook, or by its own clock."""

    def __init__(self) -> None:
        super().__init__()
        self.looks = 0

    async def look(self) -> object:
        """Asks the provider how things stand, and has that posted."""
        raise NotImplementedError

    async def read_the_rest(self) -> None:
        """A story does not end over unread news: its webhook would have to be delivered again."""
        while self.news:
            self.news = False
            await self.look()

    async def until_news(self, poll: Backoff, until: datetime | None, waiting_for: str) -> None:
        """Returns when woken, when it is time to look again, or at `until`, whichever comes first."""
        wait = poll.wait(self.looks)
        if until is not None:
            wait = min(wait, max(until - workflow.now(), timedelta()))
        self.looks += 1
        # Cancelling the story cannot stop the provider: it goes on until the money has arrived somewhere.
        with suppress(TimeoutError, asyncio.CancelledError):
            await workflow.wait_condition(
                lambda: self.news, timeout=wait, timeout_summary=f"Look again: {waiting_for}"
            )
        self.news = False


async def uninterrupted(work: Awaitable[Result]) -> Result:
    """Finishes `work` even when the workflow is cancelled meanwhile: a movement of money is never left half-way."""
    task = asyncio.ensure_future(work)
    while True:
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            # Not task.done(): finished in the very moment of the cancellation, its result still counts.
            if task.cancelled():
                raise


def in_words(moment: datetime) -> str:
    """A point in time for people, in UTC."""
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def reason_of(refused: ActivityError) -> ApplicationError:
    """Why an activity was refused, with the code and words of its DomainError."""
    cause = refused.cause
    if isinstance(cause, ApplicationError) and cause.type:
        return cause
    return ApplicationError(str(cause or refused), type="unavailable", non_retryable=True)
