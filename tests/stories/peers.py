"""What the stories of juries share: makers who can be drawn, and the vote of those who were."""

from __future__ import annotations

import asyncio
import uuid

from domain.inspection import JURORS
from tests.stories.house import House
from tests.stories.lots import decided, wages
from tests.stories.polls import verified
from tests.stories.workshop import RATE, Workshop, funded, people
from tests.waiting import eventually

_THERE: set[str] = set()
"""Platforms that have them, by task queue."""


async def worked_elsewhere(house: House) -> None:
    """Three makers whom the platform knows; each has had a unit accepted by two people, and first by one of their own.

    They are made once for all stories of a platform.
    """
    if house.settings.temporal_task_queue in _THERE:
        return
    _THERE.add(house.settings.temporal_task_queue)
    _, makers = people(JURORS)
    for maker in makers:
        await verified(house, maker, f"CN:{maker}{uuid.uuid4().hex[:4]}")
    terms = {"units": 2, "lot_most": 1, "materials": None, "deposit": 0, "lots_at_once": 1}
    shops = await asyncio.gather(*(Workshop.published(house, **terms) for _ in makers))

    async def work(maker: str, shop: Workshop) -> None:
        lot = await shop.making(1, maker=maker)
        await lot.act("send-goods", made=1)
        await lot.supply("receive-goods")
        await decided(lot, 1)
        await lot.ended("settled", wages(1))

    for turn in (0, 1):
        once = (work(maker, shops[i - turn]) for i, maker in enumerate(makers))
        await asyncio.gather(*once)
    await asyncio.gather(*(shop.ended("completed", funded(2 * RATE)) for shop in shops))


async def is_open(house: House, ballot: str) -> None:
    """Waits until people can vote on the ballot, and its story knows."""
    handle = house.workflow(f"ballot-{ballot}")

    async def there() -> bool:
        watch = await handle.query("watch")
        return bool(watch["standing"] and watch["standing"]["phase"] == "open")

    await eventually(there, within_seconds=20)


async def jurors_of(house: House, lot_id: str) -> list[str]:
    """The jurors of a lot, as they log in."""
    query = "SELECT jurors FROM juries WHERE lot_id = %s"
    return [
        str(house.sql("SELECT subject FROM users WHERE id = %s", each)[0][0])
        for each in house.sql(query, lot_id)[0][0]
    ]
