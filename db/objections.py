"""Objections as rows."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from db.queries import file_access, files
from db.tables import Contest, Entry, Objection
from domain.contest import EntryStatus
from domain.errors import InvalidInput, NotFound, WrongPhase


async def add(
    session: AsyncSession,
    *,
    objection_id: str,
    contest_id: str,
    entry_id: str,
    by_id: str,
    ground: str,
    words: str,
    file_ids: Sequence[str],
) -> Objection:
    """Writes an objection down; the same id again changes nothing. Raises NotFound, InvalidInput, UnknownFile."""
    # The same request may run twice side by side: the second one finds what the first one wrote.
    await session.execute(
        select(Contest.id).where(Contest.id == contest_id).with_for_update(key_share=True)
    )
    before = await session.get(Objection, objection_id)
    if before is not None:
        return before
    entry = await session.get(Entry, entry_id)
    if entry is None or entry.contest_id != contest_id:
        raise NotFound("there is no such entry in this contest", field="entry_id")
    if entry.status in (EntryStatus.WITHDRAWN, EntryStatus.VOID):
        raise InvalidInput(
            f"the entry is {entry.status}",
            field="entry_id",
            accepted="an entry that is still in the contest",
        )
    await files.attachable(session, by_id, file_ids)
    await file_access.grant(session, file_ids, contest_id, by_id)
    row = Objection(
        id=objection_id,
        contest_id=contest_id,
        entry_id=entry_id,
        by_id=by_id,
        ground=ground,
        words=words,
        file_ids=list(file_ids),
        status="open",
    )
    session.add(row)
    await session.flush()
    return row


async def rule(
    session: AsyncSession, objection_id: str, *, status: str, ruling: str, by_id: str
) -> None:
    """Records a ruling. Raises WrongPhase when there was one already."""
    row = await session.get_one(Objection, objection_id, with_for_update=True)
    if row.status != "open":
        raise WrongPhase(f"the objection is {row.status}", field="objection_id", accepted="open")
    row.status, row.ruling, row.ruled_by = status, ruling, by_id
    row.ruled_at = await session.scalar(select(func.now()))
