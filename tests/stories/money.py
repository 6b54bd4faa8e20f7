"""What the stories of payments, refunds and payouts share: earning, taking out, and looking behind the API."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from domain.payments import DuePage
from ledger import invariants
from tests.stories.house import House, Json
from tests.waiting import eventually
from workflows.upkeep import GatherPayouts, RedeliverInbox

PRICE = 20_000
SHARE = 18_400
"""What the seller gets of PRICE after 8 % commission."""


def people() -> tuple[str, str]:
    """A buyer and a seller nobody else knows."""
    tail = uuid.uuid4().hex[:8]
    return f"buyer-{tail}", f"seller-{tail}"


async def earned(house: House, by: str, *, price: int = PRICE) -> Json:
    """A finished sale: its seller `by` has the share of the price on the balance."""
    buyer, _ = people()
    sale = await house.paid(await house.listing(by, price=price), by=buyer, delivery="pickup")
    await house.act(sale, "accept", by=by)
    await house.act(sale, "ship", by=by)
    done = await house.act(sale, "confirm", by=buyer)
    await settled(house, sale)
    return done


async def settled(house: House, sale: Json) -> None:
    """Waits until the money of a sale has reached the platform's balance at the provider."""
    query = "SELECT 1 FROM payments WHERE id = %s AND settled_at IS NOT NULL"
    await eventually(lambda: house.sql(query, sale["payment"]["id"]))


async def called_off(house: House, *effects: str) -> tuple[Json, str]:
    """A paid sale that its buyer has cancelled, and the buyer; its refund meets these misbehaviours."""
    buyer, seller = people()
    sale = await house.paid(await house.listing(seller), by=buyer)
    for effect in effects:
        await house.misbehave("refund", effect, subject=payment_reference(house, sale))
    await house.act(sale, "cancel", by=buyer)
    return sale, buyer


async def refund_of(house: House, sale: Json, status: str, *, by: str) -> Json:
    """The refund of a sale, once it stands there."""
    [(refund_id,)] = house.sql("SELECT id FROM refunds WHERE path_id = %s", sale["id"])

    async def there() -> Json | None:
        now = await house.get(f"/v1/refunds/{refund_id}", by=by)
        assert now["status"] == status, now
        return now

    return await eventually(there) or {}


async def destination(house: House, by: str, **more: object) -> Json:
    """Somebody's new bank account."""
    account = {"account": f"62220202{uuid.uuid4().hex[:8]}", "holder": by, "automatic": False}
    return await house.post("/v1/payout-destinations", {**account, **more}, by=by)


async def take_out(house: House, by: str, amount: int | None = None) -> Json:
    """A requested payout."""
    return await house.post("/v1/payouts", {"amount": amount} if amount else {}, by=by)


async def payout_at(house: House, payout: Json, status: str, *, by: str) -> Json:
    """The payout, once it stands there."""

    async def there() -> Json | None:
        now = await house.get(f"/v1/payouts/{payout['id']}", by=by)
        assert now["status"] == status, now
        return now

    return await eventually(there) or {}


def payment_reference(house: House, sale: Json) -> str:
    """The provider's name of the sale's payment."""
    [(found,)] = house.sql("SELECT reference FROM payments WHERE id = %s", sale["payment"]["id"])
    return str(found)


def payout_postings(house: House, payout: Json) -> list[str]:
    """The journal of one payout as lines `kind: side account amount`, oldest first."""
    rows = house.sql(
        "SELECT e.kind, p.side, a.kind, p.amount FROM ledger_postings p"
        " JOIN ledger_entries e ON e.id = p.entry_id JOIN ledger_accounts a ON a.id = p.account_id"
        " WHERE e.key LIKE %s ORDER BY p.id",
        f"{payout['id']}/%",
    )
    return [f"{entry}: {side} {account} {amount}" for entry, side, account, amount in rows]


def in_transit(house: House, payout: Json) -> int:
    """What the transit account of a payout holds, in minor units."""
    rows = house.sql(
        "SELECT credits_posted - debits_posted FROM ledger_accounts"
        " WHERE kind = 'transit' AND owner = %s",
        payout["id"],
    )
    return int(rows[0][0]) if rows else 0


def days_pass(house: House, days: int) -> None:
    """Makes the journal older: it is append-only, so its guard is set aside for a moment."""
    house.sql(
        "BEGIN; SET LOCAL session_replication_role = replica;"
        f" UPDATE ledger_entries SET at = at - interval '{days:d} days'; COMMIT"
    )


async def assert_sound(house: House) -> None:
    """The whole ledger keeps its invariants."""
    async with house.database.transaction() as session:
        assert await invariants.check(session) == []


async def inbox(house: House, subject: str) -> list[tuple[str, str]]:
    """(kind, status) of every webhook kept about a subject, oldest first."""
    rows = house.sql(
        "SELECT kind, status FROM webhook_inbox WHERE subject = %s ORDER BY id", subject
    )
    return [(str(kind), str(status)) for kind, status in rows]


async def all_answered(house: House, subject: str) -> None:
    """Waits until every webhook about a subject has been acted on, or was about something over already."""

    async def answered() -> bool:
        return all(status != "received" for _, status in await inbox(house, subject))

    await eventually(answered)


async def at_provider(house: House, what: str, subject: str) -> list[Json]:
    """The sandbox's payments, refunds or payouts about one subject of ours."""
    answer = await house.sandbox.get(f"/v1/{what}", params={"limit": 100})
    return [each for each in answer.json()["data"] if each["subject"] == subject]


async def provider_moves(house: House, what: str, reference: str, **step: str) -> httpx.Response:
    """The payment company or a bank takes the next step."""
    answer = await house.sandbox.post(f"/v1/{what}/{reference}/advance", json=step)
    return answer.raise_for_status()


def rewrite_at_provider(house: House, statement: str, *values: object) -> None:
    """Changes the sandbox's own store: an error of the payment company that no switch offers."""
    with sqlite3.connect(house.settings.data_dir / "sandbox.db", timeout=5) as store:
        store.execute(statement, values)


async def redeliver(house: House) -> None:
    """One round of the re-delivery schedule, now."""
    await house.temporal.execute_workflow(
        RedeliverInbox.run,
        id=f"redeliver-{uuid.uuid4().hex}",
        task_queue=house.settings.temporal_task_queue,
    )


async def gather_payouts(house: House, limit: int = 200) -> None:
    """One round of the payout schedule, now."""
    await house.temporal.execute_workflow(
        GatherPayouts.run,
        DuePage(limit=limit),
        id=f"gather-{uuid.uuid4().hex}",
        task_queue=house.settings.temporal_task_queue,
    )


async def needs_operator(house: House, workflow_id: str) -> bool | None:
    """The search attribute that calls an operator."""
    described = await house.workflow(workflow_id).describe()
    for pair in described.typed_search_attributes:
        if pair.key.name == "NeedsOperator":
            return bool(pair.value)
    return None


@asynccontextmanager
async def unheard(house: House) -> AsyncIterator[None]:
    """Webhooks of the payment company go nowhere inside the block, and are dropped."""
    body: dict[str, Any] = {"operation": "webhook", "effect": "drop", "times": 1_000}
    switched = (await house.sandbox.post("/v1/behaviours", json=body)).json()
    try:
        yield
    finally:
        await house.sandbox.delete(f"/v1/behaviours/{switched['id']}")
