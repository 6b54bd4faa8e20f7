"""What all long-running paths have in common."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Identity, Index, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from db.tables.base import CURRENCY_CODE, Base, Json


class Path(Base):
    """Any long-running path: what all of them have in common. `phase` and `deadlines` live here only."""

    __tablename__ = "paths"
    __table_args__ = (
        CheckConstraint("closed_at IS NULL OR deadlines = '[]'", name="closed_waits_for_nothing"),
        CheckConstraint(CURRENCY_CODE, name="currency_code"),
        Index(None, "kind", "phase"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str]
    workflow_id: Mapped[str] = mapped_column(unique=True)
    initiator_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    currency: Mapped[str]
    phase: Mapped[str]
    deadlines: Mapped[list[Json]] = mapped_column(JSONB, server_default=text("'[]'"))
    opened_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())
    paused_at: Mapped[datetime | None]
    """Set while the payer's bank has taken the money back for the moment: nothing moves, timers stand still."""
    closed_at: Mapped[datetime | None]


class PathEvent(Base):
    """The timeline of a path and the outbox of the platform. `key` makes each transition happen once."""

    __tablename__ = "events"
    __table_args__ = (Index(None, "path_id", "id"),)

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    path_id: Mapped[str] = mapped_column(ForeignKey("paths.id"))
    key: Mapped[str] = mapped_column(unique=True)
    kind: Mapped[str]
    phase: Mapped[str]
    actor: Mapped[str]
    """The role that acted: buyer, seller, operator, carrier, provider or system."""
    summary: Mapped[str]
    data: Mapped[Json] = mapped_column(server_default=text("'{}'"))
    at: Mapped[datetime] = mapped_column(server_default=func.now())
    published_at: Mapped[datetime | None]
