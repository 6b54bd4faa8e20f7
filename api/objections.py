"""Objections against entries: during the public notice they stop the clock, at any other time they are reports."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from api.acts import said_by, tell
from api.arrival import ArrivalDep
from api.auth import CurrentUser
from api.contest_acts import ThisContest, as_operator, seen_contest, void_winner
from api.errors import problems
from api.idempotency import OnceDep
from api.policy import require_active, unknown
from api.schemas.base import Limit, Page, page_of
from api.schemas.entries import NewObjection, ObjectionView, Ruling
from api.services import Services, ServicesDep
from db import entries, objections
from db.admission import Arrival
from db.queries import contests
from db.queries.paths import Seen
from domain.access import Action, Relation
from domain.contest import Phase
from domain.contest_messages import ContestAct
from domain.errors import (
    AccountFrozen,
    Forbidden,
    InvalidInput,
    NotFound,
    TooLate,
    UnknownFile,
    WrongPhase,
)
from domain.ids import ObjectionId
from workflows.contest import Contest

router = APIRouter(prefix="/v1/contests/{contest_id}/objections", tags=["contests"])
ThisObjection = Annotated[ObjectionId, Path(alias="objection_id", description="Id of it.")]
_UPHELD = "upheld"
ObjectionCursor = Annotated[ObjectionId | None, Query(description="`next` of the page before.")]


@router.post(
    "",
    operation_id="objectToEntry",
    summary="Object to an entry",
    status_code=201,
    response_model=ObjectionView,
    responses=problems(NotFound, WrongPhase, AccountFrozen, InvalidInput, UnknownFile),
)
async def object_to(
    contest_id: ThisContest,
    body: NewObjection,
    user: CurrentUser,
    services: ServicesDep,
    once: OnceDep,
) -> Response:
    """By anybody. Against an announced winner it holds the prizes back until operators have ruled."""
    seen = await seen_contest(services, user, contest_id, Action.CONTEST_OBJECT)
    require_active(user)

    async def say(objection_id: str) -> ObjectionView:
        async with services.database.transaction() as session:
            row = await objections.add(
                session,
                objection_id=objection_id,
                contest_id=contest_id,
                entry_id=body.entry_id,
                by_id=user.id,
                ground=body.ground,
                words=body.words,
                file_ids=body.file_ids,
            )
            state = await entries.state_of(session, contest_id)
        if seen.phase == Phase.ANNOUNCED and row.entry_id in state.winners:
            act = ContestAct(**said_by(user, seen).model_dump(), objection_id=objection_id)
            await _stop_the_clock(services, seen, act, objection_id)
        return await _look(services, objection_id)

    return await once.resumable("obj", body, say, status=201)


async def _stop_the_clock(
    services: Services, seen: Seen, act: ContestAct, objection_id: str
) -> None:
    """Tells the contest; one that is contested already, or has just gone on, keeps the objection as a report."""
    try:
        await tell(services, seen, Contest.object, act, objection_id)
    except WrongPhase:
        return


@router.get(
    "",
    operation_id="listObjections",
    summary="Objections and reports, oldest first",
    responses=problems(Forbidden, NotFound),
)
async def list_objections(
    contest_id: ThisContest,
    user: CurrentUser,
    services: ServicesDep,
    after: ObjectionCursor = None,
    limit: Limit = 50,
) -> Page[ObjectionView]:
    """For owner and operators all, for others their own."""
    seen = await seen_contest(services, user, contest_id, Action.CONTEST_VIEW)
    everything = bool(seen.relations & {Relation.INITIATOR, Relation.OPERATOR})
    async with services.database.reading() as session:
        rows = await contests.objections(
            session, contest_id, None if everything else user.id, after, limit + 1
        )
    return page_of(rows, limit, ObjectionView.of, lambda row: row.id)


@router.post(
    "/{objection_id}/rule",
    operation_id="ruleOnObjection",
    summary="Uphold or dismiss an objection",
    response_model=ObjectionView,
    responses=problems(Forbidden, NotFound, WrongPhase, InvalidInput, TooLate),
)
async def rule(
    contest_id: ThisContest,
    objection_id: ThisObjection,
    body: Ruling,
    user: CurrentUser,
    services: ServicesDep,
    once: OnceDep,
    arrival: ArrivalDep,
) -> Response:
    """By operators. Upheld, the entry is taken out, and what it has won goes on or is clawed back."""
    seen = await seen_contest(services, user, contest_id, Action.CONTEST_RULE)

    async def decide(update_id: str) -> ObjectionView:
        async with services.database.transaction() as session:
            found = await contests.objection(session, objection_id)
            state = await entries.state_of(session, contest_id)
        if found is None or found.contest_id != contest_id:
            raise unknown("objection")
        if (found.status, found.ruling, found.ruled_by) == (_status(body), body.reason, user.id):
            # The same request again, whose answer was lost: the entry has lost its prize already.
            return ObjectionView.of(found)
        act = as_operator(user, seen, body.reason).model_copy(
            update={"objection_id": objection_id, "entry_id": found.entry_id}
        )
        if body.upheld and found.entry_id in state.winners:
            await void_winner(services, seen, contest_id, act, update_id)
        elif not body.upheld and seen.phase == Phase.CONTESTED:
            await tell(services, seen, Contest.dismiss, act, update_id)
        else:
            await _note(services, act, found.entry_id, arrival, _status(body))
        return await _look(services, objection_id)

    return await once.resumable("act", body, decide, status=200)


def _status(body: Ruling) -> str:
    """What becomes of the objection."""
    return _UPHELD if body.upheld else "dismissed"


async def _note(
    services: Services, act: ContestAct, entry_id: str, arrival: Arrival, status: str
) -> None:
    """A ruling that no prize hangs on."""
    async with services.database.transaction() as session:
        if status == _UPHELD:
            await entries.take_out(session, entry_id=entry_id, remark=act.note, arrival=arrival)
        await objections.rule(
            session,
            act.objection_id or "",
            status=status,
            ruling=act.note,
            by_id=act.user_id or "",
        )


async def _look(services: Services, objection_id: str) -> ObjectionView:
    async with services.database.transaction() as session:
        found = await contests.objection(session, objection_id)
    if found is None:
        raise unknown("objection")
    return ObjectionView.of(found)
