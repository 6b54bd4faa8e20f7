"""What a crowd looks at is counted the less often the more it costs, without any I/O."""

from __future__ import annotations

import asyncio

from db.queries.slow_counts import LONGEST_SECONDS, ROWS_A_SECOND, Counted, SlowCounts


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Rows:
    """So many rows, and how often they were counted."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.counted = 0
        self.may_end = asyncio.Event()
        self.may_end.set()

    async def count(self) -> Counted[int]:
        self.counted += 1
        await self.may_end.wait()
        return Counted(self.rows, rows=self.rows)


async def test_few_rows_are_counted_every_time() -> None:
    counts, few = SlowCounts(Clock()), Rows(ROWS_A_SECOND - 1)
    assert await counts.of(("few",), few.count) == few.rows
    few.rows = 7
    assert await counts.of(("few",), few.count) == 7


async def test_many_rows_are_counted_as_often_as_they_cost() -> None:
    clock, many, huge = Clock(), Rows(10 * ROWS_A_SECOND), Rows(10**9)
    counts = SlowCounts(clock)
    assert await counts.of(("many",), many.count) == many.rows
    clock.now = 9.9
    many.rows += 1
    assert await counts.of(("many",), many.count) == many.rows - 1
    clock.now = 10
    assert await counts.of(("many",), many.count) == many.rows
    await counts.of(("huge",), huge.count)
    clock.now += LONGEST_SECONDS
    await counts.of(("huge",), huge.count)
    assert huge.counted == 2


async def test_only_one_waits_while_it_is_counted_anew() -> None:
    clock, many = Clock(), Rows(ROWS_A_SECOND)
    counts = SlowCounts(clock)
    await counts.of(("many",), many.count)
    clock.now = 2
    many.rows += 5
    many.may_end.clear()
    slow = asyncio.create_task(counts.of(("many",), many.count))
    while many.counted == 1:
        await asyncio.sleep(0)
    assert await counts.of(("many",), many.count) == ROWS_A_SECOND
    many.may_end.set()
    assert await slow == ROWS_A_SECOND + 5
