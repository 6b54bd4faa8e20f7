"""What would happen to the money of a path if it were called off now: shown to whom it concerns, and never done."""

from __future__ import annotations

from domain.commands import Party
from domain.deadlines import PlannedPosting
from domain.model import Message
from domain.money import Currency


class UnwindAsked(Message):
    """Somebody asks about a path."""

    path_id: str
    user_id: str
    """Whose share of a campaign is counted."""


class Backed(Message):
    """What would go back to the backers of a campaign, minor units."""

    currency: Currency
    total: int
    """To all who have paid, in batches afterwards."""
    own: int
    """Of it, the share of who asks."""


class Unwind(Message):
    """Who would get what."""

    possible: bool
    why_not: str = ""
    """When it cannot be called off any more: what decides instead, in words."""
    postings: tuple[PlannedPosting, ...] = ()
    who: tuple[Party, ...] = ()
    words: tuple[str, ...] = ()
    backed: Backed | None = None
