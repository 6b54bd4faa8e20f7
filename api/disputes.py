"""Disputes: two sides of a path do not agree about money."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession
from temporalio.workflow import UpdateMethodMultiParam

from api.acts import Opening, begin, said_by, tell
from api.auth import Caller, CurrentUser
from api.errors import problems
from api.idempotency import Once, OnceDep
from api.policy import on_path, unknown
from api.schemas.base import Body, Limit, Page, page_of
from api.schemas.chargebacks import PackView
from api.schemas.disputes import DisputeIn, DisputeView, EvidenceIn, RulingIn, ShareIn
from api.schemas.sales import Note
from api.services import Services, ServicesDep
from db import dispute_rows
from db.queries import evidence, file_access, files
from db.tables import DisputeEvidence
from db.tables import Path as PathRow
from domain.access import Action, Relation, allowed
from domain.disputes import FINAL, MOST_SHOWN, DisputeAct, OpenDispute, Phase, evidence_until
from domain.errors import (
    Forbidden,
    InvalidInput,
    LimitReached,
    NotFound,
    TalkFirst,
    TooLate,
    UnknownFile,
    WrongPhase,
)
from domain.evidence import PackOf
from domain.ids import DisputeId, PathId
from domain.path import Standing
from workflows.dispute import Dispute
from workflows.names import dispute_workflow_id

router = APIRouter(tags=["disputes"])
ThisPath = Annotated[PathId, Path(description="Id of the path, such as `sal_…`.")]
ThisDispute = Annotated[DisputeId, Path(alias="dispute_id", description="Id of the dispute.")]
DisputeCursor = Annotated[DisputeId | None, Query(description="`next` of the page before.")]
DisputeUpdate = UpdateMethodMultiParam[[Dispute, DisputeAct], Standing]


@router.post(
    "/v1/paths/{path_id}/disputes",
    operation_id="openDispute",
    summary="Dispute money of a path",
    status_code=201,
    response_model=DisputeView,
    responses=problems(
        Forbidden,
        InvalidInput,
        LimitReached,
        NotFound,
        TalkFirst,
        TooLate,
        UnknownFile,
        WrongPhase,
    ),
)
async def open_dispute(
    path_id: ThisPath, body: DisputeIn, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """By a buyer, about lines of a sale or a return that was refused; by either side of a tender, about a milestone that is
    paid; by whoever has paid, about what was released of any path. Two days after the first message to the other side.
    """
    async with services.database.transaction() as session:
        await on_path(session, user, Action.DISPUTE_OPEN, path_id)
        await files.attachable(session, user.id, body.file_ids)

    async def open_(dispute_id: str) -> DisputeView:
        opening = OpenDispute(
            dispute_id=dispute_id,
            about_id=path_id,
            claimant_id=user.id,
            milestone=body.milestone,
            lines=tuple(body.lines),
            against_id=body.against_id,
            amount=body.amount,
            return_id=body.return_id,
            asked=body.to_payer,
            words=body.words,
            file_ids=body.file_ids,
            policy=services.settings.dispute_policy,
        )
        await _begin(services, opening)
        return await _view(services, dispute_id)

    return await once.resumable("dsp", body, open_, status=201)


@router.get("/v1/disputes", operation_id="listDisputes", summary="Disputes, newest first")
async def list_disputes(
    user: CurrentUser,
    services: ServicesDep,
    about: PathId | None = None,
    phase: Phase | None = None,
    after: DisputeCursor = None,
    limit: Limit = 50,
) -> Page[DisputeView]:
    """The own ones; for operators all of them."""
    sees_all = allowed(Action.DISPUTE_RULE, user.relations())
    async with services.database.reading() as session:
        rows = await dispute_rows.page(
            session,
            user_id=None if sees_all else user.id,
            about_id=about,
            phase=phase,
            after=after,
            limit=limit + 1,
        )
    return page_of(rows, limit, DisputeView.of, lambda row: row[0].id)


@router.get(
    "/v1/disputes/{dispute_id}",
    operation_id="getDispute",
    summary="A dispute with what both sides have shown",
    responses=problems(NotFound),
)
async def get_dispute(
    dispute_id: ThisDispute, user: CurrentUser, services: ServicesDep
) -> DisputeView:
    """For its two sides and operators."""
    async with services.database.reading() as session:
        await on_path(session, user, Action.DISPUTE_SEE, dispute_id, "dispute")
    return await _view(services, dispute_id)


@router.post(
    "/v1/disputes/{dispute_id}/evidence",
    operation_id="showEvidence",
    summary="Show something",
    status_code=201,
    response_model=DisputeView,
    responses=problems(Forbidden, LimitReached, NotFound, TooLate, UnknownFile, WrongPhase),
)
async def show_evidence(
    dispute_id: ThisDispute,
    body: EvidenceIn,
    user: CurrentUser,
    services: ServicesDep,
    once: OnceDep,
) -> Response:
    """By either side until 14 days after mediation began. Nothing that was shown is changed later."""
    async with services.database.transaction() as session:
        await on_path(session, user, Action.DISPUTE_TAKE_PART, dispute_id, "dispute")
        await files.attachable(session, user.id, body.file_ids)

    async def show(session: AsyncSession, evidence_id: str) -> DisputeView:
        await _require_in_time(session, dispute_id)
        shown = await dispute_rows.evidence(session, dispute_id)
        if sum(each.author_id == user.id for each in shown) >= MOST_SHOWN:
            raise LimitReached(f"you have shown {MOST_SHOWN} things", accepted="a ruling")
        row = DisputeEvidence(
            id=evidence_id,
            dispute_id=dispute_id,
            author_id=user.id,
            words=body.words,
            file_ids=list(body.file_ids),
        )
        session.add(row)
        await session.flush()
        found = await dispute_rows.found(session, dispute_id)
        if found is None:
            raise unknown("dispute")
        for side in {found[0].claimant_id, found[0].respondent_id} - {user.id}:
            await file_access.grant(session, body.file_ids, dispute_id, side)
        return DisputeView.of(found, await dispute_rows.evidence(session, dispute_id))

    return await once.in_transaction("evd", body, show, status=201)


@router.get(
    "/v1/disputes/{dispute_id}/pack",
    operation_id="getDisputePack",
    summary="The pack of evidence",
    responses=problems(NotFound),
)
async def get_pack(dispute_id: ThisDispute, user: CurrentUser, services: ServicesDep) -> PackView:
    """All that is on file about the path that is disputed, as it stands now: what was agreed, the timeline, parcels, messages,
    files and money. Operators see all of it, the two sides what concerns themselves. What both have shown is in the dispute.
    """
    async with services.database.reading() as session:
        seen = await on_path(session, user, Action.DISPUTE_SEE, dispute_id, "dispute")
        found = await dispute_rows.found(session, dispute_id)
        if found is None:
            raise unknown("dispute")
        row, _ = found
        sides = (row.claimant_id, row.respondent_id)
        pack = await evidence.build(session, PackOf.DISPUTE, dispute_id, row.about_id, about=sides)
    judges = Relation.OPERATOR in seen.relations and user.id not in sides
    return PackView.of(pack, final=False, reader=None if judges else user.id)


async def _require_in_time(session: AsyncSession, dispute_id: str) -> None:
    """Raises TooLate when evidence is not taken any more, by the database's clock, and WrongPhase when it has ended."""
    path = await session.scalar(
        select(PathRow).where(PathRow.id == dispute_id).with_for_update(read=True)
    )
    found = await dispute_rows.found(session, dispute_id)
    if path is None or found is None:
        raise unknown("dispute")
    if path.phase in FINAL:
        raise WrongPhase("the dispute has ended", field="phase", accepted="nothing")
    until = evidence_until(dispute_rows.terms_of(found[0]), dispute_rows.course_of(found[0]))
    now = (await session.execute(select(func.clock_timestamp()))).scalar_one()
    if now >= until:
        raise TooLate(
            "evidence is not taken any more", accepted=f"until {until:%Y-%m-%d %H:%M:%S} UTC"
        )


