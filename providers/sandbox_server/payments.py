"""Payments: made by the client, then paid or declined by a payer on the pay page, or charged to a saved card."""

from __future__ import annotations

from providers.sandbox_server import cards, idempotency
from providers.sandbox_server.behaviours import any_on, take
from providers.sandbox_server.booking import book
from providers.sandbox_server.events import emit
from providers.sandbox_server.lookup import Which, rows
from providers.sandbox_server.problems import Problem
from providers.sandbox_server.records import Card, Effect, NewPayment, Payment
from providers.sandbox_server.store import Tx, Value, new_reference

PAYER_DECLINED = "declined_by_payer"


def create(tx: Tx, key: str, wish: NewPayment) -> tuple[Payment, bool]:
    """A payment that can be paid at once, or has just been charged to its card; and whether it is new.

    Refused as a problem: a card that is unknown, not saved, or of another currency.
    """
    reference = idempotency.replayed(tx, "payments", key, wish)
    if reference is not None:
        return get(tx, reference), False
    card = _chargeable(tx, wish.card_reference, wish.currency) if wish.card_reference else None
    reference = new_reference("spay")
    row = tx.one(
        "INSERT INTO payments (reference, operation_id, subject, status, amount, currency,"
        " description, return_url, card_reference, created_at)"
        " VALUES (?, ?, ?, 'open', ?, ?, ?, ?, ?, ?) RETURNING *",
        reference,
        wish.operation_id,
        wish.subject,
        wish.amount,
        wish.currency,
        wish.description,
        wish.return_url,
        wish.card_reference,
        tx.moment,
    )
    idempotency.remember(tx, "payments", key, wish, reference)
    payment = Payment.model_validate(row)
    return _attempt(tx, payment, card) if card else payment, True


def retry(tx: Tx, key: str, reference: str) -> Payment:
    """One more attempt to charge the saved card of an open payment; a captured one is answered as it is.

    The same key makes one attempt. Refused as a problem: no charge, a closed payment, a released card.
    """
    payment = get(tx, reference)
    if idempotency.attempted(tx, key, reference):
        return payment
    if payment.card_reference is None:
        raise Problem(409, "not_a_charge", "this payment has no saved card")
    if payment.status == "captured":
        return payment
    if payment.status == "canceled":
        raise _closed()
    card = _chargeable(tx, payment.card_reference, payment.currency)
    idempotency.remember_attempt(tx, key, reference)
    return _attempt(tx, payment, card)


def get(tx: Tx, reference: str) -> Payment:
    """One payment."""
    row = tx.one("SELECT * FROM payments WHERE reference = ?", reference)
    if row is None:
        raise Problem(404, "not_found", "no such payment")
    return Payment.model_validate(row)


def listed(tx: Tx, which: Which) -> list[Payment]:
    """Payments, newest first."""
    return [Payment.model_validate(row) for row in rows(tx, "payments", which)]


def cancel(tx: Tx, reference: str) -> Payment:
    """Closes an open payment; a captured or canceled one is answered as it is."""
    payment = get(tx, reference)
    if payment.status != "open":
        return payment
    return _tell(tx, "payment.canceled", _set(tx, payment, "status = 'canceled'"))


def pay(tx: Tx, reference: str) -> Payment:
    """One attempt of the payer: captured once however often it is pressed, or declined and still open."""
    payment = get(tx, reference)
    names = _names(payment)
    if payment.status == "captured":
        return payment
    if payment.status == "canceled" and not take(tx, "payment", Effect.LATE_CAPTURE, names):
        raise _closed()
    decline = take(tx, "payment", Effect.DECLINE, names) if payment.status == "open" else None
    if decline:
        return _declined(tx, payment, decline.reason or "card_declined")
    return _capture(tx, payment, settled=not take(tx, "payment", Effect.SETTLE_LATER, names))


def decline_attempt(tx: Tx, reference: str, reason: str) -> Payment:
    """The payer's attempt fails; the payment stays open. A closed payment is answered as it is."""
    payment = get(tx, reference)
    return _declined(tx, payment, reason) if payment.status == "open" else payment


