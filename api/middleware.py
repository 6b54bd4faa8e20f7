"""What happens to every request around the routes: context, size limit, one log line, no bare 500."""

from __future__ import annotations

import re
import time
from collections.abc import Collection

from asgi_correlation_id import correlation_id
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.arrival import ARRIVED
from api.errors import response_of, without_link
from runtime.correlation import CORRELATION_ID
from runtime.logging import logger, unbind_all

_CORRELATION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_QUIET = frozenset({"/healthz", "/readyz", "/metrics"})
_log = logger("api.requests")


def valid_correlation_id(value: str) -> bool:
    """Whether a caller's X-Request-ID may be used: 1 to 64 letters, digits, dots, dashes and underscores."""
    return _CORRELATION.fullmatch(value) is not None


class RequestContext:
    """Binds the correlation id, writes one log line a request, and answers unexpected errors as problems."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope[ARRIVED] = time.monotonic()
        unbind_all()
        CORRELATION_ID.set(correlation_id.get())
        started, status = time.perf_counter(), 0

        async def noting_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noting_status)
        except Exception as unexpected:
            if status:  # the answer has begun: all that is left is to break the connection
                raise
            answer = response_of(Request(scope), unexpected)
            await answer(scope, receive, noting_status)
        finally:
            milliseconds = round((time.perf_counter() - started) * 1000, 1)
            write = _log.debug if scope["path"] in _QUIET else _log.info
            write(
                "request",
                method=scope["method"],
                path=without_link(scope["path"]),
                status=status,
                milliseconds=milliseconds,
            )


class BodyLimit:
    """Refuses request bodies of more than `limit` bytes with 413, counting what really arrives."""

    def __init__(self, app: ASGIApp, limit: int, unlimited: Collection[str]) -> None:
        self._app = app
        self._limit = limit
        self._unlimited = unlimited

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in self._unlimited:
            await self._app(scope, receive, send)
            return
        seen = 0

        async def counting() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self._limit:
                raise HTTPException(413)
            return message

        await self._app(scope, counting, send)
