"""The background task: sends due webhooks, retries them, and lets payouts arrive."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
from collections import deque
from datetime import datetime

from providers.sandbox_server import events, payouts
from providers.sandbox_server.config import SandboxConfig
from providers.sandbox_server.events import Attempt, Due
from providers.sandbox_server.records import Endpoint
from providers.sandbox_server.sender import Sender, SendFailed
from providers.sandbox_server.store import Store, Tx

_CONCURRENT = 32
_AHEAD = 256
"""How many due webhooks are read at once; what is read is sent before more is read."""
_LONGEST_SLEEP_SECONDS = 5.0

log = logging.getLogger(__name__)


class Dispatcher:
    """Works off what the tables say is due. All its state is in the tables, so a restart loses nothing;
    a webhook whose answer was not recorded is sent again."""

    def __init__(self, store: Store, config: SandboxConfig, wake: asyncio.Event) -> None:
        self._store = store
        self._config = config
        self._wake = wake
        self._waiting: deque[Due] = deque()
        self._sending: dict[int, asyncio.Task[None]] = {}
        """Webhooks on their way, by id; one stays until its attempt is recorded."""
        self._ended: list[Attempt] = []

    async def run(self) -> None:
        """Until cancelled."""
        sender = Sender(self._config.delivery_timeout_seconds)
        try:
            while True:
                await self._rest(self._turn(sender))
        finally:
            for task in self._sending.values():
                task.cancel()
            await asyncio.gather(*self._sending.values(), return_exceptions=True)
            sender.close()
            with contextlib.suppress(sqlite3.Error):
                self._record()

    def _turn(self, sender: Sender) -> float:
        """Writes down what ended since the last turn, starts what can start, and says how long to rest."""
        try:
            self._record()
            self._move_payouts()
            # After the commits of this turn, which call for no other; nothing else runs in between.
            self._wake.clear()
            with self._store.reading() as tx:
                self._start(sender, tx)
                return self._seconds_until_next(tx)
        except sqlite3.Error:
            log.exception("the store cannot be used now")
            self._wake.clear()
            return _LONGEST_SLEEP_SECONDS

    def _record(self) -> None:
        if not self._ended:
            return
        with self._store.transaction() as tx:
            for attempt in self._ended:
                events.record_attempt(tx, attempt)
        for attempt in self._ended:
            self._sending.pop(attempt.delivery_id, None)
        self._ended.clear()

    def _move_payouts(self) -> None:
        # Looks before it writes: most turns have no payout to move.
        with self._store.reading() as tx:
            moment = payouts.next_due(tx)
            waiting = moment is None or moment > tx.now
        if not waiting:
            with self._store.transaction() as tx:
                payouts.run_due(tx)

    def _start(self, sender: Sender, tx: Tx) -> None:
        free = _CONCURRENT - len(self._sending)
        if free > 0 and not self._waiting:
            found = events.due(tx, _AHEAD + len(self._sending))
            self._waiting.extend(each for each in found if each.id not in self._sending)
        if free > 0 and self._waiting:
            endpoint = events.endpoint(tx)
            for _ in range(min(free, len(self._waiting))):
                due = self._waiting.popleft()
                self._sending[due.id] = asyncio.create_task(self._send(sender, due, endpoint))

    async def _send(self, sender: Sender, due: Due, endpoint: Endpoint) -> None:
        carrier = due.channel == "carrier"
        secret = self._config.carrier_secret if carrier else self._config.webhook_secret
        now = self._config.clock()
        headers = events.signed_headers(secret, due.event_id, due.body, now)
        url = str(endpoint.carrier_url if carrier else endpoint.url)
        status: int | None = None
        error: str | None = None
        try:
            status = await sender.post(url, headers, due.body.encode())
        except SendFailed as failure:
            error = str(failure)
        except Exception as failure:
            log.exception("webhook %s", due.id)
            error = repr(failure)[:300]
        self._ended.append(Attempt(due.id, status, error))
        self._wake.set()

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
