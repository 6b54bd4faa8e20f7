"""Accounts as the ledger sees them: making, locking and reading their balances."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Row, TextClause, text
from sqlalchemy.ext.asyncio import AsyncSession

from domain.accounts import PATH_BOUND, Account, AccountKind, Side, may_go_below_zero, normal_side
from domain.errors import InvalidInput
from domain.model import Message

Ref = tuple[Account, str]
"""An account and the currency it is kept in."""


class Balance(Message):
    """What stands on one account, in minor units; increases are on the normal side of its kind."""

    posted: int = 0
    """Posted increases less posted decreases; below 0 only for kinds that may be overdrawn."""
    pending_in: int = 0
    """Increases that are reserved but not posted."""
    pending_out: int = 0
    """Decreases that are reserved but not posted."""

    @property
    def available(self) -> int:
        """What can be taken now: posted less the reserved decreases. Reserved increases do not count yet."""
        return self.posted - self.pending_out


@dataclass
class LockedAccount:
    """A row of ledger_accounts, on which entries can be tried out before they are written."""

    id: int
    kind: AccountKind
    posted: dict[Side, int]
    pending: dict[Side, int]

    def balance(self) -> Balance:
        grows = normal_side(self.kind)
        shrinks = Side.CREDIT if grows is Side.DEBIT else Side.DEBIT
        return Balance(
            posted=self.posted[grows] - self.posted[shrinks],
            pending_in=self.pending[grows],
            pending_out=self.pending[shrinks],
        )

    def add_posted(self, side: Side, amount: int) -> None:
        self.posted[side] += amount

    def add_pending(self, side: Side, amount: int) -> None:
        self.pending[side] += amount

    def overdrawn(self) -> bool:
        """Whether the account holds less than nothing although its kind may not."""
        return not may_go_below_zero(self.kind) and self.balance().available < 0

    def largest(self) -> int:
        """The largest sum that the database must store for this account."""
        return max(*self.posted.values(), *self.pending.values())


def path_of(account: Account, path_id: str | None) -> str | None:
    """The path a path-bound account belongs to; None for every other kind.

    Escrows, match budgets and deposits carry their path in the owner, so an entry that moves money between the escrows of two paths
    gives each its own. Refunds due and disputes belong to the path of the entry that opens them; InvalidInput without.
    """
    if account.kind not in PATH_BOUND:
        return None
    if account.kind in (AccountKind.ESCROW, AccountKind.MATCH):
        return account.owner
    if account.kind is AccountKind.DEPOSIT:
        return account.owner.partition(":")[0]
    if path_id is None:
        raise InvalidInput(f"{account.code} belongs to a path: say which", field="path_id")
    return path_id


async def lock_accounts(
    session: AsyncSession, wanted: Mapping[Ref, str | None]
) -> dict[Ref, LockedAccount]:
    """Makes what is missing and locks all until the transaction ends, in (kind, owner, currency) order.

    `wanted` maps each account to the path of the entry that uses it.
    """
    paths = [path_of(account, path_id) for (account, _), path_id in wanted.items()]
    return await _rows(session, _LOCK, wanted, path_ids=paths)


async def read_accounts(
    session: AsyncSession, wanted: Mapping[Ref, str | None]
) -> dict[Ref, LockedAccount]:
    """The accounts that exist, as last committed and without a lock."""
    return await _rows(session, _READ, wanted)


async def _rows(
    session: AsyncSession,
    statement: TextClause,
    wanted: Mapping[Ref, str | None],
    **more: list[str | None],
) -> dict[Ref, LockedAccount]:
    arrays = {
        "kinds": [str(account.kind) for account, _ in wanted],
        "owners": [account.owner for account, _ in wanted],
        "currencies": [currency for _, currency in wanted],
        **more,
    }
    rows = await session.execute(statement, arrays)
    return {_ref(row): _locked(row) for row in rows}


_LOCK = text("""
    SELECT id, kind, owner, currency, debits_posted, credits_posted, debits_pending, credits_pending
    FROM ledger_lock_accounts(
        CAST(:kinds AS text[]), CAST(:owners AS text[]), CAST(:currencies AS text[]),
        CAST(:path_ids AS text[]))
""")
_READ = text("""
    SELECT id, kind, owner, currency, debits_posted, credits_posted, debits_pending, credits_pending
    FROM ledger_accounts
    JOIN unnest(CAST(:kinds AS text[]), CAST(:owners AS text[]), CAST(:currencies AS text[]))
        AS wanted (kind, owner, currency) USING (kind, owner, currency)
""")


def _ref(row: Row[tuple[object, ...]]) -> Ref:
    return Account(kind=AccountKind(row.kind), owner=row.owner), row.currency


def _locked(row: Row[tuple[object, ...]]) -> LockedAccount:
    return LockedAccount(
        id=row.id,
        kind=AccountKind(row.kind),
        posted={Side.DEBIT: row.debits_posted, Side.CREDIT: row.credits_posted},
        pending={Side.DEBIT: row.debits_pending, Side.CREDIT: row.credits_pending},
    )
