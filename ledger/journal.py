"""Writing money: journal entries, holds and what ends them. The only code that inserts into the ledger.

The database keeps the materialised balances (a trigger on each posting), refuses changes to what is written, and checks
at commit that every entry balances. This module adds what a database cannot say well: idempotency, the order of locks,
and refusals as types before anything is written.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Row, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from domain.accounts import Account, AccountKind, Side
from domain.errors import (
    AmountOutOfRange,
    CurrencyMismatch,
    IdempotencyConflict,
    InsufficientFunds,
    NotFound,
    PathNotEmpty,
    UnbalancedEntry,
    WrongPhase,
)
from domain.model import Instant, Message
from domain.money import format_money
from domain.postings import EntryKind, JournalEntry, Posting
from ledger.balance import Balance, LockedAccount, lock_accounts, read_accounts
from ledger.writing import New, write_new

_MAX_64_BIT = 2**63 - 1
_OVERHEARD = "overheard"


class EntryStatus(StrEnum):
    """What an entry does to the balances of its accounts."""

    POSTED = "posted"
    """Moves the money; when it ends a pending entry, takes the reservation away as well."""
    PENDING = "pending"
    """Reserves the money."""
    VOID = "void"
    """Ends a pending entry by taking the reservation away."""


class PostedEntry(Message):
    """A journal entry as it stands in the ledger."""

    id: int
    key: str
    status: EntryStatus
    at: Instant
    written: bool
    """False when an earlier call with the same key had written it and this one wrote nothing."""


async def post(session: AsyncSession, *entries: JournalEntry) -> list[PostedEntry]:
    """Writes entries within the caller's transaction; answers in the order of the arguments.

    An entry whose key is known is not written again: with the same content the earlier one is returned, with another
    content IdempotencyConflict is raised. Later entries of one call can use what earlier ones bring. Accounts are made
    when first used and locked in one order for everybody until the transaction ends, so a transaction should write
    all its entries in one call; several calls can deadlock with others, and PostgreSQL then ends one of them.

    Raises UnbalancedEntry, InsufficientFunds (naming the account) and AmountOutOfRange before anything is written,
    so the caller's transaction stays usable.
    """
    return await _write(session, [_Draft(entry) for entry in entries])


def overhear(session: AsyncSession) -> list[JournalEntry]:
    """A list that from now on gets every entry which moves money in the session's transaction, as it is written."""
    heard: list[JournalEntry] = []
    session.info[_OVERHEARD] = heard
    return heard


async def hold(session: AsyncSession, entry: JournalEntry) -> PostedEntry:
    """Reserves the money of an entry: nobody else can use it until post_pending or void_pending ends the hold.

    Raises what `post` raises.
    """
    [written] = await _write(session, [_Draft(entry, EntryStatus.PENDING)])
    return written


async def post_pending(session: AsyncSession, key: str, pending_key: str) -> PostedEntry:
    """Moves the whole amount of the hold `pending_key`. `key` is the idempotency key of this step.

    Raises NotFound for an unknown hold, WrongPhase when another key ended it already, IdempotencyConflict.
    """
    return await _end(session, key, pending_key, EntryStatus.POSTED)


async def void_pending(session: AsyncSession, key: str, pending_key: str) -> PostedEntry:
    """Gives the reserved money of the hold `pending_key` free. Raises what `post_pending` raises.

    The void is an entry that repeats the postings of the hold, so that the postings of an account alone explain its
    pending balances.
    """
    return await _end(session, key, pending_key, EntryStatus.VOID)


async def balances(
    session: AsyncSession,
    accounts: Sequence[Account],
    currency: str,
    *,
    for_update: bool = False,
    path_id: str | None = None,
) -> dict[Account, Balance]:
    """The balances of accounts in one currency; accounts that do not exist yet stand at 0.

    With `for_update` the accounts are made and locked in the ledger's order, for macros whose amounts depend on a
    balance (clawback, netting, compensate). Lock every account that the entries to come will touch, or the later
    `post` takes further locks out of order. `path_id` is needed to make refund_due and dispute accounts.
    """
    wanted = {(account, currency): path_id for account in accounts}
    found = await (lock_accounts(session, wanted) if for_update else read_accounts(session, wanted))
    return {
        account: found[account, currency].balance() if (account, currency) in found else Balance()
        for account in accounts
    }


