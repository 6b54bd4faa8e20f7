"""A new version of the worker takes over in the middle of a sale."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
import pytest_asyncio
from temporalio.api.enums.v1 import EventType, WorkflowTaskFailedCause

import worker.build
from tests.api.issuer import Issuer, running_issuer
from tests.replay.commands import history
from tests.replay.test_replay import lesson
from tests.replay.upgraded import PatchedSale, UnpatchedSale
from tests.servers import Databases
from tests.stories.deals import Deal, funded, released
from tests.stories.house import House
from tests.stories.parts import Parts, house_of_parts
from tests.waiting import eventually
from worker.build import WORKFLOWS
from workflows.sale import Sale


def with_sale(changed: type) -> Sequence[type]:
    """The workflows of a version whose sales are told otherwise."""
    return [changed if each is Sale else each for each in WORKFLOWS]


@pytest_asyncio.fixture(loop_scope="session")
async def parts(
    dev_server: str, postgres_server: Databases, tmp_path: Path
) -> AsyncIterator[Parts]:
    """A platform whose worker can be replaced."""
    issuer: Issuer
    with postgres_server.fresh() as url, running_issuer() as issuer:
        async with house_of_parts(dev_server, url, issuer, tmp_path) as running:
            yield running


async def upgrade(parts: Parts, changed: type, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker stops, and one of another version starts."""
    await parts.worker.stop()
    monkeypatch.setattr(worker.build, "WORKFLOWS", with_sale(changed))
    await parts.worker.start()


async def finish(deal: Deal) -> None:
    """The seller delivers, the buyer is content, and every coin is where it belongs."""
    number = await (await deal.accept()).ship()
    await deal.house.scan(number, "delivered")
    await deal.until("delivered")
    await deal.act("confirm", deal.buyer)
    await deal.until("completed")
    assert await deal.house.postings(deal.sale) == funded(20_000) + released(18_400, 1_600)
    await deal.closed()


async def commands(house: House, deal: Deal) -> list[str]:
    """What the sale's own story has asked for: its activities and patches."""
    past = await house.workflow(house.story_of(deal.sale)).fetch_history()
    lines = []
    for event in past.events:
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
            lines.append(event.activity_task_scheduled_event_attributes.activity_type.name)
        if event.event_type == EventType.EVENT_TYPE_MARKER_RECORDED:
            lines.append(event.marker_recorded_event_attributes.marker_name)
    return lines


async def stopped_by_nondeterminism(house: House, deal: Deal) -> bool:
    """Whether the sale's story has failed to go on under the code that runs now."""
    past = await house.workflow(house.story_of(deal.sale)).fetch_history()
    cause = WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_NON_DETERMINISTIC_ERROR
    return any(
        event.workflow_task_failed_event_attributes.cause == cause
        for event in past.events
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED
    )


async def test_a_patched_version_takes_running_sales_to_their_end_and_new_ones_the_new_way(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = parts.house
    asked, unpaid = await Deal.paid(house), await Deal.placed(house)
    await asked.told("paid")
    await upgrade(parts, PatchedSale, monkeypatch)
    await finish(asked)
    assert not {"core_patch", "follow_payment"} & set(await commands(house, asked))
    new = await Deal.paid(house)
    for deal in (await unpaid.pay(), new):
        await finish(deal)
        told = await commands(house, deal)
        patched = told.index("core_patch")
        assert told[patched + 1] == "follow_payment"
        assert told.count("core_patch") == told.count("follow_payment") == 1


async def test_the_same_change_without_a_patch_stops_running_sales_until_the_old_code_is_back(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = parts.house
    deal = await Deal.paid(house)
    await deal.told("paid")
    await upgrade(parts, UnpatchedSale, monkeypatch)
    refused = await deal.try_to("accept", deal.seller)
    assert refused.status_code == 503, refused.text
    await eventually(lambda: stopped_by_nondeterminism(house, deal))
    assert (await house.get(f"/v1/sales/{deal.id}", deal.buyer))["phase"] == "paid"
    await upgrade(parts, Sale, monkeypatch)
    await deal.until("accepted")
    number = await deal.ship()
    await house.scan(number, "delivered")
    await deal.until("delivered")
    await deal.act("confirm", deal.buyer)
    await deal.closed()


async def test_the_recorded_histories_tell_a_patched_change_from_one_that_stops_paths() -> None:
    past = "sale_happy"
    assert await lesson(past, history(past), with_sale(PatchedSale)) is None
    what_to_do = await lesson(past, history(past), with_sale(UnpatchedSale))
    assert what_to_do is not None
    for word in ("workflow.patched", "+> activity follow_payment", "Nondeterminism"):
        assert word in what_to_do
