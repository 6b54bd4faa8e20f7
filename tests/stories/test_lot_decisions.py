"""What follows from an inspection: pay at once, rework and whose fault it is, rejected units, appeals and silence."""

from __future__ import annotations

from domain.lot import Fault
from tests.stories.house import House
from tests.stories.lots import (
    decided,
    deposit_back,
    deposit_kept,
    deposited,
    free_of_fee,
    wages,
)
from tests.stories.workshop import ADMIN, DAY, RATE, Lot, Workshop, funded, people, returned

UNITS = 10
FREIGHT = 30


async def shop_of(house: House, units: int = UNITS, **more: object) -> Workshop:
    """An order of lots of ten units."""
    return await Workshop.published(house, units=units, lot_most=UNITS, lots_at_once=9, **more)


async def rejected(shop: Workshop, count: int, fault: Fault = Fault.MAKER) -> Lot:
    """A lot of which so many units are rejected."""
    lot = await shop.handed_in(UNITS)
    await decided(lot, UNITS - count, rejected=count, fault=fault)
    await lot.until("decided")
    return lot


async def test_appeals_and_silence(house: House) -> None:
    shop = await shop_of(house, 50)
    paid = [deposited(UNITS), wages(7), deposit_back(7)]
    silent = await rejected(shop, 3)
    await silent.let_pass(3 * DAY + 1)
    await silent.ended("settled", *paid, deposit_kept(3))

    heard = await rejected(shop, 3)
    await heard.act("appeal", note="The stains were there before")
    await heard.act("rule", ADMIN, accepted=2, note="Two are as agreed")
    await heard.ended("settled", *paid, wages(2), deposit_back(2), deposit_kept(1))
    assert heard.materials() == {"store": -20, "used": 18, "rejected": 2}

    unheard = await rejected(shop, 3)
    await unheard.act("appeal", note="The stains were there before")
    due = (await unheard.deadlines())["ruling"]
    assert sum(p["amount"]["amount"] for p in due["postings"] if p["side"] == "debit") == (
        3 * RATE + 15 + 3 * 200
    )
    await unheard.let_pass(5 * DAY + 1)
    await unheard.ended("settled", *paid, wages(3), deposit_back(3))

    bad_materials = await rejected(shop, 3, Fault.REQUESTER)
    await bad_materials.act("accept-decision")
    await bad_materials.ended("settled", *paid, deposit_back(3))

    nothing = await rejected(shop, UNITS)
    await nothing.act("accept-decision")
    await nothing.ended("settled", deposited(UNITS), deposit_kept(UNITS))
    assert await house.payable(nothing.maker) == 0

    accepted = 7 + 9 + 10 + 7
    assert await shop.units() == {"accepted": accepted, "rejected": 50 - accepted}
    await shop.ended("completed", funded(50 * RATE), returned((50 - accepted) * RATE))


async def test_rework_that_is_never_sent_is_not_paid(house: House) -> None:
    shop = await shop_of(house, 20)
    gone = await shop.handed_in(UNITS)
    await decided(gone, 6, rework=4)
    await gone.until("rework")
    await gone.let_pass(7 * DAY + 1)
    paid = [deposited(UNITS), wages(6), deposit_back(6)]
    await gone.ended("settled", *paid, deposit_kept(4))
    assert gone.materials() == {"store": -20, "used": 12, "missing": 8}
    assert await shop.units() == {"open": 14, "accepted": 6}, "others may make them"

    both = await shop.handed_in(UNITS)
    await decided(both, 6, rework=2, rejected=2)
    await both.until("rework")
    await both.let_pass(7 * DAY + 1)
    await both.until("decided")
    await both.act("appeal", note="They were good")
    await both.act("rule", ADMIN, accepted=2, note="They are")
    await both.ended("settled", *paid, wages(2), deposit_back(2), deposit_kept(2))


async def test_freight_and_the_inspectors_fee_are_free_of_commission(house: House) -> None:
    inspector = f"inspector-{people()[0]}"
    certifier = (await house.get("/v1/me", by=inspector))["id"]
    shop = await shop_of(
        house,
        freight=FREIGHT,
        label="maker",
        certifier_id=certifier,
        certifier_fee=11,
    )
    to_fund = UNITS * (RATE + 3 * FREIGHT + 11)
    lot = await shop.making(UNITS)
    await lot.act("send-goods", made=UNITS)
    await lot.act("receive-goods", inspector)
    await decided(lot, 4, rework=6, fault=Fault.REQUESTER, by=inspector)
    await lot.act("send-goods", made=6)
    await lot.act("receive-goods", inspector)
    await decided(lot, 4, rework=2, by=inspector)
    await lot.act("send-goods", made=1)
    await lot.act("receive-goods", inspector)
    await decided(lot, 1, by=inspector)
    await lot.ended(
        "settled",
        deposited(UNITS),
        free_of_fee(16 * FREIGHT),
        free_of_fee(UNITS * 11, "certifier"),
        wages(4),
        deposit_back(4),
        wages(4),
        deposit_back(4),
        wages(1),
        deposit_back(1),
        deposit_kept(1),
    )
    # The unit that never came back was inspected and sent once: nobody else is asked to make it with that money.
    assert await shop.units() == {"accepted": 9, "lost": 1}
    spent = 9 * RATE + 16 * FREIGHT + UNITS * 11
    assert await house.payable(inspector) == UNITS * 11
    await shop.ended("completed", funded(to_fund), returned(to_fund - spent))
