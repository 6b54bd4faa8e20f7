"""Payouts: a user's balance leaves for their bank, wallet or card."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from temporalio.client import WithStartWorkflowOperation, WorkflowUpdateFailedError
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError

from api.auth import Caller, CurrentUser
from api.errors import problems
from api.idempotency import Once, OnceDep
from api.policy import require, require_active, require_visible, unknown
from api.schemas.base import Limit, Page, page_of
from api.schemas.money_movements import NewPayout, PayoutReason, PayoutView
from api.services import Services, ServicesDep
from api.temporal import answered_within
from db.queries import money_movements
from db.tables import Payout as PayoutRow
from domain.access import Action
from domain.cases import PayoutCase
from domain.errors import (
    AccountFrozen,
    DestinationTooNew,
    Forbidden,
    InsufficientFunds,
    NeedsSecondOperator,
    NoDestination,
    NotFound,
    NothingToPayOut,
    OwnRequest,
    PayeeNotVerified,
    PayoutTooSoon,
    WrongPhase,
)
from domain.ids import PayoutId
from domain.payments import PayoutDecision
from runtime.temporal import start_attributes
from runtime.temporal_errors import domain_error_of
from workflows.names import payout_workflow_id
from workflows.payout import Payout

router = APIRouter(prefix="/v1/payouts", tags=["payouts"])
PayoutCursor = Annotated[PayoutId | None, Query(description="`next` of the page before.")]

ThisPayout = Annotated[PayoutId, Path(description="Id of the payout.")]
_DECIDING = (AccountFrozen, Forbidden, NeedsSecondOperator, NotFound, OwnRequest, WrongPhase)


@router.post(
    "",
    operation_id="requestPayout",
    summary="Pay the own balance out",
    status_code=201,
    response_model=PayoutView,
    responses=problems(
        AccountFrozen,
        NothingToPayOut,
        InsufficientFunds,
        NoDestination,
        PayeeNotVerified,
        DestinationTooNew,
        PayoutTooSoon,
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
    async with services.database.reading() as session:
        rows = await money_movements.payouts_of(session, user.id, after, limit + 1)
    return page_of(rows, limit, PayoutView.of, lambda row: row.id)


@router.get(
    "/{payout_id}", operation_id="getPayout", summary="A payout", responses=problems(NotFound)
)
async def get_payout(
    payout_id: ThisPayout,
    user: CurrentUser,
    services: ServicesDep,
) -> PayoutView:
    """For its payee and operators."""
    row = await _row(services, payout_id)
    require_visible(Action.PAYOUT_VIEW, user.relations(owner=row.user_id), "payout")
    return PayoutView.of(row)


@router.post(
    "/{payout_id}/cancel",
    operation_id="cancelPayout",
    summary="Take a held payout back",
    response_model=PayoutView,
    responses=problems(NotFound, WrongPhase),
)
async def cancel_payout(
    payout_id: ThisPayout, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """For its payee, while an operator looks at it: the money is on the balance again."""
    row = await _row(services, payout_id)
    require_visible(Action.PAYOUT_CANCEL, user.relations(owner=row.user_id), "payout")

    async def cancel(_: str) -> PayoutView:
        await _decide(
            services,
            PayoutDecision(payout_id=payout_id, send=False, by=user.id, reason="taken back"),
        )
        return await _view(services, payout_id)

    return await once.resumable("act", payout_id, cancel, status=200)


@router.post(
    "/{payout_id}/release",
    operation_id="releasePayout",
    summary="Send a held payout",
    response_model=PayoutView,
    responses=problems(*_DECIDING),
)
async def release_payout(
    payout_id: ThisPayout,
    body: PayoutReason,
    user: CurrentUser,
    services: ServicesDep,
    once: OnceDep,
) -> Response:
    """For operators who are not its payee, up to what one may decide alone; above it, as a command."""
    return await _operators_word(services, user, once, payout_id, body, send=True)


@router.post(
    "/{payout_id}/reject",
    operation_id="rejectPayout",
    summary="Do not send a held payout",
    response_model=PayoutView,
    responses=problems(*_DECIDING),
)
async def reject_payout(
    payout_id: ThisPayout,
    body: PayoutReason,
    user: CurrentUser,
    services: ServicesDep,
    once: OnceDep,
) -> Response:
    """The same; the money is on the payee's balance again, or held while they are frozen."""
    return await _operators_word(services, user, once, payout_id, body, send=False)


async def _operators_word(
    services: Services,
    user: Caller,
    once: Once,
    payout_id: str,
    body: PayoutReason,
    *,
    send: bool,
) -> Response:
    require(Action.PAYOUT_DECIDE, user.relations())
    require_active(user)
    row = await _row(services, payout_id)
    if row.user_id == user.id:
        raise OwnRequest("it is your own payout", accepted="another operator")
    if row.amount > services.settings.operator_policy.alone(row.currency):
        raise NeedsSecondOperator(
            "one operator alone may not decide about so much",
            accepted="the command payout_decision, approved by another operator",
        )
    decision = PayoutDecision(payout_id=payout_id, send=send, by=user.id, reason=body.reason)

    async def decide(_: str) -> PayoutView:
        await _decide(services, decision)
        return await _view(services, payout_id)

    return await once.resumable("act", body, decide, status=200)


async def _decide(services: Services, decision: PayoutDecision) -> None:
    """Has the payout's story decide; a decision that is told again changes nothing."""
    story = services.temporal.get_workflow_handle(payout_workflow_id(decision.payout_id))
    try:
        async with answered_within(services.settings.request_timeout_seconds):
            await story.execute_update(Payout.decide, decision)
    except WorkflowUpdateFailedError as refused:
        raise domain_error_of(refused) or refused from refused


async def _row(services: Services, payout_id: str) -> PayoutRow:
    async with services.database.reading() as session:
        row = await money_movements.payout(session, payout_id)
    if row is None:
        raise unknown("payout")
    return row


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
    return PayoutView.of(await _row(services, payout_id))
