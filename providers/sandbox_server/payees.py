"""Payees whom this company verifies before it pays them."""

from __future__ import annotations

import json

from providers.sandbox_server import idempotency
from providers.sandbox_server.events import emit
from providers.sandbox_server.lookup import Which, rows
from providers.sandbox_server.problems import Problem
from providers.sandbox_server.records import AdvancePayee, NewPayee, Payee
from providers.sandbox_server.store import Tx, Value, new_reference

_FIRST = ("identity_document",)


def create(tx: Tx, key: str, wish: NewPayee) -> tuple[Payee, bool]:
    """A payee who is to prove who they are, and whether they are new here."""
    reference = idempotency.replayed(tx, "payees", key, wish)
    if reference is not None:
        return get(tx, reference), False
    reference = new_reference("spye")
    tx.run(
        "INSERT INTO payees (reference, operation_id, subject, status, requirements, created_at)"
        " VALUES (?, ?, ?, 'pending', ?, ?)",
        reference,
        wish.operation_id,
        wish.subject,
        json.dumps(_FIRST),
        tx.moment,
    )
    idempotency.remember(tx, "payees", key, wish, reference)
    return get(tx, reference), True


def get(tx: Tx, reference: str) -> Payee:
    """One payee."""
    row = tx.one("SELECT * FROM payees WHERE reference = ?", reference)
    if row is None:
        raise Problem(404, "not_found", "no such payee")
    return _payee(tx, row)


def listed(tx: Tx, which: Which) -> list[Payee]:
    """Payees, newest first."""
    return [_payee(tx, row) for row in rows(tx, "payees", which)]


def advance(tx: Tx, reference: str, step: AdvancePayee) -> Payee:
    """What has become of the verification; any state can follow any other."""
    payee = get(tx, reference)
    tx.run(
        "UPDATE payees SET status = ?, requirements = ? WHERE reference = ?",
        step.to,
        json.dumps(step.requirements),
        reference,
    )
    data = {"subject": payee.subject, "reference": reference, "status": step.to}
    emit(tx, "payments", "payee.updated", data, (payee.subject, payee.operation_id, reference))
    return get(tx, reference)


def _payee(tx: Tx, row: dict[str, Value]) -> Payee:
    requirements = json.loads(str(row["requirements"]))
    url = f"{tx.config.base_url}/payee/{row['reference']}"
    return Payee.model_validate({**row, "requirements": requirements, "url": url})
