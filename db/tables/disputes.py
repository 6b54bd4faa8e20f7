"""Disputes about a part of a path's money, and what both sides have shown."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, Integer, func, text
from sqlalchemy.orm import Mapped, mapped_column

from db.tables.base import Base, Json


class Dispute(Base):
    """What only a dispute has. `terms` is a frozen domain.disputes.DisputeTerms, `course` a domain.disputes.Course."""

    __tablename__ = "disputes"
    __table_args__ = (
        Index(
            "uq_disputes_open",
            "about_id",
            "subject",
            unique=True,
            postgresql_where=text("ended_at IS NULL"),
        ),
        Index(None, "about_id", "id"),
        Index(None, "claimant_id", "id"),
        Index(None, "respondent_id", "id"),
    )

    id: Mapped[str] = mapped_column(ForeignKey("paths.id"), primary_key=True)
    about_id: Mapped[str] = mapped_column(ForeignKey("paths.id"))
    subject: Mapped[str]
    """Which part of the path; one part is disputed once at a time."""
    claimant_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    respondent_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    terms: Mapped[Json]
    course: Mapped[Json]
    locked: Mapped[Json]
    """Of a sale: minor units by number of the line that wait in its escrow for the end of the dispute."""
    ended_at: Mapped[datetime | None]
    end_reason: Mapped[str | None]
    moves: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    """Grows with each transition, so that a story can tell old news from new."""


class DisputeEvidence(Base):
    """What one side has shown. Append-only."""

    __tablename__ = "dispute_evidence"
    __table_args__ = (Index(None, "dispute_id", "id"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    dispute_id: Mapped[str] = mapped_column(ForeignKey("disputes.id"))
    author_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    words: Mapped[str]
    file_ids: Mapped[list[str]] = mapped_column(server_default=text("'{}'"))
    at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
