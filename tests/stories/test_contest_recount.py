"""Votes found void after the prize was paid: operators take the award back and it follows the crowd's new order."""

from __future__ import annotations

from tests.stories.contests import funded, released
from tests.stories.house import House
from tests.stories.polls import Poll
from tests.stories.test_contest_vote import decided, handed_over, holder, voided, vote, voting
from tests.waiting import eventually


async def test_a_prize_won_with_bought_votes_is_clawed_back(house: House) -> None:
    show, poll = await voting(house, 2)
    bought = await vote(show, poll, "0", "0")
    await vote(show, poll, "1")
    await decided(show, poll)
    fraud, honest = show.creators
    await handed_over(show, fraud)
    await show.ended("completed")
    await voided(poll, *bought)
    await _counted_anew(poll, show.entries[honest]["id"])
    assert (await show.seen())["phase"] == "completed"
    await show.act(
        "void-award", by="admin", entry_id=show.entries[fraud]["id"], reason="Bought votes"
    )
    assert await holder(show) == show.entries[honest]["id"]
    await show.hand_over(honest)
    await show.act("accept")
    await show.ended("completed")
    assert await show.postings() == [
        *funded(),
        *released("creator1", 90_000, 10_000),
        "clawback: debit payable:creator1 90000",
        "clawback: debit fee:platform 10000",
        "clawback: credit escrow:contest 100000",
        *released("creator2", 90_000, 10_000),
    ]


async def _counted_anew(poll: Poll, winner: str) -> None:
    """Waits until the ballot's tally names this entry first."""

    async def first() -> bool:
        return bool((await poll.tally())["ranking"][0]["option_id"] == winner)

    await eventually(first)
