"""Who backs a campaign, for everybody to see: those who have agreed, by name."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from api.auth import TOKEN_OPTIONAL, OptionalUser
from api.campaign_acts import ThisCampaign, see_campaign
from api.errors import problems
from api.policy import unknown
from api.schemas.base import Limit, page_of
from api.schemas.campaigns import BackersView, BackerView
from api.services import ServicesDep
from db import update_rows
from db.queries import backers, campaigns
from domain.errors import NotFound
from domain.ids import PledgeId

router = APIRouter(prefix="/v1/campaigns/{campaign_id}/backers", tags=["campaigns"])
BackerCursor = Annotated[PledgeId | None, Query(description="`next` of the page before.")]


@router.get(
    "",
    operation_id="listBackers",
    summary="Who backs the campaign, in the order in which they pledged",
    responses=problems(NotFound),
    openapi_extra=TOKEN_OPTIONAL,
)
async def list_backers(
    campaign_id: ThisCampaign,
    user: OptionalUser,
    services: ServicesDep,
    after: BackerCursor = None,
    limit: Limit = 50,
) -> BackersView:
    """For everybody, also without signing in: each person once, while a pledge of theirs stands.

    Who pledges with `anonymous` is counted only, and nothing tells what anybody has given.
    """
    async with services.database.reading() as session:
        await campaigns.one_moment(session)
        if user is not None:
            await see_campaign(session, user, campaign_id)
        elif not await update_rows.is_public(session, campaign_id):
            raise unknown("campaign")
        rows = await backers.page(session, campaign_id, after, limit + 1)
        anonymous = await backers.count_anonymous(session, campaign_id, services.counts)
    page = page_of(rows, limit, lambda row: BackerView.of(row[1]), lambda row: row[0].id)
    return BackersView(items=page.items, next=page.next, anonymous=anonymous)
