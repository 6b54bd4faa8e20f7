"""Kits that never arrive, or are not as promised: nobody loses a deposit for materials that they never had."""

from __future__ import annotations

from tests.api.client import assert_problem
from tests.stories.house import House
from tests.stories.lots import decided, deposit_back, deposit_refunded, deposited, wages
from tests.stories.test_lot_parcels import number, parcel
from tests.stories.workshop import ADMIN, DAY, MAKE, Lot, Workshop, uploaded

UNITS = 5


async def contest(lot: Lot) -> None:
    """The maker says, with a picture, that the materials are no good."""
    picture = await uploaded(lot.house, lot.maker)
    await lot.act("contest-kit", note="Wet and split", file_ids=[picture])
    await lot.until("kit_contested")
    # The requester sees what the maker shows.
    seen = await lot.house.call("GET", f"/v1/files/{picture}", by=lot.shop.requester)
    assert seen.status_code == 200


async def test_materials_that_are_not_as_promised(house: House) -> None:
    shop = await Workshop.published(house, units=2 * UNITS, lot_most=UNITS, lots_at_once=2)
    lot = await shop.making(UNITS)
    answer = await lot.try_to("contest-kit", note="Wet", file_ids=[])
    assert assert_problem(answer, 422, "invalid_input")["field"] == "file_ids"
    due = lot.lot["due_at"]
    await contest(lot)
    assert set(await lot.deadlines()) == {"contest"}, "no other time runs"
    answer = await lot.try_to("rule-kit", shop.requester, note="They are dry", as_promised=True)
    assert_problem(answer, 403, "forbidden")
    await lot.let_pass(4 * DAY)
    await lot.act("rule-kit", ADMIN, note="The picture shows other materials", as_promised=True)
    assert (await lot.until("making"))["due_at"] > due, "the maker has the time that was lost"
    answer = await lot.try_to(
        "contest-kit", note="Wet", file_ids=[await uploaded(house, lot.maker)]
    )
    assert_problem(answer, 409, "wrong_phase")
    await lot.act("send-goods", made=UNITS)
    await lot.supply("receive-goods")
    await decided(lot, UNITS)
    await lot.ended("settled", deposited(UNITS), wages(UNITS), deposit_back(UNITS))

    bad = await shop.making(UNITS)
    await contest(bad)
    await bad.act("rule-kit", ADMIN, note="Nobody can weave with these", as_promised=False)
    await bad.ended("cancelled", deposited(UNITS), deposit_refunded(UNITS))
    assert bad.materials() == {"store": -2 * UNITS, "missing": 2 * UNITS}
    assert await shop.units() == {"open": UNITS, "accepted": UNITS}

    unheard = await shop.making(UNITS)
    await contest(unheard)
    await unheard.let_pass(5 * DAY + 1)
    await unheard.ended("cancelled", deposited(UNITS), deposit_refunded(UNITS))
    assert "contest_lapsed by system" in await unheard.timeline()


async def test_a_requester_who_admits_it_sends_another_kit_once(house: House) -> None:
    shop = await Workshop.published(house, units=UNITS, lot_most=UNITS)
    lot = await shop.making(UNITS)
    await contest(lot)
    answer = await lot.try_to("admit-contest")
    assert_problem(answer, 403, "forbidden")
    await lot.supply("admit-contest", note="The wrong box")
    await lot.until("kit_paid")
    await lot.supply("send-kit")
    await lot.act("receive-kit")
    await contest(lot)
    await lot.supply("admit-contest", note="The wrong box again")
    await lot.ended("cancelled", deposited(UNITS), deposit_refunded(UNITS))
    assert lot.materials() == {"store": -4 * UNITS, "missing": 4 * UNITS}


async def test_what_a_carrier_has_delivered_elsewhere_can_be_contested_for_long(
    house: House,
) -> None:
    """The carrier's word begins the maker's time, but not the few days in which materials are contested."""
    shop = await Workshop.published(house, units=2 * UNITS, lot_most=UNITS, lots_at_once=2)
    lot = await shop.claim(units=UNITS)
    await lot.pay_deposit()
    kit = number()
    await lot.supply("send-kit", **parcel(kit))
    await house.scan(kit, "delivered")
    await lot.until("making")
    await lot.let_pass(MAKE)
    await contest(lot)
    await lot.act("rule-kit", ADMIN, note="It went to another address", as_promised=False)
    await lot.ended("cancelled", deposited(UNITS), deposit_refunded(UNITS))

    confirmed = await shop.making(UNITS)
    await confirmed.let_pass(3 * DAY + 1)
    picture = await uploaded(house, confirmed.maker)
    answer = await confirmed.try_to("contest-kit", note="Wet", file_ids=[picture])
    assert_problem(answer, 409, "too_late")


async def test_nobody_waits_for_kits_without_end(house: House) -> None:
    shop = await Workshop.published(house, units=UNITS, lot_most=UNITS)
    lot = await shop.claim(units=UNITS)
    await lot.pay_deposit()
    kit = number()
    await lot.supply("send-kit", **parcel(kit))
    await house.scan(kit, "lost")
    await lot.until("kit_paid")
    # The number of a lost kit is no number for another parcel of the lot.
    answer = await lot.try_to("send-kit", shop.requester, **parcel(kit))
    assert assert_problem(answer, 422, "invalid_input")["field"] == "tracking_number"
    await lot.supply("send-kit")
    assert "cancelled" in (await lot.deadlines())["kit_scan"]["outcome"]
    await lot.let_pass(10 * DAY + 1)
    await lot.ended("cancelled", deposited(UNITS), deposit_refunded(UNITS))
    assert lot.materials() == {"store": -4 * UNITS, "lost": 4 * UNITS}
