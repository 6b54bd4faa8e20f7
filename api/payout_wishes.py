"""When balances leave by themselves."""

from __future__ import annotations

from fastapi import APIRouter

from api.auth import CurrentUser
from api.errors import problems
from api.policy import require
from api.schemas.money_movements import PayoutWishIn, PayoutWishView
from api.services import ServicesDep
from db.queries import payout_wishes
from db.tables import PayoutWish
from domain.access import Action
from domain.errors import Forbidden, InvalidInput
from domain.money import Currency
from domain.payouts import PayoutEvery

router = APIRouter(prefix="/v1/me/payout-wishes", tags=["payouts"])


@router.put(
    "/{currency}",
    operation_id="putPayoutWish",
    summary="Say when the balance shall leave by itself",
    responses=problems(Forbidden, InvalidInput),
)
async def put_wish(
    currency: Currency, body: PayoutWishIn, user: CurrentUser, services: ServicesDep
) -> PayoutWishView:
    """Each day, each week on one day, or only on request. The platform's own minimum and waiting times apply besides."""
    require(Action.PAYOUT_REQUEST, user.relations())
    if (body.every is PayoutEvery.WEEK) != (body.weekday is not None):
        raise InvalidInput(
            "a weekly payout has a weekday, no other has",
            field="weekday",
            accepted="1 to 7 with every=week, nothing otherwise",
        )
    row = PayoutWish(
        user_id=user.id,
        currency=currency,
        every=body.every,
        weekday=body.weekday,
        minimum=body.minimum,
    )
    async with services.database.transaction() as session:
        return PayoutWishView.of(await payout_wishes.keep(session, row))


@router.get("", operation_id="listPayoutWishes", summary="The own wishes, by currency")
async def list_wishes(user: CurrentUser, services: ServicesDep) -> list[PayoutWishView]:
    """A currency without one: the balance leaves each day."""
    async with services.database.reading() as session:
        return [PayoutWishView.of(row) for row in await payout_wishes.of_user(session, user.id)]
