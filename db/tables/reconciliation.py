"""Statements of payment companies as they were read, and what differs from our books."""

from __future__ import annotations

import datetime as dt
from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, func, text
from sqlalchemy.orm import Mapped, mapped_column

from db.tables.base import CURRENCY_CODE, Base, Json, one_of
from domain.reconciliation import DifferenceKind, Part


class StatementRow(Base):
    """One line of a statement. A line that is read again is the same one."""

    __tablename__ = "statement_lines"
    __table_args__ = (
        CheckConstraint(CURRENCY_CODE, name="currency_code"),
        Index(None, "provider", "day"),
        Index(None, "provider", "subject"),
    )

    provider: Mapped[str] = mapped_column(primary_key=True)
    line_id: Mapped[str] = mapped_column(primary_key=True)
    day: Mapped[dt.date]
    kind: Mapped[str]
    subject: Mapped[str]
    reference: Mapped[str]
    amount: Mapped[int]
    """Signed minor units."""
    currency: Mapped[str]
    booked_at: Mapped[datetime]


class StatementDay(Base):
    """A UTC day whose statement was read, last at `read_at`."""

    __tablename__ = "statement_days"

    provider: Mapped[str] = mapped_column(primary_key=True)
    day: Mapped[dt.date] = mapped_column(primary_key=True)
    lines: Mapped[int]
    opening: Mapped[Json]
    closing: Mapped[Json]
    read_at: Mapped[datetime] = mapped_column(server_default=func.now())


class BookDifference(Base):
    """What the provider and our books do not agree about. Of one object and part there is one open difference at most."""

    __tablename__ = "differences"
    __table_args__ = (
        CheckConstraint(one_of("kind", DifferenceKind), name="kind"),
        CheckConstraint(one_of("part", Part), name="part"),
        CheckConstraint("(ended_at IS NULL) = (outcome IS NULL)", name="ended"),
        Index(
            "uq_differences_open",
            "provider",
            "subject",
            "part",
            unique=True,
            postgresql_where=text("ended_at IS NULL"),
        ),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    provider: Mapped[str]
    subject: Mapped[str]
    """Our id of the payment, refund or payout, the provider's name for it, or a day."""
    part: Mapped[str]
    kind: Mapped[str]
    ours: Mapped[Json]
    """Minor units by currency."""
    theirs: Mapped[Json]
    found_at: Mapped[datetime] = mapped_column(server_default=func.now())
    ended_at: Mapped[datetime | None]
    outcome: Mapped[str | None]
    """`matched` when the other side came late, `explained` by an operator."""
    by_id: Mapped[str | None] = mapped_column(ForeignKey("users.id"))
    reason: Mapped[str | None]
