"""Saved cards: a page opened by the client, a card saved or declined on it by its holder, charged later."""

from __future__ import annotations

from providers.sandbox_server import idempotency
from providers.sandbox_server.behaviours import take
from providers.sandbox_server.events import emit
from providers.sandbox_server.lookup import Which, rows
from providers.sandbox_server.problems import Problem
from providers.sandbox_server.records import Card, CardState, Effect, NewCard
from providers.sandbox_server.store import Tx, Value, new_reference

HOLDER_DECLINED = "declined_by_payer"


def create(tx: Tx, key: str, wish: NewCard) -> tuple[Card, bool]:
    """A page on which a card can be saved at once, and whether it is new."""
    reference = idempotency.replayed(tx, "cards", key, wish)
    if reference is not None:
        return get(tx, reference), False
    reference = new_reference("scrd")
    row = tx.one(
        "INSERT INTO cards (reference, operation_id, subject, status, currency, description,"
        " return_url, created_at) VALUES (?, ?, ?, 'open', ?, ?, ?, ?) RETURNING *",
        reference,
        wish.operation_id,
        wish.subject,
        wish.currency,
        wish.description,
        wish.return_url,
        tx.moment,
    )
    idempotency.remember(tx, "cards", key, wish, reference)
    return Card.model_validate(row), True


def get(tx: Tx, reference: str) -> Card:
    """One card."""
    row = tx.one("SELECT * FROM cards WHERE reference = ?", reference)
    if row is None:
        raise Problem(404, "not_found", "no such card")
    return Card.model_validate(row)


def listed(tx: Tx, which: Which) -> list[Card]:
    """Cards, newest first."""
    return [Card.model_validate(row) for row in rows(tx, "cards", which)]


def close(tx: Tx, reference: str) -> Card:
    """Closes an open page; a saved or canceled card is answered as it is."""
    card = get(tx, reference)
    return _cancel(tx, card) if card.status == "open" else card


def release(tx: Tx, reference: str) -> Card:
    """Closes an open page or forgets a saved card; a canceled one is answered as it is."""
    card = get(tx, reference)
    return _cancel(tx, card) if card.status != "canceled" else card


def save(tx: Tx, reference: str) -> Card:
    """One try of the holder: saved once however often it is pressed, or declined and still open."""
    card = get(tx, reference)
    if card.status == "saved":
        return card
    if card.status == "canceled":
        raise Problem(409, "card_canceled", "this page is closed")
    declined = take(tx, "card", Effect.DECLINE, names(card))
    if declined:
        return decline(tx, reference, declined.reason or "card_declined")
    return _tell(tx, "card.saved", _set(tx, card, "saved", None))


def decline(tx: Tx, reference: str, reason: str) -> Card:
    """The holder's try fails; the page stays open. A saved or canceled card is answered as it is."""
    card = get(tx, reference)
    if card.status != "open":
        return card
    return _tell(tx, "card.declined", _set(tx, card, "open", reason))


def names(card: Card) -> tuple[str, ...]:
    """What a misbehaviour can call this card."""
    return card.subject, card.operation_id, card.reference


def _cancel(tx: Tx, card: Card) -> Card:
    return _tell(tx, "card.canceled", _set(tx, card, "canceled", card.decline_reason))


def _set(tx: Tx, card: Card, status: CardState, decline_reason: Value) -> Card:
    row = tx.one(
        "UPDATE cards SET status = ?, decline_reason = ? WHERE reference = ? RETURNING *",
        status,
        decline_reason,
        card.reference,
    )
    return Card.model_validate(row)


def _tell(tx: Tx, event_type: str, card: Card) -> Card:
    data = {
        "subject": card.subject,
        "reference": card.reference,
        "operation_id": card.operation_id,
        "status": card.status,
    }
    emit(tx, "payments", event_type, data, names(card))
    return card
