"""What operators read about a sale in the Temporal UI, and how long its history is."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.client import WorkflowExecutionStatus
from temporalio.common import SearchAttributeKey
from temporalio.converter import default

from runtime import search_attributes as attributes
from tests.stories.deals import DAY, Deal
from tests.stories.house import House
from tests.waiting import eventually

SALE_EVENTS = 45 + 3
"""Measured for a sale from order to release, and room for one workflow task more when news come apart."""
PAYMENT_EVENTS = 17 + 3
"""The same for a payment that is captured and told of by a webhook."""


async def details(house: House, deal: Deal) -> str:
    """What the UI shows as the current details."""
    metadata: WorkflowMetadata = await house.workflow(f"sale-{deal.id}").query(
        "__temporal_workflow_metadata", result_type=WorkflowMetadata
    )
    return metadata.current_details


async def attributes_of(house: House, workflow_id: str) -> dict[str, object]:
    """The platform's search attributes of a workflow."""
    described = await house.workflow(workflow_id).describe()
    ours = {key.name for key in attributes.ALL}
    found = described.typed_search_attributes
    return {pair.key.name: pair.value for pair in found if pair.key.name in ours}


def summaries(events: Iterable[HistoryEvent], kind: EventType.ValueType) -> list[str]:
    """The summaries of a history's events of one kind."""
    converter = default().payload_converter
    return [
        converter.from_payload(event.user_metadata.summary, str)
        for event in events
        if event.event_type == kind
    ]


async def ended(house: House, workflow_id: str) -> list[HistoryEvent]:
    """The whole history of a workflow, once it has completed."""
    handle = house.workflow(workflow_id)

    async def completed() -> bool:
        status = (await handle.describe()).status
        assert status is WorkflowExecutionStatus.COMPLETED, status
        return True

    await eventually(completed)
    return list((await handle.fetch_history()).events)


def released(events: list[HistoryEvent]) -> int:
    """The number of the event that says that the seller has the money: the end of the last step that posts."""
    return max(
        event.event_id
        for event in events
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED
    )


async def test_every_phase_in_words(house: House) -> None:
    deal = await Deal.placed(house, title="Paper lantern", price=123_456)
    described = await house.workflow(f"sale-{deal.id}").describe()
    assert await described.static_summary() == "CNY 1,234.56: 1 x Paper lantern"
    static = await described.static_details() or ""
    assert "**CNY 1,234.56**" in static
    assert deal.sale["buyer_id"] in static
    assert deal.sale["seller_id"] in static

    async def reads(*words: str) -> None:
        async def there() -> bool:
            text = await details(house, deal)
            assert all(word in text for word in words), text
            return True

        await eventually(there)

    async def tells(phase: str, deadline: str) -> None:
        due = datetime.fromisoformat((await deal.deadline())["due_at"])
        await reads(
            f"**{phase}**",
            "**CNY 1,234.56**",
            f"Next deadline: **{deadline}, {due:%Y-%m-%d %H:%M:%S} UTC**",
            "If nothing comes: ",
        )
        assert await attributes_of(house, f"sale-{deal.id}") == {
            "Path": "sale",
            "Phase": phase,
            "Initiator": deal.sale["buyer_id"],
            "Currency": "CNY",
            "Deadline": due,
        }

    await tells("pending_payment", "payment")
    await deal.pay()
    await tells("paid", "acceptance")
    await reads("In escrow: CNY 1,234.56", "Would post: debit escrow:", "CNY 1,234.56")
    await deal.accept()
    await tells("accepted", "shipment")
    number = await deal.ship()
    await tells("shipped", "scan")
    await house.scan(number, "delivered")
    await deal.until("delivered")
    await tells("delivered", "confirmation")
    await deal.act("confirm", deal.buyer)

    events = await ended(house, f"sale-{deal.id}")
    await reads("**completed**", "In escrow: nothing")
    assert (await attributes_of(house, f"sale-{deal.id}"))["Phase"] == "completed"
    for kind in (EventType.EVENT_TYPE_TIMER_STARTED, EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED):
        told = summaries(events, kind)
        assert told
        # The very first step cannot know the price yet.
        assert all("CNY 1,234.56" in each for each in told if "Set the pieces aside" not in each)
    payment = await house.workflow(f"payment-{deal.sale['payment']['id']}").describe()
    assert await payment.static_summary() == "Payment of CNY 1,234.56"
    await house.assert_at_zero(deal.sale)


async def test_a_happy_history_is_short(house: House) -> None:
    # At the pace of people, who do not act before the story has heard of the step before.
    deal = await Deal.paid(house)
    await deal.told("paid")
    await deal.accept()
    number = await deal.ship()
    await house.scan(number, "delivered")
    await deal.told("delivered")
    await deal.act("confirm", deal.buyer)
    sale = await ended(house, f"sale-{deal.id}")
    payment = await ended(house, f"payment-{deal.sale['payment']['id']}")
    assert released(sale) <= SALE_EVENTS, "a sale costs more events than it did"
    assert len(payment) <= PAYMENT_EVENTS, "a payment costs more events than it did"
    for event in (*sale, *payment):
        assert event.event_type != EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED
    await house.assert_at_zero(deal.sale)


async def test_helpers_and_revived_sales_can_be_found_too(house: House) -> None:
    deal = await Deal.placed(house)
    whose = {"Initiator": deal.sale["buyer_id"], "Currency": "CNY"}
    await deal.expire()
    payment = await attributes_of(house, f"payment-{deal.sale['payment']['id']}")
    assert payment == {"Path": "payment", **whose}
    await deal.pay_late()
    await deal.until("paid")
    await eventually(lambda: house.runs(deal.sale))

    async def found_again() -> bool:
        revived = await attributes_of(house, house.story_of(deal.sale))
        assert revived.pop("Deadline", None)
        assert revived == {"Path": "sale", "Phase": "paid", **whose}
        return True

    await eventually(found_again)
    await deal.act("decline", deal.seller)
    sale = await deal.until("refunded")
    refund = await attributes_of(house, f"refund-{sale['refund']['id']}")
    assert refund == {"Path": "refund", **whose}
    await house.assert_at_zero(deal.sale)


async def test_sales_are_found_by_phase_and_deadline(house: House) -> None:
    deal = await Deal.paid(house)
    initiator = SearchAttributeKey.for_keyword("Initiator").name
    soon = "Deadline < '2200-01-01T00:00:00Z'"
    query = (
        f"{initiator} = '{deal.sale['buyer_id']}' AND Path = 'sale' AND Phase = 'paid' AND {soon}"
    )

    async def found() -> bool:
        return [each.id async for each in house.temporal.list_workflows(query)] == [
            f"sale-{deal.id}"
        ]

    await eventually(found)
    await deal.let_pass(4 * DAY)
    await deal.until("refunded")
    await house.assert_at_zero(deal.sale)
