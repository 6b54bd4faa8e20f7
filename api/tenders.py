"""Tenders: drafted, funded and called off by their buyer, and read by everybody."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response
from sqlalchemy.ext.asyncio import AsyncSession

from api.acts import Opening, begin, said_by
from api.auth import Caller, CurrentUser
from api.errors import problems
from api.idempotency import OnceDep
from api.policy import require, require_active, require_may_pay
from api.schemas.base import Limit, Page, page_of
from api.schemas.contests import PayBy
from api.schemas.sales import Note
from api.schemas.tenders import FundingIn, TenderCard, TenderIn, TenderView
from api.services import Services, ServicesDep
from api.tender_acts import (
    ThisTender,
    act_on_tender,
    see_tender,
    seen_tender,
    show_tender,
    tender_view,
)
from db import tender_rows
from db.queries import files, tenders
from db.queries.tenders import Which
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
    SharesDoNotSum,
    UnknownFile,
    WrongPhase,
)
from domain.ids import TenderId
from domain.money import format_money
from domain.tender import Phase, Rules, TenderTerms, require_holdable, require_terms
from domain.tender_messages import FundingWish, TenderAct, TenderStart
from domain.text import as_markdown
from workflows.names import tender_workflow_id
from workflows.tender import Tender

router = APIRouter(prefix="/v1/tenders", tags=["tenders"])
TenderCursor = Annotated[TenderId | None, Query(description="`next` of the page before.")]
_DRAFT_REFUSALS = (AccountFrozen, CurrencyMismatch, InvalidInput, SharesDoNotSum, UnknownFile)


@router.post(
    "",
    operation_id="draftTender",
    summary="Describe work to be made",
    status_code=201,
    response_model=TenderView,
    responses=problems(*_DRAFT_REFUSALS),
)
async def draft_tender(
    body: TenderIn, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """A draft only its buyer sees; nothing happens to it before it is funded."""
    require(Action.TENDER_CREATE, user.relations())
    require_active(user)

    async def draft(session: AsyncSession, tender_id: str) -> TenderView:
        terms = await _terms(session, services, user, tender_id, body)
        await tender_rows.draft(session, terms, tender_workflow_id(tender_id))
        return await tender_view(session, await see_tender(session, user, tender_id), tender_id)

    return await once.in_transaction("ten", body, draft, status=201)


@router.get("", operation_id="listTenders", summary="Tenders, newest first")
async def list_tenders(
    user: CurrentUser,
    services: ServicesDep,
    which: Which = "open",
    after: TenderCursor = None,
    limit: Limit = 50,
) -> Page[TenderCard]:
    """Those that take bids; with `which=buyer` the own ones, with `which=bidder` those the caller has bid on."""
    require(Action.TENDER_VIEW, user.relations())
    async with services.database.reading() as session:
        rows = await tenders.page(session, user.id, which, after, limit + 1)
    return page_of(rows, limit, lambda row: TenderCard.of(*row), lambda row: row[1].id)


@router.get(
    "/{tender_id}", operation_id="getTender", summary="A tender", responses=problems(NotFound)
)
async def get_tender(tender_id: ThisTender, user: CurrentUser, services: ServicesDep) -> TenderView:
    """For everybody who is signed in; the agreement with the worker for its people only."""
    return await show_tender(services, user, tender_id)


@router.put(
    "/{tender_id}",
    operation_id="changeTender",
    summary="Change a draft",
    responses=problems(Forbidden, NotFound, WrongPhase, *_DRAFT_REFUSALS),
)
async def change_tender(
    tender_id: ThisTender, body: TenderIn, user: CurrentUser, services: ServicesDep
) -> TenderView:
    """By its buyer, before it is funded."""
    require_active(user)
    async with services.database.transaction() as session:
        seen = await see_tender(session, user, tender_id, Action.TENDER_EDIT)
        terms = await _terms(session, services, user, tender_id, body)
        await tender_rows.redraft(session, terms)
        return await tender_view(session, seen, tender_id)


@router.post(
    "/{tender_id}/fund",
    operation_id="fundTender",
    summary="Pay the deposit and publish",
    response_model=TenderView,
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
async def fund_tender(
    tender_id: ThisTender,
    body: FundingIn,
    user: CurrentUser,
    services: ServicesDep,
    once: OnceDep,
) -> Response:
    """Fixes terms and rules and answers where to pay: within 15 minutes by card, 3 days by bank transfer.

    When the deposit is there, the tender is open for bids.
    """
    require_active(user)
    await require_may_pay(services, user)
    seen = await seen_tender(services, user, tender_id, Action.TENDER_FUND)

    async def fund(update_id: str) -> TenderView:
        if seen.phase not in (Phase.DRAFT, Phase.FUNDING):
            raise WrongPhase(f"the tender is {seen.phase}", field="phase", accepted=Phase.DRAFT)
        terms = await _stored_terms(services, tender_id)
        wish = _wish(services, tender_id, body)
        who = said_by(user, seen).model_copy(update={"phase_seen": None})
        await begin(
            services,
            _opening(terms),
            TenderStart(tender_id=tender_id, buyer_id=user.id),
            Tender.fund,
            TenderAct(**who.model_dump(), funding=wish),
            update_id,
        )
        return await show_tender(services, user, tender_id)

    return await once.resumable("act", body, fund, status=200)


@router.post(
    "/{tender_id}/cancel",
    operation_id="cancelTender",
    summary="Call the tender off before anybody is chosen",
    response_model=TenderView,
    responses=problems(Forbidden, NotFound, WrongPhase),
)
async def cancel_tender(
    tender_id: ThisTender, body: Note, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """By the buyer. The deposit goes back, less the listing fee when people have bid."""
    seen = await seen_tender(services, user, tender_id, Action.TENDER_DECIDE)
    if seen.phase != Phase.DRAFT:
        return await act_on_tender(
            services, once, user, tender_id, body, Action.TENDER_DECIDE, Tender.cancel
        )

    async def discard(session: AsyncSession, _: str) -> TenderView:
        await tender_rows.discard(session, tender_id, body.note)
        return await tender_view(session, seen, tender_id)

    return await once.in_transaction("act", body, discard, status=200)


async def _terms(
    session: AsyncSession, services: Services, user: Caller, tender_id: str, body: TenderIn
) -> TenderTerms:
    """The terms of a draft. Raises UnknownFile, CurrencyMismatch, InvalidInput, SharesDoNotSum."""
    await files.attachable(session, user.id, body.file_ids)
    currency = body.deposit.currency
    if body.cap and body.cap.currency != currency:
        raise CurrencyMismatch(
            "cap and deposit are in two currencies", field="cap.currency", accepted=currency
        )
    seconds = body.bidding_seconds
    policy = services.settings.tender_policy
    terms = TenderTerms(
        tender_id=tender_id,
        buyer_id=user.id,
        title=body.title,
        brief=body.brief,
        file_ids=body.file_ids,
        currency=currency,
        cap=body.cap.amount if body.cap else None,
        deposit=body.deposit.amount,
        bidding_seconds=policy.bidding_seconds if seconds is None else seconds,
        weights=body.weights.weights if body.weights else None,
        rules=_rules(services, tender_id, None),
    )
    require_terms(terms, services.settings.shortest_window_seconds)
    return terms


def _rules(services: Services, tender_id: str, return_url: str | None) -> Rules:
    settings = services.settings
    return Rules(
        policy=settings.tender_policy,
        refund_policy=settings.refund_policy,
        provider=services.provider.code,
        return_url=return_url or f"{settings.api_url}/v1/tenders/{tender_id}",
    )


def _wish(services: Services, tender_id: str, body: FundingIn) -> FundingWish:
    """How the deposit is paid. Raises HoldTooLong."""
    policy = services.settings.tender_policy
    require_holdable(policy, services.provider.max_hold_days * 86_400)
    by_card = body.pay_by is PayBy.CARD
    return FundingWish(
        rules=_rules(services, tender_id, str(body.return_url) if body.return_url else None),
        window_seconds=policy.payment_seconds if by_card else policy.transfer_seconds,
    )


async def _stored_terms(services: Services, tender_id: str) -> TenderTerms:
    async with services.database.reading() as session:
        rows = await tenders.tender(session, tender_id)
    if rows is None:
        raise NotFound("there is no such tender")
    return TenderTerms.model_validate(rows.tender.terms)


def _opening(terms: TenderTerms) -> Opening:
    deposit = format_money(terms.deposit, terms.currency)
    return Opening(
        workflow="Tender",
        workflow_id=tender_workflow_id(terms.tender_id),
        kind="tender",
        initiator_id=terms.buyer_id,
        currency=terms.currency,
        summary=f"Tender: {as_markdown(terms.title)}",
        details=(
            f"Tender **{as_markdown(terms.title)}**, deposit **{deposit}**.\n\n- Buyer: {terms.buyer_id}"
        ),
    )
