"""What lies in Temporal's store says nothing about people to whoever reads it without the keys."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import pytest
import pytest_asyncio
from google.protobuf.message import Message
from pydantic import SecretStr
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client

from runtime import search_attributes
from runtime.codec import keys_in
from tests.api.issuer import Issuer
from tests.servers import Databases
from tests.stories.deals import Deal
from tests.stories.house import House, running_house
from tests.waiting import eventually
from worker.keys import needed

OLD, NEW = (
    SecretStr("the secret of last year, long enough"),
    SecretStr("the secret of this year, long too"),
)
PERSONAL = (
    "Lantern for Lin",
    "Lane 7",
    "CNY 200",
    "200.00",
    "beautiful",
    "Completed:",
    "out of paper",
)
"""Words of people and about amounts that the stories below bring in."""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def house(
    dev_server: str,
    postgres_server: Databases,
    issuer: Issuer,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[House]:
    """A platform with a key."""
    folder = tmp_path_factory.mktemp("encrypted")
    with postgres_server.fresh() as url:
        async with running_house(
            dev_server, url, issuer, folder, payload_keys={"old": OLD}
        ) as running:
            yield running


async def stored(house: House) -> dict[str, list[Message]]:
    """By workflow id: everything that the server hands out about the workflows of this house, to a client without keys."""
    bare = await Client.connect(house.settings.temporal_address or "")
    found: dict[str, list[Message]] = {}
    async for each in bare.list_workflows(f"TaskQueue = '{house.settings.temporal_task_queue}'"):
        handle = bare.get_workflow_handle(each.id, run_id=each.run_id)
        described = await handle.describe()
        events = (await handle.fetch_history()).events
        found.setdefault(each.id, []).extend((described.raw_description, each.raw_info, *events))
    return found


def keys_of(messages: Iterable[Message]) -> set[str | None]:
    """Ids of the keys of all payloads; None among them for a payload in clear."""
    return {key for message in messages for key in keys_in(message)}


async def confirmed(deal: Deal) -> None:
    """From an accepted order to its end."""
    await deal.act("ship", deal.seller, note="Handed over in Lane 7")
    await deal.act("confirm", deal.buyer, note="It is beautiful")
    await deal.until("completed")


async def test_a_sale_leaves_nothing_personal_in_clear(house: House) -> None:
    deal = await Deal.paid(house, title="Lantern for Lin", order={"delivery": "pickup"})
    # A refusal is stored as a failure, with its words.
    too_early = await deal.try_to("confirm", deal.buyer)
    assert too_early.status_code == 409
    await confirmed(await deal.accept())
    other = await Deal.paid(house, title="Lantern for Lin")
    await other.act("decline", other.seller, note="We are out of paper")
    await other.until("refunded")

    found = await stored(house)
    assert {f"sale-{deal.id}", f"sale-{other.id}"} <= found.keys()
    for workflow_id, messages in found.items():
        assert keys_of(messages) == {"old"}, workflow_id
        texts = [str(each) for each in messages]
        names = house.sql("SELECT display_name FROM users")
        for word in (*PERSONAL, *(name for (name,) in names)):
            assert not [text for text in texts if word in text], (workflow_id, word)
    # The keys open it: operators read it as before.
    described = await house.workflow(f"sale-{deal.id}").describe()
    assert await described.static_summary() == "CNY 200.00: 1 x Lantern for Lin"


async def test_search_attributes_and_headers_which_stay_in_clear_hold_ids_only(
    house: House,
) -> None:
    deal = await Deal.paid(house, title="Lantern for Lin")
    users = {user_id for (user_id,) in house.sql("SELECT id FROM users")}
    seen = set()
    async for each in house.temporal.list_workflows(
        f"TaskQueue = '{house.settings.temporal_task_queue}'"
    ):
        found = {pair.key.name: pair.value for pair in each.typed_search_attributes}
        initiator = found.get(search_attributes.INITIATOR.name)
        assert initiator in {*users, None, "", "operators"}, found
        for name in ("Path", "Phase", "Currency"):
            assert re.fullmatch("[A-Za-z_]*", str(found.get(name, ""))), found
        seen.add(initiator)
    assert deal.sale["buyer_id"] in seen
    for event in (await house.workflow(f"sale-{deal.id}").fetch_history()).events:
        if event.HasField("workflow_execution_started_event_attributes"):
            header = event.workflow_execution_started_event_attributes.header
            assert set(header.fields) <= {"baigong-correlation-id"}, header


async def test_keys_are_turned_in_the_middle_of_a_sale(
    dev_server: str,
    postgres_server: Databases,
    issuer: Issuer,
    tmp_path: Path,
) -> None:
    with postgres_server.fresh() as url:
        async with running_house(
            dev_server, url, issuer, tmp_path, payload_keys={"old": OLD}
        ) as last_year:
            deal = await Deal.paid(last_year, order={"delivery": "pickup"})
            queue = last_year.settings.temporal_task_queue
        changes = {"temporal_task_queue": queue}
        async with running_house(
            dev_server,
            url,
            issuer,
            tmp_path,
            **changes,
            payload_keys={"new": NEW},
            request_timeout_seconds=1,
        ) as hasty:
            deal.house = hasty
            late = await deal.try_to("accept", deal.seller)
            assert late.status_code == 503
            assert "'old'" in await eventually(lambda: _why_it_stands(hasty, deal))
        keys = {"new": NEW, "old": OLD}
        async with running_house(
            dev_server, url, issuer, tmp_path, **changes, payload_keys=keys
        ) as this_year:
            deal.house = this_year
            # What was asked for meanwhile has not been lost.
            await deal.until("accepted")
            before = await needed(this_year.temporal, queue)
            await confirmed(deal)
            await this_year.assert_at_zero(deal.sale)
            found = await stored(this_year)
            assert keys_of(found[f"sale-{deal.id}"]) == {"old", "new"}

            async def fewer_need_the_old_key() -> bool:
                return (await needed(this_year.temporal, queue))["old"] < before["old"]

            await eventually(fewer_need_the_old_key)
            # The UI still does, for the sale that has ended.
            kept = await needed(this_year.temporal, queue, closed_too=True)
            assert kept["old"] >= before["old"]


async def _why_it_stands(house: House, deal: Deal) -> str:
    """What the UI shows of the workflow task that fails again and again."""
    async for event in house.workflow(f"sale-{deal.id}").fetch_history_events():
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED:
            failure = event.workflow_task_failed_event_attributes.failure
            return str(await house.temporal.data_converter.decode_failure(failure))
    return ""


async def test_histories_from_before_the_first_key_go_on(
    dev_server: str,
    postgres_server: Databases,
    issuer: Issuer,
    tmp_path: Path,
) -> None:
    with postgres_server.fresh() as url:
        async with running_house(dev_server, url, issuer, tmp_path) as before:
            deal = await Deal.paid(before, order={"delivery": "pickup"})
            queue = before.settings.temporal_task_queue
        changes = {"temporal_task_queue": queue, "payload_keys": {"old": OLD}}
        async with running_house(dev_server, url, issuer, tmp_path, **changes) as after:
            deal.house = after
            await confirmed(await deal.accept())
            assert keys_of((await stored(after))[f"sale-{deal.id}"]) == {None, "old"}
