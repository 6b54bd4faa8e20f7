"""Pledges per second from the request to the money in the books: API, webhook, intake; each part a process of its own.

The payment company costs nothing here, so that what is measured is the platform's own work, and that of whoever asks.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import psycopg
import uvicorn

from activities.pledge_intake import PledgeIntakes
from api.app import create_app
from db.engine import Database
from deploy.local.postgres import PostgresServer
from domain.campaign import Phase
from providers.registry import ProviderRegistry
from runtime.leaving import leave
from runtime.logging import configure
from runtime.settings import settings
from runtime.temporal import connect
from tests.api.issuer import Issuer, running_issuer
from tests.bench.figures import Figure
from tests.bench.paying_provider import SECRET, PayingProvider
from tests.servers import free_port, migrate
from tests.stories.crowd import CURRENCY, campaign

PLEDGES = 2_000
BACKERS = PLEDGES // 4
"""Fewer pledges each than one person may have begun and not paid at a time."""
CLIENTS = 16
GOAL = 100
_READY_SECONDS = 90
_DONE_SECONDS = 120


def measure() -> Figure:
    """Pledges admitted and funded per second."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="baigong-bench-")))
        server = PostgresServer(folder, free_port())
        server.start()
        stack.callback(server.remove)
        stack.callback(server.stop)
        migrate(server.url)
        issuer = stack.enter_context(running_issuer())
        port = free_port()
        environment = {
            **os.environ,
            "BAIGONG_DATABASE_URL": server.url,
            "BAIGONG_ISSUER": issuer.url,
            "BAIGONG_PROVIDER": "instant",
            "BAIGONG_API_PORT": str(port),
            "BAIGONG_DATA_DIR": str(folder / "data"),
            "BAIGONG_PROVIDER_RATE_PER_SECOND": "0",
            "BAIGONG_LOG_LEVEL": "ERROR",
        }
        for part in ("api", "intake"):
            stack.enter_context(process_of(part, environment))
        made = campaign(server.url, Phase.LIVE, provider="instant")
        rate = asyncio.run(_rush(f"http://127.0.0.1:{port}", server.url, made.campaign_id, issuer))
    return Figure(
        name="pledges/s admitted and funded through webhooks", ours=rate, yardstick=GOAL, goal=1.0
    )


@contextmanager
def process_of(part: str, environment: dict[str, str]) -> Iterator[None]:
    """The `api` or the `intake`, as a process of its own; stopped at the end."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.pledging", part], env=environment
    )
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


async def _rush(api: str, database_url: str, campaign_id: str, issuer: Issuer) -> float:
    """Everybody pledges and pays; how many a second until all the money is in the books."""
    tokens = itertools.cycle([issuer.token(f"backer{number}") for number in range(BACKERS)])
    left = iter(range(PLEDGES))
    async with httpx.AsyncClient(base_url=api, timeout=60, trust_env=False) as http:
        await until_ready(http)
        await asyncio.gather(*(_known(http, next(tokens)) for _ in range(BACKERS)))
        began = time.monotonic()

        async def client() -> None:
            for _ in left:
                await _pledge(http, campaign_id, next(tokens))

        await asyncio.gather(*(client() for _ in range(CLIENTS)))
        await _until_funded(database_url, campaign_id)
        return PLEDGES / (time.monotonic() - began)


async def until_ready(http: httpx.AsyncClient) -> None:
    """Waits until the API answers."""
    deadline = time.monotonic() + _READY_SECONDS
    while True:
        try:
            (await http.get("/healthz")).raise_for_status()
            return
        except httpx.HTTPError:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.1)


async def _known(http: httpx.AsyncClient, token: str) -> None:
    """Somebody's first visit."""
    answer = await http.get("/v1/me", headers={"Authorization": f"Bearer {token}"})
    answer.raise_for_status()


async def _pledge(http: httpx.AsyncClient, campaign_id: str, token: str) -> None:
    """One pledge, and the webhook that says that it is paid."""
    answer = await http.post(
        f"/v1/campaigns/{campaign_id}/pledges",
        json={"method": "wallet", "tier": {"number": 1}},
        headers={"Authorization": f"Bearer {token}", "Idempotency-Key": uuid.uuid4().hex},
    )
    answer.raise_for_status()
    subject = str(answer.json()["to_do"]["checkout_url"]).rpartition("/")[2]
    await _webhook(http, subject)


async def _webhook(http: httpx.AsyncClient, subject: str) -> None:
    now = time.time()
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))
    body = json.dumps(
        {"type": "payment.captured", "timestamp": stamp, "data": {"subject": subject}}
    )
    event, seconds = f"evt_{subject}", str(int(now))
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    digest = hmac.new(key, f"{event}.{seconds}.{body}".encode(), hashlib.sha256).digest()
    answer = await http.post(
        "/v1/webhooks/instant",
        content=body,
        headers={
            "content-type": "application/json",
            "webhook-id": event,
            "webhook-timestamp": seconds,
            "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
        },
    )
    answer.raise_for_status()


async def _until_funded(database_url: str, campaign_id: str) -> None:
    """Until escrow holds what all of them have paid."""
    query = (
        "SELECT count(*) = %s AND sum(amount) = (SELECT balance FROM ledger_accounts"
        " WHERE kind = 'escrow' AND owner = %s AND currency = %s)"
        " FROM pledges WHERE campaign_id = %s AND state = 'funded'"
    )
    deadline = time.monotonic() + _DONE_SECONDS
    connection = await psycopg.AsyncConnection.connect(database_url, autocommit=True)
    async with connection:
        while True:
            values = (PLEDGES, campaign_id, CURRENCY, campaign_id)
            row = await (await connection.execute(query.encode(), values)).fetchone()
            if row is not None and row[0]:
                return
            if time.monotonic() > deadline:
                raise TimeoutError(f"not all of {PLEDGES} pledges are funded")
            await asyncio.sleep(0.05)


async def _serve() -> None:
    """The API as in production, with another payment company."""
    chosen = settings()
    providers = ProviderRegistry({"instant": PayingProvider()})
    app = create_app(chosen, providers=providers)
    config = uvicorn.Config(
        app, host=chosen.host, port=chosen.api_port, log_level="critical", access_log=False
    )
    await uvicorn.Server(config).serve()


async def _take_in() -> None:
    """The intake, without the schedule that keeps it running."""
    chosen = settings()
    database = Database(chosen.require_database_url(), chosen.database_pool_size)
    providers = ProviderRegistry({"instant": PayingProvider()})
    intake = PledgeIntakes(database, providers, await connect(chosen), chosen)
    while True:
        if not (await intake.round()).total:
            # As long as the activity pauses: news gathers meanwhile, and a batch costs little more than one.
            await asyncio.sleep(0.3)


if __name__ == "__main__":
    configure(settings().log_level)
    asyncio.run(_serve() if sys.argv[1] == "api" else _take_in())
    leave()
