"""What all stories that follow somebody else's process share: wait for news, look by oneself when none comes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

with workflow.unsafe.imports_passed_through():
    from activities.options import MONEY, STATUS
    from domain.errors import Unavailable
    from domain.policy import Backoff
    from domain.text import as_markdown
    from runtime import search_attributes as attributes

Result = TypeVar("Result")
AskedT = TypeVar("AskedT")
_OUT_OF_REACH = "ProviderUnavailable"
"""Type under which providers.base.ProviderUnavailable crosses; stories do not import providers."""


class Attended:
    """A story that operators can be called to."""

    def __init__(self) -> None:
        self.news = False
        self.overdue = False

    @workflow.signal
    def wake(self) -> None:
        """Something happened, or an operator has mended something: look again."""
        self.news = True

    async def ask_operator(self, why: str, over: Callable[[], bool] = lambda: False) -> None:
        """Shows the case to the operators; goes on when somebody wakes it, or when it is over by itself."""
        workflow.set_current_details(
            f"**Needs an operator**\n\n{as_markdown(why)}\n\nSend the signal `wake` to try again."
        )
        workflow.upsert_search_attributes([attributes.NEEDS_OPERATOR.value_set(True)])
        await uninterrupted(workflow.wait_condition(lambda: self.news or over()))
        self.news = False
        if not self.overdue:
            workflow.upsert_search_attributes([attributes.NEEDS_OPERATOR.value_set(False)])


class Follower(Attended):
    """Woken by the provider's webhook, or by its own clock."""

    def __init__(self, silence: timedelta) -> None:
        super().__init__()
        self.looks = 0
        self.silent_after = workflow.now() + silence

    async def answer(
        self, ask: Callable[[], Awaitable[Result]], what: str, poll: Backoff
    ) -> Result:
        """The answer of an activity, asked anew with the time of day until there is one.

        What is refused needs an operator; what cannot be reached is asked again later.
        """
        while True:
            try:
                return await uninterrupted(ask())
            except ActivityError as failed:
                reason = reason_of(failed)
                if reason.type == Unavailable.code:
                    self.call_operator_when_overdue(f"{what}: {reason.message}")
                    await self.until_news(poll, None, what)
                else:
                    await self.ask_operator(f"{what}: {reason.message}")

    def call_operator_when_overdue(self, why: str) -> None:
        """The other side has been silent for too long: operators should see it, while the story goes on asking."""
        if workflow.now() < self.silent_after:
            return
        workflow.set_current_details(f"**Overdue**\n\n{as_markdown(why)}\n\nAsking goes on.")
        if not self.overdue:
            self.overdue = True
            workflow.upsert_search_attributes([attributes.NEEDS_OPERATOR.value_set(True)])

    def end_of_wait(self) -> None:
        """The other side has answered after all."""
        if self.overdue:
            self.overdue = False
            workflow.upsert_search_attributes([attributes.NEEDS_OPERATOR.value_set(False)])

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


class Alarm:
    """One timer for a deadline that mostly moves further away: set anew only when it would ring too late.

    To let it ring in vain is seldom; to cancel it and set another at each step costs two events of history a step.
    """

    def __init__(self) -> None:
        self._timer: asyncio.Task[None] | None = None
        self._rings_at: datetime | None = None

    async def reached(self, moment: datetime, over: Callable[[], bool], summary: str) -> bool:
        """Waits: True when the moment has come, False as soon as it is over. `summary`: what operators read."""
        while not over():
            left = moment - workflow.now()
            if left <= timedelta():
                return True
            timer = self._set(moment, left, summary)
            await workflow.wait_condition(lambda timer=timer: over() or timer.done())  # type: ignore[misc]
        return False

    def _set(self, moment: datetime, left: timedelta, summary: str) -> asyncio.Task[None]:
        timer = self._timer
        if timer is not None and not timer.done():
            if self._rings_at is not None and self._rings_at <= moment:
                return timer
            timer.cancel()
        self._rings_at = moment
        self._timer = asyncio.create_task(workflow.sleep(left, summary=summary))
        return self._timer


async def noted(
    step: Callable[[Any, AskedT], Awaitable[Result]], asked: AskedT, summary: str
) -> Result:
    """A step that moves no money, as a local activity: within the workflow task that asks for it.

    Whoever cannot do it at once leaves it to a normal activity, which is tried until it is done. The step must know
    its own repetition. Raises ActivityError with what it refuses.
    """
    try:
        done: Result = await workflow.execute_local_activity_method(
            step, asked, summary=summary, **STATUS
        )
    except ActivityError as failed:
        if isinstance(failed.cause, ApplicationError) and failed.cause.non_retryable:
            raise
        done = await workflow.execute_activity_method(step, asked, summary=summary, **MONEY)
    return done


async def uninterrupted(
    work: Awaitable[Result], when_cancelled: Callable[[], Awaitable[None]] | None = None
) -> Result:
    """Finishes `work` even when the workflow is cancelled meanwhile: a movement of money is never left half-way.

    `when_cancelled` may hurry the work along.
    """
    task = asyncio.ensure_future(work)
    while True:
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            # Not task.done(): finished in the very moment of the cancellation, its result still counts.
            if task.cancelled():
                raise
            if when_cancelled is not None:
                await when_cancelled()


def in_words(moment: datetime) -> str:
    """A point in time for people, in UTC."""
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def reason_of(failed: ActivityError) -> ApplicationError:
    """Why an activity failed: the code and words of its DomainError, `unavailable` when something was out of reach.

    Anything else is a fault of ours and keeps its own type: it needs an operator.
    """
    cause = failed.cause
    if not isinstance(cause, ApplicationError):
        return ApplicationError(str(cause or failed), type=Unavailable.code, non_retryable=True)
    if cause.type == _OUT_OF_REACH:
        return ApplicationError(cause.message, type=Unavailable.code, non_retryable=True)
    return cause
