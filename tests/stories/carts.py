"""What the stories of orders share: one buyer, two sellers nobody else knows, and one payment for both."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from tests.stories.deals import MINUTE
from tests.stories.house import House, Json
from tests.waiting import eventually


@dataclass
class Cart:
    """An order of a lamp for 20,000 from the first seller and a bowl for 5,000 from the second."""

    house: House
    buyer: str
    sellers: tuple[str, str]
    goods: tuple[Json, Json]
    order: Json

    @classmethod
    async def placed(cls, house: House, **listing: Any) -> Cart:
        """An order that waits for its money; `listing` changes what the sellers have on sale."""
        tail = uuid.uuid4().hex[:8]
        buyer, first, second = f"buyer-{tail}", f"seller-{tail}", f"potter-{tail}"
        lamp = await house.listing(first, **listing)
        bowl = await house.listing(second, price=5_000, title="Bowl")
        order = await house.post(
            "/v1/orders", {"lines": lines(lamp, bowl), "delivery": "pickup"}, by=buyer
        )
        assert order["phase"] == "pending_payment"
        return cls(house, buyer, (first, second), (lamp, bowl), order)

    @classmethod
    async def paid(cls, house: House) -> Cart:
        """An order whose money is in two escrows."""
        cart = await cls.placed(house)
        assert (await house.pay(cart.order)).status_code == 200
        await cart.until("paid")
        return cart

    @property
    def sales(self) -> tuple[Json, Json]:
        """The two sales, as they were when they were ordered."""
        first, second = self.order["sales"]
        return first, second

    async def until(self, phase: str) -> Json:
        """The order as the buyer sees it, once it stands in this phase and has nothing left to do."""

        async def there() -> Json | None:
            now = await self.house.get(f"/v1/orders/{self.order['id']}", by=self.buyer)
            assert now["phase"] == phase, now["phase"]
            return now if now["closed_at"] else None

        return await eventually(there) or {}

    async def act(self, number: int, verb: str) -> None:
        """An act of the seller of one sale."""
        await self.house.act(self.sales[number], verb, by=self.sellers[number])

    async def complete(self, number: int) -> None:
        """One sale is taken on, handed over and confirmed."""
        await self.act(number, "accept")
        await self.act(number, "ship")
        await self.house.act(self.sales[number], "confirm", by=self.buyer)

    async def sale(self, number: int, phase: str) -> Json:
        """One of the sales, once it stands in this phase."""
        return await self.house.until(self.sales[number], phase, by=self.buyer)

    async def expire(self) -> None:
        """Nobody pays in time."""
        story = self.house.workflow(f"payment-{self.order['payment']['id']}")
        await self.house.skipper.fast_forward(story, 15 * MINUTE + 1)
        await story.result()
        await self.until("expired")

    async def pay_late(self) -> None:
        """The buyer pays although the payment is closed."""
        subject = self.order["payment"]["id"]
        await self.house.misbehave("payment", "late_capture", subject=subject)
        assert (await self.house.pay(self.order)).status_code == 200

    async def stock(self) -> list[int]:
        """How many lamps and bowls anybody can buy now."""
        return [
            (await self.house.get(f"/v1/listings/{each['id']}", by=self.buyer))["stock"]
            for each in self.goods
        ]

    async def earned(self) -> list[int]:
        """What the two sellers and the buyer have on their balances."""
        return [await self.house.payable(each) for each in (*self.sellers, self.buyer)]

    async def assert_at_zero(self) -> None:
        """Order and sales are closed, and nothing is held for them."""
        for path in (*self.sales, self.order):
            await self.house.assert_at_zero(path)


def lines(*listings: Json) -> list[Json]:
    """One piece of each."""
    return [{"listing_id": each["id"]} for each in listings]
