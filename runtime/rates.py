"""How often somebody may call the API: bounds of the settings, by class of operation."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from domain.model import Message

WINDOW_SECONDS = 60
"""All limits are for a window of so many seconds that slides."""
PerMinute = Annotated[int, Field(ge=0, le=10_000_000)]
"""Requests in any 60 seconds, all at once if need be; 0 for no limit."""


class RateLimits(Message):
    """What one caller may ask: a user, or a client address where nobody is signed in."""

    guests: PerMinute = 12_000
    """Everything asked from one address without a valid token. Many people can be behind one address."""
    reads: PerMinute = 12_000
    """Reads of one user."""
    writes: PerMinute = 3_000
    """Acts of one user, other than these:"""
    money: PerMinute = 600
    """Acts that move money or say where it goes."""
    uploads: PerMinute = 300
    webhooks: PerMinute = 120_000
    """Webhooks of one payment company or carrier from one address: 1,000 a second for two minutes, before anybody is refused."""
