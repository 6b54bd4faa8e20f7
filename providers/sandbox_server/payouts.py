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
    NOT_CONFIRMED,
    PAYEE_DECLINED,
    AdvancePayout,
    Effect,
    NewPayout,
    Payout,
    PayoutState,
)
from providers.sandbox_server.store import Tx, Value, new_reference

_NEXT: dict[PayoutState, tuple[PayoutState, ...]] = {
    "awaiting_payee": ("in_transit", "failed"),
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
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        reference,
        wish.operation_id,
        wish.subject,
        "awaiting_payee" if plan == "await" else "in_transit",
        wish.amount,
        wish.currency,
        wish.destination,
        wish.holder,
        tx.config.payout_fee,
        tx.moment,
        plan,
        reason,
        return_seconds,
        _due_at(tx, plan),
    )
    idempotency.remember(tx, "payouts", key, wish, reference)
    _submit(tx, get(tx, reference))
    return get(tx, reference), True


def _due_at(tx: Tx, plan: str) -> str | None:
    if plan == "hold":
        return None
    return tx.later(tx.config.confirm_seconds if plan == "await" else tx.config.payout_seconds)


def _plan(tx: Tx, names: tuple[str, ...]) -> tuple[str, str | None, float]:
    if take(tx, "payout", Effect.PAYOUT_AWAIT_PAYEE, names):
        return "await", None, 0
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
    if payout.status == "awaiting_payee":
        _tell(tx, payout, payout.status)


def get(tx: Tx, reference: str) -> Payout:
    """One payout."""
    row = tx.one("SELECT * FROM payouts WHERE reference = ?", reference)
    if row is None:
        raise Problem(404, "not_found", "no such payout")
    return _payout(tx, row)


def listed(tx: Tx, which: Which) -> list[Payout]:
    """Payouts, newest first."""
    return [_payout(tx, row) for row in rows(tx, "payouts", which)]


def _payout(tx: Tx, row: dict[str, Value]) -> Payout:
    payout = Payout.model_validate(row)
    if payout.status != "awaiting_payee":
        return payout
    url = f"{tx.config.base_url}/payout/{payout.reference}"
    return payout.model_copy(update={"confirm_url": url})


def confirm(tx: Tx, reference: str) -> Payout:
    """The payee wants the money: it is on its way to them. Again changes nothing."""
    payout = get(tx, reference)
    if payout.status in ("in_transit", "paid"):
        return payout
    return advance(tx, reference, AdvancePayout(to="in_transit"))


def decline(tx: Tx, reference: str) -> Payout:
    """The payee does not want it. Again changes nothing."""
    payout = get(tx, reference)
    if payout.status in ("in_transit", "paid"):
        raise Problem(409, "already_final", f"this payout is {payout.status}")
    return advance(tx, reference, AdvancePayout(to="failed", reason=PAYEE_DECLINED))


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
    if step.to == "in_transit":
        due_at = tx.later(tx.config.payout_seconds)
        tx.run("UPDATE payouts SET due_at = ? WHERE reference = ?", due_at, reference)
    return get(tx, reference)


def next_steps(status: PayoutState) -> dict[PayoutState, str]:
    """What a person can make the bank say next, with button texts."""
    texts: dict[PayoutState, str] = {
        "in_transit": "收款人确认 Confirmed",
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
    _tell(tx, payout, status)


def _tell(tx: Tx, payout: Payout, status: PayoutState) -> None:
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
        payout = _payout(tx, row)
        if payout.status == "awaiting_payee":
            advance(tx, payout.reference, AdvancePayout(to="failed", reason=NOT_CONFIRMED))
            continue
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
