"""`python -m worker`: runs workflows and activities until it is told to stop, then lets running activities finish."""

from __future__ import annotations

import asyncio
import signal

from db.engine import Database
from providers.registry import build_providers
from runtime.leaving import leave
from runtime.logging import configure
from runtime.settings import Settings, settings
from runtime.temporal import connect
from worker.build import build_worker
from worker.metrics import PlatformGauges, telemetry


async def run(settings: Settings) -> None:
    """Serves the task queue until SIGTERM or SIGINT."""
    runtime = telemetry(settings)
    temporal = await connect(settings, runtime=runtime, lazy=False)
    database = Database(settings.require_database_url(), settings.database_pool_size)
    providers = build_providers(settings)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    watched = PlatformGauges(runtime.metric_meter, settings, database, temporal)
    watching = asyncio.create_task(watched.keep())
    try:
        async with build_worker(settings, database, temporal, providers):
            await stop.wait()
    finally:
        watching.cancel()
        await providers.aclose()
        await database.aclose()


if __name__ == "__main__":
    chosen = settings()
    configure(chosen.log_level)
    asyncio.run(run(chosen))
    leave()
