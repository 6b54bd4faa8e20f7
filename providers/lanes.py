"""A transport for httpx under which many requests at once stay as quick as one."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx

_ONE = httpx.Limits(max_connections=1, max_keepalive_connections=1)
_MOST_IDLE = 32


class Lanes(httpx.AsyncBaseTransport):
    """A connection pool of one for each request under way, used again afterwards.

    One common pool looks at all its connections for every request: with 16 at once that costs more than the requests.
    """

    def __init__(self, *, tls: bool) -> None:
        # Reading the certificates takes longer than a hundred requests, so only where they are needed.
        self._tls = httpx.create_ssl_context(trust_env=False) if tls else None
        self._idle: list[httpx.AsyncHTTPTransport] = []
        self._closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Sends the request on a lane of its own. Raises UnsupportedProtocol for https without `tls`."""
        if request.url.scheme == "https" and self._tls is None:
            raise httpx.UnsupportedProtocol("made without certificates, so only for http")
        lane = self._idle.pop() if self._idle else self._new()
        try:
            response = await lane.handle_async_request(request)
        except BaseException:
            await lane.aclose()
            raise
        assert isinstance(response.stream, httpx.AsyncByteStream)
        response.stream = _Stream(response.stream, lane, self)
        return response

    async def aclose(self) -> None:
        """Closes the lanes that nobody uses; the others close when their request ends."""
        self._closed = True
        while self._idle:
            await self._idle.pop().aclose()

    async def give_back(self, lane: httpx.AsyncHTTPTransport) -> None:
        """Keeps a lane for the next request, unless there are enough."""
        if self._closed or len(self._idle) >= _MOST_IDLE:
            await lane.aclose()
        else:
            self._idle.append(lane)

    def _new(self) -> httpx.AsyncHTTPTransport:
        return httpx.AsyncHTTPTransport(verify=self._tls or False, limits=_ONE, trust_env=False)


class _Stream(httpx.AsyncByteStream):
    """An answer that frees its lane when it is closed."""

    def __init__(
        self, stream: httpx.AsyncByteStream, lane: httpx.AsyncHTTPTransport, lanes: Lanes
    ) -> None:
        self._stream = stream
        self._lane: httpx.AsyncHTTPTransport | None = lane
        self._lanes = lanes

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._stream:
            yield part

    async def aclose(self) -> None:
        await self._stream.aclose()
        lane, self._lane = self._lane, None
        if lane is not None:
            await self._lanes.give_back(lane)
