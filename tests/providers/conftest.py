"""A sandbox payment company of its own for every test that asks for one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from providers.sandbox_server.app import create_app
from providers.sandbox_server.config import Clock, SandboxConfig, wall_clock
from tests.providers.harness import (
    API_KEY,
    CARRIER_SECRET,
    WEBHOOK_SECRET,
    Box,
    Platform,
    address_of,
    listening_socket,
    running_box,
    served,
)

MakeBox = Callable[..., AbstractAsyncContextManager[Box]]


@pytest_asyncio.fixture
async def platform() -> AsyncIterator[Platform]:
    """A receiver of webhooks."""
    listener = listening_socket()
    receiver = Platform(address_of(listener))
    async with served(receiver.app(), listener):
        yield receiver


@pytest.fixture
def make_box(tmp_path: Path, platform: Platform) -> MakeBox:
    """Runs a sandbox on this test's file; called again, it is the same company after a restart."""

    @asynccontextmanager
    async def make(
        *,
        clock: Clock = wall_clock,
        retry_seconds: tuple[float, ...] = (0.02,),
        give_up_seconds: float = 60,
        payout_fee: int = 0,
        confirm_seconds: float = 86_400,
        payout_seconds: float = 0,
        webhook_url: str | None = None,
    ) -> AsyncIterator[Box]:
        listener = listening_socket()
        config = SandboxConfig(
            database=tmp_path / "sandbox.db",
            base_url=address_of(listener),
            api_key=API_KEY,
            webhook_url=webhook_url or f"{platform.url}/v1/webhooks/sandbox",
            webhook_secret=WEBHOOK_SECRET,
            carrier_url=f"{platform.url}/v1/webhooks/carriers/sandbox",
            carrier_secret=CARRIER_SECRET,
            payout_fee=payout_fee,
            confirm_seconds=confirm_seconds,
            payout_seconds=payout_seconds,
            retry_seconds=retry_seconds,
            give_up_seconds=give_up_seconds,
            clock=clock,
        )
        async with running_box(config, platform, create_app(config), listener) as box:
            yield box

    return make


@pytest_asyncio.fixture
async def box(make_box: MakeBox) -> AsyncIterator[Box]:
    """A running sandbox."""
    async with make_box() as running:
        yield running
