"""Every table, as SQLAlchemy sees it. The migrations in db/migrations are what the database gets."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    Computed,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from domain.accounts import PATH_BOUND, AccountKind, Side, may_go_below_zero, normal_side

Json = dict[str, Any]
"""A pydantic model's JSON as stored; read back through that model at once."""


_CURRENCY_CODE = "currency ~ '^[A-Z]{3}$'"


def _one_of(column: str, values: Iterable[str]) -> str:
    listed = ", ".join(f"'{value}'" for value in sorted(values))
    return f"{column} IN ({listed})"


_IS_DEBIT_NORMAL = _one_of("kind", [k for k in AccountKind if normal_side(k) is Side.DEBIT])
_MAY_BE_OVERDRAWN = _one_of("kind", [k for k in AccountKind if may_go_below_zero(k)])
_IS_PATH_BOUND = _one_of("kind", PATH_BOUND)


class Base(DeclarativeBase):
    """Columns without a stated type follow the Python type."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        str: Text,
        int: BigInteger,
        datetime: DateTime(timezone=True),
        Json: JSONB,
        list[str]: ARRAY(Text),
    }


class User(Base):
    """A person, known by the issuer and subject of their token."""

    __tablename__ = "users"
    __table_args__ = (UniqueConstraint("issuer", "subject"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    issuer: Mapped[str]
    subject: Mapped[str]
    display_name: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class UserRole(Base):
    """A platform-wide role of a user."""

    __tablename__ = "user_roles"

    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), primary_key=True)
    role: Mapped[str] = mapped_column(primary_key=True)
    granted_by: Mapped[str | None] = mapped_column(ForeignKey("users.id"))
    granted_at: Mapped[datetime] = mapped_column(server_default=func.now())


class File(Base):
    """An uploaded picture; the bytes lie in the file store under their SHA-256."""

    __tablename__ = "files"

    id: Mapped[str] = mapped_column(primary_key=True)
    owner_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    sha256: Mapped[str]
    media_type: Mapped[str]
    size_bytes: Mapped[int]
    width: Mapped[int] = mapped_column(Integer)
    height: Mapped[int] = mapped_column(Integer)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Listing(Base):
    """Something a maker offers. `stock` counts what is left for counted kinds."""

    __tablename__ = "listings"
    __table_args__ = (
        CheckConstraint("unit_price > 0", name="unit_price_positive"),
        CheckConstraint("stock >= 0", name="stock_not_negative"),
        CheckConstraint(_CURRENCY_CODE, name="currency_code"),
        Index(None, "seller_id", "id"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    seller_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    title: Mapped[str]
    description: Mapped[str]
    unit_price: Mapped[int]
    currency: Mapped[str]
    stock_kind: Mapped[str]
    stock: Mapped[int]
    lead_days: Mapped[int] = mapped_column(Integer)
    available_from: Mapped[datetime | None]
    royalty_basis_points: Mapped[int] = mapped_column(Integer)
    royalty_sku: Mapped[str | None]
    delivery: Mapped[list[str]]
    picture_ids: Mapped[list[str]]
    on_sale: Mapped[bool]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())


class Path(Base):
    """Any long-running path: what all of them have in common. `phase` and `deadlines` live here only."""

    __tablename__ = "paths"
    __table_args__ = (
        CheckConstraint("closed_at IS NULL OR deadlines = '[]'", name="closed_waits_for_nothing"),
        CheckConstraint(_CURRENCY_CODE, name="currency_code"),
        Index(None, "kind", "phase"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str]
    workflow_id: Mapped[str] = mapped_column(unique=True)
    initiator_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    currency: Mapped[str]
    phase: Mapped[str]
    deadlines: Mapped[list[Json]] = mapped_column(JSONB, server_default=text("'[]'"))
    opened_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())
    closed_at: Mapped[datetime | None]


class Sale(Base):
    """What only a sale has. `terms` is a frozen domain.sale.SaleTerms."""

    __tablename__ = "sales"
    __table_args__ = (
        Index(None, "buyer_id", "id"),
        Index(None, "seller_id", "id"),
        Index(
            "uq_sales_parcel",
            "carrier",
            "tracking_number",
            unique=True,
            postgresql_where=text("tracking_number IS NOT NULL"),
        ),
    )

    id: Mapped[str] = mapped_column(ForeignKey("paths.id"), primary_key=True)
    buyer_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    seller_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    total: Mapped[int]
    terms: Mapped[Json]
    carrier: Mapped[str | None]
    tracking_number: Mapped[str | None]
    label_paid_by: Mapped[str | None]
    last_scan_at: Mapped[datetime | None]
    end_reason: Mapped[str | None]


class Reservation(Base):
    """Pieces taken out of a listing's stock for one sale. reserved -> sold | released, each once."""

    __tablename__ = "reservations"
    __table_args__ = (
        CheckConstraint("quantity > 0", name="quantity_positive"),
        CheckConstraint(_one_of("state", ("reserved", "sold", "released")), name="state"),
    )

    sale_id: Mapped[str] = mapped_column(ForeignKey("sales.id"), primary_key=True)
    listing_id: Mapped[str] = mapped_column(ForeignKey("listings.id"), primary_key=True)
    quantity: Mapped[int]
    state: Mapped[str]
    expires_at: Mapped[datetime]


