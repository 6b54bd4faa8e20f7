"""An independent look at the books after a run.

Written without the platform's code: it reads the tables, the provider's own file and Temporal, and derives what they
must say from the specification. What it shares with the platform is the names of tables and accounts.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from temporalio.client import Client

from tests.chaos.checker.books import Books, Theirs, read_books, read_theirs
from tests.chaos.checker.found import Difference
from tests.chaos.checker.journal import check_journal
from tests.chaos.checker.keys import check_keys
from tests.chaos.checker.provider import check_provider
from tests.chaos.checker.stories import check_stories, unfinished

__all__ = ["Difference", "Verdict", "Webhooks", "check_books", "examine", "unfinished"]


@dataclass(frozen=True)
class Webhooks:
    """What became of the provider's events."""

    events: int
    attempts: int
    delivered: int
    """Of all copies, those that the platform took."""
    duplicated: int
    """Events of which the provider sent a copy more."""
    dropped: int
    """Events that were never sent."""


@dataclass(frozen=True)
class Verdict:
    """What the books say after a run."""

    differences: list[Difference]
    unfinished: list[str]
    finished: Counter[str]
    """Closed paths, by kind and phase."""
    webhooks: Webhooks
    entries: int
    movements: int
    payouts: int


def check_books(books: Books, theirs: Theirs) -> list[Difference]:
    """Everything that differs, except what only Temporal can tell."""
    return [*check_journal(books), *check_provider(books, theirs), *check_keys(books, theirs)]


async def examine(url: str, provider_file: Path, temporal: Client) -> Verdict:
    """Reads everything and compares it. Nothing may be moving any more."""
    books, theirs = read_books(url), read_theirs(provider_file)
    return Verdict(
        differences=[*check_books(books, theirs), *await check_stories(books, temporal)],
        unfinished=unfinished(url),
        finished=Counter(f"{each.kind} {each.phase}" for each in books.paths if each.is_closed),
        webhooks=_webhooks(theirs),
        entries=len(books.entries),
        movements=len(theirs.movements),
        payouts=sum(each.status in ("paid", "returned") for each in theirs.payouts),
    )


def _webhooks(theirs: Theirs) -> Webhooks:
    copies = Counter(each.event_id for each in theirs.deliveries)
    return Webhooks(
        events=len(copies),
        attempts=sum(each.attempts for each in theirs.deliveries),
        delivered=sum(each.state == "delivered" for each in theirs.deliveries),
        duplicated=sum(times > 1 for times in copies.values()),
        dropped=sum(each.state == "dropped" for each in theirs.deliveries),
    )
