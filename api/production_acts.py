"""What the routes of production orders share: seeing one, acting on one, showing one."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Response
from sqlalchemy.ext.asyncio import AsyncSession
from temporalio.workflow import UpdateMethodMultiParam

from api.acts import said_by, tell
from api.auth import Caller
from api.idempotency import Once
from api.policy import on_path, unknown
from api.schemas.base import Body
from api.schemas.production import ProductionView
from api.services import Services
from db.production_rows import terms_of
from db.queries import production, production_record
from db.queries.paths import Seen
from domain.access import Action, Relation
from domain.ids import ProductionId
from domain.path import Standing
from domain.production import ProductionTerms
from domain.production_messages import ProductionAct
from workflows.production import Production

ThisOrder = Annotated[
    ProductionId, Path(alias="order_id", description="Id of the production order.")
]
ProductionUpdate = UpdateMethodMultiParam[[Production, ProductionAct], Standing]


async def seen_order(
    services: Services, user: Caller, order_id: str, action: Action = Action.PRODUCTION_VIEW
) -> Seen:
    """The order and what the caller is to it, who may act on it. Raises NotFound or Forbidden."""
    async with services.database.reading() as session:
        return await see_order(session, user, order_id, action)


async def see_order(
    session: AsyncSession, user: Caller, order_id: str, action: Action = Action.PRODUCTION_VIEW
) -> Seen:
    """The same within a transaction. Until it is published an order is there for its requester and operators only."""
    return await on_path(session, user, action, order_id, "production order")


async def act_on_order(
    services: Services,
    once: Once,
    user: Caller,
    order_id: str,
    body: Body,
    action: Action,
    update: ProductionUpdate,
) -> Response:
    """One act of one party; the workflow decides whether it is still possible."""
    seen = await seen_order(services, user, order_id, action)

    async def act(update_id: str) -> ProductionView:
        who = said_by(user, seen, getattr(body, "note", ""))
        if Relation.INITIATOR not in seen.relations:
            # An operator may have taken a lot on as well; that is not why they may do this.
            who = who.model_copy(update={"actor": Relation.OPERATOR.value})
        await tell(services, seen, update, ProductionAct(**who.model_dump()), update_id)
        return await show_order(services, user, order_id)

    return await once.resumable("act", body, act, status=200)


async def show_order(services: Services, user: Caller, order_id: str) -> ProductionView:
    """The order as the caller may see it. Raises NotFound."""
    async with services.database.reading() as session:
        seen = await see_order(session, user, order_id)
        return await order_view(services, session, seen, order_id)


async def order_view(
    services: Services, session: AsyncSession, seen: Seen, order_id: str
) -> ProductionView:
    """The order as somebody of these relations may see it."""
    rows = await production.order(session, order_id)
    if rows is None:
        raise unknown("production order")
    record = await production_record.of_requester(session, rows.order.requester_id)
    return ProductionView.seen(
        rows,
        as_requester=Relation.INITIATOR in seen.relations,
        flagged=record.is_flagged(services.settings.production_policy),
    )


async def stored_terms(services: Services, order_id: str) -> ProductionTerms:
    """What the requester wants made. Raises NotFound."""
    async with services.database.reading() as session:
        rows = await production.order(session, order_id)
    if rows is None:
        raise unknown("production order")
    return terms_of(rows.order)
