"""Sales: ordering, and what buyer and seller do with an order."""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar

from fastapi import APIRouter, Path, Query, Response
from temporalio.client import WithStartWorkflowOperation
from temporalio.common import (
    SearchAttributePair,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.workflow import UpdateMethodMultiParam

from api.auth import Caller, CurrentUser
from api.errors import problems
from api.idempotency import Once, OnceDep
from api.parcels import require_parcel
from api.policy import (
    refuse_self_dealing,
    require,
    require_active,
    require_may_pay,
    require_on_path,
    role_of,
    unknown,
)
from api.schemas.base import Limit, Page, page_of
from api.schemas.sales import NewSale, Note, SaleView, ShipmentNote
from api.services import Services, ServicesDep
from api.temporal import answered_within
from db.queries import sales
from domain.access import Action, Relation
from domain.errors import (
    AccountFrozen,
    ConfirmationMissing,
    Forbidden,
    HoldTooLong,
    InvalidInput,
    NotFound,
    OutOfStock,
    OwnListing,
    PayerLocked,
    PriceChanged,
    SelfDealing,
    SeveralSellers,
    Unavailable,
    UnknownListing,
    WrongPhase,
)
from domain.ids import SaleId
from domain.money import format_money
from domain.sale import Phase, SaleOrder, SaleTerms, agree, payment_due_at
from domain.sale_messages import SaleAct, SaleStanding, SaleStart, Shipment
from domain.text import as_markdown
from domain.time import utc_now
from runtime import search_attributes as attributes
from runtime.temporal import start_attributes
from workflows.names import sale_workflow_id
from workflows.sale import Sale

Said = TypeVar("Said", bound=SaleAct)
router = APIRouter(prefix="/v1/sales", tags=["sales"])
ThisSale = Annotated[SaleId, Path(alias="sale_id", description="Id of the sale.")]
SaleCursor = Annotated[SaleId | None, Query(description="`next` of the page before.")]


@router.post(
    "",
    operation_id="placeSale",
    summary="Order something",
    status_code=201,
    response_model=SaleView,
    responses=problems(
        UnknownListing,
        OwnListing,
        SelfDealing,
        PayerLocked,
        AccountFrozen,
        SeveralSellers,
        ConfirmationMissing,
        HoldTooLong,
        OutOfStock,
        PriceChanged,
    ),
)
async def place_sale(
    body: NewSale, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """Sets the pieces aside, fixes price, commission and royalty, and answers where to pay and until when."""
    require(Action.SALE_PLACE, user.relations())
    require_active(user)
    await require_may_pay(services, user)

    async def place(sale_id: str) -> SaleView:
        order = _order(sale_id, body, user, services)
        await _start(services, order, await _terms(services, order))
        return await _view(services, sale_id)

    return await once.resumable("sal", body, place, status=201)


@router.get("", operation_id="listSales", summary="The own sales, newest first")
async def list_sales(
    user: CurrentUser,
    services: ServicesDep,
    side: Literal["buyer", "seller"] = "buyer",
    after: SaleCursor = None,
    limit: Limit = 50,
) -> Page[SaleView]:
    """What the signed-in user bought, or with `side=seller` sold."""
    async with services.database.reading() as session:
        rows = await sales.sales_of(session, user.id, side, after, limit + 1)
    return page_of(rows, limit, SaleView.of, lambda row: row.sale.id)


@router.get("/{sale_id}", operation_id="getSale", summary="A sale", responses=problems(NotFound))
async def get_sale(sale_id: ThisSale, user: CurrentUser, services: ServicesDep) -> SaleView:
    """For its buyer, its seller and operators."""
    async with services.database.reading() as session:
        await require_on_path(session, user, Action.SALE_VIEW, sale_id)
    return await _view(services, sale_id)


@router.post(
    "/{sale_id}/accept",
    operation_id="acceptSale",
    summary="Take the order on",
    response_model=SaleView,
    responses=problems(Forbidden, NotFound, WrongPhase),
)
async def accept_sale(
    sale_id: ThisSale, body: Note, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """By the seller, within the acceptance window."""
    return await _act(services, once, user, sale_id, body, Action.SALE_ACCEPT, Sale.accept)


@router.post(
    "/{sale_id}/decline",
    operation_id="declineSale",
    summary="Do not take the order on",
    response_model=SaleView,
    responses=problems(Forbidden, NotFound, WrongPhase),
)
async def decline_sale(
    sale_id: ThisSale, body: Note, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """By the seller; the buyer gets everything back."""
    return await _act(services, once, user, sale_id, body, Action.SALE_DECLINE, Sale.decline)


@router.post(
    "/{sale_id}/confirm",
    operation_id="confirmSale",
    summary="Confirm that the pieces arrived and are fine",
    response_model=SaleView,
    responses=problems(Forbidden, NotFound, WrongPhase),
)
async def confirm_sale(
    sale_id: ThisSale, body: Note, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """By the buyer; the seller is paid."""
    return await _act(services, once, user, sale_id, body, Action.SALE_CONFIRM, Sale.confirm)


@router.post(
    "/{sale_id}/cancel",
    operation_id="cancelSale",
    summary="Call the order off before it ships",
    response_model=SaleView,
    responses=problems(Forbidden, NotFound, WrongPhase),
)
async def cancel_sale(
    sale_id: ThisSale, body: Note, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """By buyer, seller or an operator; whatever was paid goes back in full."""
    return await _act(services, once, user, sale_id, body, Action.SALE_CANCEL, Sale.cancel)


@router.post(
    "/{sale_id}/ship",
    operation_id="shipSale",
    summary="The pieces are on their way",
    response_model=SaleView,
    responses=problems(Forbidden, NotFound, WrongPhase, InvalidInput),
)
async def ship_sale(
    sale_id: ThisSale, body: ShipmentNote, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """By the seller: carrier and tracking number for express, nothing but a note for pieces picked up."""
    rows, relations = await _actor(services, user, sale_id, Action.SALE_SHIP)
    require_parcel(services, body, SaleTerms.model_validate(rows.sale.terms).delivery)

    async def ship(update_id: str) -> SaleView:
        shipment = Shipment(
            actor=role_of(relations),
            user_id=user.id,
            note=body.note,
            carrier=body.carrier,
            tracking_number=body.tracking_number,
            phase_seen=Phase(rows.path.phase),
        )
        await _tell(services, rows, Sale.ship, shipment, update_id)
        return await _view(services, sale_id)

    return await once.resumable("act", body, ship, status=200)


async def _act(
    services: Services,
    once: Once,
    user: Caller,
    sale_id: str,
    body: Note,
    action: Action,
    update: UpdateMethodMultiParam[[Sale, SaleAct], SaleStanding],
) -> Response:
    """One act of one party; the workflow decides whether it is still possible."""
    rows, relations = await _actor(services, user, sale_id, action)

    async def act(update_id: str) -> SaleView:
        said = SaleAct(
            actor=role_of(relations),
            user_id=user.id,
            note=body.note,
            phase_seen=Phase(rows.path.phase),
        )
        await _tell(services, rows, update, said, update_id)
        return await _view(services, sale_id)

    return await once.resumable("act", body, act, status=200)


async def _tell(
    services: Services,
    rows: sales.SaleRows,
    update: UpdateMethodMultiParam[[Sale, Said], SaleStanding],
    said: Said,
    update_id: str,
) -> None:
    """Tells the sale's workflow of an act. Raises WrongPhase or Unavailable besides what the workflow refuses."""
    if rows.sale.order_id is not None and rows.path.phase == Phase.PENDING_PAYMENT:
        raise WrongPhase(
            "the sale is a part of an order that is not paid yet",
            field="phase",
            accepted="cancel the order",
        )
    handle = services.temporal.get_workflow_handle(rows.path.workflow_id)
    try:
        async with answered_within(services.settings.request_timeout_seconds):
            await handle.execute_update(update, said, id=update_id)
    except WrongPhase as ended:
        if rows.path.phase != Phase.PAID:
            raise
        # The books say that it goes on: its order was just paid, or a late payment has just brought it back.
        raise Unavailable("the sale is just being taken up; repeat the request") from ended


async def _actor(
    services: Services, user: Caller, sale_id: str, action: Action
) -> tuple[sales.SaleRows, frozenset[Relation]]:
    """The sale and what the caller is to it. Raises NotFound or Forbidden."""
    async with services.database.reading() as session:
        relations = await require_on_path(session, user, action, sale_id)
        rows = await sales.sale(session, sale_id)
    if rows is None:
        raise unknown("sale")
    return rows, relations


def _order(sale_id: str, body: NewSale, user: Caller, services: Services) -> SaleOrder:
    settings = services.settings
    provider = services.provider
    return SaleOrder(
        sale_id=sale_id,
        # One payment a sale: its id follows from the sale's, so that a repeated request means the same one.
        payment_id=sale_id.replace("sal_", "pay_", 1),
        buyer_id=user.id,
        items=tuple(line.item() for line in body.lines),
        delivery=body.delivery,
        made_to_order_confirmed=body.made_to_order_confirmed,
        expected_total=body.expected_total and body.expected_total.money,
        provider=provider.code,
        max_hold_seconds=provider.max_hold_days * 86_400,
        return_url=str(body.return_url or f"{settings.api_url}/v1/sales/{sale_id}"),
        policy=settings.sale_policy,
        refund_policy=settings.refund_policy,
        return_policy=settings.return_policy,
    )


async def _terms(services: Services, order: SaleOrder) -> SaleTerms:
    """The terms as they would be now, so that what cannot be sold to the buyer is refused before anything starts."""
    async with services.database.reading() as session:
        placed = await sales.sale(session, order.sale_id)
        if placed is not None:
            return SaleTerms.model_validate(placed.sale.terms)
        listed = await sales.listed_items(session, [i.listing_id for i in order.items])
    terms = agree(order, listed, utc_now())
    await refuse_self_dealing(
        services,
        Action.SALE_PLACE,
        None,
        terms.buyer_id,
        [terms.seller_id],
        request_id=order.sale_id,
    )
    return terms


async def _start(services: Services, order: SaleOrder, terms: SaleTerms) -> None:
    """Starts the sale's workflow, or finds it started, and waits for its first answer."""
    amount = format_money(terms.total, terms.currency)
    what, now = terms.title[:120], utc_now()
    start = WithStartWorkflowOperation(
        Sale.run,
        SaleStart(sale_id=order.sale_id, order=order, placed_at=now),
        id=sale_workflow_id(order.sale_id),
        task_queue=services.settings.temporal_task_queue,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
        static_summary=f"{amount}: {as_markdown(what)}",
        static_details=(
            f"Sale of **{as_markdown(what)}** for **{amount}**, held in escrow until the buyer has it.\n\n"
            f"- Buyer: {terms.buyer_id}\n- Seller: {terms.seller_id}\n- Delivery: {terms.delivery}"
        ),
        search_attributes=start_attributes(
            "sale",
            terms.buyer_id,
            terms.currency,
            SearchAttributePair(attributes.PHASE, Phase.PENDING_PAYMENT),
            SearchAttributePair(attributes.DEADLINE, payment_due_at(terms, now)),
        ),
    )
    try:
        async with answered_within(services.settings.request_timeout_seconds):
            await services.temporal.execute_update_with_start_workflow(
                Sale.place, start_workflow_operation=start, id="place"
            )
    except WorkflowAlreadyStartedError:
        # A former try of the same request got this far, and the sale has ended meanwhile: its row tells how.
        return


async def _view(services: Services, sale_id: str) -> SaleView:
    async with services.database.reading() as session:
        rows = await sales.sale(session, sale_id)
    if rows is None:
        raise unknown("sale")
    return SaleView.of(rows)
