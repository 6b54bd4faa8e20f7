"""Pledges per second from the request to the money in the books: API, webhook, intake; each part a process of its own.

The payment company costs nothing here, so that what is measured is the platform's own work, and that of whoever asks.
"""

from __future__ import annotations

import asyncio
import itertools
import time
import uuid
from contextlib import ExitStack

import httpx
import psycopg

from domain.campaign import Phase
from tests.api.issuer import Issuer, running_issuer
from tests.bench.figures import Figure
from tests.bench.ground import running_database, running_part, settings_of, until_ready
from tests.bench.paying_provider import signed
from tests.servers import free_port
from tests.stories.crowd import CURRENCY, campaign

PLEDGES = 2_000
BACKERS = PLEDGES // 4
"""Fewer pledges each than one person may have begun and not paid at a time."""
CLIENTS = 16
GOAL = 100
_DONE_SECONDS = 120


def measure() -> list[Figure]:
    """Pledges admitted and funded per second."""
    with ExitStack() as stack:
        server, folder = stack.enter_context(running_database())
        issuer = stack.enter_context(running_issuer())
        port = free_port()
        environment = settings_of(server.url, folder, port, issuer.url)
        for part in ("api", "intake"):
            stack.enter_context(running_part(part, environment))
        made = campaign(server.url, Phase.LIVE, provider="instant")
        rate = asyncio.run(_rush(f"http://127.0.0.1:{port}", server.url, made.campaign_id, issuer))
    name = "pledges/s admitted and funded through webhooks"
    return [Figure(name=name, ours=rate, yardstick=GOAL, goal=1.0)]


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
    headers, body = signed(f"evt_{subject}", "payment.captured", subject)
    answer = await http.post("/v1/webhooks/instant", content=body, headers=headers)
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
