"""Orders of several sellers: one payment, a sale for each seller."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from db.tables.base import Base, Json


class Order(Base):
    """What only an order has. `terms` is a frozen domain.order.OrderTerms."""

    __tablename__ = "orders"
    __table_args__ = (
        CheckConstraint("total > 0", name="total_positive"),
        Index(None, "buyer_id", "id"),
    )

    id: Mapped[str] = mapped_column(ForeignKey("paths.id"), primary_key=True)
    buyer_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    total: Mapped[int]
    terms: Mapped[Json]


class PaymentPart(Base):
    """What of one payment fills the escrow of which path. A payment without parts fills its own path's."""

    __tablename__ = "payment_parts"
    __table_args__ = (
        CheckConstraint("amount > 0", name="amount_positive"),
        Index(None, "path_id"),
    )

    payment_id: Mapped[str] = mapped_column(ForeignKey("payments.id"), primary_key=True)
    path_id: Mapped[str] = mapped_column(ForeignKey("paths.id"), primary_key=True)
    amount: Mapped[int]
