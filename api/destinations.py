"""Where users want their money."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import Response

from api.auth import CurrentUser
from api.errors import problems
from api.idempotency import OnceDep
from api.policy import require
from api.schemas.base import Limit, Page, page_of
from api.schemas.destinations import DestinationView, NewDestination
from api.services import ServicesDep
from db.queries import destinations
from db.tables import PayoutDestination
from domain.access import Action
from domain.errors import Forbidden, UnknownCurrency
from domain.ids import DestinationId

router = APIRouter(tags=["payouts"])


@router.post(
    "/v1/payout-destinations",
    status_code=201,
    operation_id="addPayoutDestination",
    summary="Say where the money shall go",
    response_model=DestinationView,
    responses=problems(Forbidden, UnknownCurrency),
)
async def add_destination(
    body: NewDestination, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """Replaces the active destination of that currency; payouts already on their way keep theirs."""
    require(Action.DESTINATION_ADD, user.relations())

    async def add(session: AsyncSession, destination_id: str) -> DestinationView:
        row = PayoutDestination(
            id=destination_id,
            user_id=user.id,
            provider=services.settings.provider,
            currency=body.currency,
            account=body.account,
            holder=body.holder,
            status="active",
            automatic=body.automatic,
        )
        return DestinationView.of(await destinations.replace(session, row))

    return await once.in_transaction("dst", body, add, status=201)


@router.get(
    "/v1/payout-destinations",
    operation_id="listPayoutDestinations",
    summary="The own destinations, newest first",
)
async def list_destinations(
    user: CurrentUser,
    services: ServicesDep,
    after: Annotated[DestinationId | None, Query(description="`next` of the page before.")] = None,
    limit: Limit = 20,
) -> Page[DestinationView]:
    """The active ones and those they replaced; accounts are masked."""
    async with services.database.reading() as session:
        rows = await destinations.page(session, user.id, after, limit + 1)
    return page_of(rows, limit, DestinationView.of, lambda row: row.id)
