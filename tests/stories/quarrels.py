"""What the stories of disputes share: two sides who have talked, and what each does then."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx

from tests.stories.house import House, Json
from tests.stories.operators import operator
from tests.waiting import eventually

DAY = 86_400


async def talked(house: House, path_id: str, by: str, days: int = 3, **to: str) -> None:
    """Somebody has written to the other side some days ago."""
    body = {"body": "This is not what we agreed on", **to}
    said = await house.post(f"/v1/paths/{path_id}/messages", body, by=by)
    # What was said stays as it is, so the guard of the table is set aside for a moment.
    house.sql(
        "BEGIN; SET LOCAL session_replication_role = replica; UPDATE path_messages"
        f" SET at = at - interval '{days:d} days' WHERE id = '{said['id']}'; COMMIT"
    )


@dataclass
class Quarrel:
    """One dispute about a path of two sides, named as their tokens."""

    house: House
    about: str
    id: str
    claimant: str
    respondent: str

    @classmethod
    async def opened(
        cls, house: House, about: str, claimant: str, respondent: str, **body: Any
    ) -> Quarrel:
        """A dispute that waits for an answer."""
        answer = await cls.try_to_open(house, about, claimant, **body)
        assert answer.status_code == 201, answer.text
        return cls(house, about, str(answer.json()["id"]), claimant, respondent)

    @staticmethod
    async def try_to_open(house: House, about: str, by: str, **body: Any) -> httpx.Response:
        """An attempt whose answer is for the test to judge."""
        body = {"words": "Not as agreed", **body}
        return await house.call("POST", f"/v1/paths/{about}/disputes", by=by, json=body)

    async def try_to(self, verb: str, by: str, **body: object) -> httpx.Response:
        """An act whose answer is for the test to judge."""
        return await self.house.call("POST", f"/v1/disputes/{self.id}/{verb}", by=by, json=body)

    async def act(self, verb: str, by: str, **body: object) -> Json:
        """An act that must succeed."""
        answer = await self.try_to(verb, by, **body)
        assert answer.status_code == 200, answer.text
        done: Json = answer.json()
        return done

    async def now(self, by: str | None = None) -> Json:
        """The dispute as its claimant sees it."""
        return await self.house.get(f"/v1/disputes/{self.id}", by=by or self.claimant)

    async def until(self, phase: str) -> Json:
        """The dispute, once it stands in this phase."""

        async def there() -> Json | None:
            found = await self.now()
            assert found["phase"] == phase, found
            return found

        return await eventually(there) or {}

    async def let_pass(self, seconds: int) -> None:
        """Skips time on the dispute."""
        story = self.house.workflow(f"dispute-{self.id}")
        await self.house.skipper.fast_forward(story, seconds)

    async def to_ruling(self) -> None:
        """Both have talked for a while, and one asks for a ruling."""
        await self.act("answer", self.respondent)
        await self.let_pass(3 * DAY + 1)
        await self.act("escalate", self.claimant)

    async def ruled(self, to_payer: int, by: str | None = None) -> str:
        """An operator rules; who it was."""
        judge = by or await operator(self.house)
        await self.act("rule", judge, to_payer=to_payer, note="As the pictures show")
        return judge

    async def deadlines(self) -> list[Json]:
        """What the dispute waits for."""
        page = await self.house.get(f"/v1/disputes/{self.id}/deadlines", by=self.claimant)
        found: list[Json] = page["deadlines"]
        return found

    async def ended(self, phase: str, *, back: int, outcome: int | None, fee: int = 0) -> Json:
        """The dispute has ended so, and nothing is held for it."""
        found = await self.until(phase)
        assert found["refunded"]["amount"] == back, found
        assert (found["outcome"], found["fee"]["amount"]) == (outcome, fee), found
        rows = self.house.sql("SELECT closed_at, deadlines FROM paths WHERE id = %s", self.id)
        assert rows[0][0] is not None
        return found
