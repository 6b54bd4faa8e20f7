"""Projects of match calls: campaigns that apply, and the sponsor's answers. Rows: no story hears of them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from sqlalchemy.ext.asyncio import AsyncSession

from api.arrival import ArrivalDep
from api.auth import CurrentUser
from api.errors import problems
from api.idempotency import Once, OnceDep
from api.match_call_acts import ThisCall, see_call, seen_call, stored_terms
from api.policy import refuse_self_dealing, require_active, unknown
from api.schemas.base import Limit, Page, page_of
from api.schemas.match_calls import ApplicationIn, ProjectView
from api.schemas.sales import Note
from api.services import Services, ServicesDep
from db import match_call_rows
from db.admission import Arrival, admit
from db.queries import match_calls
from db.queries.match_calls import MATCHABLE, Candidate
from domain.access import Action
from domain.errors import (
    AccountFrozen,
    Forbidden,
    InvalidInput,
    LimitReached,
    NotFound,
    SelfDealing,
    TooLate,
    WrongPhase,
)
from domain.ids import CampaignId
from domain.match_call import Phase, require_eligible
from domain.match_call_deadlines import OPEN_UNTIL

router = APIRouter(prefix="/v1/match-calls/{call_id}/projects", tags=["match calls"])
ThisProject = Annotated[CampaignId, Path(alias="campaign_id", description="Id of the campaign.")]
ProjectCursor = Annotated[CampaignId | None, Query(description="`next` of the page before.")]


@router.post(
    "",
    operation_id="applyToMatchCall",
    summary="Apply with a campaign",
    status_code=201,
    response_model=ProjectView,
    responses=problems(
        AccountFrozen,
        Forbidden,
        InvalidInput,
        LimitReached,
        NotFound,
        SelfDealing,
        TooLate,
        WrongPhase,
    ),
)
async def apply_to_match_call(
    call_id: ThisCall,
    body: ApplicationIn,
    user: CurrentUser,
    services: ServicesDep,
    once: OnceDep,
    arrival: ArrivalDep,
) -> Response:
    """By the campaign's creator. From its acceptance on new pledges are matched, not those made before.

    For a fixed sum those count as well: the first pledge after the acceptance can make it due.
    """
    require_active(user)
    await seen_call(services, user, call_id, Action.MATCH_APPLY)
    terms = await stored_terms(services, call_id)
    await refuse_self_dealing(services, Action.MATCH_APPLY, call_id, user.id, [terms.sponsor_id])

    async def apply(session: AsyncSession, _: str) -> ProjectView:
        campaign = await _matchable(session, body.campaign_id)
        if campaign.terms.creator_id != user.id:
            raise Forbidden("only its creator applies with a campaign", accepted="creator")
        admitted = await admit(session, call_id, arrival, phases=(Phase.OPEN,), deadline=OPEN_UNTIL)
        require_eligible(terms, campaign.terms.kind, campaign.terms.currency, campaign.terms.goal)
        # A frozen sponsor begins nothing new, not even by a rule.
        at_once = terms.accept_all and bool(await match_calls.active(session, [terms.sponsor_id]))
        await match_call_rows.apply(
            session,
            terms,
            body.campaign_id,
            user.id,
            body.note,
            admitted.at,
            accepted=at_once,
        )
        return await _view(session, call_id, body.campaign_id, terms.currency)

    return await once.in_transaction("act", body, apply, status=201)


@router.get(
    "",
    operation_id="listMatchProjects",
    summary="Campaigns that have applied",
    responses=problems(NotFound),
)
async def list_match_projects(
    call_id: ThisCall,
    user: CurrentUser,
    services: ServicesDep,
    after: ProjectCursor = None,
    limit: Limit = 50,
) -> Page[ProjectView]:
    """For everybody who sees the call."""
    async with services.database.reading() as session:
        await see_call(session, user, call_id)
        rows = await match_calls.projects(session, call_id, after, limit + 1)
    currency = (await stored_terms(services, call_id)).currency
    return page_of(
        rows,
        limit,
        lambda row: ProjectView.of(row, currency),
        lambda row: row.project.campaign_id,
    )


_ANSWER_REFUSALS = (AccountFrozen, Forbidden, NotFound, SelfDealing, TooLate, WrongPhase)


@router.post(
    "/{campaign_id}/accept",
    operation_id="acceptMatchProject",
    summary="Match the pledges of a campaign",
    response_model=ProjectView,
    responses=problems(*_ANSWER_REFUSALS),
)
async def accept_match_project(
    call_id: ThisCall,
    campaign_id: ThisProject,
    body: Note,
    user: CurrentUser,
    services: ServicesDep,
    once: OnceDep,
    arrival: ArrivalDep,
) -> Response:
    """By the sponsor, in time: silence is a no. Pledges made from now on are matched. A promise once made stands."""
    require_active(user)
    await seen_call(services, user, call_id, Action.MATCH_DECIDE)
    async with services.database.transaction() as session:
        rows = await match_calls.project(session, call_id, campaign_id)
    if rows is None:
        raise unknown("application")
    # Who is who may have come out since they applied.
    await refuse_self_dealing(
        services, Action.MATCH_APPLY, call_id, rows.project.creator_id, [user.id]
    )
    return await _answer(services, once, arrival, call_id, campaign_id, body, accepted=True)


@router.post(
    "/{campaign_id}/decline",
    operation_id="declineMatchProject",
    summary="Do not match a campaign",
    response_model=ProjectView,
    responses=problems(*_ANSWER_REFUSALS),
)
async def decline_match_project(
    call_id: ThisCall,
    campaign_id: ThisProject,
    body: Note,
    user: CurrentUser,
    services: ServicesDep,
    once: OnceDep,
    arrival: ArrivalDep,
) -> Response:
    """By the sponsor, while it has not been answered."""
    await seen_call(services, user, call_id, Action.MATCH_DECIDE)
    return await _answer(services, once, arrival, call_id, campaign_id, body, accepted=False)


async def _answer(
    services: Services,
    once: Once,
    arrival: Arrival,
    call_id: str,
    campaign_id: str,
    body: Note,
    *,
    accepted: bool,
) -> Response:
    terms = await stored_terms(services, call_id)

    async def answer(session: AsyncSession, _: str) -> ProjectView:
        if accepted:
            await _matchable(session, campaign_id)
        admitted = await admit(session, call_id, arrival, phases=(Phase.OPEN,), deadline=OPEN_UNTIL)
        await match_call_rows.answer(
            session, call_id, campaign_id, body.note, admitted.at, accepted=accepted
        )
        return await _view(session, call_id, campaign_id, terms.currency)

    return await once.in_transaction("act", body, answer, status=200)


async def _matchable(session: AsyncSession, campaign_id: str) -> Candidate:
    """The campaign, which is not decided before this transaction ends. Raises NotFound, WrongPhase."""
    found = await match_calls.candidate(session, campaign_id, lock=True)
    if found is None:
        raise unknown("campaign")
    if found.phase not in MATCHABLE:
        raise WrongPhase(
            f"the campaign is {found.phase}",
            field="campaign_id",
            accepted=", ".join(sorted(MATCHABLE)),
        )
    return found


async def _view(
    session: AsyncSession, call_id: str, campaign_id: str, currency: str
) -> ProjectView:
    rows = await match_calls.project(session, call_id, campaign_id)
    if rows is None:
        raise unknown("application")
    return ProjectView.of(rows, currency)
