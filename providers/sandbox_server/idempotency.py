"""Same key and same body: the same object. Anything else under a used key is refused. Keys never expire."""

from __future__ import annotations

import hashlib
from typing import Literal

from providers.sandbox_server.problems import Problem
from providers.sandbox_server.records import (
    NewCard,
    NewEvidence,
    NewPayee,
    NewPayment,
    NewPayout,
    NewRefund,
)
from providers.sandbox_server.store import Tx

_Kind = Literal["payments", "cards", "refunds", "payouts", "payees"]
_Made = NewPayment | NewCard | NewRefund | NewPayout | NewPayee


def _fingerprint(body: _Made | NewEvidence) -> str:
    # Without what was left out: a field that is new here must not change the fingerprints of stored keys.
    return hashlib.sha256(body.model_dump_json(exclude_none=True).encode()).hexdigest()


def replayed(tx: Tx, kind: _Kind, key: str, body: _Made) -> str | None:
    """The reference that this key already made, or None for a new request."""
    reference = _known(tx, kind, key, _fingerprint(body))
    if reference is None and tx.number(
        f"SELECT 1 FROM {kind} WHERE operation_id = ?", body.operation_id
    ):
        raise Problem(409, "operation_id_reused", "this operation_id was used under another key")
    return reference


def remember(tx: Tx, kind: _Kind, key: str, body: _Made, reference: str) -> None:
    """Ties the key to what it made."""
    _keep(tx, kind, key, _fingerprint(body), reference)


def attempted(tx: Tx, key: str, payment_reference: str) -> bool:
    """Whether this key has already made its attempt to charge that payment."""
    return _known(tx, "retries", key, payment_reference) is not None


def remember_extension(tx: Tx, key: str, payment_reference: str) -> None:
    """Ties the key to the payment whose money may stay longer."""
    _keep(tx, "holds", key, payment_reference, payment_reference)


def extended(tx: Tx, key: str, payment_reference: str) -> bool:
    """Whether this key has extended it already. Refused as a problem: the key of another payment."""
    return _known(tx, "holds", key, payment_reference) is not None


def remember_attempt(tx: Tx, key: str, payment_reference: str) -> None:
    """Ties the key to the payment it tried to charge."""
    _keep(tx, "retries", key, payment_reference, payment_reference)


def handed_in(tx: Tx, key: str, dispute_reference: str, body: NewEvidence | None) -> bool:
    """Whether this key has already answered that dispute: with the evidence, or given in without."""
    return _known(tx, "disputes", key, _of_dispute(dispute_reference, body)) is not None


def remember_handed_in(tx: Tx, key: str, dispute_reference: str, body: NewEvidence | None) -> None:
    """Ties the key to the answer it gave."""
    _keep(tx, "disputes", key, _of_dispute(dispute_reference, body), dispute_reference)


def _of_dispute(reference: str, body: NewEvidence | None) -> str:
    return f"{reference} {_fingerprint(body) if body else 'accepted'}"


def _known(tx: Tx, operation: str, key: str, fingerprint: str) -> str | None:
    row = tx.one(
        "SELECT fingerprint, reference FROM idempotency_keys WHERE operation = ? AND key = ?",
        operation,
        key,
    )
    if row is None:
        return None
    if row["fingerprint"] != fingerprint:
        raise Problem(422, "idempotency_key_reused", "this key came with another request before")
    return str(row["reference"])


def _keep(tx: Tx, operation: str, key: str, fingerprint: str, reference: str) -> None:
    tx.run(
        "INSERT INTO idempotency_keys (operation, key, fingerprint, reference) VALUES (?, ?, ?, ?)",
        operation,
        key,
        fingerprint,
        reference,
    )
