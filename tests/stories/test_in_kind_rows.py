"""Rows of the table of help in kind that no longer story passes through, each to its end with all accounts at 0."""

from __future__ import annotations

import asyncio

from tests.stories.chargebacks import decided
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
from tests.stories.test_in_kind_chargeback import borne, disputed, paid_by, until_paused

LATER = DUE_DAYS + 5
PART = 1_001


async def lost(aid: Aid) -> list[str]:
    """The borrower's bank keeps a part of the deposit, and the story goes on; what that posts."""
    dispute = await disputed(aid, await paid_by(aid), PART)
    await decided(aid.house, dispute, won=False)
    await until_paused(aid, False)
    return borne(PART, deposit=PART)


async def test_put_off_at_any_time_before_it_is_back(house: House) -> None:
    free = await Aid.matched(house, deposit=None)
    held = await Aid.matched(house)
    for aid, phase in ((free, "matched"), (held, "deposit")):
        found = await aid.act("extend", aid.supporter, due_at=in_days(LATER))
        assert (found["phase"], found["due_at"] > aid.offer["due_at"]) == (phase, True)
    await held.pay_deposit()
    found = await held.act("extend", held.supporter, due_at=in_days(LATER + 1))
    assert found["phase"] == "ready"
    for aid in (free, held):
        await aid.act("hand-over", aid.supporter)
        found = await aid.act("extend", aid.supporter, due_at=in_days(LATER + 2))
        assert found["phase"] == "lent"
    # A lender gives up a claim that the borrower has not answered yet.
    await held.claim(DEPOSIT)
    for aid in (free, held):
        await aid.act("return", aid.supporter)
    await free.ended("returned")
    await held.ended("returned", PAID, BACK)


async def test_a_bank_takes_a_part_while_it_is_sent_back_and_while_operators_rule(
    house: House,
) -> None:
    aid = await Aid.lent(house)
    await aid.act("send-back", aid.picked)
    posted = await lost(aid)
    await aid.claim(4_000)
    await aid.act("answer-claim", aid.picked, agree=False)
    posted += await lost(aid)
    left = DEPOSIT - 2 * PART
    assert (await aid.now())["agreement"]["held"]["amount"] == left
    await aid.act("rule", ADMIN, lender_amount=3_000, note="A part of it")
    await aid.ended("returned", PAID, posted, given_to_lender(3_000), given_back(left - 3_000))
    assert "charged_back by provider" in await aid.timeline()


async def test_what_has_not_come_back(house: House) -> None:
    """It comes after all, or is paid for: by agreement, by the operators' word, or by half of the claim."""
    back, agreed, ruled, silent = await asyncio.gather(*(Aid.overdue(house) for _ in range(4)))
    await back.act("return", back.supporter)
    posted = await lost(agreed)
    for aid in (agreed, ruled, silent):
        await aid.claim(4_000, is_back=False, note="It has not come back")
    await agreed.act("answer-claim", agreed.picked, agree=True)
    for aid in (ruled, silent):
        await aid.act("answer-claim", aid.picked, agree=False)
    await ruled.act("rule", ADMIN, lender_amount=DEPOSIT, note="The river took it")
    await silent.let_pass(14 * DAY + 1)
    left = DEPOSIT - PART
    await back.ended("returned", PAID, BACK)
    await agreed.ended("failed", PAID, posted, given_to_lender(4_000), given_back(left - 4_000))
    await ruled.ended("failed", PAID, given_to_lender(DEPOSIT))
    await silent.ended("failed", PAID, given_to_lender(2_000), given_back(DEPOSIT - 2_000))
