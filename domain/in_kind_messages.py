"""What the story of an offer in kind, its activities and the API tell each other."""

from __future__ import annotations

from domain.in_kind import Bounds, Course, Event, Rules, Said
from domain.model import Instant, Message
from domain.path import Act


class InKindAct(Act):
    """Somebody's act on an offer; each act uses the fields that it needs."""

    rules: Rules | None = None
    """The platform's rules as they stand when the offer is published."""
    ask_id: str | None = None
    """The ask that is picked."""
    said: Said = Said()
    file_ids: tuple[str, ...] = ()


class Known(Message):
    """What the story keeps in mind, to refuse at once what cannot be done."""

    bounds: Bounds
    course: Course


class InKindStart(Message):
    """Input of the InKind workflow: a draft that is to be published."""

    in_kind_id: str
    supporter_id: str


class InKindStep(Message):
    """Ask the database to take an offer through one transition. `key` makes it happen once."""

    in_kind_id: str
    key: str
    event: Event
    act: InKindAct
    at: Instant


class InKindEnd(Message):
    """How an offer ended."""

    phase: str
    refusal: str | None = None
