"""Webhooks: written in the transaction of what they tell, sent by the dispatcher, kept as a log."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from providers.sandbox_server.behaviours import any_on, take_for_event
from providers.sandbox_server.config import secret_bytes
from providers.sandbox_server.problems import Problem
from providers.sandbox_server.records import Behaviour, Channel, Delivery, Effect, Endpoint
from providers.sandbox_server.store import Tx, new_reference

# A webhook held back for reordering waits for the one it was told to follow.
_SENDABLE = (
    "state IN ('pending', 'held') AND NOT EXISTS (SELECT 1 FROM deliveries AS first"
    " WHERE first.id = deliveries.after_id AND first.state IN ('pending', 'held'))"
)


@dataclass(frozen=True, slots=True)
class Due:
    """A webhook to send now."""

    id: int
    event_id: str
    channel: str
    body: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """How sending a webhook once ended: with the status of an answer, or with what went wrong."""

    delivery_id: int
    status: int | None
    error: str | None


def emit(
    tx: Tx, channel: Channel, event_type: str, data: Mapping[str, str], names: tuple[str, ...]
) -> None:
    """Queues one event. The first of `names` is its subject; any of them can match a misbehaviour."""
    body = json.dumps(
        {"type": event_type, "timestamp": tx.moment, "data": dict(data)}, ensure_ascii=False
    )
    event_id = new_reference("evt")
    state, due_at, copies = _plan(tx, names, event_type, event_id)
    for _copy in range(copies):
        row = _insert(tx, channel, event_type, names[0], body, event_id, state, due_at)
    if state != "dropped":
        tx.run(
            "UPDATE deliveries SET state = 'pending', due_at = ?, after_id = ?"
            " WHERE state = 'held' AND channel = ? AND event_id <> ?",
            tx.moment,
            row,
            channel,
            event_id,
        )


def _plan(
    tx: Tx, names: tuple[str, ...], event_type: str, event_id: str
) -> tuple[str, str | None, int]:
    """State, due moment and number of copies of a new webhook, as the switches say."""
    if not any_on(tx, "webhook"):
        return "pending", tx.moment, 1

    def told(effect: Effect) -> Behaviour | None:
        return take_for_event(tx, effect, names, event_type, event_id)

    if told(Effect.DROP):
        return "dropped", None, 1
    held, delay = told(Effect.REORDER), told(Effect.DELAY)
    copies = 2 if told(Effect.DUPLICATE) else 1
    if held:
        return "held", tx.later(held.seconds) if held.seconds else None, copies
    return "pending", tx.later(delay.seconds) if delay else tx.moment, copies


def _insert(
    tx: Tx,
    channel: Channel,
    event_type: str,
    subject: str,
    body: str,
    event_id: str,
    state: str,
    due_at: str | None,
) -> int:
    return tx.run(
        "INSERT INTO deliveries"
        " (channel, event_type, subject, body, event_id, state, due_at, created_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        channel,
        event_type,
        subject,
        body,
        event_id,
        state,
        due_at,
        tx.moment,
    )


def due(tx: Tx, limit: int) -> list[Due]:
    """Webhooks to send now, the longest due first."""
    rows = tx.connection.execute(
        f"SELECT id, event_id, channel, body FROM deliveries WHERE {_SENDABLE} AND due_at <= ?"
        " ORDER BY due_at, id LIMIT ?",
        (tx.moment, limit),
    )
    return [Due(*row) for row in rows]


def next_due(tx: Tx) -> datetime | None:
    """When the next webhook that is not yet due will be."""
    row = tx.one(
        "SELECT MIN(due_at) AS due_at FROM deliveries"
        " WHERE state IN ('pending', 'held') AND due_at > ?",
        tx.moment,
    )
    return datetime.fromisoformat(str(row["due_at"])) if row and row["due_at"] else None


def record_attempt(tx: Tx, attempt: Attempt) -> None:
    """Notes how one attempt went and plans the next one when it did not arrive."""
    status = attempt.status
    if status is not None and 200 <= status < 300:
        tx.run(
            "UPDATE deliveries SET state = 'delivered', attempts = attempts + 1, due_at = NULL,"
            " last_status = ?, last_error = NULL, delivered_at = ? WHERE id = ?",
            status,
            tx.moment,
            attempt.delivery_id,
        )
        return
    delivery = get(tx, attempt.delivery_id)
    waits = tx.config.retry_seconds
    wait = waits[min(delivery.attempts, len(waits) - 1)]
    given_up = (tx.now - delivery.created_at).total_seconds() > tx.config.give_up_seconds
    tx.run(
        "UPDATE deliveries SET state = ?, attempts = attempts + 1, due_at = ?,"
        " last_status = ?, last_error = ? WHERE id = ?",
        "given_up" if given_up else "pending",
        None if given_up else tx.later(wait),
        status,
        attempt.error,
        delivery.id,
    )


def get(tx: Tx, delivery_id: int) -> Delivery:
    """One webhook of the log."""
    row = tx.one("SELECT * FROM deliveries WHERE id = ?", delivery_id)
    if row is None:
        raise Problem(404, "not_found", "no such delivery")
    return Delivery.model_validate(row)


def listed(tx: Tx, limit: int, subject: str | None = None) -> list[Delivery]:
    """The log, newest first."""
    if subject is None:
        rows = tx.all("SELECT * FROM deliveries ORDER BY id DESC LIMIT ?", limit)
    else:
        rows = tx.all(
            "SELECT * FROM deliveries WHERE subject = ? ORDER BY id DESC LIMIT ?", subject, limit
        )
    return [Delivery.model_validate(row) for row in rows]


def redeliver(tx: Tx, delivery_id: int) -> Delivery:
    """Sends a webhook again, or for the first time when it was dropped or held."""
    get(tx, delivery_id)
    tx.run(
        "UPDATE deliveries SET state = 'pending', due_at = ?, after_id = NULL WHERE id = ?",
        tx.moment,
        delivery_id,
    )
    return get(tx, delivery_id)


def signed_headers(secret: str, event_id: str, body: str, now: datetime) -> dict[str, str]:
    """Headers of one attempt per Standard Webhooks: id of the event, time of the attempt, HMAC-SHA256."""
    seconds = int(now.timestamp())
    signed = f"{event_id}.{seconds}.{body}".encode()
    digest = hmac.new(secret_bytes(secret), signed, hashlib.sha256).digest()
    return {
        "content-type": "application/json",
        "webhook-id": event_id,
        "webhook-timestamp": str(seconds),
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }


def endpoint(tx: Tx) -> Endpoint:
    """Where webhooks go now."""
    chosen = {str(row["channel"]): str(row["url"]) for row in tx.all("SELECT * FROM endpoints")}
    return Endpoint(
        url=chosen.get("payments", tx.config.webhook_url),
        carrier_url=chosen.get("carrier", tx.config.carrier_url),
    )


def set_endpoint(tx: Tx, wish: Endpoint) -> Endpoint:
    """Overrides the configured addresses until `reset_endpoint`, also across restarts."""
    for channel, url in (("payments", wish.url), ("carrier", wish.carrier_url)):
        if url is not None:
            tx.run("INSERT OR REPLACE INTO endpoints (channel, url) VALUES (?, ?)", channel, url)
    return endpoint(tx)


def reset_endpoint(tx: Tx) -> Endpoint:
    """Back to the configured addresses."""
    tx.run("DELETE FROM endpoints")
    return endpoint(tx)
