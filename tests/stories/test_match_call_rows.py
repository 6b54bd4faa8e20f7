"""Rows of the match call's table that no longer story passes through, each to its end with all accounts at 0."""

from __future__ import annotations

import pytest

from tests.stories.chargebacks import decided
from tests.stories.house import House
from tests.stories.jobs import paid_in, sent_back
from tests.stories.sponsors import BUDGET, DAY, Call, used
from tests.stories.test_match_call_chargeback import disputed, lost, taken_back
from tests.stories.test_match_call_spendings import ask, paid_to
from tests.waiting import eventually

PAID = paid_in("match:call", BUDGET)


async def test_spendings_lapse_while_it_is_open_and_are_decided_after_it(house: House) -> None:
    draft = await Call.drafted(house)
    names = [draft.somebody("approver") for _ in range(3)]
    ids = [await draft.who(name) for name in names]
    call = await Call.opened(house, approvers=ids, approvals_needed=2, open_seconds=30 * DAY)
    lin, wu, _ = names
    potter = call.somebody("potter")
    await ask(call, call.sponsor, potter, 1_000)
    await call.let_pass(14 * DAY + 60)

    async def lapsed() -> bool:
        return "spending_lapsed by system" in await call.timeline()

    await eventually(lapsed)
    await call.assert_sums(left=BUDGET)
    refused = await ask(call, call.sponsor, potter, 2_000)
    agreed = await ask(call, call.sponsor, potter, 3_000)
    await call.act("close", call.sponsor)
    await call.act(f"spendings/{refused['id']}/refuse", lin, note="Too dear")
    await call.until("closed")
    await call.assert_sums(reserved=3_000, returned=BUDGET - 3_000)
    for name in (lin, wu):
        await call.act(f"spendings/{agreed['id']}/approve", name)
    await call.ended(
        "ended",
        PAID,
        paid_to(3_000),
        sent_back("match:call", 2_000),
        sent_back("match:call", BUDGET - 5_000),
    )


@pytest.mark.parametrize("part", [1_500, 4_000], ids=["a part", "all"])
async def test_a_bank_takes_what_is_promised_after_the_end(house: House, part: int) -> None:
    call = await Call.opened(house)
    campaign = await call.accepted()
    await call.pledge(campaign, 4_000)
    await call.act("close", call.sponsor)
    await call.until("closed")
    await call.assert_sums(reserved=4_000, returned=BUDGET - 4_000)
    await decided(house, await taken_back(call, part), won=False)
    if part < 4_000:
        await call.until("closed")
        await call.assert_sums(reserved=4_000 - part, returned=BUDGET - 4_000, lost=part)
        await call.succeed(campaign)
    await call.ended(
        "ended",
        PAID,
        sent_back("match:call", BUDGET - 4_000),
        disputed(part),
        lost(part, match=part),
        used(4_000 - part),
    )
    assert "charged_back by provider" in await call.timeline()
