"""What counts as stuck, and the ways in which operators set it going again."""

from __future__ import annotations

from enum import StrEnum

from domain.model import Message

LATE_MINUTES = 10
"""A timer that fired so long ago without any effect was missed."""
FORGOTTEN_DAYS = 30
"""An open path that waits for nothing for so long is forgotten."""
REFUND_DAYS = 3
PAYOUT_DAYS = 7
"""Providers tell of both sooner, and each is asked about in between."""


class Why(StrEnum):
    """How something was found to be stuck."""

    MISSED_TIMER = "missed_timer"
    PAUSED_ORPHAN = "paused_orphan"
    FORGOTTEN = "forgotten"
    NOT_EMPTY = "not_empty"
    REFUND = "refund"
    PAYOUT = "payout"
    ASKS = "asks"
    STORY_ENDED = "story_ended"


WORDS = {
    Why.MISSED_TIMER: "a deadline has passed and nothing has happened",
    Why.PAUSED_ORPHAN: "it stands still, but no bank has its money",
    Why.FORGOTTEN: "it is open and waits for nothing",
    Why.NOT_EMPTY: "it has closed, but its accounts are not at 0",
    Why.REFUND: "the refund has not arrived for days",
    Why.PAYOUT: "the payout has not arrived for days",
    Why.ASKS: "its story asks for an operator",
    Why.STORY_ENDED: "it is open, but its story has failed or was ended",
}


class Stuck(Message):
    """One thing that does not go on by itself."""

    subject: str
    """The workflow that tells its story."""
    why: Why
    path_id: str | None = None


class Looked(Message):
    """What one look has found."""

    stuck: int
    recovered: int


class How(StrEnum):
    """How it is set going again. All are safe: every step is done once by its key."""

    WAKE = "wake"
    """The running story looks again."""
    START = "start"
    """The story of a payment, refund or payout begins anew where its rows stand."""
    RESET = "reset"
    """A story that has failed or was terminated goes on from its last completed task."""