class Payment(Base):
    """One payment for one path. `operation_id` is the provider's idempotency key."""

    __tablename__ = "payments"
    __table_args__ = (
        CheckConstraint("amount > 0", name="amount_positive"),
        CheckConstraint(_CURRENCY_CODE, name="currency_code"),
        UniqueConstraint("provider", "reference"),
        Index(None, "path_id"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    path_id: Mapped[str] = mapped_column(ForeignKey("paths.id"))
    payer_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    provider: Mapped[str]
    operation_id: Mapped[str] = mapped_column(unique=True)
    reference: Mapped[str | None]
    amount: Mapped[int]
    currency: Mapped[str]
    status: Mapped[str]
    checkout_url: Mapped[str | None]
    fee: Mapped[int] = mapped_column(server_default=text("0"))
    expires_at: Mapped[datetime]
    hold_deadline: Mapped[datetime | None]
    captured_at: Mapped[datetime | None]
    settled_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Refund(Base):
    """Money on its way back to a payer."""

    __tablename__ = "refunds"
    __table_args__ = (
        CheckConstraint("amount > 0", name="amount_positive"),
        CheckConstraint(_CURRENCY_CODE, name="currency_code"),
        UniqueConstraint("provider", "reference"),
        Index(None, "path_id"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    path_id: Mapped[str] = mapped_column(ForeignKey("paths.id"))
    payment_id: Mapped[str] = mapped_column(ForeignKey("payments.id"))
    payer_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    provider: Mapped[str]
    operation_id: Mapped[str] = mapped_column(unique=True)
    reference: Mapped[str | None]
    amount: Mapped[int]
    currency: Mapped[str]
    reason: Mapped[str]
    status: Mapped[str]
    failure_reason: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    ended_at: Mapped[datetime | None]


class PayoutDestination(Base):
    """Where a user's money goes. A destination is never changed, only replaced."""

    __tablename__ = "payout_destinations"
    __table_args__ = (
        CheckConstraint(_one_of("status", ("active", "replaced", "failed")), name="status"),
        CheckConstraint(_CURRENCY_CODE, name="currency_code"),
        Index(
            "uq_payout_destinations_active",
            "user_id",
            "currency",
            unique=True,
            postgresql_where=text("status = 'active'"),
        ),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    provider: Mapped[str]
    currency: Mapped[str]
    account: Mapped[str]
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
        CheckConstraint(_CURRENCY_CODE, name="currency_code"),
        UniqueConstraint("provider", "reference"),
        Index(None, "user_id", "id"),
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
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    ended_at: Mapped[datetime | None]


class InboxRow(Base):
    """A webhook as it came. status: received -> consumed | ignored; or rejected at the door."""

    __tablename__ = "webhook_inbox"
    __table_args__ = (
        CheckConstraint(
            _one_of("status", ("received", "consumed", "ignored", "rejected")), name="status"
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
    attempts: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    received_at: Mapped[datetime] = mapped_column(server_default=func.now())
    next_attempt_at: Mapped[datetime] = mapped_column(server_default=func.now())
    consumed_at: Mapped[datetime | None]


class PathEvent(Base):
    """The timeline of a path and the outbox of the platform. `key` makes each transition happen once."""

    __tablename__ = "events"
    __table_args__ = (Index(None, "path_id", "id"),)

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    path_id: Mapped[str] = mapped_column(ForeignKey("paths.id"))
    key: Mapped[str] = mapped_column(unique=True)
    kind: Mapped[str]
    phase: Mapped[str]
    actor: Mapped[str]
    """The role that acted: buyer, seller, operator, carrier, provider or system."""
    summary: Mapped[str]
    data: Mapped[Json] = mapped_column(server_default=text("'{}'"))
    at: Mapped[datetime] = mapped_column(server_default=func.now())
    published_at: Mapped[datetime | None]


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


class LedgerAccount(Base):
    """An account with its materialised balances, in minor units of its currency.

    Only the trigger on ledger_postings changes them; any other UPDATE is refused by the database.
    """

    __tablename__ = "ledger_accounts"
    __table_args__ = (
        CheckConstraint(_one_of("kind", AccountKind), name="kind"),
        CheckConstraint(_CURRENCY_CODE, name="currency_code"),
        CheckConstraint(f"({_IS_PATH_BOUND}) = (path_id IS NOT NULL)", name="path_bound"),
        CheckConstraint(
            "debits_pending >= 0 AND credits_pending >= 0", name="pending_not_negative"
        ),
        CheckConstraint(
            f"{_MAY_BE_OVERDRAWN} OR CASE WHEN {_IS_DEBIT_NORMAL}"
            " THEN debits_posted - credits_posted - credits_pending >= 0"
            " ELSE credits_posted - debits_posted - debits_pending >= 0 END",
            name="not_overdrawn",
        ),
        UniqueConstraint("kind", "owner", "currency"),
        Index(None, "owner"),
    )

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    kind: Mapped[str]
    owner: Mapped[str]
    currency: Mapped[str]
    path_id: Mapped[str | None] = mapped_column(index=True)
    """The path a path-bound account belongs to; none for every other kind."""
    debits_posted: Mapped[int] = mapped_column(server_default=text("0"))
    credits_posted: Mapped[int] = mapped_column(server_default=text("0"))
    debits_pending: Mapped[int] = mapped_column(server_default=text("0"))
    credits_pending: Mapped[int] = mapped_column(server_default=text("0"))
    balance: Mapped[int] = mapped_column(
        Computed(
            f"CASE WHEN {_IS_DEBIT_NORMAL} THEN debits_posted - credits_posted"
            " ELSE credits_posted - debits_posted END",
            persisted=True,
        )
    )
    """What is posted, on the normal side of the kind."""
    version: Mapped[int] = mapped_column(server_default=text("0"))
    """How many postings the account has."""
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class LedgerEntry(Base):
    """A journal entry: posted at once, pending, or the post / void that ends a pending one. Append-only.

    Whatever ends a pending entry repeats its postings, so that the postings of an account alone explain its balances.
    """

    __tablename__ = "ledger_entries"
    __table_args__ = (
        CheckConstraint(_one_of("status", ("posted", "pending", "void")), name="status"),
        CheckConstraint(
            "CASE status WHEN 'pending' THEN resolves_id IS NULL"
            " WHEN 'void' THEN resolves_id IS NOT NULL ELSE true END",
            name="resolves",
        ),
        CheckConstraint("total > 0", name="total_positive"),
        CheckConstraint(_CURRENCY_CODE, name="currency_code"),
        Index(None, "path_id", "id"),
    )

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    key: Mapped[str] = mapped_column(unique=True)
    input_hash: Mapped[str]
    kind: Mapped[str]
    status: Mapped[str]
    """posted | pending | void."""
    resolves_id: Mapped[int | None] = mapped_column(ForeignKey("ledger_entries.id"), unique=True)
    """The pending entry that this one posts or voids; each can be ended once."""
    currency: Mapped[str]
    total: Mapped[int]
    """Sum of the debits and of the credits; with it fixed, no posting can be added later."""
    path_id: Mapped[str | None]
    note: Mapped[str]
    at: Mapped[datetime] = mapped_column(server_default=func.now())


class LedgerPosting(Base):
    """One side of a journal entry. Append-only."""

    __tablename__ = "ledger_postings"
    __table_args__ = (
        CheckConstraint(_one_of("side", Side), name="side"),
        CheckConstraint("amount > 0", name="amount_positive"),
        Index(None, "account_id", "id"),
        Index(None, "entry_id"),
    )

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    entry_id: Mapped[int] = mapped_column(ForeignKey("ledger_entries.id"))
    account_id: Mapped[int] = mapped_column(ForeignKey("ledger_accounts.id"))
    side: Mapped[str]
    amount: Mapped[int]
    balance_after: Mapped[int | None]
    """Balance on the account's normal side after this posting, set by the database; none for pending and void."""
