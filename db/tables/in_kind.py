"""Offers of help in kind, who asks for them, and what was said and shown about them."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer, func, text
from sqlalchemy.orm import Mapped, mapped_column

from db.tables.base import Base, Json, one_of


class InKindOffer(Base):
    """What only an offer in kind has. `terms` is a domain.in_kind.InKindTerms, frozen once it is published.

    The columns named like the fields of domain.in_kind.Course are those.
    """

    __tablename__ = "in_kind_offers"
    __table_args__ = (
        CheckConstraint("held >= 0 AND claimed > 0 AND released >= 0", name="amounts"),
        CheckConstraint("held = 0 OR asker_id IS NOT NULL", name="held_of_somebody"),
    )

    id: Mapped[str] = mapped_column(ForeignKey("paths.id"), primary_key=True)
    terms: Mapped[Json]
    offer_ends_at: Mapped[datetime | None]
    """None until it is published."""
    due_at: Mapped[datetime | None]
    asker_id: Mapped[str | None] = mapped_column(ForeignKey("users.id"))
    """Who was picked; None while nobody is."""
    payment_id: Mapped[str | None] = mapped_column(ForeignKey("payments.id"))
    """The payment of the deposit of whoever was picked last."""
    held: Mapped[int] = mapped_column(server_default=text("0"))
    hold_until: Mapped[datetime | None]
    claimed: Mapped[int | None]
    is_back: Mapped[bool | None]
    released: Mapped[int] = mapped_column(server_default=text("0"))
    picks: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    extensions: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    end_reason: Mapped[str | None]
    moves: Mapped[int] = mapped_column(server_default=text("0"))
    """Grows with each transition, so that a story can tell old news from new."""


class InKindAsk(Base):
    """Somebody asks for it. live -> withdrawn | picked -> passed (stepped back, did not pay, or was passed over then)."""

    __tablename__ = "in_kind_asks"
    __table_args__ = (
        CheckConstraint(one_of("status", ("live", "withdrawn", "picked", "passed")), name="status"),
        Index(None, "in_kind_id", "id"),
        Index(None, "asker_id", "in_kind_id"),
        Index(
            "uq_in_kind_asks_standing",
            "in_kind_id",
            "asker_id",
            unique=True,
            postgresql_where=text("status IN ('live', 'picked')"),
        ),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    in_kind_id: Mapped[str] = mapped_column(ForeignKey("in_kind_offers.id"))
    asker_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    for_path_id: Mapped[str | None] = mapped_column(ForeignKey("paths.id"))
    """The asker's own path that it is for, such as a campaign."""
    status: Mapped[str]
    message: Mapped[str]
    file_ids: Mapped[list[str]]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())


class InKindRecord(Base):
    """What somebody said and showed with an act, for the people of the agreement. Never changed."""

    __tablename__ = "in_kind_records"
    __table_args__ = (CheckConstraint("amount >= 0", name="amount_not_negative"),)

    in_kind_id: Mapped[str] = mapped_column(ForeignKey("in_kind_offers.id"), primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    pick: Mapped[int] = mapped_column(Integer)
    """After how many choices; who was picked later does not see it."""
    kind: Mapped[str]
    """The domain.in_kind.Event."""
    made_by: Mapped[str]
    """Role: initiator, asker or operator."""
    note: Mapped[str]
    amount: Mapped[int | None]
    """Minor units of a claim or a ruling."""
    file_ids: Mapped[list[str]]
    at: Mapped[datetime]
