"""Goods that never arrive: who bears it, and what of the lot stands all the same."""

from __future__ import annotations

import uuid
from typing import Any

from tests.api.client import assert_problem
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
from tests.stories.test_frozen import user_id
from tests.stories.workshop import ADMIN, DAY, RATE, Lot, Workshop, funded, returned
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


async def sent(lot: Lot, *, label: str | None = "platform", **units: Any) -> None:
    """The goods are on their way, under a number that the carrier has seen; None: that it has not."""
    number = f"LL{uuid.uuid4().hex[:12]}"
    await lot.act("send-goods", carrier="sandbox", tracking_number=number, **units)
    if label is not None:
        before = (await lot.deadlines())["goods_scan"]
        await lot.house.scan(number, "in_transit", label)

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


async def test_mended_goods_that_are_all_covered_settle_the_lot(house: House) -> None:
    shop = await Workshop.published(house, units=UNITS, lot_most=UNITS)
    lot = await shop.handed_in(UNITS)
    await decided(lot, 8, rework=2)
    await sent(lot, made=2)
    held = fund_of(house)
    await lot.let_pass(11 * DAY)
    await lot.ended(
        "settled",
        deposited(UNITS),
        wages(8),
        deposit_back(8),
        covered(house, 2 * RATE, held),
        deposit_back(2),
    )
    await shop.ended("completed", funded(UNITS * RATE), returned(2 * RATE))


async def test_a_number_that_no_carrier_has_ever_seen_is_the_makers_risk(house: House) -> None:
    shop = await Workshop.published(house, units=20, lot_most=UNITS, lots_at_once=2)
    lot = await shop.making(UNITS)
    await sent(lot, label=None, made=UNITS)
    await lot.let_pass(10 * DAY + 1)
    await lot.until("decided")
    assert (await lot.now())["course"]["gone"] == UNITS
    await lot.act("appeal", note="I have the receipt of the post office", jury=True)
    # There is nothing to look at, so operators decide; their silence pays nobody for what never arrived.
    answer = await house.call(
        "POST",
        f"/v1/lots/{lot.id}/name-inspector",
        by=ADMIN,
        json={"inspector_id": await user_id(house, "somebody-else")},
    )
    assert_problem(answer, 409, "wrong_phase")
    await lot.let_pass(5 * DAY + 1)
    await lot.ended("lost", deposited(UNITS), deposit_kept(UNITS))
    assert lot.materials() == {"store": -20, "missing": 20}
    assert await shop.units() == {"open": 20}

    # A label that was printed and never handed in is no parcel either, and a loss that is the carrier's fault is ruled on.
    other = await shop.making(UNITS)
    await sent(other, label=None, made=8, unused=2)
    number = (await other.now())["goods"]["tracking_number"]
    label = {"tracking_number": number, "label_paid_by": "platform"}
    (await house.sandbox.post("/carrier/parcels", json=label)).raise_for_status()
    heard = "SELECT 1 FROM webhook_inbox WHERE subject = %s AND kind = 'registered'"
    await eventually(lambda: house.sql(heard, other.id))
    await other.let_pass(11 * DAY)
    await other.until("decided")
    await other.act("appeal", note="The post office has burned down")
    await other.act("rule", ADMIN, accepted=8, returned=2, note="It has")
    await other.ended("settled", deposited(UNITS), wages(8), deposit_back(10))


async def test_the_fund_pays_so_much_for_a_lot_and_no_more(house: House) -> None:
    shop = await Workshop.published(
        house, units=UNITS, lot_most=UNITS, rate={"amount": 1_500_000, "currency": "CNY"}
    )
    lot = await shop.making(UNITS)
    await sent(lot, made=UNITS)
    held = fund_of(house)
    await lot.let_pass(11 * DAY)
    await lot.until("decided")
    await lot.act("accept-decision")
    await lot.ended(
        "lost",
        deposited(UNITS),
        covered(house, 3 * 1_500_000, held),
        deposit_back(3),
        deposit_kept(7),
    )
    assert await shop.units() == {"open": 7, "lost": 3}


