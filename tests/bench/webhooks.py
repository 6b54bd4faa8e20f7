"""Webhooks a second that are verified and kept once: signed, one in twenty twice, in no order, over HTTP.

They tell of payments of pledges, as nearly all webhooks of a big campaign do; those wait in the inbox until a batch takes
them in, which is measured with the pledges.
"""

from __future__ import annotations

import asyncio
import random

import psycopg

from db.engine import Database
from domain.campaign import Phase
from domain.pledge import Method, PledgeState
from tests.api.issuer import running_issuer
from tests.bench.figures import Figure
from tests.bench.ground import api_client, running_database, running_part, settings_of, until_ready
from tests.bench.load import Asked, Plan, loaded
from tests.bench.paying_provider import signed
from tests.servers import free_port
from tests.stories.crowd import campaign, crowd

EVENTS = 3_000
PAYMENTS = 1_000
DUPLICATES = EVENTS // 20
CONNECTIONS = 16
GOAL = 300
SEED = 7


def measure() -> list[Figure]:
    """Webhooks accepted per second, and how long each took."""
    with running_database() as (server, folder), running_issuer() as issuer:
        port = free_port()
        with running_part("api", settings_of(server.url, folder, port, issuer.url)):
            return asyncio.run(_measure(server.url, port))


async def _measure(url: str, port: int) -> list[Figure]:
    async with api_client(port) as http:
        await until_ready(http)
    requests = [_webhook(*each) for each in _events(await _payments(url))]
    again = [requests[number] for number in range(0, EVENTS, EVENTS // DUPLICATES)]
    sent = requests + again
    random.Random(SEED).shuffle(sent)
    plan = Plan(port=port, connections=CONNECTIONS, requests=sent, answers_kept=True)
    found = (await loaded(plan)).require_success()
    known = sum('"known":true' in body for body in found.bodies)
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT count(*), count(DISTINCT event_id) FROM webhook_inbox"
        ).fetchone()
    if row != (EVENTS, EVENTS) or known != len(again):
        raise RuntimeError(f"{row} rows and events of {EVENTS}, {known} of {len(again)} known")
    return [
        Figure(
            name=f"webhooks/s accepted, {len(again)} of {len(sent)} twice, in no order",
            ours=found.rate,
            yardstick=GOAL,
            goal=1.0,
        ),
        Figure(name="p99 ms of a webhook meanwhile", ours=found.percentile(99)),
    ]


async def _payments(url: str) -> list[str]:
    """Payments of pledges."""
    made = campaign(url, Phase.LIVE, provider="instant")
    database = Database(url)
    await crowd(database, url, made, {(PledgeState.FUNDED, Method.WALLET): PAYMENTS}, lumped=True)
    await database.aclose()
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT id FROM payments WHERE pledge_id IS NOT NULL").fetchall()
    return [str(row[0]) for row in rows]


def _events(payments: list[str]) -> list[tuple[str, str]]:
    """Ids of events, each with its payment."""
    return [(f"evt_{number}", payments[number % len(payments)]) for number in range(EVENTS)]


def _webhook(event_id: str, payment_id: str) -> Asked:
    headers, body = signed(event_id, "payment.captured", payment_id)
    return Asked(method="POST", path="/v1/webhooks/instant", headers=headers, body=body.decode())
