"""Proofs of closed paths: what they cover, which are wanted, and the chain they make."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime

from sqlalchemy import Row, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from db.tables import Path, PathProof
from domain import path_proof
from domain.accounts import PATH_BOUND
from domain.model import Message
from domain.path_proof import FIRST, Hasher, moment

_ROWS_AT_ONCE = 5_000
_CHAIN_LOCK = 0x70726F6F66
"""Key of the advisory lock under which proofs are put into their order: "proof"."""


class Wanted(Message):
    """A closed path that has no proof of this closing yet."""

    path_id: str
    number: int


class Extent(Message):
    """Up to where the rows of a path go; 0 where there are none."""

    entry_id: int
    event_id: int


async def wanted(session: AsyncSession, after: Wanted | None, limit: int) -> list[Wanted]:
    """Closings without a proof, by path; those of paths that have been opened again wait for the next closing."""
    rows = await session.execute(
        select(PathProof.path_id, PathProof.number)
        .join(Path, Path.id == PathProof.path_id)
        .where(
            PathProof.sha256.is_(None),
            Path.closed_at.is_not(None),
            PathProof.path_id > (after.path_id if after else ""),
        )
        .order_by(PathProof.path_id)
        .limit(limit)
    )
    return [Wanted(path_id=path_id, number=number) for path_id, number in rows]


async def take_turn(session: AsyncSession) -> PathProof | None:
    """The newest proof of all, and nobody else adds one before this transaction has ended."""
    await session.execute(select(func.pg_advisory_xact_lock(_CHAIN_LOCK)))
    newest: PathProof | None = await session.scalar(
        select(PathProof)
        .where(PathProof.position.is_not(None))
        .order_by(PathProof.position.desc())
        .limit(1)
    )
    return newest


async def asked_for(session: AsyncSession, asked: Wanted) -> PathProof | None:
    """The row that waits, with its closed path locked; none when somebody was faster or the path is open again."""
    path = await session.get(Path, asked.path_id, with_for_update=True)
    row = await session.get(PathProof, (asked.path_id, asked.number), populate_existing=True)
    if path is None or path.closed_at is None or row is None or row.sha256 is not None:
        return None
    return row


async def holds_money(session: AsyncSession, path_id: str) -> bool:
    """Whether an account that is bound to the path is not at 0."""
    kinds = [str(kind) for kind in PATH_BOUND]
    found = await session.scalar(_HOLDS, {"path_id": path_id, "kinds": kinds})
    return bool(found)


async def extent(session: AsyncSession, path_id: str) -> Extent:
    """Up to where the path's rows go now."""
    row = (await session.execute(_EXTENT, {"path_id": path_id})).one()
    return Extent(entry_id=row.entry_id, event_id=row.event_id)


async def hashed(
    session: AsyncSession,
    previous: str,
    path_id: str,
    number: int,
    closed_at: datetime,
    upto: Extent,
) -> Hasher:
    """Everything of the path up to there, read in pages: memory does not grow with the path."""
    hasher = Hasher(previous, path_id, number, closed_at)
    async for row in _rows(session, _POSTINGS, path_id, upto.entry_id):
        hasher.posting(
            [
                row.entry_id,
                row.key,
                row.entry_kind,
                row.status,
                row.currency,
                moment(row.at),
                f"{row.kind}:{row.owner}",
                row.side,
                row.amount,
            ]
        )
    async for row in _rows(session, _EVENTS, path_id, upto.event_id):
        summary = row.summary
        hasher.event([row.id, row.key, row.kind, row.phase, row.actor, moment(row.at), summary])
    return hasher


async def of_path(session: AsyncSession, path_id: str) -> path_proof.PathProof | None:
    """The newest published proof of a path."""
    row = await session.scalar(
        select(PathProof)
        .where(PathProof.path_id == path_id, PathProof.sha256.is_not(None))
        .order_by(PathProof.number.desc())
        .limit(1)
    )
    return None if row is None else published(row)


async def chain(session: AsyncSession, after: int, limit: int) -> list[path_proof.PathProof]:
    """Published proofs by position, those after `after`."""
    rows = await session.scalars(
        select(PathProof)
        .where(PathProof.position > after)
        .order_by(PathProof.position)
        .limit(limit)
    )
    return [published(row) for row in rows]


async def differences(session: AsyncSession) -> AsyncIterator[str]:
    """What the proofs say otherwise than the rows do now, as `path: what`. Reads everything."""
    previous, position = FIRST, 0
    while page := await chain(session, position, 100):
        for proof in page:
            if proof.position != position + 1 or proof.previous != previous:
                yield f"{proof.path_id}: the chain is broken before position {proof.position}"
            upto = Extent(entry_id=proof.last_entry_id, event_id=proof.last_event_id)
            found = await hashed(
                session, proof.previous, proof.path_id, proof.number, proof.closed_at, upto
            )
            if found.done() != proof.sha256:
                yield (
                    f"{proof.path_id}: {found.postings} postings and {found.events} events are there,"
                    f" the proof of {proof.made_at:%Y-%m-%d} covers {proof.postings} and {proof.events} others"
                )
            previous, position = proof.sha256, proof.position


def published(row: PathProof) -> path_proof.PathProof:
    """A row whose proof is made. Raises ValidationError for one that is only wanted."""
    return path_proof.PathProof.model_validate(
        {name: getattr(row, name) for name in path_proof.PathProof.model_fields}
    )


async def _rows(
    session: AsyncSession, query: str, path_id: str, upto: int
) -> AsyncIterator[Row[tuple[object, ...]]]:
    result = await session.stream(
        text(query),
        {"path_id": path_id, "upto": upto},
        execution_options={"yield_per": _ROWS_AT_ONCE},
    )
    async for row in result:
        yield row


_HOLDS = text("""
    SELECT EXISTS (
        SELECT FROM ledger_accounts WHERE path_id = :path_id AND kind = ANY(:kinds)
            AND (balance <> 0 OR debits_pending <> 0 OR credits_pending <> 0)
    )
""")

# The entries of the path itself, and those of others that move its money, such as a campaign's from a match call.
_ENTRIES = """
    SELECT id FROM ledger_entries WHERE path_id = :path_id
    UNION
    SELECT p.entry_id FROM ledger_accounts a JOIN ledger_postings p ON p.account_id = a.id
        WHERE a.path_id = :path_id
"""

_EXTENT = text(f"""
    SELECT coalesce((SELECT max(id) FROM ({_ENTRIES}) AS of_path), 0) AS entry_id,
        coalesce((SELECT max(id) FROM events WHERE path_id = :path_id), 0) AS event_id
""")

_POSTINGS = f"""
    SELECT e.id AS entry_id, e.key, e.kind AS entry_kind, e.status, e.currency, e.at,
        a.kind, a.owner, p.side, p.amount
    FROM ({_ENTRIES}) AS of_path
    JOIN ledger_entries e ON e.id = of_path.id
    JOIN ledger_postings p ON p.entry_id = e.id
    JOIN ledger_accounts a ON a.id = p.account_id
    WHERE e.id <= :upto
    ORDER BY e.id, p.id
"""

_EVENTS = """
    SELECT id, key, kind, phase, actor, at, summary FROM events
    WHERE path_id = :path_id AND id <= :upto
    ORDER BY id
"""
