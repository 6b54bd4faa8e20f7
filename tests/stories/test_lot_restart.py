"""A platform that stops in the middle of lots goes on where it was."""

from __future__ import annotations

from pathlib import Path

from tests.api.issuer import Issuer
from tests.servers import Databases
from tests.stories.house import running_house
from tests.stories.lots import (
    decided,
    deposit_back,
    deposit_kept,
    deposited,
    nobody_inspects,
    wages,
)
from tests.stories.workshop import DAY, RATE, Workshop, funded

UNITS = 4


async def test_half_done_lots_survive_a_restart(
    dev_server: str, postgres_server: Databases, issuer: Issuer, tmp_path: Path
) -> None:
    with postgres_server.fresh() as url:
        async with running_house(dev_server, url, issuer, tmp_path) as before:
            shop = await Workshop.published(before, units=2 * UNITS, lot_most=UNITS)
            making = await shop.making(UNITS)
            inspected = await shop.handed_in(UNITS)
            queue = before.settings.temporal_task_queue
        async with running_house(
            dev_server, url, issuer, tmp_path, temporal_task_queue=queue
        ) as after:
            shop.house = after
            await nobody_inspects(inspected, 5 * DAY + 1)
            await inspected.ended("settled", deposited(UNITS), wages(4), deposit_back(4))
            await making.act("send-goods", made=UNITS)
            await making.supply("receive-goods")
            await decided(making, 0, rejected=UNITS)
            await making.until("decided")
            await making.act("accept-decision")
            await making.ended("settled", deposited(UNITS), deposit_kept(4))
            assert await shop.units() == {"accepted": 4, "rejected": 4}
            await shop.until("completed")
            assert shop.postings("fund") == funded(2 * UNITS * RATE)[:2]
