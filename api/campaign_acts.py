"""What the routes of campaigns share: seeing one, acting on one, showing one."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Response
from sqlalchemy.ext.asyncio import AsyncSession
from temporalio.workflow import UpdateMethodMultiParam

from api.acts import said_by, tell
from api.auth import Caller
from api.idempotency import Once
from api.policy import on_path, unknown
from api.schemas.base import Body
from api.schemas.campaigns import CampaignView
from api.services import Services
from db.queries import campaigns
from db.queries.paths import Seen
from domain.access import Action, Relation
from domain.campaign_messages import CampaignAct
from domain.ids import CampaignId
from domain.path import Standing
from workflows.campaign import Campaign

ThisCampaign = Annotated[CampaignId, Path(alias="campaign_id", description="Id of the campaign.")]
CampaignUpdate = UpdateMethodMultiParam[[Campaign, CampaignAct], Standing]
INSIDE = {Relation.INITIATOR, Relation.OPERATOR}
"""Relations of those who see everything."""
_BY_OPERATORS = {Action.CAMPAIGN_REVIEW, Action.CAMPAIGN_BAN, Action.CAMPAIGN_RULE}


async def seen_campaign(
    services: Services, user: Caller, campaign_id: str, action: Action = Action.CAMPAIGN_VIEW
) -> Seen:
    """The campaign and what the caller is to it, who may act on it. Raises NotFound or Forbidden."""
    async with services.database.reading() as session:
        return await see_campaign(session, user, campaign_id, action)


async def see_campaign(
    session: AsyncSession, user: Caller, campaign_id: str, action: Action = Action.CAMPAIGN_VIEW
) -> Seen:
    """The same within a transaction."""
    return await on_path(session, user, action, campaign_id, "campaign")


async def act_on_campaign(
    services: Services,
    once: Once,
    user: Caller,
    campaign_id: str,
    body: Body,
    action: Action,
    update: CampaignUpdate,
    said: CampaignAct | None = None,
) -> Response:
    """One act of one party; the workflow decides whether it is still possible. `said`: what they say besides."""
    seen = await seen_campaign(services, user, campaign_id, action)

    async def act(update_id: str) -> CampaignView:
        words = said or CampaignAct(actor="")
        who = said_by(user, seen, getattr(body, "note", ""))
        if action in _BY_OPERATORS:
            who = who.model_copy(update={"actor": Relation.OPERATOR.value})
        full = words.model_copy(update=who.model_dump())
        await tell(services, seen, update, full, update_id)
        return await show_campaign(services, user, campaign_id)

    return await once.resumable("act", body, act, status=200)


async def show_campaign(services: Services, user: Caller, campaign_id: str) -> CampaignView:
    """The campaign as the caller may see it, all of one moment. Raises NotFound."""
    async with services.database.reading() as session:
        await campaigns.one_moment(session)
        seen = await see_campaign(session, user, campaign_id)
        return await campaign_view(services, session, seen, campaign_id)


async def campaign_view(
    services: Services, session: AsyncSession, seen: Seen, campaign_id: str
) -> CampaignView:
    """The campaign as somebody of these relations may see it."""
    rows = await campaigns.campaign(session, campaign_id, services.counts)
    if rows is None:
        raise unknown("campaign")
    return CampaignView.seen(
        rows,
        inside=bool(seen.relations & INSIDE),
        per_second=services.settings.provider_rate_per_second,
    )
