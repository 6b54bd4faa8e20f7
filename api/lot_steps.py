"""What maker, requester, inspector and operators do with a lot, from the sample to the last word."""

from __future__ import annotations

from typing import cast

from fastapi import APIRouter, Response

from api.auth import Caller, CurrentUser
from api.errors import problems
from api.idempotency import OnceDep
from api.lot_acts import (
    LotUpdate,
    ThisLot,
    act_on_lot,
    refuse_party,
    require_parcel,
    seen_lot,
)
from api.schemas.inspections import AppealIn
from api.schemas.lots import (
    ContestIn,
    ExtensionIn,
    GoodsIn,
    KitRulingIn,
    LotView,
    ParcelIn,
    ReasonIn,
    RulingIn,
    SampleIn,
)
from api.schemas.sales import Note
from api.services import Services, ServicesDep
from db.queries import files
from domain.access import Action
from domain.errors import (
    Forbidden,
    InvalidInput,
    LimitReached,
    NotFound,
    SelfDealing,
    TooLate,
    UnknownFile,
    WrongPhase,
)
from domain.production_messages import LotAct
from workflows.lot import Lot

router = APIRouter(prefix="/v1/lots/{lot_id}", tags=["lots"])
_REFUSALS = (Forbidden, NotFound, WrongPhase)
_STEP_BACK = cast(LotUpdate, Lot.step_back)
"""The SDK's types promise a coroutine too many of an update with a name of its own."""


