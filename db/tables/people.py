"""People and their roles."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Identity, Index, UniqueConstraint, func, text
from sqlalchemy.orm import Mapped, mapped_column

from db.tables.base import Base, one_of
from domain.people import AccountEvent


class User(Base):
    """A person, known by the issuer and subject of their token."""

    __tablename__ = "users"
    __table_args__ = (
        UniqueConstraint("issuer", "subject"),
        CheckConstraint("(identity_hash IS NULL) = (verified_at IS NULL)", name="verified"),
        CheckConstraint("(frozen_at IS NULL) = (frozen_reason IS NULL)", name="frozen"),
        CheckConstraint("limited <@ ARRAY['bid', 'pledge', 'sell', 'withdraw']", name="limited"),
        CheckConstraint("closed_at IS NULL OR closing_at IS NOT NULL", name="closed"),
        Index(None, "identity_hash"),
        Index("ix_users_closing", "closing_at", postgresql_where=text("closing_at IS NOT NULL")),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    issuer: Mapped[str]
    subject: Mapped[str]
    display_name: Mapped[str]
    identity_hash: Mapped[str | None]
    """Keyed hash of the document an operator has seen; not unique, since a person may have several accounts."""
    verified_at: Mapped[datetime | None]
    frozen_at: Mapped[datetime | None]
    frozen_reason: Mapped[str | None]
    limited: Mapped[list[str]] = mapped_column(server_default=text("'{}'"))
    """The capabilities that are taken away; account_events tell why."""
    closing_at: Mapped[datetime | None]
    """Since when its owner wants it closed; nothing can be begun any more."""
    closed_at: Mapped[datetime | None]
    """Closed for good: nobody can sign in to it."""
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class UserRole(Base):
    """A platform-wide role of a user."""

    __tablename__ = "user_roles"

    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), primary_key=True)
    role: Mapped[str] = mapped_column(primary_key=True)
    granted_by: Mapped[str | None] = mapped_column(ForeignKey("users.id"))
    granted_at: Mapped[datetime] = mapped_column(server_default=func.now())


class AccountEventRow(Base):
    """What was done to an account. `key` lets a freeze, a limit or their end happen once."""

    __tablename__ = "account_events"
    __table_args__ = (
        CheckConstraint(one_of("kind", AccountEvent), name="kind"),
        CheckConstraint(
            "(kind IN ('allowed', 'limited')) = (capability IS NOT NULL)", name="capability"
        ),
        Index(None, "user_id", "id"),
    )

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    key: Mapped[str | None] = mapped_column(unique=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    kind: Mapped[str]
    reason: Mapped[str | None]
    capability: Mapped[str | None]
    by_id: Mapped[str | None] = mapped_column(ForeignKey("users.id"))
    """Nobody: the platform itself."""
    at: Mapped[datetime] = mapped_column(server_default=func.now())


class SelfDealingRefusal(Base):
    """Somebody was kept from a path of their own, or of an account that counts as the same person."""

    __tablename__ = "self_dealing_refusals"
    __table_args__ = (
        CheckConstraint(
            one_of("tie", ("same_person", "same_identity", "same_destination")), name="tie"
        ),
        Index(None, "path_id", "id"),
    )

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    request_id: Mapped[str | None] = mapped_column(unique=True)
    """What the refused request would have made: a request that is repeated is written down once."""
    path_id: Mapped[str | None]
    """None when the path would only have come to be by the request."""
    action: Mapped[str]
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    other_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    tie: Mapped[str]
    at: Mapped[datetime] = mapped_column(server_default=func.now())
