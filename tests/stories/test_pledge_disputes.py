"""Banks that decide on a pledge only when its campaign has failed, has given the rest back and its story has ended."""

from __future__ import annotations

import asyncio

from tests.stories.chargebacks import borne, decided, given_back, posted_by_chargebacks, taken
from tests.stories.deliveries import dispute, refunds
from tests.stories.funds import PRICE, Fund, paid_in, sent_back
from tests.stories.house import House
from tests.stories.pledging import backed, rows, sound, stands


async def failed_in_dispute(house: House, amount: int | None = None) -> tuple[Fund, str, str]:
    """A campaign that holds nothing but what a bank has for the moment; the backer, and the provider's name of it."""
    fund = await Fund.live(house, goal=3 * PRICE)
    for backer in (backers := [f"{name}-{fund.id}" for name in ("disputes", "plain")]):
        await backed(fund, backer, method="wallet")
    reference = await dispute(fund, backers[0], amount)
    await fund.close()
    await fund.until("failed")
    await fund.story.result()
    assert fund.states() == ["funded", "refunded"]
    assert (await fund.timeline())[-1] == "given_back by system"
    assert rows(fund, "SELECT closed_at FROM paths WHERE id = %(id)s") == [(None,)]
    return fund, backers[0], reference


async def test_decided_after_the_end(house: House) -> None:
    """Won: the intake sends the money back, once. Lost: escrow pays. Lost in part: the rest is sent back."""
    part = 3_001
    won, lost, partly = await asyncio.gather(
        failed_in_dispute(house), failed_in_dispute(house), failed_in_dispute(house, part)
    )
    for (fund, backer, reference), is_won in ((won, True), (lost, False), (partly, False)):
        await decided(house, reference, won=is_won)
        await stands(fund, backer, "charged_back" if fund is lost[0] else "refunded")
    for fund, back, posted in (
        (won[0], [PRICE, PRICE], [*taken(PRICE), *given_back(PRICE)]),
        (lost[0], [PRICE], [*taken(PRICE), *borne(PRICE, escrow=PRICE)]),
        (partly[0], [PRICE - part, PRICE], [*taken(part), *borne(part, escrow=part)]),
    ):
        found = await fund.ended(
            "failed",
            paid_in(PRICE) * 2,
            *map(sent_back, back),
            fund.postings("chargeback_open", "chargeback_won", "chargeback_lost"),
        )
        assert posted_by_chargebacks(house, fund.campaign) == posted
        assert refunds(fund) == back
        assert found["totals"]["pledges"] == 0
        await sound(fund)
