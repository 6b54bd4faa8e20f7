"""Bids: sealed until the tender closes for them, then negotiated. Rows; the tender's story never hears of them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Response
from sqlalchemy.ext.asyncio import AsyncSession

from api.arrival import ArrivalDep
from api.auth import Caller, CurrentUser
from api.bid_views import ThisBid, buyers_view, own_view, scored, stored_terms
from api.errors import problems
from api.idempotency import OnceDep
from api.policy import refuse_self_dealing, require, require_active, unknown
from api.schemas.base import Limit, page_of
from api.schemas.bids import BidIn, BidPage, BidView, SampleScoreIn, VoidIn
from api.schemas.sales import Note
from api.services import Services, ServicesDep
from api.tender_acts import ThisTender, see_tender, seen_tender
from db import bid_rows
from db.admission import Arrival, admit
from db.queries import files, tenders
from db.tables import Path
from domain.access import Action, Relation
from domain.errors import (
    AboveCap,
    AccountFrozen,
    CurrencyMismatch,
    Forbidden,
    LimitReached,
    NotFound,
    SelfDealing,
    TooLate,
    UnknownFile,
    WrongPhase,
)
from domain.ids import BidId
from domain.tender import Phase, require_price
from domain.tender_deadlines import BIDDING, SELECTION

router = APIRouter(prefix="/v1/tenders/{tender_id}/bids", tags=["tenders"])
BidCursor = Annotated[BidId | None, Query(description="`next` of the page before.")]
_BID_REFUSALS = (
    AboveCap,
    AccountFrozen,
    CurrencyMismatch,
    NotFound,
    TooLate,
    UnknownFile,
    WrongPhase,
)


@router.post(
    "",
    operation_id="bid",
    summary="Bid",
    status_code=201,
    response_model=BidView,
    responses=problems(*_BID_REFUSALS, LimitReached, SelfDealing),
)
async def bid(
    tender_id: ThisTender,
    body: BidIn,
    user: CurrentUser,
    services: ServicesDep,
    once: OnceDep,
    arrival: ArrivalDep,
) -> Response:
    """Nobody else sees the bid before the deadline, which is told by the database's clock. One bid a bidder."""
    require_active(user)
    await seen_tender(services, user, tender_id, Action.TENDER_BID)
    async with services.database.transaction() as session:
        buyer_id = (await stored_terms(session, tender_id)).buyer_id
    await refuse_self_dealing(services, Action.TENDER_BID, tender_id, user.id, [buyer_id])

    async def place(session: AsyncSession, bid_id: str) -> BidView:
        at = await _admit(session, tender_id, arrival)
        await _require_acceptable(session, user, tender_id, body)
        await bid_rows.place(session, bid_id, tender_id, user.id, body.terms, at)
        return await own_view(session, tender_id, bid_id)

    return await once.in_transaction("bid", body, place, status=201)


@router.get("", operation_id="listBids", summary="Bids, oldest first", responses=problems(NotFound))
async def list_bids(
    tender_id: ThisTender,
    user: CurrentUser,
    services: ServicesDep,
    after: BidCursor = None,
    limit: Limit = 50,
) -> BidPage:
    """The own bids; for the buyer and operators all that stand, once bidding has closed."""
    async with services.database.reading() as session:
        seen = await see_tender(session, user, tender_id)
        judges = bool(seen.relations & _JUDGES)
        sealed = await tenders.sealed(session, tender_id, seen.phase)
        if judges and sealed:
            return BidPage(items=[], next=None, sealed=True)
        terms = await stored_terms(session, tender_id)
        bidder = None if judges else user.id
        rows = await tenders.bids(session, tender_id, bidder, after, limit + 1)
        best = await tenders.best(session, tender_id)
    page = page_of(
        rows,
        limit,
        lambda row: scored(row, terms, best) if judges else BidView.of(row, terms.currency),
        lambda row: row.bid.id,
    )
    return BidPage(items=page.items, next=page.next, sealed=sealed)


_JUDGES = {Relation.INITIATOR, Relation.OPERATOR}


@router.get("/{bid_id}", operation_id="getBid", summary="A bid", responses=problems(NotFound))
async def get_bid(
    tender_id: ThisTender, bid_id: ThisBid, user: CurrentUser, services: ServicesDep
) -> BidView:
    """For its bidder; for the buyer and operators once bidding has closed."""
    async with services.database.reading() as session:
        seen = await see_tender(session, user, tender_id)
        found = await own_view(session, tender_id, bid_id)
        if found.bidder_id == user.id:
            return found
        if not seen.relations & _JUDGES or await tenders.sealed(session, tender_id, seen.phase):
            raise unknown("bid")
        return await buyers_view(session, tender_id, bid_id)


