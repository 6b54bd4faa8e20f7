"""Entries: handed in by creators, sorted by the owner. Rows only: the contest's workflow never hears of them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from sqlalchemy.ext.asyncio import AsyncSession

from api.arrival import ArrivalDep
from api.auth import CurrentUser
from api.contest_acts import ThisContest, seen_contest
from api.errors import problems
from api.idempotency import OnceDep
from api.policy import refuse_self_dealing, require_active, see_path, unknown
from api.schemas.base import Limit, Page, page_of
from api.schemas.entries import Elimination, EntriesView, EntryView, NewEntry, Selection
from api.schemas.sales import Note
from api.services import Services, ServicesDep
from db import entries as rows_of
from db.entries import Work
from db.queries import contests
from db.queries.paths import Seen
from db.tables import Entry
from domain.access import Action, Relation
from domain.contest import HIDES_ENTRIES, EntryStatus, Phase
from domain.errors import (
    AccountFrozen,
    Forbidden,
    InvalidInput,
    LimitReached,
    NotFound,
    SelfDealing,
    TooLate,
    UnknownFile,
    WrongPhase,
)
from domain.ids import EntryId

router = APIRouter(prefix="/v1/contests/{contest_id}", tags=["contests"])
ThisEntry = Annotated[EntryId, Path(alias="entry_id", description="Id of the entry.")]
EntryCursor = Annotated[EntryId | None, Query(description="`next` of the page before.")]


@router.post(
    "/entries",
    operation_id="enterContest",
    summary="Enter a design",
    status_code=201,
    response_model=EntryView,
    responses=problems(
        NotFound, WrongPhase, TooLate, LimitReached, SelfDealing, AccountFrozen, UnknownFile
    ),
)
async def enter(
    contest_id: ThisContest,
    body: NewEntry,
    user: CurrentUser,
    services: ServicesDep,
    once: OnceDep,
    arrival: ArrivalDep,
) -> Response:
    """Until the deadline by the database's clock. Hash and time of what was handed in are kept as proof of authorship."""
    await seen_contest(services, user, contest_id, Action.CONTEST_ENTER)
    require_active(user)
    owner = await _owner(services, contest_id)
    await refuse_self_dealing(services, Action.CONTEST_ENTER, contest_id, user.id, [owner])

    async def hand_in(session: AsyncSession, entry_id: str) -> EntryView:
        await rows_of.enter(
            session,
            contest_id=contest_id,
            entry_id=entry_id,
            creator_id=user.id,
            work=_work(body),
            arrival=arrival,
        )
        return await _own(session, services, contest_id, entry_id)

    return await once.in_transaction("ent", body, hand_in, status=201)


@router.get(
    "/entries",
    operation_id="listEntries",
    summary="Entries in the order of arrival",
    responses=problems(NotFound),
)
async def list_entries(
    contest_id: ThisContest,
    user: CurrentUser,
    services: ServicesDep,
    status: EntryStatus | None = None,
    mine: bool = False,
    after: EntryCursor = None,
    limit: Limit = 50,
) -> Page[EntryView]:
    """All for owner and operators, and for everybody in an open contest; otherwise the own ones and the winners."""
    async with services.database.reading() as session:
        seen = await see_path(session, user, contest_id)
        everything, winners = await _visible(session, seen, contest_id)
        rows = await contests.entries(
            session,
            contest_id,
            creator_id=user.id if mine or not everything else None,
            besides=() if mine else winners,
            status=status,
            after=after,
            limit=limit + 1,
        )
    return page_of(
        rows,
        limit,
        lambda row: EntryView.of(
            row, services.settings.api_url, hidden=_is_hidden(seen, row.entry, user.id)
        ),
        lambda row: row.entry.id,
    )


@router.get(
    "/entries/{entry_id}",
    operation_id="getEntry",
    summary="An entry",
    responses=problems(NotFound),
)
async def get_entry(
    contest_id: ThisContest, entry_id: ThisEntry, user: CurrentUser, services: ServicesDep
) -> EntryView:
    """For its creator, the owner, operators, and whoever may see it in the list."""
    async with services.database.reading() as session:
        seen = await see_path(session, user, contest_id)
        everything, winners = await _visible(session, seen, contest_id)
        found = await contests.entry(session, contest_id, entry_id)
    if found is None:
        raise unknown("entry")
    if not (everything or found.entry.creator_id == user.id or entry_id in winners):
        raise unknown("entry")
    hidden = _is_hidden(seen, found.entry, user.id)
    return EntryView.of(found, services.settings.api_url, hidden=hidden)


@router.post(
    "/entries/{entry_id}/revisions",
    operation_id="reviseEntry",
    summary="Hand in a revision",
    status_code=201,
    response_model=EntryView,
    responses=problems(NotFound, WrongPhase, TooLate, AccountFrozen, UnknownFile),
)
async def revise(
    contest_id: ThisContest,
    entry_id: ThisEntry,
    body: NewEntry,
    user: CurrentUser,
    services: ServicesDep,
    once: OnceDep,
    arrival: ArrivalDep,
) -> Response:
    """By its creator while entries are open, and by finalists in the final round; earlier revisions stay as proof."""
    await seen_contest(services, user, contest_id, Action.CONTEST_ENTER)
    require_active(user)

    async def hand_in(session: AsyncSession, _: str) -> EntryView:
        work = _work(body)
        await rows_of.revise(
            session, entry_id=entry_id, creator_id=user.id, work=work, arrival=arrival
        )
        return await _own(session, services, contest_id, entry_id)

    return await once.in_transaction("act", body, hand_in, status=201)


