"""Spendings out of a match call's budget, paid once enough approvers agree."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from sqlalchemy.ext.asyncio import AsyncSession

from api.auth import CurrentUser
from api.errors import problems
from api.idempotency import OnceDep
from api.match_call_acts import ThisCall, see_call, seen_call, stored_terms, tell_call
from api.policy import refuse_self_dealing, require_active, unknown
from api.schemas.base import Limit, Page, page_of
from api.schemas.match_calls import SpendingIn, SpendingView
from api.schemas.tenders import ReasonIn
from api.services import ServicesDep
from db.queries import files, match_calls
from domain.access import Action
from domain.errors import (
    AccountFrozen,
    CurrencyMismatch,
    Forbidden,
    InsufficientFunds,
    InvalidInput,
    LimitReached,
    NotFound,
    SelfDealing,
    UnknownFile,
    WrongPhase,
)
from domain.ids import SpendingId
from domain.match_call_messages import CallAct, SpendingWish
from workflows.match_call import MatchCall

router = APIRouter(prefix="/v1/match-calls/{call_id}/spendings", tags=["match calls"])
ThisSpending = Annotated[SpendingId, Path(alias="spending_id", description="Id of the spending.")]
SpendingCursor = Annotated[SpendingId | None, Query(description="`next` of the page before.")]


@router.post(
    "",
    operation_id="askForMatchSpending",
    summary="Ask for a spending",
    status_code=201,
    response_model=SpendingView,
    responses=problems(
        AccountFrozen,
        CurrencyMismatch,
        Forbidden,
        InsufficientFunds,
        InvalidInput,
        NotFound,
        SelfDealing,
        UnknownFile,
        WrongPhase,
    ),
)
async def ask_for_match_spending(
    call_id: ThisCall, body: SpendingIn, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """By the sponsor or an approver of an open call. The money is kept back until the approvers have decided."""
    require_active(user)
    seen = await seen_call(services, user, call_id, Action.MATCH_SPEND)
    terms = await stored_terms(services, call_id)
    await refuse_self_dealing(
        services, Action.MATCH_SPEND, call_id, body.payee_id, [terms.sponsor_id]
    )

    async def ask(update_id: str) -> SpendingView:
        if body.amount.currency != terms.currency:
            raise CurrencyMismatch(
                f"the budget is in {terms.currency}",
                field="amount.currency",
                accepted=terms.currency,
            )
        async with services.database.transaction() as session:
            await files.attachable(session, user.id, body.file_ids)
        wish = SpendingWish(
            payee_id=body.payee_id,
            amount=body.amount.amount,
            purpose=body.purpose,
            file_ids=body.file_ids,
        )
        act = CallAct(actor="", spending=wish)
        standing = await tell_call(services, user, seen, MatchCall.ask_for_spending, act, update_id)
        async with services.database.transaction() as session:
            return await _view(session, call_id, standing.subject, terms.currency)

    return await once.resumable("act", body, ask, status=201)


@router.get(
    "",
    operation_id="listMatchSpendings",
    summary="Spendings, oldest first",
    responses=problems(Forbidden, NotFound),
)
async def list_match_spendings(
    call_id: ThisCall,
    user: CurrentUser,
    services: ServicesDep,
    after: SpendingCursor = None,
    limit: Limit = 50,
) -> Page[SpendingView]:
    """For the sponsor, the approvers and operators."""
    async with services.database.reading() as session:
        await see_call(session, user, call_id, Action.MATCH_REPORT)
        rows = await match_calls.spendings(session, call_id, after, limit + 1)
    currency = (await stored_terms(services, call_id)).currency
    return page_of(
        rows, limit, lambda row: SpendingView.of(row, currency), lambda row: row.spending.id
    )


@router.post(
    "/{spending_id}/approve",
    operation_id="approveMatchSpending",
    summary="Agree to a spending",
    response_model=SpendingView,
    responses=problems(AccountFrozen, Forbidden, LimitReached, NotFound, SelfDealing, WrongPhase),
)
async def approve_match_spending(
    call_id: ThisCall,
    spending_id: ThisSpending,
    user: CurrentUser,
    services: ServicesDep,
    once: OnceDep,
) -> Response:
    """By an approver who neither asked for it nor is paid. With the last approval needed the payee has the money."""
    require_active(user)
    seen = await seen_call(services, user, call_id, Action.MATCH_APPROVE)
    terms = await stored_terms(services, call_id)
    async with services.database.transaction() as session:
        rows = await match_calls.spending(session, call_id, spending_id)
    if rows is None:
        raise unknown("spending")
    others = [rows.spending.asked_by, rows.spending.payee_id]
    others += [each.approver_id for each in rows.approvals if each.approver_id != user.id]
    await refuse_self_dealing(services, Action.MATCH_APPROVE, call_id, user.id, others)

    async def approve(update_id: str) -> SpendingView:
        act = CallAct(actor="", spending_id=spending_id)
        await tell_call(services, user, seen, MatchCall.approve_spending, act, update_id)
        async with services.database.transaction() as session:
            return await _view(session, call_id, spending_id, terms.currency)

    return await once.resumable("act", spending_id, approve, status=200)


@router.post(
    "/{spending_id}/refuse",
    operation_id="refuseMatchSpending",
    summary="Do not agree to a spending",
    response_model=SpendingView,
    responses=problems(Forbidden, NotFound, WrongPhase),
)
async def refuse_match_spending(
    call_id: ThisCall,
    spending_id: ThisSpending,
    body: ReasonIn,
    user: CurrentUser,
    services: ServicesDep,
    once: OnceDep,
) -> Response:
    """By any approver: it is over, and its money free again."""
    seen = await seen_call(services, user, call_id, Action.MATCH_APPROVE)
    terms = await stored_terms(services, call_id)

    async def refuse(update_id: str) -> SpendingView:
        act = CallAct(actor="", spending_id=spending_id, note=body.note)
        await tell_call(services, user, seen, MatchCall.refuse_spending, act, update_id)
        async with services.database.transaction() as session:
            return await _view(session, call_id, spending_id, terms.currency)

    return await once.resumable("act", body, refuse, status=200)


async def _view(
    session: AsyncSession, call_id: str, spending_id: str, currency: str
) -> SpendingView:
    rows = await match_calls.spending(session, call_id, spending_id)
    if rows is None:
        raise unknown("spending")
    return SpendingView.of(rows, currency)
