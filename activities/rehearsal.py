"""A rehearsal: the real work in a real transaction that is rolled back, and what it would have posted.

Nothing is written twice in other words: what a rehearsal shows is what the same work posts, as long as nobody else has
moved the path meanwhile. `sha256` tells the two apart.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Sequence

from psycopg.errors import LockNotAvailable
from sqlalchemy import select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncSession

from db.engine import Database
from db.tables import Refund
from domain.accounts import PATH_BOUND, AccountKind, Side
from domain.commands import Party
from domain.deadlines import PlannedPosting
from domain.errors import Unavailable
from domain.model import Message
from domain.money import Currency
from domain.path import Standing
from domain.postings import JournalEntry
from ledger import journal

Work = Callable[[AsyncSession], Awaitable[Standing | None]]
"""What is to happen in one transaction. It calls neither Temporal nor a provider."""

_NEW = "new"
"""Stands for the id of a refund that comes to be: another one each time the same work is done."""
_OF_PEOPLE = frozenset({AccountKind.PAYABLE, AccountKind.HELD, AccountKind.RECEIVABLE})
_PATIENCE = text("SET LOCAL lock_timeout = '2s'")
_CHECK_NOW = text("SET CONSTRAINTS ALL IMMEDIATE")


class Gets(Message):
    """What somebody would get and give, through one kind of account in one currency. Minor units."""

    user_id: str | None = None
    """None: the platform, or a pot that is nobody's own."""
    account: AccountKind
    currency: Currency
    gets: int = 0
    """Credited: for a refund what goes back to its payer, for a receivable what they owe less."""
    gives: int = 0


class Rehearsal(Message):
    """What some work would post, and whom it would concern."""

    postings: tuple[PlannedPosting, ...] = ()
    """In the order in which they would be written; a refund that comes to be is called `new`."""
    who: tuple[Gets, ...] = ()
    """By person and account, without the path's own accounts."""
    standing: Standing | None = None
    sha256: str
    """Of the postings with their entries, whatever their order: equal when the same money would move."""


async def rehearsed(database: Database, work: Work) -> Rehearsal:
    """Does the work, notes what it posts, and takes everything back.

    Raises what the work or a constraint of the database refuses, and Unavailable when somebody else is at work on the
    same rows for more than 2 seconds.
    """
    try:
        async with database.transaction() as session:
            await session.execute(_PATIENCE)
            found = await _performed(session, work)
            raise _TakenBack(found)
    except _TakenBack as done:
        return done.found


def parties(found: Rehearsal) -> tuple[Party, ...]:
    """Who would get what, as people are shown it."""
    return tuple(
        Party(
            user_id=each.user_id,
            account=each.account,
            currency=each.currency,
            gets=each.gets,
            gives=each.gives,
        )
        for each in found.who
    )


async def performed(session: AsyncSession, work: Work) -> Rehearsal:
    """Does the work in the caller's transaction, which may commit it or not, and says what it has posted."""
    heard = journal.overhear(session)
    standing = await work(session)
    await session.flush()
    await session.execute(_CHECK_NOW)
    return Rehearsal(
        postings=tuple(_planned(heard)),
        who=await _who(session, heard),
        standing=standing,
        sha256=digest(heard),
    )


def digest(entries: Sequence[JournalEntry]) -> str:
    """SHA-256 of what the entries move, without the keys and ids that differ each time."""
    lines = sorted(
        "\t".join(
            [
                entry.kind,
                entry.path_id or "",
                *sorted(
                    f"{each.side} {each.account} {each.amount} {each.currency}"
                    for each in _planned([entry])
                ),
            ]
        )
        for entry in entries
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


class _TakenBack(Exception):
    """Rolls the transaction back and carries out what was found."""

    def __init__(self, found: Rehearsal) -> None:
        super().__init__("rehearsed")
        self.found = found


async def _performed(session: AsyncSession, work: Work) -> Rehearsal:
    try:
        return await performed(session, work)
    except OperationalError as stopped:
        if isinstance(stopped.orig, LockNotAvailable):
            raise Unavailable(
                "somebody else is at work on this; try again in a moment"
            ) from stopped
        raise


def _planned(entries: Sequence[JournalEntry]) -> list[PlannedPosting]:
    return [
        PlannedPosting(
            account=f"{each.account.kind}:{_NEW}"
            if each.account.kind is AccountKind.REFUND_DUE
            else each.account.code,
            side=each.side,
            amount=each.amount,
            currency=entry.currency,
        )
        for entry in entries
        for each in entry.postings
    ]


async def _who(session: AsyncSession, entries: Sequence[JournalEntry]) -> tuple[Gets, ...]:
    """Whom the entries concern; the payer of a refund has given nothing when it comes to be."""
    refunds = {
        each.account.owner
        for entry in entries
        for each in entry.postings
        if each.account.kind is AccountKind.REFUND_DUE
    }
    rows = await session.execute(select(Refund.id, Refund.payer_id).where(Refund.id.in_(refunds)))
    payers = {refund_id: payer_id for refund_id, payer_id in rows}
    found: dict[tuple[str | None, AccountKind, str], list[int]] = {}
    for entry in entries:
        for each in entry.postings:
            kind, owner = each.account.kind, each.account.owner
            if kind in PATH_BOUND and kind is not AccountKind.REFUND_DUE:
                continue
            person = payers.get(owner, owner if kind in _OF_PEOPLE else None)
            sums = found.setdefault((person, kind, entry.currency), [0, 0])
            sums[each.side is Side.DEBIT] += each.amount
    return tuple(
        Gets(user_id=user_id, account=kind, currency=currency, gets=gets, gives=gives)
        for (user_id, kind, currency), (gets, gives) in sorted(
            found.items(), key=lambda each: (each[0][0] or "", each[0][1], each[0][2])
        )
    )
