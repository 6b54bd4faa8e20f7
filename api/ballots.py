"""Ballots: asking the crowd, and what the initiator and operators do. Voting itself is in api.votes."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from sqlalchemy.ext.asyncio import AsyncSession

from api.acts import Opening, begin, tell
from api.auth import CurrentUser
from api.errors import problems
from api.idempotency import OnceDep
from api.policy import DRAFT, on_path, require, require_active, role_of, unknown
from api.schemas.ballots import BallotView, NewBallot, VoidedVotes
from api.schemas.base import Limit, Page, page_of
from api.schemas.sales import Note
from api.services import Services, ServicesDep
from db import ballot_rows
from db.queries import ballots
from db.queries.ballots import BallotRows
from db.queries.paths import Seen
from domain.access import Action
from domain.ballot import (
    NO_CURRENCY,
    BallotTerms,
    Event,
    Phase,
    allow,
    facts,
    require_sound,
    require_windows,
)
from domain.ballot_messages import BallotAct, BallotStart, RetallyStart
from domain.errors import (
    AccountFrozen,
    Forbidden,
    InvalidInput,
    NotFound,
    TooLate,
    Unavailable,
    WrongPhase,
)
from domain.ids import BallotId, step_key
from domain.text import as_markdown
from workflows.ballot import Ballot
from workflows.ballot_retally import BallotRetally
from workflows.names import ballot_workflow_id, retally_key, retally_workflow_id

router = APIRouter(prefix="/v1/ballots", tags=["ballots"])
ThisBallot = Annotated[BallotId, Path(alias="ballot_id", description="Id of the ballot.")]
BallotCursor = Annotated[BallotId | None, Query(description="`next` of the page before.")]
Mine = Annotated[bool, Query(description="Only the own ballots, drafts included.")]


@router.post(
    "",
    operation_id="createBallot",
    summary="Prepare a ballot",
    status_code=201,
    response_model=BallotView,
    responses=problems(AccountFrozen, Forbidden, InvalidInput),
)
async def create_ballot(
    body: NewBallot, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """A draft that only its initiator sees. Open it with `POST /v1/ballots/{id}/open`."""
    require(Action.BALLOT_CREATE, user.relations())
    require_active(user)

    async def create(session: AsyncSession, ballot_id: str) -> BallotView:
        terms = await _terms(session, services, body)
        workflow_id = ballot_workflow_id(ballot_id)
        await ballot_rows.draft(
            session, ballot_id, workflow_id=workflow_id, initiator_id=user.id, terms=terms
        )
        return await _view(session, ballot_id)

    return await once.in_transaction("bal", body, create, status=201)


@router.get("", operation_id="listBallots", summary="Ballots, newest first")
async def list_ballots(
    user: CurrentUser,
    services: ServicesDep,
    mine: Mine = False,
    after: BallotCursor = None,
    limit: Limit = 20,
) -> Page[BallotView]:
    """Everybody's ballots that have been opened, or with `mine` all of one's own."""
    async with services.database.reading() as session:
        rows = await ballots.page(session, user.id if mine else None, after, limit + 1)
    return page_of(rows, limit, BallotView.of, lambda row: row.ballot.id)


@router.get(
    "/{ballot_id}", operation_id="getBallot", summary="A ballot", responses=problems(NotFound)
)
async def get_ballot(ballot_id: ThisBallot, user: CurrentUser, services: ServicesDep) -> BallotView:
    """Its rules and where it stands; how many have voted, but not what."""
    async with services.database.reading() as session:
        await on_path(session, user, Action.BALLOT_VIEW, ballot_id, "ballot")
        return await _view(session, ballot_id)


@router.put(
    "/{ballot_id}",
    operation_id="updateBallot",
    summary="Change a draft",
    responses=problems(AccountFrozen, Forbidden, InvalidInput, NotFound, WrongPhase),
)
async def update_ballot(
    ballot_id: ThisBallot, body: NewBallot, user: CurrentUser, services: ServicesDep
) -> BallotView:
    """By its initiator, until it is opened; then the rules are fixed."""
    async with services.database.transaction() as session:
        await on_path(session, user, Action.BALLOT_EDIT, ballot_id, "ballot")
        require_active(user)
        rows = await _rows(session, ballot_id, locked=True)
        _require_own(rows)
        allow(Phase(rows.path.phase), Event.OPENED)
        rows.ballot.terms = (await _terms(session, services, body)).model_dump(mode="json")
        await session.flush()
        return BallotView.of(rows)


@router.post(
    "/{ballot_id}/open",
    operation_id="openBallot",
    summary="Open a ballot",
    response_model=BallotView,
    responses=problems(AccountFrozen, Forbidden, InvalidInput, NotFound, WrongPhase),
)
async def open_ballot(
    ballot_id: ThisBallot, body: Note, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """By its initiator: from now on people vote, and the rules are fixed."""
    async with services.database.transaction() as session:
        seen = await on_path(session, user, Action.BALLOT_EDIT, ballot_id, "ballot")
        rows = await _rows(session, ballot_id)
    _require_own(rows)
    require_active(user)

    async def open_it(update_id: str) -> BallotView:
        if seen.phase not in (Phase.DRAFT, Phase.OPEN):
            raise WrongPhase(f"the ballot is {seen.phase}", field="phase", accepted=Phase.DRAFT)
        terms = BallotTerms.model_validate(rows.ballot.terms)
        require_windows(terms, services.settings.shortest_window_seconds)
        await begin(
            services,
            _opening(rows, terms),
            BallotStart(ballot_id=ballot_id),
            Ballot.open,
            BallotAct(actor=role_of(seen.relations), user_id=user.id, note=body.note),
            update_id,
        )
        return await _view_now(services, ballot_id)

    return await once.resumable("act", body, open_it, status=200)


@router.post(
    "/{ballot_id}/cancel",
    operation_id="cancelBallot",
    summary="Call a ballot off",
    response_model=BallotView,
    responses=problems(AccountFrozen, Forbidden, NotFound, WrongPhase),
)
async def cancel_ballot(
    ballot_id: ThisBallot, body: Note, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """A draft by its initiator; later, until the result is final, by an operator. Nothing is decided."""
    async with services.database.transaction() as session:
        await on_path(session, user, Action.BALLOT_VIEW, ballot_id, "ballot")
    require_active(user)

    async def cancel(update_id: str) -> BallotView:
        key = step_key(ballot_workflow_id(ballot_id), f"{update_id}-withdrawn")
        async with services.database.transaction() as session:
            rows = await _rows(session, ballot_id, locked=True)
            if await ballot_rows.happened(session, key):
                return BallotView.of(rows)
            seen = await on_path(session, user, Action.BALLOT_VIEW, ballot_id, "ballot")
            draft = rows.path.phase == DRAFT
            require(Action.BALLOT_EDIT if draft else Action.BALLOT_RULE, seen.relations)
            if draft:
                _require_own(rows)
                await ballot_rows.withdraw(session, rows.path, key, body.note)
                return BallotView.of(rows)
        act = BallotAct(
            actor="operator", user_id=user.id, note=body.note, phase_seen=rows.path.phase
        )
        await tell(services, seen, Ballot.cancel, act, update_id)
        return await _view_now(services, ballot_id)

    return await once.resumable("act", body, cancel, status=200)


@router.post(
    "/{ballot_id}/void-votes",
    operation_id="voidVotes",
    summary="Declare votes void",
    response_model=BallotView,
    responses=problems(AccountFrozen, Forbidden, InvalidInput, NotFound, TooLate, WrongPhase),
)
async def void_votes(
    ballot_id: ThisBallot,
    body: VoidedVotes,
    user: CurrentUser,
    services: ServicesDep,
    once: OnceDep,
) -> Response:
    """By an operator, for fraud. Papers stay on record, but do not count.

    While people vote they are left out at the count. On public notice the rest is counted again and the notice starts
    anew. Within the re-tally time after the end the rest is counted again, and the path that had asked the crowd is
    told when that decides otherwise.
    """
    async with services.database.transaction() as session:
        await on_path(session, user, Action.BALLOT_RULE, ballot_id, "ballot")
    require_active(user)

    async def void(update_id: str) -> BallotView:
        if not body.seqs and not body.voter_ids:
            raise InvalidInput("nothing is named", field="seqs", accepted="seqs or voter_ids")
        async with services.database.transaction() as session:
            seen = await on_path(session, user, Action.BALLOT_RULE, ballot_id, "ballot")
            rows = await _rows(session, ballot_id)
        act = BallotAct(
            actor="operator",
            user_id=user.id,
            note=body.reason,
            phase_seen=seen.phase,
            seqs=tuple(body.seqs),
            voter_ids=tuple(body.voter_ids),
            request_id=update_id,
        )
        if seen.phase == Phase.FINAL:
            await _retally(services, rows, act)
        else:
            await _void_in_time(services, seen, act)
        return await _view_now(services, ballot_id)

    return await once.resumable("act", body, void, status=200)


async def _void_in_time(services: Services, seen: Seen, act: BallotAct) -> None:
    if seen.phase == Phase.DRAFT:
        allow(Phase.DRAFT, Event.VOTES_VOIDED)
    await tell(services, seen, Ballot.void_votes, act, act.request_id)


async def _retally(services: Services, rows: BallotRows, act: BallotAct) -> None:
    number = rows.ballot.retallies + 1
    terms = BallotTerms.model_validate(rows.ballot.terms)
    opening = _opening(rows, terms).model_copy(
        update={
            "workflow": "BallotRetally",
            "workflow_id": retally_workflow_id(rows.ballot.id, number),
            "summary": f"Counted again, number {number}: {as_markdown(terms.title[:80])}",
            "details": f"Votes declared void: {as_markdown(act.note)}",
        }
    )
    await begin(
        services,
        opening,
        RetallyStart(ballot_id=rows.ballot.id),
        BallotRetally.void_votes,
        act,
        act.request_id,
    )
    async with services.database.transaction() as session:
        done = await ballot_rows.happened(session, retally_key(rows.ballot.id, act.request_id))
    if not done:
        raise Unavailable("another re-tally has just ended; repeat the request")


def _opening(rows: BallotRows, terms: BallotTerms) -> Opening:
    title = as_markdown(terms.title)
    lines = [f"Ballot **{title}**", "", *(f"- {as_markdown(fact)}" for fact in facts(terms))]
    return Opening(
        workflow="Ballot",
        workflow_id=rows.path.workflow_id,
        kind="ballot",
        initiator_id=rows.path.initiator_id,
        currency=NO_CURRENCY,
        summary=f"{terms.mode}: {as_markdown(terms.title[:80])}",
        details="\n".join(lines),
    )


async def _terms(session: AsyncSession, services: Services, body: NewBallot) -> BallotTerms:
    terms = body.terms(services.settings.ballot_policy)
    require_sound(terms)
    require_windows(terms, services.settings.shortest_window_seconds)
    authors = {option.author_id for option in body.options if option.author_id}
    known = await ballots.known_users(session, authors)
    for index, option in enumerate(body.options):
        if option.author_id and option.author_id not in known:
            raise InvalidInput(
                "there is no such user", field=f"options[{index}].author_id", accepted="a user's id"
            )
    return terms


async def _rows(session: AsyncSession, ballot_id: str, *, locked: bool = False) -> BallotRows:
    rows = await ballots.ballot(session, ballot_id, locked=locked)
    if rows is None:
        raise unknown("ballot")
    return rows


def _require_own(rows: BallotRows) -> None:
    """Raises Forbidden for the draft of a ballot that another path holds: only that path writes and opens it."""
    if rows.ballot.parent_path_id is not None:
        raise Forbidden(
            "this ballot belongs to another path, which opens it by itself",
            accepted="the path that asks the crowd",
        )


async def _view(session: AsyncSession, ballot_id: str) -> BallotView:
    return BallotView.of(await _rows(session, ballot_id))


async def _view_now(services: Services, ballot_id: str) -> BallotView:
    async with services.database.reading() as session:
        return await _view(session, ballot_id)
