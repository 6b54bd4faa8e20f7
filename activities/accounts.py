"""Freezing and limiting an account, and the end of it: one transaction each, with everything the user could take out."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession
from temporalio import activity

from db import closing_rows
from db.engine import Database
from db.queries import users
from db.tables import AccountEventRow, LedgerAccount, User
from domain import accounts, postings
from domain.accounts import Account
from domain.capabilities import Capability
from domain.errors import NotFound
from domain.ids import step_key
from domain.people import AccountChange, AccountEvent
from domain.postings import JournalEntry
from ledger import journal


class Accounts:
    """Activities of people's accounts. Each change happens once by its key."""

    def __init__(self, database: Database) -> None:
        self.database = database

    @activity.defn(name="freeze_account")
    async def freeze(self, change: AccountChange) -> None:
        """FREEZE: what the user may take out is held, in every currency. Frozen again, the first reason stays.

        Raises NotFound.
        """
        async with self.database.transaction() as session:
            user = await _locked(session, change.user_id)
            if await _happened(session, change):
                return
            if user.frozen_at is None:
                user.frozen_at = func.now()
                user.frozen_reason = change.reason
            _record(session, change)
            await journal.post(session, *await _freezing(session, change.user_id, change.key))

    @activity.defn(name="unfreeze_account")
    async def unfreeze(self, change: AccountChange) -> None:
        """Cleared: what was held may be taken out, less what the user owes. Without effect on an account not frozen.

        Raises NotFound.
        """
        async with self.database.transaction() as session:
            user = await _locked(session, change.user_id)
            if await _happened(session, change):
                return
            _record(session, change)
            if user.frozen_at is None:
                return
            user.frozen_at = user.frozen_reason = None
            if Capability.WITHDRAW not in user.limited:
                await journal.post(session, *await _unfreezing(session, change.user_id, change.key))

    @activity.defn(name="limit_account")
    async def limit(self, change: AccountChange) -> None:
        """Takes one capability away. Raises NotFound."""
        assert change.capability is not None
        async with self.database.transaction() as session:
            await limit(
                session,
                change.user_id,
                change.capability,
                change.reason,
                key=change.key,
                by=change.by,
            )

    @activity.defn(name="allow_account")
    async def allow(self, change: AccountChange) -> None:
        """Gives one capability back. Raises NotFound."""
        assert change.capability is not None
        async with self.database.transaction() as session:
            await allow(
                session,
                change.user_id,
                change.capability,
                change.reason,
                key=change.key,
                by=change.by,
            )

    @activity.defn(name="end_closings")
    async def end_closings(self) -> None:
        """Closes accounts whose money has left, each in a transaction of its own."""
        async with self.database.transaction() as session:
            found = await closing_rows.closing(session, _AT_ONCE)
        for user_id in found:
            async with self.database.transaction() as session:
                await closing_rows.see_to(session, user_id)


_AT_ONCE = 1_000
"""How many accounts one round looks at."""


async def limit(
    session: AsyncSession,
    user_id: str,
    capability: Capability,
    reason: str,
    *,
    key: str,
    by: str | None = None,
) -> None:
    """Takes one capability away, once by `key`; `by` is None for the platform itself. Raises NotFound.

    Call it before any account of the ledger is locked in the transaction: it locks the user first, and without
    `withdraw` the user's accounts after it.
    """
    user = await _locked(session, user_id)
    change = AccountChange(
        key=key,
        user_id=user_id,
        event=AccountEvent.LIMITED,
        reason=reason,
        by=by,
        capability=capability,
    )
    if await _happened(session, change):
        return
    user.limited = sorted({*user.limited, capability})
    _record(session, change)
    await session.flush()
    if capability is Capability.WITHDRAW:
        await journal.post(session, *await _freezing(session, user_id, key))


async def allow(
    session: AsyncSession,
    user_id: str,
    capability: Capability,
    reason: str,
    *,
    key: str,
    by: str | None = None,
) -> None:
    """Gives one capability back, once by `key`; what was held may be taken out unless the account is frozen.

    Without effect on one that was not taken away. The same order of locks as `limit`. Raises NotFound.
    """
    user = await _locked(session, user_id)
    change = AccountChange(
        key=key,
        user_id=user_id,
        event=AccountEvent.ALLOWED,
        reason=reason,
        by=by,
        capability=capability,
    )
    if await _happened(session, change):
        return
    _record(session, change)
    if capability not in user.limited:
        return
    user.limited = sorted({*user.limited} - {capability})
    await session.flush()
    if capability is Capability.WITHDRAW and user.frozen_at is None:
        await journal.post(session, *await _unfreezing(session, user_id, key))


async def _locked(session: AsyncSession, user_id: str) -> User:
    """The user, whom no settlement pays until the transaction ends."""
    # NO KEY: rows that refer to the user may still be written by those who hold the accounts locked below.
    user = await session.scalar(
        select(User).where(User.id == user_id).with_for_update(key_share=True)
    )
    if user is None:
        raise NotFound(f"there is no user {user_id}")
    return user


async def _happened(session: AsyncSession, change: AccountChange) -> bool:
    found = await session.scalar(
        select(AccountEventRow.id).where(AccountEventRow.key == change.key)
    )
    return found is not None


def _record(session: AsyncSession, change: AccountChange) -> None:
    users.record(
        session,
        change.user_id,
        change.event,
        by=change.by,
        reason=change.reason,
        key=change.key,
        capability=change.capability,
    )


async def _freezing(session: AsyncSession, user_id: str, change_key: str) -> list[JournalEntry]:
    income, held = accounts.payable(user_id), accounts.held(user_id)
    entries = []
    for currency in await _currencies(session, income):
        found = await journal.balances(session, [income, held], currency, for_update=True)
        if amount := found[income].available:
            key = step_key(change_key, currency)
            entries.append(postings.freeze(key, user_id, amount, currency))
    return entries


async def _unfreezing(session: AsyncSession, user_id: str, change_key: str) -> list[JournalEntry]:
    income, held, debt = (
        of(user_id) for of in (accounts.payable, accounts.held, accounts.receivable)
    )
    entries = []
    for currency in await _currencies(session, held):
        found = await journal.balances(session, [income, held, debt], currency, for_update=True)
        amount = found[held].available
        if not amount:
            continue
        key = step_key(change_key, currency)
        entries.append(postings.unfreeze(key, user_id, amount, currency))
        balance = found[income].available + amount
        netting = postings.net_receivable(
            f"{key}/netting", user_id, found[debt].available, balance, currency
        )
        if netting is not None:
            entries.append(netting)
    return entries


async def _currencies(session: AsyncSession, account: Account) -> Sequence[str]:
    """The currencies in which the account exists."""
    rows = await session.scalars(
        select(LedgerAccount.currency)
        .where(LedgerAccount.kind == account.kind, LedgerAccount.owner == account.owner)
        .order_by(LedgerAccount.currency)
    )
    return rows.all()
