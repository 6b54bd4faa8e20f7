"""A lot before its materials are sent: sample, deposit, kit, and everybody's ways out of it. The deposit always goes back."""

from __future__ import annotations

from tests.api.client import assert_problem
from tests.stories.house import House
from tests.stories.lots import (
    decided,
    deposit_back,
    deposit_refunded,
    deposited,
    free_of_fee,
    wages,
)
from tests.stories.workshop import (
    ADMIN,
    DAY,
    DEPOSIT,
    RATE,
    Lot,
    Workshop,
    funded,
    people,
    returned,
)
from tests.waiting import eventually

FEE = 700
SAMPLED = {"sample_fee": FEE, "samples": 4, "units": 40, "lot_most": 10, "lots_at_once": 3}
UNITS = 10


async def shown(shop: Workshop, maker: str | None = None) -> Lot:
    """A lot whose maker has shown a sample."""
    lot = await shop.claim(maker, units=UNITS)
    assert lot.lot["phase"] == "sample"
    await lot.show_sample()
    return lot


async def test_samples_are_paid_whatever_comes_of_them(house: House) -> None:
    shop = await Workshop.published(house, **SAMPLED)
    approved = await shown(shop)
    await approved.supply("approve-sample")
    assert approved.lot["phase"] == "kit_reserved"
    refused = await shown(shop)
    await refused.supply("refuse-sample", note="Too loose")
    await refused.ended("lapsed", free_of_fee(FEE))
    unseen = await shown(shop)
    await unseen.let_pass(3 * DAY + 1)
    await unseen.until("kit_reserved")
    called_off = await shown(shop)
    await called_off.act("call-off", ADMIN, note="A copied pattern")
    await called_off.ended("cancelled", free_of_fee(FEE))
    assert await house.payable(refused.maker) == await house.payable(unseen.maker) == FEE
    late = await shop.try_claim(people()[1][0], UNITS)
    assert (late.status_code, late.json()["code"]) == (409, "out_of_stock"), "no fee is left"

    await approved.pay_deposit()
    await approved.act("withdraw")
    await approved.ended("lapsed", free_of_fee(FEE), deposited(UNITS), deposit_refunded(UNITS))
    again = await shop.claim(approved.maker, UNITS)
    assert again.lot["phase"] == "kit_reserved", "the sample is known"
    await again.act("withdraw")
    await again.ended("lapsed")
    await unseen.leave_unpaid()
    await unseen.ended("lapsed", free_of_fee(FEE))
    assert await shop.units() == {"open": 40}
    await shop.act("stop")
    # Samples were paid by the lots, as wages are: the order's own journal has the rest.
    await shop.ended("completed", funded(40 * RATE + 4 * FEE), returned(40 * RATE))


async def test_a_maker_is_paid_for_one_sample_of_an_order(house: House) -> None:
    shop = await Workshop.published(house, **SAMPLED)
    first = await shop.claim(units=UNITS)
    maker = first.maker

    async def refuses(words: str) -> None:
        problem = assert_problem(await shop.try_claim(maker, UNITS), 409, "limit_reached")
        assert problem["accepted"] == words

    await refuses("one sample at a time; more lots once it is approved")
    await first.show_sample()
    await refuses("one sample at a time; more lots once it is approved")
    await first.supply("refuse-sample", note="Too loose")
    await first.ended("lapsed", free_of_fee(FEE))
    await refuses("lots of other orders")
    assert (await shop.units(), (await shop.now())["samples_left"]) == ({"open": 40}, 3)
    assert await house.payable(maker) == FEE

    # Others still show theirs; who is approved takes on as many lots as the order allows, without another sample.
    other = await shown(shop)
    await other.supply("approve-sample")
    for _ in range(2):
        assert (await shop.claim(other.maker, UNITS)).lot["phase"] == "kit_reserved"
    # A lot that somebody steps back from before any sample was shown counts for nothing.
    sorry = await shop.claim(units=UNITS)
    await sorry.act("withdraw")
    await sorry.ended("lapsed")
    assert (await shop.claim(sorry.maker, UNITS)).lot["phase"] == "sample"


