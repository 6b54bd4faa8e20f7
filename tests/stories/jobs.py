"""What the stories of tenders share: one tender, its buyer and its bidders, step by step."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.stories.house import House, Json
from tests.waiting import eventually

DAY = 86_400
ADMIN = "admin"
DEPOSIT = 10_001
"""An odd number of minor units: half of it is not a whole one."""


def people(count: int = 1) -> tuple[str, list[str]]:
    """A buyer and so many makers nobody else knows."""
    tail = uuid.uuid4().hex[:8]
    return f"buyer-{tail}", [f"maker{i}-{tail}" for i in range(count)]


def plan(*amounts: int, due_days: int = 60) -> list[Json]:
    """Milestones of these amounts."""
    return [
        {"title": f"Part {i}", "amount": amount, "due_days": due_days}
        for i, amount in enumerate(amounts, start=1)
    ]


def paid_in(account: str, total: int) -> list[str]:
    """What a captured and settled payment posts; the sandbox keeps 0.6 %."""
    kept = (total * 60 + 5_000) // 10_000
    return lines(
        ("fund", "debit clearing:sandbox", total),
        ("fund", f"credit {account}", total),
        ("settle", "debit cash:sandbox", total - kept),
        ("settle", "debit psp_fee:platform", kept),
        ("settle", "credit clearing:sandbox", total),
    )


def sent_back(account: str, amount: int) -> list[str]:
    """What a refund posts, from the decision to the provider's word."""
    return lines(
        ("refund", f"debit {account}", amount),
        ("refund", "credit refund_due:ref", amount),
        ("refund_paid", "debit refund_due:ref", amount),
        ("refund_paid", "credit cash:sandbox", amount),
    )


def released(amount: int) -> list[str]:
    """What a release of so much posts; the platform takes a tenth."""
    fee = (amount * 1_000 + 5_000) // 10_000
    return lines(
        ("release", "debit escrow:tender", amount),
        ("release", "credit payable:worker", amount - fee),
        ("release", "credit fee:platform", fee),
    )


def forfeited(deposit: int) -> list[str]:
    """Half of the deposit, the odd unit too, is the worker's."""
    share = deposit - deposit // 2
    return lines(
        ("release", "debit deposit:buyer", share), ("release", "credit payable:worker", share)
    )


def listing_fee(amount: int) -> list[str]:
    """What the platform keeps of the deposit of a buyer who chose nobody."""
    return lines(
        ("release", "debit deposit:buyer", amount), ("release", "credit fee:platform", amount)
    )


def lines(*moves: tuple[str, str, int]) -> list[str]:
    """Postings as `Job.postings` tells them; those of 0 are none."""
    return [f"{kind}: {what} {amount}" for kind, what, amount in moves if amount]


