"""Payouts: debited when submitted, credited back when the bank refuses or returns them."""

from __future__ import annotations

from datetime import datetime

from providers.sandbox_server import idempotency
from providers.sandbox_server.behaviours import take
from providers.sandbox_server.booking import balance, book
from providers.sandbox_server.events import emit
from providers.sandbox_server.lookup import Which, rows
from providers.sandbox_server.problems import Problem
from providers.sandbox_server.records import (
    INSUFFICIENT_BALANCE,
    AdvancePayout,
    Effect,
    NewPayout,
    Payout,
    PayoutState,
)
from providers.sandbox_server.store import Tx, new_reference

_NEXT: dict[PayoutState, tuple[PayoutState, ...]] = {
    "in_transit": ("paid", "failed", "returned"),
    "paid": ("returned",),
    "failed": (),
    "returned": (),
}


def create(tx: Tx, key: str, wish: NewPayout) -> tuple[Payout, bool]:
    """A payout on its way, and whether it is new. It has already failed when the balance is too low."""
    reference = idempotency.replayed(tx, "payouts", key, wish)
    if reference is not None:
        return get(tx, reference), False
    reference = new_reference("spyo")
    plan, reason, return_seconds = _plan(tx, (wish.subject, wish.operation_id))
    tx.run(
        "INSERT INTO payouts (reference, operation_id, subject, status, amount, currency,"
        " destination, holder, fee, created_at, plan, plan_reason, return_seconds, due_at)"
        " VALUES (?, ?, ?, 'in_transit', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        reference,
        wish.operation_id,
        wish.subject,
        wish.amount,
        wish.currency,
        wish.destination,
        wish.holder,
        tx.config.payout_fee,
        tx.moment,
        plan,
        reason,
        return_seconds,
        None if plan == "hold" else tx.later(tx.config.payout_seconds),
    )
    idempotency.remember(tx, "payouts", key, wish, reference)
    _submit(tx, get(tx, reference))
    return get(tx, reference), True


def _plan(tx: Tx, names: tuple[str, ...]) -> tuple[str, str | None, float]:
    if failing := take(tx, "payout", Effect.PAYOUT_FAILED, names):
        return "fail", failing.reason, 0
    if take(tx, "payout", Effect.PAYOUT_HOLD, names):
        return "hold", None, 0
    if returning := take(tx, "payout", Effect.PAYOUT_RETURNED, names):
        return "return", returning.reason, returning.seconds
    return "pay", None, 0


def _submit(tx: Tx, payout: Payout) -> None:
    if balance(tx, payout.currency) < payout.amount + payout.fee:
        _set(tx, payout, "failed", INSUFFICIENT_BALANCE)
        return
    book(tx, "payout", payout.reference, payout.subject, -payout.amount, payout.currency)
    book(tx, "payout_fee", payout.reference, payout.subject, -payout.fee, payout.currency)


def get(tx: Tx, reference: str) -> Payout:
    """One payout."""
    row = tx.one("SELECT * FROM payouts WHERE reference = ?", reference)
    if row is None:
        raise Problem(404, "not_found", "no such payout")
    return Payout.model_validate(row)


def listed(tx: Tx, which: Which) -> list[Payout]:
    """Payouts, newest first."""
    return [Payout.model_validate(row) for row in rows(tx, "payouts", which)]


def advance(tx: Tx, reference: str, step: AdvancePayout) -> Payout:
    """What the payee's bank says next. A paid payout can still be returned; failed and returned are final."""
    payout = get(tx, reference)
    if payout.status == step.to:
        return payout
    if step.to not in _NEXT[payout.status]:
        raise Problem(409, "already_final", f"this payout is {payout.status}")
    if step.to in ("failed", "returned"):
        _credit_back(tx, payout, with_fee=step.to == "failed")
    _set(tx, payout, step.to, step.reason)
    return get(tx, reference)


def next_steps(status: PayoutState) -> dict[PayoutState, str]:
    """What a person can make the bank say next, with button texts."""
    texts: dict[PayoutState, str] = {
        "paid": "到账 Paid",
        "failed": "失败 Failed",
        "returned": "退回 Returned",
    }
    return {step: texts[step] for step in _NEXT[status]}


def _credit_back(tx: Tx, payout: Payout, *, with_fee: bool) -> None:
    book(tx, "payout_return", payout.reference, payout.subject, payout.amount, payout.currency)
    if with_fee:
        book(tx, "payout_fee_return", payout.reference, payout.subject, payout.fee, payout.currency)


def _set(tx: Tx, payout: Payout, status: PayoutState, reason: str | None) -> None:
    bad = status in ("failed", "returned")
    tx.run(
        "UPDATE payouts SET status = ?1, failure_reason = ?2, due_at = NULL,"
        " fee = CASE ?1 WHEN 'failed' THEN 0 ELSE fee END WHERE reference = ?3",
        status,
        reason or "account_closed" if bad else None,
        payout.reference,
    )
    data = {
        "subject": payout.subject,
        "reference": payout.reference,
        "operation_id": payout.operation_id,
        "status": status,
    }
    names = (payout.subject, payout.operation_id, payout.reference)
    emit(tx, "payments", f"payout.{status}", data, names)


def run_due(tx: Tx) -> None:
    """Ends every payout whose time in transit, or whose time until its return, is over."""
    found = tx.all("SELECT * FROM payouts WHERE due_at <= ? ORDER BY due_at, id", tx.moment)
    for row in found:
        payout = Payout.model_validate(row)
        reason = str(row["plan_reason"]) if row["plan_reason"] else None
        if payout.status == "paid":
            advance(tx, payout.reference, AdvancePayout(to="returned", reason=reason))
            continue
        failing = row["plan"] == "fail"
        step = AdvancePayout(to="failed" if failing else "paid", reason=reason)
        advance(tx, payout.reference, step)
        if row["plan"] == "return":
            tx.run(
                "UPDATE payouts SET due_at = ? WHERE reference = ?",
                tx.later(float(row["return_seconds"] or 0)),
                payout.reference,
            )


def next_due(tx: Tx) -> datetime | None:
    """When the next payout moves by itself."""
    row = tx.one("SELECT MIN(due_at) AS due_at FROM payouts WHERE due_at IS NOT NULL")
    return datetime.fromisoformat(str(row["due_at"])) if row and row["due_at"] else None
