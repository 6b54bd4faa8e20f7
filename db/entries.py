"""Entries as rows: handed in, revised, withdrawn by their creators; shortlisted and put aside by the owner.

Each is one short transaction of the API under the contest's lock; none of them touches the workflow.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from db.admission import Admitted, Arrival, admit
from db.queries import file_access, files
from db.tables import Contest, Entry, EntryRevision, File, Path
from domain.contest import (
    ELIGIBLE,
    Contender,
    ContestState,
    ContestTerms,
    EliminationReason,
    EntryStatus,
    Phase,
)
from domain.contest_deadlines import ENTRIES, FINAL_ROUND, choice_receipt
from domain.deadlines import Deadline
from domain.errors import InvalidInput, LimitReached, NotFound, WrongPhase
from domain.model import Message
from domain.proof import FileProof, content_sha256

MAX_SHORTLISTED = 50
"""So many can be voted on by a crowd."""
_RUNNING = (
    Phase.OPEN,
    Phase.PICKING,
    Phase.FINAL_ROUND,
    Phase.CHOOSING,
    Phase.VOTING,
    Phase.ANNOUNCED,
    Phase.CONTESTED,
    Phase.HAND_OVER,
)
_SORTING = (Phase.OPEN, Phase.PICKING, Phase.FINAL_ROUND, Phase.CHOOSING)


class Work(Message):
    """What a creator hands in."""

    title: str
    note: str
    file_ids: tuple[str, ...]


async def enter(
    session: AsyncSession,
    *,
    contest_id: str,
    entry_id: str,
    creator_id: str,
    work: Work,
    arrival: Arrival,
) -> Entry:
    """A new entry. Raises WrongPhase, TooLate, LimitReached, UnknownFile."""
    # Two entries of one creator at the same moment must not both be the last one allowed.
    await session.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended(:who, 0))"),
        {"who": f"{contest_id}/{creator_id}"},
    )
    admitted = await admit(session, contest_id, arrival, phases=(Phase.OPEN,), deadline=ENTRIES)
    terms = await terms_of(session, contest_id)
    count = await session.scalar(
        select(func.count())
        .select_from(Entry)
        .where(
            Entry.contest_id == contest_id,
            Entry.creator_id == creator_id,
            Entry.status != EntryStatus.WITHDRAWN,
        )
    )
    if (count or 0) >= terms.policy.entries_each:
        raise LimitReached(
            f"{count} entries of yours are in this contest",
            accepted=f"at most {terms.policy.entries_each} entries; withdraw one first",
        )
    entry = Entry(
        id=entry_id,
        contest_id=contest_id,
        creator_id=creator_id,
        title=work.title,
        status=EntryStatus.ENTERED,
        received_at=admitted.at,
    )
    session.add(entry)
    await session.flush()
    await _hand_in(session, entry, terms, work, number=1, at=admitted.at)
    return entry


async def revise(
    session: AsyncSession, *, entry_id: str, creator_id: str, work: Work, arrival: Arrival
) -> Entry:
    """A new revision of an entry, while entries are open, or in the final round for finalists."""
    contest_id = await _contest_of(session, entry_id, creator_id)
    admitted = await _admit_revision(session, contest_id, entry_id, arrival)
    entry = await _locked(session, entry_id)
    if entry.status not in ELIGIBLE:
        raise WrongPhase(f"the entry is {entry.status}", field="status", accepted="entered")
    terms = await terms_of(session, contest_id)
    newest = await session.scalar(
        select(func.max(EntryRevision.number)).where(EntryRevision.entry_id == entry_id)
    )
    entry.title = work.title
    await _hand_in(session, entry, terms, work, number=(newest or 0) + 1, at=admitted.at)
    return entry


async def _admit_revision(
    session: AsyncSession, contest_id: str, entry_id: str, arrival: Arrival
) -> Admitted:
    """Entries change while they are open; in the final round only the finalists'."""
    finalist = await session.scalar(select(Entry.finalist).where(Entry.id == entry_id))
    phase, deadline = (Phase.FINAL_ROUND, FINAL_ROUND) if finalist else (Phase.OPEN, ENTRIES)
    return await admit(session, contest_id, arrival, phases=(phase,), deadline=deadline)


