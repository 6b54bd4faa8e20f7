"""The sandbox on a free port and a platform that only writes down which webhooks reach it."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

import httpx
import uvicorn
from fastapi import FastAPI, Request, Response
from starlette.types import ASGIApp

from domain.ids import new_id
from providers.base import (
    CardRequest,
    ChargeRequest,
    PaymentRequest,
    PayoutRequest,
    ProviderCard,
    ProviderPayment,
    RefundRequest,
)
from providers.sandbox import SandboxProvider
from providers.sandbox_server.config import SandboxConfig
from providers.webhooks import verify
from tests.waiting import eventually

API_KEY = "test-key"
WEBHOOK_SECRET = "whsec_dGVzdC13ZWJob29rLXNlY3JldA=="
CARRIER_SECRET = "whsec_dGVzdC1jYXJyaWVyLXNlY3JldA=="


def listening_socket() -> socket.socket:
    """A bound socket, so that the port is known before the server runs and nobody else can take it."""
    # asyncio turns Nagle's delay (40 ms an answer) off only where the protocol is named.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", 0))
    return listener


def address_of(listener: socket.socket) -> str:
    """`http://host:port` of a bound socket."""
    host, port = listener.getsockname()
    return f"http://{host}:{port}"


@asynccontextmanager
async def served(app: ASGIApp, listener: socket.socket) -> AsyncIterator[None]:
    """The app served by uvicorn in this event loop."""
    # Longer than any client keeps a connection: both letting go in the same moment would fail a request.
    config = uvicorn.Config(app, log_level="critical", access_log=False, timeout_keep_alive=60)
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    # Not serve() and shutdown(): they poll and sleep, and take over the signals of the test run.
    await server.startup(sockets=[listener])
    try:
        yield
    finally:
        for each in server.servers:
            each.close()
        for connection in list(server.server_state.connections):
            connection.shutdown()
        await server.lifespan.shutdown()


@dataclass(frozen=True)
class Received:
    """One webhook as it reached the platform."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def event_id(self) -> str:
        """The `webhook-id` header."""
        return self.headers["webhook-id"]

    @property
    def kind(self) -> str:
        """The type in the body."""
        return str(json.loads(self.body)["type"])

    @property
    def subject(self) -> str:
        """The subject in the body's data; a scan's is its tracking number."""
        data = json.loads(self.body)["data"]
        return str(data.get("subject") or data["tracking_number"])


@dataclass
class Platform:
    """Keeps every webhook; answers with the prepared statuses first, then 204."""

    url: str
    received: list[Received] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)

    def app(self) -> FastAPI:
        """The platform as an ASGI app."""
        app = FastAPI()

        @app.post("/{path:path}")
        async def take(path: str, request: Request) -> Response:
            self.received.append(Received(path, dict(request.headers), await request.body()))
            return Response(status_code=self.statuses.pop(0) if self.statuses else 204)

        return app

    def kinds(self, subject: str) -> list[str]:
        """Types of all events about a subject, in the order they came."""
        return [each.kind for each in self.received if each.subject == subject]

    def has_more_than(self, count: int) -> bool:
        """Whether more webhooks than that have come."""
        return len(self.received) > count

    async def expect(self, subject: str, *kinds: str) -> None:
        """Waits until exactly these events about a subject have come, in this order."""
        await eventually(
            lambda: self.kinds(subject) == list(kinds),
            what=f"{subject}: {kinds}, got {self.kinds(subject)}",
        )


@dataclass
class Box:
    """A running sandbox with everything a test needs around it."""

    url: str
    config: SandboxConfig
    platform: Platform
    client: SandboxProvider
    control: httpx.AsyncClient
    """Carries the API key."""
    person: httpx.AsyncClient
    """Carries none."""

    async def misbehave(self, operation: str, effect: str, **more: str | float) -> int:
        """Switches a misbehaviour on; the answered number switches it off."""
        body = {"operation": operation, "effect": effect, **more}
        answer = await self.control.post("/v1/behaviours", json=body)
        answer.raise_for_status()
        return int(answer.json()["id"])

    async def behave(self, behaviour_id: int) -> None:
        """Switches a misbehaviour off."""
        (await self.control.delete(f"/v1/behaviours/{behaviour_id}")).raise_for_status()

    async def command(self, path: str, **body: str | int | bool) -> dict[str, object]:
        """Posts a command and answers its JSON."""
        answer = await self.control.post(path, json=body)
        answer.raise_for_status()
        result: dict[str, object] = answer.json()
        return result

    async def pay(self, reference: str, action: str = "pay") -> httpx.Response:
        """Presses a button on the pay page, as a program."""
        return await self.person.post(
            f"/pay/{reference}", data={"action": action}, headers={"accept": "application/json"}
        )

    async def paid(self, amount: int = 10_000, currency: str = "CNY") -> ProviderPayment:
        """A captured payment."""
        payment = await self.client.create_payment(payment_request(amount, currency))
        assert (await self.pay(payment.reference)).status_code == 200
        return await self.client.get_payment(payment.reference)

    async def press(self, reference: str, action: str = "save") -> httpx.Response:
        """Presses a button on the page for saving a card, as a program."""
        return await self.person.post(
            f"/card/{reference}", data={"action": action}, headers={"accept": "application/json"}
        )

    async def saved_card(self, currency: str = "CNY") -> ProviderCard:
        """A card that can be charged."""
        card = await self.client.save_card(card_request(currency))
        assert (await self.press(card.reference)).status_code == 200
        [saved] = await self.client.get_cards([card.reference])
        return saved

    async def balance(self, currency: str = "CNY") -> int:
        """What the sandbox holds for us."""
        answer = await self.control.get("/v1/balance")
        return int(answer.json()["balances"].get(currency, 0))

    async def deliveries(self, subject: str) -> list[dict[str, object]]:
        """The newest hundred webhooks about a subject in the log, oldest first."""
        asked = {"subject": subject, "limit": "100"}
        answer = await self.control.get("/v1/deliveries", params=asked)
        found: list[dict[str, object]] = answer.json()["data"]
        return found[::-1]