async def require_empty(session: AsyncSession, path_id: str) -> None:
    """Raises PathNotEmpty unless every escrow, deposit, refund due and dispute of the path is 0, pending included.

    Locks what holds something until the transaction ends. That nothing comes to accounts at 0 meanwhile is the
    caller's part: close a path under the lock of its row. A path can have hundreds of thousands of accounts at 0.
    """
    left = await _left(session, path_id)
    if left:
        raise PathNotEmpty(f"{path_id} still holds {', '.join(left)}")


async def is_empty(session: AsyncSession, path_id: str) -> bool:
    """Whether `require_empty` would let the path close; takes the same locks."""
    return not await _left(session, path_id)


async def _left(session: AsyncSession, path_id: str) -> list[str]:
    """What the path still holds, in words."""
    rows = (await session.execute(_PATH_ACCOUNTS, {"path_id": path_id})).all()
    return [
        f"{row.kind}:{row.owner} {format_money(row.balance, row.currency)}"
        + (" with pending entries" if row.debits_pending or row.credits_pending else "")
        for row in rows
    ]


_PATH_ACCOUNTS = text("""
    SELECT kind, owner, currency, balance, debits_pending, credits_pending FROM ledger_accounts
    WHERE path_id = :path_id AND (balance <> 0 OR debits_pending <> 0 OR credits_pending <> 0)
    ORDER BY kind, owner, currency FOR NO KEY UPDATE
""")


@dataclass(frozen=True)
class _Draft:
    """An entry on its way into the ledger."""

    entry: JournalEntry
    status: EntryStatus = EntryStatus.POSTED
    resolves_id: int | None = None
    resolves_key: str | None = None

    @property
    def total(self) -> int:
        return sum(p.amount for p in self.entry.postings if p.side is Side.DEBIT)

    def input_hash(self) -> str:
        """SHA-256 of what the entry does: everything but the key and the note.

        The note is left out because it is wording for people, and a retry by a newer version may word it differently;
        the order of postings because it means nothing.
        """
        content = {
            "kind": self.entry.kind,
            "status": self.status,
            "resolves": self.resolves_key,
            "currency": self.entry.currency,
            "path": self.entry.path_id,
            "postings": sorted(
                [p.account.kind, p.account.owner, p.side, p.amount] for p in self.entry.postings
            ),
        }
        canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(canonical.encode()).hexdigest()


async def _write(session: AsyncSession, drafts: Sequence[_Draft]) -> list[PostedEntry]:
    if not drafts:
        return []
    hashes: dict[str, str] = {}
    for draft in drafts:
        draft.entry.require_balance()
        if draft.total > _MAX_64_BIT:
            raise AmountOutOfRange(f"the total of {draft.entry.key} does not fit into 64 bits")
        digest = draft.input_hash()
        if hashes.setdefault(draft.entry.key, digest) != digest:
            raise IdempotencyConflict(f"{draft.entry.key} stands for two different entries")
    new = list({d.entry.key: d for d in drafts}.values())
    known: dict[str, PostedEntry] = {}
    async with _typed_errors():
        written = await _write_unknown(session, new, hashes)
        if written is None:
            known = await _known(session, hashes, drafts)
            rest = [d for d in new if d.entry.key not in known]
            try:
                written = await _write_rest(session, rest, hashes)
            except _KeyKnown as rival:
                raise IdempotencyConflict("a key was used for another journal entry") from rival
    if _OVERHEARD in session.info:
        moved = [d.entry for d in new if d.status is EntryStatus.POSTED and d.entry.key in written]
        session.info[_OVERHEARD].extend(moved)
    return [written.get(d.entry.key) or known[d.entry.key] for d in drafts]


async def _write_unknown(
    session: AsyncSession, drafts: Sequence[_Draft], hashes: dict[str, str]
) -> dict[str, PostedEntry] | None:
    """Writes all as if no key were known, as is nearly always true; None, and nothing written, when that fails.

    A refusal counts as a failure too: a replayed payout finds the balance it took itself missing.
    """
    if all(draft.resolves_id is None for draft in drafts):
        return await _write_new(session, drafts, hashes)
    try:
        return await _write_rest(session, drafts, hashes)
    except (InsufficientFunds, AmountOutOfRange, _KeyKnown):
        return None


