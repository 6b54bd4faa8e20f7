"""What counts for a campaign is what it would be handed over: lump sums that are due, and money that no bank has."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from sqlalchemy import select

from db import match_rows
from db.engine import Database
from db.match_rows import Matched
from db.tables import Path
from domain.campaign import Phase, after_closing, decided
from domain.match_call import Mode, Offer
from tests.stories.calls import GOAL, Field
from tests.waiting import eventually

pytestmark = pytest.mark.asyncio


@pytest_asyncio.fixture
async def field(ledger_url: str) -> AsyncIterator[Field]:
    """An otherwise empty database; at the end of every test all sums must be those of the rows."""
    database = Database(ledger_url, pool_size=5)
    found = Field(ledger_url, database)
    try:
        yield found
        found.assert_adds_up()
    finally:
        await database.aclose()


async def test_a_lump_sum_that_is_not_due_any_more_counts_for_nothing(field: Field) -> None:
    """Otherwise a campaign could reach its goal with money that it never gets."""
    campaign = field.campaign()
    half = GOAL // 2
    by_share = field.call(
        Offer(mode=Mode.LUMP, lump=half, at_goal_basis_points=5_000), budget=2 * half
    )
    by_people = field.call(Offer(mode=Mode.LUMP, lump=700, at_backers=2), budget=2_000)
    field.accept(by_share, campaign)
    field.accept(by_people, campaign)
    _, reserved = await field.pledge(campaign, half - 100)
    assert reserved == 0
    withdrawn, reserved = await field.pledge(campaign, 100, pledged=half - 100)
    assert reserved == half + 700
    count = await field.count(campaign)
    assert (count.pledged, count.matched, count.slow) == (half, half + 700, 0)
    terms = field.terms(campaign)
    assert after_closing(terms, 1, count) is Phase.SUCCESSFUL
    await field.free(withdrawn)
    count = await field.count(campaign)
    assert (count.pledged, count.matched, count.slow) == (half - 100, 0, 0)
    assert after_closing(terms, 1, count) is Phase.FAILED
    assert await field.matched(campaign) == half + 700  # reserved until it is decided
    # A transfer that is under way would make both due again: they come with it, or not at all.
    field.set_state("initiated", withdrawn)
    with field.sql() as connection:
        connection.execute(
            "UPDATE pledges SET method = 'bank' WHERE id = %s", [withdrawn.pledge_id]
        )
    count = await field.count(campaign)
    assert (count.matched, count.slow) == (0, 100 + half + 700)
    assert after_closing(terms, 1, count) is Phase.WAITING_FUNDS
    assert await field.use(campaign) == ()
    assert (await field.budget(by_share)).reserved == (await field.budget(by_people)).reserved == 0


async def test_money_that_a_bank_has_counts_for_nothing_and_waits(field: Field) -> None:
    """Given back it is handed over once; a pledge that was lost meanwhile brings nothing more."""
    campaign, other, failed = field.campaign(), field.campaign(), field.campaign()
    call, sound = field.call(budget=1_000), field.call(budget=1_000)
    for each in (campaign, other, failed):
        field.accept(call, each)
    field.accept(sound, campaign)
    await field.pledge(campaign, 400)
    gone, _ = await field.pledge(campaign, 100)
    dropped, _ = await field.pledge(campaign, 50)
    await field.pledge(other, 300)
    await field.pledge(failed, 50)
    field.take_back(call, 500)
    field.set_state("dropped", dropped)
    count = await field.count(campaign)
    assert (count.paid, count.matched) == (500, 500)
    terms = field.terms(campaign, goal=900)
    assert decided(terms, count) is Phase.SUCCESSFUL
    assert decided(terms, count.model_copy(update={"matched": 0})) is Phase.FAILED
    used = (Matched(call_id=sound, amount=500, currency="CNY"),)
    assert await field.use(campaign) == used
    field.succeeded(campaign, *used)
    assert await field.matched(campaign) == 500
    assert await field.use(campaign) == ()
    assert await field.fail(failed) == 50
    assert await field.free(gone, state="charged_back") == 100
    budget = await field.budget(call)
    assert (budget.reserved, budget.used, budget.left) == (700, 0, 300)
    field.give_back_all(call)
    assert await field.use(campaign) == (Matched(call_id=call, amount=400, currency="CNY"),)
    assert await field.use(campaign) == ()
    assert await field.matched(campaign) == 900


async def test_a_pause_that_cannot_touch_a_promise_stops_nothing(field: Field) -> None:
    """What the bank has taken is promised to nobody: whatever it decides, all promises can be kept."""
    campaign = field.campaign()
    call = field.call(budget=1_000)
    field.accept(call, campaign)
    await field.pledge(campaign, 600)
    field.take_back(call, 400)
    assert (await field.count(campaign)).matched == 600
    assert await field.use(campaign) == (Matched(call_id=call, amount=600, currency="CNY"),)


async def test_whoever_comes_first_locks_all_calls(field: Field) -> None:
    """A batch frees one pledge after the other, of different calls, while another campaign's pledge wants both calls."""
    campaign, other = field.campaign(), field.campaign()
    first, second = sorted(field.call() for _ in range(2))
    field.accept(second, campaign, other)
    early, _ = await field.pledge(campaign, 100)
    field.accept(first, campaign, other)
    later, _ = await field.pledge(campaign, 100)
    wants_both = field.pledge_row(other, 100)
    async with asyncio.timeout(20), field.database.transaction() as session:
        await session.scalar(select(Path).where(Path.id == campaign).with_for_update(read=True))
        assert await match_rows.free_pledges(session, [early.pledge_id]) == 100
        waiting = asyncio.create_task(field.reserve(wants_both))
        await eventually(lambda: field.waits_for_a_lock())
        assert await match_rows.free_pledges(session, [later.pledge_id]) == 200
    assert await waiting == 200
