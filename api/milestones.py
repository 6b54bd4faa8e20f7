"""Milestones: shown by the worker, approved, sent back or given up by the buyer, ruled on by operators."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Response

from api.auth import CurrentUser
from api.errors import problems
from api.idempotency import OnceDep
from api.schemas.sales import Note
from api.schemas.tenders import ApprovalIn, ReasonIn, RulingIn, SubmissionIn, TenderView
from api.services import Services, ServicesDep
from api.tender_acts import ThisTender, act_on_tender, seen_tender
from db.queries import files, tenders
from domain.access import Action
from domain.errors import (
    AmountOutOfRange,
    Forbidden,
    LimitReached,
    NotFound,
    UnknownFile,
    WrongPhase,
)
from domain.tender_messages import TenderAct
from workflows.tender import Tender

router = APIRouter(prefix="/v1/tenders/{tender_id}/milestones/{number}", tags=["tenders"])
ThisMilestone = Annotated[
    int, Path(alias="number", ge=1, le=1_000_000, description="Number of the milestone, from 1.")
]


@router.post(
    "/submit",
    operation_id="submitMilestone",
    summary="Show the result",
    response_model=TenderView,
    responses=problems(Forbidden, NotFound, UnknownFile, WrongPhase),
)
async def submit(
    tender_id: ThisTender,
    number: ThisMilestone,
    body: SubmissionIn,
    user: CurrentUser,
    services: ServicesDep,
    once: OnceDep,
) -> Response:
    """By the worker; the files are shown to the buyer, who has 14 days to answer."""
    await seen_tender(services, user, tender_id, Action.TENDER_WORK)
    async with services.database.transaction() as session:
        await files.attachable(session, user.id, body.file_ids)
    said = await _about(services, tender_id, number, file_ids=body.file_ids)
    return await act_on_tender(
        services, once, user, tender_id, body, Action.TENDER_WORK, Tender.submit, said
    )


@router.post(
    "/approve",
    operation_id="approveMilestone",
    summary="Approve, in full or in part",
    response_model=TenderView,
    responses=problems(AmountOutOfRange, Forbidden, NotFound, WrongPhase),
)
async def approve(
    tender_id: ThisTender,
    number: ThisMilestone,
    body: ApprovalIn,
    user: CurrentUser,
    services: ServicesDep,
    once: OnceDep,
) -> Response:
    """By the buyer; the worker is paid. What is not released rolls on to the next milestone."""
    said = await _about(services, tender_id, number, amount=body.amount)
    return await act_on_tender(
        services, once, user, tender_id, body, Action.TENDER_DECIDE, Tender.approve, said
    )


@router.post(
    "/request-changes",
    operation_id="requestChanges",
    summary="Ask for changes",
    response_model=TenderView,
    responses=problems(Forbidden, LimitReached, NotFound, WrongPhase),
)
async def request_changes(
    tender_id: ThisTender,
    number: ThisMilestone,
    body: ReasonIn,
    user: CurrentUser,
    services: ServicesDep,
    once: OnceDep,
) -> Response:
    """By the buyer, three times a milestone; the worker has seven days. After that only a dispute is left."""
    said = await _about(services, tender_id, number)
    return await act_on_tender(
        services, once, user, tender_id, body, Action.TENDER_DECIDE, Tender.request_changes, said
    )


@router.post(
    "/cancel",
    operation_id="cancelMilestone",
    summary="Give up on an overdue milestone",
    response_model=TenderView,
    responses=problems(Forbidden, NotFound, WrongPhase),
)
async def cancel(
    tender_id: ThisTender,
    number: ThisMilestone,
    body: Note,
    user: CurrentUser,
    services: ServicesDep,
    once: OnceDep,
) -> Response:
    """By the buyer, seven days after it was due: what was not released goes back, and so does the deposit."""
    said = await _about(services, tender_id, number)
    return await act_on_tender(
        services, once, user, tender_id, body, Action.TENDER_DECIDE, Tender.cancel_milestone, said
    )


@router.post(
    "/dispute",
    operation_id="disputeMilestone",
    summary="Ask the operators to rule",
    response_model=TenderView,
    responses=problems(Forbidden, NotFound, WrongPhase),
)
async def dispute(
    tender_id: ThisTender,
    number: ThisMilestone,
    body: ReasonIn,
    user: CurrentUser,
    services: ServicesDep,
    once: OnceDep,
) -> Response:
    """By buyer or worker; its money stays where it is, the other milestones go on."""
    said = await _about(services, tender_id, number)
    return await act_on_tender(
        services, once, user, tender_id, body, Action.TENDER_DISPUTE, Tender.dispute, said
    )


@router.post(
    "/rule",
    operation_id="ruleMilestone",
    summary="Decide a dispute",
    response_model=TenderView,
    responses=problems(AmountOutOfRange, Forbidden, NotFound, WrongPhase),
)
async def rule(
    tender_id: ThisTender,
    number: ThisMilestone,
    body: RulingIn,
    user: CurrentUser,
    services: ServicesDep,
    once: OnceDep,
) -> Response:
    """By an operator: so much for the worker, the rest for the buyer, and why."""
    said = await _about(services, tender_id, number, amount=body.worker_amount)
    return await act_on_tender(
        services, once, user, tender_id, body, Action.TENDER_RULE, Tender.rule, said
    )


async def _about(
    services: Services,
    tender_id: str,
    number: int,
    *,
    amount: int | None = None,
    file_ids: tuple[str, ...] = (),
) -> TenderAct:
    """An act on one milestone, with the state in which the books have it."""
    async with services.database.transaction() as session:
        state = await tenders.milestone_state(session, tender_id, number)
    return TenderAct(actor="", milestone=number, state_seen=state, amount=amount, file_ids=file_ids)
