"""What the tender's story, its activities and the API tell each other."""

from __future__ import annotations

from domain.model import Instant, Message
from domain.path import Act
from domain.tender import Award, Event, Rules


class FundingWish(Message):
    """How the buyer is going to pay the deposit, and the platform's rules as they stand then."""

    rules: Rules
    window_seconds: int
    """How long they may take."""


class TenderAct(Act):
    """Somebody's act on a tender; each act uses the fields that it needs."""

    funding: FundingWish | None = None
    award: Award | None = None
    reserves: tuple[Award, ...] = ()
    """Who is asked next, in this order, if the chosen bidder does not take the work on."""
    milestone: int = 0
    state_seen: str | None = None
    """Where the books had the milestone when they decided to act."""
    amount: int | None = None
    """Minor units for the worker, of an approval in part or a ruling."""
    file_ids: tuple[str, ...] = ()


class TenderStart(Message):
    """Input of the Tender workflow: a draft whose deposit is to be paid."""

    tender_id: str
    buyer_id: str


class TenderStep(Message):
    """Ask the database to take a tender through one transition. `key` makes it happen once."""

    tender_id: str
    key: str
    event: Event
    act: TenderAct
    at: Instant
    subject: str = ""


class TenderEnd(Message):
    """How a tender ended."""

    phase: str
    refusal: str | None = None
