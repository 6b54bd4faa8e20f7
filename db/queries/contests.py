"""Contests, entries and what belongs to them, as readers want them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from db.tables import (
    Contest,
    Entry,
    EntryRevision,
    HandOver,
    LicenceSignature,
    Objection,
    Path,
    Payment,
    Refund,
)
from domain.contest import FINAL, EntryStatus, Phase


@dataclass(frozen=True)
class ContestRows:
    """A contest with its path, its payments and refunds, and how many entries stand where."""

    contest: Contest
    path: Path
    payments: Sequence[Payment]
    refunds: Sequence[Refund]
    counts: dict[str, int]
    """Entries by status."""


@dataclass(frozen=True)
class EntryRows:
    """An entry with everything that was handed in for it, the newest first."""

    entry: Entry
    revisions: Sequence[EntryRevision]


async def contest(session: AsyncSession, contest_id: str) -> ContestRows | None:
    """The contest, or None."""
    found = await _rows(session, Contest.id == contest_id, limit=1)
    return found[0] if found else None


async def contests(
    session: AsyncSession, *, owner_id: str | None, after: str | None, limit: int
) -> Sequence[ContestRows]:
    """Somebody's contests, or all that have been funded and have not ended, newest first, before the contest `after`."""
    hidden = [phase.value for phase in (Phase.DRAFT, Phase.FUNDING, *FINAL)]
    which = Contest.owner_id == owner_id if owner_id else Path.phase.not_in(hidden)
    return await _rows(session, which if after is None else which & (Contest.id < after), limit)


async def _rows(
    session: AsyncSession, which: ColumnElement[bool], limit: int
) -> Sequence[ContestRows]:
    rows = (
        await session.execute(
            select(Contest, Path)
            .join(Path, Path.id == Contest.id)
            .where(which)
            .order_by(Contest.id.desc())
            .limit(limit)
        )
    ).all()
    ids = [contest.id for contest, _ in rows]
    payments = await session.scalars(
        select(Payment).where(Payment.path_id.in_(ids)).order_by(Payment.created_at, Payment.id)
    )
    refunds = await session.scalars(
        select(Refund).where(Refund.path_id.in_(ids)).order_by(Refund.created_at, Refund.id)
    )
    counts = await session.execute(
        select(Entry.contest_id, Entry.status, func.count())
        .where(Entry.contest_id.in_(ids))
        .group_by(Entry.contest_id, Entry.status)
    )
    paid, back, counted = payments.all(), refunds.all(), counts.all()
    return [
        ContestRows(
            contest=contest,
            path=path,
            payments=[each for each in paid if each.path_id == contest.id],
            refunds=[each for each in back if each.path_id == contest.id],
            counts={status: count for of, status, count in counted if of == contest.id},
        )
        for contest, path in rows
    ]


async def entry(session: AsyncSession, contest_id: str, entry_id: str) -> EntryRows | None:
    """One entry of the contest, or None."""
    row = await session.scalar(
        select(Entry).where(Entry.id == entry_id, Entry.contest_id == contest_id)
    )
    return None if row is None else (await with_revisions(session, [row]))[0]


async def entries(
    session: AsyncSession,
    contest_id: str,
    *,
    creator_id: str | None,
    besides: Collection[str] = (),
    status: EntryStatus | None,
    after: str | None,
    limit: int,
) -> Sequence[EntryRows]:
    """Entries of the contest in the order of arrival, after the entry of that id.

    All, or one creator's and `besides` those of these ids.
    """
    query = select(Entry).where(Entry.contest_id == contest_id)
    if creator_id is not None:
        query = query.where((Entry.creator_id == creator_id) | Entry.id.in_(besides))
    if status is not None:
        query = query.where(Entry.status == status)
    if after is not None:
        seen = select(Entry.received_at, Entry.id).where(Entry.id == after).subquery()
        query = query.where(
            (Entry.received_at > seen.c.received_at)
            | ((Entry.received_at == seen.c.received_at) & (Entry.id > seen.c.id))
        )
    rows = await session.scalars(query.order_by(Entry.received_at, Entry.id).limit(limit))
    return await with_revisions(session, rows.all())


def creators(contest_id: str, entry_ids: Collection[str]) -> Select[str]:
    """A query for whose these entries of the contest are."""
    return select(Entry.creator_id).where(Entry.contest_id == contest_id, Entry.id.in_(entry_ids))


async def with_revisions(session: AsyncSession, found: Sequence[Entry]) -> list[EntryRows]:
    """The entries with everything that was handed in for them."""
    rows = await session.scalars(
        select(EntryRevision)
        .where(EntryRevision.entry_id.in_([each.id for each in found]))
        .order_by(EntryRevision.number.desc())
    )
    revisions = rows.all()
    return [
        EntryRows(entry=each, revisions=[r for r in revisions if r.entry_id == each.id])
        for each in found
    ]


async def objections(
    session: AsyncSession, contest_id: str, by_id: str | None, after: str | None, limit: int
) -> Sequence[Objection]:
    """Objections and reports against entries of the contest, all or one person's, oldest first."""
    query = select(Objection).where(Objection.contest_id == contest_id)
    if by_id is not None:
        query = query.where(Objection.by_id == by_id)
    if after is not None:
        query = query.where(Objection.id > after)
    return (await session.scalars(query.order_by(Objection.id).limit(limit))).all()


async def objection(session: AsyncSession, objection_id: str) -> Objection | None:
    """One objection, or None."""
    return await session.get(Objection, objection_id)


async def hand_overs(session: AsyncSession, contest_id: str) -> Sequence[HandOver]:
    """Everything that winners handed over, in order."""
    rows = await session.scalars(
        select(HandOver)
        .where(HandOver.contest_id == contest_id)
        .order_by(HandOver.handed_over_at, HandOver.number)
    )
    return rows.all()


async def signatures(session: AsyncSession, path_id: str) -> Sequence[LicenceSignature]:
    """Who signed which licence when, in order."""
    rows = await session.scalars(
        select(LicenceSignature)
        .where(LicenceSignature.path_id == path_id)
        .order_by(LicenceSignature.id)
    )
    return rows.all()