@router.post(
    "/{bid_id}/revisions",
    operation_id="reviseBid",
    summary="Change the bid",
    response_model=BidView,
    responses=problems(*_BID_REFUSALS, Forbidden),
)
async def revise_bid(
    tender_id: ThisTender,
    bid_id: ThisBid,
    body: BidIn,
    user: CurrentUser,
    services: ServicesDep,
    once: OnceDep,
    arrival: ArrivalDep,
) -> Response:
    """By its bidder, until the deadline; earlier versions are kept, and only the bidder sees them."""
    require_active(user)
    await _require_own(services, user, tender_id, bid_id)

    async def revise(session: AsyncSession, _: str) -> BidView:
        at = await _admit(session, tender_id, arrival)
        await _require_acceptable(session, user, tender_id, body)
        row = await bid_rows.locked(session, tender_id, bid_id)
        await bid_rows.revise(session, row, body.terms, at)
        return await own_view(session, tender_id, bid_id)

    return await once.in_transaction("act", body, revise, status=200)


@router.post(
    "/{bid_id}/withdraw",
    operation_id="withdrawBid",
    summary="Take the bid back",
    response_model=BidView,
    responses=problems(Forbidden, NotFound, TooLate, WrongPhase),
)
async def withdraw_bid(
    tender_id: ThisTender,
    bid_id: ThisBid,
    body: Note,
    user: CurrentUser,
    services: ServicesDep,
    once: OnceDep,
    arrival: ArrivalDep,
) -> Response:
    """By its bidder, until the deadline."""
    await _require_own(services, user, tender_id, bid_id)

    async def withdraw(session: AsyncSession, _: str) -> BidView:
        at = await _admit(session, tender_id, arrival)
        row = await bid_rows.locked(session, tender_id, bid_id)
        await bid_rows.withdraw(session, row, at)
        return await own_view(session, tender_id, bid_id)

    return await once.in_transaction("act", body, withdraw, status=200)


@router.post(
    "/{bid_id}/void",
    operation_id="voidBid",
    summary="Take out the bid of a fraud",
    response_model=BidView,
    responses=problems(Forbidden, NotFound, WrongPhase),
)
async def void_bid(
    tender_id: ThisTender,
    bid_id: ThisBid,
    body: VoidIn,
    user: CurrentUser,
    services: ServicesDep,
    once: OnceDep,
    arrival: ArrivalDep,
) -> Response:
    """By operators, until the buyer has chosen. The timeline says why, and not whose it was."""
    await seen_tender(services, user, tender_id, Action.TENDER_RULE)

    async def void(session: AsyncSession, _: str) -> BidView:
        admitted = await admit(session, tender_id, arrival, phases={Phase.OPEN, Phase.SELECTING})
        row = await bid_rows.locked(session, tender_id, bid_id)
        phase = (await session.get_one(Path, tender_id)).phase
        await bid_rows.void(session, row, phase, reason=body.note, at=admitted.at)
        return await own_view(session, tender_id, bid_id)

    return await once.in_transaction("act", body, void, status=200)


@router.post(
    "/{bid_id}/sample-score",
    operation_id="scoreSample",
    summary="Say how good the sample is",
    response_model=BidView,
    responses=problems(Forbidden, NotFound, TooLate, WrongPhase),
)
async def score_sample(
    tender_id: ThisTender,
    bid_id: ThisBid,
    body: SampleScoreIn,
    user: CurrentUser,
    services: ServicesDep,
    once: OnceDep,
    arrival: ArrivalDep,
) -> Response:
    """By the buyer, while choosing; counts by the tender's weights."""
    await seen_tender(services, user, tender_id, Action.TENDER_DECIDE)

    async def rate(session: AsyncSession, _: str) -> BidView:
        await admit(session, tender_id, arrival, phases={Phase.SELECTING}, deadline=SELECTION)
        row = await bid_rows.locked(session, tender_id, bid_id)
        bid_rows.require_live(row)
        row.sample_score = body.score
        await session.flush()
        return await buyers_view(session, tender_id, bid_id)

    return await once.in_transaction("act", body, rate, status=200)


async def _admit(session: AsyncSession, tender_id: str, arrival: Arrival) -> datetime:
    """When the request arrived, before bidding closed. Raises WrongPhase, TooLate."""
    admitted = await admit(session, tender_id, arrival, phases={Phase.OPEN}, deadline=BIDDING)
    return admitted.at


async def _require_acceptable(
    session: AsyncSession, user: Caller, tender_id: str, body: BidIn
) -> None:
    """Raises CurrencyMismatch, AboveCap or UnknownFile for a bid the tender does not take."""
    require_price(await stored_terms(session, tender_id), body.price.money)
    await files.attachable(session, user.id, body.file_ids)


async def _require_own(services: Services, user: Caller, tender_id: str, bid_id: str) -> None:
    """Raises NotFound or Forbidden unless it is the caller's bid."""
    async with services.database.transaction() as session:
        seen = await see_tender(session, user, tender_id)
        found = await own_view(session, tender_id, bid_id)
        sealed = await tenders.sealed(session, tender_id, seen.phase)
    own = user.relations(owner=found.bidder_id)
    if Relation.OWNER not in own and (sealed or not seen.relations & _JUDGES):
        raise unknown("bid")
    require(Action.BID_EDIT, own)
