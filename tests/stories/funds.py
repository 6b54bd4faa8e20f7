"""What the stories of campaigns share: one campaign, its creator and its backers, step by step."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from tests.stories.house import House, Json
from tests.waiting import eventually

DAY = 86_400
ADMIN = "admin"
GOAL = 20_000
PRICE = 10_001
"""An odd number of minor units."""
GRACE = 11
"""Seconds after which what arrived in time has been written down."""
SLOW = 5 * DAY
FIX = 7 * DAY
FINAL_CHARGES = 3_601
"""Seconds for the last tries after the time for mending is over."""


def people(count: int = 1) -> tuple[str, list[str]]:
    """A creator and so many backers nobody else knows."""
    tail = uuid.uuid4().hex[:8]
    return f"creator-{tail}", [f"backer{i}-{tail}" for i in range(count)]


def money(amount: int, currency: str = "CNY") -> Json:
    """An amount as requests name it."""
    return {"amount": amount, "currency": currency}


def in_days(days: int) -> str:
    """A day to come."""
    return (datetime.now(UTC).date() + timedelta(days=days)).isoformat()


def tier(title: str = "One lamp", price: int = PRICE, currency: str = "CNY", **more: Any) -> Json:
    """A reward tier."""
    return {"title": title, "price": money(price, currency), "deliver_on": in_days(200), **more}


def draft(**more: Any) -> Json:
    """The body of a draft; `goal` is in minor units."""
    currency = more.pop("currency", "CNY")
    donation = more.get("kind") == "donation"
    return {
        "title": "Lamps for a hundred homes",
        "story": "Bamboo and paper",
        "goal": money(more.pop("goal", GOAL), currency),
        "live_seconds": DAY,
        "tiers": [] if donation else [tier(currency=currency)],
        **more,
    }


def lines(*moves: tuple[str, str, int]) -> list[str]:
    """Postings as `Fund.postings` tells them; those of 0 are none."""
    return [f"{kind}: {what} {amount}" for kind, what, amount in moves if amount]


def paid_in(amount: int) -> list[str]:
    """What a captured and settled payment posts; the sandbox keeps 0.6 %."""
    kept = (amount * 60 + 5_000) // 10_000
    return lines(
        ("fund", "debit clearing:sandbox", amount),
        ("fund", "credit escrow:campaign", amount),
        ("settle", "debit cash:sandbox", amount - kept),
        ("settle", "debit psp_fee:platform", kept),
        ("settle", "credit clearing:sandbox", amount),
    )


def sent_back(amount: int) -> list[str]:
    """What a refund posts, from the decision to the provider's word."""
    return lines(
        ("refund", "debit escrow:campaign", amount),
        ("refund", "credit refund_due:ref", amount),
        ("refund_paid", "debit refund_due:ref", amount),
        ("refund_paid", "credit cash:sandbox", amount),
    )


