"""What the stories of sales share: one deal between a buyer and a seller nobody else knows, step by step."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from tests.api.client import assert_problem
from tests.stories.house import House, Json
from tests.waiting import eventually

MINUTE, HOUR, DAY = 60, 3_600, 86_400
ADMIN = "admin"
CANCEL = ["buyer: cancel", "seller: cancel", "operator: cancel"]
STOPPED_BY = {
    "payment": ["buyer: pay", *CANCEL],
    "acceptance": ["seller: accept", "seller: decline", *CANCEL],
    "shipment": ["seller: ship", *CANCEL],
    "scan": ["carrier: scan", "buyer: confirm"],
    "confirmation": ["buyer: confirm"],
}
"""Who can stop which timer."""


def people() -> tuple[str, str]:
    """A buyer and a seller nobody else knows."""
    tail = uuid.uuid4().hex[:8]
    return f"buyer-{tail}", f"seller-{tail}"


def funded(total: int) -> list[str]:
    """What a captured and settled payment posts; the sandbox keeps 0.6 %."""
    kept = (total * 60 + 5_000) // 10_000
    lines = [
        f"fund: debit clearing:sandbox {total}",
        f"fund: credit escrow:sale {total}",
        f"settle: debit cash:sandbox {total - kept}",
        f"settle: debit psp_fee:platform {kept}",
        f"settle: credit clearing:sandbox {total}",
    ]
    return [line for line in lines if not line.endswith(" 0")]


def refunded(total: int) -> list[str]:
    """What a refund in full posts, from the decision to the provider's word."""
    return [
        f"refund: debit escrow:sale {total}",
        f"refund: credit refund_due:ref {total}",
        f"refund_paid: debit refund_due:ref {total}",
        f"refund_paid: credit cash:sandbox {total}",
    ]


def released(seller: int, fee: int, **royalties: int) -> list[str]:
    """What a release posts; sides of 0 are left out."""
    total = seller + fee + sum(royalties.values())
    lines = [
        f"release: debit escrow:sale {total}",
        f"release: credit payable:seller {seller}",
        f"release: credit fee:platform {fee}",
        *(f"release: credit royalty:{sku} {amount}" for sku, amount in royalties.items()),
    ]
    return [line for line in lines if not line.endswith(" 0")]


