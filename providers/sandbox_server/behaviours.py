"""Switches for misbehaviour: each is used up `times` times by the operations it matches."""

from __future__ import annotations

from providers.sandbox_server.problems import Problem
from providers.sandbox_server.records import Behaviour, Effect, NewBehaviour, Operation
from providers.sandbox_server.store import Tx

_ANSWERS = (Effect.UNAVAILABLE, Effect.ANSWER_LOST, Effect.CONNECTION_CUT, Effect.DELAY)

EFFECTS: dict[Operation, tuple[Effect, ...]] = {
    "payment": (Effect.DECLINE, Effect.SETTLE_LATER, Effect.LATE_CAPTURE, *_ANSWERS),
    "refund": (Effect.REFUND_REFUSED, Effect.REFUND_PENDING, *_ANSWERS),
    "payout": (Effect.PAYOUT_FAILED, Effect.PAYOUT_HOLD, Effect.PAYOUT_RETURNED, *_ANSWERS),
    "webhook": (Effect.DELAY, Effect.DUPLICATE, Effect.REORDER, Effect.DROP),
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
    row = tx.run(
        "INSERT INTO behaviours (operation, effect, times_left, subject, event, seconds, reason)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        wish.operation,
        wish.effect.value,
        wish.times,
        wish.subject,
        wish.event,
        wish.seconds,
        wish.reason,
    )
    return Behaviour.model_validate(tx.one("SELECT * FROM behaviours WHERE id = ?", row))


def listed(tx: Tx) -> list[Behaviour]:
    """All switches that are on, oldest first."""
    return [Behaviour.model_validate(row) for row in tx.all("SELECT * FROM behaviours ORDER BY id")]


def remove(tx: Tx, behaviour_id: int) -> None:
    """Switches one off; an unknown one is already off."""
    tx.run("DELETE FROM behaviours WHERE id = ?", behaviour_id)


def clear(tx: Tx) -> None:
    """Switches everything off."""
    tx.run("DELETE FROM behaviours")


def take(
    tx: Tx, operation: Operation, effect: Effect, names: tuple[str, ...], event: str | None = None
) -> Behaviour | None:
    """Uses up one turn of the oldest switch that matches any of the names, or answers None."""
    marks = ", ".join("?" * len(names))
    row = tx.one(
        "SELECT * FROM behaviours WHERE operation = ? AND effect = ?"
        f" AND (subject IS NULL OR subject IN ({marks})) AND (event IS NULL OR event = ?)"
        " ORDER BY id LIMIT 1",
        operation,
        effect.value,
        *names,
        event,
    )
    if row is None:
        return None
    found = Behaviour.model_validate(row)
    tx.run("UPDATE behaviours SET times_left = times_left - 1 WHERE id = ?", found.id)
    tx.run("DELETE FROM behaviours WHERE times_left <= 0")
    return found
