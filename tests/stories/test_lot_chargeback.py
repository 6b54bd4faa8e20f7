"""A deposit that the maker's bank takes back, and people who are frozen or owe something while a lot runs."""

from __future__ import annotations

from tests.stories.chargebacks import BANK_FEE, balance, decided, opened
from tests.stories.house import House
from tests.stories.jobs import lines
from tests.stories.lots import decided as inspected
from tests.stories.lots import deposit_kept, deposited, wages
from tests.stories.workshop import ADMIN, DEPOSIT, Lot, Workshop
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

    async def goes_on() -> bool:
        return not (await house.workflow(lot.story).query("watch"))["is_paused"]

    await eventually(goes_on)
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
