"""What the order's story, its activities and the API tell each other."""

from __future__ import annotations

from domain.model import Instant, Message
from domain.order import CartOrder, Event
from domain.path import Act


class OrderAct(Act):
    """Somebody's act on an order."""


class OrderStart(Message):
    """Input of the Order workflow: a new order, or (without one) an order that a late payment has brought back."""

    order_id: str
    cart: CartOrder | None = None
    paid_late_at: Instant | None = None


class OrderStep(Message):
    """Ask the database to take an order through one transition. `key` makes it happen once."""

    start: OrderStart
    workflow_id: str
    key: str
    event: Event
    act: OrderAct
    at: Instant


class PaidParts(Message):
    """What a paid order leaves its story to do: the sales that go on, each with a story of its own."""

    buyer_id: str
    currency: str
    sale_ids: tuple[str, ...]
    paid_at: Instant


class OrderEnd(Message):
    """How an order ended."""

    phase: str | None
    """None: refused before anything was reserved."""
    refusal: str | None = None
