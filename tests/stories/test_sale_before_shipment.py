"""Everything that ends a paid sale before it ships gives the buyer everything back, and the pieces to the shop, once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from temporalio.api.enums.v1 import EventType

from tests.stories.deals import ADMIN, DAY, HOUR, Deal, people
from tests.stories.house import House
from tests.waiting import eventually

PAID = ["placed by buyer", "payment_captured by provider"]
ACCEPTED = [*PAID, "accepted by seller"]
REFUND = ["debit escrow:sale 20000", "credit refund_due:ref 20000"]


def who(deal: Deal, role: str) -> str:
    """The subject who plays a role in a deal."""
    return {"buyer": deal.buyer, "seller": deal.seller, "operator": ADMIN}[role]


@pytest.mark.parametrize(
    ("verb", "role", "event"),
    [
        ("decline", "seller", "declined"),
        ("cancel", "buyer", "cancelled"),
        ("cancel", "seller", "cancelled"),
        ("cancel", "operator", "cancelled"),
    ],
)
async def test_called_off_while_paid(house: House, verb: str, role: str, event: str) -> None:
    deal = await Deal.paid(house)
    await deal.act(verb, who(deal, role), note="Sorry")
    await deal.assert_refunded(event, stock=5, events=[*PAID, f"{event} by {role}"])


@pytest.mark.parametrize("role", ["buyer", "seller", "operator"])
async def test_cancelled_while_accepted(house: House, role: str) -> None:
    deal = await Deal.accepted(house)
    await deal.act("cancel", who(deal, role))
    await deal.assert_refunded("cancelled", stock=5, events=[*ACCEPTED, f"cancelled by {role}"])


async def test_a_seller_silent_for_72_hours(house: House) -> None:
    deal = await Deal.paid(house)
    promised = await deal.expect("acceptance", 72 * HOUR)
    await deal.let_pass(72 * HOUR + 1)
    await deal.assert_refunded(
        "acceptance_lapsed", stock=5, events=[*PAID, "acceptance_lapsed by system"]
    )
    assert await deal.posted("refund") == promised == REFUND


async def test_a_seller_who_does_not_ship_for_14_days(house: House) -> None:
    deal = await Deal.accepted(house)
    promised = await deal.expect("shipment", 14 * DAY)
    await deal.let_pass(14 * DAY + 1)
    await deal.assert_refunded(
        "shipment_lapsed", stock=5, events=[*ACCEPTED, "shipment_lapsed by system"]
    )
    assert await deal.posted("refund") == promised == REFUND


async def test_made_to_order_has_its_lead_time_and_a_week(house: House) -> None:
    confirmed = {"made_to_order_confirmed": True}
    deal = await Deal.accepted(house, stock_kind="made_to_order", lead_days=10, order=confirmed)
    promised = await deal.expect("shipment", 17 * DAY)
    await deal.let_pass(14 * DAY + HOUR)
    assert (await deal.until("accepted"))["refund"] is None
    await deal.let_pass(3 * DAY)
    await deal.assert_refunded(
        "shipment_lapsed", stock=None, events=[*ACCEPTED, "shipment_lapsed by system"]
    )
    assert await deal.posted("refund") == promised == REFUND


async def test_a_pre_order_has_until_a_week_after_its_release(house: House) -> None:
    release = datetime.now(UTC).replace(microsecond=0) + timedelta(days=20)
    deal = await Deal.accepted(
        house, stock_kind="pre_order", available_from=release.isoformat(), stock=3
    )
    deadline = await deal.deadline()
    assert datetime.fromisoformat(deadline["due_at"]) == release + timedelta(days=7)
    await deal.let_pass(20 * DAY)
    assert (await deal.until("accepted"))["refund"] is None
    await deal.let_pass(8 * DAY)
    await deal.assert_refunded(
        "shipment_lapsed", stock=3, events=[*ACCEPTED, "shipment_lapsed by system"]
    )
    assert await deal.posted("refund") == deal.promised(deadline) == REFUND


async def test_one_of_a_kind_is_released_once_and_sold_once(house: House) -> None:
    first = await Deal.paid(house, stock_kind="one_of_a_kind", stock=1)
    assert await first.stock() == 0
    await first.act("decline", first.seller)
    await first.assert_refunded("declined", stock=1, events=[*PAID, "declined by seller"])
    second = await Deal.of(house, first.lamp, people()[0], first.seller)
    await second.pay()
    await second.accept()
    await second.ship()
    await second.act("confirm", second.buyer)
    assert await second.stock() == 0
    states = house.sql(
        "SELECT sale_id, state FROM reservations WHERE listing_id = %s", first.lamp["id"]
    )
    assert dict(states) == {first.id: "released", second.id: "sold"}
    await house.assert_at_zero(second.sale)


@pytest.mark.parametrize("phase", ["paid", "accepted"])
async def test_an_operator_who_cancels_the_workflow_refunds(house: House, phase: str) -> None:
    deal = await (Deal.paid(house) if phase == "paid" else Deal.accepted(house))
    await deal.told(phase)
    await house.workflow(f"sale-{deal.id}").cancel()
    events = [*(PAID if phase == "paid" else ACCEPTED), "cancelled by operator"]
    await deal.assert_refunded("cancelled", stock=5, events=events)


async def test_cancelling_the_workflow_of_a_shipped_sale_changes_nothing(house: House) -> None:
    deal, number = await Deal.shipped(house)
    handle = house.workflow(f"sale-{deal.id}")
    await handle.cancel()

    async def heard() -> bool:
        kinds = [each.event_type for each in (await handle.fetch_history()).events]
        asked = kinds.index(EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED)
        return EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED in kinds[asked:]

    # The story has seen the request, and goes on.
    await eventually(heard)
    assert (await deal.until("shipped"))["refund"] is None
    await house.scan(number, "delivered")
    await deal.until("delivered")
    await deal.act("confirm", deal.buyer)
    assert await deal.posted("refund") == []
    await house.assert_at_zero(deal.sale)


async def test_cancelling_the_workflow_of_an_unpaid_order_gives_the_pieces_back(
    house: House,
) -> None:
    deal = await Deal.placed(house)
    await house.workflow(f"sale-{deal.id}").cancel()
    await deal.until("expired")
    assert await deal.stock() == 5
    await house.assert_at_zero(deal.sale)
    assert (await house.pay(deal.sale)).status_code == 409
