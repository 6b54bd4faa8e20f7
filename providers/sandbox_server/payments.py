"""Payments: made by the client, paid or declined by a payer on the pay page."""

from __future__ import annotations

from providers.sandbox_server import idempotency
from providers.sandbox_server.behaviours import take
from providers.sandbox_server.booking import book
from providers.sandbox_server.events import emit
from providers.sandbox_server.problems import Problem
from providers.sandbox_server.records import Effect, NewPayment, Payment
from providers.sandbox_server.store import Tx, new_reference, stamp

PAYER_DECLINED = "declined_by_payer"


def create(tx: Tx, key: str, wish: NewPayment) -> tuple[Payment, bool]:
    """A payment that can be paid at once, and whether it is new."""
    reference = idempotency.replayed(tx, "payments", key, wish)
    if reference is not None:
        return get(tx, reference), False
    reference = new_reference("spay")
    tx.run(
        "INSERT INTO payments (reference, operation_id, subject, status, amount, currency,"
        " description, return_url, created_at) VALUES (?, ?, ?, 'open', ?, ?, ?, ?, ?)",
        reference,
        wish.operation_id,
        wish.subject,
        wish.amount,
        wish.currency,
        wish.description,
        wish.return_url,
        stamp(tx.now),
    )
    idempotency.remember(tx, "payments", key, wish, reference)
    return get(tx, reference), True


def get(tx: Tx, reference: str) -> Payment:
    """One payment."""
    row = tx.one("SELECT * FROM payments WHERE reference = ?", reference)
    if row is None:
        raise Problem(404, "not_found", "no such payment")
    return Payment.model_validate(row)


def listed(tx: Tx, operation_id: str | None, limit: int) -> list[Payment]:
    """Payments, newest first."""
    rows = tx.all(
        "SELECT * FROM payments WHERE (?1 IS NULL OR operation_id = ?1) ORDER BY id DESC LIMIT ?2",
        operation_id,
        limit,
    )
    return [Payment.model_validate(row) for row in rows]


def cancel(tx: Tx, reference: str) -> Payment:
    """Closes an open payment; a captured or canceled one is answered as it is."""
    payment = get(tx, reference)
    if payment.status != "open":
        return payment
    tx.run("UPDATE payments SET status = 'canceled' WHERE reference = ?", reference)
    return _tell(tx, "payment.canceled", reference)


def pay(tx: Tx, reference: str) -> Payment:
    """One attempt of the payer: captured once however often it is pressed, or declined and still open."""
    payment = get(tx, reference)
    names = _names(payment)
    if payment.status == "captured":
        return payment
    if payment.status == "canceled" and not take(tx, "payment", Effect.LATE_CAPTURE, names):
        raise Problem(409, "payment_canceled", "this payment is closed")
    decline = take(tx, "payment", Effect.DECLINE, names) if payment.status == "open" else None
    if decline:
        return decline_attempt(tx, reference, decline.reason or "card_declined")
    fee = (payment.amount * tx.config.fee_basis_points + 5_000) // 10_000
    tx.run(
        "UPDATE payments SET status = 'captured', fee = ?, decline_reason = NULL"
        " WHERE reference = ?",
        fee,
        reference,
    )
    if not take(tx, "payment", Effect.SETTLE_LATER, names):
        _settle(tx, get(tx, reference))
    return _tell(tx, "payment.captured", reference)


def decline_attempt(tx: Tx, reference: str, reason: str) -> Payment:
    """The payer's attempt fails; the payment stays open. A closed payment is answered as it is."""
    if get(tx, reference).status != "open":
        return get(tx, reference)
    tx.run("UPDATE payments SET decline_reason = ? WHERE reference = ?", reason, reference)
    return _tell(tx, "payment.declined", reference)


def advance(tx: Tx, reference: str) -> Payment:
    """Settles a captured payment that was told to settle later."""
    payment = get(tx, reference)
    if payment.status != "captured":
        raise Problem(409, "not_captured", "only a captured payment settles")
    if payment.settled:
        return payment
    _settle(tx, payment)
    return _tell(tx, "payment.settled", reference)


def _settle(tx: Tx, payment: Payment) -> None:
    tx.run("UPDATE payments SET settled = 1 WHERE reference = ?", payment.reference)
    book(tx, "payment", payment.reference, payment.subject, payment.amount, payment.currency)
    book(tx, "fee", payment.reference, payment.subject, -payment.fee, payment.currency)


def _names(payment: Payment) -> tuple[str, ...]:
    return payment.subject, payment.operation_id, payment.reference


def _tell(tx: Tx, event_type: str, reference: str) -> Payment:
    payment = get(tx, reference)
    data = {
        "subject": payment.subject,
        "reference": payment.reference,
        "operation_id": payment.operation_id,
        "status": payment.status,
    }
    emit(tx, "payments", event_type, data, _names(payment))
    return payment
