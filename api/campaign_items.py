"""What a creator may still change about tiers and add-ons while backers choose."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Path, Response
from sqlalchemy.ext.asyncio import AsyncSession

from api.arrival import ArrivalDep
from api.auth import CurrentUser
from api.campaign_acts import ThisCampaign, campaign_view, see_campaign, seen_campaign
from api.errors import problems
from api.idempotency import OnceDep
from api.policy import require_active
from api.schemas.campaign_drafts import ItemChange, NewItem
from api.schemas.campaigns import CampaignView
from api.services import ServicesDep
from db import admission, campaign_rows
from domain.access import Action
from domain.campaign import LATE_PLEDGES, OPEN_FOR_PLEDGES, Kind, Phase
from domain.errors import (
    AccountFrozen,
    BelowSold,
    CurrencyMismatch,
    Forbidden,
    InvalidInput,
    NotFound,
    WrongPhase,
)
from domain.ids import new_id

router = APIRouter(prefix="/v1/campaigns/{campaign_id}/items", tags=["campaigns"])
ThisItem = Annotated[
    int, Path(alias="number", ge=1, le=10_000, description="Number of the tier or add-on.")
]
_TO_COME = frozenset({Phase.SCHEDULED, *OPEN_FOR_PLEDGES})


@router.post(
    "",
    operation_id="addCampaignItem",
    summary="Offer one more tier or add-on",
    status_code=201,
    response_model=CampaignView,
    responses=problems(
        AccountFrozen, CurrencyMismatch, Forbidden, InvalidInput, NotFound, WrongPhase
    ),
)
async def add_item(
    campaign_id: ThisCampaign,
    body: NewItem,
    user: CurrentUser,
    services: ServicesDep,
    once: OnceDep,
    arrival: ArrivalDep,
) -> Response:
    """By the creator, before pledging closes. A draft is changed as a whole instead."""
    require_active(user)
    seen = await seen_campaign(services, user, campaign_id, Action.CAMPAIGN_EDIT)

    async def add(session: AsyncSession, request_id: str) -> CampaignView:
        admitted = await admission.admit(session, campaign_id, arrival, phases=_TO_COME, alone=True)
        terms = await campaign_rows.terms_of(session, campaign_id)
        if terms is not None and terms.kind is Kind.DONATION:
            raise InvalidInput("a donation has no rewards", field="kind", accepted="none")
        item = body.offered(1, body.kind, admitted.path.currency, "item")
        today = datetime.now(UTC).date()
        await campaign_rows.add_item(session, campaign_id, item, today, f"{request_id}/added")
        return await campaign_view(services, session, seen, campaign_id)

    return await once.in_transaction("act", body, add, status=201)


@router.patch(
    "/{number}",
    operation_id="changeCampaignItem",
    summary="Change a tier or add-on that is on offer",
    responses=problems(AccountFrozen, BelowSold, Forbidden, InvalidInput, NotFound, WrongPhase),
)
async def change_item(
    campaign_id: ThisCampaign,
    number: ThisItem,
    body: ItemChange,
    user: CurrentUser,
    services: ServicesDep,
    arrival: ArrivalDep,
) -> CampaignView:
    """By the creator: words, how many there are, and whether it is on sale. Prices and shipping stay.

    A limit never falls below what is sold; what was offered without a limit keeps none.
    """
    require_active(user)
    async with services.database.transaction() as session:
        seen = await see_campaign(session, user, campaign_id, Action.CAMPAIGN_EDIT)
        await admission.admit(session, campaign_id, arrival, phases=_TO_COME | LATE_PLEDGES)
        await campaign_rows.change_item(
            session,
            campaign_id,
            number,
            title=body.title,
            description=body.description,
            on_sale=body.on_sale,
            seats=(body.seats,) if "seats" in body.model_fields_set else None,
            key=f"{new_id('act')}/changed",
        )
        return await campaign_view(services, session, seen, campaign_id)
