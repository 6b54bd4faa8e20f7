"""After a campaign has succeeded: parts of the money, rewards sent in bulk, and the backers' vote on what is left."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from sqlalchemy.ext.asyncio import AsyncSession
from temporalio.service import RPCError

from api.arrival import ArrivalDep
from api.auth import TOKEN_OPTIONAL, Caller, CurrentUser, OptionalUser
from api.campaign_acts import ThisCampaign, act_on_campaign, see_campaign, seen_campaign
from api.errors import problems
from api.idempotency import OnceDep
from api.policy import refuse_self_dealing, require, require_active, unknown
from api.schemas.base import Limit, Page, page_of
from api.schemas.campaigns import CampaignView, ReasonIn
from api.schemas.fulfilment import (
    FulfilmentView,
    RewardView,
    ShipmentsIn,
    ShipmentsView,
    TrancheReportIn,
)
from api.schemas.sales import Note
from api.services import Services, ServicesDep
from db import campaign_rows, reward_rows
from db.queries import campaigns, files, fulfilment
from db.reward_rows import Which
from domain.access import Action, Relation
from domain.campaign_messages import CampaignAct
from domain.errors import (
    AccountFrozen,
    Forbidden,
    InvalidInput,
    NotEligible,
    NotFound,
    SelfDealing,
    UnknownFile,
    WrongPhase,
)
from domain.ids import PledgeId
from runtime.temporal import Tell, send
from workflows.campaign import Campaign

router = APIRouter(prefix="/v1/campaigns/{campaign_id}", tags=["campaigns"])
TrancheNumber = Annotated[
    int, Path(alias="number", ge=1, le=10, description="Number of the part, from 1.")
]
PledgeCursor = Annotated[PledgeId | None, Query(description="`next` of the page before.")]
_ACT = (Forbidden, NotFound, WrongPhase)


@router.get(
    "/fulfilment",
    operation_id="getFulfilment",
    summary="How far the campaign is with what it promised",
    responses=problems(NotFound),
    openapi_extra=TOKEN_OPTIONAL,
)
async def get_fulfilment(
    campaign_id: ThisCampaign, user: OptionalUser, services: ServicesDep
) -> FulfilmentView:
    """For everybody, also without signing in, once the campaign has succeeded.

    Rewards received and missing, money taken in and released, and of a stopped campaign what its backers do not get back.
    """
    async with services.database.reading() as session:
        await campaigns.one_moment(session)
        found = await fulfilment.progress(session, campaign_id)
    if found is None:
        raise unknown("campaign that has succeeded")
    return FulfilmentView.of(found)


@router.post(
    "/tranches/{number}/report",
    operation_id="reportTranche",
    summary="Show that a part of the work is done",
    response_model=CampaignView,
    responses=problems(*_ACT, AccountFrozen, InvalidInput, UnknownFile),
)
async def report_tranche(
    campaign_id: ThisCampaign,
    number: TrancheNumber,
    body: TrancheReportIn,
    user: CurrentUser,
    services: ServicesDep,
    once: OnceDep,
) -> Response:
    """By the creator: the first article, or how much of the lots is accepted by now.

    Operators approve or refuse it; if they are silent it counts as reached.
    """
    require_active(user)
    async with services.database.transaction() as session:
        await files.attachable(session, user.id, body.file_ids)
    said = CampaignAct(actor="", tranche=number, report=body.report)
    return await act_on_campaign(
        services,
        once,
        user,
        campaign_id,
        body,
        Action.CAMPAIGN_DELIVER,
        Campaign.report_tranche,
        said,
    )


@router.post(
    "/tranches/{number}/approve",
    operation_id="approveTranche",
    summary="Agree that a part is reached",
    response_model=CampaignView,
    responses=problems(*_ACT, InvalidInput, SelfDealing),
)
async def approve_tranche(
    campaign_id: ThisCampaign,
    number: TrancheNumber,
    body: Note,
    user: CurrentUser,
    services: ServicesDep,
    once: OnceDep,
) -> Response:
    """By operators, not of their own campaign: its money is released to the creator."""
    await _require_somebody_else(services, user, campaign_id)
    return await act_on_campaign(
        services,
        once,
        user,
        campaign_id,
        body,
        Action.CAMPAIGN_RULE,
        Campaign.approve_tranche,
        CampaignAct(actor="", tranche=number),
    )


@router.post(
    "/tranches/{number}/refuse",
    operation_id="refuseTranche",
    summary="Do not agree that a part is reached",
    response_model=CampaignView,
    responses=problems(*_ACT, InvalidInput),
)
async def refuse_tranche(
    campaign_id: ThisCampaign,
    number: TrancheNumber,
    body: ReasonIn,
    user: CurrentUser,
    services: ServicesDep,
    once: OnceDep,
) -> Response:
    """By operators, with the reason; the creator may report again."""
    return await act_on_campaign(
        services,
        once,
        user,
        campaign_id,
        body,
        Action.CAMPAIGN_RULE,
        Campaign.refuse_tranche,
        CampaignAct(actor="", tranche=number),
    )


@router.post(
    "/lock-rewards",
    operation_id="lockRewards",
    summary="Fix addresses and answers",
    response_model=CampaignView,
    responses=problems(*_ACT),
)
async def lock_rewards(
    campaign_id: ThisCampaign, body: Note, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """By the creator, as often as needed: rewards whose backers have told everything.

    The others are listed at `rewards?which=incomplete` and may still tell until they are shipped.
    """
    return await act_on_campaign(
        services, once, user, campaign_id, body, Action.CAMPAIGN_DELIVER, Campaign.lock_rewards
    )


@router.get(
    "/rewards",
    operation_id="listRewards",
    summary="Rewards with answers and addresses, oldest pledge first",
    responses=problems(Forbidden, NotFound),
)
async def list_rewards(
    campaign_id: ThisCampaign,
    user: CurrentUser,
    services: ServicesDep,
    which: Which = Which.ALL,
    after: PledgeCursor = None,
    limit: Limit = 100,
) -> Page[RewardView]:
    """For the creator and operators. `locked`: ready to be made and sent."""
    async with services.database.reading() as session:
        seen = await see_campaign(session, user, campaign_id)
        require(Action.PLEDGE_VIEW, seen.relations)
        terms = await campaign_rows.terms_of(session, campaign_id)
        if terms is None:
            raise unknown("campaign")
        rows = await reward_rows.page(session, campaign_id, terms, which, after, limit + 1)
    return page_of(
        rows, limit, lambda row: RewardView.of(row, seen.phase, own=False), lambda row: row.id
    )


@router.post(
    "/shipments",
    operation_id="shipRewards",
    summary="Say which rewards were sent, and how",
    response_model=ShipmentsView,
    responses=problems(*_ACT),
)
async def ship_rewards(
    campaign_id: ThisCampaign,
    body: ShipmentsIn,
    user: CurrentUser,
    services: ServicesDep,
    once: OnceDep,
    arrival: ArrivalDep,
) -> Response:
    """By the creator, up to 500 at once. The same again changes nothing; what cannot be written down is listed."""
    seen = await seen_campaign(services, user, campaign_id, Action.CAMPAIGN_DELIVER)
    last: list[Tell] = []

    async def ship(session: AsyncSession, _: str) -> ShipmentsView:
        owed = not await reward_rows.are_all_shipped(session, campaign_id)
        done = await reward_rows.ship(session, campaign_id, arrival, body.wanted)
        if owed and await reward_rows.are_all_shipped(session, campaign_id):
            act = CampaignAct(actor=Relation.INITIATOR, user_id=user.id)
            last.append(Tell(workflow_id=seen.workflow_id, signal="rewards_shipped", fact=act))
        return ShipmentsView.of(done)

    answer = await once.in_transaction("act", body, ship, status=200)
    for news in last:
        # Unheard it is no loss: the story's next timer finds the rewards shipped as well.
        with suppress(RPCError, TimeoutError):
            async with asyncio.timeout(services.settings.request_timeout_seconds):
                await send(services.temporal, services.settings.temporal_task_queue, news)
    return answer


@router.post(
    "/refund-vote",
    operation_id="askRefundVote",
    summary="Ask for a vote on the money that is left",
    response_model=CampaignView,
    responses=problems(*_ACT, NotEligible),
)
async def ask_refund_vote(
    campaign_id: ThisCampaign, body: Note, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """By a backer who has received nothing, when the delivery is long late. `ballot_id` tells where backers vote."""
    return await act_on_campaign(
        services, once, user, campaign_id, body, Action.CAMPAIGN_VOTE, Campaign.ask_vote
    )


async def _require_somebody_else(services: Services, user: Caller, campaign_id: str) -> None:
    """Raises SelfDealing for the creator, and what `seen_campaign` raises."""
    await seen_campaign(services, user, campaign_id, Action.CAMPAIGN_RULE)
    async with services.database.transaction() as session:
        terms = await campaign_rows.terms_of(session, campaign_id)
    if terms is None:
        raise unknown("campaign")
    await refuse_self_dealing(
        services, Action.CAMPAIGN_RULE, campaign_id, user.id, [terms.creator_id]
    )
