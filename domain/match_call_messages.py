"""What the match call's story, its activities and the API tell each other."""

from __future__ import annotations

from domain.match_call import Event, Rules
from domain.model import Instant, Message
from domain.money import MinorUnits
from domain.path import Act


class FundingWish(Message):
    """How the sponsor is going to pay the budget, and the platform's rules as they stand then."""

    rules: Rules
    window_seconds: int
    """How long they may take."""


class TopUp(Message):
    """More money for an open call, minor units of its currency."""

    amount: MinorUnits
    window_seconds: int
    return_url: str


class SpendingWish(Message):
    """Somebody is to be paid out of the budget, minor units of the call's currency."""

    payee_id: str
    amount: MinorUnits
    purpose: str
    file_ids: tuple[str, ...] = ()


class CallAct(Act):
    """Somebody's act on a match call; each act uses the fields that it needs."""

    funding: FundingWish | None = None
    top_up: TopUp | None = None
    spending: SpendingWish | None = None
    spending_id: str = ""


class CallStart(Message):
    """Input of the MatchCall workflow: a draft whose budget is to be paid."""

    call_id: str
    sponsor_id: str


class CallStep(Message):
    """Ask the database to take a match call through one transition. `key` makes it happen once."""

    call_id: str
    key: str
    event: Event
    act: CallAct
    at: Instant
    subject: str = ""


class CallEnd(Message):
    """How a match call ended."""

    phase: str
    refusal: str | None = None
