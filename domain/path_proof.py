"""Proof of what happened on a path: one hash over its postings and events, chained to the hash before it.

Whoever kept a published hash can tell later whether the books still say the same. The lines are JSON arrays in the order
of their ids, so that anybody with a copy of the rows can compute it anew.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime

from domain.model import Instant, Message

FIRST = ""
"""What the first proof of all comes after."""

Fact = str | int | None


class PathProof(Message):
    """A published proof. `sha256` covers everything of the path up to the two ids."""

    path_id: str
    number: int
    """Which closing of the path it is about, from 1."""
    closed_at: Instant
    last_entry_id: int
    """0 when the path has no journal entry."""
    last_event_id: int
    postings: int
    events: int
    previous: str
    """Hash of the proof one position earlier; empty for the first."""
    sha256: str
    position: int
    """Place in the chain of all proofs, from 1."""
    made_at: Instant


class PublishedProofs(Message):
    """What one run of the schedule did."""

    made: int


class Hasher:
    """Takes in the lines of one path in their order and makes the hash of its proof."""

    def __init__(self, previous: str, path_id: str, number: int, closed_at: datetime) -> None:
        self._hash = hashlib.sha256()
        self.postings = 0
        self.events = 0
        self._take("proof", (previous, path_id, number, moment(closed_at)))

    def posting(self, facts: Sequence[Fact]) -> None:
        """The next posting of the path's journal entries."""
        self.postings += 1
        self._take("posting", facts)

    def event(self, facts: Sequence[Fact]) -> None:
        """The next event of the path's timeline."""
        self.events += 1
        self._take("event", facts)

    def done(self) -> str:
        """The hash over everything so far, in hexadecimal."""
        return self._hash.hexdigest()

    def _take(self, kind: str, facts: Sequence[Fact]) -> None:
        line = json.dumps([kind, *facts], separators=(",", ":"), ensure_ascii=False)
        self._hash.update(line.encode() + b"\n")


def moment(at: datetime) -> str:
    """A time as the lines have it: UTC, ISO 8601 with microseconds."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")
