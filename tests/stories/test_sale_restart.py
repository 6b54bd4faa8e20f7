"""A platform that stops in the middle of a sale goes on where it was."""

from __future__ import annotations

from pathlib import Path

import httpx

from tests.api.issuer import Issuer
from tests.servers import Databases
from tests.stories.deals import Deal, funded, released
from tests.stories.house import running_house


async def test_a_half_paid_sale_survives_a_restart(
    dev_server: str, postgres_server: Databases, issuer: Issuer, tmp_path: Path
) -> None:
    with postgres_server.fresh() as url:
        async with running_house(dev_server, url, issuer, tmp_path) as before:
            deal = await Deal.placed(before)
            unaccepted = await Deal.paid(before)
            queue = before.settings.temporal_task_queue
        async with running_house(
            dev_server, url, issuer, tmp_path, temporal_task_queue=queue
        ) as after:
            for each in (deal, unaccepted):
                each.house = after
            # The same page at the provider's new address: here every start gets free ports.
            page = httpx.URL(deal.sale["payment"]["checkout_url"]).path
            deal.sale["payment"]["checkout_url"] = page
            await deal.pay()
            for each in (deal, unaccepted):
                await each.accept()
                number = await each.ship()
                await after.scan(number, "delivered")
                await each.until("delivered")
                await each.act("confirm", each.buyer)
                assert await after.postings(each.sale) == funded(20_000) + released(18_400, 1_600)
                assert await each.stock() == 4
                await after.assert_at_zero(each.sale)
