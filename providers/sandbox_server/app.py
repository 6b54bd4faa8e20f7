"""The sandbox as an ASGI application."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from providers.sandbox_server import api, control, hosted, pages
from providers.sandbox_server.config import SandboxConfig
from providers.sandbox_server.dispatcher import Dispatcher
from providers.sandbox_server.problems import Problem, on_http_error, on_invalid, on_problem
from providers.sandbox_server.web import Running, Sandbox


def create_app(config: SandboxConfig) -> FastAPI:
    """The sandbox on the SQLite file of `config`; its background task runs while the server does.

    Raises OSError or sqlite3.Error when the file cannot be opened.
    """
    sandbox = Sandbox(config)

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        task = asyncio.create_task(Dispatcher(sandbox.store, config, sandbox.wake).run())
        sandbox.background = task
        yield
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        sandbox.store.close()

    app = FastAPI(title="Sandbox payment company", docs_url=None, redoc_url=None, lifespan=lifespan)
    app.state.sandbox = sandbox
    app.add_exception_handler(Problem, on_problem)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(HTTPException, on_http_error)
    # The busiest first: an address is looked for from the top.
    for router in (hosted.router, api.router, control.router, control.carrier, pages.router):
        app.include_router(router)
    app.add_api_route("/healthz", health, methods=["GET"])
    return app


async def health(box: Running) -> dict[str, str]:
    """Whether the store answers and webhooks are being sent."""
    with box.store.reading() as tx:
        tx.number("SELECT 1")
    if box.background is None or box.background.done():
        raise Problem(503, "background_stopped", "webhooks are not being sent")
    return {"status": "ok"}
