"""What the stories of production orders share: one order, its requester, and the lots that makers take on, step by step."""

from __future__ import annotations

import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import httpx
from temporalio.service import RPCError

from tests.api.client import picture
from tests.stories.house import House, Json
from tests.stories.jobs import lines, paid_in, sent_back
from tests.waiting import eventually

DAY = 86_400
ADMIN = "admin"
UNITS = 100
RATE = 500
DEPOSIT = 200
"""Of one unit: just what its materials cost, in two pieces."""
CLAIMS = 10 * DAY
MAKE = 20 * DAY
WAGES = "escrow:order"
"""Where the wages lie."""


def people(count: int = 1) -> tuple[str, list[str]]:
    """A requester and so many makers whom nobody else knows."""
    tail = uuid.uuid4().hex[:8]
    return f"requester-{tail}", [f"crafter{i}-{tail}" for i in range(count)]


def standard_of(**changes: Any) -> Json:
    """What counts as good."""
    return {
        "text": "No splinters, the handle holds 2 kg",
        "tolerances": [{"name": "height", "value": "120 mm ± 2 mm"}],
        "defects": [
            {"code": "splinter", "text": "A splinter stands out", "severity": "critical"},
            {"code": "handle", "text": "The handle is loose", "severity": "major"},
            {"code": "stain", "text": "A stain below 5 mm", "severity": "minor"},
        ],
        **changes,
    }


