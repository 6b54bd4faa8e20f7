"""Sends webhooks: small POSTs over connections that are kept open, of which only the status is read.

Not httpx: it takes five times as long for one small request, and longer the more connections it keeps.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass

import h11
import httpx

_IDLE_SECONDS = 2.0
"""Longest rest of a connection that is used again; servers hang up after 5 s and more."""
_LONGEST_ANSWER_BYTES = 65_536

_Place = tuple[str, str, int]


class SendFailed(Exception):
    """No answer came, or none that could be read."""


@dataclass
class _Connection:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    http: h11.Connection
    idle_since: float = 0.0

    def fresh(self) -> bool:
        """Whether the other side still listens, as far as one can know."""
        rested = time.monotonic() - self.idle_since
        return rested < _IDLE_SECONDS and not self.reader.at_eof()


class Sender:
    """Keeps the connections of one process. Follows no redirect and asks no proxy."""

    def __init__(self, timeout_seconds: float) -> None:
        self._timeout_seconds = timeout_seconds
        self._idle: dict[_Place, list[_Connection]] = {}

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
        """The status of the answer. Raises SendFailed."""
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await self._post(httpx.URL(url), headers, body)
        except (OSError, h11.ProtocolError, httpx.InvalidURL, ValueError, OverflowError) as failure:
            # TimeoutError and ssl.SSLError are OSErrors, UnicodeError is a ValueError, a port can overflow.
            raise SendFailed(f"{type(failure).__name__}: {failure}"[:300]) from failure

    def close(self) -> None:
        """Hangs up everywhere."""
        for connections in self._idle.values():
            for connection in connections:
                connection.writer.close()
        self._idle.clear()

    async def _post(self, url: httpx.URL, headers: Mapping[str, str], body: bytes) -> int:
        place = (url.scheme, url.host, url.port or (443 if url.scheme == "https" else 80))
        rested = self._take(place)
        if rested is not None:
            # The other side may hang up in this very moment; at worst it gets the webhook twice.
            with contextlib.suppress(OSError, h11.ProtocolError):
                return await self._exchange(place, rested, url, headers, body)
        return await self._exchange(place, await _connect(*place), url, headers, body)

    async def _exchange(
        self,
        place: _Place,
        connection: _Connection,
        url: httpx.URL,
        headers: Mapping[str, str],
        body: bytes,
    ) -> int:
        try:
            connection.writer.write(_request(connection.http, url, headers, body))
            status = await _status(connection)
        except BaseException:
            connection.writer.close()
            raise
        if connection.http.our_state is h11.DONE and connection.http.their_state is h11.DONE:
            connection.http.start_next_cycle()
            connection.idle_since = time.monotonic()
            self._idle.setdefault(place, []).append(connection)
        else:
            connection.writer.close()
        return status

    def _take(self, place: _Place) -> _Connection | None:
        waiting = self._idle.get(place, [])
        while waiting:
            connection = waiting.pop()
            if connection.fresh():
                return connection
            connection.writer.close()
        return None


async def _connect(scheme: str, host: str, port: int) -> _Connection:
    reader, writer = await asyncio.open_connection(host, port, ssl=scheme == "https" or None)
    return _Connection(reader, writer, h11.Connection(h11.CLIENT))


def _request(
    http: h11.Connection, url: httpx.URL, headers: Mapping[str, str], body: bytes
) -> bytes:
    given = {"host": url.netloc.decode(), "content-length": str(len(body)), **headers}
    head = h11.Request(method="POST", target=url.raw_path, headers=list(given.items()))
    parts = (http.send(head), http.send(h11.Data(data=body)), http.send(h11.EndOfMessage()))
    return b"".join(part for part in parts if part)


async def _status(connection: _Connection) -> int:
    """Reads a whole answer; one that is too long counts as soon as its status is there."""
    status, length = 0, 0
    while True:
        event = connection.http.next_event()
        if event is h11.NEED_DATA:
            connection.http.receive_data(await connection.reader.read(_LONGEST_ANSWER_BYTES))
        elif isinstance(event, h11.Response):
            status = event.status_code
        elif isinstance(event, h11.Data):
            length += len(event.data)
            if length > _LONGEST_ANSWER_BYTES:
                return status
        elif isinstance(event, h11.EndOfMessage):
            return status
        elif isinstance(event, h11.ConnectionClosed):
            raise ConnectionError("the other side hung up")
