"""A ledger under test: short words for posting and looking, on a real database."""

from __future__ import annotations

from sqlalchemy import text

from db.engine import Database
from domain.accounts import Account, AccountKind
from domain.postings import EntryKind, JournalEntry, Share, entry
from ledger import invariants
from ledger.balance import Balance
from ledger.journal import PostedEntry, balances, hold, post, require_empty

PROVIDER = "sandbox"


class Book:
    """Each method is one transaction of its own; keys of `move` number themselves."""

    def __init__(self, database: Database, currency: str = "CNY") -> None:
        self.database = database
        self.currency = currency
        self._moves = 0

    def key(self) -> str:
        self._moves += 1
        return f"test/{self._moves}"

    async def post(self, *entries: JournalEntry) -> list[PostedEntry]:
        async with self.database.transaction() as session:
            return await post(session, *entries)

    async def hold(self, entry: JournalEntry) -> PostedEntry:
        async with self.database.transaction() as session:
            return await hold(session, entry)

    async def move(
        self,
        kind: EntryKind,
        debits: dict[Account, int],
        credits: dict[Account, int],
        path_id: str | None = None,
    ) -> PostedEntry:
        """An entry that no macro makes, such as funding a deposit."""
        made = entry(
            kind,
            self.key(),
            self.currency,
            [Share(account=a, amount=n) for a, n in debits.items()],
            [Share(account=a, amount=n) for a, n in credits.items()],
            path_id=path_id,
        )
        [posted] = await self.post(made)
        return posted

    async def balance(self, account: Account) -> Balance:
        async with self.database.transaction() as session:
            return (await balances(session, [account], self.currency))[account]

    async def posted(self, account: Account) -> int:
        return (await self.balance(account)).posted

    async def standing(self) -> dict[str, int]:
        """Every account that is not at 0, by code."""
        query = text(
            "SELECT kind, owner, balance FROM ledger_accounts WHERE currency = :c AND balance <> 0"
        )
        async with self.database.transaction() as session:
            rows = await session.execute(query, {"c": self.currency})
            return {
                Account(kind=AccountKind(row.kind), owner=row.owner).code: row.balance
                for row in rows
            }

    async def count(self, table: str) -> int:
        async with self.database.transaction() as session:
            found = await session.execute(text(f"SELECT count(*) FROM {table}"))
            return int(found.scalar_one())

    async def require_empty(self, path_id: str) -> None:
        async with self.database.transaction() as session:
            await require_empty(session, path_id)

    async def broken(self) -> list[str]:
        """Names of the invariants that do not hold."""
        async with self.database.transaction() as session:
            return [v.invariant for v in await invariants.check(session)]
