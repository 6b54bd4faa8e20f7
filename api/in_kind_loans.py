"""Loans in kind: put off, sent back, returned, written off, and claims on the deposit."""

from __future__ import annotations

from fastapi import APIRouter, Response

from api.auth import CurrentUser
from api.errors import problems
from api.idempotency import OnceDep
from api.in_kind_acts import ThisInKind, act_on_in_kind, seen_in_kind
from api.schemas.in_kind import ClaimAnswerIn, ClaimIn, ExtensionIn, InKindView, ShownIn
from api.schemas.sales import Note
from api.services import Services, ServicesDep
from db.in_kind_rows import terms_of
from db.tables import InKindOffer
from domain.access import Action
from domain.errors import (
    AmountOutOfRange,
    CurrencyMismatch,
    Forbidden,
    HoldTooLong,
    InvalidInput,
    LimitReached,
    NotFound,
    UnknownFile,
    WrongPhase,
)
from domain.in_kind import Said
from workflows.in_kind import InKind

router = APIRouter(prefix="/v1/in-kind/{in_kind_id}", tags=["in-kind"])


@router.post(
    "/extend",
    operation_id="extendLoan",
    summary="Put the day of return off",
    response_model=InKindView,
    responses=problems(Forbidden, HoldTooLong, InvalidInput, LimitReached, NotFound, WrongPhase),
)
async def extend(
    in_kind_id: ThisInKind,
    body: ExtensionIn,
    user: CurrentUser,
    services: ServicesDep,
    once: OnceDep,
) -> Response:
    """By the lender, as far as the provider can hold the deposit; an overdue loan is not overdue then."""
    said = Said(due_at=body.due_at)
    return await act_on_in_kind(
        services, once, user, in_kind_id, body, Action.IN_KIND_DECIDE, InKind.extend, said
    )


@router.post(
    "/send-back",
    operation_id="sendBackLoan",
    summary="Say that it was sent back",
    response_model=InKindView,
    responses=problems(Forbidden, NotFound, UnknownFile, WrongPhase),
)
async def send_back(
    in_kind_id: ThisInKind, body: ShownIn, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """By the borrower; after seven days of the lender's silence it counts as returned."""
    return await act_on_in_kind(
        services, once, user, in_kind_id, body, Action.IN_KIND_RECEIVE, InKind.send_back
    )


@router.post(
    "/return",
    operation_id="confirmReturn",
    summary="Confirm that it is back",
    response_model=InKindView,
    responses=problems(Forbidden, NotFound, WrongPhase),
)
async def confirm_return(
    in_kind_id: ThisInKind, body: Note, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """By the lender, at any time, a claim given up with it; the deposit goes back."""
    return await act_on_in_kind(
        services, once, user, in_kind_id, body, Action.IN_KIND_DECIDE, InKind.confirm_return
    )


@router.post(
    "/write-off",
    operation_id="writeOffLoan",
    summary="Give an overdue loan up without a claim",
    response_model=InKindView,
    responses=problems(Forbidden, NotFound, WrongPhase),
)
async def write_off(
    in_kind_id: ThisInKind, body: Note, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """By the lender; a deposit goes back."""
    return await act_on_in_kind(
        services, once, user, in_kind_id, body, Action.IN_KIND_DECIDE, InKind.write_off
    )


@router.post(
    "/claim",
    operation_id="claimDeposit",
    summary="Claim a part of the deposit",
    response_model=InKindView,
    responses=problems(
        AmountOutOfRange,
        CurrencyMismatch,
        Forbidden,
        InvalidInput,
        NotFound,
        UnknownFile,
        WrongPhase,
    ),
)
async def claim(
    in_kind_id: ThisInKind, body: ClaimIn, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """By the lender, of what came back damaged or is overdue; the borrower has five days to answer."""
    await seen_in_kind(services, user, in_kind_id, Action.IN_KIND_DECIDE)
    await _require_currency(services, in_kind_id, body.amount.currency)
    said = Said(amount=body.amount.amount, is_back=body.is_back)
    return await act_on_in_kind(
        services, once, user, in_kind_id, body, Action.IN_KIND_DECIDE, InKind.claim_deposit, said
    )


@router.post(
    "/answer-claim",
    operation_id="answerClaim",
    summary="Agree with the claim, or not",
    response_model=InKindView,
    responses=problems(Forbidden, NotFound, UnknownFile, WrongPhase),
)
async def answer_claim(
    in_kind_id: ThisInKind,
    body: ClaimAnswerIn,
    user: CurrentUser,
    services: ServicesDep,
    once: OnceDep,
) -> Response:
    """By the borrower within five days, else the claim stands; a claim not agreed with is ruled on by operators."""
    update = InKind.agree if body.agree else InKind.contest
    return await act_on_in_kind(
        services, once, user, in_kind_id, body, Action.IN_KIND_RECEIVE, update
    )


async def _require_currency(services: Services, in_kind_id: str, currency: str) -> None:
    """Raises CurrencyMismatch unless the deposit is in this currency; without one, the claim itself is refused."""
    async with services.database.transaction() as session:
        terms = terms_of(await session.get_one(InKindOffer, in_kind_id))
    if terms.currency is not None and currency != terms.currency:
        raise CurrencyMismatch(
            f"the deposit is in {terms.currency}", field="amount.currency", accepted=terms.currency
        )
