"""Payments and refunds: where the money of a path came from and where it went back to."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Response

from api.auth import CurrentUser
from api.errors import problems
from api.idempotency import OnceDep
from api.policy import require_visible, unknown
from api.schemas.money_movements import PaymentView, RefundView
from api.services import Services, ServicesDep
from api.temporal import answered_within
from db.queries import money_movements, paths
from db.tables import Refund
from domain.access import Action
from domain.errors import NotFound, WrongPhase
from domain.ids import PaymentId, RefundId
from domain.payments import RefundState
from workflows.names import refund_workflow_id
from workflows.refund import Refund as RefundWorkflow

router = APIRouter(tags=["payments"])
ThisPayment = Annotated[PaymentId, Path(alias="payment_id", description="Id of the payment.")]
ThisRefund = Annotated[RefundId, Path(alias="refund_id", description="Id of the refund.")]


@router.get(
    "/v1/payments/{payment_id}",
    operation_id="getPayment",
    summary="A payment",
    responses=problems(NotFound),
)
async def get_payment(
    payment_id: ThisPayment, user: CurrentUser, services: ServicesDep
) -> PaymentView:
    """For its payer and operators."""
    async with services.database.reading() as session:
        row = await money_movements.payment(session, payment_id)
    if row is None:
        raise unknown("payment")
    require_visible(Action.PAYMENT_VIEW, user.relations(buyer=row.payer_id), "payment")
    return PaymentView.of(row)


@router.get(
    "/v1/refunds/{refund_id}",
    operation_id="getRefund",
    summary="A refund",
    responses=problems(NotFound),
)
async def get_refund(refund_id: ThisRefund, user: CurrentUser, services: ServicesDep) -> RefundView:
    """For its payer, the other side of the path and operators."""
    async with services.database.reading() as session:
        row = await _refund(services, refund_id)
        seen = await paths.seen_by(session, row.path_id, user.id)
    relations = user.relations(buyer=row.payer_id) | (seen.relations if seen else frozenset())
    require_visible(Action.REFUND_VIEW, relations, "refund")
    return RefundView.of(row)


@router.post(
    "/v1/refunds/{refund_id}/accept-balance",
    operation_id="acceptRefundAsBalance",
    summary="Take a refused refund as balance",
    response_model=RefundView,
    responses=problems(NotFound, WrongPhase),
)
async def accept_balance(
    refund_id: ThisRefund, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """By the payer, when the provider will not send the money back: it can then be paid out like income."""
    row = await _refund(services, refund_id)
    require_visible(Action.REFUND_ACCEPT, user.relations(buyer=row.payer_id), "refund")

    async def accept(update_id: str) -> RefundView:
        now = (await _refund(services, refund_id)).status
        if now in (RefundState.REQUESTED, RefundState.PENDING):
            raise WrongPhase(
                f"the refund is {now}", field="status", accepted=RefundState.REFUSED.value
            )
        handle = services.temporal.get_workflow_handle(refund_workflow_id(refund_id))
        async with answered_within(services.settings.request_timeout_seconds):
            await handle.execute_update(RefundWorkflow.accept_balance, id=update_id)
        return RefundView.of(await _refund(services, refund_id))

    return await once.resumable("act", "", accept, status=200)


async def _refund(services: Services, refund_id: str) -> Refund:
    async with services.database.transaction() as session:
        row = await money_movements.refund(session, refund_id)
    if row is None:
        raise unknown("refund")
    return row