@dataclass
class Deal:
    """One sale, its two people and its listing. `since` is a moment just before the newest step."""

    house: House
    buyer: str
    seller: str
    lamp: Json
    sale: Json
    since: datetime

    @classmethod
    async def placed(
        cls, house: House, *, quantity: int = 1, order: Json | None = None, **listing: Any
    ) -> Deal:
        """An order that waits for its money."""
        buyer, seller = people()
        lamp = await house.listing(seller, **listing)
        return await cls.of(house, lamp, buyer, seller, quantity=quantity, **(order or {}))

    @classmethod
    async def of(cls, house: House, lamp: Json, buyer: str, seller: str, **order: Any) -> Deal:
        """An order of something that is on sale already."""
        since = datetime.now(UTC)
        sale = await house.order(lamp, by=buyer, **order)
        assert sale["phase"] == "pending_payment"
        return cls(house, buyer, seller, lamp, sale, since)

    @classmethod
    async def paid(cls, house: House, **more: Any) -> Deal:
        """A sale whose money is in escrow."""
        return await (await cls.placed(house, **more)).pay()

    @classmethod
    async def accepted(cls, house: House, **more: Any) -> Deal:
        """A sale the seller has taken on."""
        return await (await cls.paid(house, **more)).accept()

    @classmethod
    async def shipped(cls, house: House, **more: Any) -> tuple[Deal, str]:
        """A sale under way, and its tracking number."""
        deal = await cls.accepted(house, **more)
        return deal, await deal.ship()

    @property
    def id(self) -> str:
        """The sale's id."""
        return str(self.sale["id"])

    @property
    def total(self) -> int:
        """The price, minor units."""
        return int(self.sale["total"]["amount"])

    async def pay(self) -> Deal:
        """The buyer pays."""
        self.since = datetime.now(UTC)
        assert (await self.house.pay(self.sale)).status_code == 200
        await self.until("paid")
        return self

    async def pay_late(self) -> None:
        """The buyer pays although the payment is closed; the sandbox lets it through."""
        subject = self.sale["payment"]["id"]
        await self.house.misbehave("payment", "late_capture", subject=subject)
        self.since = datetime.now(UTC)
        assert (await self.house.pay(self.sale)).status_code == 200

    async def accept(self) -> Deal:
        """The seller takes the order on."""
        await self.act("accept", self.seller)
        return self

    async def ship(self) -> str:
        """The seller hands the parcel to the carrier; its number."""
        number = f"SF{uuid.uuid4().hex[:12]}"
        await self.act("ship", self.seller, carrier="sandbox", tracking_number=number)
        return number

    async def act(self, verb: str, by: str, **body: object) -> Json:
        """An act that must succeed."""
        self.since = datetime.now(UTC)
        return await self.house.act(self.sale, verb, by=by, **body)

    async def try_to(self, verb: str, by: str, **body: object) -> httpx.Response:
        """An act whose answer is for the test to judge."""
        path = f"/v1/sales/{self.id}/{verb}"
        return await self.house.call("POST", path, by=by, json=body)

    async def until(self, phase: str, **more: Any) -> Json:
        """The sale as the buyer sees it, once it stands in this phase."""
        return await self.house.until(self.sale, phase, by=self.buyer, **more)

    async def told(self, phase: str) -> None:
        """Waits until the workflow, and not only its books, stands in this phase."""

        async def there() -> bool:
            standing = await self.house.workflow(self.house.story_of(self.sale)).query("standing")
            return bool(standing["phase"] == phase)

        await eventually(there)

    async def let_pass(self, seconds: int) -> None:
        """Skips time on the sale."""
        await self.house.let_pass(self.sale, seconds)

    async def expire(self) -> Json:
        """Nobody pays in time."""
        await self.house.let_pass(self.sale, 15 * MINUTE + 1, workflow="payment")
        # Its clock has run ahead: what comes later must find a story of its own, on today's clock.
        await self.house.workflow(f"payment-{self.sale['payment']['id']}").result()
        return await self.until("expired")

    async def expect(self, name: str, seconds: int) -> list[str]:
        """Checks the one pending deadline: due so long after the newest step. Answers the postings it promises."""
        deadline = await self.deadline()
        due = datetime.fromisoformat(deadline["due_at"])
        entered = due - timedelta(seconds=seconds)
        assert self.since <= entered <= datetime.now(UTC), f"{name} is due at {due}"
        assert (deadline["name"], deadline["stopped_by"]) == (name, STOPPED_BY[name])
        assert deadline["outcome"]
        return self.promised(deadline)

    async def deadline(self) -> Json:
        """The one pending deadline."""
        found = await self.house.get(f"/v1/sales/{self.id}/deadlines", by=self.seller)
        assert len(found["deadlines"]) == 1, found
        only: Json = found["deadlines"][0]
        return only

    def promised(self, deadline: Json) -> list[str]:
        """A deadline's postings in the words of `posted`."""
        names = {
            self.id: "sale",
            self.sale["seller_id"]: "seller",
            self.sale["buyer_id"]: "buyer",
            "new": "ref",
        }
        lines = []
        for posting in deadline["postings"]:
            kind, _, owner = posting["account"].partition(":")
            amount = posting["amount"]["amount"]
            lines.append(f"{posting['side']} {kind}:{names.get(owner, owner)} {amount}")
        return lines

    async def posted(self, *kinds: str) -> list[str]:
        """The path's postings of these kinds of entries."""
        lines = [line.split(": ", 1) for line in await self.house.postings(self.sale)]
        return [posting for kind, posting in lines if kind in kinds]

    async def stock(self) -> int | None:
        """How many pieces anybody can buy now."""
        left: int | None = (
            await self.house.get(f"/v1/listings/{self.lamp['id']}", by=self.seller)
        )["stock"]
        return left

    async def timeline(self) -> list[str]:
        """What happened: `kind by actor`, oldest first."""
        page = await self.house.get(f"/v1/sales/{self.id}/timeline", by=self.buyer)
        assert all(event["summary"] for event in page["items"])
        return [f"{event['kind']} by {event['actor']}" for event in page["items"]]

    async def closed(self) -> None:
        """Nothing is held for the sale any more."""

        async def there() -> bool:
            await self.house.assert_at_zero(self.sale)
            return True

        await eventually(there)

    async def assert_refunded(self, reason: str, *, stock: int | None, events: list[str]) -> None:
        """The buyer has everything back, the seller nothing, the pieces are where they belong, all accounts at 0."""
        sale = await self.until("refunded")
        assert sale["end_reason"] == reason
        assert (sale["refund"]["status"], sale["refund"]["reason"]) == ("succeeded", reason)
        assert sale["refund"]["amount"] == sale["total"]
        lines = funded(self.total) + refunded(self.total)
        assert await self.house.postings(self.sale) == lines
        assert await self.stock() == stock
        assert await self.timeline() == [*events, "refunded by provider"]
        assert await self.house.payable(self.buyer) == await self.house.payable(self.seller) == 0
        await self.house.assert_at_zero(self.sale)


async def refused(answer: httpx.Response, status: int, code: str, field: str | None = None) -> Json:
    """The problem document of a refusal, which names the field when there is one to name."""
    problem = assert_problem(answer, status, code)
    assert problem.get("field") == field, problem
    return problem
