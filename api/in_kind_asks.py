"""Asks: who needs what is offered. Rows; the offer's story hears only of the one that is picked."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from sqlalchemy.ext.asyncio import AsyncSession

from api.arrival import ArrivalDep
from api.auth import CurrentUser
from api.errors import problems
from api.idempotency import OnceDep
from api.in_kind_acts import ThisInKind, act_on_in_kind, see_in_kind, seen_in_kind
from api.policy import refuse_self_dealing, require, require_active, require_may_pay, unknown
from api.schemas.base import Limit, Page, page_of
from api.schemas.in_kind import AskIn, AskView, InKindView, PickIn
from api.schemas.sales import Note
from api.services import Services, ServicesDep
from db import in_kind_rows
from db.admission import admit
from db.queries import file_access, files, in_kind
from db.tables import InKindOffer
from domain.access import Action, Relation
from domain.errors import (
    AccountFrozen,
    Forbidden,
    HoldTooLong,
    InvalidInput,
    LimitReached,
    NotFound,
    PayerLocked,
    SelfDealing,
    TooLate,
    UnknownFile,
    WrongPhase,
)
from domain.ids import AskId
from domain.in_kind import PICKED, Phase
from domain.in_kind_deadlines import OFFER
from workflows.in_kind import InKind

router = APIRouter(prefix="/v1/in-kind/{in_kind_id}", tags=["in-kind"])
ThisAsk = Annotated[AskId, Path(alias="ask_id", description="Id of the ask.")]
AskCursor = Annotated[AskId | None, Query(description="`next` of the page before.")]
_JUDGES = {Relation.INITIATOR, Relation.OPERATOR}


@router.post(
    "/asks",
    operation_id="askForInKind",
    summary="Ask for it",
    status_code=201,
    response_model=AskView,
    responses=problems(
        PayerLocked,
        AccountFrozen,
        InvalidInput,
        LimitReached,
        NotFound,
        SelfDealing,
        TooLate,
        UnknownFile,
        WrongPhase,
    ),
)
async def ask_for_it(
    in_kind_id: ThisInKind,
    body: AskIn,
    user: CurrentUser,
    services: ServicesDep,
    once: OnceDep,
    arrival: ArrivalDep,
) -> Response:
    """Only the supporter and operators see who asks. One ask a person."""
    require_active(user)
    await require_may_pay(services, user)
    await seen_in_kind(services, user, in_kind_id, Action.IN_KIND_ASK)
    supporter_id = await _supporter(services, in_kind_id)
    await refuse_self_dealing(services, Action.IN_KIND_ASK, in_kind_id, user.id, [supporter_id])

    async def place(session: AsyncSession, ask_id: str) -> AskView:
        admitted = await admit(session, in_kind_id, arrival, phases={Phase.OFFERED}, deadline=OFFER)
        await files.attachable(session, user.id, body.file_ids)
        row = await in_kind_rows.place_ask(
            session,
            ask_id,
            in_kind_id,
            user.id,
            message=body.message,
            for_path_id=body.for_path_id,
            file_ids=body.file_ids,
            at=admitted.at,
        )
        await file_access.grant(session, body.file_ids, in_kind_id, supporter_id)
        return AskView.of(row)

    return await once.in_transaction("ask", body, place, status=201)


@router.get(
    "/asks",
    operation_id="listInKindAsks",
    summary="Asks, oldest first",
    responses=problems(NotFound),
)
async def list_asks(
    in_kind_id: ThisInKind,
    user: CurrentUser,
    services: ServicesDep,
    after: AskCursor = None,
    limit: Limit = 50,
) -> Page[AskView]:
    """The own ones; for the supporter and operators all that stand, and the one that was picked."""
    async with services.database.reading() as session:
        seen = await see_in_kind(session, user, in_kind_id)
        asker = None if seen.relations & _JUDGES else user.id
        rows = await in_kind.asks(session, in_kind_id, asker, after, limit + 1)
    return page_of(rows, limit, AskView.of, lambda row: row.id)


@router.post(
    "/asks/{ask_id}/withdraw",
    operation_id="withdrawInKindAsk",
    summary="Take the ask back",
    response_model=AskView,
    responses=problems(Forbidden, NotFound, WrongPhase),
)
async def withdraw_ask(
    in_kind_id: ThisInKind,
    ask_id: ThisAsk,
    body: Note,
    user: CurrentUser,
    services: ServicesDep,
    once: OnceDep,
    arrival: ArrivalDep,
) -> Response:
    """By its asker, while somebody can still be picked; who was picked calls off instead."""
    async with services.database.transaction() as session:
        seen = await see_in_kind(session, user, in_kind_id)
        found = await in_kind.ask(session, in_kind_id, ask_id)
    _require_own(user.relations(owner=found.asker_id) if found else frozenset(), seen.relations)

    async def withdraw(session: AsyncSession, _: str) -> AskView:
        admitted = await admit(session, in_kind_id, arrival, phases=PICKED | {Phase.OFFERED})
        return AskView.of(await in_kind_rows.withdraw_ask(session, in_kind_id, ask_id, admitted.at))

    return await once.in_transaction("act", body, withdraw, status=200)


@router.post(
    "/pick",
    operation_id="pickInKindAsk",
    summary="Pick who gets it",
    response_model=InKindView,
    responses=problems(
        AccountFrozen,
        Forbidden,
        HoldTooLong,
        InvalidInput,
        LimitReached,
        NotFound,
        SelfDealing,
        TooLate,
        WrongPhase,
    ),
)
async def pick(
    in_kind_id: ThisInKind, body: PickIn, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """By the supporter. A borrower then has three days to pay the deposit, if there is one."""
    require_active(user)
    await seen_in_kind(services, user, in_kind_id, Action.IN_KIND_DECIDE)
    async with services.database.transaction() as session:
        found = await in_kind.ask(session, in_kind_id, body.ask_id)
    if found is None:
        raise _unknown_ask()
    # What was not known when they asked may have come out since.
    await refuse_self_dealing(
        services, Action.IN_KIND_DECIDE, in_kind_id, user.id, [found.asker_id]
    )
    return await act_on_in_kind(
        services,
        once,
        user,
        in_kind_id,
        body,
        Action.IN_KIND_DECIDE,
        InKind.pick,
        ask_id=found.id,
    )


def _unknown_ask() -> InvalidInput:
    return InvalidInput("there is no such ask", field="ask_id", accepted="an ask of the list")


def _require_own(own: frozenset[Relation], relations: frozenset[Relation]) -> None:
    """Raises NotFound or Forbidden unless it is the caller's ask."""
    if Relation.OWNER not in own and not relations & _JUDGES:
        raise unknown("ask")
    require(Action.ASK_EDIT, own)


async def _supporter(services: Services, in_kind_id: str) -> str:
    """Whose offer it is."""
    async with services.database.reading() as session:
        row = await session.get_one(InKindOffer, in_kind_id)
    return in_kind_rows.terms_of(row).supporter_id
