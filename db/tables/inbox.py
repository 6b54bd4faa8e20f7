"""What must be answered once: webhooks and repeated requests."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, Identity, Index, Integer, LargeBinary, func, text
from sqlalchemy.orm import Mapped, mapped_column

from db.tables.base import Base, Json, one_of


class InboxRow(Base):
    """A webhook as it came. status: received -> consumed | ignored; or rejected at the door."""

    __tablename__ = "webhook_inbox"
    __table_args__ = (
        CheckConstraint(
            one_of("status", ("received", "consumed", "ignored", "rejected")), name="status"
        ),
        Index(
            "uq_webhook_inbox_event",
            "source",
            "event_id",
            unique=True,
            postgresql_where=text("status <> 'rejected'"),
        ),
        Index(
            "uq_webhook_inbox_rejected",
            "source",
            "event_id",
            unique=True,
            postgresql_where=text("status = 'rejected'"),
        ),
        Index(
            "ix_webhook_inbox_rejected_at",
            "source",
            "received_at",
            postgresql_where=text("status = 'rejected'"),
        ),
        Index(
            "ix_webhook_inbox_due",
            "next_attempt_at",
            postgresql_where=text("status = 'received'"),
        ),
        Index(
            "ix_webhook_inbox_in_batches",
            "id",
            postgresql_where=text("status = 'received' AND in_batches"),
        ),
        Index(None, "subject"),
    )

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    source: Mapped[str]
    event_id: Mapped[str]
    kind: Mapped[str]
    subject: Mapped[str]
    body: Mapped[bytes] = mapped_column(LargeBinary)
    status: Mapped[str]
    reason: Mapped[str | None]
    in_batches: Mapped[bool] = mapped_column(server_default=text("false"))
    """Whether it is consumed together with many others, and no workflow is told of it."""
    attempts: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    received_at: Mapped[datetime] = mapped_column(server_default=func.now())
    next_attempt_at: Mapped[datetime] = mapped_column(server_default=func.now())
    consumed_at: Mapped[datetime | None]


class IdempotencyRow(Base):
    """The answer to a POST, kept so that repeating the request repeats the answer."""

    __tablename__ = "idempotency_keys"

    user_id: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    request_hash: Mapped[str]
    resource_id: Mapped[str]
    """The id given to what the request makes, fixed at the first try."""
    status_code: Mapped[int | None] = mapped_column(Integer)
    body: Mapped[Json | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
