"""Deadline receipts: what a path waits for, until when, who can stop it, and what happens to the money if nobody does."""

from __future__ import annotations

from domain.accounts import Side
from domain.model import Instant, Message
from domain.money import format_money
from domain.postings import JournalEntry


class PlannedPosting(Message):
    """One line of what a timer would post."""

    account: str
    side: Side
    amount: int
    currency: str

    def __str__(self) -> str:
        return f"{self.side} {self.account} {format_money(self.amount, self.currency)}"


class Deadline(Message):
    """A pending timer of a path."""

    name: str
    due_at: Instant
    stopped_by: tuple[str, ...]
    """Roles and actions that stop the timer, such as `seller: accept`."""
    outcome: str
    """What happens if nobody does, in words."""
    postings: tuple[PlannedPosting, ...] = ()
    """Exactly what would be posted then."""


def planned(*entries: JournalEntry) -> tuple[PlannedPosting, ...]:
    """The postings of entries that are not written yet, as a preview."""
    return tuple(
        PlannedPosting(
            account=posting.account.code,
            side=posting.side,
            amount=posting.amount,
            currency=entry.currency,
        )
        for entry in entries
        for posting in entry.postings
    )
