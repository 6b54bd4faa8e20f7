"""Payouts: a user's balance leaves for their bank, wallet or card."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from temporalio.client import WithStartWorkflowOperation
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError

from api.auth import CurrentUser
from api.errors import problems
from api.idempotency import OnceDep
from api.policy import require, require_active, require_visible, unknown
from api.schemas.base import Limit, Page, page_of
from api.schemas.money_movements import NewPayout, PayoutView
from api.services import Services, ServicesDep
from api.temporal import answered_within
from db.queries import money_movements
from domain.access import Action
from domain.cases import PayoutCase
from domain.errors import (
    AccountFrozen,
    InsufficientFunds,
    NoDestination,
    NotFound,
    NothingToPayOut,
    PayoutTooSoon,
)
from domain.ids import PayoutId
from runtime.temporal import start_attributes
from workflows.names import payout_workflow_id
from workflows.payout import Payout

router = APIRouter(prefix="/v1/payouts", tags=["payouts"])
PayoutCursor = Annotated[PayoutId | None, Query(description="`next` of the page before.")]


@router.post(
    "",
    operation_id="requestPayout",
    summary="Pay the own balance out",
    status_code=201,
    response_model=PayoutView,
    responses=problems(
        AccountFrozen, NothingToPayOut, InsufficientFunds, NoDestination, PayoutTooSoon
    ),
)
async def request_payout(
    body: NewPayout, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """Takes the amount out of the balance at once and sends it to the active destination of its currency."""
    require(Action.PAYOUT_REQUEST, user.relations())
    require_active(user)

    async def send(payout_id: str) -> PayoutView:
        case = PayoutCase(
            payout_id=payout_id,
            user_id=user.id,
            currency=body.currency,
            amount=body.amount,
            policy=services.settings.payout_policy,
        )
        await _start(services, case)
        return await _view(services, payout_id)

    return await once.resumable("pyo", body, send, status=201)


@router.get("", operation_id="listPayouts", summary="The own payouts, newest first")
async def list_payouts(
    user: CurrentUser, services: ServicesDep, after: PayoutCursor = None, limit: Limit = 50
) -> Page[PayoutView]:
    """Requested ones and those the schedule made."""
    async with services.database.transaction() as session:
        rows = await money_movements.payouts_of(session, user.id, after, limit + 1)
    return page_of(rows, limit, PayoutView.of, lambda row: row.id)


@router.get(
    "/{payout_id}", operation_id="getPayout", summary="A payout", responses=problems(NotFound)
)
async def get_payout(
    payout_id: Annotated[PayoutId, Path(description="Id of the payout.")],
    user: CurrentUser,
    services: ServicesDep,
) -> PayoutView:
    """For its payee and operators."""
    async with services.database.transaction() as session:
        row = await money_movements.payout(session, payout_id)
    if row is None:
        raise unknown("payout")
    require_visible(Action.PAYOUT_VIEW, user.relations(owner=row.user_id), "payout")
    return PayoutView.of(row)


async def _start(services: Services, case: PayoutCase) -> None:
    """Starts the payout's workflow, or finds it started, and waits until the money is reserved."""
    start = WithStartWorkflowOperation(
        Payout.run,
        case,
        id=payout_workflow_id(case.payout_id),
        task_queue=services.settings.temporal_task_queue,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
        static_summary=f"Payout in {case.currency} for {case.user_id}",
        search_attributes=start_attributes("payout", case.user_id, case.currency),
    )
    try:
        async with answered_within(services.settings.request_timeout_seconds):
            await services.temporal.execute_update_with_start_workflow(
                Payout.requested, start_workflow_operation=start, id="requested"
            )
    except WorkflowAlreadyStartedError:
        # A former try of the same request got this far, and the payout has ended meanwhile: its row tells how.
        return


async def _view(services: Services, payout_id: str) -> PayoutView:
    async with services.database.transaction() as session:
        row = await money_movements.payout(session, payout_id)
    if row is None:
        raise unknown("payout")
    return PayoutView.of(row)
