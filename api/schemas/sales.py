"""Sales, as the API takes and shows them."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import AnyHttpUrl, Field, StringConstraints, UrlConstraints

from api.schemas.base import Body, Line, MoneyIn, MoneyView, Remark, Utc, View
from db.queries.sales import SaleRows
from domain.ids import ListingId
from domain.sale import Delivery, OrderedItem, Phase, SaleLine, SaleTerms

Code = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,31}$")]
ReturnUrl = Annotated[AnyHttpUrl, UrlConstraints(max_length=2_000)]
TrackingNumber = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]{4,64}$")]


class OrderLine(Body):
    """So many pieces of one listing."""

    listing_id: ListingId = Field(examples=["lst_01h45ytscbebyvny4gc8cr8ma2"])
    quantity: int = Field(default=1, ge=1, le=10_000, strict=True)

    def item(self) -> OrderedItem:
        """The line as the rules of a sale see it."""
        return OrderedItem(listing_id=self.listing_id, quantity=self.quantity)


class NewSale(Body):
    """An order: lines of one seller, in one currency."""

    lines: list[OrderLine] = Field(min_length=1, max_length=50)
    delivery: Delivery = Delivery.EXPRESS
    made_to_order_confirmed: bool = Field(
        default=False,
        strict=True,
        description="The buyer knows that made-to-order pieces cannot be returned without a reason.",
    )
    return_url: ReturnUrl | None = Field(
        default=None, description="Where the payment page leads afterwards."
    )
    expected_total: MoneyIn | None = Field(
        default=None,
        description="The price the buyer saw; the order is refused if it has changed meanwhile.",
    )


class Note(Body):
    """A word to the other side."""

    note: Remark = Field(default="", examples=["Thank you!"])


class ShipmentNote(Note):
    """How the pieces travel. Needed for express delivery; empty for pieces picked up in person."""

    carrier: Code | None = Field(default=None, examples=["sandbox"])
    tracking_number: TrackingNumber | None = Field(default=None, examples=["SF123456789"])


class SaleLineView(View):
    """One line, with the commission and royalty that were fixed when it was ordered."""

    listing_id: str
    title: Line
    quantity: int
    unit_price: MoneyView
    total: MoneyView
    fee: MoneyView
    royalty: MoneyView

    @classmethod
    def of(cls, line: SaleLine, currency: str) -> Self:
        """The view of a frozen line."""

        def money(amount: int) -> MoneyView:
            return MoneyView.of(amount, currency)

        return cls(
            listing_id=line.listing_id,
            title=line.title,
            quantity=line.quantity,
            unit_price=money(line.unit_price),
            total=money(line.total),
            fee=money(line.fee),
            royalty=money(line.royalty),
        )


class SalePaymentView(View):
    """How and until when to pay."""

    id: str
    status: str = Field(examples=["open"])
    checkout_url: str | None
    expires_at: Utc


class SaleRefundView(View):
    """The refund of a sale, if there is one."""

    id: str
    status: str = Field(examples=["succeeded"])
    reason: str = Field(examples=["declined"])
    amount: MoneyView


class ParcelView(View):
    """Where the parcel is."""

    carrier: str | None
    tracking_number: str | None
    last_scan_at: Utc | None


class SaleView(View):
    """A sale."""

    id: str = Field(examples=["sal_01h45ytscbebyvny4gc8cr8ma2"])
    phase: Phase
    buyer_id: str
    seller_id: str
    total: MoneyView
    delivery: Delivery
    lines: list[SaleLineView]
    payment: SalePaymentView
    parcel: ParcelView | None
    refund: SaleRefundView | None
    end_reason: str | None
    order_id: str | None = Field(description="The order of several sellers that it is a part of.")
    opened_at: Utc
    closed_at: Utc | None

    @classmethod
    def of(cls, rows: SaleRows) -> Self:
        """The view of a sale and what belongs to it."""
        sale, path, payment, refund = rows.sale, rows.path, rows.payment, rows.refund
        terms = SaleTerms.model_validate(sale.terms)
        return cls(
            id=sale.id,
            phase=Phase(path.phase),
            buyer_id=sale.buyer_id,
            seller_id=sale.seller_id,
            total=MoneyView.of(sale.total, path.currency),
            delivery=terms.delivery,
            lines=[SaleLineView.of(line, path.currency) for line in terms.lines],
            payment=SalePaymentView(
                id=payment.id,
                status=payment.status,
                checkout_url=payment.checkout_url,
                expires_at=payment.expires_at,
            ),
            parcel=ParcelView(
                carrier=sale.carrier,
                tracking_number=sale.tracking_number,
                last_scan_at=sale.last_scan_at,
            )
            if sale.tracking_number
            else None,
            refund=SaleRefundView(
                id=refund.id,
                status=refund.status,
                reason=refund.reason,
                amount=MoneyView.of(refund.amount, refund.currency),
            )
            if refund
            else None,
            end_reason=sale.end_reason,
            order_id=sale.order_id,
            opened_at=path.opened_at,
            closed_at=path.closed_at,
        )
