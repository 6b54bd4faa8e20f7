"""A platform that stops in the middle of a loan goes on where it was."""

from __future__ import annotations

from pathlib import Path

import httpx

from tests.api.issuer import Issuer
from tests.servers import Databases
from tests.stories.house import running_house
from tests.stories.in_kind import DAY, DEPOSIT, PAID, Aid, given_back, given_to_lender


async def test_a_loan_survives_a_restart(
    dev_server: str, postgres_server: Databases, issuer: Issuer, tmp_path: Path
) -> None:
    with postgres_server.fresh() as url:
        async with running_house(dev_server, url, issuer, tmp_path) as before:
            paying = await Aid.matched(before)
            payment = await paying.payment()
            claimed = await Aid.lent(before)
            await claimed.claim(4_000)
            queue = before.settings.temporal_task_queue
        async with running_house(
            dev_server, url, issuer, tmp_path, temporal_task_queue=queue
        ) as after:
            paying.house = claimed.house = after
            # The same page at the provider's new address: here every start gets free ports.
            page = httpx.URL(payment["checkout_url"]).path
            await after.pay({"payment": {**payment, "checkout_url": page}})
            await paying.until("ready")
            await paying.act("hand-over", paying.supporter)
            await paying.act("send-back", paying.picked)
            await paying.let_pass(7 * DAY + 1)
            await claimed.let_pass(5 * DAY + 1)
            await paying.ended("returned", PAID, given_back(DEPOSIT))
            await claimed.ended(
                "returned", PAID, given_to_lender(4_000), given_back(DEPOSIT - 4_000)
            )
