"""Counter-offers on a bid, by either side, while the buyer chooses. Rows; the tender's story never hears of them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Response
from sqlalchemy.ext.asyncio import AsyncSession

from api.arrival import ArrivalDep
from api.auth import Caller, CurrentUser
from api.bid_views import ThisBid, buyers_view, own_view, stored_terms
from api.errors import problems
from api.idempotency import Once, OnceDep
from api.policy import require_active, unknown
from api.schemas.bids import BidView, OfferIn
from api.schemas.sales import Note
from api.services import Services, ServicesDep
from api.tender_acts import ThisTender, see_tender
from db import bid_rows
from db.admission import Arrival, admit
from db.queries import tenders
from domain.access import Action, Relation
from domain.errors import (
    AboveCap,
    AccountFrozen,
    CurrencyMismatch,
    Forbidden,
    NotFound,
    TooLate,
    WrongPhase,
)
from domain.tender import Phase, require_price
from domain.tender_deadlines import SELECTION

router = APIRouter(prefix="/v1/tenders/{tender_id}/bids/{bid_id}/offers", tags=["tenders"])
ThisOffer = Annotated[
    int, Path(alias="number", ge=1, le=1_000_000, description="Number of the offer.")
]
_SELECTING = {Phase.SELECTING}


@router.post(
    "",
    operation_id="makeOffer",
    summary="Offer another price or lead time",
    status_code=201,
    response_model=BidView,
    responses=problems(
        AboveCap, AccountFrozen, CurrencyMismatch, Forbidden, NotFound, TooLate, WrongPhase
    ),
)
async def make_offer(
    tender_id: ThisTender,
    bid_id: ThisBid,
    body: OfferIn,
    user: CurrentUser,
    services: ServicesDep,
    once: OnceDep,
    arrival: ArrivalDep,
) -> Response:
    """By the buyer or the bidder, while the buyer chooses; it takes the place of an offer that is open."""
    require_active(user)
    side = await _side(services, user, tender_id, bid_id)

    async def make(session: AsyncSession, _: str) -> BidView:
        admitted = await admit(session, tender_id, arrival, phases=_SELECTING, deadline=SELECTION)
        require_price(await stored_terms(session, tender_id), body.price.money)
        row = await bid_rows.locked(session, tender_id, bid_id)
        await bid_rows.offer(
            session,
            row,
            side,
            price=body.price.amount,
            lead_days=body.lead_days,
            note=body.note,
            at=admitted.at,
        )
        return await _view(session, tender_id, bid_id, side)

    return await once.in_transaction("act", body, make, status=201)


@router.post(
    "/{number}/accept",
    operation_id="acceptOffer",
    summary="Accept the other side's offer",
    response_model=BidView,
    responses=problems(AccountFrozen, Forbidden, NotFound, TooLate, WrongPhase),
)
async def accept_offer(
    tender_id: ThisTender,
    bid_id: ThisBid,
    number: ThisOffer,
    body: Note,
    user: CurrentUser,
    services: ServicesDep,
    once: OnceDep,
    arrival: ArrivalDep,
) -> Response:
    """It is a revision of the bid from now on; the award is still the buyer's."""
    require_active(user)
    return await _answer(services, once, user, (tender_id, bid_id, number), body, arrival, True)


@router.post(
    "/{number}/decline",
    operation_id="declineOffer",
    summary="Decline the other side's offer",
    response_model=BidView,
    responses=problems(Forbidden, NotFound, TooLate, WrongPhase),
)
async def decline_offer(
    tender_id: ThisTender,
    bid_id: ThisBid,
    number: ThisOffer,
    body: Note,
    user: CurrentUser,
    services: ServicesDep,
    once: OnceDep,
    arrival: ArrivalDep,
) -> Response:
    """The bid stands as it did."""
    return await _answer(services, once, user, (tender_id, bid_id, number), body, arrival, False)


async def _answer(
    services: Services,
    once: Once,
    user: Caller,
    which: tuple[str, str, int],
    body: Note,
    arrival: Arrival,
    accepted: bool,
) -> Response:
    tender_id, bid_id, number = which
    side = await _side(services, user, tender_id, bid_id)

    async def answer(session: AsyncSession, _: str) -> BidView:
        admitted = await admit(session, tender_id, arrival, phases=_SELECTING, deadline=SELECTION)
        row = await bid_rows.locked(session, tender_id, bid_id)
        await bid_rows.answer(session, row, number, side, admitted.at, accepted=accepted)
        return await _view(session, tender_id, bid_id, side)

    return await once.in_transaction("act", body, answer, status=200)


async def _side(services: Services, user: Caller, tender_id: str, bid_id: str) -> str:
    """On which side of the bid the caller is. Raises NotFound or Forbidden."""
    async with services.database.transaction() as session:
        seen = await see_tender(session, user, tender_id, Action.TENDER_NEGOTIATE)
        rows = await tenders.bid(session, tender_id, bid_id)
    if rows is not None and rows.bid.bidder_id == user.id:
        return Relation.BIDDER
    if rows is None or Relation.INITIATOR not in seen.relations:
        raise unknown("bid")
    return Relation.INITIATOR


async def _view(session: AsyncSession, tender_id: str, bid_id: str, side: str) -> BidView:
    if side == Relation.BIDDER:
        return await own_view(session, tender_id, bid_id)
    return await buyers_view(session, tender_id, bid_id)
