"""Orders: things of several sellers, paid at once."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from api.acts import Opening, begin, said_by, tell
from api.auth import Caller, CurrentUser
from api.errors import problems
from api.idempotency import OnceDep
from api.policy import (
    on_path,
    refuse_self_dealing,
    require,
    require_active,
    require_may_pay,
    unknown,
)
from api.schemas.base import Limit, Page, page_of
from api.schemas.orders import NewOrder, OrderView
from api.schemas.sales import Note
from api.services import Services, ServicesDep
from db.queries import orders, sales
from domain.access import Action
from domain.errors import (
    AccountFrozen,
    ConfirmationMissing,
    Forbidden,
    HoldTooLong,
    NotFound,
    OutOfStock,
    OwnListing,
    PayerLocked,
    PriceChanged,
    SelfDealing,
    SeveralCurrencies,
    UnknownListing,
    WrongPhase,
)
from domain.ids import OrderId, new_id
from domain.money import format_money
from domain.order import CartOrder, OrderTerms, split_cart
from domain.order_messages import OrderAct, OrderStart
from domain.time import utc_now
from workflows.names import order_workflow_id
from workflows.order import Order

router = APIRouter(prefix="/v1/orders", tags=["orders"])
ThisOrder = Annotated[OrderId, Path(alias="order_id", description="Id of the order.")]
OrderCursor = Annotated[OrderId | None, Query(description="`next` of the page before.")]


@router.post(
    "",
    operation_id="placeOrder",
    summary="Order from several sellers",
    status_code=201,
    response_model=OrderView,
    responses=problems(
        UnknownListing,
        OwnListing,
        SelfDealing,
        PayerLocked,
        AccountFrozen,
        SeveralCurrencies,
        ConfirmationMissing,
        HoldTooLong,
        OutOfStock,
        PriceChanged,
    ),
)
async def place_order(
    body: NewOrder, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """Sets the pieces of all sellers aside, or none, and answers where to pay and until when: one payment for all.

    Each seller's part is a sale of its own, which goes its own way once the order is paid.
    """
    require(Action.ORDER_PLACE, user.relations())
    require_active(user)
    await require_may_pay(services, user)

    async def place(order_id: str) -> OrderView:
        cart = _cart(order_id, body, user, services)
        terms = await _terms(services, cart)
        await begin(
            services,
            _opening(terms),
            OrderStart(order_id=order_id, cart=cart),
            Order.place,
            OrderAct(actor="buyer", user_id=user.id),
            "place",
        )
        return await _view(services, order_id)

    return await once.resumable("ord", body, place, status=201)


@router.get("", operation_id="listOrders", summary="The own orders, newest first")
async def list_orders(
    user: CurrentUser, services: ServicesDep, after: OrderCursor = None, limit: Limit = 50
) -> Page[OrderView]:
    """What the signed-in user ordered from several sellers at once."""
    async with services.database.reading() as session:
        rows = await orders.orders_of(session, user.id, after, limit + 1)
    return page_of(rows, limit, OrderView.of, lambda row: row.order.id)


@router.get(
    "/{order_id}", operation_id="getOrder", summary="An order", responses=problems(NotFound)
)
async def get_order(order_id: ThisOrder, user: CurrentUser, services: ServicesDep) -> OrderView:
    """For its buyer and operators. A seller sees their own sale only."""
    async with services.database.reading() as session:
        await on_path(session, user, Action.ORDER_VIEW, order_id, "order")
    return await _view(services, order_id)


@router.post(
    "/{order_id}/cancel",
    operation_id="cancelOrder",
    summary="Call an order off before it is paid",
    response_model=OrderView,
    responses=problems(Forbidden, NotFound, WrongPhase),
)
async def cancel_order(
    order_id: ThisOrder, body: Note, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """By the buyer, with all of its sales. Once it is paid, each sale is cancelled by itself."""
    async with services.database.transaction() as session:
        seen = await on_path(session, user, Action.ORDER_CANCEL, order_id, "order")

    async def cancel(update_id: str) -> OrderView:
        said = said_by(user, seen, body.note).model_copy(update={"actor": "buyer"})
        await tell(services, seen, Order.cancel, OrderAct(**said.model_dump()), update_id)
        return await _view(services, order_id)

    return await once.resumable("act", body, cancel, status=200)


def _cart(order_id: str, body: NewOrder, user: Caller, services: Services) -> CartOrder:
    settings, provider = services.settings, services.provider
    return CartOrder(
        order_id=order_id,
        # One payment an order: its id follows from the order's, so that a repeated request means the same one.
        payment_id=order_id.replace("ord_", "pay_", 1),
        buyer_id=user.id,
        items=tuple(line.item() for line in body.lines),
        delivery=body.delivery,
        made_to_order_confirmed=body.made_to_order_confirmed,
        expected_total=body.expected_total and body.expected_total.money,
        provider=provider.code,
        max_hold_seconds=provider.max_hold_days * 86_400,
        return_url=str(body.return_url or f"{settings.api_url}/v1/orders/{order_id}"),
        policy=settings.sale_policy,
        refund_policy=settings.refund_policy,
        return_policy=settings.return_policy,
    )


async def _terms(services: Services, cart: CartOrder) -> OrderTerms:
    """The terms as they would be now, so that what cannot be sold to the buyer is refused before anything starts."""
    async with services.database.reading() as session:
        placed = await orders.order(session, cart.order_id)
        if placed is not None:
            return OrderTerms.model_validate(placed.order.terms)
        listed = await sales.listed_items(session, [item.listing_id for item in cart.items])
    terms, _ = split_cart(cart, listed, utc_now(), lambda: new_id("sal"))
    await refuse_self_dealing(
        services,
        Action.ORDER_PLACE,
        None,
        terms.buyer_id,
        [part.seller_id for part in terms.sales],
        request_id=cart.order_id,
    )
    return terms


def _opening(terms: OrderTerms) -> Opening:
    amount = format_money(terms.total, terms.currency)
    return Opening(
        workflow="Order",
        workflow_id=order_workflow_id(terms.order_id),
        kind="order",
        initiator_id=terms.buyer_id,
        currency=terms.currency,
        summary=f"{amount}: {terms.title}",
        details=(
            f"**{len(terms.sales)} sales** for **{amount}**, paid at once.\n\n"
            f"- Buyer: {terms.buyer_id}\n"
            f"- Sellers: {', '.join(part.seller_id for part in terms.sales)}"
        ),
    )


async def _view(services: Services, order_id: str) -> OrderView:
    async with services.database.reading() as session:
        rows = await orders.order(session, order_id)
    if rows is None:
        raise unknown("order")
    return OrderView.of(rows)
