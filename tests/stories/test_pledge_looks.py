"""What is found without news or against it: money after the end, settlements, refunds on their way, strange objects."""

from __future__ import annotations

import pytest

from tests.api.issuer import Issuer
from tests.servers import Databases
from tests.stories.deliveries import released
from tests.stories.funds import (
    DAY,
    FINAL_CHARGES,
    FIX,
    PRICE,
    Fund,
    paid_in,
    people,
    sent_back,
    tier,
)
from tests.stories.house import House
from tests.stories.money import at_provider, inbox, provider_moves, rewrite_at_provider
from tests.stories.parts import house_of_parts
from tests.stories.pledging import (
    act,
    backed,
    changed,
    look_again,
    press,
    rows,
    sound,
    stands,
    taken,
    time_is_up,
    wound_up,
)
from tests.stories.test_campaign import decline
from tests.waiting import eventually


def payment_of(fund: Fund, backer: str) -> str:
    """Our name of the payment of the backer's last pledge."""
    query = "SELECT payment_id FROM pledges WHERE id = %s"
    return str(fund.house.sql(query, fund.pledges[backer]["id"])[0][0])


async def test_money_after_the_end_goes_back_and_the_campaign_closes_again(house: House) -> None:
    fund = await Fund.live(house)
    heard, unheard = people(2)[1]
    for name in (heard, unheard):
        made = await fund.pledge(name, method="wallet")
        await time_is_up(fund, made)
        await stands(fund, name, "expired")
        await house.misbehave("payment", "late_capture", subject=payment_of(fund, name))
    await wound_up(fund)
    await house.misbehave("webhook", "drop", subject=payment_of(fund, unheard), times=9)
    for name in (heard, unheard):
        page = fund.pledges[name]["to_do"]["checkout_url"]
        assert (await press(fund, page, "pay")).status_code == 200
    await stands(fund, heard, "refunded")
    await fund.until_closed()
    for age, state in (("23 h", "expired"), ("25 h", "expired"), ("1 day", "refunded")):
        await changed(
            fund,
            f"UPDATE payments SET created_at = now() - interval '{age}' WHERE id = %s",
            payment_of(fund, unheard),
        )
        await look_again(house)
        assert (await fund.pledge_of(unheard))["state"] == state, age
    await fund.until_closed()
    await sound(fund)
    await fund.at_zero()


async def test_money_after_the_completion_goes_back_and_the_campaign_closes_again(
    house: House,
) -> None:
    """Of a pledge whose charge was never mended, and of one that was not paid in time."""
    gift = {"tier": None, "extra": 501}
    fund = await Fund.live(house, kind="donation", goal=500, short_rule="pay_anyway")
    giver, dropped, expired = people(3)[1]
    await backed(fund, giver, method="wallet", **gift)
    await backed(fund, dropped, **gift)
    await decline(house, dropped, fund)
    await time_is_up(fund, await fund.pledge(expired, method="wallet", **gift))
    await stands(fund, expired, "expired")
    await fund.close()
    await stands(fund, dropped, "errored")
    await fund.let_pass(FIX + FINAL_CHARGES)
    await stands(fund, dropped, "dropped")
    await fund.until("successful")
    await fund.let_pass(14 * DAY)
    await fund.until_closed()
    for name in (dropped, expired):
        payment = payment_of(fund, name)
        await house.misbehave("payment", "late_capture", subject=payment)
        [(page,)] = house.sql("SELECT checkout_url FROM payments WHERE id = %s", payment)
        assert (await press(fund, page, "pay")).status_code == 200
        assert (await stands(fund, name, "refunded"))["refunded"]["amount"] == 501
        await fund.until_closed()
    await fund.ended("completed", paid_in(501) * 3, sent_back(501) * 2, released(501))


