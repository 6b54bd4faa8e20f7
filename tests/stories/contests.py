"""What the stories of contests share: one contest of an owner nobody else knows, its creators, and the steps they take."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx

from tests.api.client import picture
from tests.stories.house import DAY, House, Json
from tests.waiting import eventually

BOUNTY = 100_000
GRACE = 60
"""How long after the deadline entries that arrived in time are still written down, seconds."""


def stranger(role: str) -> str:
    """Somebody nobody else knows."""
    return f"{role}-{uuid.uuid4().hex[:8]}"


@dataclass
class Show:
    """One contest, its owner and its creators."""

    house: House
    owner: str
    contest: Json
    entries: dict[str, Json] = field(default_factory=dict)
    """By creator, their first entry."""

    @classmethod
    async def drafted(cls, house: House, **changes: Any) -> Show:
        """A contest that nobody but its owner sees."""
        owner = stranger("owner")
        body: Json = {
            "title": "A mark for a tea house",
            "brief": "Ink and bamboo.",
            "bounty": {"amount": BOUNTY, "currency": "CNY"},
            **changes,
        }
        return cls(house, owner, await house.post("/v1/contests", body, by=owner))

    @classmethod
    async def funding(cls, house: House, *, pay_by: str = "card", **changes: Any) -> Show:
        """A contest that waits for its bounty."""
        show = await cls.drafted(house, **changes)
        sha = show.contest["licence"]["sha256"]
        await show.act("fund", licence_sha256=sha, pay_by=pay_by)
        return show

    @classmethod
    async def opened(cls, house: House, **changes: Any) -> Show:
        """A contest that takes entries."""
        show = await cls.funding(house, **changes)
        await show.pay()
        await show.until("open")
        await show.follows("open")
        return show

    @classmethod
    async def with_entries(cls, house: House, count: int, **changes: Any) -> Show:
        """An open contest with an entry each of so many creators, in this order."""
        show = await cls.opened(house, **changes)
        for _ in range(count):
            await show.enter(stranger("creator"))
        return show

    @classmethod
    async def choosing(cls, house: House, count: int, **changes: Any) -> Show:
        """A contest whose owner has to choose among so many entries."""
        show = await cls.with_entries(house, count, **changes)
        await show.entries_close()
        await show.until("choosing")
        return show

    @classmethod
    async def announced(cls, house: House, count: int = 2, **changes: Any) -> Show:
        """A contest whose first entry has been chosen and is on public notice."""
        show = await cls.choosing(house, count, **changes)
        await show.announce(show.creators[0])
        return show

    @classmethod
    async def handing_over(cls, house: House, count: int = 2, **changes: Any) -> Show:
        """A contest whose winner has to hand over."""
        show = await cls.announced(house, count, **changes)
        await show.let_pass(3 * DAY)
        await show.until("hand_over")
        return show

    @classmethod
    async def reviewing(cls, house: House, count: int = 2, **changes: Any) -> Show:
        """A contest whose owner has to accept what the winner has handed over."""
        show = await cls.handing_over(house, count, **changes)
        await show.hand_over(show.creators[0])
        return show

    @property
    def id(self) -> str:
        return str(self.contest["id"])

    @property
    def path(self) -> str:
        return f"/v1/contests/{self.id}"

    @property
    def creators(self) -> list[str]:
        """In the order in which they entered."""
        return list(self.entries)

    @property
    def story(self) -> str:
        """Id of the workflow that tells the contest's story now."""
        return self.house.story_of(self.contest)

    async def act(self, verb: str, *, by: str | None = None, **body: object) -> Json:
        """An act that must succeed, of the owner or of somebody else."""
        self.contest = await self.house.post(f"{self.path}/{verb}", body, by=by or self.owner)
        return self.contest

    async def tries(self, verb: str, *, by: str | None = None, **body: object) -> httpx.Response:
        """An act whose answer the test looks at."""
        return await self.house.call("POST", f"{self.path}/{verb}", by=by or self.owner, json=body)

    async def pay(self) -> httpx.Response:
        """The owner presses "pay" on the provider's page."""
        return await self.house.pay(await self.seen())

    async def seen(self, by: str | None = None) -> Json:
        """The contest as somebody sees it now."""
        return await self.house.get(self.path, by or self.owner)

    async def until(self, phase: str, *, within_seconds: float = 20) -> Json:
        """The contest, once it stands in this phase."""

        async def there() -> Json:
            now = await self.seen()
            assert now["phase"] == phase, f"{now['phase']} instead of {phase}"
            return now

        self.contest = await eventually(there, within_seconds=within_seconds) or {}
        return self.contest

    async def follows(self, phase: str) -> None:
        """Waits until the story has heard what the books say already."""

        async def heard() -> bool:
            watch = await self.house.workflow(self.story).query("watch")
            return watch["standing"] is not None and watch["standing"]["phase"] == phase

        await eventually(heard)

    async def let_pass(self, seconds: int) -> None:
        """Time passes for the contest's story."""
        await self.house.skipper.fast_forward(self.house.workflow(self.story), seconds)

    async def entries_close(self) -> None:
        """The time for entries passes, and what was on its way is in."""
        await self.let_pass(7 * DAY + GRACE)

    async def file(self, by: str, color: str | None = None) -> str:
        """A private picture of somebody's; its id."""
        tint = color or f"#{uuid.uuid4().hex[:6]}"
        answer = await self.house.call(
            "POST",
            "/v1/files?private=true",
            by=by,
            files={"file": ("work.png", picture(color=tint), "image/png")},
        )
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    async def enter(self, creator: str, **changes: object) -> Json:
        """An entry that must succeed."""
        body = {"title": f"By {creator}", "file_ids": [await self.file(creator)], **changes}
        entry = await self.house.post(f"{self.path}/entries", body, by=creator)
        self.entries.setdefault(creator, entry)
        return entry

    async def entry(self, creator: str, by: str | None = None) -> Json:
        """A creator's first entry as somebody sees it."""
        return await self.house.get(
            f"{self.path}/entries/{self.entries[creator]['id']}", by or creator
        )

    async def shortlist(self, *creators: str) -> None:
        """The owner shortlists first entries of these creators."""
        ids = [self.entries[creator]["id"] for creator in creators]
        await self.house.post(f"{self.path}/shortlist", {"entry_ids": ids}, by=self.owner)

    async def announce(self, *winners: str, runners_up: tuple[str, ...] = ()) -> Json:
        """The owner chooses, the first prize first."""
        return await self.act(
            "announce",
            awards=[
                {"prize": rank, "entry_id": self.entries[creator]["id"]}
                for rank, creator in enumerate(winners, start=1)
            ],
            runners_up=[self.entries[creator]["id"] for creator in runners_up],
        )

    async def hand_over(self, winner: str, prize: int = 1) -> Json:
        """A winner signs and hands over."""
        return await self.act(
            "hand-over",
            by=winner,
            prize=prize,
            licence_sha256=self.contest["licence"]["sha256"],
            file_ids=[await self.file(winner)],
        )

    async def user_id(self, name: str) -> str:
        """Somebody's user id."""
        return str((await self.house.get("/v1/me", name))["id"])

    async def timeline(self) -> list[str]:
        """What happened, as `kind by actor`, oldest first."""
        page = await self.house.get(f"{self.path}/timeline", self.owner, limit=100)
        return [f"{each['kind']} by {each['actor']}" for each in page["items"]]

    async def run_out(self) -> None:
        """Skips time to just before the next timer, so that nothing of the skip is left for what begins with it.

        A child that a story starts in the midst of a skip would skip its own timers as well.
        """
        story = self.house.workflow(self.story)
        last = (await story.fetch_history()).events[-1].event_time.ToDatetime(UTC)
        due = min(
            datetime.fromisoformat(each["due_at"]) for each in (await self.deadlines()).values()
        )
        await self.house.skipper.fast_forward(story, (due - last).total_seconds() - 2)

    async def deadlines(self) -> dict[str, Json]:
        """The pending timers by name."""
        found = await self.house.get(f"{self.path}/deadlines", self.owner)
        return {each["name"]: each for each in found["deadlines"]}

    async def postings(self) -> list[str]:
        """The contest's journal as lines `kind: side account amount`, people by name, settlements left out."""
        names = {self.id: "contest", await self.user_id(self.owner): "owner"}
        for creator in self.creators:
            names[self.entries[creator]["creator_id"]] = (
                f"creator{self.creators.index(creator) + 1}"
            )
        rows = self.house.sql(
            "SELECT e.kind, p.side, a.kind, a.owner, p.amount FROM ledger_postings p"
            " JOIN ledger_entries e ON e.id = p.entry_id JOIN ledger_accounts a ON a.id = p.account_id"
            " WHERE e.path_id = %s AND e.kind <> 'settle' ORDER BY p.id",
            self.id,
        )
        return [
            f"{entry}: {side} {kind}:{names.get(owner, owner.split('_')[0])} {amount}"
            for entry, side, kind, owner, amount in rows
        ]

    async def ended(self, phase: str) -> None:
        """The contest has ended so, its story too, nothing is held for it and all invariants hold."""
        await self.until(phase)

        async def closed() -> bool:
            return (await self.seen())["closed_at"] is not None

        await eventually(closed)
        await self.house.assert_at_zero(self.contest)

        async def told() -> bool:
            return not await self.house.runs(self.contest)

        await eventually(told)


def funded(amount: int = BOUNTY) -> list[str]:
    """What a captured bounty posts."""
    return [
        f"fund: debit clearing:sandbox {amount}",
        f"fund: credit escrow:contest {amount}",
    ]


def released(to: str, net: int, fee: int) -> list[str]:
    """What a released prize posts."""
    return [
        f"release: debit escrow:contest {net + fee}",
        f"release: credit payable:{to} {net}",
        f"release: credit fee:platform {fee}",
    ]


def sent_back(amount: int = BOUNTY) -> list[str]:
    """What a refund posts, from the decision to the provider's word."""
    return [
        f"refund: debit escrow:contest {amount}",
        f"refund: credit refund_due:ref {amount}",
        f"refund_paid: debit refund_due:ref {amount}",
        f"refund_paid: credit cash:sandbox {amount}",
    ]


def sha256(content: bytes) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(content).hexdigest()