async def _hand_in(
    session: AsyncSession,
    entry: Entry,
    terms: ContestTerms,
    work: Work,
    *,
    number: int,
    at: datetime,
) -> None:
    """Keeps hash and time of what was handed in, and shows it to those who may see it."""
    attached = await files.attachable(session, entry.creator_id, work.file_ids)
    proofs = [_proof(file) for file in attached]
    session.add(
        EntryRevision(
            entry_id=entry.id,
            number=number,
            title=work.title,
            note=work.note,
            files=[proof.model_dump(mode="json") for proof in proofs],
            content_sha256=content_sha256(entry.creator_id, work.title, work.note, proofs, at),
            received_at=at,
        )
    )
    audience = terms.owner_id if terms.sealed else file_access.MEMBERS
    await file_access.grant(session, work.file_ids, entry.contest_id, audience)


def _proof(file: File) -> FileProof:
    return FileProof.model_validate(files.proof_of(file))


async def withdraw(
    session: AsyncSession, *, entry_id: str, creator_id: str, arrival: Arrival
) -> Entry:
    """The creator takes an entry out; possible until a winner is announced or the crowd votes."""
    contest_id = await _contest_of(session, entry_id, creator_id)
    admitted = await admit(session, contest_id, arrival, phases=_SORTING, alone=True)
    entry = await _locked(session, entry_id)
    if entry.status == EntryStatus.WITHDRAWN:
        return entry
    _require_unawarded(await state_of(session, entry.contest_id), [entry.id])
    if entry.status == EntryStatus.VOID:
        raise WrongPhase("the entry was taken out", field="status", accepted="entered")
    entry.status = EntryStatus.WITHDRAWN
    await session.flush()
    await _hide(session, entry)
    await _tell_silence_anew(session, admitted.path)
    return entry


async def _hide(session: AsyncSession, entry: Entry) -> None:
    """Hides the files of a withdrawn entry, but for those that also belong to an entry which stays."""
    rows = await session.execute(
        select(EntryRevision.files, Entry.status)
        .join(Entry, Entry.id == EntryRevision.entry_id)
        .where(Entry.contest_id == entry.contest_id, Entry.creator_id == entry.creator_id)
    )
    withdrawn: set[str] = set()
    stays: set[str] = set()
    for files_, status in rows:
        ids = {str(file["id"]) for file in files_}
        (withdrawn if status == EntryStatus.WITHDRAWN else stays).update(ids)
    await file_access.revoke(session, entry.contest_id, withdrawn - stays)


async def shortlist(
    session: AsyncSession, *, contest_id: str, entry_ids: Sequence[str], on: bool, arrival: Arrival
) -> list[Entry]:
    """The owner shortlists entries, or takes them off the list; also brings back what was put aside."""
    admitted = await admit(session, contest_id, arrival, phases=_SORTING, alone=True)
    chosen = await _chosen(session, contest_id, entry_ids)
    for entry in chosen:
        entry.status = EntryStatus.SHORTLISTED if on else EntryStatus.ENTERED
        entry.reason, entry.remark = None, ""
    await session.flush()
    count = await session.scalar(
        select(func.count())
        .select_from(Entry)
        .where(Entry.contest_id == contest_id, Entry.status == EntryStatus.SHORTLISTED)
    )
    if (count or 0) > MAX_SHORTLISTED:
        raise LimitReached(
            f"{count} entries would be shortlisted", accepted=f"at most {MAX_SHORTLISTED}"
        )
    await _tell_silence_anew(session, admitted.path)
    return chosen


async def eliminate(
    session: AsyncSession,
    *,
    contest_id: str,
    entry_ids: Sequence[str],
    reason: EliminationReason,
    remark: str,
    arrival: Arrival,
) -> list[Entry]:
    """The owner puts entries aside, with a reason their creators can read."""
    admitted = await admit(session, contest_id, arrival, phases=_SORTING, alone=True)
    chosen = await _chosen(session, contest_id, entry_ids)
    for entry in chosen:
        entry.status, entry.reason, entry.remark = EntryStatus.ELIMINATED, reason, remark
    await _tell_silence_anew(session, admitted.path)
    return chosen


async def take_out(session: AsyncSession, *, entry_id: str, remark: str, arrival: Arrival) -> Entry:
    """Operators take an entry out that has no prize, such as a copy, so that it cannot inherit one either."""
    entry = await session.get(Entry, entry_id)
    if entry is None:
        raise NotFound("there is no such entry")
    admitted = await admit(session, entry.contest_id, arrival, phases=_RUNNING, alone=True)
    _require_unawarded(await state_of(session, entry.contest_id), [entry.id])
    await session.refresh(entry)
    if entry.status == EntryStatus.WITHDRAWN:
        # Its creator has hidden it; void entries are shown.
        return entry
    entry.status, entry.reason, entry.remark = EntryStatus.VOID, "void", remark
    await _tell_silence_anew(session, admitted.path)
    return entry


