"""Thousands of pledges through a bad day: charges fail, webhooks come twice, late or never, and the worker is killed.

Every pledge ends collected, dropped or refunded, exactly once: the platform's books and the provider's say the same.
BAIGONG_TEST_PLEDGES sets how many; 20,000 take some minutes.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from deploy.local.profile import PROJECT
from domain.campaign_messages import CampaignStanding
from domain.pledge import Method, PledgeState
from domain.policy import CampaignPolicy
from tests.api.issuer import Issuer
from tests.servers import Databases, free_port
from tests.stories.crowd import Crowd, One, crowd
from tests.stories.funds import ADMIN, DAY, Fund, tier
from tests.stories.house import House
from tests.stories.parts import Parts, house_of_parts
from tests.waiting import eventually

COUNT = int(os.environ.get("BAIGONG_TEST_PLEDGES", "1000"))
PATIENCE = 150 + COUNT / 10
"""Seconds."""
SEATS = 10 * COUNT
POLICY = CampaignPolicy(fix_seconds=60 + COUNT // 20, remind_seconds=30, grace_seconds=1)
"""Time enough for a worker to be missed and replaced."""
FEW_EVENTS = 200
WAYS = {
    (PledgeState.INITIATED, Method.CARD): COUNT // 2,
    (PledgeState.INITIATED, Method.WALLET): COUNT - COUNT // 2,
}

pytestmark = [pytest.mark.thousands, pytest.mark.timeout(600 + COUNT // 5)]


@asynccontextmanager
async def platform(
    dev_server: str, database_url: str, issuer: Issuer, folder: Path
) -> AsyncIterator[Parts]:
    """A platform whose workers are processes of their own, with a payment company that has a bad day."""
    async with house_of_parts(
        dev_server,
        database_url,
        issuer,
        folder,
        workers=0,
        admin_subjects=(ADMIN,),
        campaign_policy=POLICY,
        provider_rate_per_second=0,
        request_timeout_seconds=30,
    ) as parts:
        house = parts.house
        for effect, percent in (("duplicate", 5), ("reorder", 5), ("drop", 2)):
            await house.misbehave("webhook", effect, times=1_000_000, percent=percent)
        yield parts


@contextmanager
def worker(house: House) -> Iterator[subprocess.Popen[bytes]]:
    """A worker as in production; killed at the end if it still runs."""
    settings = house.settings
    secrets = {
        "BAIGONG_DATABASE_URL": settings.require_database_url(),
        "BAIGONG_SANDBOX_API_KEY": settings.sandbox_api_key.get_secret_value(),
        "BAIGONG_SANDBOX_WEBHOOK_SECRET": settings.sandbox_webhook_secret.get_secret_value(),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "worker"],
        cwd=PROJECT,
        env={
            **os.environ,
            **secrets,
            "BAIGONG_TEMPORAL_ADDRESS": str(settings.temporal_address),
            "BAIGONG_TEMPORAL_TASK_QUEUE": settings.temporal_task_queue,
            "BAIGONG_SANDBOX_URL": settings.sandbox_base_url,
            "BAIGONG_PROVIDER_RATE_PER_SECOND": "0",
            "BAIGONG_WORKER_METRICS_PORT": str(free_port()),
            "BAIGONG_LOG_LEVEL": "ERROR",
        },
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


async def test_a_success_with_one_in_ten_charges_failing(
    dev_server: str, postgres_server: Databases, issuer: Issuer, tmp_path: Path
) -> None:
    with postgres_server.fresh() as url:
        async with platform(dev_server, url, issuer, tmp_path) as parts:
            house = parts.house
            with worker(house) as first:
                fund, made = await _pledged(house, tmp_path, goal=1_000)
                declined = [each for each in made.ones if each.method is Method.CARD][::5]
                await _decline(house, declined)
                await _close(house, fund)
                await _until_some(house, fund, "collected", "errored")
                first.send_signal(signal.SIGKILL)
                first.wait()
            with worker(house):
                await _mend(house, declined[::3])
                await fund.until("successful", within_seconds=PATIENCE)
                states = Counter(fund.states())
                assert states["dropped"] == len(declined) - len(declined[::3])
                assert states["collected"] == COUNT - states["dropped"]
                assert sum(states.values()) == COUNT
                await _exactly_once(house, fund, tmp_path)
                await fund.adds_up()
                await fund.act("ban", ADMIN, note="The lamps are somebody else's")
                await eventually(
                    lambda: _closed(house, fund), within_seconds=PATIENCE, what="all is back"
                )
                assert Counter(fund.states()) == {
                    "refunded": states["collected"],
                    "dropped": states["dropped"],
                }
                await _exactly_once(house, fund, tmp_path)
                await fund.at_zero()
                history = await fund.story.fetch_history()
                assert len(history.events) < FEW_EVENTS


async def test_a_failure_that_gives_everything_back(
    dev_server: str, postgres_server: Databases, issuer: Issuer, tmp_path: Path
) -> None:
    with postgres_server.fresh() as url:
        async with platform(dev_server, url, issuer, tmp_path) as parts:
            house = parts.house
            with worker(house) as first:
                fund, made = await _pledged(house, tmp_path, goal=10_000_000_000)
                await house.misbehave("refund", "answer_lost", times=COUNT // 100)
                await _close(house, fund)
                await _until_some(house, fund, "refunded", "released")
                first.send_signal(signal.SIGKILL)
                first.wait()
            with worker(house):
                await eventually(
                    lambda: _closed(house, fund), within_seconds=PATIENCE, what="all is back"
                )
                cards = len([each for each in made.ones if each.method is Method.CARD])
                assert Counter(fund.states()) == {"released": cards, "refunded": COUNT - cards}
                await _exactly_once(house, fund, tmp_path)
                await fund.at_zero()
                history = await fund.story.fetch_history()
                assert len(history.events) < FEW_EVENTS


async def _pledged(house: House, folder: Path, *, goal: int) -> tuple[Fund, Crowd]:
    """A campaign with all its backers, who have paid or saved a card on the provider's pages, all in a rush."""
    tiers = [tier("One lamp", 2_000), tier("A numbered lamp", 2_000, seats=SEATS)]
    fund = await Fund.live(house, goal=goal, tiers=tiers, live_seconds=DAY)
    creator = str(fund.campaign["creator_id"])
    made = await crowd(
        house.database,
        house.settings.require_database_url(),
        Crowd(fund.id, creator),
        WAYS,
        sandbox=folder / "sandbox.db",
    )
    crowded = asyncio.Semaphore(16)

    async def press(one: One) -> None:
        page, action = ("card", "save") if one.method is Method.CARD else ("pay", "pay")
        async with crowded:
            await _press(house, f"/{page}/{one.reference}", action)

    await asyncio.gather(*(press(each) for each in made.ones))
    return fund, made


