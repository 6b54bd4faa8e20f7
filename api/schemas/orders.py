"""Orders of several sellers, as the API takes and shows them."""

from __future__ import annotations

from typing import Self

from pydantic import Field

from api.schemas.base import MoneyView, Utc, View
from api.schemas.sales import NewSale, SalePaymentView, SaleView
from db.queries.orders import OrderRows
from domain.order import Phase


class NewOrder(NewSale):
    """An order: lines of any sellers, in one currency. `expected_total` is that of all lines."""


class OrderView(View):
    """An order and the sales that it is made of, one for each seller."""

    id: str = Field(examples=["ord_01h45ytscbebyvny4gc8cr8ma2"])
    phase: Phase
    buyer_id: str
    total: MoneyView
    payment: SalePaymentView
    sales: list[SaleView]
    opened_at: Utc
    closed_at: Utc | None

    @classmethod
    def of(cls, rows: OrderRows) -> Self:
        """The view of an order and what belongs to it."""
        return cls(
            id=rows.order.id,
            phase=Phase(rows.path.phase),
            buyer_id=rows.order.buyer_id,
            total=MoneyView.of(rows.order.total, rows.path.currency),
            payment=SalePaymentView(
                id=rows.payment.id,
                status=rows.payment.status,
                checkout_url=rows.payment.checkout_url,
                expires_at=rows.payment.expires_at,
            ),
            sales=[SaleView.of(each) for each in rows.sales],
            opened_at=rows.path.opened_at,
            closed_at=rows.path.closed_at,
        )
