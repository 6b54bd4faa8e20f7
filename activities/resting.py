"""What has not worked is left alone for a while, ever longer, so that it does not hinder what does work."""

from __future__ import annotations

import time
from collections.abc import Collection

_LONGEST_SECONDS = 300
_MOST = 1_000


class Resting:
    """Ids that are left alone for the moment. Kept in memory only: a worker that starts tries all of them at once."""

    def __init__(self) -> None:
        self._until: dict[str, tuple[int, int]] = {}
        """Until when, and for how many seconds they were left alone last."""

    def add(self, ids: Collection[str]) -> None:
        """Not again at once: after a second, then three, and so on up to five minutes."""
        now = int(time.monotonic())
        for each in ids:
            _, rested = self._until.get(each, (0, 0))
            rest = min(max(1, 3 * rested), _LONGEST_SECONDS)
            self._until[each] = (now + rest, rest)

    def now(self) -> list[str]:
        """Those that are left alone at this moment."""
        now = int(time.monotonic())
        if len(self._until) > _MOST:
            self._until.clear()
        return [each for each, (until, _) in self._until.items() if until > now]
