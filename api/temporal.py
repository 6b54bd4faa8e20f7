"""How routes talk to a path's workflow: bounded in time, and with words for a path that has ended."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from temporalio.service import RPCError, RPCStatusCode

from domain.errors import Unavailable, WrongPhase


@asynccontextmanager
async def answered_within(seconds: int) -> AsyncIterator[None]:
    """Raises Unavailable when the workflow has not answered in time, WrongPhase when it has ended.

    An unanswered request goes on: repeating it with its key waits for the same answer.
    """
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as late:
        raise Unavailable("the workflow has not answered in time; repeat the request") from late
    except RPCError as gone:
        if gone.status is RPCStatusCode.NOT_FOUND:
            raise WrongPhase(
                "the path has ended", field="phase", accepted="nothing: it has ended"
            ) from gone
        raise
