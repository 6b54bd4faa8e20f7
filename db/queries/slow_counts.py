"""Counts that read a row for every pledge of a campaign, for pages that a crowd looks at."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

ROWS_A_SECOND = 2_500
"""For every so many rows that were read a count is shown for a second: it is taken the less often the more it costs."""
LONGEST_SECONDS = 120.0
_RENEWING_SECONDS = 10.0
"""Meanwhile everybody but the one who counts is shown the former count."""
_MOST = 1_000
"""Counts that are kept."""

T = TypeVar("T")


@dataclass(frozen=True)
class Counted(Generic[T]):
    """What was counted, and of how many rows."""

    value: T
    rows: int


@dataclass
class _Kept:
    value: Any
    until: float


class SlowCounts:
    """What this process has counted a moment ago. A count of few rows is taken anew every time, and so exact."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept: OrderedDict[tuple[str, ...], _Kept] = OrderedDict()

    async def of(self, key: tuple[str, ...], count: Callable[[], Awaitable[Counted[T]]]) -> T:
        """The count of this key, at most LONGEST_SECONDS old. A key always means the same kind of value."""
        known = self._kept.get(key)
        if known is not None:
            if self._clock() < known.until:
                return cast(T, known.value)
            known.until = self._clock() + _RENEWING_SECONDS
        found = await count()
        self._keep(key, found)
        return found.value

    def _keep(self, key: tuple[str, ...], found: Counted[T]) -> None:
        self._kept.pop(key, None)
        if found.rows < ROWS_A_SECOND:
            return
        seconds = min(found.rows / ROWS_A_SECOND, LONGEST_SECONDS)
        self._kept[key] = _Kept(found.value, self._clock() + seconds)
        if len(self._kept) > _MOST:
            self._kept.popitem(last=False)
