"""Money that comes in, goes back and goes out."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import (
    CheckConstraint,
    Computed,
    ForeignKey,
    Index,
    Integer,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column, validates

from db.tables.base import CURRENCY_CODE, Base, one_of
from domain.moves import moved
from domain.payees import PayeeStatus
from domain.payments import PAYMENT_MOVES, PAYOUT_MOVES, REFUND_MOVES, RefundCause
from domain.payouts import PayoutEvery

_ACCOUNT_KEY = "nullif(translate(upper(account), ' -', ''), '')"


class Payment(Base):
    """One payment for one path. `operation_id` is the provider's idempotency key."""

    __tablename__ = "payments"
    __table_args__ = (
        CheckConstraint("amount > 0", name="amount_positive"),
        CheckConstraint(CURRENCY_CODE, name="currency_code"),
        UniqueConstraint("provider", "reference"),
        Index(None, "path_id"),
        Index("ix_payments_pledge_id", "pledge_id", postgresql_where=text("pledge_id IS NOT NULL")),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    path_id: Mapped[str] = mapped_column(ForeignKey("paths.id"))
    pledge_id: Mapped[str | None] = mapped_column(ForeignKey("pledges.id", use_alter=True))
    """The pledge it pays; such payments are followed in batches, not by a story each."""
    payer_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    provider: Mapped[str]
    operation_id: Mapped[str] = mapped_column(unique=True)
    reference: Mapped[str | None]
    amount: Mapped[int]
    currency: Mapped[str]
    purpose: Mapped[str] = mapped_column(server_default=text("'price'"))
    """What it pays for; decides which account of the path it fills (domain.payments.Purpose)."""
    status: Mapped[str]
    checkout_url: Mapped[str | None]
    fee: Mapped[int] = mapped_column(server_default=text("0"))
    expires_at: Mapped[datetime]
    hold_deadline: Mapped[datetime | None]
    captured_at: Mapped[datetime | None]
    settled_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    @validates("status")
    def _only_along_an_arrow(self, name: str, new: str) -> str:
        return moved(PAYMENT_MOVES, self.__dict__.get(name), new)


class Refund(Base):
    """Money on its way back to a payer."""

    __tablename__ = "refunds"
    __table_args__ = (
        CheckConstraint("amount > 0", name="amount_positive"),
        CheckConstraint(CURRENCY_CODE, name="currency_code"),
        UniqueConstraint("provider", "reference"),
        Index(None, "path_id"),
        Index(None, "payment_id"),
        Index("ix_refunds_pledge_id", "pledge_id", postgresql_where=text("pledge_id IS NOT NULL")),
        Index("ix_refunds_cause_id", "cause_id", postgresql_where=text("cause_id IS NOT NULL")),
        CheckConstraint(one_of("cause", RefundCause), name="cause"),
        Index(
            "ix_refunds_open",
            "created_at",
            postgresql_where=text("status IN ('requested', 'pending')"),
        ),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    path_id: Mapped[str] = mapped_column(ForeignKey("paths.id"))
    pledge_id: Mapped[str | None] = mapped_column(ForeignKey("pledges.id"))
    """The pledge it gives back; a story follows it only when the provider refuses it."""
    payment_id: Mapped[str] = mapped_column(ForeignKey("payments.id"))
    payer_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    provider: Mapped[str]
    operation_id: Mapped[str] = mapped_column(unique=True)
    reference: Mapped[str | None]
    amount: Mapped[int]
    currency: Mapped[str]
    reason: Mapped[str]
    cause: Mapped[str] = mapped_column(server_default=RefundCause.PATH)
    cause_id: Mapped[str | None]
    """The return, dispute or command that asked for it."""
    status: Mapped[str]
    failure_reason: Mapped[str | None]
    offered_until: Mapped[datetime | None]
    """Of a pledge's refund that the provider refused: until when it may be taken as balance."""
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    ended_at: Mapped[datetime | None]

    @validates("status")
    def _only_along_an_arrow(self, name: str, new: str) -> str:
        return moved(REFUND_MOVES, self.__dict__.get(name), new)


class PayoutDestination(Base):
    """Where a user's money goes. A destination is never changed, only replaced."""

    __tablename__ = "payout_destinations"
    __table_args__ = (
        CheckConstraint(one_of("status", ("active", "replaced", "failed")), name="status"),
        CheckConstraint(CURRENCY_CODE, name="currency_code"),
        Index(
            "uq_payout_destinations_active",
            "user_id",
            "currency",
            unique=True,
            postgresql_where=text("status = 'active'"),
        ),
        Index(None, "account_key", "user_id"),
        Index(None, "user_id", "account_key"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    provider: Mapped[str]
    currency: Mapped[str]
    account: Mapped[str]
    account_key: Mapped[str | None] = mapped_column(Computed(_ACCOUNT_KEY, persisted=True))
    """The account in one spelling; written by the database, so no writer can leave it out or differ."""
    holder: Mapped[str]
    status: Mapped[str]
    """active, replaced, or failed (the last payout to it failed; the user must give another)."""
    automatic: Mapped[bool]
    """Whether the payout schedule pays out by itself, or only on request."""
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Payout(Base):
    """Money on its way to a payee."""

    __tablename__ = "payouts"
    __table_args__ = (
        CheckConstraint("amount > 0", name="amount_positive"),
        CheckConstraint(CURRENCY_CODE, name="currency_code"),
        UniqueConstraint("provider", "reference"),
        Index(None, "user_id", "id"),
        Index(
            "ix_payouts_open",
            "created_at",
            postgresql_where=text(
                "status IN ('held', 'requested', 'submitted', 'awaiting_payee', 'in_transit')"
            ),
        ),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    destination_id: Mapped[str] = mapped_column(ForeignKey("payout_destinations.id"))
    provider: Mapped[str]
    operation_id: Mapped[str] = mapped_column(unique=True)
    reference: Mapped[str | None]
    amount: Mapped[int]
    currency: Mapped[str]
    status: Mapped[str]
    failure_reason: Mapped[str | None]
    confirm_url: Mapped[str | None]
    """Where the payee confirms it, while that is awaited."""
    held_reason: Mapped[str | None]
    """Why an operator looks, or has looked, at it."""
    decided_by: Mapped[str | None] = mapped_column(ForeignKey("users.id"))
    decided_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    ended_at: Mapped[datetime | None]

    @validates("status")
    def _only_along_an_arrow(self, name: str, new: str) -> str:
        return moved(PAYOUT_MOVES, self.__dict__.get(name), new)


class Payee(Base):
    """Somebody as a payment company knows them. Written only after reading it there."""

    __tablename__ = "payees"
    __table_args__ = (
        CheckConstraint(one_of("status", PayeeStatus), name="status"),
        UniqueConstraint("user_id", "provider"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    provider: Mapped[str]
    reference: Mapped[str | None]
    status: Mapped[str]
    requirements: Mapped[list[str]] = mapped_column(server_default=text("'{}'"))
    """What the company wants to know, in its words."""
    url: Mapped[str | None]
    """Where the payee answers that."""
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    checked_at: Mapped[datetime | None]


class PayoutWish(Base):
    """When somebody wants their balance to leave by itself; without one: each day."""

    __tablename__ = "payout_wishes"
    __table_args__ = (
        CheckConstraint(one_of("every", PayoutEvery), name="every"),
        CheckConstraint("(every = 'week') = (weekday IS NOT NULL)", name="weekday"),
        CheckConstraint("weekday BETWEEN 1 AND 7", name="weekday_number"),
        CheckConstraint("minimum > 0", name="minimum"),
        CheckConstraint(CURRENCY_CODE, name="currency_code"),
    )

    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), primary_key=True)
    currency: Mapped[str] = mapped_column(primary_key=True)
    every: Mapped[str]
    weekday: Mapped[int | None] = mapped_column(Integer)
    """1 Monday to 7 Sunday, UTC."""
    minimum: Mapped[int | None]
    """Less than so many minor units stays on the balance."""
    changed_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())
