"""The one statement that writes new entries: locks, balances, entries and postings in a single call of the database.

The statement is handed to the driver as it is: what an ORM does around a statement takes longer than the statement.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple, cast

import psycopg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from domain.accounts import Side, may_go_below_zero, normal_side
from domain.postings import JournalEntry
from ledger.balance import Ref, path_of

_MAX_64_BIT = 2**63 - 1


class New(NamedTuple):
    """An entry that ends no other."""

    entry: JournalEntry
    status: str
    total: int
    input_hash: str


class Written(NamedTuple):
    """A row of ledger_entries that has been written."""

    id: int
    key: str
    at: datetime


async def write_new(session: AsyncSession, new: Sequence[New]) -> list[Written] | None:
    """Writes all, or nothing and None: when a key is known, or a balance might pass its bounds on the way.

    "Might", because the order of the postings is not looked at. The accounts are locked either way.
    """
    used: dict[Ref, _Use] = {}
    lines = [
        _line(used, each, number) for each in new for number in range(len(each.entry.postings))
    ]
    entries = [each.entry for each in new]
    accounts = [account for account, _ in used]
    arrays: tuple[Iterable[str | int | None], ...] = (
        (account.kind for account in accounts),
        (account.owner for account in accounts),
        (currency for _, currency in used),
        (use.path_id for use in used.values()),
        ("t" if normal_side(account.kind) is Side.DEBIT else "f" for account in accounts),
        (None if may_go_below_zero(ref[0].kind) else use.taken for ref, use in used.items()),
        (min(use.added, _MAX_64_BIT) for use in used.values()),
        (entry.key for entry in entries),
        (each.input_hash for each in new),
        (entry.kind for entry in entries),
        (each.status for each in new),
        (entry.currency for entry in entries),
        (each.total for each in new),
        (entry.path_id for entry in entries),
        (entry.note for entry in entries),
        (key for key, *_ in lines),
        (account for _, account, *_ in lines),
        (side for _, _, side, _ in lines),
        (amount for *_, amount in lines),
    )
    driver = await session.run_sync(_driver)
    try:
        cursor = await driver.execute(_POST, [_array(each) for each in arrays], prepare=True)
        rows = await cursor.fetchall()
    except psycopg.Error as refused:
        raise DBAPIError.instance(_POST.decode(), None, refused, psycopg.Error) from refused
    return [Written(*row) for row in rows] or None


_POST = b"SELECT id, key, at FROM ledger_post(" + b", ".join([b"%s"] * 19) + b")"


class _Use:
    """What entries do to one account."""

    __slots__ = ("added", "path_id", "position", "taken")

    def __init__(self, path_id: str | None, position: int) -> None:
        self.path_id = path_id
        self.position = position
        self.taken = 0
        self.added = 0


def _line(used: dict[Ref, _Use], each: New, number: int) -> tuple[str, int, Side, int]:
    """One posting as the statement takes it; notes what it does to its account."""
    entry = each.entry
    posting = entry.postings[number]
    ref = posting.account, entry.currency
    use = used.get(ref)
    if use is None:
        path_id = path_of(posting.account, entry.path_id)
        use = used[ref] = _Use(path_id, len(used) + 1)
    use.added += posting.amount
    if posting.side is not normal_side(posting.account.kind):
        use.taken += posting.amount
    return entry.key, use.position, posting.side, posting.amount


def _array(values: Iterable[str | int | None]) -> str:
    """An array as PostgreSQL reads it."""
    return "{" + ",".join(map(_element, values)) + "}"


def _element(value: str | int | None) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, int):
        return str(value)
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _driver(session: Session) -> psycopg.AsyncConnection[tuple[int, str, datetime]]:
    """The driver's connection of the session's transaction."""
    return cast(
        psycopg.AsyncConnection[tuple[int, str, datetime]],
        session.connection().connection.driver_connection,
    )
