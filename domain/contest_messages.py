"""What the contest's story, its activities and the API tell each other."""

from __future__ import annotations

from domain.ballot import BallotTerms
from domain.contest import Event
from domain.model import Instant, Message
from domain.path import Act, Standing


class Award(Message):
    """A prize and the entry that gets it."""

    prize: int
    entry_id: str


class FundingWish(Message):
    """How the owner is going to pay."""

    provider: str
    return_url: str
    window_seconds: int
    """How long they may take."""
    max_hold_seconds: int


class Delivery(Message):
    """What a winner hands over, with the licence they sign."""

    licence_sha256: str
    file_ids: tuple[str, ...]


class ContestAct(Act):
    """Somebody's act on a contest; each act uses the fields that it needs."""

    funding: FundingWish | None = None
    amount: int = 0
    """Extension: minor units added to the bounty."""
    awards: tuple[Award, ...] = ()
    runners_up: tuple[str, ...] = ()
    """Entries that follow when a winner is lost, the best first."""
    entry_ids: tuple[str, ...] = ()
    """Finalists."""
    prize: int = 0
    entry_id: str | None = None
    objection_id: str | None = None
    delivery: Delivery | None = None
    ranking: tuple[str, ...] = ()
    """The crowd's order of the entries, the best first."""


class Reopening(Message):
    """An award that operators take back after the contest has ended."""

    number: int
    """Which reopening of the contest it is, from 1."""


class ContestStart(Message):
    """Input of the Contest workflow: a draft to be funded, or a contest that operators reopen."""

    contest_id: str
    owner_id: str
    title: str = ""
    reopening: Reopening | None = None


class ContestStep(Message):
    """Ask the database to take a contest through one transition. `key` makes it happen once."""

    contest_id: str
    key: str
    event: Event
    act: ContestAct
    at: Instant
    subject: str = ""


class ContestStanding(Standing):
    """Where a contest stands; with the ballot that its story has to hold."""

    ballot_id: str | None = None
    ballot: BallotTerms | None = None
