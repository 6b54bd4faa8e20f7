"""Campaigns: drafted, handed in, reviewed and called off, and read by everybody."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query, Response
from sqlalchemy.ext.asyncio import AsyncSession

from api.acts import Opening, begin, said_by
from api.auth import Caller, CurrentUser
from api.campaign_acts import (
    ThisCampaign,
    act_on_campaign,
    campaign_view,
    see_campaign,
    seen_campaign,
    show_campaign,
)
from api.errors import problems
from api.idempotency import OnceDep
from api.policy import refuse_self_dealing, require, require_active, unknown
from api.schemas.base import Limit, Page, page_of
from api.schemas.campaign_drafts import CampaignIn, SubmissionIn
from api.schemas.campaigns import CampaignCard, CampaignView, ReasonIn, StatsView
from api.schemas.sales import Note
from api.services import Services, ServicesDep
from db import campaign_rows
from db.queries import campaigns, files
from db.queries.campaigns import Which
from domain.access import Action
from domain.campaign import (
    FINAL,
    CampaignTerms,
    Phase,
    Rules,
    require_holdable,
    require_terms,
)
from domain.campaign_messages import CampaignAct, CampaignStart
from domain.campaign_offer import OfferedItem, default_tranches, require_offer, require_start
from domain.errors import (
    AccountFrozen,
    CurrencyMismatch,
    Forbidden,
    HoldTooLong,
    InvalidInput,
    NotFound,
    SelfDealing,
    SharesDoNotSum,
    UnknownFile,
    WrongPhase,
)
from domain.ids import CampaignId
from domain.money import format_money
from domain.text import as_markdown
from workflows.campaign import Campaign
from workflows.names import campaign_workflow_id

router = APIRouter(prefix="/v1/campaigns", tags=["campaigns"])
CampaignCursor = Annotated[CampaignId | None, Query(description="`next` of the page before.")]
_DRAFT_REFUSALS = (AccountFrozen, CurrencyMismatch, InvalidInput, SharesDoNotSum, UnknownFile)
_ACT = problems(Forbidden, NotFound, WrongPhase)


@router.post(
    "",
    operation_id="draftCampaign",
    summary="Describe what is to be made and what backers get",
    status_code=201,
    response_model=CampaignView,
    responses=problems(*_DRAFT_REFUSALS),
)
async def draft_campaign(
    body: CampaignIn, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """A draft only its creator and operators see; nothing happens to it before it is handed in."""
    require(Action.CAMPAIGN_CREATE, user.relations())
    require_active(user)

    async def draft(session: AsyncSession, campaign_id: str) -> CampaignView:
        terms, items = await _drafted(session, services, user, campaign_id, body)
        await campaign_rows.draft(session, terms, items, campaign_workflow_id(campaign_id))
        seen = await see_campaign(session, user, campaign_id)
        return await campaign_view(services, session, seen, campaign_id)

    return await once.in_transaction("cmp", body, draft, status=201)


@router.get(
    "",
    operation_id="listCampaigns",
    summary="Campaigns, newest first",
    responses=problems(Forbidden),
)
async def list_campaigns(
    user: CurrentUser,
    services: ServicesDep,
    which: Which = "live",
    after: CampaignCursor = None,
    limit: Limit = 50,
) -> Page[CampaignCard]:
    """Those that take pledges, are about to or have succeeded; `mine`, or those the caller has `backed`.

    `in_review` is for operators.
    """
    action = Action.CAMPAIGN_REVIEW if which == "in_review" else Action.CAMPAIGN_VIEW
    require(action, user.relations())
    async with services.database.reading() as session:
        rows = await campaigns.page(session, user.id, which, after, limit + 1)
    return page_of(rows, limit, lambda row: CampaignCard.card(*row), lambda row: row[0].id)


@router.get(
    "/{campaign_id}",
    operation_id="getCampaign",
    summary="A campaign",
    responses=problems(NotFound),
)
async def get_campaign(
    campaign_id: ThisCampaign, user: CurrentUser, services: ServicesDep
) -> CampaignView:
    """Terms, what is left of each tier, and totals that add up with the ledger; for everybody once it is approved."""
    return await show_campaign(services, user, campaign_id)


@router.get(
    "/{campaign_id}/stats",
    operation_id="getCampaignStats",
    summary="Pledges by hour and by tier",
    responses=problems(NotFound),
)
async def get_stats(
    campaign_id: ThisCampaign, user: CurrentUser, services: ServicesDep
) -> StatsView:
    """For plots: few numbers, however many pledges."""
    async with services.database.reading() as session:
        await campaigns.one_moment(session)
        await see_campaign(session, user, campaign_id)
        rows = await campaigns.stats(session, campaign_id)
    if rows is None:
        raise unknown("campaign")
    return StatsView.of(rows)


@router.put(
    "/{campaign_id}",
    operation_id="changeCampaign",
    summary="Change a draft",
    responses=problems(Forbidden, NotFound, WrongPhase, *_DRAFT_REFUSALS),
)
async def change_campaign(
    campaign_id: ThisCampaign, body: CampaignIn, user: CurrentUser, services: ServicesDep
) -> CampaignView:
    """By its creator, before it is handed in or when operators want something mended."""
    require_active(user)
    async with services.database.transaction() as session:
        seen = await see_campaign(session, user, campaign_id, Action.CAMPAIGN_EDIT)
        terms, items = await _drafted(session, services, user, campaign_id, body)
        await campaign_rows.redraft(session, terms, items)
        return await campaign_view(services, session, seen, campaign_id)


@router.post(
    "/{campaign_id}/submit",
    operation_id="submitCampaign",
    summary="Hand the draft in for review",
    response_model=CampaignView,
    responses=problems(
        AccountFrozen, Forbidden, HoldTooLong, InvalidInput, NotFound, SharesDoNotSum, WrongPhase
    ),
)
async def submit_campaign(
    campaign_id: ThisCampaign,
    body: SubmissionIn,
    user: CurrentUser,
    services: ServicesDep,
    once: OnceDep,
) -> Response:
    """Fixes terms and rules. Operators approve it, or send it back with a word; then it is handed in again."""
    require_active(user)
    seen = await seen_campaign(services, user, campaign_id, Action.CAMPAIGN_SUBMIT)

    async def submit(update_id: str) -> CampaignView:
        if seen.phase in FINAL:
            raise WrongPhase(f"the campaign is {seen.phase}", field="phase", accepted=Phase.DRAFT)
        draft = await _stored_terms(services, campaign_id)
        return_url = str(body.return_url) if body.return_url else None
        rules = _rules(services, campaign_id, return_url)
        terms = draft.model_copy(update={"rules": rules})
        if seen.phase == Phase.DRAFT:
            require_terms(terms, services.settings.shortest_window_seconds)
            _require_holdable(services, terms)
        who = said_by(user, seen).model_copy(update={"phase_seen": None})
        await begin(
            services,
            _opening(terms),
            CampaignStart(campaign_id=campaign_id, creator_id=user.id, title=terms.title),
            Campaign.submit,
            CampaignAct(**who.model_dump(), rules=rules),
            update_id,
        )
        return await show_campaign(services, user, campaign_id)

    return await once.resumable("act", body, submit, status=200)


@router.post(
    "/{campaign_id}/approve",
    operation_id="approveCampaign",
    summary="Let the campaign go live",
    response_model=CampaignView,
    responses=problems(
        Forbidden, HoldTooLong, InvalidInput, NotFound, SelfDealing, SharesDoNotSum, WrongPhase
    ),
)
async def approve_campaign(
    campaign_id: ThisCampaign, body: Note, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """By operators, not of their own campaign. It takes pledges at once, or from `starts_at` on."""
    await seen_campaign(services, user, campaign_id, Action.CAMPAIGN_REVIEW)
    terms = await _stored_terms(services, campaign_id)
    require_terms(terms, services.settings.shortest_window_seconds)
    _require_holdable(services, terms)
    await refuse_self_dealing(
        services, Action.CAMPAIGN_REVIEW, campaign_id, user.id, [terms.creator_id]
    )
    return await act_on_campaign(
        services, once, user, campaign_id, body, Action.CAMPAIGN_REVIEW, Campaign.approve
    )


@router.post(
    "/{campaign_id}/send-back",
    operation_id="sendCampaignBack",
    summary="Ask the creator to mend something",
    response_model=CampaignView,
    responses=_ACT,
)
async def send_campaign_back(
    campaign_id: ThisCampaign,
    body: ReasonIn,
    user: CurrentUser,
    services: ServicesDep,
    once: OnceDep,
) -> Response:
    """By operators. It is a draft again; if it is not handed in again in time it is given up."""
    return await act_on_campaign(
        services, once, user, campaign_id, body, Action.CAMPAIGN_REVIEW, Campaign.send_back
    )


@router.post(
    "/{campaign_id}/withdraw",
    operation_id="withdrawCampaign",
    summary="Withdraw the campaign before it is live",
    response_model=CampaignView,
    responses=_ACT,
)
async def withdraw_campaign(
    campaign_id: ThisCampaign, body: Note, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """By its creator."""
    seen = await seen_campaign(services, user, campaign_id, Action.CAMPAIGN_SUBMIT)
    if seen.phase == Phase.DRAFT and not await _has_story(services, campaign_id):

        async def discard(session: AsyncSession, _: str) -> CampaignView:
            if not await campaign_rows.discard(session, campaign_id, body.note):
                raise WrongPhase(
                    "it has been handed in meanwhile",
                    field="phase",
                    accepted="the same request with a new key",
                )
            return await campaign_view(services, session, seen, campaign_id)

        return await once.in_transaction("act", body, discard, status=200)
    return await act_on_campaign(
        services, once, user, campaign_id, body, Action.CAMPAIGN_SUBMIT, Campaign.take_back
    )


@router.post(
    "/{campaign_id}/cancel",
    operation_id="cancelCampaign",
    summary="Call the campaign off",
    response_model=CampaignView,
    responses=_ACT,
)
async def cancel_campaign(
    campaign_id: ThisCampaign, body: Note, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """By its creator. Everybody gets everything back; after the success backers share what is left, and the rest is owed."""
    return await act_on_campaign(
        services, once, user, campaign_id, body, Action.CAMPAIGN_CANCEL, Campaign.cancel
    )


@router.post(
    "/{campaign_id}/ban",
    operation_id="banCampaign",
    summary="Stop a campaign that breaks the rules",
    response_model=CampaignView,
    responses=_ACT,
)
async def ban_campaign(
    campaign_id: ThisCampaign,
    body: ReasonIn,
    user: CurrentUser,
    services: ServicesDep,
    once: OnceDep,
) -> Response:
    """By operators. The money goes the same way as when the creator calls it off."""
    return await act_on_campaign(
        services, once, user, campaign_id, body, Action.CAMPAIGN_BAN, Campaign.ban
    )


async def _drafted(
    session: AsyncSession, services: Services, user: Caller, campaign_id: str, body: CampaignIn
) -> tuple[CampaignTerms, list[OfferedItem]]:
    """The terms and items of a draft. Raises what _DRAFT_REFUSALS names."""
    await files.attachable(session, user.id, body.file_ids)
    currency = body.goal.currency
    if body.optimum and body.optimum.currency != currency:
        raise CurrencyMismatch(
            "goal and optimum are in two currencies", field="optimum.currency", accepted=currency
        )
    planned = body.tranches
    terms = CampaignTerms(
        campaign_id=campaign_id,
        creator_id=user.id,
        title=body.title,
        story=body.story,
        file_ids=body.file_ids,
        currency=currency,
        kind=body.kind,
        funding=body.funding,
        goal=body.goal.amount,
        optimum=body.optimum.amount if body.optimum else None,
        live_seconds=body.live_seconds,
        round2_seconds=body.round2_seconds,
        starts_at=body.starts_at,
        methods=body.methods,
        short_rule=body.short_rule,
        required_basis_points=body.required_basis_points,
        late_pledges=body.late_pledges,
        tranches=(
            default_tranches(body.kind)
            if planned is None
            else tuple(each.tranche for each in planned)
        ),
        survey=tuple(each.question for each in body.survey),
        rules=_rules(services, campaign_id, None),
    )
    items, now = body.items(), datetime.now(UTC)
    require_terms(terms, services.settings.shortest_window_seconds)
    require_start(terms, now)
    require_offer(terms, items, now.date())
    return terms, items


def _rules(services: Services, campaign_id: str, return_url: str | None) -> Rules:
    settings = services.settings
    return Rules(
        policy=settings.campaign_policy,
        refund_policy=settings.refund_policy,
        provider=services.provider.code,
        return_url=return_url or f"{settings.api_url}/v1/campaigns/{campaign_id}",
    )


def _require_holdable(services: Services, terms: CampaignTerms) -> None:
    """Raises HoldTooLong: no deadline lies beyond the provider's longest hold."""
    require_holdable(terms, services.provider.max_hold_days * 86_400)


async def _stored_terms(services: Services, campaign_id: str) -> CampaignTerms:
    async with services.database.reading() as session:
        found = await campaign_rows.terms_of(session, campaign_id)
    if found is None:
        raise unknown("campaign")
    return found


async def _has_story(services: Services, campaign_id: str) -> bool:
    async with services.database.reading() as session:
        return await campaign_rows.has_story(session, campaign_id)


def _opening(terms: CampaignTerms) -> Opening:
    goal = format_money(terms.goal, terms.currency)
    days = terms.live_seconds // 86_400
    return Opening(
        workflow="Campaign",
        workflow_id=campaign_workflow_id(terms.campaign_id),
        kind="campaign",
        initiator_id=terms.creator_id,
        currency=terms.currency,
        summary=f"Campaign: {as_markdown(terms.title)}",
        details=(
            f"Campaign **{as_markdown(terms.title)}** ({terms.kind}, {terms.funding}), goal "
            f"**{goal}** in {days} days.\n\n- Creator: {terms.creator_id}\n- Must be collected: "
            f"{format_money(terms.required, terms.currency)} ({terms.short_rule})"
        ),
    )