async def test_a_sample_that_is_never_shown_costs_nothing(house: House) -> None:
    shop = await Workshop.published(house, **{**SAMPLED, "samples": 1})
    late = await shop.claim(units=UNITS)
    await late.let_pass(7 * DAY + 1)
    await late.ended("lapsed")
    sorry = await shop.claim(units=UNITS)
    await sorry.act("withdraw")
    await sorry.ended("lapsed")
    ended = await shop.claim(units=UNITS)
    await ended.act("call-off", ADMIN, note="Asked for by the maker")
    await ended.ended("cancelled")
    assert await shop.units() == {"open": 40}


async def test_a_kit_that_is_not_sent_or_not_wanted(house: House) -> None:
    shop = await Workshop.published(house, units=40, lot_most=10)
    paid = deposited(UNITS), deposit_refunded(UNITS)
    forgotten = await shop.claim(units=UNITS)
    await forgotten.pay_deposit()
    due = (await forgotten.deadlines())["kit"]
    assert [f"{each['side']} {each['account'].split(':')[0]}" for each in due["postings"]] == [
        "debit deposit",
        "credit refund_due",
    ]
    await forgotten.let_pass(3 * DAY + 1)
    await forgotten.ended("cancelled", *paid)
    stopped = await shop.claim(units=UNITS)
    await stopped.act("call-off", ADMIN, note="A copied pattern")
    await stopped.ended("cancelled")
    ready = await shop.claim(units=UNITS)
    await ready.pay_deposit()
    await ready.act("call-off", ADMIN, note="A copied pattern")
    await ready.ended("cancelled", *paid)
    assert await shop.units() == {"open": 40}
    assert forgotten.materials() == ready.materials() == {}
    assert await house.payable(forgotten.maker) == 0


async def test_a_deposit_that_is_not_paid_ends_an_order_that_waits_for_nothing_else(
    house: House,
) -> None:
    shop = await Workshop.published(house, units=UNITS, lot_most=UNITS)
    lot = await shop.claim(units=UNITS)
    await shop.act("stop")
    await shop.until("closing")
    await lot.leave_unpaid()
    await lot.ended("lapsed")
    await shop.ended("completed", funded(UNITS * RATE), returned(UNITS * RATE))


async def test_an_operator_who_cancels_the_workflow_calls_the_lot_off(house: House) -> None:
    shop = await Workshop.published(house, units=UNITS, lot_most=UNITS)
    lot = await shop.claim(units=UNITS)
    await lot.pay_deposit()
    await house.workflow(lot.story).cancel()
    await lot.ended("cancelled", deposited(UNITS), deposit_refunded(UNITS))
    assert (await lot.timeline())[-1] == "refund_arrived by provider"
    assert "called_off by operator" in await lot.timeline()


async def test_a_lost_kit_is_sent_again_at_the_senders_risk(house: House) -> None:
    shop = await Workshop.published(house, units=UNITS, lot_most=UNITS)
    lot = await shop.claim(units=UNITS)
    await lot.pay_deposit()
    await lot.supply("send-kit")
    await lot.let_pass(10 * DAY + 1)
    await lot.until("kit_paid")
    assert lot.materials() == {"store": -2 * UNITS, "lost": 2 * UNITS}
    await lot.supply("send-kit")
    await lot.act("receive-kit")
    due = (await lot.deadlines())["abandonment"]
    assert due["postings"][0]["amount"]["amount"] == UNITS * DEPOSIT
    await lot.act("send-goods", made=UNITS)
    await lot.supply("receive-goods")
    await decided(lot, UNITS)
    await lot.ended("settled", deposited(UNITS), wages(UNITS), deposit_back(UNITS))
    assert lot.materials() == {"store": -4 * UNITS, "lost": 2 * UNITS, "used": 2 * UNITS}

    async def course() -> bool:
        return bool((await lot.now())["course"]["kits_lost"] == 1)

    assert await eventually(course)
