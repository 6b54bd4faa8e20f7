"""What stays of a path when it has closed, and what tax offices ask for."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, func, text
from sqlalchemy.orm import Mapped, mapped_column

from db.tables.base import Base


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
