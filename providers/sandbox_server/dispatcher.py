"""The background task: sends due webhooks, retries them, and lets payouts arrive."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
from datetime import datetime

import httpx

from providers.sandbox_server import events, payouts
from providers.sandbox_server.config import SandboxConfig
from providers.sandbox_server.records import Delivery
from providers.sandbox_server.store import Store, Tx

_CONCURRENT = 8
_LONGEST_SLEEP_SECONDS = 5.0

log = logging.getLogger(__name__)


class Dispatcher:
    """Works off what the tables say is due. All its state is in the tables, so a restart loses nothing;
    a webhook whose answer was not recorded is sent again."""

    def __init__(self, store: Store, config: SandboxConfig, wake: asyncio.Event) -> None:
        self._store = store
        self._config = config
        self._wake = wake
        self._sending: dict[int, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Until cancelled."""
        timeout = self._config.delivery_timeout_seconds
        async with httpx.AsyncClient(timeout=timeout, trust_env=False) as client:
            try:
                while True:
                    self._wake.clear()
                    await self._rest(self._step(client))
            finally:
                for task in self._sending.values():
                    task.cancel()
                await asyncio.gather(*self._sending.values(), return_exceptions=True)

    def _step(self, client: httpx.AsyncClient) -> float:
        try:
            self._move_payouts()
            with self._store.reading() as tx:
                for delivery in events.due(tx, 2 * _CONCURRENT):
                    self._start(client, delivery)
                return self._seconds_until_next(tx)
        except sqlite3.Error:
            log.exception("the store cannot be used now")
            return _LONGEST_SLEEP_SECONDS

    def _move_payouts(self) -> None:
        # Looks before it writes: every commit wakes this task again.
        with self._store.reading() as tx:
            moment = payouts.next_due(tx)
            waiting = moment is None or moment > tx.now
        if not waiting:
            with self._store.transaction() as tx:
                payouts.run_due(tx)

    def _start(self, client: httpx.AsyncClient, delivery: Delivery) -> None:
        if delivery.id in self._sending or len(self._sending) >= _CONCURRENT:
            return
        task = asyncio.create_task(self._send(client, delivery))
        self._sending[delivery.id] = task
        task.add_done_callback(lambda done: self._ended(delivery.id, done))

    def _ended(self, delivery_id: int, task: asyncio.Task[None]) -> None:
        self._sending.pop(delivery_id, None)
        if not task.cancelled() and (error := task.exception()):
            log.error("webhook %s: %r", delivery_id, error)
        self._wake.set()

    async def _send(self, client: httpx.AsyncClient, delivery: Delivery) -> None:
        with self._store.reading() as tx:
            endpoint = events.endpoint(tx)
        carrier = delivery.channel == "carrier"
        secret = self._config.carrier_secret if carrier else self._config.webhook_secret
        headers = events.signed_headers(
            secret, delivery.event_id, delivery.body, self._config.clock()
        )
        status: int | None = None
        error: str | None = None
        try:
            answer = await client.post(
                str(endpoint.carrier_url if carrier else endpoint.url),
                content=delivery.body.encode(),
                headers=headers,
            )
            status = answer.status_code
        except (httpx.HTTPError, httpx.InvalidURL) as failure:
            error = f"{type(failure).__name__}: {failure}"[:300]
        with self._store.transaction() as tx:
            events.record_attempt(tx, delivery.id, status, error)

    def _seconds_until_next(self, tx: Tx) -> float:
        moments: list[datetime] = [
            moment for moment in (events.next_due(tx), payouts.next_due(tx)) if moment is not None
        ]
        waits = [(moment - tx.now).total_seconds() for moment in moments]
        return min([_LONGEST_SLEEP_SECONDS, *waits])

    async def _rest(self, seconds: float) -> None:
        # Not wait_for(): before Python 3.12 it swallows a cancellation that meets a wake-up.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(seconds, 0.0)):
                await self._wake.wait()
