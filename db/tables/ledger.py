"""The journal and its accounts."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import (
    CheckConstraint,
    Computed,
    ForeignKey,
    Identity,
    Index,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from db.tables.base import CURRENCY_CODE, Base, one_of
from domain.accounts import PATH_BOUND, AccountKind, Side, may_go_below_zero, normal_side

_IS_DEBIT_NORMAL = one_of("kind", [k for k in AccountKind if normal_side(k) is Side.DEBIT])
_MAY_BE_OVERDRAWN = one_of("kind", [k for k in AccountKind if may_go_below_zero(k)])
_IS_PATH_BOUND = one_of("kind", PATH_BOUND)


class LedgerAccount(Base):
    """An account with its materialised balances, in minor units of its currency.

    Only the trigger on ledger_postings changes them; any other UPDATE is refused by the database.
    """

    __tablename__ = "ledger_accounts"
    __table_args__ = (
        CheckConstraint(one_of("kind", AccountKind), name="kind"),
        CheckConstraint(CURRENCY_CODE, name="currency_code"),
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
        CheckConstraint(one_of("status", ("posted", "pending", "void")), name="status"),
        CheckConstraint(
            "CASE status WHEN 'pending' THEN resolves_id IS NULL"
            " WHEN 'void' THEN resolves_id IS NOT NULL ELSE true END",
            name="resolves",
        ),
        CheckConstraint("total > 0", name="total_positive"),
        CheckConstraint(CURRENCY_CODE, name="currency_code"),
        Index(None, "path_id", "id"),
        Index("ix_ledger_entries_at", "at", postgresql_using="brin"),
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
        CheckConstraint(one_of("side", Side), name="side"),
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
