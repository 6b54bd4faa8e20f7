"""A crowd of pledges while webhooks are doubled, delayed, mixed up and lost."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from tests.stories.funds import PRICE, Fund, people, tier
from tests.stories.house import House
from tests.stories.pledging import (
    act,
    look_again,
    made_ago,
    rows,
    sound,
    taken,
    wound_up,
)
from tests.waiting import eventually

pytestmark = pytest.mark.crowd

CROWD = 99
AT_ONCE = 24


@asynccontextmanager
async def misbehaving(house: House, *effects: tuple[str, int]) -> AsyncIterator[None]:
    """Webhooks of the payment company meet these effects, each so many in a hundred of them."""
    switched = []
    for effect, percent in effects:
        body = {
            "operation": "webhook",
            "effect": effect,
            "times": 100_000,
            "percent": percent,
            "seconds": 1 if effect == "delay" else 0,
        }
        answer = await house.sandbox.post("/v1/behaviours", json=body)
        switched.append(answer.raise_for_status().json()["id"])
    try:
        yield
    finally:
        for each in switched:
            await house.sandbox.delete(f"/v1/behaviours/{each}")


async def each_of(names: list[str], do: Callable[[str], Awaitable[None]]) -> None:
    """For everybody, some at a time."""
    places = asyncio.Semaphore(AT_ONCE)

    async def one(name: str) -> None:
        async with places:
            await do(name)

    await asyncio.gather(*(one(name) for name in names))


async def test_a_crowd_of_pledges_each_exactly_once(house: House) -> None:
    fund = await Fund.live(house, tiers=[tier(seats=CROWD)], goal=CROWD * PRICE)
    names = people(CROWD)[1]
    method = dict(zip(names, ("card", "wallet", "bank") * (CROWD // 3), strict=True))

    async def back(name: str) -> None:
        await fund.back(name, method=method[name])

    async with misbehaving(house, ("duplicate", 30), ("reorder", 20), ("drop", 10), ("delay", 10)):
        await each_of(names, back)
        await made_ago(fund, 120)

        async def all_stand() -> bool:
            await look_again(house, since_seconds=120)
            found = Counter(fund.states())
            assert found == {"saved": CROWD // 3, "funded": 2 * CROWD // 3}, found
            return True

        await eventually(all_stand, within_seconds=60)
    assert taken(fund) == CROWD
    funded = [line for line in fund.postings("fund") if line.startswith("fund: credit")]
    assert funded == [f"fund: credit escrow:campaign {PRICE}"] * (2 * CROWD // 3)
    await sound(fund)
    leaving = names[:30]
    async with misbehaving(house, ("duplicate", 30), ("reorder", 20)):

        async def leave(name: str) -> None:
            await act(fund, name, "cancel")

        await each_of(leaving, leave)

        async def gone() -> bool:
            assert Counter(await states_of(fund, leaving)) == {"cancelled": 10, "refunded": 20}
            return True

        await eventually(gone, within_seconds=60)
    assert taken(fund) == CROWD - 30
    refunds = rows(fund, "SELECT status, count(*) FROM refunds WHERE path_id = %(id)s GROUP BY 1")
    assert refunds == [("succeeded", 20)]
    await sound(fund)
    await wound_up(fund)


async def states_of(fund: Fund, names: list[str]) -> list[str]:
    """Where the pledges of these people stand."""
    ids = [fund.pledges[name]["id"] for name in names]
    found = fund.house.sql("SELECT state FROM pledges WHERE id = ANY(%s)", ids)
    return [str(state) for (state,) in found]
