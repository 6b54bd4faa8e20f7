"""The SQLite file of the sandbox and short, serialised transactions on it."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from providers.sandbox_server.config import SandboxConfig
from providers.sandbox_server.schema import STEPS

Value = str | int | float | None


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
    moment: str
    """`now` as it is stored."""

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
        if version > len(STEPS):
            self._connection.close()
            raise RuntimeError(
                f"{self._config.database} was written by another version of the sandbox; move it away"
            )
        if version < len(STEPS):
            missing = " ".join(STEPS[version:])
            self._connection.executescript(
                f"BEGIN IMMEDIATE; {missing} PRAGMA user_version = {len(STEPS)}; COMMIT;"
            )

    @contextmanager
    def transaction(self) -> Iterator[Tx]:
        """Commits at the end of the block, rolls back on an exception."""
        before = self._connection.total_changes
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield self._tx()
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")
        if self._connection.total_changes != before:
            self._on_commit()

    @contextmanager
    def reading(self) -> Iterator[Tx]:
        """A consistent view without taking the write lock."""
        self._connection.execute("BEGIN")
        try:
            yield self._tx()
        finally:
            self._connection.execute("ROLLBACK")

    def _tx(self) -> Tx:
        now = self._config.clock()
        return Tx(self._connection, self._config, now, stamp(now))

    def close(self) -> None:
        """Closes the file."""
        self._connection.close()