async def _write_new(
    session: AsyncSession, drafts: Sequence[_Draft], hashes: dict[str, str]
) -> dict[str, PostedEntry] | None:
    new = [New(d.entry, d.status, d.total, hashes[d.entry.key]) for d in drafts]
    rows = await write_new(session, new)
    if rows is None:
        return None
    statuses = {draft.entry.key: draft.status for draft in drafts}
    return {
        row.key: PostedEntry(
            id=row.id, key=row.key, status=statuses[row.key], at=row.at, written=True
        )
        for row in rows
    }


async def _write_rest(
    session: AsyncSession, drafts: Sequence[_Draft], hashes: dict[str, str]
) -> dict[str, PostedEntry]:
    if not drafts:
        return {}
    locked = await lock_accounts(
        session,
        {(p.account, d.entry.currency): d.entry.path_id for d in drafts for p in d.entry.postings},
    )
    for draft in drafts:
        _apply(draft, locked)
    return await _insert(session, drafts, hashes, locked)


class _KeyKnown(Exception):
    """One of the keys is in the ledger already; nothing was written."""


async def _known(
    session: AsyncSession, hashes: dict[str, str], drafts: Sequence[_Draft]
) -> dict[str, PostedEntry]:
    """Entries of these keys that an earlier transaction wrote.

    Reliable because the accounts are locked by now: a rival with the same entry holds the same accounts, so it has
    either committed, and is seen here, or comes after us. A rival with the same key but other accounts meets the
    UNIQUE(key).
    """
    ends = [d.resolves_id for d in drafts if d.resolves_id is not None]
    rows = await session.execute(_KNOWN_ENTRIES, {"keys": list(hashes), "ends": ends})
    known = {}
    for row in rows:
        if row.key not in hashes:
            raise WrongPhase(f"the pending entry was ended by {row.key} ({row.status}) already")
        if row.input_hash != hashes[row.key]:
            raise IdempotencyConflict(f"{row.key} was used for another journal entry")
        known[row.key] = _posted(row, written=False)
    return known


_KNOWN_ENTRIES = text("""
    SELECT id, key, input_hash, status, at FROM ledger_entries
    WHERE key = ANY(CAST(:keys AS text[])) OR resolves_id = ANY(CAST(:ends AS bigint[]))
""")


def _posted(row: Row[tuple[object, ...]], *, written: bool) -> PostedEntry:
    return PostedEntry(
        id=row.id, key=row.key, status=EntryStatus(row.status), at=row.at, written=written
    )


def _apply(draft: _Draft, locked: dict[tuple[Account, str], LockedAccount]) -> None:
    """Runs an entry on the balances in memory, one posting after the other as the database will.

    Raises InsufficientFunds and AmountOutOfRange.
    """
    ends_pending = draft.resolves_id is not None
    for posting in draft.entry.postings:
        account = locked[posting.account, draft.entry.currency]
        if draft.status is EntryStatus.POSTED:
            account.add_posted(posting.side, posting.amount)
        if draft.status is EntryStatus.PENDING or ends_pending:
            account.add_pending(posting.side, -posting.amount if ends_pending else posting.amount)
        if account.overdrawn():
            raise InsufficientFunds(
                f"{posting.account.code} does not hold "
                f"{format_money(posting.amount, draft.entry.currency)}"
            )
        if account.largest() > _MAX_64_BIT:
            raise AmountOutOfRange(f"the turnover of {posting.account.code} leaves 64 bits")


async def _insert(
    session: AsyncSession,
    drafts: Sequence[_Draft],
    hashes: dict[str, str],
    locked: dict[tuple[Account, str], LockedAccount],
) -> dict[str, PostedEntry]:
    lines = [(d, p) for d in drafts for p in d.entry.postings]
    rows = await session.execute(
        _INSERT_ENTRIES,
        {
            "keys": [d.entry.key for d in drafts],
            "hashes": [hashes[d.entry.key] for d in drafts],
            "kinds": [str(d.entry.kind) for d in drafts],
            "statuses": [str(d.status) for d in drafts],
            "resolves": [d.resolves_id for d in drafts],
            "currencies": [d.entry.currency for d in drafts],
            "totals": [d.total for d in drafts],
            "paths": [d.entry.path_id for d in drafts],
            "notes": [d.entry.note for d in drafts],
            "posting_keys": [d.entry.key for d, _ in lines],
            "account_ids": [locked[p.account, d.entry.currency].id for d, p in lines],
            "sides": [str(p.side) for _, p in lines],
            "amounts": [p.amount for _, p in lines],
        },
    )
    written = {row.key: _posted(row, written=True) for row in rows}
    if not written:
        raise _KeyKnown
    return written


