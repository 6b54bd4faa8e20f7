"""Lots at random: deposit, kit, making, goods, inspection, rework, appeal, and everybody's silence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from tests.model.paths import Move, Path, Silence, Turn
from tests.model.playing import play
from tests.stories.house import DAY, House, Json
from tests.stories.lots import decided, inspection_of
from tests.stories.workshop import CLAIMS, DEPOSIT, MAKE, RATE, Lot, Workshop

REQUESTER, MAKER, OPERATOR = "requester", "maker", "operator"
UNITS = 4
HOUR = 3_600
BY_MAKER, BY_REQUESTER = frozenset({MAKER}), frozenset({REQUESTER})
WITH_DEPOSIT = ("kit_paid", "kit_shipped", "making", "return_shipped", "inspecting")


async def goods(path: LotPath) -> Json:
    return {"made": path.notes.get("rework", UNITS)}


async def reason(path: LotPath) -> Json:
    return {"note": "The handles hold 2 kg."}


async def granted(path: LotPath) -> Json:
    return {"accepted": path.notes["rejected"], "note": "They do."}


async def deposit_paid(path: LotPath) -> None:
    await path.lot.pay_deposit()


async def accepted(path: LotPath) -> None:
    await decided(path.lot, path.notes.get("rework", UNITS))


async def partly_rejected(path: LotPath) -> None:
    path.notes["rejected"] = 1
    await decided(path.lot, path.notes.get("rework", UNITS) - 1, rejected=1)


async def to_mend(path: LotPath) -> None:
    path.notes["rework"] = 2
    await decided(path.lot, UNITS - 2, rework=2)


async def on_payment(path: LotPath, seconds: int) -> None:
    payment = (await path.lot.now())["payment"]["id"]
    await path.house.skipper.fast_forward(path.house.workflow(f"payment-{payment}"), seconds)


async def on_inspection(path: LotPath, seconds: int) -> None:
    await path.house.skipper.fast_forward(path.house.workflow(inspection_of(path.lot)), seconds)


class LotPath(Path):
    """Four units with materials to be deposited for, of an order that is all for them."""

    kind = "lot"
    segment = "lots"
    final = frozenset({"settled", "lapsed", "cancelled", "abandoned", "lost"})
    moves = (
        Move("send-kit", BY_REQUESTER, {"kit_paid": "kit_shipped"}, None, ({"carrier": "?"},)),
        Move("receive-kit", BY_MAKER, {"kit_shipped": "making"}),
        Move("report", BY_MAKER, {"making": "making"}),
        Move(
            "send-goods",
            BY_MAKER,
            {"making": "return_shipped", "rework": "return_shipped"},
            goods,
            ({"made": -1}, {"made": UNITS + 1}),
        ),
        Move("receive-goods", BY_REQUESTER, {"return_shipped": "inspecting"}),
        Move("appeal", BY_MAKER, {"decided": "appealed"}, reason, ({"note": ""},)),
        Move(
            "rule",
            frozenset({OPERATOR}),
            {"appealed": "settled"},
            granted,
            ({"accepted": -1},),
        ),
        Move("withdraw", BY_MAKER, {"kit_reserved": "lapsed", "kit_paid": "lapsed"}),
    )
    turns = (
        Turn("deposit paid", {"kit_reserved": "kit_paid"}, deposit_paid),
        Turn("all accepted", {"inspecting": "settled"}, accepted),
        Turn("one rejected", {"inspecting": "decided"}, partly_rejected),
        Turn(
            "two to mend",
            {"inspecting": "rework"},
            to_mend,
            when=lambda path: "rework" not in path.notes,
        ),
    )
    silences: ClassVar[Mapping[str, Silence]] = {
        "kit_reserved": Silence(24 * HOUR, "lapsed", on_payment),
        "kit_paid": Silence(72 * HOUR, "cancelled"),
        "kit_shipped": Silence(
            10 * DAY, frozenset({"kit_paid", "cancelled", "making"}), exact=False
        ),
        "making": Silence(MAKE + 10 * DAY, "abandoned", exact=False),
        "return_shipped": Silence(
            10 * DAY, frozenset({"lost", "settled", "decided", "inspecting"}), exact=False
        ),
        "inspecting": Silence(5 * DAY, "settled", on_inspection),
        "decided": Silence(3 * DAY, "settled"),
        "rework": Silence(7 * DAY, frozenset({"decided", "settled"})),
        "appealed": Silence(5 * DAY, "settled"),
    }

    @classmethod
    async def begin(cls, house: House) -> LotPath:
        shop = await Workshop.published(house, units=UNITS, lot_most=UNITS)
        lot = await shop.claim(units=UNITS)
        people = {MAKER: lot.maker, REQUESTER: shop.requester, OPERATOR: "admin"}
        return cls(house, people, lot.id, lot.lot["phase"], notes={"lot": lot})

    @property
    def lot(self) -> Lot:
        lot: Lot = self.notes["lot"]
        return lot

    def held(self) -> int | None:
        if self.phase in WITH_DEPOSIT and "rework" not in self.notes:
            return UNITS * DEPOSIT
        return 0 if self.phase in self.final or self.phase == "kit_reserved" else None

    async def at_zero(self) -> None:
        """The lot, and then its order: nobody claims what is left."""
        await super().at_zero()
        shop = self.lot.shop
        wages = int(
            self.house.sql(
                "SELECT coalesce(sum(credits_posted - debits_posted), 0) FROM ledger_accounts"
                " WHERE path_id = %s AND kind = 'escrow'",
                shop.id,
            )[0][0]
        )
        assert 0 <= wages <= UNITS * RATE
        if (await shop.now())["phase"] == "published":
            await shop.let_pass(CLAIMS + 11)
        await self.closed(shop.id)


async def test_lots_and_their_orders_stand_as_their_model_says(house: House) -> None:
    await play(LotPath, house)
