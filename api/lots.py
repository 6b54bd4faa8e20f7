"""Lots: claimed by makers or by brokers for them, and read by those who have part in them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from api.acts import Opening, begin
from api.arrival import ArrivalDep
from api.auth import Caller, CurrentUser
from api.errors import problems
from api.idempotency import OnceDep
from api.lot_acts import ThisLot, see_lot, show_lot
from api.policy import refuse_self_dealing, require_active, require_may_pay, unknown
from api.production_acts import ThisOrder, see_order, seen_order
from api.schemas.base import Limit, Page, RowCursor, page_of
from api.schemas.lots import (
    ClaimIn,
    LotCard,
    LotView,
    MaterialMoveView,
    MaterialPage,
    held,
)
from api.services import Services, ServicesDep
from db import consents
from db.admission import Arrival, arrived_at
from db.queries import lots, users
from db.queries.lots import Which
from domain.access import Action, Relation
from domain.capabilities import Capability
from domain.errors import (
    AccountFrozen,
    CapabilityLimited,
    Forbidden,
    InvalidInput,
    LimitReached,
    NotFound,
    OutOfStock,
    PayerLocked,
    ProviderUnreachable,
    SelfDealing,
    TooLate,
    WrongPhase,
)
from domain.ids import LotId
from domain.lot import require_claim
from domain.money import format_money
from domain.production import ProductionTerms
from domain.production_messages import Claim, LotAct, LotStart
from domain.text import as_markdown
from workflows.lot import Lot
from workflows.names import lot_workflow_id

router = APIRouter(tags=["lots"])
LotCursor = Annotated[LotId | None, Query(description="`next` of the page before.")]
_SEES_ALL = {Relation.INITIATOR, Relation.INSPECTOR, Relation.OPERATOR}


@router.post(
    "/v1/production-orders/{order_id}/lots",
    operation_id="claimLot",
    summary="Take units on",
    status_code=201,
    response_model=LotView,
    responses=problems(
        PayerLocked,
        AccountFrozen,
        Forbidden,
        InvalidInput,
        LimitReached,
        NotFound,
        OutOfStock,
        ProviderUnreachable,
        SelfDealing,
        TooLate,
        WrongPhase,
    ),
)
async def claim_lot(
    order_id: ThisOrder,
    body: ClaimIn,
    user: CurrentUser,
    services: ServicesDep,
    once: OnceDep,
    arrival: ArrivalDep,
) -> Response:
    """The units are the maker's from now on, and nobody else's. A broker names the worker with `for`.

    The answer says what comes next: a sample, the deposit for the materials, or the work at once.
    """
    require_active(user)
    await require_may_pay(services, user)
    await seen_order(services, user, order_id, Action.LOT_CLAIM)

    async def claim(lot_id: str) -> LotView:
        terms, claim = await _claim(services, user, order_id, lot_id, body, arrival)
        start = LotStart(
            lot_id=lot_id,
            order_id=order_id,
            maker_id=claim.maker_id,
            title=terms.title,
            currency=terms.currency,
        )
        act = LotAct(actor=Relation.MAKER.value, user_id=user.id, claim=claim)
        # One claim a lot: the same update at every try.
        await begin(services, _opening(terms, claim, lot_id), start, Lot.claim, act, lot_id)
        return await show_lot(services, user, lot_id)

    return await once.resumable("lot", body, claim, status=201)


@router.get(
    "/v1/production-orders/{order_id}/lots",
    operation_id="listLotsOfOrder",
    summary="Lots of an order, newest first",
    responses=problems(NotFound),
)
async def list_lots_of_order(
    order_id: ThisOrder,
    user: CurrentUser,
    services: ServicesDep,
    after: LotCursor = None,
    limit: Limit = 50,
) -> Page[LotCard]:
    """All of them for the requester, the inspector and operators; the own ones for makers and brokers."""
    async with services.database.reading() as session:
        seen = await see_order(session, user, order_id)
        only = None if seen.relations & _SEES_ALL else user.id
        rows = await lots.of_order(session, order_id, only, after, limit + 1)
    return page_of(rows, limit, LotCard.of, lambda row: row.lot.id)


@router.get("/v1/me/lots", operation_id="listMyLots", summary="The own lots, newest first")
async def list_my_lots(
    user: CurrentUser,
    services: ServicesDep,
    which: Which = "maker",
    after: LotCursor = None,
    limit: Limit = 50,
) -> Page[LotCard]:
    """What the signed-in user makes; with `which` those they act for as broker, have ordered, or inspect."""
    async with services.database.reading() as session:
        rows = await lots.page(session, user.id, which, after, limit + 1)
    return page_of(rows, limit, LotCard.of, lambda row: row.lot.id)


@router.get(
    "/v1/lots/{lot_id}", operation_id="getLot", summary="A lot", responses=problems(NotFound)
)
async def get_lot(lot_id: ThisLot, user: CurrentUser, services: ServicesDep) -> LotView:
    """For its maker and broker, the requester, the inspector and operators."""
    return await show_lot(services, user, lot_id)


@router.get(
    "/v1/lots/{lot_id}/materials",
    operation_id="getLotMaterials",
    summary="Where the materials of a lot are",
    responses=problems(NotFound),
)
async def get_lot_materials(
    lot_id: ThisLot,
    user: CurrentUser,
    services: ServicesDep,
    after: RowCursor = None,
    limit: Limit = 50,
) -> MaterialPage:
    """What is where now, and each movement that brought it there, oldest first."""
    async with services.database.reading() as session:
        await see_lot(session, user, lot_id)
        rows = await lots.lot(session, lot_id)
        if rows is None:
            raise unknown("lot")
        moves = await lots.moves(session, lot_id, after, limit + 1)
        moved = await lots.moved(session, lot_id)
    materials = ProductionTerms.model_validate(rows.order.terms).materials
    page = page_of(moves, limit, MaterialMoveView.of, lambda row: str(row.id))
    return MaterialPage(items=page.items, next=page.next, held=held(materials, moved))


async def _claim(
    services: Services,
    user: Caller,
    order_id: str,
    lot_id: str,
    body: ClaimIn,
    arrival: Arrival,
) -> tuple[ProductionTerms, Claim]:
    """The order's terms and the claim as the lot's story gets it.

    What no state of the order would allow is refused before anything starts; whether the units are still there is
    decided under the order's lock. Raises InvalidInput, Forbidden, AccountFrozen, SelfDealing.
    """
    settings = services.settings
    maker_id = body.worker_id or user.id
    broker_id = user.id if maker_id != user.id else None
    async with services.database.transaction() as session:
        order = await lots.order(session, order_id)
        if order is None:
            raise unknown("production order")
        terms = ProductionTerms.model_validate(order.terms)
        at = await arrived_at(session, arrival)
        already_claimed = await lots.lot(session, lot_id) is not None
        if broker_id is not None and not already_claimed:
            if not await consents.stands(session, broker_id, maker_id):
                raise Forbidden(
                    "a broker needs the worker's consent",
                    field="for",
                    accepted="workers who have agreed that you act for them",
                )
            worker = await users.get_existing(session, maker_id)
            if worker.frozen_at is not None:
                raise AccountFrozen("the worker's account is frozen", field="for")
            if Capability.BID in worker.limited:
                raise CapabilityLimited("the worker may not claim lots", field=Capability.BID)
    if not already_claimed:
        require_claim(terms, body.units, order.open)
        for person in filter(None, (maker_id, broker_id)):
            await refuse_self_dealing(
                services,
                Action.LOT_CLAIM,
                order_id,
                person,
                [each for each in (terms.requester_id, terms.certifier_id) if each],
                request_id=lot_id,
            )
    return terms, Claim(
        order_id=order_id,
        units=body.units,
        maker_id=maker_id,
        broker_id=broker_id,
        return_url=str(body.return_url or f"{settings.api_url}/v1/lots/{lot_id}"),
        arrived_at=at,
    )


def _opening(terms: ProductionTerms, claim: Claim, lot_id: str) -> Opening:
    wages = format_money(claim.units * terms.rate, terms.currency)
    title = as_markdown(terms.title)
    return Opening(
        workflow="Lot",
        workflow_id=lot_workflow_id(lot_id),
        kind="lot",
        initiator_id=claim.maker_id,
        currency=terms.currency,
        summary=f"Lot: {claim.units} x {title}",
        details=(
            f"**{claim.units}** x **{title}** for up to **{wages}**, of order {terms.order_id}.\n\n"
            f"- Maker: {claim.maker_id}"
            + (f"\n- Broker: {claim.broker_id}" if claim.broker_id else "")
        ),
    )
