"""Loans that come back late, damaged or never: claims on the deposit, and everybody's silence."""

from __future__ import annotations

import pytest

from tests.api.client import assert_problem
from tests.stories.house import House
from tests.stories.in_kind import (
    ADMIN,
    BACK,
    DAY,
    DEPOSIT,
    DUE_DAYS,
    PAID,
    Aid,
    given_back,
    given_to_lender,
    in_days,
)
from tests.stories.test_frozen import balances
from tests.stories.test_in_kind_offer import freeze, may_see, upload


async def test_a_claim_nobody_answers_stands(house: House) -> None:
    aid = await Aid.overdue(house)
    await aid.claim(DEPOSIT, is_back=False, note="It has not come back")
    promised = await aid.promised("claim_answer")
    await aid.let_pass(5 * DAY + 1)
    done = await aid.ended("failed", PAID, given_to_lender(DEPOSIT))
    assert aid.decided() == promised
    assert done["agreement"]["released"]["amount"] == DEPOSIT
    assert await house.payable(aid.supporter) == DEPOSIT, "without a fee"
    assert {"overdue by system", "claim_lapsed by system"} <= set(await aid.timeline())


async def test_a_silent_lender_of_an_overdue_loan_has_it_back(house: House) -> None:
    aid = await Aid.overdue(house)
    promised = await aid.promised("lender_silence")
    await aid.let_pass(30 * DAY + 1)
    await aid.ended("returned", PAID, BACK)
    assert aid.decided() == promised


async def test_a_damage_the_borrower_agrees_with(house: House) -> None:
    aid = await Aid.lent(house)
    shown = await upload(house, aid.supporter)
    await aid.act("send-back", aid.picked)
    await aid.claim(4_000, file_ids=[shown])
    assert await may_see(house, aid.picked, shown)
    seen = (await aid.now(aid.picked))["agreement"]
    assert (seen["claimed"]["amount"], seen["is_back"], seen["held"]["amount"]) == (
        4_000,
        True,
        DEPOSIT,
    )
    done = await aid.act("answer-claim", aid.picked, agree=True)
    assert done["phase"] == "returned"
    await aid.ended("returned", PAID, given_to_lender(4_000), given_back(DEPOSIT - 4_000))


@pytest.mark.parametrize("share", [0, 5_000, DEPOSIT], ids=["nothing", "a part", "all"])
async def test_operators_rule_on_a_contested_claim(house: House, share: int) -> None:
    aid = await Aid.lent(house)
    await aid.claim(4_000)
    await aid.act("answer-claim", aid.picked, agree=False, note="It was broken before")
    for body in ({"lender_amount": DEPOSIT + 1}, {"received": True}, {"lender_amount": -1}):
        answer = await aid.try_to("rule", ADMIN, note="So be it", **body)
        assert answer.status_code == 422, answer.text
        assert answer.json()["field"] == "lender_amount"
    await aid.act("rule", ADMIN, lender_amount=share, note="The pictures show it")
    await aid.ended("returned", PAID, given_to_lender(share), given_back(DEPOSIT - share))
    assert await house.payable(aid.supporter) == share


async def test_silent_operators_give_each_half_of_the_claim(house: House) -> None:
    aid = await Aid.lent(house)
    await aid.claim(4_001)
    await aid.act("answer-claim", aid.picked, agree=False)
    promised = await aid.promised("ruling")
    await aid.let_pass(14 * DAY + 1)
    await aid.ended("returned", PAID, given_to_lender(2_001), given_back(DEPOSIT - 2_001))
    assert aid.decided() == promised


async def test_a_lender_can_give_a_claim_up(house: House) -> None:
    aid = await Aid.lent(house)
    await aid.claim(DEPOSIT)
    await aid.act("answer-claim", aid.picked, agree=False)
    await aid.act("return", aid.supporter, note="It can be mended")
    done = await aid.ended("returned", PAID, BACK)
    assert done["agreement"]["released"]["amount"] == 0


async def test_claims_nobody_can_have_are_refused_without_effect(house: House) -> None:
    aid = await Aid.lent(house)
    yen = {"amount": 1, "currency": "JPY"}
    before = len((await house.workflow(aid.story).fetch_history()).events)
    for change, code, field in (
        ({"amount": {"amount": DEPOSIT + 1}}, "amount_out_of_range", "amount"),
        ({"amount": yen}, "currency_mismatch", "amount.currency"),
        ({"amount": {"amount": 0}}, "invalid_input", "amount.amount"),
        ({"is_back": False}, "invalid_input", "is_back"),
        ({"note": ""}, "invalid_input", "note"),
        ({"file_ids": [aid.id.replace("ink_", "fil_")]}, "unknown_file", "file_ids[0]"),
    ):
        body = {"amount": {"amount": 1}, "note": "Why", **change}
        answer = await aid.try_to("claim", aid.supporter, **body)
        assert assert_problem(answer, 422, code)["field"] == field, change
    assert "claimed by initiator" not in await aid.timeline()
    assert len((await house.workflow(aid.story).fetch_history()).events) == before
    await aid.act("return", aid.supporter)
    await aid.ended("returned", PAID, BACK)

    free = await Aid.lent(house, deposit=None)
    answer = await free.try_to("claim", free.supporter, amount={"amount": 1}, note="Why")
    assert assert_problem(answer, 422, "amount_out_of_range")["field"] == "amount"
    await free.act("return", free.supporter)
    await free.ended("returned")


async def test_an_overdue_loan_is_put_off_and_comes_back(house: House) -> None:
    aid = await Aid.overdue(house)
    for due_at in (in_days(DUE_DAYS), in_days(10)):
        answer = await aid.try_to("extend", aid.supporter, due_at=due_at)
        assert assert_problem(answer, 422, "invalid_input")["field"] == "due_at"
    # The provider holds the deposit for 180 days from the payment.
    late = await aid.try_to("extend", aid.supporter, due_at=in_days(118))
    assert_problem(late, 422, "hold_too_long")
    put_off = await aid.act("extend", aid.supporter, due_at=in_days(60))
    assert (put_off["phase"], put_off["due_at"] > aid.offer["due_at"]) == ("lent", True)
    assert set(await aid.deadlines()) == {"due", "overdue"}
    await aid.let_pass(20 * DAY)
    assert (await aid.until("lent"))["phase"] == "lent", "it is not overdue any more"
    await aid.act("return", aid.supporter)
    await aid.ended("returned", PAID, BACK)
    assert "extended by initiator" in await aid.timeline()


async def test_a_loan_that_is_written_off_costs_the_borrower_nothing(house: House) -> None:
    aid = await Aid.overdue(house)
    await aid.act("write-off", aid.supporter, note="The river took it")
    done = await aid.ended("failed", PAID, BACK)
    assert done["agreement"]["end_reason"] == "written_off"


async def test_a_frozen_lenders_part_is_held(house: House) -> None:
    aid = await Aid.lent(house)
    await aid.claim(4_000)
    await freeze(house, aid.supporter)
    await aid.act("answer-claim", aid.picked, agree=True)
    held = [line.replace("credit payable", "credit held") for line in given_to_lender(4_000)]
    await aid.ended("returned", PAID, held, given_back(DEPOSIT - 4_000))
    assert await balances(house, aid.supporter) == (0, 4_000)
    await freeze(house, aid.supporter, "unfreeze")
    assert await balances(house, aid.supporter) == (4_000, 0)
