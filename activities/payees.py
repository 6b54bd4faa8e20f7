"""Where money that people are due goes: to what they may take out, or, while they are frozen or may not
withdraw, to what is held for them.

Ask before any account of the ledger is locked in the same transaction: a freeze locks its user first and the user's
accounts after it, and whoever goes the other way round can deadlock with it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from db.tables import User
from domain import accounts
from domain.accounts import Account, AccountKind, Side
from domain.capabilities import Capability
from domain.errors import AccountFrozen, CapabilityLimited
from domain.postings import JournalEntry, Posting
from ledger import journal


async def payee_accounts(session: AsyncSession, user_ids: Collection[str]) -> dict[str, Account]:
    """The account each user's income goes to; nobody is frozen, limited or cleared until the transaction ends."""
    kept = await _kept_from_their_money(session, user_ids)
    return {
        user_id: accounts.held(user_id) if user_id in kept else accounts.payable(user_id)
        for user_id in user_ids
    }


async def payee_account(session: AsyncSession, user_id: str) -> Account:
    """The account one user's income goes to; they are not frozen or unfrozen until the transaction ends."""
    return (await payee_accounts(session, [user_id]))[user_id]


async def post(session: AsyncSession, *entries: JournalEntry) -> None:
    """Writes entries as `journal.post` does; what they would credit to payable accounts of frozen users is held.

    Locks those users as `payee_accounts` does. Raises what `journal.post` raises.
    """
    await journal.post(session, *await _held_when_frozen(session, entries))


async def require_active(session: AsyncSession, user_id: str) -> None:
    """Raises AccountFrozen when the user is frozen; otherwise they stay active until the transaction ends."""
    [user] = await _locked(session, [user_id])
    if user.frozen:
        raise AccountFrozen(f"the account {user_id} is frozen", accepted="once it is unfrozen")


async def require_withdrawing(session: AsyncSession, user_id: str) -> None:
    """The same when money is to leave. Raises AccountFrozen, CapabilityLimited."""
    await require_active(session, user_id)
    [user] = await _locked(session, [user_id])
    if Capability.WITHDRAW in user.limited:
        raise CapabilityLimited(
            "withdraw is taken away from this account",
            field=Capability.WITHDRAW,
            accepted="once an operator has given it back",
        )


async def _held_when_frozen(
    session: AsyncSession, entries: Sequence[JournalEntry]
) -> Sequence[JournalEntry]:
    earners = {each.account.owner for entry in entries for each in entry.postings if _income(each)}
    if not earners:
        return entries
    payees = await payee_accounts(session, earners)

    def to_payee(each: Posting) -> Posting:
        account = payees[each.account.owner] if _income(each) else each.account
        return each.model_copy(update={"account": account})

    return [
        entry.model_copy(update={"postings": tuple(map(to_payee, entry.postings))})
        for entry in entries
    ]


def _income(posting: Posting) -> bool:
    return posting.side is Side.CREDIT and posting.account.kind is AccountKind.PAYABLE


class _Standing(NamedTuple):
    id: str
    frozen: bool
    limited: list[str]
    closed: bool


async def _kept_from_their_money(session: AsyncSession, user_ids: Collection[str]) -> set[str]:
    """Whose income is held."""
    return {
        user.id
        for user in await _locked(session, user_ids)
        if user.frozen or user.closed or Capability.WITHDRAW in user.limited
    }


async def _locked(session: AsyncSession, user_ids: Collection[str]) -> list[_Standing]:
    """How the users stand. All of them are locked, so the answer holds until the transaction ends."""
    rows = await session.execute(
        select(User.id, User.frozen_at.is_not(None), User.limited, User.closed_at.is_not(None))
        .where(User.id.in_(sorted(user_ids)))
        .order_by(User.id)
        .with_for_update(read=True)
    )
    return [_Standing(*row) for row in rows]