def advance(tx: Tx, reference: str) -> Payment:
    """Settles a captured payment that was told to settle later."""
    payment = get(tx, reference)
    if payment.status != "captured":
        raise Problem(409, "not_captured", "only a captured payment settles")
    if payment.settled:
        return payment
    _book(tx, payment)
    return _tell(tx, "payment.settled", _set(tx, payment, "settled = 1"))


def refusal_to_hold(tx: Tx, key: str, reference: str) -> Problem | None:
    """Why the money may not stay longer: nothing captured, or this company does not extend."""
    payment = get(tx, reference)
    if idempotency.extended(tx, key, reference):
        return None
    if payment.status != "captured":
        return Problem(409, "not_captured", "only captured money is held")
    told = take(tx, "hold", Effect.HOLD_REFUSED, _names(payment))
    if told or tx.config.hold_extension_days == 0:
        return Problem(409, "hold_not_extended", "this money may not stay any longer")
    return None


def extend_hold(tx: Tx, key: str, reference: str) -> Payment:
    """The money of a captured payment may stay longer from now; the same key extends it once."""
    payment = get(tx, reference)
    if idempotency.extended(tx, key, reference):
        return payment
    idempotency.remember_extension(tx, key, reference)
    tx.run(
        "UPDATE payments SET hold_until = ? WHERE reference = ?",
        tx.later(tx.config.hold_extension_days * 86_400),
        reference,
    )
    return get(tx, reference)


def _chargeable(tx: Tx, card_reference: str, currency: str) -> Card:
    card = cards.get(tx, card_reference)
    if card.status != "saved":
        raise Problem(409, "card_not_saved", f"this card is {card.status}")
    if card.currency != currency:
        raise Problem(422, "currency_mismatch", f"the card is in {card.currency}")
    return card


def _attempt(tx: Tx, payment: Payment, card: Card) -> Payment:
    """Charges a saved card: its holder is away, so nobody but the bank says yes or no."""
    if not any_on(tx, "charge"):
        return _capture(tx, payment, settled=True)
    names = (*_names(payment), *cards.names(card))
    decline = take(tx, "charge", Effect.DECLINE, names)
    if decline:
        return _declined(tx, payment, decline.reason or "card_declined")
    return _capture(tx, payment, settled=not take(tx, "charge", Effect.SETTLE_LATER, names))


def _capture(tx: Tx, payment: Payment, *, settled: bool) -> Payment:
    fee = (payment.amount * tx.config.fee_basis_points + 5_000) // 10_000
    change = "status = 'captured', decline_reason = NULL, fee = ?, settled = ?"
    captured = _set(tx, payment, change, fee, settled)
    if settled:
        _book(tx, captured)
    return _tell(tx, "payment.captured", captured)


def _declined(tx: Tx, payment: Payment, reason: str) -> Payment:
    return _tell(tx, "payment.declined", _set(tx, payment, "decline_reason = ?", reason))


def _set(tx: Tx, payment: Payment, change: str, *values: Value) -> Payment:
    row = tx.one(
        f"UPDATE payments SET {change} WHERE reference = ? RETURNING *", *values, payment.reference
    )
    return Payment.model_validate(row)


def _book(tx: Tx, payment: Payment) -> None:
    book(tx, "payment", payment.reference, payment.subject, payment.amount, payment.currency)
    book(tx, "fee", payment.reference, payment.subject, -payment.fee, payment.currency)


def _closed() -> Problem:
    return Problem(409, "payment_canceled", "this payment is closed")


def _names(payment: Payment) -> tuple[str, ...]:
    return payment.subject, payment.operation_id, payment.reference


def _tell(tx: Tx, event_type: str, payment: Payment) -> Payment:
    data = {
        "subject": payment.subject,
        "reference": payment.reference,
        "operation_id": payment.operation_id,
        "status": payment.status,
    }
    emit(tx, "payments", event_type, data, _names(payment))
    return payment
