"""Waiting for a condition instead of for a while."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar, overload

T = TypeVar("T")


_PATIENCE = 4
"""How much slower a machine may be that many tests share: nobody waits longer than it takes."""


@overload
async def eventually(
    ask: Callable[[], Awaitable[T]], *, within_seconds: float = 10, what: str = ""
) -> T: ...


@overload
async def eventually(ask: Callable[[], T], *, within_seconds: float = 10, what: str = "") -> T: ...


async def eventually(
    ask: Callable[[], T | Awaitable[T]], *, within_seconds: float = 10, what: str = ""
) -> T:
    """The first truthy answer of `ask`, asked again and again; TimeoutError after the deadline.

    The seconds are those of a machine that does nothing else.

    An AssertionError inside `ask` counts as "not yet" and is the cause of the TimeoutError.
    """
    deadline = time.monotonic() + within_seconds * _PATIENCE
    pause = 0.01
    while True:
        failure: AssertionError | None = None
        answer: T | None = None
        try:
            given = ask()
            answer = await given if inspect.isawaitable(given) else given
            if answer:
                return answer
        except AssertionError as error:
            failure = error
        if time.monotonic() > deadline:
            raise TimeoutError(
                f"not within {within_seconds * _PATIENCE:g} s: {what or ask}; last answer {answer!r}"
            ) from failure
        # Asking without a pause takes the time from what is waited for.
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, 0.1)
