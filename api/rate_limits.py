"""How often a caller may ask: counted for each user, else for each client address, by class of operation.

Every route is wrapped by `limited`: it counts what is asked without a token, and webhooks by their sender; `api.auth`
counts for the user as soon as it knows whose the token is. The headers are those of
https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/
"""

from __future__ import annotations

import copy
import ipaddress
import math
import time
from collections.abc import Collection
from enum import StrEnum
from typing import cast

from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from limits import RateLimitItemPerSecond
from limits.aio.storage import MemoryStorage, Storage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from limits.storage import storage_from_string
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import RateLimited, response_of
from api.gates import STEP_UP
from runtime.logging import logger
from runtime.rates import WINDOW_SECONDS
from runtime.settings import Settings

_COUNT = "baigong.count"
_READING = frozenset({"GET", "HEAD"})
_UNCOUNTED = frozenset({"health", "readiness"})
"""What watches the platform asks these, and they cost nothing."""
_UPLOADS = frozenset({"uploadFile"})
_WEBHOOKS = frozenset({"receiveProviderWebhook", "receiveCarrierWebhook"})
MONEY = STEP_UP | {
    "placeSale",
    "placeOrder",
    "fundContest",
    "fundTender",
    "fundMatchCall",
    "topUpMatchCall",
    "fundProductionOrder",
    "pledge",
    "changePledge",
    "mendPledge",
    "acceptRefundAsBalance",
    "refundReturn",
}
"""Acts that start a payment, move money or say where it goes."""
_PER_USER = "_optional_user"
_log = logger("api.rate_limits")


class Class(StrEnum):
    """Classes of operations; each has its limit in the settings under this name."""

    GUESTS = "guests"
    READS = "reads"
    WRITES = "writes"
    MONEY = "money"
    UPLOADS = "uploads"
    WEBHOOKS = "webhooks"


def class_of(operation: str, methods: Collection[str]) -> Class | None:
    """The class of an operation for somebody who is signed in; None when it is not counted."""
    if operation in _UNCOUNTED:
        return None
    if operation in _WEBHOOKS:
        return Class.WEBHOOKS
    if operation in _UPLOADS:
        return Class.UPLOADS
    if operation in MONEY:
        return Class.MONEY
    return Class.READS if _READING.issuperset(methods) else Class.WRITES


class _Memory(MemoryStorage):
    """Looks for what has expired once a second; the library does so at each request, over all callers."""

    _looked_at = 0.0

    async def _MemoryStorage__schedule_expiry(self) -> None:
        now = time.monotonic()
        if now - self._looked_at >= 1:
            self._looked_at = now
            await super()._MemoryStorage__schedule_expiry()  # type: ignore[misc]


class RateLimiter:
    """Counts for one process, or for all that share the storage of the settings."""

    def __init__(self, settings: Settings) -> None:
        storage = _Memory()
        if settings.rate_limit_storage is not None:
            storage = cast(_Memory, storage_from_string(settings.rate_limit_storage))
        self._storage: Storage = storage
        self._windows = SlidingWindowCounterRateLimiter(self._storage)
        self._proxies = settings.trusted_proxies
        limits = settings.rate_limits
        self._limits = {
            kind: RateLimitItemPerSecond(most, WINDOW_SECONDS, kind)
            for kind in Class
            if (most := getattr(limits, kind))
        }

    async def count(self, kind: Class, caller: str) -> dict[str, str]:
        """Counts one request; the headers that tell the caller what is left. Raises RateLimited.

        A storage that is down lets everything pass: limits are not worth an outage.
        """
        limit = self._limits.get(kind)
        if limit is None:
            return {}
        try:
            passed = await self._windows.hit(limit, caller)
            reset_at, left = await self._windows.get_window_stats(limit, caller)
        except Exception as down:
            _log.warning("rate limits cannot be counted", error=repr(down))
            return {}
        seconds = max(1, math.ceil(reset_at - time.time()))
        headers = {
            "RateLimit-Policy": f'"{kind}";q={limit.amount};w={WINDOW_SECONDS}',
            "RateLimit": f'"{kind}";r={left};t={seconds}',
        }
        if not passed:
            raise RateLimited(
                f"too many requests of the class {kind}",
                accepted=f"{limit.amount} in {WINDOW_SECONDS} seconds",
                headers={**headers, "Retry-After": str(seconds)},
            )
        return headers

    def address(self, request: Request) -> str:
        """Whom a request without a token comes from: an address, or the network of a whole IPv6 site.

        The header X-Forwarded-For counts only as far as it was written by the trusted proxies of the settings.
        """
        address = request.client.host if request.client else ""
        if self._proxies:
            hops = ",".join(request.headers.getlist("x-forwarded-for")).split(",")
            address = hops[-self._proxies].strip() if len(hops) >= self._proxies else address
        try:
            known = ipaddress.ip_address(address)
        except ValueError:
            return address[:64]
        if isinstance(known, ipaddress.IPv6Address):
            return str(ipaddress.ip_network((known, 64), strict=False))
        return address


class Count:
    """The one count of a request, made when it is known for whom."""

    def __init__(self, limiter: RateLimiter, kind: Class, address: str) -> None:
        self._limiter = limiter
        self._kind = kind
        self._address = address
        self.headers: dict[str, str] = {}

    async def for_guest(self) -> None:
        """Counts for the client's address. Raises RateLimited."""
        await self._counted(Class.GUESTS, self._address)

    async def for_user(self, user_id: str) -> None:
        """Counts for a user. Raises RateLimited."""
        await self._counted(self._kind, user_id)

    async def for_sender(self, sender: str) -> None:
        """Counts for a sender of webhooks. Raises RateLimited.

        Together with the address, so that nobody who knows no secret uses up what a payment company may send.
        """
        await self._counted(Class.WEBHOOKS, f"{sender} {self._address}")

    async def _counted(self, kind: Class, caller: str) -> None:
        try:
            self.headers = await self._limiter.count(kind, caller)
        except RateLimited as refused:
            self.headers = dict(refused.headers)
            raise


def count_of(request: Request) -> Count | None:
    """What counts this request; None for applications that count nothing."""
    return cast(Count | None, request.scope.get(_COUNT))


def limited(route: APIRoute, limiter: RateLimiter) -> APIRoute:
    """The same route, counted."""
    kind = class_of(route.operation_id or "", route.methods or ())
    if kind is None:
        return route
    counted = copy.copy(route)
    counted.app = _Limited(route.app, limiter, kind, knows_user=_knows_user(route.dependant))
    return counted


def _knows_user(dependant: Dependant) -> bool:
    return any(
        getattr(each.call, "__name__", "") == _PER_USER or _knows_user(each)
        for each in dependant.dependencies
    )


class _Limited:
    def __init__(
        self, app: ASGIApp, limiter: RateLimiter, kind: Class, *, knows_user: bool
    ) -> None:
        self._app = app
        self._limiter = limiter
        self._kind = kind
        self._knows_user = knows_user

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        count = scope[_COUNT] = Count(self._limiter, self._kind, self._limiter.address(request))

        async def telling(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(count.headers)
            await send(message)

        try:
            if self._kind is Class.WEBHOOKS:
                await count.for_sender(request.url.path[:64])
            elif not (self._knows_user and "authorization" in request.headers):
                await count.for_guest()
        except RateLimited as refused:
            await response_of(request, refused)(scope, receive, telling)
        else:
            await self._app(scope, receive, telling)
