"""Everything the checks look at, read at once: the platform's rows and the provider's own file."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, fields
from pathlib import Path as File
from typing import TypeVar

import psycopg
from psycopg import sql
from psycopg.rows import class_row

Row = TypeVar("Row")


@dataclass(frozen=True)
class Account:
    id: int
    kind: str
    owner: str
    currency: str
    debits_posted: int
    credits_posted: int
    debits_pending: int
    credits_pending: int

    @property
    def name(self) -> str:
        return f"{self.kind}:{self.owner} {self.currency}"


@dataclass(frozen=True)
class Entry:
    id: int
    key: str
    kind: str
    status: str
    resolves_id: int | None
    currency: str
    total: int
    path_id: str | None

    @property
    def subject(self) -> str:
        """The object the entry is about: what its key begins with."""
        return self.key.partition("/")[0]


@dataclass(frozen=True)
class Posting:
    entry_id: int
    account_id: int
    side: str
    amount: int


@dataclass(frozen=True)
class Path:
    id: str
    kind: str
    workflow_id: str
    phase: str
    is_closed: bool
    waits: bool
    """Whether a timer of its is shown to people."""


@dataclass(frozen=True)
class Payment:
    id: str
    path_id: str
    operation_id: str
    reference: str | None
    amount: int
    currency: str
    status: str


@dataclass(frozen=True)
class Refund:
    id: str
    path_id: str
    payment_id: str
    operation_id: str
    reference: str | None
    amount: int
    currency: str
    status: str


@dataclass(frozen=True)
class Payout:
    id: str
    user_id: str
    operation_id: str
    reference: str | None
    amount: int
    currency: str
    status: str


@dataclass(frozen=True)
class Chargeback:
    id: str
    path_id: str
    payment_id: str
    reference: str


@dataclass(frozen=True)
class Key:
    """A request that people made, by its Idempotency-Key."""

    user_id: str
    key: str
    resource_id: str


@dataclass(frozen=True)
class News:
    """A webhook in the inbox."""

    source: str
    event_id: str
    kind: str
    subject: str
    status: str


@dataclass(frozen=True)
class Event:
    """A transition in the timeline of a path."""

    key: str
    path_id: str


@dataclass(frozen=True)
class Books:
    """The platform's side."""

    accounts: list[Account]
    entries: list[Entry]
    postings: list[Posting]
    paths: list[Path]
    payments: list[Payment]
    refunds: list[Refund]
    payouts: list[Payout]
    chargebacks: list[Chargeback]
    keys: list[Key]
    news: list[News]
    events: list[Event]
    made: list[str]
    """Ids of everything that only a request with a key can make."""


@dataclass(frozen=True)
class TheirPayment:
    reference: str
    operation_id: str
    subject: str
    status: str
    amount: int
    currency: str
    fee: int
    settled: int


@dataclass(frozen=True)
class TheirRefund:
    reference: str
    operation_id: str
    subject: str
    payment_reference: str
    status: str
    amount: int
    currency: str


@dataclass(frozen=True)
class TheirPayout:
    reference: str
    operation_id: str
    subject: str
    status: str
    amount: int
    currency: str
    fee: int


@dataclass(frozen=True)
class TheirDispute:
    reference: str
    payment_reference: str
    status: str
    amount: int
    currency: str
    fee: int


@dataclass(frozen=True)
class Movement:
    """A line of the provider's statement; signed, positive came in."""

    reference: str
    kind: str
    amount: int
    currency: str


@dataclass(frozen=True)
class Balance:
    currency: str
    amount: int


@dataclass(frozen=True)
class Delivery:
    """A webhook in the provider's log; a doubled one stands there twice."""

    event_id: str
    subject: str
    state: str
    attempts: int


@dataclass(frozen=True)
class Theirs:
    """The provider's side."""

    payments: list[TheirPayment]
    refunds: list[TheirRefund]
    payouts: list[TheirPayout]
    disputes: list[TheirDispute]
    movements: list[Movement]
    balances: list[Balance]
    deliveries: list[Delivery]


_MADE = """
    SELECT id FROM sales WHERE order_id IS NULL UNION ALL SELECT id FROM orders
    UNION ALL SELECT id FROM listings UNION ALL SELECT id FROM contests
    UNION ALL SELECT id FROM entries UNION ALL SELECT id FROM tenders UNION ALL SELECT id FROM bids
    UNION ALL SELECT id FROM campaigns UNION ALL SELECT id FROM pledges
    UNION ALL SELECT id FROM match_calls UNION ALL SELECT id FROM production_orders
    UNION ALL SELECT id FROM lots UNION ALL SELECT id FROM returns UNION ALL SELECT id FROM disputes
    UNION ALL SELECT id FROM payout_destinations
"""
_PATHS = """
    (SELECT id, kind, workflow_id, phase, closed_at IS NOT NULL AS is_closed,
        deadlines <> '[]' AS waits FROM paths) AS seen
"""


def read_books(url: str) -> Books:
    """One snapshot of the platform's database at `postgresql://…`."""
    with psycopg.connect(url) as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        return books_on(connection)


def books_on(connection: psycopg.Connection[tuple[object, ...]]) -> Books:
    """What this connection sees."""

    def rows(row: type[Row], table: str) -> list[Row]:
        with connection.cursor(row_factory=class_row(row)) as cursor:
            return cursor.execute(sql.SQL(_selected(row, table))).fetchall()

    return Books(
        accounts=rows(Account, "ledger_accounts"),
        entries=rows(Entry, "ledger_entries"),
        postings=rows(Posting, "ledger_postings"),
        paths=rows(Path, _PATHS),
        payments=rows(Payment, "payments"),
        refunds=rows(Refund, "refunds"),
        payouts=rows(Payout, "payouts"),
        chargebacks=rows(Chargeback, "chargebacks"),
        keys=rows(Key, "idempotency_keys"),
        news=rows(News, "webhook_inbox"),
        events=rows(Event, "events"),
        made=[str(row[0]) for row in connection.execute(_MADE)],
    )


def read_theirs(file: File) -> Theirs:
    """One snapshot of the provider's own SQLite file."""
    connection = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
    try:
        connection.execute("BEGIN")
        return theirs_on(connection)
    finally:
        connection.close()


def theirs_on(connection: sqlite3.Connection) -> Theirs:
    """What this connection sees."""

    def rows(row: type[Row], table: str) -> list[Row]:
        return [row(*values) for values in connection.execute(_selected(row, table))]

    return Theirs(
        payments=rows(TheirPayment, "payments"),
        refunds=rows(TheirRefund, "refunds"),
        payouts=rows(TheirPayout, "payouts"),
        disputes=rows(TheirDispute, "disputes"),
        movements=rows(Movement, "movements"),
        balances=rows(Balance, "balances"),
        deliveries=rows(Delivery, "deliveries"),
    )


def _selected(row: type, table: str) -> str:
    names = ", ".join(each.name for each in fields(row))
    return f"SELECT {names} FROM {table}"
