"""Brokers 经纪人: who may take lots on for whom. What a worker earns is the worker's, whoever has claimed it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from sqlalchemy.ext.asyncio import AsyncSession

from api.auth import CurrentUser
from api.errors import problems
from api.idempotency import OnceDep
from api.policy import require, require_active, unknown
from api.schemas.base import Limit, Page, page_of
from api.schemas.brokers import ConsentIn, ConsentView
from api.schemas.sales import Note
from api.services import ServicesDep
from db import consents
from db.consents import Which
from db.queries import users
from domain.access import Action
from domain.errors import AccountFrozen, InvalidInput, NotFound
from domain.ids import ConsentId

router = APIRouter(prefix="/v1/broker-consents", tags=["lots"])
ThisConsent = Annotated[ConsentId, Path(alias="consent_id", description="Id of the consent.")]
ConsentCursor = Annotated[ConsentId | None, Query(description="`next` of the page before.")]


@router.post(
    "",
    operation_id="giveConsent",
    summary="Let a broker take lots on",
    status_code=201,
    response_model=ConsentView,
    responses=problems(AccountFrozen, InvalidInput),
)
async def give_consent(
    body: ConsentIn, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """By the worker. The broker may claim lots for them and act on those, until one of the two ends it."""
    require(Action.CONSENT_GIVE, user.relations())
    require_active(user)

    async def give(session: AsyncSession, consent_id: str) -> ConsentView:
        if body.broker_id == user.id:
            raise InvalidInput(
                "you need nobody's consent", field="broker_id", accepted="somebody else"
            )
        if await users.get(session, body.broker_id) is None:
            raise InvalidInput(
                "there is no such user", field="broker_id", accepted="the id of a user"
            )
        return ConsentView.of(await consents.give(session, consent_id, user.id, body.broker_id))

    return await once.in_transaction("cns", body, give, status=201)


@router.get("", operation_id="listConsents", summary="The own consents, newest first")
async def list_consents(
    user: CurrentUser,
    services: ServicesDep,
    which: Which = "worker",
    after: ConsentCursor = None,
    limit: Limit = 50,
) -> Page[ConsentView]:
    """What the signed-in user gave, or with `which=broker` got; ended ones too."""
    async with services.database.reading() as session:
        rows = await consents.page(session, user.id, which, after, limit + 1)
    return page_of(rows, limit, ConsentView.of, lambda row: row.id)


@router.post(
    "/{consent_id}/end",
    operation_id="endConsent",
    summary="The broker acts no more",
    response_model=ConsentView,
    responses=problems(NotFound),
)
async def end_consent(
    consent_id: ThisConsent, body: Note, user: CurrentUser, once: OnceDep
) -> Response:
    """By the worker or the broker. The lots that run stay the worker's, who acts on them alone; the broker may look."""

    async def end(session: AsyncSession, _: str) -> ConsentView:
        row = await consents.consent(session, consent_id)
        if row is None or user.id not in (row.worker_id, row.broker_id):
            raise unknown("consent")
        return ConsentView.of(await consents.end(session, consent_id))

    return await once.in_transaction("act", body, end, status=200)
