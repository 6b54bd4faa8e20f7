"""What the stories of returns share: a delivered sale, and goods of it that go back."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

import httpx

from tests.stories.deals import Deal
from tests.stories.house import House, Json
from tests.waiting import eventually

DAY = 86_400


async def delivered(house: House, **more: Any) -> Deal:
    """A sale whose parcel has arrived."""
    deal, number = await Deal.shipped(house, **more)
    await house.scan(number, "delivered")
    await deal.until("delivered")
    await deal.told("delivered")
    return deal


async def completed(house: House, **more: Any) -> Deal:
    """A sale whose buyer has confirmed."""
    deal, _ = await Deal.shipped(house, **more)
    await deal.act("confirm", deal.buyer)
    await deal.until("completed")
    return deal


@dataclass
class Back:
    """One return of a deal."""

    deal: Deal
    id: str

    @classmethod
    async def opened(cls, deal: Deal, reason: str = "defective", **more: Any) -> Back:
        """A return of the first line, unless told otherwise."""
        answer = await cls.try_to_open(deal, reason, **more)
        assert answer.status_code == 201, answer.text
        return cls(deal, str(answer.json()["id"]))

    @staticmethod
    async def try_to_open(deal: Deal, reason: str = "defective", **more: Any) -> httpx.Response:
        """An attempt whose answer is for the test to judge."""
        by = more.pop("by", deal.buyer)
        body = {"reason": reason, "lines": [{"line": 0}], **more}
        return await deal.house.call("POST", f"/v1/sales/{deal.id}/returns", by=by, json=body)

    @classmethod
    async def received(cls, deal: Deal, **more: Any) -> Back:
        """Goods that are back with the seller."""
        back = await cls.opened(deal, **more)
        if (await back.now())["phase"] == "asked":
            await back.act("agree", deal.seller)
        number = await back.ship()
        await deal.house.scan(number, "delivered")
        await back.until("received")
        return back

    async def try_to(self, verb: str, by: str, **body: object) -> httpx.Response:
        """An act whose answer is for the test to judge."""
        return await self.deal.house.call("POST", f"/v1/returns/{self.id}/{verb}", by=by, json=body)

    async def act(self, verb: str, by: str, **body: object) -> Json:
        """An act that must succeed."""
        answer = await self.try_to(verb, by, **body)
        assert answer.status_code == 200, answer.text
        done: Json = answer.json()
        return done

    async def ship(self, verb: str = "ship", by: str | None = None) -> str:
        """The goods are on their way; their number."""
        number = f"RT{uuid.uuid4().hex[:12]}"
        await self.act(verb, by or self.deal.buyer, carrier="sandbox", tracking_number=number)
        return number

    async def now(self, by: str | None = None) -> Json:
        """The return as the buyer sees it."""
        return await self.deal.house.get(f"/v1/returns/{self.id}", by=by or self.deal.buyer)

    async def until(self, phase: str) -> Json:
        """The return, once it stands in this phase."""

        async def there() -> Json | None:
            found = await self.now()
            assert found["phase"] == phase, found
            return found

        return await eventually(there) or {}

    async def let_pass(self, seconds: int) -> None:
        """Skips time on the return."""
        house = self.deal.house
        await house.skipper.fast_forward(house.workflow(f"return-{self.id}"), seconds)

    async def deadline(self) -> Json:
        """The one pending timer."""
        found = await self.deal.house.get(f"/v1/returns/{self.id}/deadlines", by=self.deal.seller)
        assert len(found["deadlines"]) == 1, found
        only: Json = found["deadlines"][0]
        return only

    async def ended(self, phase: str, *, back: int = 0) -> Json:
        """The return has ended, the refund has arrived, and nothing is held for it any more."""
        found = await self.until(phase)
        house = self.deal.house
        assert (found["refunded"]["amount"], found["closed_at"] is not None) == (back, True)

        def arrived() -> None:
            rows = house.sql("SELECT amount, status FROM refunds WHERE cause_id = %s", self.id)
            assert rows == ([(back, "succeeded")] if back else []), rows

        async def there() -> bool:
            arrived()
            return True

        await eventually(there)
        return found