def body_of(**changes: Any) -> Json:
    """What the requester writes: 100 baskets at 5.00 each, materials for 2.00 each; changes to None leave out."""
    body = {
        "title": "Baskets",
        "process": "Split, weave, bind the rim",
        "standard": standard_of(),
        "materials": [{"title": "Bamboo strips", "pieces": 2, "cost": DEPOSIT // 2}],
        "units": UNITS,
        "lot_most": UNITS,
        "rate": {"amount": RATE, "currency": "CNY"},
        "deposit": DEPOSIT,
        "make_seconds": MAKE,
        "claims_seconds": CLAIMS,
        **changes,
    }
    if not body["materials"]:
        body["deposit"] = changes.get("deposit")
    return {name: value for name, value in body.items() if value is not None}


async def uploaded(house: House, by: str) -> str:
    """A private picture of somebody's; its id."""
    files = {"file": ("work.png", picture(color=f"#{uuid.uuid4().hex[:6]}"), "image/png")}
    answer = await house.call("POST", "/v1/files?private=true", by=by, files=files)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def funded(amount: int = UNITS * RATE) -> list[str]:
    """What the requester's payment posts."""
    return paid_in(WAGES, amount)


def returned(amount: int) -> list[str]:
    """What posts that is left of the wages and goes back to the requester."""
    return sent_back(WAGES, amount)


def earned(amount: int, fee: int | None = None, who: str = "maker") -> list[str]:
    """What the release of so much posts: the platform takes 5 % of wages, and nothing of freight (fee=0)."""
    kept = (amount * 500 + 5_000) // 10_000 if fee is None else fee
    return lines(
        ("release", f"debit {WAGES}", amount),
        ("release", f"credit payable:{who}", amount - kept),
        ("release", "credit fee:platform", kept),
    )


@dataclass
class Workshop:
    """One production order."""

    house: House
    requester: str
    order: Json
    lots: dict[str, Lot] = field(default_factory=dict)
    """The newest of each maker."""

    @classmethod
    async def drafted(cls, house: House, **changes: Any) -> Workshop:
        """A draft."""
        requester = changes.pop("by", None) or people()[0]
        body = body_of(**changes)
        order = await house.post("/v1/production-orders", body, by=requester)
        return cls(house, requester, order)

    @classmethod
    async def funding(cls, house: House, *, pay_by: str = "card", **changes: Any) -> Workshop:
        """An order whose requester can pay the wages in."""
        shop = await cls.drafted(house, **changes)
        shop.order = await shop.act("fund", pay_by=pay_by)
        return shop

    @classmethod
    async def published(cls, house: House, **changes: Any) -> Workshop:
        """An order of which makers can claim lots."""
        shop = await cls.funding(house, **changes)
        await shop.pay(shop.order["payment"])
        await shop.until("published")
        return shop

    @property
    def id(self) -> str:
        """The order's id."""
        return str(self.order["id"])

    @property
    def story(self) -> str:
        """Id of the workflow that tells the order's story."""
        return f"production-{self.id}"

    # The order.

    async def act(self, verb: str, by: str | None = None, **body: Any) -> Json:
        """An act on the order that must succeed, by the requester unless somebody else is named."""
        path = f"/v1/production-orders/{self.id}/{verb}"
        return await self.house.post(path, body, by=by or self.requester)

    async def try_to(self, verb: str, by: str | None = None, **body: Any) -> httpx.Response:
        """An act on the order whose answer is for the test to judge."""
        path = f"/v1/production-orders/{self.id}/{verb}"
        return await self.house.call("POST", path, by=by or self.requester, json=body)

    async def pay(self, payment: Json) -> None:
        """Presses "pay" on the provider's page."""
        answer = await self.house.pay({"payment": payment})
        assert answer.status_code == 200, answer.text

    async def now(self, by: str | None = None) -> Json:
        """The order as the requester or somebody else sees it."""
        return await self.house.get(f"/v1/production-orders/{self.id}", by or self.requester)

    async def units(self) -> Json:
        """Where the units are, without the zeros."""
        return {name: count for name, count in (await self.now())["progress"].items() if count}

    async def until(self, phase: str) -> Json:
        """The order, once its story stands in this phase and not only its books."""
        handle = self.house.workflow(self.story)

        async def there() -> Json | None:
            found = await self.now()
            assert found["phase"] == phase, f"{found['phase']} instead of {phase}"
            watch = await handle.query("watch")
            assert watch["standing"]["phase"] == phase
            return found

        return await eventually(there, within_seconds=20) or {}

    async def let_pass(self, seconds: int) -> None:
        """Skips time on the order's story."""
        await self.house.skipper.fast_forward(self.house.workflow(self.story), seconds)

    async def deadlines(self) -> dict[str, Json]:
        """The order's pending timers by name."""
        return await _deadlines(self.house, self.id, self.requester)

    async def timeline(self) -> list[str]:
        """What happened to the order: `kind by actor`, oldest first."""
        return await _timeline(self.house, self.id)

    def postings(self, *kinds: str) -> list[str]:
        """The order's own journal as lines `kind: side account amount`, oldest first; that of a lot is the lot's."""
        return _postings(self.house, self.id, self.names(), kinds)

    def names(self) -> dict[str, str]:
        """What the order's own accounts are called in `postings`, by owner."""
        names = {self.id: "order", str(self.order["requester_id"]): "requester"}
        if self.order.get("certifier_id"):
            names[str(self.order["certifier_id"])] = "certifier"
        return names

    async def ended(self, phase: str, *postings: list[str]) -> Json:
        """Checks the order's end: phase, every posting of its own, all accounts at 0, nothing running."""
        await _closed(self.house, self.id)
        found = await self.now()
        assert found["phase"] == phase
        await _posted(self.postings, postings)
        await self.house.assert_at_zero(self.order)
        await self.house.workflow(self.story).result()
        return found

    # Lots.

    async def try_claim(self, maker: str, units: int = UNITS, **more: Any) -> httpx.Response:
        """A claim whose answer is for the test to judge; `for` names the worker a broker acts for."""
        path = f"/v1/production-orders/{self.id}/lots"
        return await self.house.call("POST", path, by=maker, json={"units": units, **more})

    async def claim(self, maker: str | None = None, units: int = UNITS, **more: Any) -> Lot:
        """A claim that must be taken."""
        maker = maker or people()[1][0]
        answer = await self.try_claim(maker, units, **more)
        assert answer.status_code == 201, answer.text
        self.lots[maker] = Lot(self, maker, answer.json())
        return self.lots[maker]

    async def making(self, units: int = UNITS, **more: Any) -> Lot:
        """A lot whose maker has the kit; its deposit is paid."""
        lot = await self.claim(units=units, **more)
        if lot.lot["phase"] == "kit_reserved":
            await lot.pay_deposit()
        if lot.lot["phase"] == "making":
            return lot
        await lot.supply("send-kit")
        await lot.act("receive-kit")
        await lot.until("making")
        return lot

    async def handed_in(self, units: int = UNITS, *, made: int | None = None, **more: Any) -> Lot:
        """A lot whose goods are there to be inspected."""
        lot = await self.making(units)
        await lot.act("send-goods", made=units if made is None else made, **more)
        await lot.supply("receive-goods")
        return lot


@dataclass
class Lot:
    """One lot of an order, and its maker."""

    shop: Workshop
    maker: str
    lot: Json

    @property
    def house(self) -> House:
        """The platform."""
        return self.shop.house

    @property
    def id(self) -> str:
        """The lot's id."""
        return str(self.lot["id"])

    @property
    def story(self) -> str:
        """Id of the workflow that tells the lot's story."""
        return f"lot-{self.id}"

    async def act(self, verb: str, by: str | None = None, **body: Any) -> Json:
        """An act on the lot that must succeed, by its maker unless somebody else is named."""
        self.lot = await self.house.post(f"/v1/lots/{self.id}/{verb}", body, by=by or self.maker)
        return self.lot

    async def supply(self, verb: str, **body: Any) -> Json:
        """An act of the requester that must succeed."""
        return await self.act(verb, self.shop.requester, **body)

    async def try_to(self, verb: str, by: str | None = None, **body: Any) -> httpx.Response:
        """An act on the lot whose answer is for the test to judge."""
        path = f"/v1/lots/{self.id}/{verb}"
        return await self.house.call("POST", path, by=by or self.maker, json=body)

    async def now(self, by: str | None = None) -> Json:
        """The lot as its maker or somebody else sees it."""
        self.lot = await self.house.get(f"/v1/lots/{self.id}", by or self.maker)
        return self.lot

    async def until(self, phase: str) -> Json:
        """The lot, once its story stands in this phase and not only its books."""
        handle = self.house.workflow(self.story)

        async def there() -> Json | None:
            found = await self.now()
            assert found["phase"] == phase, f"{found['phase']} instead of {phase}"
            watch = await handle.query("watch")
            assert watch["standing"]["phase"] == phase
            return found

        return await eventually(there, within_seconds=20) or {}

    async def show_sample(self) -> Json:
        """The maker shows a picture of the sample."""
        return await self.act("send-sample", file_ids=[await uploaded(self.house, self.maker)])

    async def pay_deposit(self) -> None:
        """The maker pays the deposit for the kit."""

        async def there() -> Json | None:
            payment: Json | None = (await self.now())["payment"]
            return payment if payment and payment["checkout_url"] else None

        payment = await eventually(there)
        assert payment
        await self.shop.pay(payment)
        await self.until("kit_paid")

    async def leave_unpaid(self, seconds: int = 60 * DAY) -> None:
        """The maker does not pay the deposit in time."""
        handle = self.house.workflow(f"payment-{(await self.now())['payment']['id']}")
        # Its time may have been skipped with that of the lot which asked for it.
        with suppress(RPCError):
            await self.house.skipper.fast_forward(handle, seconds)
        await handle.result()

    async def let_pass(self, seconds: int) -> None:
        """Skips time on the lot's story."""
        await self.house.skipper.fast_forward(self.house.workflow(self.story), seconds)

    async def inspection(self) -> Json:
        """The inspection that is open, or the last one."""
        found = await self.house.get(f"/v1/lots/{self.id}/inspections", by=self.maker)
        items: list[Json] = found["items"] if isinstance(found, dict) else found
        return items[-1]

    async def deadlines(self) -> dict[str, Json]:
        """The lot's pending timers by name."""
        return await _deadlines(self.house, self.id, self.maker)

    async def timeline(self) -> list[str]:
        """What happened to the lot: `kind by actor`, oldest first."""
        return await _timeline(self.house, self.id)

    def postings(self, *kinds: str) -> list[str]:
        """The lot's journal as lines `kind: side account amount`, oldest first; ids replaced by words."""
        maker_id = str(self.lot["maker_id"])
        names = {**self.shop.names(), self.id: "lot", maker_id: "maker"}
        names[f"{self.id}:{maker_id}"] = "maker"
        return _postings(self.house, self.id, names, kinds)

    def materials(self) -> dict[str, int]:
        """Pieces at each place, all materials together, without the zeros; what has left the store is below 0."""
        rows = self.house.sql(
            "SELECT place, sum(pieces) FROM (SELECT source AS place, -pieces AS pieces FROM material_moves"
            " WHERE lot_id = %s UNION ALL SELECT target, pieces FROM material_moves WHERE lot_id = %s) m"
            " GROUP BY place HAVING sum(pieces) <> 0",
            self.id,
            self.id,
        )
        return {str(place): int(pieces) for place, pieces in rows}

    async def ended(self, phase: str, *postings: list[str]) -> Json:
        """Checks the lot's end: phase, every posting, all accounts at 0, no material on its way, nothing running."""
        await _closed(self.house, self.id)
        found = await self.now()
        assert found["phase"] == phase
        await _posted(self.postings, postings)
        await self.house.assert_at_zero(self.lot)
        assert not {"on_the_way", "maker", "goods"} & self.materials().keys()
        await self.house.workflow(self.story).result()
        return found


async def _deadlines(house: House, path_id: str, by: str) -> dict[str, Json]:
    found = await house.get(f"/v1/{_SEGMENT[path_id[:3]]}/{path_id}/deadlines", by=by)
    return {each["name"]: each for each in found["deadlines"]}


async def _timeline(house: House, path_id: str) -> list[str]:
    segment = _SEGMENT[path_id[:3]]
    page = await house.get(f"/v1/{segment}/{path_id}/timeline", by=ADMIN, limit=100)
    assert all(event["summary"] for event in page["items"])
    return [f"{event['kind']} by {event['actor']}" for event in page["items"]]


_SEGMENT = {"prd": "production-orders", "lot": "lots"}


def _postings(
    house: House, path_id: str, names: dict[str, str], kinds: tuple[str, ...]
) -> list[str]:
    rows = house.sql(
        "SELECT e.kind, p.side, a.kind, a.owner, p.amount FROM ledger_postings p"
        " JOIN ledger_entries e ON e.id = p.entry_id JOIN ledger_accounts a ON a.id = p.account_id"
        " WHERE e.path_id = %s ORDER BY p.id",
        path_id,
    )
    return [
        f"{entry}: {side} {kind}:{names.get(owner, owner.split('_')[0])} {amount}"
        for entry, side, kind, owner, amount in rows
        if not kinds or entry in kinds
    ]


async def _closed(house: House, path_id: str) -> None:
    def closed() -> bool:
        query = "SELECT closed_at IS NOT NULL FROM paths WHERE id = %s"
        return bool(house.sql(query, path_id)[0][0])

    await eventually(closed, within_seconds=20)


async def _posted(postings: Any, wanted: tuple[list[str], ...]) -> None:
    def settled() -> bool:
        assert sorted(postings()) == sorted(line for each in wanted for line in each)
        return True

    await eventually(settled)
