"""What the people of a path write to each other."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, func, text
from sqlalchemy.orm import Mapped, mapped_column

from db.tables.base import Base


class PathMessage(Base):
    """One message from one person of a path to another. Append-only."""

    __tablename__ = "path_messages"
    __table_args__ = (
        CheckConstraint("length(body) BETWEEN 1 AND 4000", name="body"),
        CheckConstraint("author_id <> to_id", name="two_people"),
        Index(None, "path_id", "id"),
        Index(None, "author_id", "at"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    path_id: Mapped[str] = mapped_column(ForeignKey("paths.id"))
    author_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    to_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    role: Mapped[str]
    """What the author was to the path."""
    subject: Mapped[str]
    """What it is about, in the author's words; may be empty."""
    body: Mapped[str]
    file_ids: Mapped[list[str]] = mapped_column(server_default=text("'{}'"))
    at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
