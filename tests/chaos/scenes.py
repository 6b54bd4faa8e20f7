"""What people play while everything is killed: the stories of the demonstration, and some that go wrong."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping

from deploy.local.stories import campaign, contest, production, sale, tender, unhappy
from deploy.local.stories.stage import Id, Person, ShownPayout, ShownSale, Stage
from tests.chaos.plan import ACTS

_VASE = {
    "title": "瓶 Vase",
    "unit_price": {"amount": 24_000},
    "stock_kind": "in_stock",
    "stock": 3,
}


def lost_parcel(stage: Stage) -> None:
    """The carrier loses the parcel, and the buyer gets everything back."""
    maker, buyer = stage.person("mei"), stage.person("lin")
    ordered = _ordered(stage, maker, buyer)
    number = f"SF{uuid.uuid4().int % 10**12:012d}"
    maker.post(f"/v1/sales/{ordered.id}/accept", ShownSale)
    parcel = {"carrier": "sandbox", "tracking_number": number}
    maker.post(f"/v1/sales/{ordered.id}/ship", ShownSale, parcel)
    stage.scan(number, "lost")
    stage.until_phase(buyer, ordered, "refunded")


def silent_seller(stage: Stage) -> None:
    """The seller never answers, and the buyer gets everything back."""
    maker, buyer = stage.person("shan"), stage.person("wu")
    ordered = _ordered(stage, maker, buyer)
    stage.until_phase(buyer, ordered, "refunded")


def payout_bounced(stage: Stage) -> None:
    """The maker's bank sends the payout back; it leaves again once there is another account."""
    maker, buyer = stage.person("aoi"), stage.person("lin")
    _bank(maker)
    ordered = _ordered(stage, maker, buyer, delivery="pickup")
    maker.post(f"/v1/sales/{ordered.id}/accept", ShownSale)
    maker.post(f"/v1/sales/{ordered.id}/ship", ShownSale, {"note": "At the market."})
    buyer.post(f"/v1/sales/{ordered.id}/confirm", ShownSale)
    [first] = _payouts(stage, maker, {"paid"})
    stage.bank_returns(first)
    _payouts(stage, maker, {"returned"})
    _bank(maker)
    _payouts(stage, maker, {"returned", "paid"})


def _payouts(stage: Stage, maker: Person, wanted: set[str]) -> list[ShownPayout]:
    """All payouts of the maker, when they stand like this."""
    return stage.until(
        lambda: maker.get_list("/v1/payouts", ShownPayout),
        lambda found: {each.status for each in found} == wanted,
        f"the payouts of {maker.name} are {' and '.join(sorted(wanted))}",
    )


def _bank(maker: Person) -> None:
    account = f"62220203{uuid.uuid4().int % 10**8:08d}"
    bank = {"currency": "CNY", "account": account, "holder": "Maker"}
    maker.post("/v1/payout-destinations", Id, bank)


def _ordered(stage: Stage, maker: Person, buyer: Person, *, delivery: str = "express") -> ShownSale:
    """A vase that is ordered and paid."""
    vase = maker.post("/v1/listings", Id, {**_VASE, "delivery": ["express", "pickup"]})
    lines = [{"listing_id": vase.id}]
    ordered = buyer.post("/v1/sales", ShownSale, {"lines": lines, "delivery": delivery})
    stage.pay(ordered)
    return stage.until_phase(buyer, ordered, "paid")


SCENES: Mapping[str, Callable[[Stage], None]] = {
    story.__name__: story
    for story in (
        *(
            story
            for module in (sale, contest, tender, campaign, production, unhappy)
            for _, story in module.STORIES
        ),
        lost_parcel,
        silent_seller,
        payout_bounced,
    )
}
"""By the name that a plan uses."""

if SCENES.keys() != ACTS.keys():
    raise RuntimeError(f"plans know other stories: {SCENES.keys() ^ ACTS.keys()}")