# One statement for any number of entries: what limits the ledger is round trips made under lock. All or nothing: it
# writes nothing when one of the keys, or the end of one of the holds, was written before our accounts were locked.
_INSERT_ENTRIES = text("""
    WITH entries AS (
        INSERT INTO ledger_entries
            (key, input_hash, kind, status, resolves_id, currency, total, path_id, note)
        SELECT key, input_hash, kind, status, resolves_id, currency, total, path_id, note
        FROM unnest(
            CAST(:keys AS text[]), CAST(:hashes AS text[]), CAST(:kinds AS text[]),
            CAST(:statuses AS text[]), CAST(:resolves AS bigint[]), CAST(:currencies AS text[]),
            CAST(:totals AS bigint[]), CAST(:paths AS text[]), CAST(:notes AS text[])
        ) WITH ORDINALITY AS given (
            key, input_hash, kind, status, resolves_id, currency, total, path_id, note, position)
        WHERE NOT EXISTS (
            SELECT FROM ledger_entries WHERE key = ANY(CAST(:keys AS text[])))
        AND NOT EXISTS (
            SELECT FROM ledger_entries WHERE resolves_id = ANY(CAST(:resolves AS bigint[])))
        ORDER BY position
        RETURNING id, key, status, at
    ), postings AS (
        INSERT INTO ledger_postings (entry_id, account_id, side, amount)
        SELECT entries.id, account_id, side, amount
        FROM unnest(
            CAST(:posting_keys AS text[]), CAST(:account_ids AS bigint[]),
            CAST(:sides AS text[]), CAST(:amounts AS bigint[])
        ) WITH ORDINALITY AS given (key, account_id, side, amount, position)
        JOIN entries USING (key)
        ORDER BY position
    )
    SELECT id, key, status, at FROM entries
""")


async def _end(
    session: AsyncSession, key: str, pending_key: str, status: EntryStatus
) -> PostedEntry:
    rows = (await session.execute(_PENDING_POSTINGS, {"key": pending_key})).all()
    if not rows:
        raise NotFound(f"there is no pending entry {pending_key}")
    ending = JournalEntry(
        key=key,
        kind=EntryKind(rows[0].entry_kind),
        currency=rows[0].currency,
        postings=tuple(
            Posting(
                account=Account(kind=AccountKind(row.kind), owner=row.owner),
                side=Side(row.side),
                amount=row.amount,
            )
            for row in rows
        ),
        path_id=rows[0].path_id,
        note=rows[0].note,
    )
    draft = _Draft(ending, status, resolves_id=rows[0].entry_id, resolves_key=pending_key)
    [written] = await _write(session, [draft])
    return written


_PENDING_POSTINGS = text("""
    SELECT e.id AS entry_id, e.kind AS entry_kind, e.currency, e.path_id, e.note,
        a.kind, a.owner, p.side, p.amount
    FROM ledger_entries e
    JOIN ledger_postings p ON p.entry_id = e.id
    JOIN ledger_accounts a ON a.id = p.account_id
    WHERE e.key = :key AND e.status = 'pending'
    ORDER BY p.id
""")


_REFUSALS = {
    "uq_ledger_entries_key": IdempotencyConflict("the key was used for another journal entry"),
    "uq_ledger_entries_resolves_id": WrongPhase("the pending entry was ended already"),
    "ck_ledger_accounts_not_overdrawn": InsufficientFunds("an account does not hold the amount"),
    "ledger_postings_currency": CurrencyMismatch("an account is of another currency"),
    "ledger_entries_balanced": UnbalancedEntry("debits and credits of an entry differ"),
}


@asynccontextmanager
async def _typed_errors() -> AsyncIterator[None]:
    """The database's refusals as ours: the second line behind the checks above. The transaction is lost then."""
    try:
        yield
    except DBAPIError as refused:
        diagnosis = getattr(refused.orig, "diag", None)
        name = getattr(diagnosis, "constraint_name", None)
        if name in _REFUSALS:
            known = _REFUSALS[name]
            raise type(known)(known.detail) from refused
        if getattr(refused.orig, "sqlstate", None) == "22003":
            raise AmountOutOfRange("a balance leaves 64 bits") from refused
        raise