@router.post(
    "/v1/disputes/{dispute_id}/answer",
    operation_id="answerDispute",
    summary="Answer a dispute",
    response_model=DisputeView,
    responses=problems(Forbidden, NotFound, WrongPhase),
)
async def answer(
    dispute_id: ThisDispute, body: Note, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """By the other side, within 5 days; silence loses. Both may make offers then."""
    return await _act(
        services, once, user, dispute_id, body, Action.DISPUTE_TAKE_PART, Dispute.reply
    )


@router.post(
    "/v1/disputes/{dispute_id}/concede",
    operation_id="concedeDispute",
    summary="Give in",
    response_model=DisputeView,
    responses=problems(Forbidden, NotFound, WrongPhase),
)
async def concede(
    dispute_id: ThisDispute, body: Note, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """By either side: the other one gets what it wants."""
    return await _act(
        services, once, user, dispute_id, body, Action.DISPUTE_TAKE_PART, Dispute.concede
    )


@router.post(
    "/v1/disputes/{dispute_id}/offer",
    operation_id="offerInDispute",
    summary="Offer to divide the money",
    response_model=DisputeView,
    responses=problems(Forbidden, LimitReached, NotFound, WrongPhase),
)
async def offer(
    dispute_id: ThisDispute, body: ShareIn, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """By either side, in the place of the offer that stands. After 5 days of silence it counts as taken."""
    return await _act(
        services, once, user, dispute_id, body, Action.DISPUTE_TAKE_PART, Dispute.offer
    )


@router.post(
    "/v1/disputes/{dispute_id}/take",
    operation_id="takeOfferInDispute",
    summary="Take the offer",
    response_model=DisputeView,
    responses=problems(Forbidden, NotFound, WrongPhase),
)
async def take(
    dispute_id: ThisDispute, body: Note, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """By the side that was offered it; the money is divided at once."""
    return await _act(
        services, once, user, dispute_id, body, Action.DISPUTE_TAKE_PART, Dispute.take
    )


@router.post(
    "/v1/disputes/{dispute_id}/reject",
    operation_id="rejectOfferInDispute",
    summary="Do not take the offer",
    response_model=DisputeView,
    responses=problems(Forbidden, NotFound, WrongPhase),
)
async def reject(
    dispute_id: ThisDispute, body: Note, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """By the side that was offered it."""
    return await _act(
        services, once, user, dispute_id, body, Action.DISPUTE_TAKE_PART, Dispute.reject
    )


@router.post(
    "/v1/disputes/{dispute_id}/escalate",
    operation_id="askForRuling",
    summary="Ask operators to rule",
    response_model=DisputeView,
    responses=problems(Forbidden, NotFound, TalkFirst, WrongPhase),
)
async def escalate(
    dispute_id: ThisDispute, body: Note, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """By either side, after three days of mediation."""
    return await _act(
        services, once, user, dispute_id, body, Action.DISPUTE_TAKE_PART, Dispute.escalate
    )


@router.post(
    "/v1/disputes/{dispute_id}/appeal",
    operation_id="appealRuling",
    summary="Appeal a ruling",
    response_model=DisputeView,
    responses=problems(Forbidden, NotFound, WrongPhase),
)
async def appeal(
    dispute_id: ThisDispute, body: Note, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """By either side, within 5 days; another operator rules."""
    return await _act(
        services, once, user, dispute_id, body, Action.DISPUTE_TAKE_PART, Dispute.appeal_ruling
    )


@router.post(
    "/v1/disputes/{dispute_id}/withdraw",
    operation_id="withdrawDispute",
    summary="Withdraw a dispute",
    response_model=DisputeView,
    responses=problems(Forbidden, NotFound, WrongPhase),
)
async def withdraw(
    dispute_id: ThisDispute, body: Note, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """By who opened it, before a ruling. A milestone's can only be conceded."""
    return await _act(
        services, once, user, dispute_id, body, Action.DISPUTE_TAKE_PART, Dispute.withdraw_dispute
    )


@router.post(
    "/v1/disputes/{dispute_id}/rule",
    operation_id="ruleDispute",
    summary="Rule on a dispute",
    response_model=DisputeView,
    responses=problems(Forbidden, NotFound, WrongPhase),
)
async def rule(
    dispute_id: ThisDispute, body: RulingIn, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """By an operator who is no side of it; on an appeal, by another one. Nothing moves before the time to appeal is over."""
    return await _act(services, once, user, dispute_id, body, Action.DISPUTE_RULE, Dispute.rule)


async def _act(
    services: Services,
    once: Once,
    user: Caller,
    dispute_id: str,
    body: Body,
    action: Action,
    update: DisputeUpdate,
) -> Response:
    """One act; the workflow decides whether it is still possible, and for whom."""
    async with services.database.transaction() as session:
        seen = await on_path(session, user, action, dispute_id, "dispute")

    async def act(update_id: str) -> DisputeView:
        who = said_by(user, seen, getattr(body, "note", ""))
        if action is Action.DISPUTE_RULE:
            who = who.model_copy(update={"actor": Relation.OPERATOR.value})
        full = DisputeAct(**who.model_dump(), to_payer=getattr(body, "to_payer", None))
        await tell(services, seen, update, full, update_id)
        return await _view(services, dispute_id)

    return await once.resumable("act", body, act, status=200)


async def _begin(services: Services, opening: OpenDispute) -> None:
    async with services.database.transaction() as session:
        path = await session.get(PathRow, opening.about_id)
    if path is None:
        raise unknown("path")
    await begin(
        services,
        Opening(
            workflow="Dispute",
            workflow_id=dispute_workflow_id(opening.dispute_id),
            kind="dispute",
            initiator_id=opening.claimant_id,
            currency=path.currency,
            summary=f"Dispute about {opening.about_id}",
            details=f"Opened by {opening.claimant_id}",
        ),
        opening,
        Dispute.open,
        DisputeAct(actor="claimant", user_id=opening.claimant_id),
        "open",
    )


async def _view(services: Services, dispute_id: str) -> DisputeView:
    async with services.database.reading() as session:
        found = await dispute_rows.found(session, dispute_id)
        if found is None:
            raise unknown("dispute")
        return DisputeView.of(found, await dispute_rows.evidence(session, dispute_id))
