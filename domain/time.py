"""The one place that reads the clock outside of workflows, whose clock is Temporal's."""

from __future__ import annotations

from datetime import UTC, datetime


def utc_now() -> datetime:
    """The current time, with its zone."""
    return datetime.now(UTC)