@router.post(
    "/send-sample",
    operation_id="sendSample",
    summary="Show the sample",
    response_model=LotView,
    responses=problems(*_REFUSALS, UnknownFile),
)
async def send_sample(
    lot_id: ThisLot, body: SampleIn, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """By the maker, within a week: the sample is made, here are its pictures."""
    await seen_lot(services, user, lot_id, Action.LOT_MAKE)
    async with services.database.transaction() as session:
        await files.attachable(session, user.id, body.file_ids)
    said = LotAct(actor="", file_ids=body.file_ids)
    return await act_on_lot(
        services, once, user, lot_id, body, Action.LOT_MAKE, Lot.send_sample, said
    )


@router.post(
    "/approve-sample",
    operation_id="approveSample",
    summary="The sample is good",
    response_model=LotView,
    responses=problems(*_REFUSALS),
)
async def approve_sample(
    lot_id: ThisLot, body: Note, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """By the requester; silence says the same after three days. The maker gets the sample fee either way."""
    return await act_on_lot(
        services, once, user, lot_id, body, Action.LOT_SUPPLY, Lot.approve_sample
    )


@router.post(
    "/refuse-sample",
    operation_id="refuseSample",
    summary="The sample is not good",
    response_model=LotView,
    responses=problems(*_REFUSALS),
)
async def refuse_sample(
    lot_id: ThisLot, body: ReasonIn, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """By the requester, with the reason. The maker gets the sample fee, and others can claim the units."""
    return await act_on_lot(
        services, once, user, lot_id, body, Action.LOT_SUPPLY, Lot.refuse_sample
    )


@router.post(
    "/withdraw",
    operation_id="withdrawFromLot",
    summary="Step back before the materials are sent",
    response_model=LotView,
    responses=problems(*_REFUSALS),
)
async def withdraw(
    lot_id: ThisLot, body: Note, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """By the maker. A deposit goes back the way it came, and others can claim the units."""
    return await act_on_lot(services, once, user, lot_id, body, Action.LOT_MAKE, _STEP_BACK)


@router.post(
    "/send-kit",
    operation_id="sendKit",
    summary="The materials are on their way",
    response_model=LotView,
    responses=problems(*_REFUSALS, InvalidInput),
)
async def send_kit(
    lot_id: ThisLot, body: ParcelIn, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """By the requester, within three days of the deposit: carrier and tracking number, or handed over in person."""
    return await _send(services, once, user, lot_id, body, Action.LOT_SUPPLY)


@router.post(
    "/receive-kit",
    operation_id="receiveKit",
    summary="The materials are there",
    response_model=LotView,
    responses=problems(*_REFUSALS),
)
async def receive_kit(
    lot_id: ThisLot, body: Note, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """By the maker, whose time begins now; a carrier's scan says the same."""
    return await act_on_lot(services, once, user, lot_id, body, Action.LOT_MAKE, Lot.receive_kit)


@router.post(
    "/contest-kit",
    operation_id="contestKit",
    summary="The materials are not as promised",
    response_model=LotView,
    responses=problems(*_REFUSALS, LimitReached, TooLate, UnknownFile),
)
async def contest_kit(
    lot_id: ThisLot, body: ContestIn, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """By the maker, with pictures, within three days of saying that they are there; once for each kit.

    Also when a carrier says that they are there and they are not. No time runs until the requester agrees and sends
    another kit, or operators decide; without a decision in time the lot is cancelled and the deposit goes back.
    """
    await seen_lot(services, user, lot_id, Action.LOT_MAKE)
    async with services.database.transaction() as session:
        await files.attachable(session, user.id, body.file_ids)
    said = LotAct(actor="", file_ids=body.file_ids)
    return await act_on_lot(
        services, once, user, lot_id, body, Action.LOT_MAKE, Lot.contest_kit, said
    )


@router.post(
    "/admit-contest",
    operation_id="admitContest",
    summary="The materials are indeed not as promised",
    response_model=LotView,
    responses=problems(*_REFUSALS),
)
async def admit_contest(
    lot_id: ThisLot, body: Note, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """By the requester, who sends another kit; the second such kit ends the lot, and the deposit goes back."""
    return await act_on_lot(
        services, once, user, lot_id, body, Action.LOT_SUPPLY, Lot.admit_contest
    )


@router.post(
    "/rule-kit",
    operation_id="ruleOnKit",
    summary="Decide whether the materials are as promised",
    response_model=LotView,
    responses=problems(*_REFUSALS, SelfDealing),
)
async def rule_kit(
    lot_id: ThisLot, body: KitRulingIn, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """By operators. If they are, the maker goes on, with the time that was lost; if not, the lot is cancelled."""
    await refuse_party(services, user, lot_id)
    said = LotAct(actor="", as_promised=body.as_promised)
    return await act_on_lot(services, once, user, lot_id, body, Action.LOT_RULE, Lot.rule_kit, said)


@router.post(
    "/report",
    operation_id="reportOnLot",
    summary="The work goes on",
    response_model=LotView,
    responses=problems(*_REFUSALS),
)
async def report(
    lot_id: ThisLot, body: Note, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """By the maker, once a week: a word is enough."""
    return await act_on_lot(services, once, user, lot_id, body, Action.LOT_MAKE, Lot.report)


@router.post(
    "/extend",
    operation_id="extendLot",
    summary="Give the maker more time",
    response_model=LotView,
    responses=problems(*_REFUSALS, InvalidInput),
)
async def extend(
    lot_id: ThisLot, body: ExtensionIn, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """By the requester, while the units are being made."""
    said = LotAct(actor="", seconds=body.seconds)
    return await act_on_lot(services, once, user, lot_id, body, Action.LOT_SUPPLY, Lot.extend, said)


@router.post(
    "/send-goods",
    operation_id="sendGoods",
    summary="The goods are on their way",
    response_model=LotView,
    responses=problems(*_REFUSALS, InvalidInput),
)
async def send_goods(
    lot_id: ThisLot, body: GoodsIn, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """By the maker: what was made, what comes back unused, what was spoiled; after a rework the mended units."""
    return await _send(services, once, user, lot_id, body, Action.LOT_MAKE)


@router.post(
    "/receive-goods",
    operation_id="receiveGoods",
    summary="The goods are there",
    response_model=LotView,
    responses=problems(*_REFUSALS),
)
async def receive_goods(
    lot_id: ThisLot, body: Note, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """By whoever inspects them, whose time begins now, or by the requester; a carrier's scan says the same."""
    return await act_on_lot(
        services, once, user, lot_id, body, Action.LOT_RECEIVE, Lot.receive_goods
    )


@router.post(
    "/deny-goods",
    operation_id="denyGoods",
    summary="The goods never came",
    response_model=LotView,
    responses=problems(*_REFUSALS),
)
async def deny_goods(
    lot_id: ThisLot, body: ReasonIn, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """By whoever would inspect them, of goods that travel without a number: silence would be their arrival.

    The maker may appeal, and operators find out.
    """
    return await act_on_lot(
        services, once, user, lot_id, body, Action.INSPECTION_DECIDE, Lot.deny_goods
    )


@router.post(
    "/appeal",
    operation_id="appealAgainstInspection",
    summary="The rejected units are as agreed",
    response_model=LotView,
    responses=problems(*_REFUSALS),
)
async def appeal(
    lot_id: ThisLot, body: AppealIn, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """By the maker, within three days, with the reason: before a second inspector, or a jury of three peers."""
    said = LotAct(actor="", jury=body.jury)
    return await act_on_lot(services, once, user, lot_id, body, Action.LOT_MAKE, Lot.appeal, said)


@router.post(
    "/accept-decision",
    operation_id="acceptDecision",
    summary="The inspection was right",
    response_model=LotView,
    responses=problems(*_REFUSALS),
)
async def accept_decision(
    lot_id: ThisLot, body: Note, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """By the maker, who does not appeal: the lot is settled at once."""
    return await act_on_lot(
        services, once, user, lot_id, body, Action.LOT_MAKE, Lot.accept_decision
    )


@router.post(
    "/rule",
    operation_id="ruleOnAppeal",
    summary="Decide the appeal",
    response_model=LotView,
    responses=problems(*_REFUSALS, InvalidInput, SelfDealing),
)
async def rule(
    lot_id: ThisLot, body: RulingIn, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """By operators, who name what the second inspector has found: so many rejected units are accepted after all."""
    await refuse_party(services, user, lot_id)
    said = LotAct(actor="", granted=body.accepted, returned=body.returned)
    return await act_on_lot(services, once, user, lot_id, body, Action.LOT_RULE, Lot.rule, said)


@router.post(
    "/call-off",
    operation_id="callLotOff",
    summary="End the lot before its materials are sent",
    response_model=LotView,
    responses=problems(*_REFUSALS, SelfDealing),
)
async def call_off(
    lot_id: ThisLot, body: ReasonIn, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """By operators, with the reason. A deposit goes back the way it came."""
    await refuse_party(services, user, lot_id)
    return await act_on_lot(services, once, user, lot_id, body, Action.LOT_RULE, Lot.call_off)


async def _send(
    services: Services,
    once: OnceDep,
    user: Caller,
    lot_id: str,
    body: ParcelIn,
    action: Action,
) -> Response:
    """A kit or goods go on their way. Raises InvalidInput for a parcel that cannot be."""
    await seen_lot(services, user, lot_id, action)
    await require_parcel(services, lot_id, body)
    said = LotAct(actor="", parcel=body.parcel)
    if isinstance(body, GoodsIn):
        said = said.model_copy(update={"hand_in": body.hand_in})
        return await act_on_lot(services, once, user, lot_id, body, action, Lot.send_goods, said)
    return await act_on_lot(services, once, user, lot_id, body, action, Lot.send_kit, said)
