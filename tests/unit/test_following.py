"""A movement of money is finished whenever the cancellation comes."""

from __future__ import annotations

import asyncio

import pytest

from workflows.following import uninterrupted


async def test_a_cancellation_before_the_end_is_not_heard() -> None:
    money: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def move() -> str:
        return await money

    story = asyncio.ensure_future(uninterrupted(move()))
    await asyncio.sleep(0)
    story.cancel()
    await asyncio.sleep(0)
    assert not story.done()
    money.set_result("moved")
    assert await story == "moved"


@pytest.mark.parametrize("turns", range(6))
async def test_a_cancellation_in_the_moment_of_the_end_loses_nothing(turns: int) -> None:
    money: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def move() -> str:
        return await money

    story = asyncio.ensure_future(uninterrupted(move()))
    for _ in range(3):
        await asyncio.sleep(0)
    money.set_result("moved")
    for _ in range(turns):
        await asyncio.sleep(0)
    story.cancel()
    assert await story == "moved"


async def test_work_that_is_itself_cancelled_is_not_tried_for_ever() -> None:
    async def move() -> str:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await uninterrupted(move())
