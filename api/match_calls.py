"""Match calls: drafted, funded, topped up and closed by their sponsor, and read by everybody."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response
from sqlalchemy.ext.asyncio import AsyncSession

from api.acts import Opening, begin, said_by
from api.auth import Caller, CurrentUser
from api.errors import problems
from api.idempotency import OnceDep
from api.match_call_acts import (
    ThisCall,
    call_rows,
    call_view,
    see_call,
    seen_call,
    show_call,
    stored_terms,
    tell_call,
)
from api.policy import require, require_active, require_may_pay
from api.schemas.base import Limit, Page, page_of
from api.schemas.contests import PayBy
from api.schemas.match_calls import (
    BudgetFundingIn,
    MatchCallCard,
    MatchCallIn,
    MatchCallView,
    MatchReportView,
    TopUpIn,
)
from api.schemas.sales import Note
from api.services import Services, ServicesDep
from db import match_call_rows
from db.queries import files, match_calls
from db.queries.match_calls import Which
from domain.access import Action
from domain.errors import (
    AccountFrozen,
    CurrencyMismatch,
    Forbidden,
    HoldTooLong,
    InvalidInput,
    NotFound,
    PayerLocked,
    ProviderUnreachable,
    UnknownFile,
    WrongPhase,
)
from domain.ids import MatchCallId
from domain.match_call import CallTerms, Phase, Rules, require_holdable, require_terms
from domain.match_call_messages import CallAct, CallStart, FundingWish, TopUp
from domain.text import as_markdown
from workflows.match_call import MatchCall
from workflows.names import match_call_workflow_id

router = APIRouter(prefix="/v1/match-calls", tags=["match calls"])
CallCursor = Annotated[MatchCallId | None, Query(description="`next` of the page before.")]
_DRAFT_REFUSALS = (AccountFrozen, InvalidInput, UnknownFile)
_MOST_SPENDINGS = 1_000
"""Spendings shown in a report."""


@router.post(
    "",
    operation_id="draftMatchCall",
    summary="Offer to match what backers give",
    status_code=201,
    response_model=MatchCallView,
    responses=problems(*_DRAFT_REFUSALS),
)
async def draft_match_call(
    body: MatchCallIn, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """A draft only its sponsor sees; nothing happens to it before it is funded."""
    require(Action.MATCH_CREATE, user.relations())
    require_active(user)

    async def draft(session: AsyncSession, call_id: str) -> MatchCallView:
        terms = await _terms(session, services, user, call_id, body)
        await match_call_rows.draft(session, terms, match_call_workflow_id(call_id))
        return await call_view(session, await see_call(session, user, call_id), call_id)

    return await once.in_transaction("mtc", body, draft, status=201)


@router.get("", operation_id="listMatchCalls", summary="Match calls, newest first")
async def list_match_calls(
    user: CurrentUser,
    services: ServicesDep,
    which: Which = "open",
    after: CallCursor = None,
    limit: Limit = 50,
) -> Page[MatchCallCard]:
    """Those that are open; with `which=sponsor` the own ones, with `which=approver` those whose spendings wait for the caller."""
    require(Action.MATCH_VIEW, user.relations())
    async with services.database.reading() as session:
        rows = await match_calls.page(session, user.id, which, after, limit + 1)
    return page_of(rows, limit, lambda row: MatchCallCard.of(*row), lambda row: row[1].id)


@router.get(
    "/{call_id}",
    operation_id="getMatchCall",
    summary="A match call",
    responses=problems(NotFound),
)
async def get_match_call(
    call_id: ThisCall, user: CurrentUser, services: ServicesDep
) -> MatchCallView:
    """For everybody who is signed in; how to pay for its sponsor only."""
    return await show_call(services, user, call_id)


@router.put(
    "/{call_id}",
    operation_id="changeMatchCall",
    summary="Change a draft",
    responses=problems(Forbidden, NotFound, WrongPhase, *_DRAFT_REFUSALS),
)
async def change_match_call(
    call_id: ThisCall, body: MatchCallIn, user: CurrentUser, services: ServicesDep
) -> MatchCallView:
    """By its sponsor, before it is funded."""
    require_active(user)
    async with services.database.transaction() as session:
        seen = await see_call(session, user, call_id, Action.MATCH_EDIT)
        terms = await _terms(session, services, user, call_id, body)
        await match_call_rows.redraft(session, terms)
        return await call_view(session, seen, call_id)


@router.post(
    "/{call_id}/fund",
    operation_id="fundMatchCall",
    summary="Pay the budget and open the call",
    response_model=MatchCallView,
    responses=problems(
        PayerLocked,
        AccountFrozen,
        Forbidden,
        HoldTooLong,
        NotFound,
        ProviderUnreachable,
        WrongPhase,
    ),
)
async def fund_match_call(
    call_id: ThisCall,
    body: BudgetFundingIn,
    user: CurrentUser,
    services: ServicesDep,
    once: OnceDep,
) -> Response:
    """Fixes terms and rules and answers where to pay: within 15 minutes by card, 3 days by bank transfer.

    When the budget is there, campaigns may apply.
    """
    require_active(user)
    await require_may_pay(services, user)
    seen = await seen_call(services, user, call_id, Action.MATCH_FUND)

    async def fund(update_id: str) -> MatchCallView:
        if seen.phase not in (Phase.DRAFT, Phase.FUNDING):
            raise WrongPhase(f"the match call is {seen.phase}", field="phase", accepted="draft")
        terms = await stored_terms(services, call_id)
        require_holdable(terms, services.provider.max_hold_days * 86_400)
        wish = FundingWish(
            rules=_rules(services, call_id, str(body.return_url) if body.return_url else None),
            window_seconds=_window(services, body.pay_by),
        )
        who = said_by(user, seen).model_copy(update={"phase_seen": None})
        await begin(
            services,
            _opening(terms),
            CallStart(call_id=call_id, sponsor_id=user.id),
            MatchCall.fund,
            CallAct(**who.model_dump(), funding=wish),
            update_id,
        )
        return await show_call(services, user, call_id)

    return await once.resumable("act", body, fund, status=200)


@router.post(
    "/{call_id}/top-up",
    operation_id="topUpMatchCall",
    summary="Add to the budget of an open call",
    response_model=MatchCallView,
    responses=problems(
        AccountFrozen, CurrencyMismatch, Forbidden, NotFound, ProviderUnreachable, WrongPhase
    ),
)
async def top_up_match_call(
    call_id: ThisCall, body: TopUpIn, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """By the sponsor, one payment at a time. When it is there, pledges that wait are matched first."""
    require_active(user)
    seen = await seen_call(services, user, call_id, Action.MATCH_FUND)

    async def top_up(update_id: str) -> MatchCallView:
        currency = (await stored_terms(services, call_id)).currency
        if body.amount.currency != currency:
            raise CurrencyMismatch(
                f"the budget is in {currency}", field="amount.currency", accepted=currency
            )
        rules = _rules(services, call_id, str(body.return_url) if body.return_url else None)
        wish = TopUp(
            amount=body.amount.amount,
            window_seconds=_window(services, body.pay_by),
            return_url=rules.return_url,
        )
        act = CallAct(actor="", top_up=wish)
        await tell_call(services, user, seen, MatchCall.top_up, act, update_id)
        return await show_call(services, user, call_id)

    return await once.resumable("act", body, top_up, status=200)


@router.post(
    "/{call_id}/close",
    operation_id="closeMatchCall",
    summary="Close an open call before its time",
    response_model=MatchCallView,
    responses=problems(Forbidden, NotFound, WrongPhase),
)
async def close_match_call(
    call_id: ThisCall, body: Note, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """By the sponsor. What is promised waits for its campaigns; all else goes back at once."""
    seen = await seen_call(services, user, call_id, Action.MATCH_DECIDE)

    async def close(update_id: str) -> MatchCallView:
        act = CallAct(actor="", note=body.note)
        await tell_call(services, user, seen, MatchCall.close, act, update_id)
        return await show_call(services, user, call_id)

    return await once.resumable("act", body, close, status=200)


@router.post(
    "/{call_id}/cancel",
    operation_id="cancelMatchCall",
    summary="Call a match call off",
    response_model=MatchCallView,
    responses=problems(Forbidden, NotFound, WrongPhase),
)
async def cancel_match_call(
    call_id: ThisCall, body: Note, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """By the sponsor before it has opened; by operators while it is open: then what is not used goes back."""
    seen = await seen_call(services, user, call_id)
    by_sponsor = seen.phase in (Phase.DRAFT, Phase.FUNDING)
    require(Action.MATCH_FUND if by_sponsor else Action.MATCH_RULE, seen.relations)

    async def discard(session: AsyncSession, _: str) -> MatchCallView:
        await match_call_rows.discard(session, call_id, body.note)
        return await call_view(session, seen, call_id)

    async def cancel(update_id: str) -> MatchCallView:
        act, role = CallAct(actor="", note=body.note), "initiator" if by_sponsor else "operator"
        await tell_call(services, user, seen, MatchCall.cancel, act, update_id, actor=role)
        return await show_call(services, user, call_id)

    if seen.phase == Phase.DRAFT:
        return await once.in_transaction("act", body, discard, status=200)
    return await once.resumable("act", body, cancel, status=200)


@router.get(
    "/{call_id}/report",
    operation_id="getMatchCallReport",
    summary="What has become of the budget",
    responses=problems(Forbidden, NotFound),
)
async def get_match_call_report(
    call_id: ThisCall, user: CurrentUser, services: ServicesDep
) -> MatchReportView:
    """Project by project, and the spendings; for the sponsor, the approvers and operators."""
    async with services.database.reading() as session:
        await see_call(session, user, call_id, Action.MATCH_REPORT)
        return MatchReportView.of(
            await call_rows(session, call_id),
            await match_calls.report(session, call_id),
            await match_calls.spendings(session, call_id, None, _MOST_SPENDINGS),
            await match_calls.in_account(session, call_id),
        )


async def _terms(
    session: AsyncSession, services: Services, user: Caller, call_id: str, body: MatchCallIn
) -> CallTerms:
    """The terms of a draft. Raises UnknownFile, InvalidInput."""
    await files.attachable(session, user.id, body.file_ids)
    missing = set(body.approvers) - await match_calls.active(session, body.approvers)
    if missing:
        raise InvalidInput(
            f"{', '.join(sorted(missing))} cannot approve anything here",
            field="approvers",
            accepted="ids of users whose accounts are not frozen",
        )
    terms = CallTerms(
        call_id=call_id,
        sponsor_id=user.id,
        sponsor_kind=body.sponsor_kind,
        sponsor_name=body.sponsor_name,
        title=body.title,
        story=body.story,
        file_ids=body.file_ids,
        currency=body.budget.currency,
        budget=body.budget.amount,
        offer=body.offer.offer,
        eligibility=body.eligibility.eligibility,
        accept_all=body.accept_all,
        open_seconds=body.open_seconds,
        approvers=body.approvers,
        approvals_needed=body.approvals_needed,
        rules=_rules(services, call_id, None),
    )
    require_terms(terms, services.settings.shortest_window_seconds)
    return terms


def _rules(services: Services, call_id: str, return_url: str | None) -> Rules:
    settings = services.settings
    return Rules(
        policy=settings.match_policy,
        refund_policy=settings.refund_policy,
        provider=services.provider.code,
        return_url=return_url or f"{settings.api_url}/v1/match-calls/{call_id}",
    )


def _window(services: Services, pay_by: PayBy) -> int:
    """How long the sponsor may take to pay, in seconds."""
    policy = services.settings.match_policy
    return policy.card_seconds if pay_by is PayBy.CARD else policy.bank_seconds


def _opening(terms: CallTerms) -> Opening:
    budget = terms.money(terms.budget)
    return Opening(
        workflow="MatchCall",
        workflow_id=match_call_workflow_id(terms.call_id),
        kind="match_call",
        initiator_id=terms.sponsor_id,
        currency=terms.currency,
        summary=f"Match call: {as_markdown(terms.title)}",
        details=(
            f"Match call **{as_markdown(terms.title)}**, budget **{budget}**.\n\n- Sponsor: {terms.sponsor_id}"
        ),
    )