@router.post(
    "/entries/{entry_id}/withdraw",
    operation_id="withdrawEntry",
    summary="Take an entry out",
    response_model=EntryView,
    responses=problems(NotFound, WrongPhase),
)
async def withdraw(
    contest_id: ThisContest,
    entry_id: ThisEntry,
    body: Note,
    user: CurrentUser,
    services: ServicesDep,
    once: OnceDep,
    arrival: ArrivalDep,
) -> Response:
    """By its creator, until a winner is announced or the crowd votes; its files are hidden again."""
    await seen_contest(services, user, contest_id, Action.CONTEST_ENTER)

    async def take_out(session: AsyncSession, _: str) -> EntryView:
        await rows_of.withdraw(session, entry_id=entry_id, creator_id=user.id, arrival=arrival)
        return await _own(session, services, contest_id, entry_id)

    return await once.in_transaction("act", body, take_out, status=200)


@router.post(
    "/shortlist",
    operation_id="shortlistEntries",
    summary="Shortlist entries, or take them off the list",
    response_model=EntriesView,
    responses=problems(Forbidden, NotFound, WrongPhase, AccountFrozen, InvalidInput, LimitReached),
)
async def shortlist(
    contest_id: ThisContest,
    body: Selection,
    user: CurrentUser,
    services: ServicesDep,
    once: OnceDep,
    arrival: ArrivalDep,
) -> Response:
    """By the owner; decides what happens if they then stay silent. Brings back entries that were put aside."""
    await seen_contest(services, user, contest_id, Action.CONTEST_DECIDE)
    require_active(user)

    async def sort(session: AsyncSession, _: str) -> EntriesView:
        chosen = await rows_of.shortlist(
            session,
            contest_id=contest_id,
            entry_ids=body.entry_ids,
            on=body.shortlisted,
            arrival=arrival,
        )
        return await _several(session, services, chosen)

    return await once.in_transaction("act", body, sort, status=200)


@router.post(
    "/eliminate",
    operation_id="eliminateEntries",
    summary="Put entries aside, with a reason",
    response_model=EntriesView,
    responses=problems(Forbidden, NotFound, WrongPhase, AccountFrozen, InvalidInput),
)
async def eliminate(
    contest_id: ThisContest,
    body: Elimination,
    user: CurrentUser,
    services: ServicesDep,
    once: OnceDep,
    arrival: ArrivalDep,
) -> Response:
    """By the owner, up to 500 at a time; creators read the reason."""
    await seen_contest(services, user, contest_id, Action.CONTEST_DECIDE)
    require_active(user)

    async def sort(session: AsyncSession, _: str) -> EntriesView:
        chosen = await rows_of.eliminate(
            session,
            contest_id=contest_id,
            entry_ids=body.entry_ids,
            reason=body.reason,
            remark=body.remark,
            arrival=arrival,
        )
        return await _several(session, services, chosen)

    return await once.in_transaction("act", body, sort, status=200)


async def _visible(
    session: AsyncSession, seen: Seen, contest_id: str
) -> tuple[bool, frozenset[str]]:
    """Whether the caller sees every entry, and which ones everybody sees: those that were announced."""
    if seen.relations & {Relation.INITIATOR, Relation.OPERATOR}:
        return True, frozenset()
    if seen.phase in HIDES_ENTRIES:
        return False, frozenset()
    terms = await rows_of.terms_of(session, contest_id)
    state = await rows_of.state_of(session, contest_id)
    return not terms.sealed, state.winners


def _is_hidden(seen: Seen, entry: Entry, user_id: str) -> bool:
    """Whether only the creator may see what an entry consists of: it was withdrawn, or the owner got no right to it."""
    if entry.creator_id == user_id or Relation.OPERATOR in seen.relations:
        return False
    return Phase(seen.phase) in HIDES_ENTRIES or entry.status == EntryStatus.WITHDRAWN


async def _owner(services: Services, contest_id: str) -> str:
    async with services.database.reading() as session:
        return (await rows_of.terms_of(session, contest_id)).owner_id


def _work(body: NewEntry) -> Work:
    return Work(title=body.title, note=body.note, file_ids=body.file_ids)


async def _own(
    session: AsyncSession, services: Services, contest_id: str, entry_id: str
) -> EntryView:
    await session.flush()
    found = await contests.entry(session, contest_id, entry_id)
    if found is None:
        raise unknown("entry")
    return EntryView.of(found, services.settings.api_url)


async def _several(session: AsyncSession, services: Services, chosen: list[Entry]) -> EntriesView:
    await session.flush()
    found = await contests.with_revisions(session, chosen)
    url = services.settings.api_url
    return EntriesView(entries=[EntryView.of(rows, url) for rows in found])
