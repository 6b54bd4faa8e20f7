"""Ballots, votes, and what operators have declared void. Votes are never changed: the database refuses it."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Identity, Index, UniqueConstraint, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from db.tables.base import Base, Json


class Ballot(Base):
    """What only a ballot has. `terms` is a domain.ballot.BallotTerms, `result` a domain.ballot_tally.BallotResult."""

    __tablename__ = "ballots"

    id: Mapped[str] = mapped_column(ForeignKey("paths.id"), primary_key=True)
    terms: Mapped[Json]
    parent_path_id: Mapped[str | None] = mapped_column(ForeignKey("paths.id"), index=True)
    """The path that asked the crowd; None for a ballot that stands alone."""
    vote_count: Mapped[int] = mapped_column(server_default=text("0"))
    """Rows of the chain; the next vote gets the next number."""
    voter_count: Mapped[int] = mapped_column(server_default=text("0"))
    """People who have voted, however often; those declared void are not taken off."""
    head_hash: Mapped[str]
    """Hash of the last vote."""
    extended: Mapped[bool] = mapped_column(server_default=text("false"))
    """Whether the voting time has been prolonged because too few had voted."""
    result: Mapped[Json | None] = mapped_column(JSONB(none_as_null=True))
    """The newest count; None before there is one."""
    retallies: Mapped[int] = mapped_column(server_default=text("0"))
    """How often it was counted again after the end."""


class Vote(Base):
    """A vote. Append-only: a change is a new row of the same voter, and their last row counts."""

    __tablename__ = "votes"
    __table_args__ = (Index(None, "ballot_id", "voter_id", "seq"),)

    ballot_id: Mapped[str] = mapped_column(ForeignKey("ballots.id"), primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True)
    """Counts the votes of a ballot from 1, without a gap."""
    voter_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    voter_tag: Mapped[str]
    nonce: Mapped[str]
    choice: Mapped[Json]
    at: Mapped[datetime]
    previous_hash: Mapped[str]
    hash: Mapped[str]


class VoteVoid(Base):
    """An operator's word that one vote, or whatever one person casts, does not count. Append-only."""

    __tablename__ = "vote_voids"
    __table_args__ = (
        CheckConstraint("(seq IS NULL) <> (voter_id IS NULL)", name="one_target"),
        UniqueConstraint("ballot_id", "seq"),
        UniqueConstraint("ballot_id", "voter_id"),
    )

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    ballot_id: Mapped[str] = mapped_column(ForeignKey("ballots.id"))
    seq: Mapped[int | None]
    voter_id: Mapped[str | None] = mapped_column(ForeignKey("users.id"))
    reason: Mapped[str]
    by_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    at: Mapped[datetime] = mapped_column(server_default=func.now())
