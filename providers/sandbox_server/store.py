"""The SQLite file of the sandbox and short, serialised transactions on it."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from providers.sandbox_server.config import SandboxConfig

Value = str | int | float | None

_VERSION = 1
_SCHEMA = """
CREATE TABLE payments (
    id INTEGER PRIMARY KEY, reference TEXT NOT NULL UNIQUE, operation_id TEXT NOT NULL UNIQUE,
    subject TEXT NOT NULL, status TEXT NOT NULL CHECK (status IN ('open', 'captured', 'canceled')),
    amount INTEGER NOT NULL CHECK (amount > 0), currency TEXT NOT NULL,
    description TEXT NOT NULL, return_url TEXT NOT NULL, fee INTEGER NOT NULL DEFAULT 0,
    settled INTEGER NOT NULL DEFAULT 0, decline_reason TEXT, created_at TEXT NOT NULL
) STRICT;
CREATE TABLE refunds (
    id INTEGER PRIMARY KEY, reference TEXT NOT NULL UNIQUE, operation_id TEXT NOT NULL UNIQUE,
    subject TEXT NOT NULL, payment_reference TEXT NOT NULL REFERENCES payments (reference),
    status TEXT NOT NULL CHECK (status IN ('pending', 'succeeded', 'refused')),
    amount INTEGER NOT NULL CHECK (amount > 0), currency TEXT NOT NULL,
    failure_reason TEXT, created_at TEXT NOT NULL
) STRICT;
CREATE INDEX refunds_of_payment ON refunds (payment_reference);
CREATE TABLE payouts (
    id INTEGER PRIMARY KEY, reference TEXT NOT NULL UNIQUE, operation_id TEXT NOT NULL UNIQUE,
    subject TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('in_transit', 'paid', 'failed', 'returned')),
    amount INTEGER NOT NULL CHECK (amount > 0), currency TEXT NOT NULL,
    destination TEXT NOT NULL, holder TEXT NOT NULL, fee INTEGER NOT NULL DEFAULT 0,
    failure_reason TEXT, created_at TEXT NOT NULL,
    plan TEXT NOT NULL, plan_reason TEXT, return_seconds REAL NOT NULL DEFAULT 0, due_at TEXT
) STRICT;
CREATE INDEX payouts_due ON payouts (due_at) WHERE due_at IS NOT NULL;
CREATE TABLE disputes (
    id INTEGER PRIMARY KEY, reference TEXT NOT NULL UNIQUE,
    payment_reference TEXT NOT NULL REFERENCES payments (reference),
    operation_id TEXT NOT NULL, subject TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('open', 'won', 'lost')),
    amount INTEGER NOT NULL CHECK (amount > 0), currency TEXT NOT NULL, fee INTEGER NOT NULL,
    reason TEXT NOT NULL, created_at TEXT NOT NULL
) STRICT;
CREATE INDEX disputes_of_payment ON disputes (payment_reference);
CREATE TABLE movements (
    id INTEGER PRIMARY KEY, reference TEXT NOT NULL, kind TEXT NOT NULL, subject TEXT NOT NULL,
    amount INTEGER NOT NULL, currency TEXT NOT NULL, booked_at TEXT NOT NULL, day TEXT NOT NULL
) STRICT;
CREATE INDEX movements_by_day ON movements (day, currency, amount);
CREATE TABLE balances (currency TEXT PRIMARY KEY, amount INTEGER NOT NULL) STRICT;
CREATE TABLE idempotency_keys (
    operation TEXT NOT NULL, key TEXT NOT NULL, fingerprint TEXT NOT NULL,
    reference TEXT NOT NULL, PRIMARY KEY (operation, key)
) STRICT;
CREATE TABLE behaviours (
    id INTEGER PRIMARY KEY, operation TEXT NOT NULL, effect TEXT NOT NULL,
    times_left INTEGER NOT NULL, subject TEXT, event TEXT, seconds REAL NOT NULL, reason TEXT
) STRICT;
CREATE TABLE deliveries (
    id INTEGER PRIMARY KEY, event_id TEXT NOT NULL, channel TEXT NOT NULL,
    event_type TEXT NOT NULL, subject TEXT NOT NULL, body TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'held', 'delivered', 'dropped', 'given_up')),
    attempts INTEGER NOT NULL DEFAULT 0, due_at TEXT, after_id INTEGER,
    last_status INTEGER, last_error TEXT, created_at TEXT NOT NULL, delivered_at TEXT
) STRICT;
CREATE INDEX deliveries_due ON deliveries (due_at) WHERE state IN ('pending', 'held');
CREATE TABLE parcels (
    tracking_number TEXT PRIMARY KEY, label_paid_by TEXT NOT NULL, kind TEXT NOT NULL,
    created_at TEXT NOT NULL
) STRICT;
CREATE TABLE endpoints (channel TEXT PRIMARY KEY, url TEXT NOT NULL) STRICT;
"""


def stamp(moment: datetime) -> str:
    """A moment as text of fixed width in UTC, so that text order is time order."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def new_reference(prefix: str) -> str:
    """A fresh random identifier of this company."""
    return f"{prefix}_{secrets.token_hex(12)}"


@dataclass(frozen=True)
class Tx:
    """One open transaction: everything done through it happens together or not at all."""

    connection: sqlite3.Connection
    config: SandboxConfig
    now: datetime

    def run(self, statement: str, *values: Value) -> int:
        """Executes and answers the id of the inserted row."""
        return self.connection.execute(statement, values).lastrowid or 0

    def one(self, query: str, *values: Value) -> dict[str, Value] | None:
        """The first row by column name."""
        row = self.connection.execute(query, values).fetchone()
        return dict(row) if row is not None else None

    def all(self, query: str, *values: Value) -> list[dict[str, Value]]:
        """All rows by column name."""
        return [dict(row) for row in self.connection.execute(query, values)]

    def number(self, query: str, *values: Value) -> int:
        """The single whole number a query answers; 0 for NULL or no row."""
        row = self.connection.execute(query, values).fetchone()
        return int(row[0]) if row is not None and row[0] is not None else 0

    def later(self, seconds: float) -> str:
        """The stamp of the moment that many seconds from now."""
        return stamp(self.now + timedelta(seconds=seconds))


class Store:
    """The one connection of this process. Transactions never await, so they never interleave."""

    def __init__(self, config: SandboxConfig, on_commit: Callable[[], None]) -> None:
        config.database.parent.mkdir(parents=True, exist_ok=True)
        self._config = config
        self._on_commit = on_commit
        self._connection = sqlite3.connect(
            config.database, isolation_level=None, check_same_thread=False, timeout=5
        )
        self._connection.row_factory = sqlite3.Row
        for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON"):
            self._connection.execute(f"PRAGMA {pragma}")
        self._migrate()

    def _migrate(self) -> None:
        version = self._connection.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            self._connection.executescript(
                f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {_VERSION}; COMMIT;"
            )
        elif version != _VERSION:
            self._connection.close()
            raise RuntimeError(
                f"{self._config.database} was written by another version of the sandbox; move it away"
            )

    @contextmanager
    def transaction(self) -> Iterator[Tx]:
        """Commits at the end of the block, rolls back on an exception."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield Tx(self._connection, self._config, self._config.clock())
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")
        self._on_commit()

    @contextmanager
    def reading(self) -> Iterator[Tx]:
        """A consistent view without taking the write lock."""
        self._connection.execute("BEGIN")
        try:
            yield Tx(self._connection, self._config, self._config.clock())
        finally:
            self._connection.execute("ROLLBACK")

    def close(self) -> None:
        """Closes the file."""
        self._connection.close()