async def test_goods_without_a_number(house: House) -> None:
    """Whoever should have them says that they never came, or silence counts as their arrival."""
    shop = await Workshop.published(house, units=20, lot_most=UNITS, lots_at_once=2)
    denied = await shop.making(UNITS)
    await denied.act("send-goods", made=UNITS)
    answer = await denied.try_to("deny-goods", note="Nothing has come")
    assert_problem(answer, 403, "forbidden")
    await denied.supply("deny-goods", note="Nothing has come")
    await denied.until("decided")
    await denied.let_pass(3 * DAY + 1)
    await denied.ended("lost", deposited(UNITS), deposit_kept(UNITS))

    pleaded = await shop.making(UNITS)
    await pleaded.act("send-goods", made=UNITS)
    await pleaded.supply("deny-goods", note="Nothing has come")
    await pleaded.act("appeal", note="I have brought it to the shop")
    await pleaded.act("rule", ADMIN, accepted=0, note="Nobody has seen it there")
    await pleaded.ended("lost", deposited(UNITS), deposit_kept(UNITS))

    spoiled = await shop.making(UNITS)
    await spoiled.act("send-goods", made=0, spoiled=UNITS)
    await spoiled.supply("deny-goods", note="Nothing has come")
    await spoiled.ended("lost", deposited(UNITS), deposit_kept(UNITS))

    silent = await shop.making(UNITS)
    await silent.act("send-goods", made=UNITS)
    await silent.let_pass(10 * DAY + 1)
    await silent.until("inspecting")
    await decided(silent, 9, rework=1)
    await silent.act("send-goods", made=1)
    await silent.supply("deny-goods", note="It has not come back")
    await silent.until("decided")
    await silent.act("appeal", note="I have brought it to the shop")
    await silent.act("rule", ADMIN, accepted=1, note="There is a picture of it")
    paid = [wages(9), deposit_back(9), wages(1), deposit_back(1)]
    await silent.ended("settled", deposited(UNITS), *paid)

    tracked = await shop.making(UNITS)
    await sent(tracked, made=UNITS)
    answer = await tracked.try_to("deny-goods", shop.requester, note="Nothing has come")
    assert_problem(answer, 409, "wrong_phase")


async def test_under_their_own_label_the_maker_bears_it(house: House) -> None:
    shop = await Workshop.published(house, units=30, lot_most=UNITS, label="maker", freight=30)
    lot = await shop.making(UNITS)
    await sent(lot, label="seller", made=UNITS)
    await lot.let_pass(11 * DAY)
    await lot.until("decided")
    await lot.act("accept-decision")
    await lot.ended("lost", deposited(UNITS), deposit_kept(UNITS))
    assert await shop.units() == {"open": 30}

    # A requester who promises our label does not make it ours: the carrier knows who has paid for it.
    promised = await Workshop.published(house, units=UNITS, lot_most=UNITS)
    paid_by_maker = await promised.making(UNITS)
    await sent(paid_by_maker, label="seller", made=UNITS)
    await paid_by_maker.let_pass(11 * DAY)
    await paid_by_maker.until("decided")
    await paid_by_maker.act("accept-decision")
    await paid_by_maker.ended("lost", deposited(UNITS), deposit_kept(UNITS))

    mending = await shop.handed_in(UNITS)
    await decided(mending, 6, rework=4)
    await sent(mending, label="seller", made=3)
    await mending.let_pass(11 * DAY)
    await mending.until("decided")
    await mending.act("accept-decision")
    await mending.ended(
        "settled",
        deposited(UNITS),
        free_of_fee(UNITS * 30),
        wages(6),
        deposit_back(6),
        deposit_kept(4),
    )
    assert await shop.units() == {"open": 20, "accepted": 6, "rejected": 3, "lost": 1}


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