def plain_http(url: str, headers: dict[str, str]) -> httpx.AsyncClient:
    """A client that does not load certificates it never needs."""
    return httpx.AsyncClient(base_url=url, headers=headers, trust_env=False, verify=False)


@asynccontextmanager
async def running_box(
    config: SandboxConfig, platform: Platform, app: ASGIApp, listener: socket.socket
) -> AsyncIterator[Box]:
    """The served sandbox with its clients."""
    client = SandboxProvider(
        base_url=config.base_url,
        api_key=config.api_key,
        webhook_secret=config.webhook_secret,
        webhook_tolerance_seconds=300,
        timeout=httpx.Timeout(5),
    )
    key = {"Authorization": f"Bearer {config.api_key}"}
    async with (
        served(app, listener),
        plain_http(config.base_url, key) as control,
        plain_http(config.base_url, {}) as person,
    ):
        try:
            yield Box(config.base_url, config, platform, client, control, person)
        finally:
            await client.aclose()


def answering(answer: httpx.Response) -> SandboxProvider:
    """A client whose company always gives this answer."""
    provider = SandboxProvider(
        base_url="http://sandbox.invalid",
        api_key=API_KEY,
        webhook_secret=WEBHOOK_SECRET,
        webhook_tolerance_seconds=300,
    )
    provider._http = httpx.AsyncClient(
        base_url="http://sandbox.invalid", transport=httpx.MockTransport(lambda _request: answer)
    )
    return provider


def payment_request(amount: int = 10_000, currency: str = "CNY") -> PaymentRequest:
    """A request for a payment of its own."""
    subject = new_id("pay")
    return PaymentRequest(
        operation_id=f"payment-{subject}/create",
        subject=subject,
        amount=amount,
        currency=currency,
        description="手工灯笼 Handmade lamp",
        return_url="http://127.0.0.1/orders/1",
    )


def card_request(currency: str = "CNY") -> CardRequest:
    """A request for a card of its own."""
    subject = new_id("crd")
    return CardRequest(
        operation_id=f"card-{subject}/save",
        subject=subject,
        currency=currency,
        description="支持手工灯笼 Back the handmade lamp",
        return_url="http://127.0.0.1/pledges/1",
    )


def charge_request(card: ProviderCard, amount: int = 10_000) -> ChargeRequest:
    """A request for a charge of its own."""
    subject = new_id("pay")
    return ChargeRequest(
        operation_id=f"payment-{subject}/charge",
        subject=subject,
        card_reference=card.reference,
        amount=amount,
        currency=card.currency,
        description="手工灯笼 Handmade lamp",
        return_url="http://127.0.0.1/pledges/1",
    )


def refund_request(payment: ProviderPayment, amount: int) -> RefundRequest:
    """A request for a refund of its own."""
    subject = new_id("ref")
    return RefundRequest(
        operation_id=f"refund-{subject}/create",
        subject=subject,
        payment_reference=payment.reference,
        amount=amount,
        currency=payment.currency,
    )


def payout_request(amount: int, currency: str = "CNY") -> PayoutRequest:
    """A request for a payout of its own."""
    subject = new_id("pyo")
    return PayoutRequest(
        operation_id=f"payout-{subject}/create",
        subject=subject,
        amount=amount,
        currency=currency,
        destination="6222020200112233",
        holder="王秀英",
    )


def genuine(box: Box, webhook: Received) -> bool:
    """Whether the platform would accept this webhook now."""
    now = datetime.now(UTC)
    return verify(box.config.webhook_secret, webhook.headers, webhook.body, now, 300) is not None
