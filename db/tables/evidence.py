"""Evidence in disputes and chargebacks: what people hand in, and the packs that are made of everything."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, func, text
from sqlalchemy.orm import Mapped, mapped_column

from db.tables.base import Base, Json, one_of
from domain.evidence import PackOf


class EvidenceNote(Base):
    """Words and files that somebody hands in for a pack. Append-only."""

    __tablename__ = "evidence_notes"
    __table_args__ = (
        CheckConstraint(one_of("of_kind", PackOf), name="of_kind"),
        CheckConstraint("length(words) BETWEEN 1 AND 4000", name="words"),
        Index(None, "of_id", "id"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    of_kind: Mapped[str]
    of_id: Mapped[str]
    """Id of the dispute or chargeback."""
    path_id: Mapped[str] = mapped_column(ForeignKey("paths.id"))
    author_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    role: Mapped[str]
    """What the author is to the path."""
    words: Mapped[str]
    file_ids: Mapped[list[str]] = mapped_column(server_default=text("'{}'"))
    at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())


class EvidencePackRow(Base):
    """All that speaks in a dispute or chargeback, as it stood when it was put together."""

    __tablename__ = "evidence_packs"
    __table_args__ = (
        CheckConstraint(one_of("of_kind", PackOf), name="of_kind"),
        CheckConstraint("submitted_at IS NULL OR refused IS NULL", name="one_answer"),
        UniqueConstraint("of_kind", "of_id", "sha256"),
        Index(None, "path_id"),
        Index(None, "of_id"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    """Also the operation under which the provider gets it."""
    of_kind: Mapped[str]
    of_id: Mapped[str]
    """Id of the dispute or chargeback."""
    path_id: Mapped[str] = mapped_column(ForeignKey("paths.id"))
    sha256: Mapped[str]
    """Of the canonical form of `content`."""
    content: Mapped[Json]
    """The JSON of a domain.evidence.EvidencePack."""
    built_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    built_by: Mapped[str | None] = mapped_column(ForeignKey("users.id"))
    """Who had it made; the platform itself without one."""
    submitted_at: Mapped[datetime | None]
    """When the provider took it."""
    refused: Mapped[str | None]
    """Why the provider did not take it."""
