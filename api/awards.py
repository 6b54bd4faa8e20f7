"""Awards: the buyer chooses a bid, and its bidder answers."""

from __future__ import annotations

from fastapi import APIRouter, Response

from api.auth import CurrentUser
from api.errors import problems
from api.idempotency import OnceDep
from api.policy import refuse_self_dealing, require_active
from api.schemas.sales import Note
from api.schemas.tenders import NewAward, TenderView
from api.services import ServicesDep
from api.tender_acts import ThisTender, act_on_tender, seen_tender
from db.queries import tenders
from domain.access import Action
from domain.errors import (
    AccountFrozen,
    Forbidden,
    InvalidInput,
    NotFound,
    SelfDealing,
    SharesDoNotSum,
    UnknownBid,
    WrongPhase,
)
from domain.tender_messages import TenderAct
from workflows.tender import Tender

router = APIRouter(prefix="/v1/tenders/{tender_id}", tags=["tenders"])


@router.post(
    "/award",
    operation_id="awardTender",
    summary="Choose a bid",
    response_model=TenderView,
    responses=problems(
        AccountFrozen,
        Forbidden,
        InvalidInput,
        NotFound,
        SelfDealing,
        SharesDoNotSum,
        UnknownBid,
        WrongPhase,
    ),
)
async def award(
    tender_id: ThisTender, body: NewAward, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """By the buyer, with the milestones in which the price is paid; the bidder has two days to answer."""
    require_active(user)
    await seen_tender(services, user, tender_id, Action.TENDER_DECIDE)
    said = TenderAct(
        actor="",
        award=body.award,
        reserves=tuple(each.award for each in body.reserves),
    )
    async with services.database.transaction() as session:
        bidders = await tenders.bidders(
            session, tender_id, [each.bid_id for each in (body, *body.reserves)]
        )
    # What was not known when they bid may have come out since.
    await refuse_self_dealing(services, Action.TENDER_DECIDE, tender_id, user.id, bidders)
    return await act_on_tender(
        services, once, user, tender_id, body, Action.TENDER_DECIDE, Tender.award, said
    )


@router.post(
    "/accept-award",
    operation_id="acceptAward",
    summary="Take the work on",
    response_model=TenderView,
    responses=problems(AccountFrozen, Forbidden, NotFound, WrongPhase),
)
async def accept_award(
    tender_id: ThisTender, body: Note, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """By the chosen bidder; the buyer is then asked to pay the first milestone within five days."""
    require_active(user)
    return await act_on_tender(
        services, once, user, tender_id, body, Action.TENDER_WORK, Tender.accept_award
    )


@router.post(
    "/decline-award",
    operation_id="declineAward",
    summary="Do not take the work on",
    response_model=TenderView,
    responses=problems(Forbidden, NotFound, WrongPhase),
)
async def decline_award(
    tender_id: ThisTender, body: Note, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """By the chosen bidder; the next in reserve is asked, else the buyer chooses again."""
    return await act_on_tender(
        services, once, user, tender_id, body, Action.TENDER_WORK, Tender.decline_award
    )


@router.post(
    "/retract",
    operation_id="retractAcceptance",
    summary="Step back before the first milestone is paid",
    response_model=TenderView,
    responses=problems(Forbidden, NotFound, WrongPhase),
)
async def retract(
    tender_id: ThisTender, body: Note, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """By the bidder who has accepted; counts as an award not kept."""
    return await act_on_tender(
        services, once, user, tender_id, body, Action.TENDER_WORK, Tender.retract
    )
