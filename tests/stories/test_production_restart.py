"""A platform that stops in the middle of production orders goes on where it was."""

from __future__ import annotations

from pathlib import Path

import httpx

from tests.api.issuer import Issuer
from tests.servers import Databases
from tests.stories.house import running_house
from tests.stories.test_production import gives_back, says_lots_over, takes_on
from tests.stories.workshop import RATE, UNITS, Workshop, funded, returned

PAID = funded()
BACK = returned(UNITS * RATE)


async def test_half_done_orders_survive_a_restart(
    dev_server: str, postgres_server: Databases, issuer: Issuer, tmp_path: Path
) -> None:
    with postgres_server.fresh() as url:
        async with running_house(dev_server, url, issuer, tmp_path) as before:
            paying = await Workshop.funding(before)
            closing = await Workshop.published(before)
            takes_on(closing, 40)
            await closing.act("stop")
            queue = before.settings.temporal_task_queue
        async with running_house(
            dev_server, url, issuer, tmp_path, temporal_task_queue=queue
        ) as after:
            paying.house = closing.house = after
            payment = paying.order["payment"]
            # The same page at the provider's new address: here every start gets free ports.
            await paying.pay({**payment, "checkout_url": httpx.URL(payment["checkout_url"]).path})
            await paying.until("published")
            gives_back(closing, 40)
            await says_lots_over(closing)
            await closing.ended("completed", PAID, BACK)
            await paying.act("stop")
            await paying.ended("completed", PAID, BACK)
