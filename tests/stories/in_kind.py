"""What the stories of help in kind share: one offer, its supporter and those who ask for it, step by step."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from tests.stories.house import House, Json
from tests.stories.jobs import lines, paid_in, sent_back
from tests.waiting import eventually

DAY = 86_400
ADMIN = "admin"
DEPOSIT = 10_001
"""An odd number of minor units: half of it is not a whole one."""
DUE_DAYS = 20
PAID = paid_in("deposit:borrower", DEPOSIT)
BACK = sent_back("deposit:borrower", DEPOSIT)


def people(count: int = 1) -> tuple[str, list[str]]:
    """A supporter and so many people in need whom nobody else knows."""
    tail = uuid.uuid4().hex[:8]
    return f"supporter-{tail}", [f"asker{i}-{tail}" for i in range(count)]


def in_days(days: int) -> str:
    """A day of return."""
    return (datetime.now(UTC) + timedelta(days=days)).isoformat()


def given_to_lender(amount: int) -> list[str]:
    """What a part of the deposit posts that goes to the lender; without a fee."""
    return lines(
        ("release", "debit deposit:borrower", amount), ("release", "credit payable:lender", amount)
    )


def given_back(amount: int) -> list[str]:
    """What a part of the deposit posts that goes back."""
    return sent_back("deposit:borrower", amount)


@dataclass
class Aid:
    """One offer."""

    house: House
    supporter: str
    offer: Json
    asks: dict[str, Json] = field(default_factory=dict)
    """By asker."""
    picked: str = ""

    @classmethod
    async def drafted(cls, house: House, help: str = "loan", **changes: Any) -> Aid:
        """A draft; a loan has a deposit unless it is changed to None."""
        supporter, _ = people()
        body = {**body_of(help), **changes}
        return cls(house, supporter, await house.post("/v1/in-kind", body, by=supporter))

    @classmethod
    async def offered(cls, house: House, help: str = "loan", **changes: Any) -> Aid:
        """An offer that people can ask for."""
        aid = await cls.drafted(house, help, **changes)
        aid.offer = await aid.act("publish", aid.supporter)
        return aid

    @classmethod
    async def asked(cls, house: House, help: str = "loan", askers: int = 1, **changes: Any) -> Aid:
        """An offer that somebody asks for."""
        aid = await cls.offered(house, help, **changes)
        for asker in people(askers)[1]:
            await aid.ask(asker)
        return aid

    @classmethod
    async def matched(
        cls, house: House, help: str = "loan", askers: int = 1, **changes: Any
    ) -> Aid:
        """An offer whose supporter has picked the first asker; a borrower is asked for the deposit, if any."""
        aid = await cls.asked(house, help, askers, **changes)
        await aid.pick(next(iter(aid.asks)))
        return aid

    @classmethod
    async def ready(cls, house: House, askers: int = 1, **changes: Any) -> Aid:
        """A loan whose deposit is paid."""
        aid = await cls.matched(house, askers=askers, **changes)
        await aid.pay_deposit()
        return aid

    @classmethod
    async def lent(cls, house: House, **changes: Any) -> Aid:
        """A loan that the borrower has; without a deposit if that is None."""
        if changes.get("deposit", DEPOSIT) is None:
            aid = await cls.matched(house, **changes)
        else:
            aid = await cls.ready(house, **changes)
        await aid.act("hand-over", aid.supporter)
        return aid

    @classmethod
    async def overdue(cls, house: House, **changes: Any) -> Aid:
        """A loan that has not come back."""
        aid = await cls.lent(house, **changes)
        await aid.let_pass((DUE_DAYS + 7) * DAY + 1)
        await aid.until("overdue")
        return aid

    @classmethod
    async def handed_over(cls, house: House, help: str = "material") -> Aid:
        """A material given, or a task done, by the supporter's word."""
        aid = await cls.matched(house, help)
        await aid.act("hand-over", aid.supporter)
        return aid

    @property
    def id(self) -> str:
        """The offer's id."""
        return str(self.offer["id"])

    @property
    def story(self) -> str:
        """Id of the offer's workflow."""
        return f"in-kind-{self.id}"

    async def ask(self, asker: str, **more: Any) -> Json:
        """An ask that must be taken."""
        answer = await self.try_ask(asker, **more)
        assert answer.status_code == 201, answer.text
        self.asks[asker] = answer.json()
        return self.asks[asker]

    async def try_ask(self, asker: str, **body: Any) -> httpx.Response:
        """An ask whose answer is for the test to judge."""
        return await self.try_to("asks", asker, **body)

    async def seen_asks(self, by: str) -> list[Json]:
        """The asks somebody may see."""
        found = await self.house.get(f"/v1/in-kind/{self.id}/asks", by=by)
        items: list[Json] = found["items"]
        return items

    async def pick(self, asker: str) -> Json:
        """The supporter picks somebody."""
        self.picked = asker
        return await self.act("pick", self.supporter, ask_id=self.asks[asker]["id"])

    async def act(self, verb: str, by: str, **body: Any) -> Json:
        """An act that must succeed."""
        return await self.house.post(f"/v1/in-kind/{self.id}/{verb}", body, by=by)

    async def try_to(self, verb: str, by: str, **body: Any) -> httpx.Response:
        """An act whose answer is for the test to judge."""
        return await self.house.call("POST", f"/v1/in-kind/{self.id}/{verb}", by=by, json=body)

    async def claim(self, amount: int, **more: Any) -> Json:
        """The lender claims so much of the deposit."""
        body = {"amount": {"amount": amount}, "note": "A shaft is broken", **more}
        return await self.act("claim", self.supporter, **body)

    async def payment(self) -> Json:
        """Where to pay the deposit, once the provider has a page for it."""

        async def there() -> Json | None:
            payment: Json | None = (await self.now(self.picked))["agreement"]["payment"]
            return payment if payment and payment["checkout_url"] else None

        return await eventually(there) or {}

    async def pay_deposit(self) -> None:
        """The borrower pays the deposit."""
        answer = await self.house.pay({"payment": await self.payment()})
        assert answer.status_code == 200, answer.text
        await self.until("ready")

    async def leave_unpaid(self) -> Json:
        """The borrower does not pay the deposit in time."""
        payment = await self.payment()
        handle = self.house.workflow(f"payment-{payment['id']}")
        await self.house.skipper.fast_forward(handle, 3 * DAY + 1)
        await handle.result()
        return payment

    async def now(self, by: str | None = None) -> Json:
        """The offer as the supporter or somebody else sees it."""
        return await self.house.get(f"/v1/in-kind/{self.id}", by or self.supporter)

    async def until(self, phase: str) -> Json:
        """The offer, once its story stands in this phase and not only its books."""
        handle = self.house.workflow(self.story)

        async def there() -> Json | None:
            found = await self.now()
            assert found["phase"] == phase, f"{found['phase']} instead of {phase}"
            watch = await handle.query("watch")
            assert watch["standing"]["phase"] == phase
            return found

        return await eventually(there, within_seconds=20) or {}

    async def let_pass(self, seconds: int) -> None:
        """Skips time on the offer's story."""
        await self.house.skipper.fast_forward(self.house.workflow(self.story), seconds)

    async def deadlines(self) -> dict[str, Json]:
        """The pending timers by name."""
        found = await self.house.get(f"/v1/in-kind/{self.id}/deadlines", by=self.supporter)
        return {each["name"]: each for each in found["deadlines"]}

    async def promised(self, name: str) -> list[str]:
        """What a timer would post, in the words of `postings`."""
        due = (await self.deadlines())[name]
        return [
            f"{each['side']} {self._account(*each['account'].split(':', 1))} {each['amount']['amount']}"
            for each in due["postings"]
        ]

    def decided(self) -> list[str]:
        """What was posted to divide the deposit, as `promised` tells it."""
        return [line.split(": ", 1)[1] for line in self.postings("release", "refund")]

    async def timeline(self) -> list[str]:
        """What happened: `kind by actor`, oldest first."""
        page = await self.house.get(f"/v1/in-kind/{self.id}/timeline", by=ADMIN, limit=100)
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
        if owner == self.offer["supporter_id"]:
            return f"{kind}:lender"
        if owner.startswith((f"{self.id}:", "usr_")):
            return f"{kind}:borrower"
        return f"{kind}:{'ref' if owner == 'new' else owner.split('_')[0]}"

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
        await self.house.assert_at_zero(self.offer)
        await self.house.workflow(self.story).result()
        return found


def body_of(help: str) -> Json:
    """An offer that is accepted."""
    of_kind: dict[str, Json] = {
        "material": {"title": "Clay", "quantity": "20 kg"},
        "task": {"title": "Spinning lessons", "hours": 12},
        "loan": {
            "title": "A loom",
            "due_at": in_days(DUE_DAYS),
            "deposit": {"amount": DEPOSIT, "currency": "CNY"},
        },
    }
    return {"help": help, "description": "To be fetched", **of_kind[help]}
