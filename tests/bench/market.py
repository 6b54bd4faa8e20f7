"""Sales in any number, made through the API as people make them, on processes of their own: the ground of two measurements."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import psycopg

from tests.api.issuer import Issuer, running_issuer
from tests.bench.ground import (
    Running,
    api_client,
    running_database,
    running_part,
    settings_of,
    until_ready,
)
from tests.bench.load import Asked
from tests.bench.paying_provider import signed
from tests.servers import free_port, running_temporal
from tests.waiting import eventually

SELLER = "seller"
_CLIENTS = 16
_PATIENCE_SECONDS = 300


@dataclass(frozen=True)
class Market:
    """The platform with one seller's listing."""

    api: Running
    worker: Running
    port: int
    url: str
    http: httpx.AsyncClient
    issuer: Issuer
    listing: str

    def headers(self, who: str) -> dict[str, str]:
        """Of a request by somebody."""
        return {"Authorization": f"Bearer {self.issuer.token(who)}"}

    def reads(self, path: str, who: str) -> Asked:
        """Somebody looks at a page."""
        return Asked(path=path, headers=self.headers(who))

    def writes(self, path: str, who: str, body: str) -> Asked:
        """Somebody asks for something new."""
        kind = {"content-type": "application/json", "idempotency-key": uuid.uuid4().hex}
        return Asked(method="POST", path=path, headers=self.headers(who) | kind, body=body)

    async def post(self, path: str, who: str, body: dict[str, Any]) -> dict[str, Any]:
        """The answer to a request that must succeed; repeated with its key as long as it is told to, as front ends do."""
        keyed = self.headers(who) | {"Idempotency-Key": uuid.uuid4().hex}

        async def answered() -> httpx.Response | None:
            answer = await self.http.post(path, json=body, headers=keyed)
            return None if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE else answer

        answer = await eventually(answered, within_seconds=60)
        assert answer is not None
        made: dict[str, Any] = answer.raise_for_status().json()
        return made

    async def sold(self, buyer: str) -> str:
        """Somebody orders and pays; the id of a sale that will wait for its seller."""
        lines = [{"listing_id": self.listing, "quantity": 1}]
        body = {"lines": lines, "made_to_order_confirmed": True}
        sale_id = str((await self.post("/v1/sales", buyer, body))["id"])
        payment = sale_id.replace("sal_", "pay_", 1)
        headers, news = signed(f"evt_{payment}", "payment.captured", payment)
        answer = await self.http.post("/v1/webhooks/instant", content=news, headers=headers)
        answer.raise_for_status()
        return sale_id

    async def open_sales(self, number: int, buyers: int = 100) -> None:
        """So many sales that are paid and wait for their seller."""
        left = iter(range(number))

        async def client() -> None:
            for each in left:
                await self.sold(f"buyer{each % buyers}")

        await asyncio.gather(*(client() for _ in range(_CLIENTS)))
        await eventually(lambda: self.waiting() >= number, within_seconds=_PATIENCE_SECONDS)

    def waiting(self) -> int:
        """How many sales wait for their seller."""
        with psycopg.connect(self.url) as connection:
            row = connection.execute("SELECT count(*) FROM paths WHERE phase = 'paid'").fetchone()
        return int(row[0]) if row else 0


@asynccontextmanager
async def running_market() -> AsyncIterator[Market]:
    """API and worker as processes of their own, on servers of their own."""
    async with AsyncExitStack() as stack:
        server, folder = stack.enter_context(running_database())
        temporal = await stack.enter_async_context(running_temporal())
        issuer = stack.enter_context(running_issuer())
        port = free_port()
        environment = settings_of(server.url, folder, port, issuer.url, temporal.address)
        api = stack.enter_context(running_part("api", environment))
        worker = stack.enter_context(running_part("worker", environment))
        http = await stack.enter_async_context(api_client(port))
        await until_ready(http)
        market = Market(api, worker, port, server.url, http, issuer, listing="")
        made = await market.post("/v1/listings", SELLER, LAMP)
        yield Market(api, worker, port, server.url, http, issuer, listing=str(made["id"]))


LAMP = {
    "title": "Bamboo lamp",
    "unit_price": {"amount": 20_000, "currency": "CNY"},
    "stock_kind": "made_to_order",
    "lead_days": 5,
    "delivery": ["express", "pickup"],
}
