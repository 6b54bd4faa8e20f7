"""Same key and same body: the same object. Anything else under a used key is refused. Keys never expire."""

from __future__ import annotations

import hashlib
from typing import Literal

from providers.sandbox_server.problems import Problem
from providers.sandbox_server.records import NewPayment, NewPayout, NewRefund
from providers.sandbox_server.store import Tx

_Kind = Literal["payments", "refunds", "payouts"]


def _fingerprint(body: NewPayment | NewRefund | NewPayout) -> str:
    return hashlib.sha256(body.model_dump_json().encode()).hexdigest()


def replayed(tx: Tx, kind: _Kind, key: str, body: NewPayment | NewRefund | NewPayout) -> str | None:
    """The reference that this key already made, or None for a new request."""
    row = tx.one("SELECT * FROM idempotency_keys WHERE operation = ? AND key = ?", kind, key)
    if row is None:
        if tx.one(f"SELECT 1 FROM {kind} WHERE operation_id = ?", body.operation_id):
            raise Problem(
                409, "operation_id_reused", "this operation_id was used under another key"
            )
        return None
    if row["fingerprint"] != _fingerprint(body):
        raise Problem(422, "idempotency_key_reused", "this key came with another body before")
    return str(row["reference"])


def remember(
    tx: Tx, kind: _Kind, key: str, body: NewPayment | NewRefund | NewPayout, reference: str
) -> None:
    """Ties the key to what it made."""
    tx.run(
        "INSERT INTO idempotency_keys (operation, key, fingerprint, reference) VALUES (?, ?, ?, ?)",
        kind,
        key,
        _fingerprint(body),
        reference,
    )
