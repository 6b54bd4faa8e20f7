"""What the routes of lots share: seeing one, acting on one, showing one."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Response
from sqlalchemy.ext.asyncio import AsyncSession
from temporalio.workflow import UpdateMethodMultiParam

from api.acts import said_by, tell
from api.auth import Caller
from api.idempotency import Once
from api.policy import on_path, refuse_self_dealing, unknown
from api.schemas.base import Body
from api.schemas.lots import LotView, ParcelIn
from api.services import Services
from db import lot_parcels
from db.queries import lots
from db.queries.paths import Seen
from domain.access import Action, Relation
from domain.errors import InvalidInput
from domain.ids import LotId
from domain.path import Standing
from domain.production_messages import LotAct
from workflows.lot import Lot

ThisLot = Annotated[LotId, Path(alias="lot_id", description="Id of the lot.")]
LotUpdate = UpdateMethodMultiParam[[Lot, LotAct], Standing]
_AS = {
    Action.LOT_MAKE: (Relation.MAKER,),
    Action.LOT_SUPPLY: (Relation.REQUESTER,),
    Action.LOT_RULE: (Relation.OPERATOR,),
    Action.LOT_RECEIVE: (Relation.INSPECTOR, Relation.REQUESTER),
    Action.INSPECTION_DECIDE: (Relation.INSPECTOR,),
}
"""The role in which somebody acts, the first that they have: they may have several."""


async def seen_lot(
    services: Services, user: Caller, lot_id: str, action: Action = Action.LOT_VIEW
) -> Seen:
    """The lot and what the caller is to it, who may act on it. Raises NotFound or Forbidden."""
    async with services.database.reading() as session:
        return await see_lot(session, user, lot_id, action)


async def see_lot(
    session: AsyncSession, user: Caller, lot_id: str, action: Action = Action.LOT_VIEW
) -> Seen:
    """The same within a transaction."""
    return await on_path(session, user, action, lot_id, "lot")


async def act_on_lot(
    services: Services,
    once: Once,
    user: Caller,
    lot_id: str,
    body: Body,
    action: Action,
    update: LotUpdate,
    said: LotAct | None = None,
) -> Response:
    """One act of one party; the workflow decides whether it is still possible. `said`: what they say besides."""
    seen = await seen_lot(services, user, lot_id, action)

    async def act(update_id: str) -> LotView:
        who = said_by(user, seen, getattr(body, "note", "")).model_copy(
            update={"actor": next(each.value for each in _AS[action] if each in seen.relations)}
        )
        words = said or LotAct(actor="")
        full = words.model_copy(update=who.model_dump())
        await tell(services, seen, update, full, update_id)
        return await show_lot(services, user, lot_id)

    return await once.resumable("act", body, act, status=200)


async def refuse_party(services: Services, user: Caller, lot_id: str) -> None:
    """Raises SelfDealing for an operator who has a part in the lot, or counts as somebody who has.

    NotFound and Forbidden for anybody but operators.
    """
    await seen_lot(services, user, lot_id, Action.LOT_RULE)
    async with services.database.transaction() as session:
        rows = await lots.lot(session, lot_id)
    if rows is None:
        raise unknown("lot")
    people = (
        rows.lot.maker_id,
        rows.lot.broker_id,
        rows.order.requester_id,
        rows.order.certifier_id,
    )
    others = [each for each in people if each]
    await refuse_self_dealing(services, Action.LOT_RULE, lot_id, user.id, others)


async def require_parcel(services: Services, lot_id: str, body: ParcelIn) -> None:
    """Raises InvalidInput for half a parcel, a carrier that does not report to us, or a number that is in use."""
    carriers = sorted(services.settings.carrier_webhook_secrets)
    if body.carrier is None and body.tracking_number is None:
        return
    if body.carrier not in carriers:
        raise InvalidInput(
            "a parcel needs a carrier that reports to us",
            field="carrier",
            accepted=", ".join(carriers) or "nothing yet: no carrier is configured",
        )
    if body.tracking_number is None:
        raise InvalidInput(
            "a parcel needs its tracking number",
            field="tracking_number",
            accepted="4 to 64 letters, digits and hyphens",
        )
    async with services.database.reading() as session:
        await lot_parcels.require_free(session, lot_id, body.parcel)


async def show_lot(services: Services, user: Caller, lot_id: str) -> LotView:
    """The lot as the caller may see it. Raises NotFound."""
    async with services.database.reading() as session:
        seen = await see_lot(session, user, lot_id)
        rows = await lots.lot(session, lot_id)
    if rows is None:
        raise unknown("lot")
    inside = {Relation.MAKER, Relation.OPERATOR}
    return LotView.seen(rows, as_maker=bool(seen.relations & inside))
