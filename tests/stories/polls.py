"""What the stories of ballots share: one ballot, its initiator and its voters, step by step."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass
from typing import Any

import httpx

from tests.stories.house import House, Json
from tests.waiting import eventually

DAY = 86_400
GRACE = 10
ADMIN = "admin"
QUESTION: Json = {
    "title": "Which glaze shall it be?",
    "options": [{"label": "Celadon"}, {"label": "Tenmoku"}, {"label": "Copper red"}],
    "account_age_seconds": 0,
    "voting_seconds": 2 * DAY,
    "notice_seconds": DAY,
}
"""A draft that is accepted: each voter names one of three."""


def people(number: int, what: str = "voter") -> list[str]:
    """People nobody else knows."""
    tail = uuid.uuid4().hex[:8]
    return [f"{what}-{tail}-{n}" for n in range(number)]


async def user_id(house: House, subject: str) -> str:
    """The id of somebody."""
    return str((await house.get("/v1/me", by=subject))["id"])


async def verified(house: House, subject: str, document: str) -> str:
    """Somebody whose document an operator has seen; their id."""
    found = await user_id(house, subject)
    answer = await house.call(
        "PUT", f"/v1/users/{found}/identity", by=ADMIN, json={"document": document}
    )
    assert answer.status_code == 200, answer.text
    return found


@dataclass
class Poll:
    """One ballot."""

    house: House
    initiator: str
    id: str

    @classmethod
    async def draft(cls, house: House, **changes: object) -> Poll:
        """A ballot that only its initiator knows of."""
        [initiator] = people(1, "asker")
        made = await house.post("/v1/ballots", {**QUESTION, **changes}, by=initiator)
        return cls(house, initiator, made["id"])

    @classmethod
    async def opened(cls, house: House, **changes: object) -> Poll:
        """A ballot on which people vote."""
        poll = await cls.draft(house, **changes)
        opened = await house.post(f"/v1/ballots/{poll.id}/open", by=poll.initiator)
        assert opened["phase"] == "open"
        return poll

    @classmethod
    async def counted(cls, house: House, *choices: object, **changes: object) -> Poll:
        """A ballot whose result is on public notice; each choice is that of a voter of their own."""
        poll = await cls.opened(house, **changes)
        await poll.votes(*choices)
        await poll.end_voting()
        await poll.until("notice")
        return poll

    async def vote(self, by: str, choice: object) -> Json:
        """A vote that must be taken; its receipt."""
        return await self.house.post(f"/v1/ballots/{self.id}/votes", _paper(choice), by=by)

    async def try_vote(self, by: str, choice: object, **more: Any) -> httpx.Response:
        """A vote whose answer is for the test to judge; a list of options, or points."""
        path = f"/v1/ballots/{self.id}/votes"
        return await self.house.call("POST", path, by=by, json=_paper(choice), **more)

    async def votes(self, *choices: object) -> list[str]:
        """Votes of people of their own, one after the other; who they are."""
        voters = people(len(choices))
        for voter, choice in zip(voters, choices, strict=True):
            await self.vote(voter, choice)
        return voters

    async def crowd(self, choices: list[object]) -> list[str]:
        """The same, all at once."""
        voters = people(len(choices))
        await asyncio.gather(*map(self.vote, voters, choices))
        return voters

    async def see(self) -> Json:
        """The ballot as its initiator sees it."""
        return await self.house.get(f"/v1/ballots/{self.id}", by=self.initiator)

    async def tally(self) -> Json:
        """The result, as anybody sees it."""
        return await self.house.get(f"/v1/ballots/{self.id}/tally", by="passer-by")

    async def papers(self) -> list[Json]:
        """All papers, as anybody sees them."""
        found = await self.house.get(f"/v1/ballots/{self.id}/papers", by="passer-by", limit=1000)
        rows: list[Json] = found["items"]
        return rows

    async def recount(self, by: str = "passer-by") -> Json:
        """A count anew by anybody."""
        return await self.house.post(f"/v1/ballots/{self.id}/recount", by=by)

    async def void(self, by: str = ADMIN, **which: object) -> httpx.Response:
        """An operator declares votes void; the answer is for the test to judge."""
        body = {"reason": "bought accounts", **which}
        path = f"/v1/ballots/{self.id}/void-votes"
        return await self.house.call("POST", path, by=by, json=body)

    async def deadline(self) -> Json | None:
        """The pending deadline, if there is one."""
        found = await self.house.get(f"/v1/ballots/{self.id}/deadlines", by=self.initiator)
        pending: list[Json] = found["deadlines"]
        assert len(pending) <= 1
        return pending[0] if pending else None

    async def timeline(self) -> list[str]:
        """What happened, as `kind by actor`."""
        found = await self.house.get(f"/v1/ballots/{self.id}/timeline", by=self.initiator)
        return [f"{each['kind']} by {each['actor']}" for each in found["items"]]

    async def let_pass(self, seconds: int) -> None:
        """Skips time on the ballot's workflow; the database's clock does not skip."""
        await self.house.skipper.fast_forward(self.house.workflow(f"ballot-{self.id}"), seconds)

    async def end_voting(self, seconds: int = 2 * DAY) -> None:
        """The time to vote passes."""
        await self.let_pass(seconds + GRACE + 1)

    async def end_notice(self) -> Json:
        """The public notice passes."""
        await self.let_pass(DAY + 1)
        return await self.until("final")

    async def until(self, phase: str) -> Json:
        """The ballot, once it stands in this phase."""

        async def there() -> Json | None:
            now = await self.see()
            assert now["phase"] == phase, f"{now['phase']} instead of {phase}"
            return now

        return await eventually(there, within_seconds=20) or {}

    async def assert_closed(self) -> None:
        """The path has ended for good; a ballot never holds money."""
        await self.house.assert_at_zero({"id": self.id})
        assert await self.house.workflow(f"ballot-{self.id}").describe()
        await eventually(self._has_ended)

    async def _has_ended(self) -> bool:
        return not await self.house.runs({"id": self.id})

    def sql(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """SQL about this ballot: its id is the first value."""
        return self.house.sql(query, self.id, *values)


def _paper(choice: object) -> Json:
    return {"points": choice} if isinstance(choice, dict) else {"options": choice}
