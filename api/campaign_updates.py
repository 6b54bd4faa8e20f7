"""What a creator writes to the backers, and everybody or only they read."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response
from sqlalchemy.ext.asyncio import AsyncSession

from api.arrival import ArrivalDep
from api.auth import TOKEN_OPTIONAL, Caller, CurrentUser, OptionalUser
from api.campaign_acts import ThisCampaign, see_campaign, seen_campaign
from api.errors import problems
from api.idempotency import OnceDep
from api.policy import require_active, unknown
from api.schemas.base import Limit, Page, page_of
from api.schemas.fulfilment import UpdateIn, UpdateView
from api.services import ServicesDep
from db import update_rows
from db.queries import files
from domain.access import Action, Relation
from domain.errors import AccountFrozen, Forbidden, NotFound, UnknownFile, WrongPhase

router = APIRouter(prefix="/v1/campaigns/{campaign_id}/updates", tags=["campaigns"])
UpdateCursor = Annotated[
    int | None, Query(ge=1, le=1_000_000, description="`next` of the page before.")
]
_INSIDE = {Relation.INITIATOR, Relation.BACKER, Relation.OPERATOR}


@router.post(
    "",
    operation_id="writeUpdate",
    summary="Write to the backers",
    status_code=201,
    response_model=UpdateView,
    responses=problems(AccountFrozen, Forbidden, NotFound, UnknownFile, WrongPhase),
)
async def write_update(
    campaign_id: ThisCampaign,
    body: UpdateIn,
    user: CurrentUser,
    services: ServicesDep,
    once: OnceDep,
    arrival: ArrivalDep,
) -> Response:
    """By the creator, for everybody or for backers only. Private pictures are shown to the readers.

    A creator who owes rewards and does not write is reminded, for all to see.
    """
    require_active(user)
    await seen_campaign(services, user, campaign_id, Action.CAMPAIGN_DELIVER)

    async def write(session: AsyncSession, _: str) -> UpdateView:
        await files.attachable(session, user.id, body.file_ids)
        row = await update_rows.write(session, campaign_id, arrival, body.news)
        return UpdateView.of(row)

    return await once.in_transaction("act", body, write, status=201)


@router.get(
    "",
    operation_id="listUpdates",
    summary="What the creator has written, newest first",
    responses=problems(NotFound),
    openapi_extra=TOKEN_OPTIONAL,
)
async def list_updates(
    campaign_id: ThisCampaign,
    user: OptionalUser,
    services: ServicesDep,
    after: UpdateCursor = None,
    limit: Limit = 50,
) -> Page[UpdateView]:
    """For everybody, also without signing in; what is for backers only they, the creator and operators read."""
    async with services.database.reading() as session:
        inside = await _is_inside(session, user, campaign_id)
        rows = await update_rows.page(session, campaign_id, after, limit + 1, inside=inside)
    return page_of(rows, limit, UpdateView.of, lambda row: str(row.number))


async def _is_inside(session: AsyncSession, user: Caller | None, campaign_id: str) -> bool:
    """Whether they read everything. Raises NotFound for a campaign they may not see."""
    if user is not None:
        seen = await see_campaign(session, user, campaign_id)
        return bool(seen.relations & _INSIDE)
    if not await update_rows.is_public(session, campaign_id):
        raise unknown("campaign")
    return False
