"""Contests, what is entered in them, and what is said and signed about it."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Identity, Index, Integer, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from db.tables.base import Base, Json, one_of
from domain.contest import EntryStatus


class Contest(Base):
    """What only a contest has. `terms` is a domain.contest.ContestTerms, `state` a ContestState."""

    __tablename__ = "contests"

    id: Mapped[str] = mapped_column(ForeignKey("paths.id"), primary_key=True)
    owner_id: Mapped[str] = mapped_column(ForeignKey("users.id"), index=True)
    terms: Mapped[Json]
    state: Mapped[Json]
    end_reason: Mapped[str | None]


class Entry(Base):
    """A design handed in to a contest. What it consists of is in its revisions."""

    __tablename__ = "entries"
    __table_args__ = (
        CheckConstraint(one_of("status", EntryStatus), name="status"),
        Index(None, "contest_id", "received_at", "id"),
        Index(None, "contest_id", "creator_id"),
        Index(None, "creator_id", "id"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    contest_id: Mapped[str] = mapped_column(ForeignKey("contests.id"))
    creator_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    title: Mapped[str]
    status: Mapped[str]
    finalist: Mapped[bool] = mapped_column(server_default=text("false"))
    reason: Mapped[str | None]
    """Why it was put aside or taken out."""
    remark: Mapped[str] = mapped_column(server_default=text("''"))
    """The owner's or operator's words with it."""
    received_at: Mapped[datetime]
    """When it arrived, by the database's clock: decides ties."""


class EntryRevision(Base):
    """What was handed in, when: proof of authorship. Never changed; a revision is a new row."""

    __tablename__ = "entry_revisions"

    entry_id: Mapped[str] = mapped_column(ForeignKey("entries.id"), primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    title: Mapped[str]
    note: Mapped[str]
    files: Mapped[list[Json]] = mapped_column(JSONB)
    """Id, SHA-256, media type and name of each file."""
    content_sha256: Mapped[str]
    """Of creator, title, note, files and time in canonical form."""
    received_at: Mapped[datetime]


class Objection(Base):
    """Somebody's word against an entry. open -> dismissed | upheld | lapsed."""

    __tablename__ = "objections"
    __table_args__ = (
        CheckConstraint(one_of("status", ("open", "dismissed", "upheld", "lapsed")), name="status"),
        Index(None, "contest_id", "id"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    contest_id: Mapped[str] = mapped_column(ForeignKey("contests.id"))
    entry_id: Mapped[str] = mapped_column(ForeignKey("entries.id"))
    by_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    ground: Mapped[str]
    words: Mapped[str]
    file_ids: Mapped[list[str]]
    status: Mapped[str]
    ruling: Mapped[str | None]
    ruled_by: Mapped[str | None] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    ruled_at: Mapped[datetime | None]


class LicenceSignature(Base):
    """One side's acceptance of the licence: of which text, by its SHA-256, and when."""

    __tablename__ = "licence_signatures"
    __table_args__ = (Index(None, "path_id", "id"),)

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    path_id: Mapped[str] = mapped_column(ForeignKey("paths.id"))
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    role: Mapped[str]
    entry_id: Mapped[str | None] = mapped_column(ForeignKey("entries.id"))
    text_sha256: Mapped[str]
    signed_at: Mapped[datetime]


class HandOver(Base):
    """What a winner handed over for a prize."""

    __tablename__ = "hand_overs"

    contest_id: Mapped[str] = mapped_column(ForeignKey("contests.id"), primary_key=True)
    entry_id: Mapped[str] = mapped_column(ForeignKey("entries.id"), primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    prize: Mapped[int] = mapped_column(Integer)
    note: Mapped[str]
    files: Mapped[list[Json]] = mapped_column(JSONB)
    handed_over_at: Mapped[datetime]
