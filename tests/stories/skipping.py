"""Skips the time of workflows on the dev server."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta
from typing import Any

from temporalio.client import WorkflowExecutionStatus, WorkflowHandle
from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import TimeSkipper

_LOOK_SECONDS = 3
_LOOKS = 40


class Skipper(TimeSkipper):
    """The SDK's skipper, which can wait for ever for a workflow that ends, or begins anew, in the moment the skip begins.

    Whoever skips looks afterwards at what it has led to.
    """

    async def fast_forward(
        self,
        handle: WorkflowHandle[Any, Any],
        duration: timedelta | float | None = None,
        /,
    ) -> bool:
        """Skips so much time of the workflow; False when it ended before."""
        skip = asyncio.create_task(super().fast_forward(handle, duration))
        for _ in range(_LOOKS):
            await asyncio.wait({skip}, timeout=_LOOK_SECONDS)
            if skip.done():
                return _skipped(skip)
            if (await handle.describe()).status is not WorkflowExecutionStatus.RUNNING:
                break
        # Its own answer may be on its way.
        await asyncio.wait({skip}, timeout=_LOOK_SECONDS)
        skip.cancel()
        with suppress(RPCError, asyncio.CancelledError):
            return await skip
        return False


def _skipped(skip: asyncio.Task[bool]) -> bool:
    """The skipper's answer; a workflow that had ended when it began cannot be skipped."""
    try:
        return skip.result()
    except RPCError as failed:
        if failed.status is RPCStatusCode.NOT_FOUND:
            return False
        raise
