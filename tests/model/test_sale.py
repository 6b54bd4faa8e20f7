"""Sales at random: who may do what in which phase, what silence does, and where the money is."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import ClassVar

from tests.model.paths import Move, Path, Silence, Turn
from tests.model.playing import play
from tests.stories.deals import DAY, HOUR, MINUTE, people
from tests.stories.house import House, Json

TOTAL = 20_000
BUYER, SELLER, OPERATOR = "buyer", "seller", "operator"
ANY = frozenset({BUYER, SELLER, OPERATOR})
NOTE_TOO_LONG: Json = {"note": "x" * 10_000}


async def note(path: SalePath) -> Json:
    return {"note": f"about {path.phase}"}


async def parcel(path: SalePath) -> Json:
    number = path.notes.setdefault("parcel", f"SF{uuid.uuid4().hex[:12]}")
    return {"carrier": "sandbox", "tracking_number": number}


async def capture(path: SalePath) -> None:
    """The buyer pays; the webhook comes twice."""
    payment = path.notes["sale"]["payment"]["id"]
    await path.house.misbehave("webhook", "duplicate", subject=payment)
    await path.house.pay(path.notes["sale"])


async def declined(path: SalePath) -> None:
    """The card is declined; the buyer can try again."""
    sale = path.notes["sale"]
    await path.house.sandbox.post(
        sale["payment"]["checkout_url"],
        data={"action": "decline"},
        headers={"accept": "application/json"},
    )


async def late(path: SalePath) -> None:
    """The provider captures what is closed here; the pieces are still there."""
    sale = path.notes["sale"]
    await path.house.misbehave("payment", "late_capture", subject=sale["payment"]["id"])
    await path.house.pay(sale)
    path.notes["revived"] = True


async def scanned(path: SalePath, kind: str) -> None:
    await path.house.scan(path.notes["parcel"], kind)


async def on_payment(path: SalePath, seconds: int) -> None:
    """The payment's clock decides whether the sale expires."""
    await path.house.let_pass(path.notes["sale"], seconds, workflow="payment")


class SalePath(Path):
    """One lamp for 200.00."""

    kind = "sale"
    segment = "sales"
    query = "standing"
    final = frozenset({"completed", "expired", "refunded"})
    moves = (
        Move("accept", frozenset({SELLER}), {"paid": "accepted"}, note, (NOTE_TOO_LONG,)),
        Move(
            "ship",
            frozenset({SELLER}),
            {"accepted": "shipped"},
            parcel,
            ({"tracking_number": ""}, {"carrier": "nobody's"}),
        ),
        Move(
            "confirm",
            frozenset({BUYER}),
            {"shipped": "completed", "delivered": "completed"},
            note,
            (NOTE_TOO_LONG,),
        ),
        Move("decline", frozenset({SELLER}), {"paid": "refunded"}, note, (NOTE_TOO_LONG,)),
        Move(
            "cancel",
            ANY,
            {"pending_payment": "expired", "paid": "refunded", "accepted": "refunded"},
            note,
            (NOTE_TOO_LONG,),
        ),
    )
    turns = (
        Turn("paid", {"pending_payment": "paid"}, capture),
        Turn("card declined", {"pending_payment": "pending_payment"}, declined),
        Turn(
            "paid late",
            {"expired": "paid"},
            late,
            when=lambda path: path.notes.get("lapsed") and not path.notes.get("revived"),
        ),
        Turn("scanned", {"shipped": "shipped"}, lambda path: scanned(path, "in_transit")),
        Turn("delivered", {"shipped": "delivered"}, lambda path: scanned(path, "delivered")),
        Turn("lost", {"shipped": "refunded"}, lambda path: scanned(path, "lost")),
    )
    silences: ClassVar[Mapping[str, Silence]] = {
        "pending_payment": Silence(15 * MINUTE, "expired", on_payment),
        "paid": Silence(72 * HOUR, "refunded"),
        "accepted": Silence(14 * DAY, "refunded"),
        "shipped": Silence(10 * DAY, "refunded"),
        "delivered": Silence(10 * DAY, "completed"),
    }

    @classmethod
    async def begin(cls, house: House) -> SalePath:
        buyer, seller = people()
        sale = await house.order(await house.listing(seller), by=buyer)
        assert sale["total"]["amount"] == TOTAL
        path = cls(
            house, {BUYER: buyer, SELLER: seller, OPERATOR: "admin"}, sale["id"], sale["phase"]
        )
        path.notes["sale"] = sale
        return path

    def held(self) -> int:
        return TOTAL if self.phase in ("paid", "accepted", "shipped", "delivered") else 0

    async def lapsed(self, silence: Silence) -> None:
        """Unpaid sales end with their payment's story, whose clock has run ahead."""
        if self.phase == "pending_payment":
            await self.house.workflow(f"payment-{self.notes['sale']['payment']['id']}").result()
            self.notes["lapsed"] = True
        await super().lapsed(silence)


async def test_sales_stand_as_their_model_says(house: House) -> None:
    await play(SalePath, house)
