"""Skips the time of workflows on the dev server."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta
from typing import Any

from temporalio.client import WorkflowExecutionStatus, WorkflowHandle
from temporalio.service import RPCError
from temporalio.testing import TimeSkipper

_LOOK_SECONDS = 3


class Skipper(TimeSkipper):
    """The SDK's skipper, which can wait for ever for a workflow that ends in the moment the skip begins."""

    async def fast_forward(
        self,
        handle: WorkflowHandle[Any, Any],
        duration: timedelta | float | None = None,
        /,
    ) -> bool:
        """Skips so much time of the workflow; False when it ended before."""
        skip = asyncio.create_task(super().fast_forward(handle, duration))
        while True:
            await asyncio.wait({skip}, timeout=_LOOK_SECONDS)
            if skip.done():
                return skip.result()
            if (await handle.describe()).status is not WorkflowExecutionStatus.RUNNING:
                break
        # Its own answer may be on its way.
        await asyncio.wait({skip}, timeout=_LOOK_SECONDS)
        skip.cancel()
        with suppress(RPCError, asyncio.CancelledError):
            return await skip
        return False
