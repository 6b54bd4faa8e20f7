"""The payment company's API under `/v1`: payments, refunds, payouts, balance and statement. Bearer key."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from fastapi.responses import Response
from pydantic import BaseModel

from providers.sandbox_server import booking, payments, payouts, refunds
from providers.sandbox_server.records import (
    NewPayment,
    NewPayout,
    NewRefund,
    PaymentView,
    Payout,
    Refund,
    Statement,
)
from providers.sandbox_server.web import (
    IdempotencyKey,
    Running,
    answer,
    refuse_read,
    require_api_key,
)

router = APIRouter(prefix="/v1", dependencies=[Depends(require_api_key)])

OperationId = Annotated[str | None, Query(max_length=255)]
Limit = Annotated[int, Query(ge=1, le=100)]


class Payments(BaseModel):
    data: list[PaymentView]


class Refunds(BaseModel):
    data: list[Refund]


class Payouts(BaseModel):
    data: list[Payout]


class Balance(BaseModel):
    balances: dict[str, int]
    """Minor units by currency; can be below 0 after refunds and disputes."""


@router.post("/payments", response_model=PaymentView)
async def create_payment(
    wish: NewPayment, idempotency_key: IdempotencyKey, box: Running
) -> Response:
    """Lets somebody pay; the same key and body answer the same payment."""
    names = (wish.subject, wish.operation_id)
    return await answer(
        box, "payment", names, lambda tx: payments.create(tx, idempotency_key, wish)
    )


@router.get("/payments")
async def list_payments(
    box: Running, operation_id: OperationId = None, limit: Limit = 20
) -> Payments:
    """Payments, newest first."""
    refuse_read(box, (operation_id or "",))
    with box.store.reading() as tx:
        found = payments.listed(tx, operation_id, limit)
    return Payments(data=[box.view(payment) for payment in found])


@router.get("/payments/{reference}", response_model=PaymentView)
async def get_payment(reference: str, box: Running) -> Response:
    """One payment."""
    return await answer(box, "read", (reference,), lambda tx: (payments.get(tx, reference), False))


@router.post("/payments/{reference}/cancel", response_model=PaymentView)
async def cancel_payment(reference: str, box: Running) -> Response:
    """Closes an open payment; answers a captured one as captured."""
    return await answer(
        box, "cancel", (reference,), lambda tx: (payments.cancel(tx, reference), False)
    )


@router.post("/refunds", response_model=Refund)
async def create_refund(wish: NewRefund, idempotency_key: IdempotencyKey, box: Running) -> Response:
    """Sends back all or part of a captured payment."""
    names = (wish.subject, wish.operation_id, wish.payment_reference)
    return await answer(box, "refund", names, lambda tx: refunds.create(tx, idempotency_key, wish))


@router.get("/refunds")
async def list_refunds(
    box: Running, operation_id: OperationId = None, limit: Limit = 20
) -> Refunds:
    """Refunds, newest first."""
    refuse_read(box, (operation_id or "",))
    with box.store.reading() as tx:
        return Refunds(data=refunds.listed(tx, operation_id, limit))


@router.get("/refunds/{reference}", response_model=Refund)
async def get_refund(reference: str, box: Running) -> Response:
    """One refund."""
    return await answer(box, "read", (reference,), lambda tx: (refunds.get(tx, reference), False))


@router.post("/payouts", response_model=Payout)
async def create_payout(wish: NewPayout, idempotency_key: IdempotencyKey, box: Running) -> Response:
    """Sends money to a payee; already failed when the balance is too low."""
    names = (wish.subject, wish.operation_id)
    return await answer(box, "payout", names, lambda tx: payouts.create(tx, idempotency_key, wish))


@router.get("/payouts")
async def list_payouts(
    box: Running, operation_id: OperationId = None, limit: Limit = 20
) -> Payouts:
    """Payouts, newest first."""
    refuse_read(box, (operation_id or "",))
    with box.store.reading() as tx:
        return Payouts(data=payouts.listed(tx, operation_id, limit))


@router.get("/payouts/{reference}", response_model=Payout)
async def get_payout(reference: str, box: Running) -> Response:
    """One payout."""
    return await answer(box, "read", (reference,), lambda tx: (payouts.get(tx, reference), False))


@router.get("/balance")
async def get_balance(box: Running) -> Balance:
    """What this company holds for its client, by currency."""
    with box.store.reading() as tx:
        return Balance(balances=booking.balances(tx))


@router.get("/statements/{day}")
async def get_statement(
    day: date, box: Running, after: Annotated[int, Query(ge=0, lt=2**63)] = 0
) -> Statement:
    """Every movement of that UTC day, oldest first, a page at a time."""
    with box.store.reading() as tx:
        return booking.statement(tx, day, after)
