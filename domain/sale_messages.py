"""What the sale's story, its activities and the API tell each other."""

from __future__ import annotations

from domain.model import Instant, Message
from domain.path import Collection
from domain.sale import Event, Phase, SaleOrder, SaleTerms


class SaleAct(Message):
    """Somebody's act on a sale: who it was, in which role, and what they said."""

    actor: str
    """Role: buyer, seller, operator, carrier or system."""
    user_id: str | None = None
    note: str = ""
    phase_seen: Phase | None = None
    """Phase in the books when they decided to act; the workflow may hear of it a moment later."""


class Shipment(SaleAct):
    """The seller's word that the pieces are on their way, or handed over in person."""

    carrier: str | None = None
    tracking_number: str | None = None


class SaleStanding(Message):
    """Where a sale stands, as the answer to an act."""

    sale_id: str
    phase: Phase
    due_at: Instant | None = None


class SaleStart(Message):
    """Input of the Sale workflow: a new order, or (without one) a sale that a late payment has brought back."""

    sale_id: str
    order: SaleOrder | None = None
    placed_at: Instant | None = None
    """When the order was placed; None without an order."""
    paid_late_at: Instant | None = None


class OpenSale(Message):
    """Ask the database to reserve the pieces and freeze the terms; a sale that is open already answers its terms."""

    start: SaleStart
    workflow_id: str
    at: Instant


class OpenedSale(Message):
    """The pieces are set aside. `collection`: the payment that was asked for; None when the sale is paid already."""

    terms: SaleTerms
    collection: Collection | None = None


class SaleStep(Message):
    """Ask the database to take a sale through one transition. `key` makes it happen once."""

    sale_id: str
    key: str
    event: Event
    act: SaleAct
    at: Instant
    shipment: Shipment | None = None
    phase_known: Phase | None = None
    """Where the story believes the sale to be. When the books stand elsewhere nothing is done but to say so."""


class SaleStepDone(Message):
    """The transition is committed."""

    phase: Phase
    caught_up: bool = False
    """Nothing was done: the sale stands here since an earlier transition whose answer was lost."""
    due_at: Instant | None = None
    refund_id: str | None = None
    refunded: int | None = None
    """What goes back to the buyer, minor units; None: the whole price."""


class SaleEnd(Message):
    """How a sale ended."""

    phase: Phase | None
    """None: refused before anything was reserved."""
    refusal: str | None = None
