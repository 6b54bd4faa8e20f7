"""What people play while everything is killed: the stories of the demonstration, and some that go wrong."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

from deploy.local.stories import campaign, contest, production, sale, tender, unhappy
from deploy.local.stories.stage import (
    Anything,
    Checkout,
    Id,
    Person,
    Shown,
    ShownPayout,
    ShownSale,
    Stage,
)
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


def loom_lent(stage: Stage) -> None:
    """A loom is lent against a deposit and comes back."""
    lender, borrower = stage.person("hua"), stage.person("wu")
    due = datetime.now(UTC) + timedelta(days=20)
    body = {
        "help": "loan",
        "title": "织机 A loom",
        "description": "To be fetched",
        "due_at": due.isoformat(),
        "deposit": {"amount": 10_000},
    }
    offer = lender.post("/v1/in-kind", Id, body)
    path = f"/v1/in-kind/{offer.id}"
    lender.post(f"{path}/publish", Anything)
    ask = borrower.post(f"{path}/asks", Id)
    lender.post(f"{path}/pick", Anything, {"ask_id": ask.id})
    stage.press(_deposit_page(stage, borrower, path), "pay")
    _until_loan(stage, lender, path, "ready")
    lender.post(f"{path}/hand-over", Anything)
    borrower.post(f"{path}/send-back", Anything)
    lender.post(f"{path}/return", Anything)
    _until_loan(stage, lender, path, "returned")


class ShownAgreement(Shown):
    """What lender and borrower have agreed on."""

    payment: Checkout | None


class ShownLoan(Shown):
    """A loan in an answer."""

    phase: str
    agreement: ShownAgreement | None


def _deposit_page(stage: Stage, borrower: Person, path: str) -> str:
    def page(seen: ShownLoan) -> str | None:
        payment = seen.agreement and seen.agreement.payment
        return payment.checkout_url if payment else None

    return stage.until(
        lambda: page(borrower.get(path, ShownLoan)) or "",
        lambda found: bool(found),
        "the deposit has a page",
    )


def _until_loan(stage: Stage, person: Person, path: str, phase: str) -> None:
    stage.until(
        lambda: person.get(path, ShownLoan),
        lambda seen: seen.phase == phase,
        f"the loan is {phase}",
    )


def village_votes(stage: Stage) -> None:
    """People choose what is built next."""
    asker = stage.person("hua")
    body = {
        "title": "下一个工坊 The next workshop",
        "options": [{"label": "Kiln"}, {"label": "Loom"}],
        "account_age_seconds": 0,
        "voting_seconds": 4 * stage.pace,
        "notice_seconds": 2 * stage.pace,
    }
    ballot = asker.post("/v1/ballots", Id, body)
    asker.post(f"/v1/ballots/{ballot.id}/open", Anything)
    for name in ("lin", "wu", "mei"):
        voter = stage.person(name)
        voter.post(f"/v1/ballots/{ballot.id}/votes", Anything, {"options": ["2"]})
    stage.until(
        lambda: asker.get(f"/v1/ballots/{ballot.id}", ShownPhase),
        lambda seen: seen.phase == "final",
        "the result is final",
    )


class ShownPhase(Shown):
    """Where a path stands."""

    phase: str


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
        loom_lent,
        village_votes,
    )
}
"""By the name that a plan uses."""

if SCENES.keys() != ACTS.keys():
    raise RuntimeError(f"plans know other stories: {SCENES.keys() ^ ACTS.keys()}")
