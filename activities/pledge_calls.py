"""Calls to payment companies by the hundred: some at a time, at the allowed rate, and none while nobody answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

import structlog

from domain.errors import DomainError, ProviderRefused, Unavailable
from providers.base import ProviderUnavailable

AT_ONCE = 32
"""Calls that wait for an answer at the same time."""
_GIVE_UP_AFTER = 20
"""So many calls in a row without an answer, and the rest is left for later."""

Item = TypeVar("Item")
Answer = TypeVar("Answer")

log = structlog.get_logger()


PAYMENTS = "payments"
CARDS = "cards"
REFUNDS = "refunds"
"""Endpoints, each with a rate of its own."""


@dataclass(frozen=True)
class Silence:
    """No clear answer: it may or may not have happened. Asked again later."""


@dataclass(frozen=True)
class Refusal:
    """The provider understood and will not do it."""

    why: str


@dataclass(frozen=True)
class Fault:
    """The provider's object is not ours, or gone: somebody has to look into it."""

    why: str


def nothing() -> None:
    """For callers that need not tell how far they are."""


class Calls:
    """One round of calls, one for each item.

    `beat` is called after each answer, so that a slow provider is not taken for a dead worker.
    """

    def __init__(self, beat: Callable[[], None] = nothing) -> None:
        self._beat = beat
        self._places = asyncio.Semaphore(AT_ONCE)
        self._unanswered = 0

    async def each(
        self, items: Iterable[Item], ask: Callable[[Item], Awaitable[Answer]]
    ) -> list[tuple[Item, Answer | Silence | Refusal | Fault]]:
        """The answers, in the order of the items."""
        wanted = list(items)
        answers = await asyncio.gather(*(self._one(item, ask) for item in wanted))
        return list(zip(wanted, answers, strict=True))

    async def _one(
        self, item: Item, ask: Callable[[Item], Awaitable[Answer]]
    ) -> Answer | Silence | Refusal | Fault:
        async with self._places:
            if self._unanswered >= _GIVE_UP_AFTER:
                return Silence()
            answer = await answered(ask(item))
            self._unanswered = self._unanswered + 1 if isinstance(answer, Silence) else 0
            self._beat()
            return answer


async def answered(asked: Awaitable[Answer]) -> Answer | Silence | Refusal | Fault:
    """What came of one call, with everything that can go wrong at the provider as a value."""
    try:
        return await asked
    except (ProviderUnavailable, Unavailable):
        return Silence()
    except ProviderRefused as refused:
        return Refusal(refused.detail)
    except DomainError as wrong:
        log.error("the provider's object is missing, or not ours", reason=wrong.detail)
        return Fault(wrong.detail)
