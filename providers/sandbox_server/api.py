"""The payment company's API under `/v1`: payments, cards, refunds, payouts, balance, statement. Bearer key."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from fastapi.responses import Response
from pydantic import BaseModel

from providers.sandbox_server import booking, cards, disputes, payees, payments, payouts, refunds
from providers.sandbox_server.lookup import Asked
from providers.sandbox_server.records import (
    CardView,
    Dispute,
    NewCard,
    NewEvidence,
    NewPayee,
    NewPayment,
    NewPayout,
    NewRefund,
    Operation,
    Payee,
    Payment,
    PaymentView,
    Payout,
    Refund,
    Statement,
)
from providers.sandbox_server.store import Tx
from providers.sandbox_server.web import (
    IdempotencyKey,
    Running,
    answer,
    answer_list,
    require_api_key,
)

router = APIRouter(prefix="/v1", dependencies=[Depends(require_api_key)])


class Payments(BaseModel):
    data: list[PaymentView]


class Cards(BaseModel):
    data: list[CardView]


class Refunds(BaseModel):
    data: list[Refund]


class Payouts(BaseModel):
    data: list[Payout]


class Payees(BaseModel):
    data: list[Payee]


class Balance(BaseModel):
    balances: dict[str, int]
    """Minor units by currency; can be below 0 after refunds and disputes."""


@router.post("/payments", response_model=PaymentView)
async def create_payment(
    wish: NewPayment, idempotency_key: IdempotencyKey, box: Running
) -> Response:
    """Lets somebody pay, or charges a saved card; the same key and body answer the same payment."""
    charged = (wish.card_reference,) if wish.card_reference else ()
    names = (wish.subject, wish.operation_id, *charged)
    operation: Operation = "charge" if charged else "payment"
    return await answer(
        box, operation, names, lambda tx: payments.create(tx, idempotency_key, wish)
    )


@router.get("/payments", response_model=Payments)
async def list_payments(box: Running, asked: Asked) -> Response:
    """Payments, newest first."""
    return await answer_list(box, asked, payments.listed)


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


@router.post("/payments/{reference}/retry", response_model=PaymentView)
async def retry_charge(reference: str, idempotency_key: IdempotencyKey, box: Running) -> Response:
    """Tries the saved card of an open payment once more; the same key makes one attempt."""

    def act(tx: Tx) -> tuple[Payment, bool]:
        return payments.retry(tx, idempotency_key, reference), False

    return await answer(box, "charge", (reference,), act)


@router.post("/payments/{reference}/extend-hold", response_model=PaymentView)
async def extend_hold(reference: str, idempotency_key: IdempotencyKey, box: Running) -> Response:
    """Lets captured money stay longer; refused where that is not possible. The same key extends once."""

    # In a transaction of its own: a refusal must use its switch up.
    with box.store.transaction() as tx:
        refusal = payments.refusal_to_hold(tx, idempotency_key, reference)
    if refusal is not None:
        raise refusal

    def act(tx: Tx) -> tuple[Payment, bool]:
        return payments.extend_hold(tx, idempotency_key, reference), False

    return await answer(box, "hold", (reference,), act)


@router.post("/cards", response_model=CardView)
async def create_card(wish: NewCard, idempotency_key: IdempotencyKey, box: Running) -> Response:
    """Opens a page for saving a card; the same key and body answer the same card."""
    names = (wish.subject, wish.operation_id)
    return await answer(box, "card", names, lambda tx: cards.create(tx, idempotency_key, wish))


@router.get("/cards", response_model=Cards)
async def list_cards(box: Running, asked: Asked) -> Response:
    """Cards, newest first."""
    return await answer_list(box, asked, cards.listed)


@router.get("/cards/{reference}", response_model=CardView)
async def get_card(reference: str, box: Running) -> Response:
    """One card."""
    return await answer(box, "read", (reference,), lambda tx: (cards.get(tx, reference), False))


@router.post("/cards/{reference}/close", response_model=CardView)
async def close_card(reference: str, box: Running) -> Response:
    """Closes an open page; answers a saved card as saved."""
    return await answer(box, "cancel", (reference,), lambda tx: (cards.close(tx, reference), False))


@router.post("/cards/{reference}/release", response_model=CardView)
async def release_card(reference: str, box: Running) -> Response:
    """Closes an open page or forgets a saved card."""
    return await answer(
        box, "cancel", (reference,), lambda tx: (cards.release(tx, reference), False)
    )


@router.post("/refunds", response_model=Refund)
async def create_refund(wish: NewRefund, idempotency_key: IdempotencyKey, box: Running) -> Response:
    """Sends back all or part of a captured payment."""
    names = (wish.subject, wish.operation_id, wish.payment_reference)
    return await answer(box, "refund", names, lambda tx: refunds.create(tx, idempotency_key, wish))


@router.get("/refunds", response_model=Refunds)
async def list_refunds(box: Running, asked: Asked) -> Response:
    """Refunds, newest first."""
    return await answer_list(box, asked, refunds.listed)


@router.get("/refunds/{reference}", response_model=Refund)
async def get_refund(reference: str, box: Running) -> Response:
    """One refund."""
    return await answer(box, "read", (reference,), lambda tx: (refunds.get(tx, reference), False))


@router.post("/payouts", response_model=Payout)
async def create_payout(wish: NewPayout, idempotency_key: IdempotencyKey, box: Running) -> Response:
    """Sends money to a payee; already failed when the balance is too low."""
    names = (wish.subject, wish.operation_id)
    return await answer(box, "payout", names, lambda tx: payouts.create(tx, idempotency_key, wish))


@router.get("/payouts", response_model=Payouts)
async def list_payouts(box: Running, asked: Asked) -> Response:
    """Payouts, newest first."""
    return await answer_list(box, asked, payouts.listed)


@router.get("/payouts/{reference}", response_model=Payout)
async def get_payout(reference: str, box: Running) -> Response:
    """One payout."""
    return await answer(box, "read", (reference,), lambda tx: (payouts.get(tx, reference), False))


@router.post("/disputes/{reference}/evidence", response_model=Dispute)
async def hand_in_evidence(
    reference: str, wish: NewEvidence, idempotency_key: IdempotencyKey, box: Running
) -> Response:
    """Answers a dispute, once and before `due_by`; the same key and body answer the same dispute."""

    def act(tx: Tx) -> tuple[Dispute, bool]:
        return disputes.hand_in(tx, idempotency_key, reference, wish), False

    return await answer(box, "dispute", (reference,), act)


@router.post("/disputes/{reference}/accept", response_model=Dispute)
async def accept_dispute(reference: str, idempotency_key: IdempotencyKey, box: Running) -> Response:
    """Gives in: the dispute is lost at once."""

    def act(tx: Tx) -> tuple[Dispute, bool]:
        return disputes.accept(tx, idempotency_key, reference), False

    return await answer(box, "dispute", (reference,), act)


@router.post("/payees", response_model=Payee)
async def create_payee(wish: NewPayee, idempotency_key: IdempotencyKey, box: Running) -> Response:
    """Somebody who is to prove who they are before they are paid."""
    names = (wish.subject, wish.operation_id)
    return await answer(box, "payee", names, lambda tx: payees.create(tx, idempotency_key, wish))


@router.get("/payees", response_model=Payees)
async def list_payees(box: Running, asked: Asked) -> Response:
    """Payees, newest first."""
    return await answer_list(box, asked, payees.listed)


@router.get("/payees/{reference}", response_model=Payee)
async def get_payee(reference: str, box: Running) -> Response:
    """One payee."""
    return await answer(box, "read", (reference,), lambda tx: (payees.get(tx, reference), False))


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