@dataclass
class Job:
    """One tender."""

    house: House
    buyer: str
    tender: Json
    currency: str = "CNY"
    bids: dict[str, Json] = field(default_factory=dict)
    """By bidder."""
    worker: str = ""

    @classmethod
    async def drafted(
        cls, house: House, *, deposit: int = DEPOSIT, currency: str = "CNY", **more: Any
    ) -> Job:
        """A draft."""
        buyer, _ = people()
        cap = more.pop("cap", None)
        body = {
            "title": "Forty lamps",
            "brief": "Bamboo and paper",
            "deposit": {"amount": deposit, "currency": currency},
            "bidding_seconds": DAY,
            **({"cap": {"amount": cap, "currency": currency}} if cap else {}),
            **more,
        }
        return cls(house, buyer, await house.post("/v1/tenders", body, by=buyer), currency)

    @classmethod
    async def funding(cls, house: House, **more: Any) -> Job:
        """A tender whose buyer can pay the deposit."""
        pay_by = more.pop("pay_by", "card")
        job = await cls.drafted(house, **more)
        job.tender = await job.act("fund", job.buyer, pay_by=pay_by)
        return job

    @classmethod
    async def opened(cls, house: House, **more: Any) -> Job:
        """A tender that takes bids."""
        job = await cls.funding(house, **more)
        await job.pay(job.tender["payment"])
        await job.until("open")
        return job

    @classmethod
    async def selecting(cls, house: House, *prices: int, **more: Any) -> Job:
        """A tender whose buyer can choose among bids of these prices."""
        job = await cls.opened(house, **more)
        for maker, price in zip(people(len(prices))[1], prices, strict=True):
            await job.bid(maker, price)
        await job.let_pass(DAY + 11)
        await job.until("selecting")
        return job

    @classmethod
    async def awarded(cls, house: House, *amounts: int, due_days: int = 60, **more: Any) -> Job:
        """A tender with one bid, chosen, to be paid in these milestones."""
        job = await cls.selecting(house, sum(amounts), **more)
        await job.award(job.makers[0], *amounts, due_days=due_days)
        return job

    @classmethod
    async def accepted(cls, house: House, *amounts: int, **more: Any) -> Job:
        """A tender whose worker waits for the first milestone to be paid."""
        job = await cls.awarded(house, *amounts, **more)
        await job.act("accept-award", job.worker)
        return job

    @classmethod
    async def working(cls, house: House, *amounts: int, **more: Any) -> Job:
        """A tender whose first milestone is paid."""
        job = await cls.accepted(house, *amounts, **more)
        await job.pay_milestone(1)
        await job.until("in_progress")
        return job

    @property
    def id(self) -> str:
        """The tender's id."""
        return str(self.tender["id"])

    @property
    def makers(self) -> list[str]:
        """Who has bid."""
        return list(self.bids)

    async def bid(self, maker: str, price: int, lead_days: int = 10, **more: Any) -> Json:
        """A bid that must be taken."""
        answer = await self.try_bid(maker, price, lead_days=lead_days, **more)
        assert answer.status_code == 201, answer.text
        self.bids[maker] = answer.json()
        return self.bids[maker]

    async def try_bid(self, maker: str, price: int, **more: Any) -> httpx.Response:
        """A bid whose answer is for the test to judge."""
        money = {"amount": price, "currency": more.pop("currency", self.currency)}
        body = {"price": money, "lead_days": 10, **more}
        return await self.house.call("POST", f"/v1/tenders/{self.id}/bids", by=maker, json=body)

    async def on_bid(self, maker: str, verb: str, by: str, **body: Any) -> httpx.Response:
        """Something somebody does to a bid."""
        path = f"/v1/tenders/{self.id}/bids/{self.bids[maker]['id']}/{verb}"
        return await self.house.call("POST", path, by=by, json=body)

    async def award(
        self,
        maker: str,
        *amounts: int,
        due_days: int = 60,
        reserves: Sequence[tuple[str, tuple[int, ...]]] = (),
    ) -> Json:
        """The buyer chooses a bid."""
        self.worker = maker
        found = await self.act(
            "award",
            self.buyer,
            **self.award_body(maker, *amounts, due_days=due_days, reserves=reserves),
        )
        assert found["phase"] == "awarded"
        return found

    def award_body(
        self,
        maker: str,
        *amounts: int,
        due_days: int = 60,
        reserves: Sequence[tuple[str, tuple[int, ...]]] = (),
    ) -> Json:
        """The body of an award."""
        return {
            "bid_id": self.bids[maker]["id"],
            "milestones": plan(*amounts, due_days=due_days),
            "reserves": [
                {"bid_id": self.bids[other]["id"], "milestones": plan(*parts)}
                for other, parts in reserves
            ],
        }

    async def act(self, verb: str, by: str, **body: Any) -> Json:
        """An act that must succeed."""
        return await self.house.post(f"/v1/tenders/{self.id}/{verb}", body, by=by)

    async def try_to(self, verb: str, by: str, **body: Any) -> httpx.Response:
        """An act whose answer is for the test to judge."""
        return await self.house.call("POST", f"/v1/tenders/{self.id}/{verb}", by=by, json=body)

    async def on(self, number: int, verb: str, by: str, **body: Any) -> Json:
        """An act on a milestone that must succeed."""
        return await self.act(f"milestones/{number}/{verb}", by, **body)

    async def try_on(self, number: int, verb: str, by: str, **body: Any) -> httpx.Response:
        """An act on a milestone whose answer is for the test to judge."""
        return await self.try_to(f"milestones/{number}/{verb}", by, **body)

    async def pay(self, payment: Json) -> None:
        """Presses "pay" on the provider's page."""
        answer = await self.house.pay({"payment": payment})
        assert answer.status_code == 200, answer.text

    async def payment_of(self, number: int) -> Json:
        """Where to pay a milestone, once the provider has a page for it."""

        async def there() -> Json | None:
            payment: Json | None = (await self.now())["milestones"][number - 1]["payment"]
            return payment if payment and payment["checkout_url"] else None

        return await eventually(there) or {}

    async def pay_milestone(self, number: int) -> None:
        """The buyer pays a milestone."""
        await self.pay(await self.payment_of(number))
        await self.until_milestone(number, "funded")

    async def leave_unpaid(self, payment: Json, seconds: int = 60 * DAY) -> None:
        """Nobody pays in time."""
        handle = self.house.workflow(f"payment-{payment['id']}")
        await self.house.skipper.fast_forward(handle, seconds)
        await handle.result()

    async def shown(self, number: int, **more: Any) -> Json:
        """The worker submits a milestone."""
        return await self.on(number, "submit", self.worker, **more)

    async def done(self, number: int, **more: Any) -> Json:
        """The worker submits a milestone and the buyer approves."""
        await self.shown(number)
        return await self.on(number, "approve", self.buyer, **more)

    async def now(self, by: str | None = None) -> Json:
        """The tender as the buyer or somebody else sees it."""
        return await self.house.get(f"/v1/tenders/{self.id}", by or self.buyer)

    async def until(self, phase: str) -> Json:
        """The tender, once its story stands in this phase and not only its books."""
        handle = self.house.workflow(f"tender-{self.id}")

        async def there() -> Json | None:
            found = await self.now()
            assert found["phase"] == phase, f"{found['phase']} instead of {phase}"
            watch = await handle.query("watch")
            assert watch["standing"]["phase"] == phase
            return found

        return await eventually(there, within_seconds=20) or {}

    async def until_worker(self, maker: str) -> None:
        """Waits until the work is offered to this bidder."""

        async def there() -> bool:
            return bool((await self.now())["worker_id"] == self.bids[maker]["bidder_id"])

        await eventually(there)
        await self.until("awarded")

    async def until_milestone(self, number: int, state: str) -> Json:
        """The milestone, once it stands there, in the books and in the story."""
        handle = self.house.workflow(f"tender-{self.id}")

        async def there() -> Json | None:
            found: Json = (await self.now())["milestones"][number - 1]
            assert found["state"] == state, f"{found['state']} instead of {state}"
            watch = await handle.query("watch")
            assert watch["standing"]["details"]["milestones"][number - 1]["state"] == state
            return found

        return await eventually(there, within_seconds=20) or {}

    async def let_pass(self, seconds: int) -> None:
        """Skips time on the tender's story."""
        await self.house.skipper.fast_forward(self.house.workflow(f"tender-{self.id}"), seconds)

    async def deadlines(self) -> dict[str, Json]:
        """The pending timers by name, with what they are about if anything."""
        found = await self.house.get(f"/v1/tenders/{self.id}/deadlines", by=self.buyer)
        return {each["name"]: each for each in found["deadlines"]}

    async def promised(self, name: str) -> list[str]:
        """What a timer would post, in the words of `posted`."""
        due = (await self.deadlines())[name]
        return [
            f"{each['side']} {self._account(*each['account'].split(':', 1))} {each['amount']['amount']}"
            for each in due["postings"]
        ]

    async def timeline(self) -> list[str]:
        """What happened: `kind by actor`, oldest first."""
        page = await self.house.get(f"/v1/tenders/{self.id}/timeline", by=ADMIN, limit=100)
        assert all(event["summary"] for event in page["items"])
        return [f"{event['kind']} by {event['actor']}" for event in page["items"]]

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
        buyer = self.tender["buyer_id"]
        names = {self.id: "tender", buyer: "buyer", f"{self.id}:{buyer}": "buyer", "new": "ref"}
        if owner.startswith("usr_") and owner != buyer:
            return f"{kind}:worker"
        return f"{kind}:{names.get(owner, owner.split('_')[0])}"

    def outcomes(self) -> list[str]:
        """How the awards were answered, oldest first."""
        rows = self.house.sql(
            "SELECT outcome FROM awards WHERE tender_id = %s ORDER BY number", self.id
        )
        return [str(outcome) for (outcome,) in rows]

    async def ended(self, phase: str, *postings: list[str]) -> Json:
        """Checks the end: phase, every posting (whatever their order), all accounts at 0, nothing running."""

        async def closed() -> bool:
            query = "SELECT closed_at IS NOT NULL FROM paths WHERE id = %s"
            return bool(self.house.sql(query, self.id)[0][0])

        await eventually(closed, within_seconds=20)
        found = await self.now()
        assert found["phase"] == phase
        wanted = [line for lines_ in postings for line in lines_]

        async def settled() -> bool:
            assert sorted(self.postings()) == sorted(wanted)
            return True

        await eventually(settled)
        await self.house.assert_at_zero(self.tender)
        await self.house.workflow(f"tender-{self.id}").result()
        return found