async def _chosen(session: AsyncSession, contest_id: str, entry_ids: Sequence[str]) -> list[Entry]:
    """The entries, which the owner may still sort. Raises NotFound and InvalidInput."""
    rows = await session.scalars(
        select(Entry).where(Entry.id.in_(entry_ids), Entry.contest_id == contest_id)
    )
    found = {row.id: row for row in rows}
    state = await state_of(session, contest_id)
    _require_unawarded(state, entry_ids)
    for index, entry_id in enumerate(entry_ids):
        if entry_id not in found:
            raise NotFound("there is no such entry in this contest", field=f"entry_ids[{index}]")
        if found[entry_id].status in (EntryStatus.WITHDRAWN, EntryStatus.VOID):
            raise InvalidInput(
                f"the entry is {found[entry_id].status}",
                field=f"entry_ids[{index}]",
                accepted="an entry that is still in the contest",
            )
        if state.final_round and not found[entry_id].finalist:
            # What finalists were promised: nobody comes back from the qualifying round.
            raise InvalidInput(
                "the entry is not a finalist",
                field=f"entry_ids[{index}]",
                accepted="entries of finalists",
            )
    return [found[entry_id] for entry_id in entry_ids]


def _require_unawarded(state: ContestState, entry_ids: Sequence[str]) -> None:
    """Raises WrongPhase for an entry that has a prize."""
    if state.winners & set(entry_ids):
        raise WrongPhase("the entry has a prize", field="entry_ids", accepted="another entry")


async def _tell_silence_anew(session: AsyncSession, path: Path) -> None:
    """The owner's silence would now do something else: the receipt says what."""
    if path.phase != Phase.CHOOSING:
        return
    await session.flush()
    row = await session.get_one(Contest, path.id)
    running = [Deadline.model_validate(each) for each in path.deadlines]
    receipts = choice_receipt(
        ContestTerms.model_validate(row.terms),
        ContestState.model_validate(row.state),
        await contenders(session, path.id),
        running,
    )
    path.deadlines = [receipt.model_dump(mode="json") for receipt in receipts]


async def contenders(session: AsyncSession, contest_id: str) -> list[Contender]:
    """The entries that were neither withdrawn nor taken out, in the order of arrival."""
    rows = await session.execute(
        select(Entry.id, Entry.creator_id, Entry.title, Entry.status, Entry.finalist)
        .where(
            Entry.contest_id == contest_id,
            Entry.status.not_in((EntryStatus.WITHDRAWN, EntryStatus.VOID)),
        )
        .order_by(Entry.received_at, Entry.id)
    )
    return [
        Contender(entry_id=i, creator_id=c, title=t, status=EntryStatus(s), finalist=f)
        for i, c, t, s, f in rows
    ]


async def terms_of(session: AsyncSession, contest_id: str) -> ContestTerms:
    """The terms of an existing contest."""
    return ContestTerms.model_validate((await session.get_one(Contest, contest_id)).terms)


async def state_of(session: AsyncSession, contest_id: str) -> ContestState:
    """Prizes and the rest of an existing contest as they stand."""
    return ContestState.model_validate((await session.get_one(Contest, contest_id)).state)


async def _contest_of(session: AsyncSession, entry_id: str, creator_id: str) -> str:
    """The contest of an entry of this creator. Raises NotFound."""
    contest_id: str | None = await session.scalar(
        select(Entry.contest_id).where(Entry.id == entry_id, Entry.creator_id == creator_id)
    )
    if contest_id is None:
        raise NotFound("there is no such entry of yours")
    return contest_id


async def _locked(session: AsyncSession, entry_id: str) -> Entry:
    """An existing entry, locked. Lock its contest first, as the contest's own steps do."""
    return await session.get_one(Entry, entry_id, with_for_update=True)


async def entry_ids_of(session: AsyncSession, contest_id: str, creator_id: str) -> set[str]:
    """Ids of one creator's entries in the contest."""
    rows = await session.scalars(
        select(Entry.id).where(Entry.contest_id == contest_id, Entry.creator_id == creator_id)
    )
    return set(rows)
