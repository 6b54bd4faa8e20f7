"""`python -m tests.bench.parts api|worker|intake`: a part of the platform as in production, with another payment company."""

from __future__ import annotations

import asyncio
import signal
import sys

import uvicorn

from activities.pledge_intake import PledgeIntakes
from api.app import create_app
from db.engine import Database
from providers.registry import ProviderRegistry
from runtime.leaving import leave
from runtime.logging import configure
from runtime.settings import Settings, settings
from runtime.temporal import connect
from tests.bench.paying_provider import PayingProvider
from worker.build import build_worker


def _providers() -> ProviderRegistry:
    return ProviderRegistry({"instant": PayingProvider()})


async def _api(chosen: Settings) -> None:
    app = create_app(chosen, providers=_providers())
    config = uvicorn.Config(
        app, host=chosen.host, port=chosen.api_port, log_level="critical", access_log=False
    )
    await uvicorn.Server(config).serve()


async def _worker(chosen: Settings) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    client = await connect(chosen, lazy=False)
    database = Database(chosen.require_database_url(), chosen.database_pool_size)
    async with build_worker(chosen, database, client, _providers()):
        await stop.wait()
    await database.aclose()


async def _intake(chosen: Settings) -> None:
    """Without the schedule that keeps it running."""
    database = Database(chosen.require_database_url(), chosen.database_pool_size)
    intake = PledgeIntakes(database, _providers(), await connect(chosen), chosen)
    while True:
        if not (await intake.round()).total:
            # As long as the activity pauses: news gathers meanwhile, and a batch costs little more than one.
            await asyncio.sleep(0.3)


_PARTS = {"api": _api, "worker": _worker, "intake": _intake}

if __name__ == "__main__":
    configure(settings().log_level)
    asyncio.run(_PARTS[sys.argv[1]](settings()))
    leave()
