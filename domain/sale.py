"""The sale order (paths 2.6): phases, legal transitions, frozen terms, deadlines and postings."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum

from pydantic import Field

from domain import accounts, postings
from domain.deadlines import Deadline, planned
from domain.errors import (
    ConfirmationMissing,
    HoldTooLong,
    InvalidInput,
    OutOfStock,
    OwnListing,
    PriceChanged,
    SeveralSellers,
    UnknownListing,
    WrongPhase,
)
from domain.model import BasisPoints, Instant, Message
from domain.money import Currency, Money, basis_points_of, format_money, times
from domain.policy import RefundPolicy, SalePolicy
from domain.postings import JournalEntry, Share
from domain.return_policy import ReturnPolicy


class Phase(StrEnum):
    """Where a sale stands."""

    PENDING_PAYMENT = "pending_payment"
    PAID = "paid"
    ACCEPTED = "accepted"
    SHIPPED = "shipped"
    DELIVERED = "delivered"
    REFUNDING = "refunding"
    COMPLETED = "completed"
    EXPIRED = "expired"
    REFUNDED = "refunded"


FINAL = frozenset({Phase.COMPLETED, Phase.EXPIRED, Phase.REFUNDED})


class Event(StrEnum):
    """What moves a sale from phase to phase."""

    PLACED = "placed"
    PAYMENT_CAPTURED = "payment_captured"
    PAYMENT_EXPIRED = "payment_expired"
    LATE_PAYMENT_ACCEPTED = "late_payment_accepted"
    LATE_PAYMENT_RETURNED = "late_payment_returned"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    ACCEPTANCE_LAPSED = "acceptance_lapsed"
    CANCELLED = "cancelled"
    SHIPPED = "shipped"
    HANDED_OVER = "handed_over"
    SHIPMENT_LAPSED = "shipment_lapsed"
    DELIVERED = "delivered"
    LOST = "lost"
    CONFIRMED = "confirmed"
    CONFIRMATION_LAPSED = "confirmation_lapsed"
    REFUNDED = "refunded"


TRANSITIONS: dict[tuple[Phase, Event], Phase] = {
    (Phase.PENDING_PAYMENT, Event.PAYMENT_CAPTURED): Phase.PAID,
    (Phase.PENDING_PAYMENT, Event.PAYMENT_EXPIRED): Phase.EXPIRED,
    (Phase.PENDING_PAYMENT, Event.CANCELLED): Phase.EXPIRED,
    (Phase.EXPIRED, Event.LATE_PAYMENT_ACCEPTED): Phase.PAID,
    (Phase.EXPIRED, Event.LATE_PAYMENT_RETURNED): Phase.REFUNDING,
    (Phase.PAID, Event.ACCEPTED): Phase.ACCEPTED,
    (Phase.PAID, Event.DECLINED): Phase.REFUNDING,
    (Phase.PAID, Event.ACCEPTANCE_LAPSED): Phase.REFUNDING,
    (Phase.PAID, Event.CANCELLED): Phase.REFUNDING,
    (Phase.ACCEPTED, Event.SHIPPED): Phase.SHIPPED,
    (Phase.ACCEPTED, Event.HANDED_OVER): Phase.DELIVERED,
    (Phase.ACCEPTED, Event.SHIPMENT_LAPSED): Phase.REFUNDING,
    (Phase.ACCEPTED, Event.CANCELLED): Phase.REFUNDING,
    (Phase.SHIPPED, Event.DELIVERED): Phase.DELIVERED,
    (Phase.SHIPPED, Event.LOST): Phase.REFUNDING,
    (Phase.SHIPPED, Event.CONFIRMED): Phase.COMPLETED,
    (Phase.DELIVERED, Event.CONFIRMED): Phase.COMPLETED,
    (Phase.DELIVERED, Event.CONFIRMATION_LAPSED): Phase.COMPLETED,
    (Phase.REFUNDING, Event.REFUNDED): Phase.REFUNDED,
}
"""The whole state machine; what is not in it cannot happen."""


def next_phase(phase: Phase, event: Event) -> Phase:
    """Where the event leads. Raises WrongPhase when it cannot happen in this phase."""
    try:
        return TRANSITIONS[phase, event]
    except KeyError:
        possible = sorted(e for p, e in TRANSITIONS if p is phase)
        raise WrongPhase(
            f"a sale that is {phase} cannot become {event}",
            field="phase",
            accepted=", ".join(possible) or "nothing: the sale has ended",
        ) from None


def can_follow(phase: Phase, later: Phase) -> bool:
    """Whether some event leads straight from `phase` to `later`."""
    return any(to is later for (origin, _), to in TRANSITIONS.items() if origin is phase)


class StockKind(StrEnum):
    """How the pieces of a listing come to be."""

    IN_STOCK = "in_stock"
    ONE_OF_A_KIND = "one_of_a_kind"
    MADE_TO_ORDER = "made_to_order"
    """Made after the order, within `lead_days`; cannot be returned without a reason (定作)."""
    PRE_ORDER = "pre_order"
    """Can be ordered now, ships from `available_from`."""


COUNTED_STOCK = frozenset({StockKind.IN_STOCK, StockKind.ONE_OF_A_KIND, StockKind.PRE_ORDER})
"""Kinds whose pieces are counted and reserved; made-to-order has no stock to run out."""


class Delivery(StrEnum):
    """How the pieces reach the buyer."""

    EXPRESS = "express"
    PICKUP = "pickup"


class OrderedItem(Message):
    """What a buyer asks for."""

    listing_id: str
    quantity: int = Field(ge=1, le=10_000)


class ListedItem(Message):
    """What the seller offers, as it stands when the order is placed."""

    listing_id: str
    seller_id: str
    title: str
    unit_price: int
    currency: Currency
    stock_kind: StockKind
    stock: int
    lead_days: int
    available_from: Instant | None
    royalty_basis_points: BasisPoints
    royalty_sku: str | None
    delivery: tuple[str, ...]
    on_sale: bool


class SaleLine(Message):
    """One line of a sale with its commission and royalty, frozen when the order is placed. Minor units."""

    listing_id: str
    title: str
    quantity: int
    unit_price: int
    total: int
    fee: int
    royalty: int
    royalty_sku: str | None
    stock_kind: StockKind

    @property
    def seller_share(self) -> int:
        """What the seller gets for this line."""
        return self.total - self.fee - self.royalty


class SaleTerms(Message):
    """What both sides agreed to; never recomputed."""

    sale_id: str
    buyer_id: str
    seller_id: str
    currency: Currency
    lines: tuple[SaleLine, ...]
    delivery: Delivery
    lead_days: int
    available_from: Instant | None
    payment_id: str
    policy: SalePolicy
    refund_policy: RefundPolicy
    return_policy: ReturnPolicy = ReturnPolicy()

    @property
    def total(self) -> int:
        """What the buyer pays, minor units."""
        return sum(line.total for line in self.lines)

    @property
    def title(self) -> str:
        """What was ordered, in a few words."""
        return ", ".join(f"{line.quantity} x {line.title}" for line in self.lines)[:200]

    @property
    def shares(self) -> tuple[Share, ...]:
        """Who gets what at release: seller, commission, royalty pots."""
        royalties: dict[str, int] = {}
        for line in self.lines:
            if line.royalty_sku and line.royalty:
                royalties[line.royalty_sku] = royalties.get(line.royalty_sku, 0) + line.royalty
        return (
            Share(
                account=accounts.payable(self.seller_id),
                amount=sum(line.seller_share for line in self.lines),
            ),
            Share(account=accounts.FEE, amount=sum(line.fee for line in self.lines)),
            *(Share(account=accounts.royalty(sku), amount=r) for sku, r in royalties.items()),
        )

    def ship_by(self, accepted_at: datetime) -> datetime:
        """When an accepted order counts as not shipped."""
        due = accepted_at + timedelta(seconds=self.policy.ship_seconds)
        grace = timedelta(seconds=self.policy.lead_grace_seconds)
        if self.lead_days:
            due = max(due, accepted_at + timedelta(days=self.lead_days) + grace)
        if self.available_from:
            due = max(due, self.available_from + grace)
        return due

    def confirm_by(self, delivered_at: datetime) -> datetime:
        """When a delivered order completes by itself."""
        window = (
            self.policy.confirm_pickup_seconds
            if self.delivery is Delivery.PICKUP
            else self.policy.confirm_express_seconds
        )
        return delivered_at + timedelta(seconds=window)


class SaleOrder(Message):
    """The input of a sale: who orders what, under which rules."""

    sale_id: str
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


def agree(
    order: SaleOrder,
    listed: Sequence[ListedItem],
    now: datetime,
    *,
    numbers: Sequence[int] | None = None,
) -> SaleTerms:
    """The frozen terms of an order, or the reason why it is refused.

    `numbers`: which lines of a cart of several sellers these are, for refusals that name one.

    Raises UnknownListing, OwnListing, SeveralSellers, OutOfStock, ConfirmationMissing, HoldTooLong, InvalidInput or
    AmountOutOfRange. Stock is only looked at here; reserving it is the database's part.
    """
    by_id = {item.listing_id: item for item in listed}
    lines: list[SaleLine] = []
    for index, ordered in enumerate(order.items):
        number = index if numbers is None else numbers[index]
        lines.append(_line(order, number, ordered, by_id.get(ordered.listing_id)))
    offers = [by_id[item.listing_id] for item in order.items]
    if len({item.listing_id for item in order.items}) != len(order.items):
        raise InvalidInput("a listing appears twice", field="lines", accepted="one line a listing")
    if len({(o.seller_id, o.currency) for o in offers}) != 1:
        raise SeveralSellers(
            "the lines have several sellers or currencies",
            field="lines",
            accepted="listings of one seller in one currency",
        )
    terms = SaleTerms(
        sale_id=order.sale_id,
        buyer_id=order.buyer_id,
        seller_id=offers[0].seller_id,
        currency=offers[0].currency,
        lines=tuple(lines),
        delivery=order.delivery,
        lead_days=max(o.lead_days for o in offers),
        available_from=max((o.available_from for o in offers if o.available_from), default=None),
        payment_id=order.payment_id,
        policy=order.policy,
        refund_policy=order.refund_policy,
        return_policy=order.return_policy,
    )
    times(terms.total, 1)
    if order.expected_total not in (None, Money(amount=terms.total, currency=terms.currency)):
        raise PriceChanged(
            f"the total is {format_money(terms.total, terms.currency)}",
            field="expected_total",
            accepted=f"{terms.total} {terms.currency}",
        )
    _require_holdable(order, terms, now)
    return terms


def _line(order: SaleOrder, index: int, ordered: OrderedItem, offer: ListedItem | None) -> SaleLine:
    field = f"lines[{index}]"
    if offer is None or not offer.on_sale:
        raise UnknownListing(f"{ordered.listing_id} is not on sale", field=f"{field}.listing_id")
    if offer.seller_id == order.buyer_id:
        raise OwnListing("nobody buys from themselves", field=f"{field}.listing_id")
    if order.delivery not in offer.delivery:
        raise InvalidInput(
            f"{ordered.listing_id} is not offered by {order.delivery}",
            field="delivery",
            accepted=" or ".join(offer.delivery),
        )
    if offer.stock_kind in COUNTED_STOCK and ordered.quantity > offer.stock:
        raise OutOfStock(
            f"only {offer.stock} left", field=f"{field}.quantity", accepted=f"at most {offer.stock}"
        )
    if offer.stock_kind is StockKind.MADE_TO_ORDER and not order.made_to_order_confirmed:
        raise ConfirmationMissing(
            "this piece is made to order and cannot be returned without a reason",
            field="made_to_order_confirmed",
            accepted="true",
        )
    total = times(offer.unit_price, ordered.quantity)
    royalty = basis_points_of(total, offer.royalty_basis_points) if offer.royalty_sku else 0
    fee = min(basis_points_of(total, order.policy.fee_basis_points), total - royalty)
    return SaleLine(
        listing_id=offer.listing_id,
        title=offer.title,
        quantity=ordered.quantity,
        unit_price=offer.unit_price,
        total=total,
        fee=fee,
        royalty=royalty,
        royalty_sku=offer.royalty_sku,
        stock_kind=offer.stock_kind,
    )


def _require_holdable(order: SaleOrder, terms: SaleTerms, now: datetime) -> None:
    longest = order.policy.hold_seconds(days_ahead(terms.lead_days, terms.available_from, now))
    if longest > order.max_hold_seconds:
        raise HoldTooLong(
            "the payment provider does not hold money that long",
            field="lines",
            accepted=f"at most {order.max_hold_seconds // 86_400} days from payment to completion",
        )


def days_ahead(lead_days: int, available_from: datetime | None, now: datetime) -> int:
    """Days from now until the slowest piece can ship."""
    if available_from is None:
        return lead_days
    return max(lead_days, -(-max(available_from - now, timedelta()) // timedelta(days=1)))


def release_entries(
    terms: SaleTerms, key: str, left: Sequence[Share] | None = None
) -> tuple[JournalEntry, ...]:
    """What completing the sale posts, and the protection fund's share of the commission.

    `left`: who gets what of that which is still in escrow; None: everything is. Nothing is posted of nothing.
    """
    shares = terms.shares if left is None else left
    if not sum(share.amount for share in shares):
        return ()
    made = [postings.release(key, terms.sale_id, shares, terms.currency)]
    fee = sum(share.amount for share in shares if share.account == accounts.FEE)
    protection = basis_points_of(fee, terms.policy.protection_basis_points)
    if protection:
        made.append(postings.protect(f"{key}/protect", terms.sale_id, protection, terms.currency))
    return tuple(made)


_CANCEL = ("buyer: cancel", "seller: cancel", "operator: cancel")


def compensation(
    terms: SaleTerms, key: str, fund_balance: int | None = None
) -> tuple[JournalEntry, ...]:
    """What the seller gets for a parcel lost under the platform's label: their share, commission forgone.

    `fund_balance` is what the protection fund holds; None for a preview in which it holds enough.
    """
    share = sum(line.seller_share for line in terms.lines)
    if not share:
        return ()
    held = share if fund_balance is None else fund_balance
    seller = accounts.payable(terms.seller_id)
    return (postings.compensate(key, terms.sale_id, seller, share, held, terms.currency),)


def deadlines(
    terms: SaleTerms,
    phase: Phase,
    due_at: datetime | None,
    *,
    label_is_ours: bool = False,
    left: Sequence[Share] | None = None,
) -> tuple[Deadline, ...]:
    """The pending timers of a sale in this phase, with the postings each would make.

    `due_at` is when the phase's timer fires; None for phases without one. `label_is_ours`: the parcel travels under
    the platform's label, so its loss is made good to the seller. `left`: as for `release_entries`.
    """
    if due_at is None:
        return ()
    release = planned(*release_entries(terms, "preview", left))
    held = terms.total if left is None else sum(share.amount for share in left)
    refund = (
        planned(postings.refund("preview", terms.sale_id, "new", held, terms.currency))
        if held
        else ()
    )
    made_good = planned(*compensation(terms, "preview")) if label_is_ours else ()
    receipts = {
        Phase.PENDING_PAYMENT: Deadline(
            name="payment",
            due_at=due_at,
            stopped_by=("buyer: pay", *_CANCEL),
            outcome="The order expires and the reserved pieces go back on sale.",
        ),
        Phase.PAID: Deadline(
            name="acceptance",
            due_at=due_at,
            stopped_by=("seller: accept", "seller: decline", *_CANCEL),
            outcome="The order is cancelled and the buyer gets everything back.",
            postings=refund,
        ),
        Phase.ACCEPTED: Deadline(
            name="shipment",
            due_at=due_at,
            stopped_by=("seller: ship", *_CANCEL),
            outcome="The order is cancelled and the buyer gets everything back.",
            postings=refund,
        ),
        Phase.SHIPPED: Deadline(
            name="scan",
            due_at=due_at,
            stopped_by=("carrier: scan", "buyer: confirm"),
            outcome="Unless the carrier has scanned it since, the parcel counts as lost and the buyer gets "
            "everything back" + ("; the protection fund pays the seller." if made_good else "."),
            postings=made_good + refund,
        ),
        Phase.DELIVERED: Deadline(
            name="confirmation",
            due_at=due_at,
            stopped_by=("buyer: confirm",),
            outcome="The sale completes and the seller is paid.",
            postings=release,
        ),
    }
    receipt = receipts.get(phase)
    return (receipt,) if receipt else ()


def payment_due_at(terms: SaleTerms, placed_at: datetime) -> datetime:
    """Until when an order placed at this moment can be paid."""
    return placed_at + timedelta(seconds=terms.policy.payment_seconds)


def due_at(terms: SaleTerms, phase: Phase, entered_at: datetime) -> datetime | None:
    """When the timer of a phase entered at this moment fires; None for phases that have no timer of their own."""
    policy = terms.policy
    match phase:
        case Phase.PENDING_PAYMENT:
            return payment_due_at(terms, entered_at)
        case Phase.PAID:
            return entered_at + timedelta(seconds=policy.accept_seconds)
        case Phase.ACCEPTED:
            return terms.ship_by(entered_at)
        case Phase.SHIPPED:
            return entered_at + timedelta(seconds=policy.scan_silence_seconds)
        case Phase.DELIVERED:
            return terms.confirm_by(entered_at)
        case _:
            return None
