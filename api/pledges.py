"""Pledges 支持: made, changed and taken back by backers. Rows; the campaign's story never hears of them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from api.arrival import ArrivalDep
from api.auth import Caller, CurrentUser
from api.errors import problems
from api.idempotency import Noted, OnceDep
from api.pledge_pages import made
from api.policy import (
    on_path,
    refuse_self_dealing,
    require,
    require_active,
    require_may_pay,
    unknown,
)
from api.schemas.base import Limit, Page, RowCursor, page_of
from api.schemas.pledges import NewPledge, PledgeEventView, PledgeView
from api.services import Services, ServicesDep
from db import pledge_rows
from db.admission import Arrival
from db.pledge_rows import AlreadyPlaced, Placed
from db.queries import kinship, paths, pledges
from db.queries.pledges import PledgeRows
from db.tables import Payment, SavedCard
from domain import access
from domain.access import Action, Relation
from domain.errors import (
    AccountFrozen,
    BelowPrice,
    CurrencyMismatch,
    DomainError,
    Forbidden,
    InvalidInput,
    LimitReached,
    NotFound,
    OutOfStock,
    PayerLocked,
    ProviderRefused,
    SelfDealing,
    TooLate,
    Unavailable,
    WrongPhase,
)
from domain.ids import CampaignId, PledgeId
from domain.pledge import PledgeState

router = APIRouter(tags=["pledges"])
ThisCampaign = Annotated[CampaignId, Path(alias="campaign_id", description="Id of the campaign.")]
ThisPledge = Annotated[PledgeId, Path(alias="pledge_id", description="Id of the pledge.")]
PledgeCursor = Annotated[PledgeId | None, Query(description="`next` of the page before.")]
PRICE_REFUSALS = (BelowPrice, CurrencyMismatch, InvalidInput, OutOfStock)


@router.post(
    "/v1/campaigns/{campaign_id}/pledges",
    operation_id="pledge",
    summary="Pledge",
    status_code=201,
    response_model=PledgeView,
    responses=problems(
        *PRICE_REFUSALS,
        PayerLocked,
        AccountFrozen,
        LimitReached,
        NotFound,
        ProviderRefused,
        SelfDealing,
        TooLate,
        Unavailable,
        WrongPhase,
    ),
)
async def make_pledge(
    campaign_id: ThisCampaign,
    body: NewPledge,
    user: CurrentUser,
    services: ServicesDep,
    once: OnceDep,
    arrival: ArrivalDep,
) -> Response:
    """Seats are yours until the time in `to_do`; on its page you pay, or save a card that is charged at success.

    The deadline is told by the database's clock, by the moment the request arrived. A pledge of nobody who pays or
    saves a card in time expires and gives its seats free; a few of those that one person has begun wait at a time.
    Late pledges are taken until the promised delivery, each for what is still to be delivered.
    """
    require_active(user)
    await require_may_pay(services, user)

    async def place(pledge_id: str) -> PledgeView | Noted:
        try:
            rows, known = await _placed(services, user, campaign_id, pledge_id, body, arrival)
        except _Tied as tied:
            # Asked again, as the refusal is written down in a transaction of its own: nearly nobody is refused.
            await refuse_self_dealing(
                services,
                Action.CAMPAIGN_PLEDGE,
                campaign_id,
                user.id,
                [tied.creator_id],
                request_id=f"{user.id}/{once.key}",
            )
            raise Unavailable("repeat the request") from tied
        page = rows.payment or rows.card
        waits = rows.pledge.state == PledgeState.INITIATED
        if page is None or page.checkout_url is not None or not waits:
            return PledgeView.of(rows, own=True)
        asked = pledge_rows.Page.of(page)
        theirs = await made(
            services,
            asked,
            title=rows.title,
            return_url=str(body.return_url or _own_page(services, pledge_id)),
            asked_before=known,
        )
        page.checkout_url = theirs.checkout_url
        return Noted(
            PledgeView.of(rows, own=True),
            lambda session: pledge_rows.presented(
                session, asked, theirs.reference, theirs.checkout_url
            ),
        )

    return await once.resumable("plg", body, place, status=201)


class _Tied(Exception):
    """The backer counts as the same person as the creator."""

    def __init__(self, creator_id: str) -> None:
        super().__init__(creator_id)
        self.creator_id = creator_id


async def _placed(
    services: Services,
    user: Caller,
    campaign_id: str,
    pledge_id: str,
    body: NewPledge,
    arrival: Arrival,
) -> tuple[PledgeRows, bool]:
    """The pledge, and whether a former try of the same request has made it."""
    try:
        async with services.database.transaction() as session:
            await on_path(session, user, Action.CAMPAIGN_PLEDGE, campaign_id, "campaign")
            ground = await pledge_rows.ground(
                session, campaign_id, arrival, late=True, backer_id=user.id
            )
            creator_id = ground.path.initiator_id
            if await kinship.tie(session, user.id, [creator_id]) is not None:
                raise _Tied(creator_id)
            placed = await pledge_rows.place(
                session,
                ground,
                pledge_id=pledge_id,
                backer_id=user.id,
                wish=body.new_wish(),
                provider=services.settings.provider,
            )
    except (AlreadyPlaced, DomainError) as refused:
        # Also one that could not be made any more: the former try may have been in time.
        async with services.database.transaction() as session:
            known = await pledges.pledge(session, pledge_id)
        if known is None and isinstance(refused, DomainError):
            raise
        if known is None:
            raise Unavailable("repeat the request") from refused
        return known, True
    return _new(placed), False


def _new(placed: Placed) -> PledgeRows:
    page = placed.page
    return PledgeRows(
        pledge=placed.pledge,
        title=placed.title,
        succeeded=placed.pledge.late,
        matched=placed.matched,
        payment=page if isinstance(page, Payment) else None,
        card=page if isinstance(page, SavedCard) else None,
        pending=None,
    )


def _own_page(services: Services, pledge_id: str) -> str:
    return f"{services.settings.api_url}/v1/pledges/{pledge_id}"


@router.get(
    "/v1/campaigns/{campaign_id}/pledges",
    operation_id="listPledges",
    summary="Pledges of a campaign, oldest first",
    responses=problems(Forbidden, NotFound),
)
async def list_pledges(
    campaign_id: ThisCampaign,
    user: CurrentUser,
    services: ServicesDep,
    state: PledgeState | None = None,
    after: PledgeCursor = None,
    limit: Limit = 50,
) -> Page[PledgeView]:
    """For the creator and operators; addresses only once the campaign has succeeded."""
    async with services.database.reading() as session:
        seen = await on_path(session, user, Action.CAMPAIGN_VIEW, campaign_id, "campaign")
        require(Action.PLEDGE_VIEW, seen.relations)
        rows = await pledges.of_campaign(session, campaign_id, state, after, limit + 1)
    return page_of(
        rows,
        limit,
        lambda row: PledgeView.of(row, own=row.pledge.backer_id == user.id),
        lambda row: row.pledge.id,
    )


@router.get("/v1/me/pledges", operation_id="listMyPledges", summary="The own pledges, newest first")
async def my_pledges(
    user: CurrentUser, services: ServicesDep, after: PledgeCursor = None, limit: Limit = 50
) -> Page[PledgeView]:
    """To all campaigns."""
    async with services.database.reading() as session:
        rows = await pledges.of_backer(session, user.id, after, limit + 1)
    return page_of(rows, limit, lambda row: PledgeView.of(row, own=True), lambda row: row.pledge.id)


@router.get(
    "/v1/pledges/{pledge_id}",
    operation_id="getPledge",
    summary="A pledge",
    responses=problems(NotFound),
)
async def get_pledge(pledge_id: ThisPledge, user: CurrentUser, services: ServicesDep) -> PledgeView:
    """For its backer, the campaign's creator and operators."""
    rows = await seen_pledge(services, user, pledge_id)
    return PledgeView.of(rows, own=rows.pledge.backer_id == user.id)


