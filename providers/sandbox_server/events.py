"""Webhooks: written in the transaction of what they tell, sent by the dispatcher, kept as a log."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import datetime

from providers.sandbox_server.behaviours import take
from providers.sandbox_server.config import secret_bytes
from providers.sandbox_server.problems import Problem
from providers.sandbox_server.records import Channel, Delivery, Effect, Endpoint
from providers.sandbox_server.store import Tx, new_reference, stamp

# A webhook held back for reordering waits for the one it was told to follow.
_SENDABLE = (
    "state IN ('pending', 'held') AND NOT EXISTS (SELECT 1 FROM deliveries AS first"
    " WHERE first.id = deliveries.after_id AND first.state IN ('pending', 'held'))"
)


def emit(
    tx: Tx, channel: Channel, event_type: str, data: Mapping[str, str], names: tuple[str, ...]
) -> None:
    """Queues one event. The first of `names` is its subject; any of them can match a misbehaviour."""
    body = json.dumps(
        {"type": event_type, "timestamp": stamp(tx.now), "data": dict(data)}, ensure_ascii=False
    )
    event_id = new_reference("evt")
    if take(tx, "webhook", Effect.DROP, names, event_type):
        _insert(tx, channel, event_type, names[0], body, event_id, "dropped", None)
        return
    held = take(tx, "webhook", Effect.REORDER, names, event_type)
    delay = take(tx, "webhook", Effect.DELAY, names, event_type)
    copies = 2 if take(tx, "webhook", Effect.DUPLICATE, names, event_type) else 1
    state = "held" if held else "pending"
    due_at: str | None = tx.later(delay.seconds if delay else 0)
    if held:
        due_at = tx.later(held.seconds) if held.seconds else None
    for _copy in range(copies):
        row = _insert(tx, channel, event_type, names[0], body, event_id, state, due_at)
    tx.run(
        "UPDATE deliveries SET state = 'pending', due_at = ?, after_id = ?"
        " WHERE state = 'held' AND channel = ? AND event_id <> ?",
        stamp(tx.now),
        row,
        channel,
        event_id,
    )


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
        stamp(tx.now),
    )


def due(tx: Tx, limit: int) -> list[Delivery]:
    """Webhooks to send now, the longest due first."""
    rows = tx.all(
        f"SELECT * FROM deliveries WHERE {_SENDABLE} AND due_at <= ? ORDER BY due_at, id LIMIT ?",
        stamp(tx.now),
        limit,
    )
    return [Delivery.model_validate(row) for row in rows]


def next_due(tx: Tx) -> datetime | None:
    """When the next webhook that is not yet due will be."""
    row = tx.one(
        "SELECT MIN(due_at) AS due_at FROM deliveries"
        " WHERE state IN ('pending', 'held') AND due_at > ?",
        stamp(tx.now),
    )
    return datetime.fromisoformat(str(row["due_at"])) if row and row["due_at"] else None


def record_attempt(tx: Tx, delivery_id: int, status: int | None, error: str | None) -> None:
    """Notes how one attempt went and plans the next one when it did not arrive."""
    if status is not None and 200 <= status < 300:
        tx.run(
            "UPDATE deliveries SET state = 'delivered', attempts = attempts + 1, due_at = NULL,"
            " last_status = ?, last_error = NULL, delivered_at = ? WHERE id = ?",
            status,
            stamp(tx.now),
            delivery_id,
        )
        return
    delivery = get(tx, delivery_id)
    waits = tx.config.retry_seconds
    wait = waits[min(delivery.attempts, len(waits) - 1)]
    given_up = (tx.now - delivery.created_at).total_seconds() > tx.config.give_up_seconds
    tx.run(
        "UPDATE deliveries SET state = ?, attempts = attempts + 1, due_at = ?,"
        " last_status = ?, last_error = ? WHERE id = ?",
        "given_up" if given_up else "pending",
        None if given_up else tx.later(wait),
        status,
        error,
        delivery_id,
    )


def get(tx: Tx, delivery_id: int) -> Delivery:
    """One webhook of the log."""
    row = tx.one("SELECT * FROM deliveries WHERE id = ?", delivery_id)
    if row is None:
        raise Problem(404, "not_found", "no such delivery")
    return Delivery.model_validate(row)


def listed(tx: Tx, limit: int, subject: str | None = None) -> list[Delivery]:
    """The log, newest first."""
    rows = tx.all(
        "SELECT * FROM deliveries WHERE (?1 IS NULL OR subject = ?1) ORDER BY id DESC LIMIT ?2",
        subject,
        limit,
    )
    return [Delivery.model_validate(row) for row in rows]


def redeliver(tx: Tx, delivery_id: int) -> Delivery:
    """Sends a webhook again, or for the first time when it was dropped or held."""
    get(tx, delivery_id)
    tx.run(
        "UPDATE deliveries SET state = 'pending', due_at = ?, after_id = NULL WHERE id = ?",
        stamp(tx.now),
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
