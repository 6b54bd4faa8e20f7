"""Goods that never arrive: who bears it, and what of the lot stands all the same."""

from __future__ import annotations

import uuid
from typing import Any

from tests.stories.house import House
from tests.stories.jobs import lines
from tests.stories.lots import (
    decided,
    deposit_back,
    deposit_kept,
    deposited,
    free_of_fee,
    wages,
)
from tests.stories.workshop import DAY, RATE, Lot, Workshop, funded, returned
from tests.waiting import eventually

UNITS = 10


def fund_of(house: House) -> int:
    """What the protection fund holds, minor units."""
    rows = house.sql(
        "SELECT balance FROM ledger_accounts WHERE kind = 'protection_fund' AND currency = 'CNY'"
    )
    return int(rows[0][0]) if rows else 0


def covered(house: House, amount: int, held: int) -> list[str]:
    """The protection fund pays; what it lacks is the platform's loss."""
    from_fund = min(amount, held)
    return lines(
        ("compensate", "debit protection_fund:platform", from_fund),
        ("compensate", "debit loss:platform", amount - from_fund),
        ("compensate", "credit payable:maker", amount),
    )


async def sent(lot: Lot, *, scanned: bool = True, **units: Any) -> None:
    """The goods are on their way, under a number that the carrier has seen."""
    number = f"LL{uuid.uuid4().hex[:12]}"
    await lot.act("send-goods", carrier="sandbox", tracking_number=number, **units)
    if scanned:
        before = (await lot.deadlines())["goods_scan"]
        await lot.house.scan(number, "in_transit")

        async def heard() -> bool:
            return (await lot.deadlines())["goods_scan"] != before

        await eventually(heard)


async def test_under_our_label_the_protection_fund_pays(house: House) -> None:
    shop = await Workshop.published(house, units=UNITS, lot_most=UNITS)
    lot = await shop.making(UNITS)
    await sent(lot, made=8, unused=1)
    held = fund_of(house)
    await lot.let_pass(11 * DAY)
    await lot.ended(
        "lost",
        deposited(UNITS),
        covered(house, 8 * RATE, held),
        deposit_back(9),
        deposit_kept(1),
    )
    assert lot.materials() == {"store": -20, "lost": 18, "missing": 2}
    assert await shop.units() == {"open": 2, "lost": 8}
    await shop.act("stop")
    await shop.ended("completed", funded(UNITS * RATE), returned(UNITS * RATE))


async def test_a_number_that_no_carrier_has_ever_seen_is_the_makers_risk(house: House) -> None:
    shop = await Workshop.published(house, units=UNITS, lot_most=UNITS)
    lot = await shop.making(UNITS)
    await sent(lot, scanned=False, made=UNITS)
    await lot.let_pass(10 * DAY + 1)
    await lot.ended("lost", deposited(UNITS), deposit_kept(UNITS))
    assert await shop.units() == {"open": UNITS}


async def test_under_their_own_label_the_maker_bears_it(house: House) -> None:
    shop = await Workshop.published(house, units=20, lot_most=UNITS, label="maker", freight=30)
    lot = await shop.making(UNITS)
    await sent(lot, made=UNITS)
    await lot.let_pass(11 * DAY)
    await lot.ended("lost", deposited(UNITS), deposit_kept(UNITS))
    assert await shop.units() == {"open": 20}

    mending = await shop.handed_in(UNITS)
    await decided(mending, 6, rework=4)
    await sent(mending, made=3)
    await mending.let_pass(11 * DAY)
    await mending.ended(
        "settled",
        deposited(UNITS),
        free_of_fee(UNITS * 30),
        wages(6),
        deposit_back(6),
        deposit_kept(4),
    )
    assert await shop.units() == {"open": 10, "accepted": 6, "lost": 4}


async def test_mended_goods_that_get_lost_leave_the_appeal_about_the_others(house: House) -> None:
    shop = await Workshop.published(house, units=UNITS, lot_most=UNITS)
    lot = await shop.handed_in(UNITS)
    await decided(lot, 5, rework=3, rejected=2)
    await sent(lot, made=2)
    held = fund_of(house)
    await lot.let_pass(11 * DAY)
    await lot.until("decided")
    await lot.act("appeal", note="They were good")
    await lot.let_pass(5 * DAY + 1)
    await lot.ended(
        "settled",
        deposited(UNITS),
        wages(5),
        deposit_back(5),
        covered(house, 2 * RATE, held),
        deposit_back(2),
        wages(2),
        deposit_back(2),
        deposit_kept(1),
    )
    assert lot.materials() == {"store": -20, "used": 14, "lost": 4, "missing": 2}
    assert await shop.units() == {"open": 1, "accepted": 7, "lost": 2}
