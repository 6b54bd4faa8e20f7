"""Runs under trouble: two at once, stopped in the middle, without a provider; and never faster than allowed."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from pathlib import Path

from db.provider_limits import reserve
from domain.campaign import Phase
from domain.campaign_messages import RunGoal
from tests.api.issuer import Issuer
from tests.servers import Databases
from tests.stories.house import House
from tests.stories.money import needs_operator, unheard
from tests.stories.parts import house_of_parts
from tests.stories.runs import M, Round, S, history_length
from tests.waiting import eventually

A_PART_OF_A_SECOND = 5
"""Calls that one worker makes at once at 25 a second."""


async def test_two_runs_of_the_same_pledges_keep_to_one_rate(house: House) -> None:
    """As after a heartbeat that was lost: everything is sent once, and no faster than by one alone."""
    async with unheard(house):
        round_ = await Round.of(house, Phase.FAILED, {(S.FUNDED, M.WALLET): 60})
        runs = [await round_.start(RunGoal.GIVE_BACK) for _ in range(2)]
        await asyncio.gather(*(run.result() for run in runs))
        assert round_.states() == {S.REFUNDED: 60}
        round_.assert_sent_once()
        await round_.assert_books(0)
        moments = sorted(
            datetime.fromisoformat(moment)
            for (moment,) in round_.at_provider("refunds", "created_at")
        )
        within = [
            sum(first <= each < first + timedelta(seconds=1) for each in moments)
            for first in moments
        ]
        assert max(within) <= 25 + 2 * A_PART_OF_A_SECOND
        assert all([await history_length(run) <= 20 for run in runs])


async def test_stopped_in_the_middle(
    dev_server: str, postgres_server: Databases, issuer: Issuer, tmp_path: Path
) -> None:
    """The worker stops while money is on its way in both directions, and another goes on: everything happens once."""
    with postgres_server.fresh() as url:
        async with house_of_parts(
            dev_server, url, issuer, tmp_path, provider_rate_per_second=40
        ) as parts:
            house = parts.house
            charged = await Round.of(
                house, Phase.COLLECTING, {(S.SAVED, M.CARD): 120, (S.FUNDED, M.WALLET): 5}
            )
            sent = await Round.of(
                house, Phase.STOPPED, {(S.FUNDED, M.WALLET): 100, (S.COLLECTED, M.CARD): 20}
            )
            runs = [await charged.start(RunGoal.COLLECT)]
            runs += [await sent.start(RunGoal.GIVE_BACK, shard=each, shards=2) for each in (0, 1)]
            await eventually(lambda: len(charged.at_provider("payments", "id")) >= 10)
            await eventually(lambda: len(sent.at_provider("refunds", "id")) >= 10)
            await parts.worker.stop()
            assert charged.states()[S.COLLECTED] < 120
            assert sent.states()[S.REFUNDED] < 120
            await parts.worker.start()

            assert [(await run.result()).left for run in runs] == [0, 0, 0]

            assert charged.states() == {S.COLLECTED: 120, S.FUNDED: 5}
            await charged.assert_books(sum(one.amount for one in charged.crowd.ones))
            assert len(charged.at_provider("payments", "id")) == 125
            assert sent.states() == {S.REFUNDED: 120}
            sent.assert_sent_once()
            await sent.assert_books(0)


async def test_a_provider_that_is_down_for_a_while(
    dev_server: str, postgres_server: Databases, issuer: Issuer, tmp_path: Path
) -> None:
    """The run comes by again until everybody has an answer, and calls operators when it takes long."""
    with postgres_server.fresh() as url:
        async with house_of_parts(
            dev_server, url, issuer, tmp_path, provider_rate_per_second=0
        ) as parts:
            house = parts.house
            round_ = await Round.of(house, Phase.COLLECTING, {(S.SAVED, M.CARD): 40})
            await parts.sandbox.stop()
            run = await round_.start(RunGoal.COLLECT, silence_seconds=2)
            await eventually(lambda: round_.states()[S.CHARGING] == 40)
            await eventually(lambda: needs_operator(house, run.id), within_seconds=30)
            await parts.sandbox.start()
            done = await run.result()
            assert (done.done, done.failed, done.left) == (40, 0, 0)
            assert await needs_operator(house, run.id) is False
            assert len(round_.at_provider("payments", "id")) == 40
            await round_.assert_books(sum(one.amount for one in round_.crowd.ones))


async def test_bookings_of_a_rate_follow_each_other(house: House) -> None:
    """By the database's clock, for everybody together; a pause saves nothing up, and 0 is no limit."""

    async def wait(calls: int, per_second: int = 10, endpoint: str = "tests") -> float:
        async with house.database.transaction() as session:
            return await reserve(session, "sandbox", endpoint, calls, per_second)

    assert await wait(1_000, per_second=0) == 0
    assert await wait(20) == 0
    assert 1.5 < await wait(10) <= 2
    assert 2.5 < await wait(10) <= 3
    assert await wait(10, endpoint="others") == 0
    house.sql("UPDATE provider_limits SET next_at = now() - interval '1 hour'")
    assert await wait(10) == 0
    assert 0.5 < await wait(10) <= 1
