"""Production orders: drafted, paid in, stopped and called off by their requester, and read by everybody."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response
from sqlalchemy.ext.asyncio import AsyncSession

from api.acts import Opening, begin, said_by
from api.auth import Caller, CurrentUser
from api.errors import problems
from api.idempotency import OnceDep
from api.policy import refuse_self_dealing, require, require_active, require_may_pay
from api.production_acts import (
    ThisOrder,
    act_on_order,
    order_view,
    see_order,
    seen_order,
    show_order,
    stored_terms,
)
from api.schemas.base import Limit, Page, page_of
from api.schemas.contests import PayBy
from api.schemas.production import (
    ProductionCard,
    ProductionIn,
    ProductionView,
    StopIn,
    WagesIn,
)
from api.schemas.sales import Note
from api.services import Services, ServicesDep
from db import production_rows
from db.queries import files, production
from db.queries.production import Which
from domain.access import Action
from domain.errors import (
    AccountFrozen,
    AmountOutOfRange,
    Forbidden,
    HoldTooLong,
    InvalidInput,
    NotFound,
    PayerLocked,
    ProviderUnreachable,
    SelfDealing,
    UnknownFile,
    WrongPhase,
)
from domain.ids import ProductionId
from domain.money import format_money
from domain.production import Phase, ProductionTerms, Rules, require_holdable, require_terms
from domain.production_messages import FundingWish, ProductionAct, ProductionStart
from domain.text import as_markdown
from workflows.names import production_workflow_id
from workflows.production import Production

router = APIRouter(prefix="/v1/production-orders", tags=["production"])
OrderCursor = Annotated[ProductionId | None, Query(description="`next` of the page before.")]
_DRAFT_REFUSALS = (AccountFrozen, AmountOutOfRange, InvalidInput, SelfDealing, UnknownFile)


@router.post(
    "",
    operation_id="draftProductionOrder",
    summary="Describe what is to be made, in how many units",
    status_code=201,
    response_model=ProductionView,
    responses=problems(*_DRAFT_REFUSALS),
)
async def draft_order(
    body: ProductionIn, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """A draft only its requester sees; nothing happens to it before it is funded."""
    require(Action.PRODUCTION_CREATE, user.relations())
    require_active(user)
    await _require_independent(services, user, body, None)

    async def draft(session: AsyncSession, order_id: str) -> ProductionView:
        terms = await _terms(session, services, user, order_id, body)
        await production_rows.draft(session, terms, production_workflow_id(order_id))
        seen = await see_order(session, user, order_id)
        return await order_view(services, session, seen, order_id)

    return await once.in_transaction("prd", body, draft, status=201)


@router.get("", operation_id="listProductionOrders", summary="Production orders, newest first")
async def list_orders(
    user: CurrentUser,
    services: ServicesDep,
    which: Which = "open",
    after: OrderCursor = None,
    limit: Limit = 50,
) -> Page[ProductionCard]:
    """Those of which units can be claimed; with `which=requester`, `maker` or `inspector` those of the caller in that part."""
    require(Action.PRODUCTION_VIEW, user.relations())
    async with services.database.reading() as session:
        rows = await production.page(session, user.id, which, after, limit + 1)
    return page_of(rows, limit, ProductionCard.of, lambda row: row.path.id)


@router.get(
    "/{order_id}",
    operation_id="getProductionOrder",
    summary="A production order",
    responses=problems(NotFound),
)
async def get_order(
    order_id: ThisOrder, user: CurrentUser, services: ServicesDep
) -> ProductionView:
    """For everybody who is signed in, once it is published; how to pay for its requester only."""
    return await show_order(services, user, order_id)


@router.put(
    "/{order_id}",
    operation_id="changeProductionOrder",
    summary="Change a draft",
    responses=problems(Forbidden, NotFound, WrongPhase, *_DRAFT_REFUSALS),
)
async def change_order(
    order_id: ThisOrder, body: ProductionIn, user: CurrentUser, services: ServicesDep
) -> ProductionView:
    """By its requester, before it is funded."""
    require_active(user)
    await seen_order(services, user, order_id, Action.PRODUCTION_EDIT)
    await _require_independent(services, user, body, order_id)
    async with services.database.transaction() as session:
        seen = await see_order(session, user, order_id, Action.PRODUCTION_EDIT)
        terms = await _terms(session, services, user, order_id, body)
        await production_rows.redraft(session, terms)
        return await order_view(services, session, seen, order_id)


@router.post(
    "/{order_id}/fund",
    operation_id="fundProductionOrder",
    summary="Pay all wages in and publish",
    response_model=ProductionView,
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
async def fund_order(
    order_id: ThisOrder,
    body: WagesIn,
    user: CurrentUser,
    services: ServicesDep,
    once: OnceDep,
) -> Response:
    """Fixes terms and rules and answers where to pay: within 15 minutes by card, 3 days by bank transfer.

    When the wages are there, makers can claim lots; nobody can be asked for a deposit before.
    """
    require_active(user)
    await require_may_pay(services, user)
    seen = await seen_order(services, user, order_id, Action.PRODUCTION_FUND)

    async def fund(update_id: str) -> ProductionView:
        if seen.phase not in (Phase.DRAFT, Phase.FUNDING):
            raise WrongPhase(f"the order is {seen.phase}", field="phase", accepted=Phase.DRAFT)
        terms = await stored_terms(services, order_id)
        who = said_by(user, seen).model_copy(update={"phase_seen": None})
        await begin(
            services,
            _opening(terms),
            ProductionStart(order_id=order_id, requester_id=user.id, title=terms.title),
            Production.fund,
            ProductionAct(**who.model_dump(), funding=_wish(services, terms, body)),
            update_id,
        )
        return await show_order(services, user, order_id)

    return await once.resumable("act", body, fund, status=200)


@router.post(
    "/{order_id}/cancel",
    operation_id="cancelProductionOrder",
    summary="Call the order off before it is paid",
    response_model=ProductionView,
    responses=problems(Forbidden, NotFound, WrongPhase),
)
async def cancel_order(
    order_id: ThisOrder, body: Note, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """By the requester. Operators may call off a published one: what runs is finished, the rest goes back."""
    seen = await seen_order(services, user, order_id, Action.PRODUCTION_STOP)
    if seen.phase != Phase.DRAFT:
        return await act_on_order(
            services, once, user, order_id, body, Action.PRODUCTION_STOP, Production.cancel
        )
    require(Action.PRODUCTION_EDIT, seen.relations)

    async def discard(session: AsyncSession, _: str) -> ProductionView:
        await production_rows.discard(session, order_id, body.note)
        return await order_view(services, session, seen, order_id)

    return await once.in_transaction("act", body, discard, status=200)


@router.post(
    "/{order_id}/stop",
    operation_id="stopProductionOrder",
    summary="Let nothing more be claimed",
    response_model=ProductionView,
    responses=problems(Forbidden, NotFound, WrongPhase),
)
async def stop_order(
    order_id: ThisOrder, body: StopIn, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """By the requester or operators. Lots that run are finished; the wages of what nobody makes then go back."""
    seen = await seen_order(services, user, order_id, Action.PRODUCTION_STOP)
    if seen.phase == Phase.DRAFT:
        raise WrongPhase("the order is a draft", field="phase", accepted=Phase.PUBLISHED)
    return await act_on_order(
        services, once, user, order_id, body, Action.PRODUCTION_STOP, Production.stop
    )


async def _require_independent(
    services: Services, user: Caller, body: ProductionIn, order_id: str | None
) -> None:
    """Raises SelfDealing when the independent inspector counts as the same person as the requester."""
    if body.certifier_id is not None:
        await refuse_self_dealing(
            services, Action.PRODUCTION_CREATE, order_id, user.id, [body.certifier_id]
        )


async def _terms(
    session: AsyncSession, services: Services, user: Caller, order_id: str, body: ProductionIn
) -> ProductionTerms:
    """The terms of a draft. Raises UnknownFile, InvalidInput, AmountOutOfRange."""
    await _require_own_files(session, user, body)
    if body.certifier_id and not await production.may_inspect(session, body.certifier_id):
        raise InvalidInput(
            f"{body.certifier_id} cannot inspect anything here",
            field="certifier_id",
            accepted="the id of a user whose account is not frozen",
        )
    copied = body.model_dump(
        include={
            "title",
            "process",
            "file_ids",
            "units",
            "lot_least",
            "lots_at_once",
            "deposit",
            "sample_fee",
            "samples",
            "freight",
            "label",
            "certifier_id",
            "certifier_fee",
            "make_seconds",
            "claims_seconds",
        }
    )
    terms = ProductionTerms(
        **copied,
        order_id=order_id,
        requester_id=user.id,
        standard=body.standard.standard,
        materials=body.bill,
        currency=body.rate.currency,
        lot_most=body.units if body.lot_most is None else body.lot_most,
        rate=body.rate.amount,
        rules=_rules(services, order_id, None),
    )
    require_terms(terms, services.settings.shortest_window_seconds)
    return terms


async def _require_own_files(session: AsyncSession, user: Caller, body: ProductionIn) -> None:
    """Raises UnknownFile for a file of the contract that the requester has not uploaded."""
    named = body.all_files
    own = await files.owned(session, user.id, {each for ids in named.values() for each in ids})
    for field, ids in named.items():
        for index, file_id in enumerate(ids):
            if file_id not in own:
                raise UnknownFile(
                    "this is not a file of yours",
                    field=f"{field}[{index}]",
                    accepted="files you uploaded",
                )


def _rules(services: Services, order_id: str, return_url: str | None) -> Rules:
    settings = services.settings
    return Rules(
        policy=settings.production_policy,
        refund_policy=settings.refund_policy,
        provider=services.provider.code,
        return_url=return_url or f"{settings.api_url}/v1/production-orders/{order_id}",
        max_hold_seconds=services.provider.max_hold_days * 86_400,
    )


def _wish(services: Services, terms: ProductionTerms, body: WagesIn) -> FundingWish:
    """How the wages are paid in. Raises HoldTooLong."""
    rules = _rules(services, terms.order_id, str(body.return_url) if body.return_url else None)
    now = terms.model_copy(update={"rules": rules})
    require_holdable(now, rules.max_hold_seconds)
    by_card = body.pay_by is PayBy.CARD
    return FundingWish(
        rules=rules,
        window_seconds=rules.policy.payment_seconds if by_card else rules.policy.transfer_seconds,
    )


def _opening(terms: ProductionTerms) -> Opening:
    wages = format_money(terms.to_fund, terms.currency)
    return Opening(
        workflow="Production",
        workflow_id=production_workflow_id(terms.order_id),
        kind="production",
        initiator_id=terms.requester_id,
        currency=terms.currency,
        summary=f"Production order: {as_markdown(terms.title)}",
        details=(
            f"Production order **{as_markdown(terms.title)}**: {terms.units} units, "
            f"**{wages}** to be paid in.\n\n- Requester: {terms.requester_id}"
        ),
    )
