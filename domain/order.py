"""An order of several sellers (paths 2.6): one payment, and a sale of its own for each seller."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from enum import StrEnum

from pydantic import Field

from domain.deadlines import Deadline
from domain.errors import InvalidInput, PriceChanged, SeveralCurrencies, UnknownListing, WrongPhase
from domain.model import Message
from domain.money import Currency, Money, format_money, split, times
from domain.policy import RefundPolicy, SalePolicy
from domain.return_policy import ReturnPolicy
from domain.sale import Delivery, ListedItem, OrderedItem, SaleOrder, SaleTerms, agree


class Phase(StrEnum):
    """Where an order stands. What becomes of its parts is told by their sales."""

    PENDING_PAYMENT = "pending_payment"
    PAID = "paid"
    EXPIRED = "expired"


FINAL = frozenset({Phase.PAID, Phase.EXPIRED})


class Event(StrEnum):
    """What moves an order from phase to phase."""

    PLACED = "placed"
    PAYMENT_CAPTURED = "payment_captured"
    PAYMENT_EXPIRED = "payment_expired"
    CANCELLED = "cancelled"
    LATE_PAYMENT_ACCEPTED = "late_payment_accepted"
    LATE_PAYMENT_RETURNED = "late_payment_returned"
    SALES_STARTED = "sales_started"


TRANSITIONS: dict[tuple[Phase, Event], Phase] = {
    (Phase.PENDING_PAYMENT, Event.PAYMENT_CAPTURED): Phase.PAID,
    (Phase.PENDING_PAYMENT, Event.PAYMENT_EXPIRED): Phase.EXPIRED,
    (Phase.PENDING_PAYMENT, Event.CANCELLED): Phase.EXPIRED,
    (Phase.EXPIRED, Event.LATE_PAYMENT_ACCEPTED): Phase.PAID,
    (Phase.EXPIRED, Event.LATE_PAYMENT_RETURNED): Phase.PAID,
    (Phase.PAID, Event.SALES_STARTED): Phase.PAID,
}
"""The whole state machine. Late money of which no sale can make use returns as the sales' refunds."""


def next_phase(phase: Phase, event: Event) -> Phase:
    """Where the event leads. Raises WrongPhase when it cannot happen in this phase."""
    try:
        return TRANSITIONS[phase, event]
    except KeyError:
        raise WrongPhase(
            f"an order that is {phase} cannot become {event}",
            field="phase",
            accepted=", ".join(sorted(e for p, e in TRANSITIONS if p is phase)),
        ) from None


class SalePart(Message):
    """One seller's part of an order. `amount` in minor units."""

    sale_id: str
    seller_id: str
    amount: int


class OrderTerms(Message):
    """What the buyer has agreed to; each sale keeps its own terms besides. Never recomputed."""

    order_id: str
    buyer_id: str
    currency: Currency
    payment_id: str
    provider: str
    sales: tuple[SalePart, ...]
    policy: SalePolicy
    refund_policy: RefundPolicy
    return_url: str

    @property
    def total(self) -> int:
        """What the buyer pays, minor units."""
        return sum(part.amount for part in self.sales)

    @property
    def title(self) -> str:
        """What it is about, in a few words."""
        return f"Order of {len(self.sales)} sales"


class CartOrder(Message):
    """The input of an order: who orders what, under which rules."""

    order_id: str
    payment_id: str
    buyer_id: str
    items: tuple[OrderedItem, ...] = Field(min_length=1, max_length=50)
    delivery: Delivery
    made_to_order_confirmed: bool = False
    expected_total: Money | None = None
    """What the buyer was shown; None when they order at whatever it costs now."""
    provider: str
    max_hold_seconds: int
    return_url: str
    policy: SalePolicy
    refund_policy: RefundPolicy
    return_policy: ReturnPolicy = ReturnPolicy()


def split_cart(
    cart: CartOrder, listed: Sequence[ListedItem], now: datetime, new_sale_id: Callable[[], str]
) -> tuple[OrderTerms, tuple[SaleTerms, ...]]:
    """The frozen terms of the order and of each seller's sale, in the order in which sellers appear in the cart.

    Raises what domain.sale.agree raises, with the number of the line in the cart, and SeveralCurrencies. Stock is only
    looked at here; reserving it is the database's part.
    """
    by_id = {item.listing_id: item for item in listed}
    by_seller: dict[str, list[int]] = {}
    for number, item in enumerate(cart.items):
        offer = by_id.get(item.listing_id)
        if offer is None:
            field = f"lines[{number}].listing_id"
            raise UnknownListing(f"{item.listing_id} is not on sale", field=field)
        by_seller.setdefault(offer.seller_id, []).append(number)
    if len({item.listing_id for item in cart.items}) != len(cart.items):
        raise InvalidInput("a listing appears twice", field="lines", accepted="one line a listing")
    currencies = sorted({item.currency for item in by_id.values()})
    if len(currencies) != 1:
        raise SeveralCurrencies(
            f"the lines are priced in {', '.join(currencies)}",
            field="lines",
            accepted="listings in one currency",
        )
    sales = tuple(
        agree(_of_seller(cart, numbers, new_sale_id()), listed, now, numbers=numbers)
        for numbers in by_seller.values()
    )
    terms = OrderTerms(
        order_id=cart.order_id,
        buyer_id=cart.buyer_id,
        currency=sales[0].currency,
        payment_id=cart.payment_id,
        provider=cart.provider,
        sales=tuple(
            SalePart(sale_id=sale.sale_id, seller_id=sale.seller_id, amount=sale.total)
            for sale in sales
        ),
        policy=cart.policy,
        refund_policy=cart.refund_policy,
        return_url=cart.return_url,
    )
    times(terms.total, 1)
    if cart.expected_total not in (None, Money(amount=terms.total, currency=terms.currency)):
        raise PriceChanged(
            f"the total is {format_money(terms.total, terms.currency)}",
            field="expected_total",
            accepted=f"{terms.total} {terms.currency}",
        )
    return terms, sales


def _of_seller(cart: CartOrder, numbers: Sequence[int], sale_id: str) -> SaleOrder:
    return SaleOrder(
        sale_id=sale_id,
        payment_id=cart.payment_id,
        buyer_id=cart.buyer_id,
        items=tuple(cart.items[number] for number in numbers),
        delivery=cart.delivery,
        made_to_order_confirmed=cart.made_to_order_confirmed,
        provider=cart.provider,
        max_hold_seconds=cart.max_hold_seconds,
        return_url=cart.return_url,
        policy=cart.policy,
        refund_policy=cart.refund_policy,
        return_policy=cart.return_policy,
    )


def allocate(amount: int, left: Sequence[int]) -> list[int]:
    """What of `amount` the bank takes from each sale, by what is left of it, largest remainder first.

    Never more than is left of a sale: what is above all of it is nobody's part here. Minor units.
    """
    taken = min(amount, sum(left))
    return split(taken, left) if taken else [0] * len(left)


def pay_by(policy: SalePolicy, placed_at: datetime) -> datetime:
    """Until when the order can be paid."""
    return placed_at + timedelta(seconds=policy.payment_seconds)


def deadlines(phase: Phase, due_at: datetime | None) -> tuple[Deadline, ...]:
    """The pending timer of an order, and of each of its sales before it is paid. The payment's story runs it."""
    if phase is not Phase.PENDING_PAYMENT or due_at is None:
        return ()
    return (
        Deadline(
            name="payment",
            due_at=due_at,
            stopped_by=("buyer: pay", "buyer: cancel the order"),
            outcome="The whole order expires and the reserved pieces go back on sale.",
        ),
    )
