"""Listings and sales."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer, func, text
from sqlalchemy.orm import Mapped, mapped_column

from db.tables.base import CURRENCY_CODE, Base, Json, one_of


class Listing(Base):
    """Something a maker offers. `stock` counts what is left for counted kinds."""

    __tablename__ = "listings"
    __table_args__ = (
        CheckConstraint("unit_price > 0", name="unit_price_positive"),
        CheckConstraint("stock >= 0", name="stock_not_negative"),
        CheckConstraint(CURRENCY_CODE, name="currency_code"),
        Index(None, "seller_id", "id"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    seller_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    title: Mapped[str]
    description: Mapped[str]
    unit_price: Mapped[int]
    currency: Mapped[str]
    stock_kind: Mapped[str]
    stock: Mapped[int]
    lead_days: Mapped[int] = mapped_column(Integer)
    available_from: Mapped[datetime | None]
    royalty_basis_points: Mapped[int] = mapped_column(Integer)
    royalty_sku: Mapped[str | None]
    delivery: Mapped[list[str]]
    picture_ids: Mapped[list[str]]
    on_sale: Mapped[bool]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())


class Sale(Base):
    """What only a sale has. `terms` is a frozen domain.sale.SaleTerms."""

    __tablename__ = "sales"
    __table_args__ = (
        Index(None, "buyer_id", "id"),
        Index(None, "seller_id", "id"),
        Index("ix_sales_order_id", "order_id", postgresql_where=text("order_id IS NOT NULL")),
        Index(
            "uq_sales_parcel",
            "carrier",
            "tracking_number",
            unique=True,
            postgresql_where=text("tracking_number IS NOT NULL"),
        ),
    )

    id: Mapped[str] = mapped_column(ForeignKey("paths.id"), primary_key=True)
    buyer_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    seller_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    total: Mapped[int]
    terms: Mapped[Json]
    carrier: Mapped[str | None]
    tracking_number: Mapped[str | None]
    label_paid_by: Mapped[str | None]
    last_scan_at: Mapped[datetime | None]
    end_reason: Mapped[str | None]
    money: Mapped[Json | None]
    """A domain.sale_money.SaleMoney; none before anything has left the escrow."""
    delivered_at: Mapped[datetime | None]
    completed_at: Mapped[datetime | None]
    order_id: Mapped[str | None] = mapped_column(ForeignKey("orders.id"))
    """The order of several sellers that it is a part of; its payment is the order's then."""


class Reservation(Base):
    """Pieces taken out of a listing's stock for one sale. reserved -> sold | released, each once."""

    __tablename__ = "reservations"
    __table_args__ = (
        CheckConstraint("quantity > 0", name="quantity_positive"),
        CheckConstraint(one_of("state", ("reserved", "sold", "released")), name="state"),
    )

    sale_id: Mapped[str] = mapped_column(ForeignKey("sales.id"), primary_key=True)
    listing_id: Mapped[str] = mapped_column(ForeignKey("listings.id"), primary_key=True)
    quantity: Mapped[int]
    state: Mapped[str]
    expires_at: Mapped[datetime]