@router.get(
    "/v1/pledges/{pledge_id}/events",
    operation_id="listPledgeEvents",
    summary="What happened to a pledge, oldest first",
    responses=problems(NotFound),
)
async def list_events(
    pledge_id: ThisPledge,
    user: CurrentUser,
    services: ServicesDep,
    after: RowCursor = None,
    limit: Limit = 50,
) -> Page[PledgeEventView]:
    """For its backer, the campaign's creator and operators."""
    await seen_pledge(services, user, pledge_id)
    async with services.database.reading() as session:
        rows = await pledges.events(session, pledge_id, after, limit + 1)
    return page_of(rows, limit, PledgeEventView.of, lambda row: str(row.id))


async def seen_pledge(
    services: Services, user: Caller, pledge_id: str, action: Action = Action.PLEDGE_VIEW
) -> PledgeRows:
    """The pledge, for those who may see it and do this with it. Raises NotFound or Forbidden."""
    async with services.database.reading() as session:
        rows = await pledges.pledge(session, pledge_id)
        if rows is None:
            raise unknown("pledge")
        relations = user.relations(owner=rows.pledge.backer_id)
        if Relation.OWNER not in relations:
            seen = await paths.seen_by(session, rows.pledge.campaign_id, user.id)
            relations |= seen.relations if seen else frozenset()
    if not access.allowed(Action.PLEDGE_VIEW, relations):
        raise unknown("pledge")
    require(action, relations)
    return rows
