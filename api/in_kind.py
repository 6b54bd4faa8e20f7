"""Help in kind: offered and taken back by its supporter, and read by everybody."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response
from sqlalchemy.ext.asyncio import AsyncSession

from api.acts import Opening, begin, said_by
from api.arrival import ArrivalDep
from api.auth import Caller, CurrentUser
from api.errors import problems
from api.idempotency import OnceDep
from api.in_kind_acts import (
    ThisInKind,
    act_on_in_kind,
    in_kind_view,
    see_in_kind,
    seen_in_kind,
    show_in_kind,
)
from api.policy import require, require_active
from api.schemas.base import Limit, Page, page_of
from api.schemas.in_kind import InKindCard, InKindIn, InKindView, PublicationIn
from api.schemas.sales import Note
from api.services import Services, ServicesDep
from db import in_kind_rows
from db.admission import Arrival, arrived_at
from db.queries import files, in_kind
from db.queries.in_kind import Which
from db.tables import InKindOffer
from domain.access import Action
from domain.errors import (
    AccountFrozen,
    Forbidden,
    HoldTooLong,
    InvalidInput,
    NotFound,
    UnknownFile,
    WrongPhase,
)
from domain.ids import InKindId
from domain.in_kind import Help, InKindTerms, Phase, Rules, published, require_terms
from domain.in_kind_messages import InKindAct, InKindStart
from domain.text import as_markdown
from workflows.in_kind import InKind
from workflows.names import in_kind_workflow_id

router = APIRouter(prefix="/v1/in-kind", tags=["in-kind"])
InKindCursor = Annotated[InKindId | None, Query(description="`next` of the page before.")]
_DRAFT_REFUSALS = (AccountFrozen, InvalidInput, UnknownFile)


@router.post(
    "",
    operation_id="draftInKind",
    summary="Describe help in kind",
    status_code=201,
    response_model=InKindView,
    responses=problems(*_DRAFT_REFUSALS),
)
async def draft_in_kind(
    body: InKindIn,
    user: CurrentUser,
    services: ServicesDep,
    once: OnceDep,
    arrival: ArrivalDep,
) -> Response:
    """A draft only its supporter sees; nobody can ask for it before it is published."""
    require(Action.IN_KIND_CREATE, user.relations())
    require_active(user)

    async def draft(session: AsyncSession, in_kind_id: str) -> InKindView:
        terms = await _terms(session, services, user, in_kind_id, body, arrival)
        await in_kind_rows.draft(session, terms, in_kind_workflow_id(in_kind_id))
        seen = await see_in_kind(session, user, in_kind_id)
        return await in_kind_view(session, user, seen, in_kind_id)

    return await once.in_transaction("ink", body, draft, status=201)


@router.get("", operation_id="listInKind", summary="Offers in kind, newest first")
async def list_in_kind(
    user: CurrentUser,
    services: ServicesDep,
    which: Which = "open",
    help: Annotated[Help | None, Query(description="Only this kind of help.")] = None,
    after: InKindCursor = None,
    limit: Limit = 50,
) -> Page[InKindCard]:
    """Those that can be asked for; with `which=mine` the own ones, with `which=asked` those the caller has asked for."""
    require(Action.IN_KIND_VIEW, user.relations())
    async with services.database.reading() as session:
        rows = await in_kind.page(session, user.id, which, help, after, limit + 1)
    return page_of(rows, limit, lambda row: InKindCard.of(*row), lambda row: row[1].id)


@router.get(
    "/{in_kind_id}",
    operation_id="getInKind",
    summary="An offer in kind",
    responses=problems(NotFound),
)
async def get_in_kind(
    in_kind_id: ThisInKind, user: CurrentUser, services: ServicesDep
) -> InKindView:
    """For everybody who is signed in; who asks and what was agreed for its people only."""
    return await show_in_kind(services, user, in_kind_id)


@router.put(
    "/{in_kind_id}",
    operation_id="changeInKind",
    summary="Change a draft",
    responses=problems(Forbidden, NotFound, WrongPhase, *_DRAFT_REFUSALS),
)
async def change_in_kind(
    in_kind_id: ThisInKind,
    body: InKindIn,
    user: CurrentUser,
    services: ServicesDep,
    arrival: ArrivalDep,
) -> InKindView:
    """By its supporter, before it is published."""
    require_active(user)
    async with services.database.transaction() as session:
        seen = await see_in_kind(session, user, in_kind_id, Action.IN_KIND_EDIT)
        terms = await _terms(session, services, user, in_kind_id, body, arrival)
        await in_kind_rows.redraft(session, terms)
        return await in_kind_view(session, user, seen, in_kind_id)


@router.post(
    "/{in_kind_id}/publish",
    operation_id="publishInKind",
    summary="Publish an offer",
    response_model=InKindView,
    responses=problems(AccountFrozen, Forbidden, HoldTooLong, InvalidInput, NotFound, WrongPhase),
)
async def publish_in_kind(
    in_kind_id: ThisInKind,
    body: PublicationIn,
    user: CurrentUser,
    services: ServicesDep,
    once: OnceDep,
    arrival: ArrivalDep,
) -> Response:
    """Fixes terms and rules; people can ask for it for 30 days."""
    require_active(user)
    seen = await seen_in_kind(services, user, in_kind_id, Action.IN_KIND_EDIT)

    async def publish(update_id: str) -> InKindView:
        if seen.phase not in (Phase.DRAFT, Phase.OFFERED):
            raise WrongPhase(f"the offer is {seen.phase}", field="phase", accepted=Phase.DRAFT)
        rules = _rules(services, in_kind_id, str(body.return_url) if body.return_url else None)
        async with services.database.transaction() as session:
            row = await session.get_one(InKindOffer, in_kind_id)
            terms = in_kind_rows.terms_of(row).model_copy(update={"rules": rules})
            at = await arrived_at(session, arrival)
        if seen.phase == Phase.DRAFT:
            published(terms, at)
        who = said_by(user, seen).model_copy(update={"phase_seen": None})
        await begin(
            services,
            _opening(terms),
            InKindStart(in_kind_id=in_kind_id, supporter_id=user.id),
            InKind.publish,
            InKindAct(**who.model_dump(), rules=rules),
            update_id,
        )
        return await show_in_kind(services, user, in_kind_id)

    return await once.resumable("act", body, publish, status=200)


@router.post(
    "/{in_kind_id}/withdraw",
    operation_id="withdrawInKind",
    summary="Take the offer back while nobody is picked",
    response_model=InKindView,
    responses=problems(Forbidden, NotFound, WrongPhase),
)
async def withdraw_in_kind(
    in_kind_id: ThisInKind, body: Note, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """By the supporter; once somebody is picked, it is called off instead."""
    seen = await seen_in_kind(services, user, in_kind_id, Action.IN_KIND_DECIDE)
    if seen.phase != Phase.DRAFT:
        return await act_on_in_kind(
            services, once, user, in_kind_id, body, Action.IN_KIND_DECIDE, InKind.take_back
        )

    async def discard(session: AsyncSession, _: str) -> InKindView:
        await in_kind_rows.discard(session, in_kind_id)
        return await in_kind_view(session, user, seen, in_kind_id)

    return await once.in_transaction("act", body, discard, status=200)


async def _terms(
    session: AsyncSession,
    services: Services,
    user: Caller,
    in_kind_id: str,
    body: InKindIn,
    arrival: Arrival,
) -> InKindTerms:
    """The terms of a draft. Raises UnknownFile or InvalidInput."""
    await files.attachable(session, user.id, body.file_ids)
    terms = InKindTerms(
        in_kind_id=in_kind_id,
        supporter_id=user.id,
        help=body.help,
        title=body.title,
        description=body.description,
        file_ids=body.file_ids,
        quantity=body.quantity or "",
        hours=body.hours,
        due_at=body.due_at,
        currency=body.deposit.currency if body.deposit else None,
        deposit=body.deposit.amount if body.deposit else 0,
        rules=_rules(services, in_kind_id, None),
    )
    require_terms(terms, await arrived_at(session, arrival))
    return terms


def _rules(services: Services, in_kind_id: str, return_url: str | None) -> Rules:
    settings = services.settings
    return Rules(
        policy=settings.in_kind_policy,
        refund_policy=settings.refund_policy,
        provider=services.provider.code,
        return_url=return_url or f"{settings.api_url}/v1/in-kind/{in_kind_id}",
        max_hold_seconds=services.provider.max_hold_days * 86_400,
    )


def _opening(terms: InKindTerms) -> Opening:
    deposit = f", deposit **{terms.money(terms.deposit)}**" if terms.deposit else ""
    return Opening(
        workflow="InKind",
        workflow_id=in_kind_workflow_id(terms.in_kind_id),
        kind="in_kind",
        initiator_id=terms.supporter_id,
        currency=terms.path_currency,
        summary=f"Help in kind: {as_markdown(terms.title)}",
        details=(
            f"{terms.help.capitalize()} **{as_markdown(terms.title)}**{deposit}.\n\n"
            f"- Supporter: {terms.supporter_id}"
        ),
    )
