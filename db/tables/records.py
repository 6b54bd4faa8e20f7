"""What stays of a path when it has closed, and what tax offices ask for."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, func, text
from sqlalchemy.orm import Mapped, mapped_column

from db.tables.base import CURRENCY_CODE, Base, Json, one_of
from domain.tax import PersonKind


class PathProof(Base):
    """The hash over everything that happened on a path until it closed. The database asks for one at each closing.

    What is written stays as it is; `position` is its place in the chain of all proofs.
    """

    __tablename__ = "path_proofs"
    __table_args__ = (
        CheckConstraint("number > 0", name="number"),
        CheckConstraint(
            "(sha256 IS NULL) = (position IS NULL) AND (sha256 IS NULL) = (made_at IS NULL)"
            " AND (sha256 IS NULL) = (previous IS NULL)",
            name="made_whole",
        ),
        Index(
            "uq_path_proofs_wanted",
            "path_id",
            unique=True,
            postgresql_where=text("sha256 IS NULL"),
        ),
    )

    path_id: Mapped[str] = mapped_column(ForeignKey("paths.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    """1 for the first closing; a path that a bank opens again gets another one."""
    closed_at: Mapped[datetime]
    last_entry_id: Mapped[int | None]
    """Newest journal entry that the hash covers."""
    last_event_id: Mapped[int | None]
    postings: Mapped[int | None]
    events: Mapped[int | None]
    sha256: Mapped[str | None]
    previous: Mapped[str | None]
    """The hash one position earlier; empty for the first."""
    position: Mapped[int | None] = mapped_column(unique=True)
    made_at: Mapped[datetime | None] = mapped_column(server_default=None)
    asked_at: Mapped[datetime] = mapped_column(server_default=func.now())


class TaxProfileRow(Base):
    """What a payee states about themselves. Numbers are sealed: whoever has only the database cannot read them."""

    __tablename__ = "tax_profiles"
    __table_args__ = (
        CheckConstraint(one_of("kind", PersonKind), name="kind"),
        CheckConstraint("country ~ '^[A-Z]{2}$'", name="country"),
        CheckConstraint("(kind = 'person') = (birth_date IS NOT NULL)", name="birth_date"),
        CheckConstraint("(vat_sealed IS NULL) = (vat_last4 IS NULL)", name="vat"),
    )

    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), primary_key=True)
    kind: Mapped[str]
    legal_name: Mapped[str]
    country: Mapped[str]
    tax_number_sealed: Mapped[bytes]
    tax_number_last4: Mapped[str]
    vat_sealed: Mapped[bytes | None]
    vat_last4: Mapped[str | None]
    birth_date: Mapped[date | None]
    address: Mapped[Json]
    contact: Mapped[str]
    shop_urls: Mapped[list[str]]
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())


class TaxQuarter(Base):
    """A payee's figures of a quarter, written down for good. Append-only."""

    __tablename__ = "tax_quarters"
    __table_args__ = (
        CheckConstraint("quarter BETWEEN 1 AND 4", name="quarter"),
        CheckConstraint(CURRENCY_CODE, name="currency_code"),
    )

    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), primary_key=True)
    year: Mapped[int] = mapped_column(primary_key=True)
    quarter: Mapped[int] = mapped_column(primary_key=True)
    currency: Mapped[str] = mapped_column(primary_key=True)
    figures: Mapped[Json]
    made_at: Mapped[datetime] = mapped_column(server_default=func.now())
