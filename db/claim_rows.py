"""What stopped campaigns' creators owe their backers and have paid of it, and the rounds in which that is shared, as rows.

Amounts are minor units. Nothing here writes money.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import timedelta

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Text,
    any_,
    bindparam,
    delete,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    union,
)
from sqlalchemy.ext.asyncio import AsyncSession

from db import fulfilment_rows
from db.tables import ClaimRound, ClaimShare, LedgerAccount, LedgerEntry, LedgerPosting, Path
from domain import accounts
from domain.accounts import Account, AccountKind, Side
from domain.campaign import Phase
from domain.claims import Claim, Debt, come_in
from domain.postings import EntryKind


async def unsettled(session: AsyncSession) -> Sequence[str]:
    """Stopped campaigns whose backers are owed something, or that are in the middle of a round; the oldest first."""
    owed = select(LedgerAccount.owner).where(
        LedgerAccount.kind == AccountKind.CLAIM, LedgerAccount.balance > 0
    )
    begun = select(ClaimRound.campaign_id).where(ClaimRound.ended_at.is_(None))
    wanted = union(owed, begun).subquery()
    rows = await session.scalars(
        select(Path.id)
        .join(wanted, Path.id == wanted.c[0])
        .where(Path.phase == Phase.STOPPED)
        .order_by(Path.id)
    )
    return rows.all()


async def claim_of(
    session: AsyncSession, campaign_id: str, creator_id: str, currency: str
) -> Claim:
    """Where the campaign's claim stands. What has come in only grows; the rest is exact under the path's lock."""
    debts, paid = await _debts(session, creator_id, currency)
    account = accounts.claim(campaign_id)
    passed_on = await session.scalar(
        select(func.coalesce(func.sum(LedgerPosting.amount), 0))
        .join(LedgerEntry, LedgerEntry.id == LedgerPosting.entry_id)
        .join(LedgerAccount, LedgerAccount.id == LedgerPosting.account_id)
        .where(
            *_is(account, currency),
            LedgerPosting.side == Side.DEBIT,
            LedgerEntry.kind == EntryKind.CLAIM_PAID,
        )
    )
    balance = await session.scalar(
        select(LedgerAccount.balance).where(*_is(account, currency)),
    )
    return Claim(
        balance=balance or 0,
        come_in=come_in(debts, paid, campaign_id),
        passed_on=int(passed_on or 0),
    )


async def _debts(session: AsyncSession, user_id: str, currency: str) -> tuple[list[Debt], int]:
    """All that the user ever came to owe, oldest first, and what was paid of it."""
    account = accounts.receivable(user_id)
    found = await session.scalar(select(LedgerAccount).where(*_is(account, currency)))
    if found is None:
        return [], 0
    rows = await session.execute(
        select(LedgerEntry.kind, LedgerEntry.path_id, LedgerPosting.amount)
        .join(LedgerEntry, LedgerEntry.id == LedgerPosting.entry_id)
        .where(
            LedgerPosting.account_id == found.id,
            LedgerPosting.side == Side.DEBIT,
            LedgerEntry.status == "posted",
        )
        .order_by(LedgerPosting.id)
    )
    debts = [
        Debt(campaign_id=path_id if kind == EntryKind.CLAIM else None, amount=amount)
        for kind, path_id, amount in rows
    ]
    return debts, found.credits_posted


async def who_owes(
    session: AsyncSession, user_ids: Collection[str], currency: str
) -> Sequence[str]:
    """Which of these users owe something, as last committed."""
    rows = await session.scalars(
        select(LedgerAccount.owner)
        .where(
            LedgerAccount.kind == AccountKind.RECEIVABLE,
            LedgerAccount.owner == any_(bindparam(None, list(user_ids), type_=ARRAY(Text))),
            LedgerAccount.currency == currency,
            LedgerAccount.balance > 0,
        )
        .order_by(LedgerAccount.owner)
    )
    return rows.all()


def _is(account: Account, currency: str) -> tuple[ColumnElement[bool], ...]:
    return (
        LedgerAccount.kind == account.kind,
        LedgerAccount.owner == account.owner,
        LedgerAccount.currency == currency,
    )


# Rounds.


async def open_round(session: AsyncSession, campaign_id: str) -> ClaimRound | None:
    """The round that is under way."""
    return await session.scalar(
        select(ClaimRound)
        .where(ClaimRound.campaign_id == campaign_id, ClaimRound.ended_at.is_(None))
        .execution_options(populate_existing=True)
    )


async def has_rested(session: AsyncSession, campaign_id: str, currency: str, seconds: int) -> bool:
    """Whether the last round, or without one the claim itself, is so long ago, by the database's clock."""
    since = func.now() - timedelta(seconds=seconds)
    recent = or_(
        exists().where(ClaimRound.campaign_id == campaign_id, ClaimRound.ended_at > since),
        exists().where(
            LedgerEntry.path_id == campaign_id,
            LedgerEntry.kind == EntryKind.CLAIM,
            LedgerEntry.currency == currency,
            LedgerEntry.at > since,
        ),
    )
    return not await session.scalar(select(recent))


async def begin(session: AsyncSession, campaign_id: str, amount: int, for_calls: int) -> None:
    """A new round: what backers get of it is planned for each of those who are short of something, in one statement.

    The caller holds the path's lock, so that it is what `fulfilment_rows.short` has just told.
    """
    number = await session.scalar(
        select(func.coalesce(func.max(ClaimRound.number), 0) + 1).where(
            ClaimRound.campaign_id == campaign_id
        )
    )
    session.add(
        ClaimRound(campaign_id=campaign_id, number=number, amount=amount, for_calls=for_calls)
    )
    await session.flush()
    if amount == for_calls:
        return
    total = await fulfilment_rows.short(session, campaign_id)
    part = fulfilment_rows.shares(amount - for_calls, total, *fulfilment_rows.is_short(campaign_id))
    await session.execute(
        insert(ClaimShare).from_select(
            ["pledge_id", "campaign_id", "amount"],
            select(part.c.id, literal(campaign_id), part.c.share).where(part.c.share > 0),
        )
    )


async def next_shares(session: AsyncSession, campaign_id: str, most: int) -> dict[str, int]:
    """Some pledges that have not got their share of the open round yet, and the share; the path is locked."""
    rows = await session.execute(
        select(ClaimShare.pledge_id, ClaimShare.amount)
        .where(ClaimShare.campaign_id == campaign_id)
        .order_by(ClaimShare.pledge_id)
        .limit(most)
    )
    return {pledge_id: amount for pledge_id, amount in rows}


async def forget_shares(session: AsyncSession, pledge_ids: Collection[str]) -> None:
    """These pledges are dealt with."""
    ids = bindparam(None, list(pledge_ids), type_=ARRAY(Text))
    await session.execute(delete(ClaimShare).where(ClaimShare.pledge_id == any_(ids)))
