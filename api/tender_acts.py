"""What the routes of tenders share: seeing one, acting on one, showing one."""

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
from api.schemas.tenders import TenderView
from api.services import Services
from db.queries import tenders
from db.queries.paths import Seen
from domain.access import Action, Relation
from domain.ids import TenderId
from domain.path import Standing
from domain.tender import Phase
from domain.tender_messages import TenderAct
from workflows.tender import Tender

ThisTender = Annotated[TenderId, Path(alias="tender_id", description="Id of the tender.")]
TenderUpdate = UpdateMethodMultiParam[[Tender, TenderAct], Standing]
_INSIDE = {Relation.INITIATOR, Relation.BIDDER, Relation.OPERATOR}


async def seen_tender(
    services: Services, user: Caller, tender_id: str, action: Action = Action.TENDER_VIEW
) -> Seen:
    """The tender and what the caller is to it, who may act on it. Raises NotFound or Forbidden."""
    async with services.database.reading() as session:
        return await see_tender(session, user, tender_id, action)


async def see_tender(
    session: AsyncSession, user: Caller, tender_id: str, action: Action = Action.TENDER_VIEW
) -> Seen:
    """The same within a transaction."""
    seen = await on_path(session, user, action, tender_id, "tender")
    outside = not seen.relations & _INSIDE
    if outside and seen.phase == Phase.CANCELLED and await tenders.was_draft(session, tender_id):
        raise unknown("tender")
    return seen


async def act_on_tender(
    services: Services,
    once: Once,
    user: Caller,
    tender_id: str,
    body: Body,
    action: Action,
    update: TenderUpdate,
    said: TenderAct | None = None,
) -> Response:
    """One act of one party; the workflow decides whether it is still possible. `said`: what they say besides."""
    seen = await seen_tender(services, user, tender_id, action)

    async def act(update_id: str) -> TenderView:
        words = said or TenderAct(actor="")
        who = said_by(user, seen, getattr(body, "note", ""))
        if action is Action.TENDER_RULE:
            who = who.model_copy(update={"actor": Relation.OPERATOR.value})
        full = words.model_copy(update=who.model_dump())
        await tell(services, seen, update, full, update_id)
        return await show_tender(services, user, tender_id)

    return await once.resumable("act", body, act, status=200)


async def show_tender(services: Services, user: Caller, tender_id: str) -> TenderView:
    """The tender as the caller may see it. Raises NotFound."""
    async with services.database.reading() as session:
        seen = await see_tender(session, user, tender_id)
        return await tender_view(session, seen, tender_id)


async def tender_view(session: AsyncSession, seen: Seen, tender_id: str) -> TenderView:
    """The tender as somebody of these relations may see it."""
    rows = await tenders.tender(session, tender_id)
    if rows is None:
        raise unknown("tender")
    as_buyer = Relation.INITIATOR in seen.relations
    operates = Relation.OPERATOR in seen.relations
    works = Relation.BIDDER in seen.relations and rows.tender.worker_id is not None
    view = TenderView.seen(rows, as_buyer=as_buyer, as_party=operates or works)
    return view.with_bids(rows.bids) if as_buyer or operates else view