async def _press(house: House, page: str, action: str) -> httpx.Response:
    answer = await house.sandbox.post(
        page, data={"action": action}, headers={"accept": "application/json"}
    )
    assert answer.status_code == 200, answer.text
    return answer


async def _decline(house: House, ones: list[One]) -> None:
    """The charges of these cards are declined, however often they are tried."""
    for each in ones:
        assert each.reference is not None
        await house.misbehave("charge", "decline", subject=each.reference, times=10)


async def _close(house: House, fund: Fund) -> None:
    """The time for pledges ends now, also for those whose webhook is still under way or lost.

    The deadline is moved instead of the clock: the stories of failed charges are too many to move theirs along.
    """
    standing = CampaignStanding.model_validate((await fund.story.query("watch"))["standing"])
    now = datetime.now(UTC)
    moved = [each.model_copy(update={"due_at": now}) for each in standing.deadlines]
    house.sql(
        "UPDATE paths SET deadlines = %s::jsonb WHERE id = %s",
        json.dumps([each.model_dump(mode="json") for each in moved]),
        fund.id,
    )
    await fund.story.signal("told", standing.model_copy(update={"deadlines": tuple(moved)}))
    await fund.until(
        "closing", "collecting", "waiting_funds", "successful", "failed", within_seconds=PATIENCE
    )


async def _until_some(house: House, fund: Fund, *states: str) -> None:
    """Waits until the work with the pledges is well under way."""
    query = "SELECT count(*) FROM pledges WHERE campaign_id = %s AND state = ANY(%s)"

    def under_way() -> bool:
        return int(house.sql(query, fund.id, list(states))[0][0]) > COUNT // 10

    await eventually(under_way, within_seconds=PATIENCE)


async def _mend(house: House, ones: list[One]) -> None:
    """These backers pay their failed charge with another card."""
    for each in ones:

        async def page(each: One = each) -> str | None:
            rows = house.sql(
                "SELECT p.checkout_url FROM payments p JOIN pledges g ON g.payment_id = p.id"
                " WHERE g.id = %s AND g.state = 'errored'",
                each.pledge_id,
            )
            return str(rows[0][0]) if rows and rows[0][0] else None

        url = await eventually(page, within_seconds=PATIENCE)
        assert url is not None
        await _press(house, f"/pay/{url.rpartition('/')[2]}", "pay")


async def _exactly_once(house: House, fund: Fund, folder: Path) -> None:
    """Every movement at the provider is one entry of the journal, and nothing moved twice for one pledge."""
    with sqlite3.connect(folder / "sandbox.db", timeout=10) as theirs:
        captured = theirs.execute(
            "SELECT subject, amount FROM payments WHERE status = 'captured'"
        ).fetchall()
        refunded = theirs.execute(
            "SELECT subject, amount FROM refunds WHERE status = 'succeeded'"
        ).fetchall()
    taken_in = house.sql(
        "SELECT split_part(e.key, '/', 1), e.total FROM ledger_entries e"
        " WHERE e.path_id = %s AND e.kind = 'fund'",
        fund.id,
    )
    sent = house.sql(
        "SELECT split_part(e.key, '/', 1), e.total FROM ledger_entries e"
        " WHERE e.path_id = %s AND e.kind = 'refund_paid'",
        fund.id,
    )
    assert Counter(captured) == Counter(taken_in)
    assert Counter(refunded) == Counter(sent)
    twice = house.sql(
        "SELECT pledge_id FROM payments WHERE path_id = %s AND status = 'captured'"
        " GROUP BY pledge_id HAVING count(*) > 1",
        fund.id,
    )
    assert twice == []


async def _closed(house: House, fund: Fund) -> bool:
    return bool(house.sql("SELECT closed_at IS NOT NULL FROM paths WHERE id = %s", fund.id)[0][0])
