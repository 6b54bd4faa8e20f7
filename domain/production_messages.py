"""What the stories of production orders and lots, their activities and the API tell each other."""

from __future__ import annotations

from domain import lot, production
from domain.ballot import BallotTerms
from domain.lot import Decision, HandIn, Parcel
from domain.model import Instant, Message
from domain.path import Act
from domain.production import Rules


class FundingWish(Message):
    """How the requester is going to pay the wages in, and the platform's rules as they stand then."""

    rules: Rules
    window_seconds: int
    """How long they may take."""


class ProductionAct(Act):
    """An act on a production order."""

    funding: FundingWish | None = None


class ProductionStart(Message):
    """What the story of an order begins with."""

    order_id: str
    requester_id: str
    title: str = ""


class ProductionStep(Message):
    """One transition of an order."""

    order_id: str
    key: str
    event: production.Event
    act: ProductionAct
    at: Instant
    subject: str = ""


class ProductionEnd(Message):
    """How the order has ended."""

    phase: str
    refusal: str | None = None


class Claim(Message):
    """Somebody takes units on."""

    order_id: str
    units: int
    maker_id: str
    broker_id: str | None = None
    """Who acts for the maker, with their consent."""
    return_url: str = ""
    window_seconds: int = 0
    """How long they may take to pay the deposit; 0: as the policy says."""
    arrived_at: Instant | None = None
    """When they asked for it, by the database's clock; None: when the claim is written down."""


class LotAct(Act):
    """An act on a lot."""

    claim: Claim | None = None
    parcel: Parcel | None = None
    hand_in: HandIn | None = None
    decision: Decision | None = None
    granted: int | None = None
    """Of a ruling: how many rejected units are accepted after all."""
    returned: int | None = None
    """Of a ruling: the materials of how many unused units came back after all."""
    as_promised: bool | None = None
    """Of a ruling on a contested kit: whether it is what was promised."""
    jury: bool = False
    """Of an appeal: whether three peers decide it, instead of a second inspector."""
    seconds: int | None = None
    """Of more time."""
    file_ids: tuple[str, ...] = ()
    amount: int = 0
    """Of a deposit that the maker's bank keeps, minor units."""


class LotStart(Message):
    """What the story of a lot begins with."""

    lot_id: str
    order_id: str
    maker_id: str
    title: str = ""
    currency: str = "XXX"


class LotStep(Message):
    """One transition of a lot."""

    lot_id: str
    key: str
    event: lot.Event
    act: LotAct
    at: Instant
    subject: str = ""


class LotNews(Message):
    """What the story of a lot has to see to besides timers and payments: the `details` of its Standing."""

    inspection_id: str | None = None
    """Of an inspection that has to be followed now."""
    ballot_id: str | None = None
    """Of a jury that has to be asked."""
    jury: BallotTerms | None = None
    """What it is asked."""
    rejected: int = 0
    """Units that an appeal is about."""
    not_returned: int = 0
    """Unused units that it is about, whose materials did not come back."""
    tells_order: str | None = None
    """Workflow of the order, when this lot was the last one that ran and nothing can be claimed any more."""


class LotEnd(Message):
    """How the lot has ended."""

    phase: str
    refusal: str | None = None


class InspectionStart(Message):
    """What the story of an inspection begins with."""

    inspection_id: str
    lot_id: str
    due_at: Instant
    title: str = ""


class InspectionAct(Act):
    """The inspector's word."""

    inspection_id: str = ""
    """Upon which the decision is made: a full look at the lot is an inspection of its own."""
    decision: Decision | None = None


class InspectionStep(Message):
    """One step of an inspection."""

    inspection_id: str
    key: str
    act: InspectionAct
    at: Instant
    lapsed: bool = False
    """Whether the time is up without a decision."""


class InspectionOutcome(Message):
    """What came of it."""

    inspection_id: str
    decision: Decision | None = None
    """None: the time was not up after all, since the lot had stood still."""
    lapsed: bool = False
    due_at: Instant | None = None
    """Of one that goes on: until when; None while the lot stands still."""


class InspectionTime(Message):
    """What the lot's story tells that of its inspection."""

    due_at: Instant | None = None
    """None: the lot stands still."""
