"""A platform whose parts a test can stop and start again, one by one, at the same addresses."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
from pydantic import SecretStr
from temporalio.testing import TimeSkippingConfig

from api.app import create_app as create_api
from db.engine import Database
from providers.registry import build_providers
from providers.sandbox_server.app import create_app as create_sandbox
from runtime.settings import Settings
from runtime.temporal import connect
from tests.api.issuer import Issuer
from tests.providers.harness import CARRIER_SECRET, served
from tests.servers import free_port
from tests.stories.house import AT_ONCE, House, _sandbox_config, taking_in
from tests.stories.skipping import Skipper
from worker.build import build_worker


class Part:
    """Something that runs between `start` and `stop`."""

    def __init__(self, opened: Callable[[], AbstractAsyncContextManager[object]]) -> None:
        self._opened = opened
        self._running: AsyncExitStack | None = None

    async def start(self) -> None:
        """Runs it; it must not be running."""
        self._running = AsyncExitStack()
        await self._running.enter_async_context(self._opened())

    async def stop(self) -> None:
        """Stops it; nothing happens when it does not run."""
        running, self._running = self._running, None
        if running is not None:
            await running.aclose()


@dataclass
class Parts:
    """A house and the handles of its parts."""

    house: House
    workers: Sequence[Part]
    sandbox: Part

    @property
    def worker(self) -> Part:
        """The only worker, or the first of several."""
        return self.workers[0]


@asynccontextmanager
async def house_of_parts(
    temporal_address: str,
    database_url: str,
    issuer: Issuer,
    folder: Path,
    *,
    workers: int = 1,
    payout_fee: int = 0,
    **changes: Any,
) -> AsyncIterator[Parts]:
    """A platform of its own with everything running; `changes` are settings."""
    api_port, sandbox_port = free_port(), free_port()
    settings = Settings(
        **{
            "data_dir": folder,
            "database_url": SecretStr(database_url),
            "temporal_address": temporal_address,
            "temporal_task_queue": f"parts-{api_port}",
            "issuer": issuer.url,
            "public_url": f"http://127.0.0.1:{api_port}",
            "sandbox_url": f"http://127.0.0.1:{sandbox_port}",
            "carrier_webhook_secrets": {"sandbox": SecretStr(CARRIER_SECRET)},
            "payout_policy": AT_ONCE,
            "request_timeout_seconds": 2,
            "graceful_shutdown_seconds": 1,
            "log_level": "ERROR",
            **changes,
        }
    )
    sandbox_config = replace(_sandbox_config(settings, folder), payout_fee=payout_fee)
    async with AsyncExitStack() as stack:
        temporal = await connect(settings, lazy=False)
        database = Database(database_url, settings.database_pool_size)
        stack.push_async_callback(database.aclose)
        providers = await stack.enter_async_context(build_providers(settings))

        @asynccontextmanager
        async def worker() -> AsyncIterator[None]:
            # One client each: the SDK takes two workers of one client and queue for a mistake.
            client = await connect(settings, lazy=False)
            async with build_worker(settings, database, client, providers):
                yield

        parts = Parts(
            house=House(
                settings=settings,
                http=await stack.enter_async_context(_client(settings.api_url, {})),
                sandbox=await stack.enter_async_context(
                    _client(
                        settings.sandbox_base_url,
                        {"Authorization": f"Bearer {sandbox_config.api_key}"},
                    )
                ),
                temporal=temporal,
                skipper=Skipper(temporal, config=TimeSkippingConfig(enabled=False)),
                database=database,
                issuer=issuer,
            ),
            sandbox=Part(lambda: served(create_sandbox(sandbox_config), _socket(sandbox_port))),
            workers=[Part(worker) for _ in range(workers)],
        )
        api = Part(
            lambda: served(
                create_api(settings, database=database, temporal=temporal), _socket(api_port)
            )
        )
        for part in (parts.sandbox, *parts.workers, api):
            await part.start()
            stack.push_async_callback(part.stop)
        await stack.enter_async_context(taking_in(temporal, settings))
        yield parts


def _client(url: str, headers: dict[str, str]) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=url, headers=headers, timeout=30, trust_env=False)


def _socket(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    return listener
