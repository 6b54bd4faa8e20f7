"""Deadline receipts: what a path waits for, until when, who can stop it, and what happens to the money if nobody does."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from domain.accounts import Side
from domain.model import Instant, Message
from domain.money import format_money
from domain.postings import JournalEntry

_INSPECTION = "ins_"
"""Prefix of the ids of inspections: stories of their own, which stand still with their lot."""


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
    event: str = ""
    """What happens to the path then; empty when another story runs the timer (payments, refunds)."""
    grace_seconds: int = 0
    """How long after `due_at` what arrived before it may still be written down; `event` happens only then."""
    subject: str = ""
    """Which part of the path it is about, such as a prize or a milestone."""

    @property
    def stands_still(self) -> bool:
        """Whether it waits while the path is paused: people's time does, that of payments and refunds goes on."""
        return bool(self.event) or self.subject.startswith(_INSPECTION)

    @property
    def passes_at(self) -> datetime:
        """When `event` happens."""
        return self.due_at + timedelta(seconds=self.grace_seconds)


def postponed(running: Iterable[Deadline], by: timedelta) -> tuple[Deadline, ...]:
    """The timers after a pause of that length. Those of payments and refunds have gone on all the time."""
    return tuple(
        each.model_copy(update={"due_at": each.due_at + by}) if each.stands_still else each
        for each in running
    )


def retimed(known: Iterable[Deadline], told: Iterable[Deadline]) -> tuple[Deadline, ...]:
    """The timers that are known, each with the time that was told of it, if any."""
    times = {(each.name, each.subject): each.due_at for each in told}
    return tuple(
        each.model_copy(update={"due_at": times.get((each.name, each.subject), each.due_at)})
        for each in known
    )


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
