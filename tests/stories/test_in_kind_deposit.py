"""The time between the choice and the handing over: deposits that come or do not, and people who step back."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import datetime

import httpx
import pytest
from temporalio.service import RPCError

from tests.api.client import assert_problem
from tests.stories.house import House
from tests.stories.in_kind import (
    BACK,
    DAY,
    DEPOSIT,
    PAID,
    Aid,
    people,
)
from tests.stories.jobs import lines
from tests.waiting import eventually


async def test_a_deposit_that_is_not_paid_offers_the_loan_to_others_again(house: House) -> None:
    aid = await Aid.matched(house, askers=2)
    first, second = aid.asks
    assert set(await aid.deadlines()) == {"deposit"}
    await aid.leave_unpaid()
    again = await aid.until("offered")
    assert (again["agreement"]["asker_id"], again["offer_ends_at"]) == (
        None,
        aid.offer["offer_ends_at"],
    )
    assert [each["status"] for each in await aid.seen_asks(first)] == ["passed"]
    await aid.ask(first)
    await aid.pick(second)
    await aid.pay_deposit()
    await aid.act("hand-over", aid.supporter)
    await aid.act("return", aid.supporter)
    await aid.ended("returned", PAID, BACK)
    assert (await aid.timeline())[:3] == [
        "published by initiator",
        "picked by initiator",
        "deposit_unpaid by system",
    ]


async def test_offered_again_for_at_least_seven_days(house: House) -> None:
    aid = await Aid.asked(house, "material")
    await aid.let_pass(29 * DAY)
    [asker] = aid.asks
    await aid.pick(asker)
    again = await aid.act("call-off", asker)
    first_end, second_end = (
        datetime.fromisoformat(each["offer_ends_at"]) for each in (aid.offer, again)
    )
    assert 5 <= (second_end - first_end).days <= 6
    await aid.let_pass(7 * DAY + 60)
    await aid.ended("expired")


@pytest.mark.parametrize("by", ["asker", "supporter"])
async def test_called_off_before_the_deposit_is_paid(house: House, by: str) -> None:
    aid = await Aid.matched(house)
    payment = await aid.payment()
    caller = aid.picked if by == "asker" else aid.supporter
    await aid.act("call-off", caller, offer_again=False)
    # Only the supporter can take the offer back with it.
    await aid.until("offered" if by == "asker" else "withdrawn")
    await house.workflow(f"payment-{payment['id']}").result()
    answer = await house.pay({"payment": payment})
    assert answer.status_code != 200, "nobody waits for the deposit any more"
    if by == "asker":
        await aid.act("withdraw", aid.supporter)
    await aid.ended("withdrawn")


async def test_a_deposit_that_comes_too_late_goes_back_at_once(house: House) -> None:
    aid = await Aid.matched(house)
    payment = await aid.payment()
    await house.misbehave("payment", "late_capture", subject=payment["id"])
    await aid.leave_unpaid()
    await aid.until("offered")
    # Picked once more, the same borrower owes the deposit anew: the late one does not count for it.
    await aid.ask(aid.picked)
    await aid.pick(aid.picked)
    assert (await house.pay({"payment": payment})).status_code == 200

    async def returned() -> bool:
        return "late_payment_returned by provider" in await aid.timeline()

    await eventually(returned)
    assert (await aid.now())["phase"] == "deposit"
    await aid.pay_deposit()
    await aid.act("call-off", aid.supporter, offer_again=False)
    await aid.ended("withdrawn", PAID, BACK, PAID, BACK)


async def test_stepping_back_with_the_deposit_paid_gives_all_of_it_back(house: House) -> None:
    aid = await Aid.ready(house)
    promised = await aid.promised("hand_over")
    await aid.act("call-off", aid.supporter, note="It needs a repair first")
    await aid.until("offered")
    assert aid.decided() == promised
    await aid.ask(aid.picked)
    await aid.pick(aid.picked)
    await aid.pay_deposit()
    await aid.act("call-off", aid.picked)
    await aid.until("offered")
    await aid.act("withdraw", aid.supporter)
    await aid.ended("withdrawn", PAID, BACK, PAID, BACK)


async def test_a_silent_supporter_loses_the_asker_and_the_deposit_goes_back(
    house: House,
) -> None:
    loan, clay = await Aid.ready(house), await Aid.matched(house, "material")
    promised = await loan.promised("hand_over")
    for aid in (loan, clay):
        await aid.let_pass(14 * DAY + 1)
    await loan.ended("cancelled", PAID, BACK)
    assert loan.decided() == promised
    done = await clay.ended("cancelled")
    assert done["agreement"]["end_reason"] == "hand_over_lapsed"


async def test_operators_cancel_what_was_not_handed_over(house: House) -> None:
    paid, unpaid = await Aid.ready(house), await Aid.matched(house)
    offered, clay = await Aid.asked(house, "task"), await Aid.matched(house, "material")
    payment = await unpaid.payment()
    for aid in (paid, unpaid, offered, clay):
        await house.workflow(aid.story).cancel()
    await paid.ended("cancelled", PAID, BACK)
    for aid in (unpaid, offered, clay):
        await aid.ended("cancelled")
        assert (await aid.timeline())[-1] == "cancelled by operator"
    assert (await house.pay({"payment": payment})).status_code != 200


async def test_cancelling_the_workflow_of_what_was_handed_over_changes_nothing(
    house: House,
) -> None:
    aid = await Aid.lent(house)
    await house.workflow(aid.story).cancel()
    await aid.act("send-back", aid.picked)
    await aid.act("return", aid.supporter)
    await aid.ended("returned", PAID, BACK)


async def test_a_borrower_who_was_never_shown_where_to_pay_can_pay_later(house: House) -> None:
    switch = {"operation": "payment", "effect": "unavailable", "times": 1_000}
    switched = (await house.sandbox.post("/v1/behaviours", json=switch)).json()
    aid = await Aid.matched(house)
    [(payment_id,)] = house.sql("SELECT payment_id FROM in_kind_offers WHERE id = %s", aid.id)
    payment = house.workflow(f"payment-{payment_id}")

    async def begun() -> bool:
        # The payment's story begins when the provider has been asked in vain.
        with suppress(RPCError):
            return bool(await payment.describe())
        return False

    await eventually(begun)
    await house.skipper.fast_forward(payment, 3 * DAY + 1)
    await aid.until("offered")
    await house.sandbox.delete(f"/v1/behaviours/{switched['id']}")
    await aid.ask(aid.picked)
    await aid.pick(aid.picked)
    await aid.pay_deposit()
    await aid.act("call-off", aid.supporter, offer_again=False)
    await aid.ended("withdrawn", PAID, BACK)


async def test_a_deposit_the_provider_does_not_send_back_becomes_balance(house: House) -> None:
    aid = await Aid.ready(house)
    payment = await aid.payment()
    [(reference,)] = house.sql("SELECT reference FROM payments WHERE id = %s", payment["id"])
    await house.misbehave("refund", "refund_refused", subject=reference)
    await aid.act("call-off", aid.supporter)

    async def refused() -> str:
        rows = house.sql("SELECT id FROM refunds WHERE path_id = %s AND status = 'refused'", aid.id)
        return str(rows[0][0]) if rows else ""

    refund_id = await eventually(refused)
    # What concerns the former borrower stays when somebody else is picked.
    other = people()[0]
    await aid.ask(other)
    await aid.pick(other)
    assert set(await aid.deadlines()) == {"refund_offer", "deposit"}
    await aid.act("call-off", other)
    await aid.act("withdraw", aid.supporter)
    borrower = next(iter(aid.asks))
    await house.post(f"/v1/refunds/{refund_id}/accept-balance", by=borrower)
    await aid.ended(
        "withdrawn",
        PAID,
        lines(
            ("refund", "debit deposit:borrower", DEPOSIT),
            ("refund", "credit refund_due:ref", DEPOSIT),
            ("refund_to_balance", "debit refund_due:ref", DEPOSIT),
            ("refund_to_balance", "credit payable:borrower", DEPOSIT),
        ),
    )
    assert await house.payable(borrower) == DEPOSIT


async def test_stepping_back_and_handing_over_at_once_does_one_of_them(house: House) -> None:
    aid = await Aid.ready(house)
    answers = await asyncio.gather(
        aid.try_to("hand-over", aid.supporter),
        aid.try_to("call-off", aid.picked),
        aid.try_to("hand-over", aid.supporter),
    )
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409]
    if (await aid.now())["phase"] == "lent":
        await aid.act("return", aid.supporter)
        await aid.ended("returned", PAID, BACK)
    else:
        await aid.act("withdraw", aid.supporter)
        await aid.ended("withdrawn", PAID, BACK)


async def test_a_choice_sent_twice_with_one_key_is_one_choice(house: House) -> None:
    aid = await Aid.asked(house)
    [asker] = aid.asks
    path, body = f"/v1/in-kind/{aid.id}/pick", {"ask_id": aid.asks[asker]["id"]}

    async def send() -> httpx.Response:
        return await house.call("POST", path, by=aid.supporter, key=f"pick-{aid.id}", json=body)

    answers = [*await asyncio.gather(send(), send()), await send()]
    assert {answer.json()["phase"] for answer in answers} == {"deposit"}
    assert house.sql("SELECT count(*) FROM payments WHERE path_id = %s", aid.id) == [(1,)]
    assert_problem(await aid.try_to("withdraw", aid.supporter), 409, "wrong_phase")
    await aid.act("call-off", aid.supporter, offer_again=False)
    await aid.ended("withdrawn")
