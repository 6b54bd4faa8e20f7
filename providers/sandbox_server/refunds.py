"""Refunds, whole or partial. The capture fee is not given back, as at real providers."""

from __future__ import annotations

from providers.sandbox_server import idempotency, payments
from providers.sandbox_server.behaviours import any_on, take
from providers.sandbox_server.booking import book
from providers.sandbox_server.events import emit
from providers.sandbox_server.lookup import Which, rows
from providers.sandbox_server.problems import Problem
from providers.sandbox_server.records import AdvanceRefund, Effect, NewRefund, Refund
from providers.sandbox_server.store import Tx, new_reference


def create(tx: Tx, key: str, wish: NewRefund) -> tuple[Refund, bool]:
    """A refund that succeeds at once unless told otherwise, and whether it is new.

    Refused as a problem: unknown or uncaptured payment, another currency, more than is left of the payment.
    """
    reference = idempotency.replayed(tx, "refunds", key, wish)
    if reference is not None:
        return get(tx, reference), False
    _check(tx, wish)
    reference = new_reference("sref")
    row = tx.one(
        "INSERT INTO refunds (reference, operation_id, subject, payment_reference, status, amount,"
        " currency, created_at) VALUES (?, ?, ?, ?, 'pending', ?, ?, ?) RETURNING *",
        reference,
        wish.operation_id,
        wish.subject,
        wish.payment_reference,
        wish.amount,
        wish.currency,
        tx.moment,
    )
    idempotency.remember(tx, "refunds", key, wish, reference)
    return _process(tx, Refund.model_validate(row)), True


def _check(tx: Tx, wish: NewRefund) -> None:
    payment = payments.get(tx, wish.payment_reference)
    if payment.status != "captured":
        raise Problem(409, "not_captured", "only a captured payment can be refunded")
    if payment.currency != wish.currency:
        raise Problem(422, "currency_mismatch", f"the payment is in {payment.currency}")
    left = payment.amount - taken_back(tx, payment.reference)
    if wish.amount > left:
        raise Problem(409, "refund_exceeds_payment", f"{left} minor units are left to refund")


def taken_back(tx: Tx, payment_reference: str) -> int:
    """What refunds (also pending ones) and disputes (open or lost) took of a payment."""
    return tx.number(
        "SELECT (SELECT COALESCE(SUM(amount), 0) FROM refunds"
        " WHERE payment_reference = ?1 AND status <> 'refused')"
        " + (SELECT COALESCE(SUM(amount), 0) FROM disputes"
        " WHERE payment_reference = ?1 AND status <> 'won')",
        payment_reference,
    )


def get(tx: Tx, reference: str) -> Refund:
    """One refund."""
    row = tx.one("SELECT * FROM refunds WHERE reference = ?", reference)
    if row is None:
        raise Problem(404, "not_found", "no such refund")
    return Refund.model_validate(row)


def listed(tx: Tx, which: Which) -> list[Refund]:
    """Refunds, newest first."""
    return [Refund.model_validate(row) for row in rows(tx, "refunds", which)]


def advance(tx: Tx, reference: str, step: AdvanceRefund) -> Refund:
    """Ends a pending refund."""
    refund = get(tx, reference)
    if refund.status == step.to:
        return refund
    if refund.status != "pending":
        raise Problem(409, "already_final", f"this refund is {refund.status}")
    return _finish(tx, refund, step.to == "succeeded", step.reason)


def _process(tx: Tx, refund: Refund) -> Refund:
    if not any_on(tx, "refund"):
        return _finish(tx, refund, True, None)
    names = _names(refund)
    refused = take(tx, "refund", Effect.REFUND_REFUSED, names)
    if refused:
        return _finish(tx, refund, False, refused.reason)
    if take(tx, "refund", Effect.REFUND_PENDING, names):
        return refund
    return _finish(tx, refund, True, None)


def _finish(tx: Tx, refund: Refund, succeeded: bool, reason: str | None) -> Refund:
    status = "succeeded" if succeeded else "refused"
    row = tx.one(
        "UPDATE refunds SET status = ?, failure_reason = ? WHERE reference = ? RETURNING *",
        status,
        None if succeeded else reason or "account_closed",
        refund.reference,
    )
    if succeeded:
        book(tx, "refund", refund.reference, refund.subject, -refund.amount, refund.currency)
    data = {
        "subject": refund.subject,
        "reference": refund.reference,
        "operation_id": refund.operation_id,
        "status": status,
    }
    emit(tx, "payments", f"refund.{status}", data, _names(refund))
    return Refund.model_validate(row)


def _names(refund: Refund) -> tuple[str, ...]:
    return refund.subject, refund.operation_id, refund.reference, refund.payment_reference
