"""What the people of a path write to each other, and the packs of evidence made of it."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, func, text
from sqlalchemy.orm import Mapped, mapped_column

from db.tables.base import Base, Json, one_of
from domain.operator_cases import PackOf


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


class EvidencePackRow(Base):
    """All that speaks in a dispute or chargeback, as it stood when it was put together."""

    __tablename__ = "evidence_packs"
    __table_args__ = (
        CheckConstraint(one_of("of_kind", PackOf), name="of_kind"),
        UniqueConstraint("of_kind", "of_id", "sha256"),
        Index(None, "path_id"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    of_kind: Mapped[str]
    of_id: Mapped[str]
    """Id of the dispute or chargeback."""
    path_id: Mapped[str] = mapped_column(ForeignKey("paths.id"))
    sha256: Mapped[str]
    """Of the canonical form of `content`."""
    content: Mapped[Json]
    """The JSON of a domain.evidence.EvidencePack."""
    built_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    submitted_at: Mapped[datetime | None]
    """When the provider took it."""
