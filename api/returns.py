"""Returns: goods of a sale that go back, what the seller says to it, and what the buyer gets."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Response
from temporalio.workflow import UpdateMethodMultiParam

from api.acts import Opening, begin, said_by, tell
from api.auth import Caller, CurrentUser
from api.errors import problems
from api.idempotency import Once, OnceDep
from api.parcels import require_parcel
from api.policy import on_path, unknown
from api.schemas.base import Body, MoneyIn
from api.schemas.returns import GoodwillIn, OfferIn, ReturnIn, ReturnView
from api.schemas.sales import Note, ShipmentNote
from api.services import Services, ServicesDep
from db import return_rows
from db.queries import files, sales
from domain.access import Action
from domain.errors import (
    CurrencyMismatch,
    Forbidden,
    InsufficientFunds,
    InvalidInput,
    LimitReached,
    NotFound,
    RefundTooLarge,
    TooLate,
    UnknownFile,
    WrongPhase,
)
from domain.ids import ReturnId, SaleId
from domain.path import Standing
from domain.returns import OpenReturn, Reason, Remedy, ReturnAct
from domain.sale import Delivery, SaleTerms
from workflows.names import return_workflow_id
from workflows.returns import Return

router = APIRouter(tags=["returns"])
ThisSale = Annotated[SaleId, Path(alias="sale_id", description="Id of the sale.")]
ThisReturn = Annotated[ReturnId, Path(alias="return_id", description="Id of the return.")]
ReturnUpdate = UpdateMethodMultiParam[[Return, ReturnAct], Standing]


@router.post(
    "/v1/sales/{sale_id}/returns",
    operation_id="openReturn",
    summary="Send goods back",
    status_code=201,
    response_model=ReturnView,
    responses=problems(
        Forbidden, InvalidInput, LimitReached, NotFound, TooLate, UnknownFile, WrongPhase
    ),
)
async def open_return(
    sale_id: ThisSale, body: ReturnIn, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """By the buyer: within 7 days of delivery without a reason unless made to order, until 15 days after completion for
    goods that are defective or not as described. Their price waits in escrow, or is owed, until the return ends.
    """
    async with services.database.transaction() as session:
        await on_path(session, user, Action.RETURN_OPEN, sale_id, "sale")
        await files.attachable(session, user.id, body.file_ids)

    async def open_(return_id: str) -> ReturnView:
        opening = OpenReturn(
            return_id=return_id,
            sale_id=sale_id,
            buyer_id=user.id,
            reason=body.reason,
            remedy=body.remedy,
            lines=tuple(each.wanted() for each in body.lines),
            note=body.note,
            file_ids=body.file_ids,
        )
        return await _begin(services, opening, ReturnAct(actor="buyer", user_id=user.id))

    return await once.resumable("rtn", body, open_, status=201)


@router.post(
    "/v1/sales/{sale_id}/goodwill",
    operation_id="giveGoodwill",
    summary="Give a part of the price back of one's own accord",
    status_code=201,
    response_model=ReturnView,
    responses=problems(
        CurrencyMismatch,
        Forbidden,
        InsufficientFunds,
        LimitReached,
        NotFound,
        RefundTooLarge,
        WrongPhase,
    ),
)
async def give_goodwill(
    sale_id: ThisSale, body: GoodwillIn, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """By the seller, once the goods are delivered: out of the escrow, or, after completion, out of their balance."""
    async with services.database.transaction() as session:
        await on_path(session, user, Action.GOODWILL_GIVE, sale_id, "sale")
        rows = await sales.sale(session, sale_id)
    if rows is None:
        raise unknown("sale")
    sold = SaleTerms.model_validate(rows.sale.terms)
    _require_currency(body.amount, sold.currency)

    async def give(return_id: str) -> ReturnView:
        opening = OpenReturn(
            return_id=return_id,
            sale_id=sale_id,
            buyer_id=sold.buyer_id,
            reason=Reason.GOODWILL,
            remedy=Remedy.REFUND,
            lines=(),
            amount=body.amount.amount,
            note=body.note,
        )
        return await _begin(services, opening, ReturnAct(actor="seller", user_id=user.id))

    return await once.resumable("rtn", body, give, status=201)


@router.get(
    "/v1/sales/{sale_id}/returns",
    operation_id="listReturns",
    summary="The returns of a sale, oldest first",
    responses=problems(NotFound),
)
async def list_returns(
    sale_id: ThisSale, user: CurrentUser, services: ServicesDep
) -> list[ReturnView]:
    """For its buyer, its seller and operators."""
    async with services.database.reading() as session:
        await on_path(session, user, Action.SALE_VIEW, sale_id, "sale")
        found = await return_rows.of_sale(session, sale_id)
    return [ReturnView.of(each) for each in found]


@router.get(
    "/v1/returns/{return_id}",
    operation_id="getReturn",
    summary="A return",
    responses=problems(NotFound),
)
async def get_return(return_id: ThisReturn, user: CurrentUser, services: ServicesDep) -> ReturnView:
    """For its buyer, its seller and operators."""
    async with services.database.reading() as session:
        await on_path(session, user, Action.RETURN_VIEW, return_id, "return")
    return await _view(services, return_id)


@router.post(
    "/v1/returns/{return_id}/agree",
    operation_id="agreeToReturn",
    summary="Want the goods back",
    response_model=ReturnView,
    responses=problems(Forbidden, NotFound, WrongPhase),
)
async def agree(
    return_id: ThisReturn, body: Note, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """By the seller, within 5 days of the claim; silence agrees."""
    return await _act(services, once, user, return_id, body, Action.RETURN_ANSWER, Return.agree)


@router.post(
    "/v1/returns/{return_id}/refund",
    operation_id="refundReturn",
    summary="Send the price back, wherever the goods are",
    response_model=ReturnView,
    responses=problems(Forbidden, NotFound, WrongPhase),
)
async def refund(
    return_id: ThisReturn, body: Note, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """By the seller, at any time before the return has ended."""
    return await _act(services, once, user, return_id, body, Action.RETURN_ANSWER, Return.refund)


@router.post(
    "/v1/returns/{return_id}/refuse",
    operation_id="refuseReturn",
    summary="Refuse a claim, or what came back",
    response_model=ReturnView,
    responses=problems(Forbidden, NotFound, WrongPhase),
)
async def refuse(
    return_id: ThisReturn, body: Note, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """By the seller; the buyer may open a dispute within 5 days."""
    return await _act(services, once, user, return_id, body, Action.RETURN_ANSWER, Return.refuse)


@router.post(
    "/v1/returns/{return_id}/accept",
    operation_id="acceptReturn",
    summary="Accept what came back",
    response_model=ReturnView,
    responses=problems(Forbidden, NotFound, WrongPhase),
)
async def accept(
    return_id: ThisReturn, body: Note, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """By the seller, within 5 days of its arrival; silence accepts. The buyer gets the price back, or other goods."""
    return await _act(services, once, user, return_id, body, Action.RETURN_ANSWER, Return.accept)


@router.post(
    "/v1/returns/{return_id}/take",
    operation_id="takeReturnOffer",
    summary="Take the part of the price on offer",
    response_model=ReturnView,
    responses=problems(Forbidden, NotFound, WrongPhase),
)
async def take(
    return_id: ThisReturn, body: Note, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """By the buyer, within 5 days; silence takes it."""
    return await _act(services, once, user, return_id, body, Action.RETURN_SHIP, Return.take)


@router.post(
    "/v1/returns/{return_id}/reject",
    operation_id="rejectReturnOffer",
    summary="Do not take the offer",
    response_model=ReturnView,
    responses=problems(Forbidden, NotFound, WrongPhase),
)
async def reject(
    return_id: ThisReturn, body: Note, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """By the buyer, who may open a dispute then."""
    return await _act(services, once, user, return_id, body, Action.RETURN_SHIP, Return.reject)


@router.post(
    "/v1/returns/{return_id}/confirm",
    operation_id="confirmExchange",
    summary="Confirm that other goods have come",
    response_model=ReturnView,
    responses=problems(Forbidden, NotFound, WrongPhase),
)
async def confirm(
    return_id: ThisReturn, body: Note, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """By the buyer; silence confirms."""
    return await _act(services, once, user, return_id, body, Action.RETURN_SHIP, Return.confirm)


@router.post(
    "/v1/returns/{return_id}/withdraw",
    operation_id="withdrawReturn",
    summary="Think again",
    response_model=ReturnView,
    responses=problems(Forbidden, NotFound, WrongPhase),
)
async def withdraw(
    return_id: ThisReturn, body: Note, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """By the buyer, before the goods are on their way; nothing goes back."""
    return await _act(
        services, once, user, return_id, body, Action.RETURN_SHIP, Return.withdraw_return
    )


@router.post(
    "/v1/returns/{return_id}/offer",
    operation_id="offerPartOfPrice",
    summary="Offer a part of the price",
    response_model=ReturnView,
    responses=problems(CurrencyMismatch, Forbidden, InvalidInput, NotFound, WrongPhase),
)
async def offer(
    return_id: ThisReturn, body: OfferIn, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """By the seller; the buyer keeps what they have. After 5 days of silence the offer counts as taken."""
    said = ReturnAct(actor="", amount=body.amount.amount)
    async with services.database.transaction() as session:
        await on_path(session, user, Action.RETURN_ANSWER, return_id, "return")
        found = await return_rows.found(session, return_id)
    if found is not None:
        _require_currency(body.amount, found[1].currency)
    return await _act(
        services, once, user, return_id, body, Action.RETURN_ANSWER, Return.offer_part, said
    )


@router.post(
    "/v1/returns/{return_id}/ship",
    operation_id="shipReturn",
    summary="The goods are on their way back",
    response_model=ReturnView,
    responses=problems(Forbidden, InvalidInput, NotFound, WrongPhase),
)
async def ship(
    return_id: ThisReturn,
    body: ShipmentNote,
    user: CurrentUser,
    services: ServicesDep,
    once: OnceDep,
) -> Response:
    """By the buyer, within 10 days: carrier and tracking number, or nothing but a note for goods handed over in person."""
    return await _ship(services, once, user, return_id, body, Action.RETURN_SHIP, Return.ship)


@router.post(
    "/v1/returns/{return_id}/exchange",
    operation_id="sendOtherGoods",
    summary="Other goods are on their way",
    response_model=ReturnView,
    responses=problems(Forbidden, InvalidInput, NotFound, WrongPhase),
)
async def exchange(
    return_id: ThisReturn,
    body: ShipmentNote,
    user: CurrentUser,
    services: ServicesDep,
    once: OnceDep,
) -> Response:
    """By the seller, within 14 days; then the price goes back."""
    return await _ship(
        services, once, user, return_id, body, Action.RETURN_ANSWER, Return.send_others
    )


async def _ship(
    services: Services,
    once: Once,
    user: Caller,
    return_id: str,
    body: ShipmentNote,
    action: Action,
    update: ReturnUpdate,
) -> Response:
    async with services.database.transaction() as session:
        await on_path(session, user, action, return_id, "return")
        found = await return_rows.found(session, return_id)
    if found is None:
        raise unknown("return")
    require_parcel(services, body, Delivery(return_rows.terms_of(found[0]).delivery))
    said = ReturnAct(actor="", carrier=body.carrier, tracking_number=body.tracking_number)
    return await _act(services, once, user, return_id, body, action, update, said)


async def _act(
    services: Services,
    once: Once,
    user: Caller,
    return_id: str,
    body: Body,
    action: Action,
    update: ReturnUpdate,
    said: ReturnAct | None = None,
) -> Response:
    """One act of one side; the workflow decides whether it is still possible."""
    async with services.database.transaction() as session:
        seen = await on_path(session, user, action, return_id, "return")

    async def act(update_id: str) -> ReturnView:
        who = said_by(user, seen, getattr(body, "note", ""))
        full = (said or ReturnAct(actor="")).model_copy(update=who.model_dump())
        await tell(services, seen, update, full, update_id)
        return await _view(services, return_id)

    return await once.resumable("act", body, act, status=200)


async def _begin(services: Services, opening: OpenReturn, act: ReturnAct) -> ReturnView:
    async with services.database.transaction() as session:
        rows = await sales.sale(session, opening.sale_id)
    if rows is None:
        raise unknown("sale")
    await begin(
        services,
        Opening(
            workflow="Return",
            workflow_id=return_workflow_id(opening.return_id),
            kind="return",
            initiator_id=opening.buyer_id,
            currency=rows.path.currency,
            summary=f"Return of {opening.sale_id}",
            details=f"Return of goods of **{opening.sale_id}**: {opening.reason}",
        ),
        opening,
        Return.open,
        act,
        "open",
    )
    return await _view(services, opening.return_id)


def _require_currency(money: MoneyIn, currency: str) -> None:
    if money.currency != currency:
        raise CurrencyMismatch(
            f"the sale is in {currency}", field="amount.currency", accepted=currency
        )


async def _view(services: Services, return_id: str) -> ReturnView:
    async with services.database.reading() as session:
        found = await return_rows.found(session, return_id)
    if found is None:
        raise unknown("return")
    return ReturnView.of(found)
