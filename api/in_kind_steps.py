"""What happens to help in kind once somebody is picked: handed over, confirmed, objected to, called off, ruled on."""

from __future__ import annotations

from fastapi import APIRouter, Response

from api.auth import CurrentUser
from api.errors import problems
from api.idempotency import OnceDep
from api.in_kind_acts import ThisInKind, act_on_in_kind
from api.schemas.in_kind import (
    CallingOffIn,
    InKindRulingIn,
    InKindView,
    ObjectionIn,
    ShownIn,
)
from api.schemas.sales import Note
from api.services import ServicesDep
from domain.access import Action
from domain.errors import (
    AmountOutOfRange,
    Forbidden,
    InvalidInput,
    NotFound,
    TooLate,
    UnknownFile,
    WrongPhase,
)
from domain.in_kind import Said
from workflows.in_kind import InKind

router = APIRouter(prefix="/v1/in-kind/{in_kind_id}", tags=["in-kind"])


@router.post(
    "/hand-over",
    operation_id="handOverInKind",
    summary="Say that it was handed over",
    response_model=InKindView,
    responses=problems(Forbidden, NotFound, TooLate, UnknownFile, WrongPhase),
)
async def hand_over(
    in_kind_id: ThisInKind, body: ShownIn, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """By the supporter within 14 days; a material is given, a task done, a loan lent."""
    return await act_on_in_kind(
        services, once, user, in_kind_id, body, Action.IN_KIND_DECIDE, InKind.hand_over
    )


@router.post(
    "/confirm",
    operation_id="confirmInKind",
    summary="Confirm a material or a task",
    response_model=InKindView,
    responses=problems(Forbidden, NotFound, WrongPhase),
)
async def confirm(
    in_kind_id: ThisInKind, body: Note, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """By who was picked; after seven days of silence it counts as received."""
    return await act_on_in_kind(
        services, once, user, in_kind_id, body, Action.IN_KIND_RECEIVE, InKind.confirm
    )


@router.post(
    "/object",
    operation_id="objectInKind",
    summary="Say that it was not received",
    response_model=InKindView,
    responses=problems(Forbidden, NotFound, UnknownFile, WrongPhase),
)
async def object_(
    in_kind_id: ThisInKind,
    body: ObjectionIn,
    user: CurrentUser,
    services: ServicesDep,
    once: OnceDep,
) -> Response:
    """By who was picked, within seven days; operators rule."""
    return await act_on_in_kind(
        services, once, user, in_kind_id, body, Action.IN_KIND_RECEIVE, InKind.object
    )


@router.post(
    "/call-off",
    operation_id="callOffInKind",
    summary="Step back before the handing over",
    response_model=InKindView,
    responses=problems(Forbidden, NotFound, WrongPhase),
)
async def call_off(
    in_kind_id: ThisInKind,
    body: CallingOffIn,
    user: CurrentUser,
    services: ServicesDep,
    once: OnceDep,
) -> Response:
    """By either side. A deposit goes back in full; others can ask again unless the supporter takes the offer back."""
    said = Said(offer_again=body.offer_again)
    return await act_on_in_kind(
        services, once, user, in_kind_id, body, Action.IN_KIND_CALL_OFF, InKind.call_off, said
    )


@router.post(
    "/rule",
    operation_id="ruleInKind",
    summary="Decide an objection or a contested claim",
    response_model=InKindView,
    responses=problems(AmountOutOfRange, Forbidden, InvalidInput, NotFound, WrongPhase),
)
async def rule(
    in_kind_id: ThisInKind,
    body: InKindRulingIn,
    user: CurrentUser,
    services: ServicesDep,
    once: OnceDep,
) -> Response:
    """By an operator within 14 days: whether the help has come, or how much of the deposit the lender gets."""
    said = Said(received=body.received, amount=body.lender_amount)
    return await act_on_in_kind(
        services, once, user, in_kind_id, body, Action.IN_KIND_RULE, InKind.rule, said
    )