@dataclass
class Fund:
    """One campaign."""

    house: House
    creator: str
    campaign: Json
    currency: str = "CNY"
    pledges: dict[str, Json] = field(default_factory=dict)
    """The last pledge of each backer."""

    @classmethod
    async def drafted(cls, house: House, **more: Any) -> Fund:
        """A draft."""
        creator = more.pop("creator", None) or people()[0]
        currency = more.get("currency", "CNY")
        made = await house.post("/v1/campaigns", draft(**more), by=creator)
        return cls(house, creator, made, currency)

    @classmethod
    async def submitted(cls, house: House, **more: Any) -> Fund:
        """A campaign that operators are to review."""
        fund = await cls.drafted(house, **more)
        await fund.act("submit", fund.creator)
        return fund

    @classmethod
    async def live(cls, house: House, **more: Any) -> Fund:
        """A campaign that takes pledges."""
        fund = await cls.submitted(house, **more)
        found = await fund.act("approve", ADMIN)
        assert found["phase"] == "live"
        return fund

    @classmethod
    async def closed(cls, house: House, *methods: str, **more: Any) -> Fund:
        """A campaign whose time is up, with a pledge by each of these ways to pay."""
        fund = await cls.live(house, **more)
        await fund.backed_by(*methods)
        await fund.close()
        return fund

    @classmethod
    async def successful(cls, house: House, *methods: str, **more: Any) -> Fund:
        """A campaign that has collected enough; by default from two backers."""
        fund = await cls.closed(house, *(methods or ("card", "wallet")), **more)
        await fund.until("successful")
        return fund

    @property
    def id(self) -> str:
        """The campaign's id."""
        return str(self.campaign["id"])

    @property
    def backers(self) -> list[str]:
        """Who has pledged."""
        return list(self.pledges)

    # Backers.

    async def backed_by(self, *methods: str, **more: Any) -> list[str]:
        """One more backer for each way to pay, who does what the provider's page asks for; their names."""
        names = people(len(methods))[1]
        for name, method in zip(names, methods, strict=True):
            await self.back(name, method=method, **more)
        return names

    async def back(self, backer: str, **more: Any) -> Json:
        """A pledge whose backer does what the provider's page asks for; the books may hear of it later."""
        pledge = await self.pledge(backer, **more)
        await self.press(pledge)
        return pledge

    async def pledge(self, backer: str, *, tier: int | None = 1, **more: Any) -> Json:
        """A pledge that must be taken."""
        answer = await self.try_pledge(backer, tier=tier, **more)
        assert answer.status_code == 201, answer.text
        self.pledges[backer] = answer.json()
        return self.pledges[backer]

    async def try_pledge(
        self, backer: str, *, tier: int | None = 1, quantity: int = 1, **more: Any
    ) -> httpx.Response:
        """A pledge whose answer is for the test to judge; without a tier `extra` is the gift."""
        chosen = {"tier": {"number": tier, "quantity": quantity}} if tier is not None else {}
        body = {"method": "card", **chosen, **more}
        if isinstance(extra := body.get("extra"), int):
            body["extra"] = money(extra, self.currency)
        return await self.house.call(
            "POST", f"/v1/campaigns/{self.id}/pledges", by=backer, json=body
        )

    async def press(self, pledge: Json, *, decline: bool = False) -> None:
        """Saves the card, or pays, on the provider's page."""
        do = pledge["to_do"]
        action = "save" if do["action"] == "save_card" else "pay"
        answer = await self.house.sandbox.post(
            do["checkout_url"],
            data={"action": "decline" if decline else action},
            headers={"accept": "application/json"},
        )
        assert answer.status_code == 200, answer.text

    async def pledge_of(self, backer: str) -> Json:
        """The backer's last pledge as it is now."""
        return await self.house.get(f"/v1/pledges/{self.pledges[backer]['id']}", by=backer)

    def states(self) -> list[str]:
        """Where the pledges stand, in the order in which they were made."""
        rows = self.house.sql(
            "SELECT state FROM pledges WHERE campaign_id = %s ORDER BY id", self.id
        )
        return [str(state) for (state,) in rows]

    # What people do.

    async def act(self, verb: str, by: str, **body: Any) -> Json:
        """An act that must succeed."""
        return await self.house.post(f"/v1/campaigns/{self.id}/{verb}", body, by=by)

    async def try_to(self, verb: str, by: str, **body: Any) -> httpx.Response:
        """An act whose answer is for the test to judge."""
        return await self.house.call("POST", f"/v1/campaigns/{self.id}/{verb}", by=by, json=body)

    async def now(self, by: str | None = None) -> Json:
        """The campaign as its creator or somebody else sees it."""
        return await self.house.get(f"/v1/campaigns/{self.id}", by or self.creator)

    # Time.

    async def close(self) -> None:
        """The time for pledges passes, on the clock of the story and on that of the database."""
        found = await self.now()
        seconds = found["live_seconds"] if found["round"] == 1 else found["round2_seconds"]
        await self.let_pass(seconds + GRACE)

    async def let_pass(self, seconds: int) -> None:
        """Skips time on the campaign's story."""
        await self.house.skipper.fast_forward(self.story, seconds)

    @property
    def story(self) -> Any:
        """The campaign's workflow."""
        return self.house.workflow(f"campaign-{self.id}")

    async def until(self, *phases: str, within_seconds: float = 20) -> Json:
        """The campaign, once its story stands in one of these phases and not only its books."""

        async def there() -> Json | None:
            found = await self.now()
            assert found["phase"] in phases, f"{found['phase']} instead of {phases}"
            watch = await self.story.query("watch")
            assert watch["standing"]["phase"] == found["phase"]
            return found

        return await eventually(there, within_seconds=within_seconds) or {}

    async def deadlines(self) -> dict[str, Json]:
        """The pending timers by name."""
        found = await self.house.get(f"/v1/campaigns/{self.id}/deadlines", by=self.creator)
        return {each["name"]: each for each in found["deadlines"]}

    async def promised(self, name: str) -> list[str]:
        """What a timer would post, in the words of `postings`."""
        due = (await self.deadlines())[name]
        return [
            f"{each['side']} {self._account(*each['account'].split(':', 1))} {each['amount']['amount']}"
            for each in due["postings"]
        ]

    async def timeline(self) -> list[str]:
        """What happened: `kind by actor`, oldest first."""
        page = await self.house.get(f"/v1/campaigns/{self.id}/timeline", by=ADMIN, limit=100)
        assert all(event["summary"] for event in page["items"])
        return [f"{event['kind']} by {event['actor']}" for event in page["items"]]

    # Money.

    def postings(self, *kinds: str) -> list[str]:
        """The path's journal as lines `kind: side account amount`, oldest first; ids replaced by words."""
        rows = self.house.sql(
            "SELECT e.kind, p.side, a.kind, a.owner, p.amount FROM ledger_postings p"
            " JOIN ledger_entries e ON e.id = p.entry_id JOIN ledger_accounts a ON a.id = p.account_id"
            " WHERE e.path_id = %s ORDER BY p.id",
            self.id,
        )
        return [
            f"{entry}: {side} {self._account(kind, owner)} {amount}"
            for entry, side, kind, owner, amount in rows
            if not kinds or entry in kinds
        ]

    def _account(self, kind: str, owner: str) -> str:
        names = {self.id: "campaign", self.campaign["creator_id"]: "creator", "new": "ref"}
        if owner.startswith("usr_") and owner not in names:
            return f"{kind}:backer"
        return f"{kind}:{names.get(owner, owner.split('_')[0])}"

    async def adds_up(self) -> Json:
        """The campaign, after checking that its totals, its pledges and the ledger say the same."""
        found = await self.now()
        totals = found["totals"]
        rows = self.house.sql(
            "SELECT coalesce(sum(paid - refunded), 0), coalesce(sum(amount) FILTER (WHERE state"
            " IN ('saved', 'funded', 'charging', 'errored', 'collected')), 0), count(*) FILTER"
            " (WHERE state IN ('saved', 'funded', 'charging', 'errored', 'collected'))"
            " FROM pledges WHERE campaign_id = %s",
            self.id,
        )
        paid, pledged, count = rows[0]
        assert (totals["paid"]["amount"], totals["pledged"]["amount"]) == (paid, pledged)
        assert totals["pledges"] == count
        used = totals["matched"]["amount"] if found["succeeded_at"] else 0
        held = paid + used - totals["released"]["amount"]
        assert totals["in_escrow"]["amount"] == held
        return found

    async def until_closed(self) -> None:
        """Waits until nothing is held for the campaign any more."""

        async def closed() -> bool:
            query = "SELECT closed_at IS NOT NULL FROM paths WHERE id = %s"
            return bool(self.house.sql(query, self.id)[0][0])

        await eventually(closed, within_seconds=30)

    async def ended(self, phase: str, *postings: Sequence[str]) -> Json:
        """Checks the end: phase, every posting (whatever their order), all accounts at 0, nothing running."""
        await self.until_closed()
        found = await self.adds_up()
        assert found["phase"] == phase
        wanted = [line for lines_ in postings for line in lines_]

        async def settled() -> bool:
            assert sorted(self.postings()) == sorted(wanted)
            return True

        await eventually(settled)
        await self.at_zero()
        return found

    async def at_zero(self) -> None:
        """Every account of the closed campaign is at 0, and its story has ended."""
        await self.house.assert_at_zero(self.campaign)
        await self.story.result()
