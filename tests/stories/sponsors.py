"""What the stories of match calls share: one call, its sponsor and the campaigns it matches, step by step."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import Any

import httpx

from activities.match_call_money import back_to_sponsors
from db import match_rows
from db.match_rows import Matched, PledgeFacts
from domain import postings_match
from domain.ids import new_id
from ledger import journal
from tests.stories.calls import Field
from tests.stories.house import House, Json
from tests.stories.jobs import lines
from tests.waiting import eventually

DAY = 86_400
ADMIN = "admin"
BUDGET = 10_000


def used(amount: int) -> list[str]:
    """What a campaign's success posts."""
    return lines(
        ("match_used", "debit match:call", amount), ("match_used", "credit escrow:cmp", amount)
    )


@dataclass
class Call:
    """One match call on a running platform, with campaigns that are only rows."""

    house: House
    sponsor: str
    call: Json
    rows: Field
    people: dict[str, str] = field(default_factory=dict)
    """Token subject -> user id."""

    @classmethod
    async def drafted(cls, house: House, *, sponsor: str = "", **more: Any) -> Call:
        """A draft."""
        sponsor = sponsor or f"sponsor-{uuid.uuid4().hex[:8]}"
        body = cls.body(**more)
        made = await house.post("/v1/match-calls", body, by=sponsor)
        rows = Field(house.settings.require_database_url(), house.database)
        return cls(house, sponsor, made, rows, {sponsor: made["sponsor_id"]})

    @staticmethod
    def body(*, budget: int = BUDGET, currency: str = "CNY", **more: Any) -> Json:
        """A draft's body."""
        return {
            "title": "Kilns",
            "story": "One for one",
            "sponsor_kind": "charity",
            "sponsor_name": "Kiln fund",
            "budget": {"amount": budget, "currency": currency},
            "open_seconds": DAY,
            **more,
        }

    @classmethod
    async def funding(cls, house: House, **more: Any) -> Call:
        """A call whose sponsor can pay the budget."""
        call = await cls.drafted(house, **more)
        call.call = await call.act("fund", call.sponsor)
        return call

    @classmethod
    async def opened(cls, house: House, **more: Any) -> Call:
        """A call that campaigns can apply to."""
        call = await cls.funding(house, **more)
        await call.pay(call.call["payments"][0])
        await call.until("open")
        return call

    @property
    def id(self) -> str:
        """The call's id."""
        return str(self.call["id"])

    @property
    def story(self) -> str:
        """Id of the call's workflow."""
        return f"match_call-{self.id}"

    async def who(self, subject: str) -> str:
        """The user id of somebody who may sign in for the first time."""
        if subject not in self.people:
            self.people[subject] = (await self.house.get("/v1/me", by=subject))["id"]
        return self.people[subject]

    def somebody(self, role: str) -> str:
        """Somebody nobody else knows."""
        return f"{role}-{uuid.uuid4().hex[:8]}"

    async def campaign(self, creator: str | None = None, **more: Any) -> tuple[str, str]:
        """A live campaign and its creator."""
        creator = creator or self.somebody("creator")
        return self.rows.campaign(await self.who(creator), **more), creator

    async def accepted(self, **more: Any) -> str:
        """A campaign that has applied and been accepted."""
        campaign, creator = await self.campaign(**more)
        await self.apply(campaign, creator)
        await self.act(f"projects/{campaign}/accept", self.sponsor)
        return campaign

    async def apply(self, campaign: str, creator: str) -> Json:
        """An application that must be taken."""
        answer = await self.try_to("projects", creator, campaign_id=campaign)
        assert answer.status_code == 201, answer.text
        found: Json = answer.json()
        return found

    async def act(self, verb: str, by: str, **body: Any) -> Json:
        """An act that must succeed."""
        return await self.house.post(f"/v1/match-calls/{self.id}/{verb}", body, by=by)

    async def try_to(self, verb: str, by: str, **body: Any) -> httpx.Response:
        """An act whose answer is for the test to judge."""
        return await self.house.call("POST", f"/v1/match-calls/{self.id}/{verb}", by=by, json=body)

    async def now(self, by: str | None = None) -> Json:
        """The call as the sponsor or somebody else sees it."""
        return await self.house.get(f"/v1/match-calls/{self.id}", by or self.sponsor)

    async def report(self, by: str | None = None) -> Json:
        """What has become of the budget."""
        return await self.house.get(f"/v1/match-calls/{self.id}/report", by or self.sponsor)

    async def pay(self, payment: Json) -> None:
        """Presses "pay" on the provider's page."""
        answer = await self.house.pay({"payment": payment})
        assert answer.status_code == 200, answer.text

    async def topped_up(self, amount: int) -> None:
        """The sponsor adds to the budget and pays."""
        before = (await self.now())["budget"]["paid"]["amount"]
        await self.pay((await self.top_up(amount))["payments"][-1])

        async def there() -> bool:
            return bool((await self.now())["budget"]["paid"]["amount"] == before + amount)

        await eventually(there)

    async def top_up(self, amount: int) -> Json:
        """The sponsor wants to add to the budget."""
        return await self.act("top-up", self.sponsor, amount={"amount": amount})

    async def until(self, phase: str) -> Json:
        """The call, once its story stands in this phase and not only its books."""
        handle = self.house.workflow(self.story)

        async def there() -> Json | None:
            found = await self.now()
            assert found["phase"] == phase, f"{found['phase']} instead of {phase}"
            watch = await handle.query("watch")
            assert watch["standing"]["phase"] == phase
            return found

        return await eventually(there, within_seconds=20) or {}

    async def let_pass(self, seconds: int) -> None:
        """Skips time on the call's story."""
        await self.house.skipper.fast_forward(self.house.workflow(self.story), seconds)

    async def succeed(self, campaign: str) -> tuple[Matched, ...]:
        """The campaign succeeds: what was promised is its own, and the calls' stories are told."""
        async with self.house.database.transaction() as session:
            shares = await match_rows.use(session, campaign)
            await journal.post(
                session,
                *(
                    postings_match.match_used(
                        f"{campaign}/{each.call_id}/used",
                        each.call_id,
                        campaign,
                        each.amount,
                        each.currency,
                    )
                    for each in shares
                ),
            )
        self.rows.succeeded(campaign, *shares)
        await self.tell_decided()
        return shares

    async def fail(self, campaign: str) -> int:
        """The campaign fails, and the calls' stories are told."""
        freed = await self.rows.fail(campaign)
        await self.tell_decided()
        return freed

    async def stop(self, campaign: str, amount: int) -> None:
        """The campaign is stopped after its success and gives so much back; refunds that follow are sent."""
        back = [Matched(call_id=self.id, amount=amount, currency="CNY")]
        key = new_id("evt")
        async with self.house.database.transaction() as session:
            at = self.house.sql("SELECT now()")[0][0]
            await match_rows.give_back(session, campaign, back)
            onward = await back_to_sponsors(session, back, key=key, at=at)
            returned = postings_match.match_returned(key, self.id, campaign, amount, "CNY")
            await journal.post(session, returned, *onward.entries)
        for case in onward.cases:
            await self.house.temporal.start_workflow(
                "Refund",
                case,
                id=f"refund-{case.refund_id}",
                task_queue=self.house.settings.temporal_task_queue,
            )

    async def tell_decided(self) -> None:
        """What a campaign's story does when it is decided."""
        await self.house.workflow(self.story).signal("campaign_decided")

    async def freeze(self, subject: str, verb: str = "freeze") -> None:
        """An operator freezes or unfreezes somebody."""
        user = await self.who(subject)
        await self.house.post(f"/v1/users/{user}/{verb}", {"reason": "case 7"}, by=ADMIN)

    async def deadlines(self) -> dict[str, Json]:
        """The pending timers by name."""
        found = await self.house.get(f"/v1/match-calls/{self.id}/deadlines", by=self.sponsor)
        return {each["name"]: each for each in found["deadlines"]}

    async def timeline(self) -> list[str]:
        """What happened: `kind by actor`, oldest first."""
        page = await self.house.get(f"/v1/match-calls/{self.id}/timeline", by=ADMIN, limit=100)
        assert all(event["summary"] for event in page["items"])
        return [f"{event['kind']} by {event['actor']}" for event in page["items"]]

    def postings(self) -> list[str]:
        """The call's journal, entries of campaigns that move its budget included: `kind: side account amount`."""
        rows = self.house.sql(
            "SELECT e.kind, p.side, a.kind, a.owner, p.amount FROM ledger_postings p"
            " JOIN ledger_entries e ON e.id = p.entry_id JOIN ledger_accounts a ON a.id = p.account_id"
            " WHERE e.path_id = %s OR e.id IN (SELECT o.entry_id FROM ledger_postings o"
            " JOIN ledger_accounts b ON b.id = o.account_id WHERE b.path_id = %s) ORDER BY p.id",
            self.id,
            self.id,
        )
        names = {self.id: "call", self.call["sponsor_id"]: "sponsor"}
        return [
            f"{entry}: {side} {kind}:{names.get(owner, owner.split('_')[0])} {amount}"
            for entry, side, kind, owner, amount in rows
        ]

    async def assert_sums(self, **amounts: int) -> Json:
        """Checks where the budget is, that it adds up, and that the ledger says the same."""
        found = await self.report()
        budget = {name: each["amount"] for name, each in found["budget"].items()}
        paid = budget.pop("paid")
        assert paid == sum(budget.values())
        assert {name: each for name, each in budget.items() if each} == amounts
        assert found["in_account"]["amount"] == budget["left"] + budget["reserved"]
        self.rows.assert_adds_up()
        return found

    async def ended(self, phase: str, *postings_: list[str]) -> Json:
        """Checks the end: phase, every posting (whatever their order), all accounts at 0, nothing running."""

        async def closed() -> bool:
            query = "SELECT closed_at IS NOT NULL FROM paths WHERE id = %s"
            return bool(self.house.sql(query, self.id)[0][0])

        await eventually(closed, within_seconds=20)
        found = await self.now()
        assert found["phase"] == phase
        wanted = sorted(line for each in postings_ for line in each)

        async def settled() -> bool:
            assert sorted(self.postings()) == wanted
            return True

        await eventually(settled)
        await self.house.assert_at_zero(self.call)
        self.rows.assert_adds_up()
        await self.house.workflow(self.story).result()
        return found

    async def pledge(self, campaign: str, amount: int, **more: Any) -> tuple[PledgeFacts, int]:
        """A paid pledge, and what was reserved for it."""
        return await self.rows.pledge(campaign, amount, **more)
