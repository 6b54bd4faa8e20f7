"""A lot from the claim to the last payment, with every minor unit and every piece of material accounted for."""

from __future__ import annotations

import asyncio

from tests.api.client import assert_problem
from tests.stories.house import House
from tests.stories.lots import decided, deposit_back, deposit_kept, deposited, wages
from tests.stories.workshop import RATE, Workshop, funded, people, returned


async def test_92_of_100_are_accepted_12_of_them_after_rework(house: House) -> None:
    shop = await Workshop.published(house)
    lot = await shop.handed_in()
    await decided(lot, 80, rework=20)
    assert await house.payable(lot.maker) == 38_000 + 16_000
    await lot.act("send-goods", made=20)
    await lot.supply("receive-goods")
    await decided(lot, 12, rejected=8)
    await lot.until("decided")
    assert (await shop.units()) == {"running": 8, "accepted": 92}
    await lot.act("accept-decision")
    await lot.ended(
        "settled",
        deposited(100),
        wages(80),
        deposit_back(80),
        wages(12),
        deposit_back(12),
        deposit_kept(8),
    )
    assert lot.materials() == {"store": -200, "used": 184, "rejected": 16}
    assert await house.payable(lot.maker) == 43_700 + 18_400
    assert await house.payable(shop.requester) == 1_600
    # Nothing is left to be claimed: the order ends with its last lot.
    await shop.ended("completed", funded(), returned(4_000))
    assert await shop.units() == {"accepted": 92, "rejected": 8}
    assert (await lot.timeline()) == [
        "claimed by maker",
        "deposit_paid by provider",
        "kit_sent by requester",
        "kit_received by maker",
        "goods_sent by maker",
        "goods_received by inspector",
        "full_look by inspector",
        "inspected by inspector",
        "goods_sent by maker",
        "goods_received by inspector",
        "full_look by inspector",
        "inspected by inspector",
        "appeal_waived by maker",
    ]


async def test_two_makers_at_the_last_units_and_what_a_claim_can_be_refused_for(
    house: House,
) -> None:
    shop = await Workshop.published(house, units=10, lot_most=8, lots_at_once=1, deposit=0)
    first, second = people(2)[1]
    answers = await asyncio.gather(shop.try_claim(first, 8), shop.try_claim(second, 8))
    assert sorted(answer.status_code for answer in answers) == [201, 409]
    refused = next(answer for answer in answers if answer.status_code == 409)
    assert_problem(refused, 409, "out_of_stock")
    winner = first if answers[0].status_code == 201 else second
    assert_problem(await shop.try_claim(winner, 2), 409, "limit_reached")
    assert_problem(await shop.try_claim(shop.requester, 2), 403, "self_dealing")
    assert await shop.units() == {"open": 2, "running": 8}
    await shop.act("stop")
    assert_problem(await shop.try_claim(people()[1][0], 2), 409, "wrong_phase")
    assert await shop.units() == {"open": 2, "running": 8}


async def test_without_materials_the_work_begins_at_once_and_unmade_units_are_claimed_again(
    house: House,
) -> None:
    shop = await Workshop.published(house, units=10, lot_most=10, materials=[], deposit=0)
    lot = await shop.claim(units=10)
    assert lot.lot["phase"] == "making"
    await lot.act("send-goods", made=6)
    await lot.supply("receive-goods")
    await decided(lot, 6)
    await lot.ended("settled", wages(6))
    assert await shop.units() == {"open": 4, "accepted": 6}
    other = await shop.claim(units=4)
    await other.act("send-goods", made=4)
    await other.supply("receive-goods")
    await decided(other, 4)
    await other.ended("settled", wages(4))
    done = await shop.ended("completed", funded(10 * RATE))
    assert done["phase"] == "completed"
