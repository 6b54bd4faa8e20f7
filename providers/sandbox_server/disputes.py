"""Disputes: amount and fee leave at once; the amount comes back when the dispute is won, the fee never.

open -> under_review (evidence has come) -> won | lost; given in, it is lost at once. A bank may decide anew.
"""

from __future__ import annotations

import base64
import binascii
import hashlib

from providers.sandbox_server import idempotency, payments
from providers.sandbox_server.booking import book
from providers.sandbox_server.events import emit
from providers.sandbox_server.problems import Problem
from providers.sandbox_server.records import (
    EVIDENCE_BYTES,
    CloseDispute,
    Dispute,
    Evidence,
    EvidenceFile,
    NewDispute,
    NewEvidence,
)
from providers.sandbox_server.refunds import taken_back
from providers.sandbox_server.store import Tx, new_reference

_UNDECIDED = ("open", "under_review")


def open_dispute(tx: Tx, payment_reference: str, wish: NewDispute) -> Dispute:
    """The payer's bank takes back all or part of a captured payment, or more than that when it is told to."""
    payment = payments.get(tx, payment_reference)
    left = payment.amount - taken_back(tx, payment_reference)
    amount = wish.amount or left
    if payment.status != "captured" or amount < 1 or (amount > left and not wish.over):
        raise Problem(409, "dispute_impossible", f"at most {left} minor units can be disputed")
    reference = new_reference("sdsp")
    tx.run(
        "INSERT INTO disputes (reference, payment_reference, operation_id, subject, status, amount,"
        " currency, fee, reason, created_at, due_by) VALUES (?, ?, ?, ?, 'open', ?, ?, ?, ?, ?, ?)",
        reference,
        payment_reference,
        payment.operation_id,
        payment.subject,
        amount,
        payment.currency,
        tx.config.dispute_fee,
        wish.reason,
        tx.moment,
        tx.later(wish.due_seconds),
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


def hand_in(tx: Tx, key: str, reference: str, wish: NewEvidence) -> Dispute:
    """The client's evidence, taken once and in time; the same key and body change nothing."""
    dispute = get(tx, reference)
    if idempotency.handed_in(tx, key, reference, wish):
        return dispute
    if dispute.status == "under_review":
        raise Problem(409, "evidence_submitted", "evidence is taken once")
    _require_undecided(dispute)
    if tx.now > dispute.due_by:
        raise Problem(409, "evidence_too_late", f"evidence was due by {dispute.due_by.isoformat()}")
    _require_readable(wish.files)
    tx.run(
        "INSERT INTO dispute_evidence (dispute_reference, operation_id, body, received_at)"
        " VALUES (?, ?, ?, ?)",
        reference,
        key,
        wish.model_dump_json(),
        tx.moment,
    )
    idempotency.remember_handed_in(tx, key, reference, wish)
    return _becomes(tx, dispute, "under_review")


def _require_readable(files: tuple[EvidenceFile, ...]) -> None:
    """Refuses files that are too large together, or not what their digests say."""
    total = 0
    for each in files:
        if each.content is None:
            continue
        try:
            content = base64.b64decode(each.content, altchars=b"-_", validate=True)
        except binascii.Error:
            raise Problem(422, "invalid_request", f"{each.name} is not base64") from None
        total += len(content)
        digest = hashlib.sha256(content).hexdigest()
        if (digest, len(content)) != (each.sha256, each.size_bytes):
            raise Problem(422, "digest_mismatch", f"{each.name} is not what its digest says")
    if total > EVIDENCE_BYTES:
        raise Problem(413, "evidence_too_large", f"at most {EVIDENCE_BYTES} bytes of files")


def evidence(tx: Tx, reference: str) -> Evidence:
    """What was handed in to a dispute."""
    row = tx.one("SELECT * FROM dispute_evidence WHERE dispute_reference = ?", reference)
    if row is None:
        raise Problem(404, "not_found", "no evidence was handed in")
    body = NewEvidence.model_validate_json(str(row["body"]))
    return Evidence.model_validate({**row, "evidence": body})


def accept(tx: Tx, key: str, reference: str) -> Dispute:
    """The client gives in: the dispute is lost at once. The same key changes nothing."""
    dispute = get(tx, reference)
    if idempotency.handed_in(tx, key, reference, None):
        return dispute
    _require_undecided(dispute)
    idempotency.remember_handed_in(tx, key, reference, None)
    tx.run("UPDATE disputes SET accepted = 1 WHERE reference = ?", reference)
    return _becomes(tx, dispute, "lost")


def close(tx: Tx, reference: str, verdict: CloseDispute) -> Dispute:
    """The bank decides; the same verdict twice changes nothing, another one only when it decides anew."""
    dispute = get(tx, reference)
    status = "won" if verdict.won else "lost"
    if dispute.status == status:
        return dispute
    if not verdict.anew:
        _require_undecided(dispute)
    if verdict.won:
        book(tx, "dispute_return", reference, dispute.subject, dispute.amount, dispute.currency)
    elif dispute.status == "won":
        book(tx, "dispute", reference, dispute.subject, -dispute.amount, dispute.currency)
    return _becomes(tx, dispute, status)


def _require_undecided(dispute: Dispute) -> None:
    if dispute.status not in _UNDECIDED:
        raise Problem(409, "already_final", f"this dispute is {dispute.status}")


def _becomes(tx: Tx, dispute: Dispute, status: str) -> Dispute:
    tx.run("UPDATE disputes SET status = ? WHERE reference = ?", status, dispute.reference)
    moved = get(tx, dispute.reference)
    _tell(tx, "dispute.updated" if status in _UNDECIDED else "dispute.closed", moved)
    return moved


def _tell(tx: Tx, event_type: str, dispute: Dispute) -> None:
    data = {
        "subject": dispute.subject,
        "reference": dispute.reference,
        "operation_id": dispute.operation_id,
        "status": dispute.status,
    }
    names = (dispute.subject, dispute.reference, dispute.payment_reference)
    emit(tx, "payments", event_type, data, names)
