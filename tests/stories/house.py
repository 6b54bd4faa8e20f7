"""The whole platform in one event loop: API over HTTP, worker, sandbox provider, issuer; on real PostgreSQL and Temporal."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg
from pydantic import SecretStr
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowHandle
from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import TimeSkippingConfig

from api.app import create_app as create_api
from db.engine import Database
from domain.policy import CampaignPolicy, InKindPolicy, MatchPolicy, PayoutPolicy, TenderPolicy
from domain.production_policy import ProductionPolicy
from ledger import invariants
from providers.registry import build_providers
from providers.sandbox_server.app import create_app as create_sandbox
from providers.sandbox_server.config import SandboxConfig
from runtime.settings import Settings
from runtime.temporal import connect
from tests.api.issuer import Issuer
from tests.providers.harness import CARRIER_SECRET, address_of, listening_socket, served
from tests.stories.skipping import Skipper
from tests.waiting import eventually
from worker.build import build_worker
from worker.setup import intake_schedule, register_intake, register_schedules

Json = dict[str, Any]
DAY = 86_400
AT_ONCE = PayoutPolicy(
    availability_seconds=0,
    min_interval_seconds=0,
    destination_cooling_seconds=0,
    reserve_basis_points=0,
)


@dataclass
class House:
    """A running platform and the people who use it, known by their token subjects."""

    settings: Settings
    http: httpx.AsyncClient
    sandbox: httpx.AsyncClient
    """Carries the sandbox's API key."""
    temporal: Client
    skipper: Skipper
    database: Database
    issuer: Issuer

    async def call(
        self, method: str, path: str, *, by: str, key: str | None = None, **more: Any
    ) -> httpx.Response:
        """A request by somebody; a POST gets a fresh idempotency key unless one is given."""
        headers = {"Authorization": f"Bearer {self.issuer.token(by)}"}
        if method == "POST":
            headers["Idempotency-Key"] = key or uuid.uuid4().hex
        return await self.http.request(method, path, headers=headers, **more)

    async def get(self, path: str, by: str, **params: str | int) -> Json:
        """The JSON of a GET that must succeed."""
        answer = await self.call("GET", path, by=by, params=params)
        assert answer.status_code == 200, answer.text
        found: Json = answer.json()
        return found

    async def post(self, path: str, body: Json | None = None, *, by: str) -> Json:
        """The JSON of a POST that must succeed."""
        answer = await self.patiently(path, body, by=by)
        assert answer.status_code in (200, 201), answer.text
        made: Json = answer.json()
        return made

    async def patiently(self, path: str, body: Json | None = None, *, by: str) -> httpx.Response:
        """The answer to a POST that is repeated with its key as long as it is told to, as front ends do."""
        key = uuid.uuid4().hex

        async def answered() -> httpx.Response | None:
            answer = await self.call("POST", path, by=by, key=key, json=body or {})
            return None if answer.status_code == 503 else answer

        answer = await eventually(answered)
        assert answer is not None
        return answer

    async def listing(self, by: str, *, price: int = 20_000, **changes: object) -> Json:
        """Something on sale; by default five lamps."""
        body = {
            "title": "Bamboo lamp",
            "unit_price": {"amount": price, "currency": changes.pop("currency", "CNY")},
            "stock_kind": "in_stock",
            "stock": 5,
            "delivery": ["express", "pickup"],
            **changes,
        }
        if body["stock_kind"] == "made_to_order":
            body.pop("stock")
        return await self.post("/v1/listings", body, by=by)

    async def order(self, listing: Json, *, by: str, quantity: int = 1, **more: object) -> Json:
        """A placed sale."""
        lines = [{"listing_id": listing["id"], "quantity": quantity}]
        return await self.post("/v1/sales", {"lines": lines, **more}, by=by)

    async def paid(self, listing: Json, *, by: str, **more: Any) -> Json:
        """A sale whose money is in escrow."""
        sale = await self.order(listing, by=by, **more)
        await self.pay(sale)
        return await self.until(sale, "paid", by=by)

    async def pay(self, sale: Json) -> httpx.Response:
        """Presses "pay" on the provider's page."""
        return await self.sandbox.post(
            sale["payment"]["checkout_url"],
            data={"action": "pay"},
            headers={"accept": "application/json"},
        )

    async def act(self, sale: Json, verb: str, *, by: str, **body: object) -> Json:
        """An act of a party that must succeed."""
        return await self.post(f"/v1/sales/{sale['id']}/{verb}", body, by=by)

    async def shipped(self, sale: Json, *, by: str) -> str:
        """Accepts and ships an order; the parcel's number."""
        number = f"SF{uuid.uuid4().hex[:12]}"
        await self.act(sale, "accept", by=by)
        await self.act(sale, "ship", by=by, carrier="sandbox", tracking_number=number)
        return number

    async def scan(self, number: str, kind: str, label_paid_by: str = "seller") -> None:
        """The carrier scans a parcel."""
        parcel = {"tracking_number": number, "label_paid_by": label_paid_by}
        (await self.sandbox.post("/carrier/parcels", json=parcel)).raise_for_status()
        scan = await self.sandbox.post(f"/carrier/parcels/{number}/scans", json={"kind": kind})
        scan.raise_for_status()

    async def misbehave(self, operation: str, effect: str, **more: str | float) -> None:
        """Tells the sandbox provider to misbehave."""
        body = {"operation": operation, "effect": effect, **more}
        (await self.sandbox.post("/v1/behaviours", json=body)).raise_for_status()

    async def until(self, sale: Json, phase: str, *, by: str, within_seconds: float = 20) -> Json:
        """The sale, once it stands in this phase."""

        async def there() -> Json | None:
            now = await self.get(f"/v1/sales/{sale['id']}", by=by)
            assert now["phase"] == phase, f"{now['phase']} instead of {phase}"
            return now

        return await eventually(there, within_seconds=within_seconds) or {}

    def workflow(self, workflow_id: str) -> WorkflowHandle[Any, Any]:
        """A workflow by id."""
        return self.temporal.get_workflow_handle(workflow_id)

    async def let_pass(self, sale: Json, seconds: int, *, workflow: str = "sale") -> None:
        """Skips time on one workflow of the sale."""
        payment = f"payment-{sale['payment']['id']}"
        story = self.story_of(sale) if workflow == "sale" else payment
        await self.skipper.fast_forward(self.workflow(story), seconds)

    def story_of(self, sale: Json) -> str:
        """Id of the workflow that tells the sale's story now."""
        return str(self.sql("SELECT workflow_id FROM paths WHERE id = %s", sale["id"])[0][0])

    async def runs(self, sale: Json) -> bool:
        """Whether the workflow that tells the sale's story is running."""
        return await self.runs_workflow(self.story_of(sale))

    async def runs_workflow(self, workflow_id: str) -> bool:
        """Whether a workflow is running."""
        try:
            described = await self.workflow(workflow_id).describe()
        except RPCError as missing:
            if missing.status is RPCStatusCode.NOT_FOUND:
                return False
            raise
        return described.status is WorkflowExecutionStatus.RUNNING

    async def payable(self, by: str, currency: str = "CNY") -> int:
        """What somebody has earned and not taken out."""
        found = await self.call("GET", "/v1/me/balances", by=by)
        assert found.status_code == 200, found.text
        return sum(
            int(each["payable"]["amount"]) for each in found.json() if each["currency"] == currency
        )

    async def postings(self, sale: Json) -> list[str]:
        """The path's journal as lines `kind: side account amount`, oldest first; ids replaced by words."""
        rows = self.sql(
            "SELECT e.kind, p.side, a.kind, a.owner, p.amount FROM ledger_postings p"
            " JOIN ledger_entries e ON e.id = p.entry_id JOIN ledger_accounts a ON a.id = p.account_id"
            " WHERE e.path_id = %s ORDER BY p.id",
            sale["id"],
        )
        names = {sale["id"]: "sale", sale["seller_id"]: "seller", sale["buyer_id"]: "buyer"}
        return [
            f"{entry}: {side} {kind}:{names.get(owner, owner.split('_')[0])} {amount}"
            for entry, side, kind, owner, amount in rows
        ]

    async def assert_at_zero(self, sale: Json) -> None:
        """All accounts of an ended path are 0, and the whole ledger keeps its invariants."""
        left = self.sql(
            "SELECT kind, owner, debits_posted, credits_posted FROM ledger_accounts WHERE path_id = %s"
            " AND (debits_posted <> credits_posted OR debits_pending <> 0 OR credits_pending <> 0)",
            sale["id"],
        )
        assert left == []
        closed = self.sql("SELECT closed_at, deadlines FROM paths WHERE id = %s", sale["id"])
        assert closed[0][0] is not None, "the path is not closed"
        assert closed[0][1] == []
        async with self.database.transaction() as session:
            assert await invariants.check(session) == []

    def sql(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Reads or changes the database past the platform."""
        try:
            cursor = _past(self.settings.require_database_url()).execute(query.encode(), values)
        except psycopg.OperationalError:
            # The server was stopped since the last statement.
            cursor = _past(self.settings.require_database_url()).execute(query.encode(), values)
        return cursor.fetchall() if cursor.description else []


_connections: dict[str, psycopg.Connection[tuple[Any, ...]]] = {}


def _past(url: str) -> psycopg.Connection[tuple[Any, ...]]:
    """A connection of the test's own, kept because opening one costs more than most statements."""
    found = _connections.get(url)
    if found is None or found.closed:
        found = _connections[url] = psycopg.connect(url, autocommit=True)
    return found


@asynccontextmanager
async def running_house(
    temporal_address: str, database_url: str, issuer: Issuer, folder: Path, **changes: Any
) -> AsyncIterator[House]:
    """A platform of its own database and task queue; `changes` are settings."""
    api_socket, sandbox_socket = listening_socket(), listening_socket()
    settings = Settings(
        **{
            "data_dir": folder,
            "database_url": SecretStr(database_url),
            "temporal_address": temporal_address,
            "temporal_task_queue": f"house-{uuid.uuid4().hex[:8]}",
            "issuer": issuer.url,
            "admin_subjects": ("admin",),
            "public_url": address_of(api_socket),
            "sandbox_url": address_of(sandbox_socket),
            "carrier_webhook_secrets": {"sandbox": SecretStr(CARRIER_SECRET)},
            "payout_policy": AT_ONCE,
            # The crowds' tests have runs side by side.
            "campaign_policy": CampaignPolicy(run_shards=1),
            "tender_policy": TenderPolicy(poll_first_seconds=DAY),
            "match_policy": MatchPolicy(poll_first_seconds=DAY),
            "in_kind_policy": InKindPolicy(poll_first_seconds=DAY),
            "production_policy": ProductionPolicy(poll_first_seconds=DAY, look_seconds=30 * DAY),
            "log_level": "ERROR",
            **changes,
        }
    )
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(
            served(create_sandbox(_sandbox_config(settings, folder)), sandbox_socket)
        )
        temporal = await connect(settings, lazy=False)
        database = Database(database_url, settings.database_pool_size)
        stack.push_async_callback(database.aclose)
        providers = await stack.enter_async_context(build_providers(settings))
        await stack.enter_async_context(build_worker(settings, database, temporal, providers))
        await stack.enter_async_context(taking_in(temporal, settings))
        await stack.enter_async_context(
            served(create_api(settings, database=database, temporal=temporal), api_socket)
        )
        key = {"Authorization": f"Bearer {settings.sandbox_api_key.get_secret_value()}"}
        yield House(
            settings=settings,
            http=await stack.enter_async_context(
                httpx.AsyncClient(base_url=settings.api_url, timeout=30, trust_env=False)
            ),
            sandbox=await stack.enter_async_context(
                httpx.AsyncClient(base_url=settings.sandbox_base_url, headers=key, trust_env=False)
            ),
            temporal=temporal,
            skipper=Skipper(temporal, config=TimeSkippingConfig(enabled=False)),
            database=database,
            issuer=issuer,
        )


def _sandbox_config(settings: Settings, folder: Path) -> SandboxConfig:
    return SandboxConfig(
        database=folder / "sandbox.db",
        base_url=settings.sandbox_base_url,
        api_key=settings.sandbox_api_key.get_secret_value(),
        webhook_url=f"{settings.api_url}/v1/webhooks/sandbox",
        webhook_secret=settings.sandbox_webhook_secret.get_secret_value(),
        carrier_url=f"{settings.api_url}/v1/webhooks/carriers/sandbox",
        carrier_secret=settings.carrier_webhook_secrets["sandbox"].get_secret_value(),
        payout_seconds=0,
        retry_seconds=(0.2,),
    )


@asynccontextmanager
async def taking_in(temporal: Client, settings: Settings) -> AsyncIterator[None]:
    """The intake of pledges is at work, as the schedule has it; the worker's own context comes first."""
    await register_intake(temporal, settings)
    try:
        yield
    finally:
        await temporal.get_schedule_handle(intake_schedule(settings.temporal_task_queue)).delete()


async def with_schedules(house: House) -> None:
    """Registers the schedules of this house's task queue."""
    await register_schedules(house.temporal, house.settings)
