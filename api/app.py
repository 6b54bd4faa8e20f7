"""Puts the API together: services, middleware, routes, errors, OpenAPI document."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

import httpx
from asgi_correlation_id import CorrelationIdMiddleware
from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi.routing import APIRoute
from fastapi_offline import FastAPIOffline
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_fastapi_instrumentator import Instrumentator
from temporalio.client import Client

from api import errors, openapi, routes
from api.metrics import Connections
from api.middleware import BodyLimit, RequestContext, valid_correlation_id
from api.rate_limits import RateLimiter, limited
from api.services import Services
from api.tokens import TokenVerifier
from db.engine import Database
from providers.registry import ProviderRegistry, build_providers
from runtime.settings import Settings
from runtime.storage import FileStore
from runtime.temporal import connect

_BODY_BYTES = 1_048_576
_DESCRIPTION = """\
Baigong 百工, the back end of a handicraft crowd-creation platform.

* Amounts are whole minor units (fen, cents, yen) with an ISO 4217 code.
* Every POST but webhooks and one-tap links needs an `Idempotency-Key`; repeating a request with its key repeats the answer.
* Refusals are RFC 9457 problem documents; `code` is stable, `GET /problems` explains each.
* Lists are pages: pass `next` of one page as `after` of the following one.
"""


def create_app(
    settings: Settings,
    *,
    database: Database | None = None,
    temporal: Client | None = None,
    providers: ProviderRegistry | None = None,
) -> FastAPI:
    """The application. What is not passed in is built when it starts and closed when it stops.

    Neither the database nor Temporal nor the issuer has to be up at the start: requests that need one that is down
    are answered with 503. Raises ValueError when `settings` name no database and none is passed in.
    """
    if database is None and settings.database_url is None:
        raise ValueError("BAIGONG_DATABASE_URL is not set")
    # The documentation page brings its own scripts: it works on a machine without the internet.
    app = FastAPIOffline(
        redoc_url=None,
        title="Baigong",
        version="0.1.0",
        description=_DESCRIPTION,
        redirect_slashes=False,
        openapi_tags=[{"name": tag} for tag in routes.TAGS],
        lifespan=lifespan_of(settings, database, temporal, providers),
    )
    app.state.base_url = settings.api_url
    errors.install(app)
    openapi.install(app)
    _add_middleware(app, settings.cors_origins)
    limiter = RateLimiter(settings)
    for router in routes.ROUTERS:
        # `include_router` would have every request, and its metrics, look through the routers one by one.
        app.router.routes.extend(
            limited(route, limiter) if isinstance(route, APIRoute) else route
            for route in router.routes
        )
    return app


def _add_middleware(app: FastAPI, origins: Sequence[str]) -> None:
    """From the inside out: each one added goes around those before it."""
    # Uploads have a limit of their own, which their route applies.
    app.add_middleware(BodyLimit, limit=_BODY_BYTES, unlimited=frozenset({"/v1/files"}))
    app.add_middleware(RequestContext)
    registry = CollectorRegistry()
    for collector in (ProcessCollector, PlatformCollector, GCCollector):
        collector(registry=registry)
    registry.register(Connections(app))
    Instrumentator(registry=registry, excluded_handlers=["/metrics"]).instrument(app).expose(
        app, include_in_schema=False
    )
    app.add_middleware(CorrelationIdMiddleware, validator=valid_correlation_id)
    if origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "Idempotency-Key", "X-Request-ID"],
            expose_headers=[
                "Idempotency-Replayed",
                "RateLimit",
                "RateLimit-Policy",
                "Retry-After",
                "X-Request-ID",
            ],
        )


def lifespan_of(
    settings: Settings,
    database: Database | None = None,
    temporal: Client | None = None,
    providers: ProviderRegistry | None = None,
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    """Builds the services when the application starts, and closes them when it stops."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            app.state.services = await _build(stack, settings, database, temporal, providers)
            yield

    return lifespan


async def _build(
    stack: AsyncExitStack,
    settings: Settings,
    database: Database | None,
    temporal: Client | None,
    providers: ProviderRegistry | None,
) -> Services:
    if database is None:
        url = settings.database_url
        if url is None:
            raise ValueError("BAIGONG_DATABASE_URL is not set")
        database = Database(url.get_secret_value(), settings.database_pool_size)
        stack.push_async_callback(database.aclose)
    if providers is None:
        providers = await stack.enter_async_context(build_providers(settings))
    http = await stack.enter_async_context(httpx.AsyncClient(timeout=3.0, follow_redirects=False))
    return Services(
        settings=settings,
        database=database,
        temporal=temporal or await connect(settings),
        files=FileStore.of(settings),
        providers=providers,
        verifier=TokenVerifier(settings.issuer_url, settings.audience, http),
    )
