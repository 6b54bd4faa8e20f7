"""A deposit that the maker's bank takes back, and people who are frozen or owe something while a lot runs."""

from __future__ import annotations

from tests.stories.chargebacks import BANK_FEE, balance, decided, opened
from tests.stories.house import House
from tests.stories.jobs import lines
from tests.stories.lots import decided as inspected
from tests.stories.lots import deposit_back, deposit_kept, deposited, wages
from tests.stories.workshop import ADMIN, DEPOSIT, Lot, Workshop, uploaded
from tests.waiting import eventually

UNITS = 10
HELD = UNITS * DEPOSIT


async def lost(lot: Lot, amount: int) -> None:
    """The maker's bank keeps so much of the deposit."""
    payment = (await lot.now())["payment"]
    dispute = await opened(lot.house, {"id": lot.id, "payment": payment}, amount)
    story = lot.house.workflow(lot.story)

    async def paused() -> bool:
        return bool((await story.query("watch"))["is_paused"])

    await eventually(paused)
    await decided(lot.house, dispute, won=False)


async def goes_on(lot: Lot) -> None:
    """The bank has decided, and the lot does not stand still any more."""

    async def running() -> bool:
        return not (await lot.house.workflow(lot.story).query("watch"))["is_paused"]

    await eventually(running)


async def one_more_is_lost(lot: Lot, phase: str) -> None:
    """In this phase the bank takes the deposit of one more unit, and the lot stays where it is."""
    await lot.until(phase)
    await lost(lot, DEPOSIT)
    await goes_on(lot)
    await lot.until(phase)


def borne(amount: int) -> list[str]:
    """What a chargeback posts that the deposit pays in full."""
    return lines(
        ("chargeback_open", "debit dispute:cbk", amount),
        ("chargeback_open", "debit loss:platform", BANK_FEE),
        ("chargeback_open", "credit cash:sandbox", amount + BANK_FEE),
        ("chargeback_lost", "debit deposit:maker", amount),
        ("chargeback_lost", "credit dispute:cbk", amount),
    )


async def test_without_the_deposit_no_materials_are_sent(house: House) -> None:
    shop = await Workshop.published(house, units=UNITS, lot_most=UNITS)
    lot = await shop.claim(units=UNITS)
    await lot.pay_deposit()
    await lost(lot, HELD)
    await lot.ended("lapsed", deposited(UNITS), borne(HELD))
    assert balance(house, "receivable", lot.lot["maker_id"]) == 0
    assert await shop.units() == {"open": UNITS}


async def test_later_the_lot_goes_on_with_what_is_left_of_the_deposit(house: House) -> None:
    shop = await Workshop.published(house, units=UNITS, lot_most=UNITS)
    lot = await shop.making(UNITS)
    await lost(lot, HELD // 2)
    await goes_on(lot)
    await lot.act("send-goods", made=UNITS)
    await lot.supply("receive-goods")
    await inspected(lot, 4, rejected=6)
    await lot.until("decided")
    await lot.act("accept-decision")
    await lot.ended(
        "settled",
        deposited(UNITS),
        borne(HELD // 2),
        wages(4),
        lines(
            ("release", "debit deposit:maker", 4 * DEPOSIT),
            ("release", "credit payable:maker", 4 * DEPOSIT),
        ),
        deposit_kept(1),
    )


async def test_the_bank_may_take_a_part_in_every_phase(house: House) -> None:
    shop = await Workshop.published(house, units=UNITS, lot_most=UNITS)
    lot = await shop.claim(units=UNITS)
    await lot.pay_deposit()
    await lot.supply("send-kit")
    await one_more_is_lost(lot, "kit_shipped")
    await lot.act("receive-kit")
    await one_more_is_lost(lot, "making")
    await lot.act("contest-kit", note="Wet", file_ids=[await uploaded(house, lot.maker)])
    await one_more_is_lost(lot, "kit_contested")
    await lot.act("rule-kit", ADMIN, note="They are dry", as_promised=True)
    await lot.act("send-goods", made=UNITS)
    await one_more_is_lost(lot, "return_shipped")
    await lot.supply("receive-goods")
    await one_more_is_lost(lot, "inspecting")
    await inspected(lot, 2, rework=1, rejected=7)
    await one_more_is_lost(lot, "rework")
    await lot.act("send-goods", made=1)
    await lot.supply("receive-goods")
    await inspected(lot, 0, rejected=1)
    await one_more_is_lost(lot, "decided")
    await lot.act("appeal", note="They hold 2 kg")
    await one_more_is_lost(lot, "appealed")
    await lot.act("rule", ADMIN, note="They do", accepted=8)
    # Of ten the bank has taken eight, and two were given back with the first accepted units.
    await lot.ended(
        "settled",
        deposited(UNITS),
        *(borne(DEPOSIT) for _ in range(8)),
        wages(2),
        deposit_back(2),
        wages(8),
    )


async def test_what_a_frozen_maker_earns_is_held(house: House) -> None:
    shop = await Workshop.published(house, units=UNITS, lot_most=UNITS)
    lot = await shop.handed_in(UNITS)
    await house.post(f"/v1/users/{lot.lot['maker_id']}/freeze", {"reason": "Asked"}, by=ADMIN)
    await inspected(lot, UNITS)
    held = [
        line.replace("payable:maker", "held:maker")
        for line in [
            *wages(UNITS),
            *lines(
                ("release", "debit deposit:maker", HELD),
                ("release", "credit payable:maker", HELD),
            ),
        ]
    ]
    await lot.ended("settled", deposited(UNITS), held)
