"""Disputes: amount and fee leave at once; the amount comes back when the dispute is won, the fee never."""

from __future__ import annotations

from providers.sandbox_server import payments
from providers.sandbox_server.booking import book
from providers.sandbox_server.events import emit
from providers.sandbox_server.problems import Problem
from providers.sandbox_server.records import CloseDispute, Dispute, NewDispute
from providers.sandbox_server.refunds import taken_back
from providers.sandbox_server.store import Tx, new_reference


def open_dispute(tx: Tx, payment_reference: str, wish: NewDispute) -> Dispute:
    """The payer's bank takes back all or part of a captured payment."""
    payment = payments.get(tx, payment_reference)
    left = payment.amount - taken_back(tx, payment_reference)
    amount = wish.amount or left
    if payment.status != "captured" or not 1 <= amount <= left:
        raise Problem(409, "dispute_impossible", f"at most {left} minor units can be disputed")
    reference = new_reference("sdsp")
    tx.run(
        "INSERT INTO disputes (reference, payment_reference, operation_id, subject, status, amount,"
        " currency, fee, reason, created_at) VALUES (?, ?, ?, ?, 'open', ?, ?, ?, ?, ?)",
        reference,
        payment_reference,
        payment.operation_id,
        payment.subject,
        amount,
        payment.currency,
        tx.config.dispute_fee,
        wish.reason,
        tx.moment,
    )
    dispute = get(tx, reference)
    book(tx, "dispute", reference, payment.subject, -amount, payment.currency)
    book(tx, "dispute_fee", reference, payment.subject, -dispute.fee, payment.currency)
    _tell(tx, "dispute.opened", dispute)
    return dispute


def get(tx: Tx, reference: str) -> Dispute:
    """One dispute."""
    row = tx.one("SELECT * FROM disputes WHERE reference = ?", reference)
    if row is None:
        raise Problem(404, "not_found", "no such dispute")
    return Dispute.model_validate(row)


def listed(tx: Tx, payment_reference: str | None, limit: int) -> list[Dispute]:
    """Disputes, newest first."""
    if payment_reference is None:
        rows = tx.all("SELECT * FROM disputes ORDER BY id DESC LIMIT ?", limit)
    else:
        rows = tx.all(
            "SELECT * FROM disputes WHERE payment_reference = ? ORDER BY id DESC LIMIT ?",
            payment_reference,
            limit,
        )
    return [Dispute.model_validate(row) for row in rows]


def close(tx: Tx, reference: str, verdict: CloseDispute) -> Dispute:
    """The bank decides; the same verdict twice changes nothing."""
    dispute = get(tx, reference)
    status = "won" if verdict.won else "lost"
    if dispute.status == status:
        return dispute
    if dispute.status != "open":
        raise Problem(409, "already_final", f"this dispute is {dispute.status}")
    tx.run("UPDATE disputes SET status = ? WHERE reference = ?", status, reference)
    if verdict.won:
        book(tx, "dispute_return", reference, dispute.subject, dispute.amount, dispute.currency)
    closed = get(tx, reference)
    _tell(tx, "dispute.closed", closed)
    return closed


def _tell(tx: Tx, event_type: str, dispute: Dispute) -> None:
    data = {
        "subject": dispute.subject,
        "reference": dispute.reference,
        "operation_id": dispute.operation_id,
        "status": dispute.status,
    }
    names = (dispute.subject, dispute.reference, dispute.payment_reference)
    emit(tx, "payments", event_type, data, names)
