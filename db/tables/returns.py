"""Returns of goods that were sold."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, Integer, text
from sqlalchemy.orm import Mapped, mapped_column

from db.tables.base import Base, Json


class SaleReturn(Base):
    """What only a return has. `terms` is a frozen domain.returns.ReturnTerms, `course` a domain.returns.Course."""

    __tablename__ = "returns"
    __table_args__ = (
        Index(None, "sale_id", "id"),
        Index(
            "uq_returns_parcel",
            "carrier",
            "tracking_number",
            unique=True,
            postgresql_where=text("tracking_number IS NOT NULL"),
        ),
    )

    id: Mapped[str] = mapped_column(ForeignKey("paths.id"), primary_key=True)
    sale_id: Mapped[str] = mapped_column(ForeignKey("sales.id"))
    buyer_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    seller_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    terms: Mapped[Json]
    course: Mapped[Json]
    locked: Mapped[Json]
    """Minor units by number of the sale's line that wait in its escrow for the end of the return."""
    carrier: Mapped[str | None]
    tracking_number: Mapped[str | None]
    label_paid_by: Mapped[str | None]
    last_scan_at: Mapped[datetime | None]
    end_reason: Mapped[str | None]
    moves: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    """Grows with each transition, so that a story can tell old news from new."""
