"""How notices are sent, how often a port is tried again, and when a notice is too old to be sent."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import Field

from domain.model import Message
from domain.policy import Backoff

_DAY = 86_400


class NoticePolicy(Message):
    """Rules of sending notices. All times in seconds."""

    first_seconds: Annotated[int, Field(ge=1, le=_DAY)] = 60
    """After a failure the next try comes after this long, then at doubling distance."""
    longest_seconds: Annotated[int, Field(ge=1, le=7 * _DAY)] = 6 * 3_600
    give_up_seconds: Annotated[int, Field(ge=1, le=30 * _DAY)] = 3 * _DAY
    """A notice that is older than this is not sent any more: what it says has passed."""
    send_seconds: Annotated[int, Field(ge=1, le=60)] = 10
    """How long the port may take over one notice."""
    run_seconds: Annotated[int, Field(ge=1, le=240)] = 120
    """How long one round of sending goes on; what is left waits for the next one."""

    @property
    def backoff(self) -> Backoff:
        """When to try again, by the number of tries that have failed."""
        return Backoff(first=self.first_seconds, longest=self.longest_seconds)

    @property
    def give_up_after(self) -> timedelta:
        """How old a notice may be."""
        return timedelta(seconds=self.give_up_seconds)