async def test_what_settles_later_and_comes_back_later(house: House) -> None:
    fund = await Fund.live(house)
    [name] = people(1)[1]
    made = await fund.pledge(name, method="wallet")
    payment = payment_of(fund, name)
    await house.misbehave("payment", "settle_later", subject=payment)
    await fund.press(made)
    await stands(fund, name, "funded")
    assert rows(fund, "SELECT settled_at FROM payments WHERE path_id = %(id)s") == [(None,)]
    await house.misbehave("webhook", "drop", subject=payment, times=9)
    [theirs] = await at_provider(house, "payments", payment)
    await provider_moves(house, "payments", theirs["reference"])
    await changed(
        fund, "UPDATE payments SET captured_at = now() - interval '1 h' WHERE id = %s", payment
    )
    await look_again(house)
    assert rows(fund, "SELECT settled_at IS NULL FROM payments WHERE path_id = %(id)s") == [
        (False,)
    ]
    await house.misbehave("refund", "refund_pending", subject=theirs["reference"])
    await act(fund, name, "cancel")

    async def pending() -> bool:
        return rows(fund, "SELECT status FROM refunds WHERE path_id = %(id)s") == [("pending",)]

    await eventually(pending)
    [(refund,)] = rows(fund, "SELECT id FROM refunds WHERE path_id = %(id)s")
    await house.misbehave("webhook", "drop", subject=refund, times=9)
    [back] = await at_provider(house, "refunds", refund)
    await provider_moves(house, "refunds", back["reference"])
    await changed(
        fund, "UPDATE refunds SET created_at = now() - interval '1 day' WHERE id = %s", refund
    )
    await look_again(house)
    await stands(fund, name, "refunded")
    await sound(fund)
    await wound_up(fund)


async def test_an_object_that_is_not_ours_moves_nothing_and_hinders_nobody(house: House) -> None:
    fund = await Fund.live(house, tiers=[tier(seats=5)])
    strange, plain = people(2)[1]
    made = await fund.pledge(strange, method="wallet")
    payment = payment_of(fund, strange)
    rewrite_at_provider(house, "UPDATE payments SET amount = 1 WHERE subject = ?", payment)
    await fund.press(made)
    await backed(fund, plain, method="wallet")

    async def put_off() -> bool:
        found = house.sql(
            "SELECT status, attempts > 0 FROM webhook_inbox WHERE subject = %s", payment
        )
        return found == [("received", True)]

    await eventually(put_off)
    assert fund.states() == ["initiated", "funded"]
    await sound(fund)
    rewrite_at_provider(house, "UPDATE payments SET amount = ? WHERE subject = ?", PRICE, payment)
    await changed(
        fund, "UPDATE webhook_inbox SET next_attempt_at = now() WHERE subject = %s", payment
    )
    await stands(fund, strange, "funded")
    assert await inbox(house, payment) == [("payment.captured", "consumed")]
    await sound(fund)
    await wound_up(fund)


async def test_a_provider_that_is_silent_for_a_while(house: House) -> None:
    """News waits until it answers, and nobody's seat is given free while a page may be open."""
    fund = await Fund.live(house, tiers=[tier(seats=5)])
    payer, idler = people(2)[1]
    made = await fund.pledge(payer, method="wallet")
    idle = await fund.pledge(idler, method="wallet")
    await house.misbehave("read", "unavailable", times=3)
    await house.misbehave("cancel", "unavailable", times=2)
    await fund.press(made)
    await time_is_up(fund, idle)
    await stands(fund, payer, "funded")
    await stands(fund, idler, "expired")
    assert taken(fund) == 1
    await sound(fund)
    await wound_up(fund)


async def test_the_last_transfer_decides_at_once(house: House) -> None:
    fund = await Fund.live(house, goal=2 * PRICE)
    wallet, paid, unpaid = people(3)[1]
    await backed(fund, wallet, method="wallet")
    for name in (paid, unpaid):
        made = await fund.pledge(name, method="bank")
        assert made["to_do"]["until"] > (await fund.deadlines())["pledging"]["due_at"]
    await fund.close()
    await fund.until("waiting_funds")
    await fund.press(fund.pledges[paid])
    await stands(fund, paid, "funded")
    assert (await fund.now())["phase"] == "waiting_funds"
    await time_is_up(fund, fund.pledges[unpaid])
    await fund.until("successful")
    assert fund.states() == ["collected", "collected", "expired"]
    await sound(fund)


async def test_a_worker_that_stops_hands_the_intake_on(
    dev_server: str,
    postgres_server: Databases,
    issuer: Issuer,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("two")
    with postgres_server.fresh() as url:
        async with house_of_parts(
            dev_server, url, issuer, folder, workers=2, admin_subjects=("admin",)
        ) as parts:
            fund = await Fund.live(parts.house, tiers=[tier(seats=9)])
            for worker in parts.workers:
                [name] = people(1)[1]
                await backed(fund, name, method="wallet")
                await worker.stop()
                [name] = people(1)[1]
                made = await fund.pledge(name)
                await fund.press(made)
                if worker is parts.workers[-1]:
                    assert (await fund.pledge_of(name))["state"] == "initiated"
                    await worker.start()
                await stands(fund, name, "saved")
            assert taken(fund) == 4
            await sound(fund)
            await wound_up(fund)
