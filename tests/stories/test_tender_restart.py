"""A platform that stops in the middle of a tender goes on where it was."""

from __future__ import annotations

from pathlib import Path

import httpx

from tests.api.issuer import Issuer
from tests.servers import Databases
from tests.stories.house import running_house
from tests.stories.jobs import DAY, DEPOSIT, Job, paid_in, people, released, sent_back


async def test_a_half_done_tender_survives_a_restart(
    dev_server: str, postgres_server: Databases, issuer: Issuer, tmp_path: Path
) -> None:
    with postgres_server.fresh() as url:
        async with running_house(dev_server, url, issuer, tmp_path) as before:
            working = await Job.working(before, 30_000, 50_000)
            await working.done(1, amount=20_000)
            payment = await working.payment_of(2)
            bidding = await Job.opened(before)
            await bidding.bid(people(1)[1][0], 1)
            queue = before.settings.temporal_task_queue
        async with running_house(
            dev_server, url, issuer, tmp_path, temporal_task_queue=queue
        ) as after:
            working.house = bidding.house = after
            # The same page at the provider's new address: here every start gets free ports.
            await working.pay({**payment, "checkout_url": httpx.URL(payment["checkout_url"]).path})
            await working.until_milestone(2, "funded")
            await working.shown(2)
            await working.let_pass(14 * DAY + 1)
            await bidding.let_pass(DAY + 11)
            await bidding.until("selecting")
            await working.ended(
                "completed",
                paid_in("deposit:buyer", DEPOSIT),
                paid_in("escrow:tender", 30_000),
                released(20_000),
                paid_in("escrow:tender", 50_000),
                released(60_000),
                sent_back("deposit:buyer", DEPOSIT),
            )
