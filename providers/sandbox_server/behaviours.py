"""Switches for misbehaviour: each is used up `times` times by the operations it matches."""

from __future__ import annotations

import hashlib

from providers.sandbox_server.problems import Problem
from providers.sandbox_server.records import Behaviour, Effect, NewBehaviour, Operation
from providers.sandbox_server.store import Tx

_ANSWERS = (Effect.UNAVAILABLE, Effect.ANSWER_LOST, Effect.CONNECTION_CUT, Effect.DELAY)

EFFECTS: dict[Operation, tuple[Effect, ...]] = {
    "payment": (Effect.DECLINE, Effect.SETTLE_LATER, Effect.LATE_CAPTURE, *_ANSWERS),
    "card": (Effect.DECLINE, *_ANSWERS),
    "charge": (Effect.DECLINE, Effect.SETTLE_LATER, *_ANSWERS),
    "refund": (Effect.REFUND_REFUSED, Effect.REFUND_PENDING, *_ANSWERS),
    "dispute": _ANSWERS,
    "payout": (
        Effect.PAYOUT_AWAIT_PAYEE,
        Effect.PAYOUT_FAILED,
        Effect.PAYOUT_HOLD,
        Effect.PAYOUT_RETURNED,
        *_ANSWERS,
    ),
    "payee": _ANSWERS,
    "webhook": (Effect.DELAY, Effect.DUPLICATE, Effect.REORDER, Effect.DROP),
    "hold": (Effect.HOLD_REFUSED, *_ANSWERS),
    "statement": (
        Effect.LINE_MISSING,
        Effect.LINE_DOUBLED,
        Effect.LINE_AMOUNT,
        Effect.LINE_CURRENCY,
        Effect.LINE_SIGN,
        Effect.LINE_KIND,
        Effect.LINE_SUBJECT,
        Effect.LINE_LATE,
        Effect.BALANCE_OFF,
    ),
    "cancel": _ANSWERS,
    "read": _ANSWERS,
}
"""What each operation can be told to do wrong."""


def add(tx: Tx, wish: NewBehaviour) -> Behaviour:
    """Stores a switch; refuses an effect that its operation does not have."""
    accepted = EFFECTS[wish.operation]
    if wish.effect not in accepted:
        raise Problem(422, "effect_unknown", f"{wish.operation} can be told: {', '.join(accepted)}")
    if wish.effect is Effect.DELAY and wish.seconds == 0:
        raise Problem(422, "seconds_missing", "delay needs seconds above 0")
    if wish.percent != 100 and wish.operation != "webhook":
        raise Problem(422, "percent_impossible", "only webhook effects take a percent")
    row = tx.one(
        "INSERT INTO behaviours"
        " (operation, effect, times_left, subject, event, percent, seconds, reason)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING *",
        wish.operation,
        wish.effect.value,
        wish.times,
        wish.subject,
        wish.event,
        wish.percent,
        wish.seconds,
        wish.reason,
    )
    return Behaviour.model_validate(row)


def listed(tx: Tx, limit: int | None = None) -> list[Behaviour]:
    """The switches that are on, oldest first; all without a limit."""
    rows = tx.all("SELECT * FROM behaviours ORDER BY id LIMIT ?", -1 if limit is None else limit)
    return [Behaviour.model_validate(row) for row in rows]


def count(tx: Tx) -> int:
    """How many switches are on."""
    return tx.number("SELECT COUNT(*) FROM behaviours")


def remove(tx: Tx, behaviour_id: int) -> None:
    """Switches one off; an unknown one is already off."""
    tx.run("DELETE FROM behaviours WHERE id = ?", behaviour_id)


def clear(tx: Tx) -> None:
    """Switches everything off."""
    tx.run("DELETE FROM behaviours")


def any_on(tx: Tx, operation: Operation) -> bool:
    """Whether an operation has any switch at all; without one there is nothing to take."""
    return tx.number("SELECT 1 FROM behaviours WHERE operation = ? LIMIT 1", operation) == 1


def take(tx: Tx, operation: Operation, effect: Effect, names: tuple[str, ...]) -> Behaviour | None:
    """Uses up one turn of the oldest switch that matches any of the names, or answers None."""
    found = _matching(tx, operation, effect, names, None)
    return _used(tx, found[0]) if found else None


def take_for_event(
    tx: Tx, effect: Effect, names: tuple[str, ...], event_type: str, event_id: str
) -> Behaviour | None:
    """Like `take` for a webhook, leaving aside the switches whose share this event does not fall into."""
    for found in _matching(tx, "webhook", effect, names, event_type):
        # Its own share for every switch: what one drops must not be all that another would duplicate.
        roll = hashlib.blake2b(f"{found.id} {event_id}".encode(), digest_size=8).digest()
        if int.from_bytes(roll) % 100 < found.percent:
            return _used(tx, found)
    return None


def take_for_line(tx: Tx, effect: Effect, names: tuple[str, ...], kind: str) -> Behaviour | None:
    """Like `take` for a line of the statement, leaving aside the switches for other kinds of lines."""
    found = _matching(tx, "statement", effect, names, kind)
    return _used(tx, found[0]) if found else None


def _matching(
    tx: Tx, operation: Operation, effect: Effect, names: tuple[str, ...], event: str | None
) -> list[Behaviour]:
    marks = ", ".join("?" * len(names))
    which = "SELECT * FROM behaviours WHERE operation = ? AND effect = ?"
    # Two searches of the index on (operation, effect, subject); one with OR would read every subject's switch.
    rows = tx.all(
        f"{which} AND subject IS NULL UNION ALL {which} AND subject IN ({marks}) ORDER BY id",
        operation,
        effect.value,
        operation,
        effect.value,
        *names,
    )
    return [Behaviour.model_validate(row) for row in rows if row["event"] in (None, event)]


def _used(tx: Tx, found: Behaviour) -> Behaviour:
    if found.times_left > 1:
        tx.run("UPDATE behaviours SET times_left = times_left - 1 WHERE id = ?", found.id)
    else:
        tx.run("DELETE FROM behaviours WHERE id = ?", found.id)
    return found
