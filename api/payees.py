"""Verification of payees by the payment company."""

from __future__ import annotations

from fastapi import APIRouter, Response
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy

from api.auth import CurrentUser
from api.errors import problems
from api.idempotency import OnceDep
from api.policy import require, unknown
from api.schemas.money_movements import PayeeView
from api.services import Services, ServicesDep
from api.temporal import answered_within
from db.queries import money_movements
from domain.access import Action
from domain.errors import Forbidden, NotFound
from domain.ids import UserId
from domain.payees import PayeeCase
from runtime.temporal import start_attributes
from workflows.names import payee_workflow_id
from workflows.payee import Payee

router = APIRouter(tags=["payouts"])


@router.get(
    "/v1/me/payee",
    operation_id="getMyPayee",
    summary="How far the payment company is with verifying me",
    responses=problems(NotFound),
)
async def get_my_payee(user: CurrentUser, services: ServicesDep) -> PayeeView:
    """404 before `POST /v1/me/payee`."""
    return await _view(services, user.id)


@router.post(
    "/v1/me/payee",
    operation_id="verifyMe",
    summary="Be verified by the payment company",
    response_model=PayeeView,
)
async def verify_me(user: CurrentUser, services: ServicesDep, once: OnceDep) -> Response:
    """Begins, or looks how it stands. What is asked for is answered at `url`, at the payment company."""
    require(Action.PAYEE_SEE, user.relations(owner=user.id))

    async def begin(payee_id: str) -> PayeeView:
        settings = services.settings
        async with services.database.transaction() as session:
            known = await money_movements.payee(session, user.id, settings.provider)
        case = PayeeCase(
            payee_id=known.id if known else payee_id,
            user_id=user.id,
            provider=settings.provider,
            policy=settings.payout_policy,
            within_seconds=settings.operator_policy.sla_seconds,
        )
        async with answered_within(settings.request_timeout_seconds):
            await services.temporal.execute_workflow(
                Payee.run,
                case,
                id=payee_workflow_id(case.payee_id),
                task_queue=settings.temporal_task_queue,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                static_summary=f"Verification of {user.id}",
                search_attributes=start_attributes("payee", user.id, "XXX"),
            )
        return await _view(services, user.id)

    return await once.resumable("pye", "verify", begin, status=200)


@router.get(
    "/v1/users/{user_id}/payee",
    operation_id="getPayee",
    summary="How far the payment company is with verifying somebody",
    responses=problems(Forbidden, NotFound),
)
async def get_payee(user_id: UserId, user: CurrentUser, services: ServicesDep) -> PayeeView:
    """For themselves and operators."""
    require(Action.PAYEE_SEE, user.relations(owner=user_id))
    return await _view(services, user_id)


async def _view(services: Services, user_id: str) -> PayeeView:
    async with services.database.reading() as session:
        row = await money_movements.payee(session, user_id, services.settings.provider)
    if row is None:
        raise unknown("payee")
    return PayeeView.of(row)
