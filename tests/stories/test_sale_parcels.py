"""What carriers report, in any order and at any time, and what becomes of a parcel that is lost."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import pytest
import pytest_asyncio

from domain.policy import SalePolicy
from tests.api.issuer import Issuer
from tests.servers import Databases
from tests.stories.deals import DAY, Deal, funded, refunded
from tests.stories.house import House, Json, running_house
from tests.waiting import eventually

SHIPPED = [
    "placed by buyer",
    "payment_captured by provider",
    "accepted by seller",
    "shipped by seller",
]
SILENCE = 5
"""Seconds without a scan after which a parcel is lost in the house of short waits."""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def brisk(
    dev_server: str,
    postgres_server: Databases,
    issuer: Issuer,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[House]:
    """A house with a protection fund, where parcels are given up after seconds."""
    policy = SalePolicy(scan_silence_seconds=SILENCE, protection_basis_points=5_000)
    folder = tmp_path_factory.mktemp("brisk")
    with postgres_server.fresh() as url:
        async with running_house(dev_server, url, issuer, folder, sale_policy=policy) as running:
            yield running


def inbox_states(house: House, number: str) -> list[tuple[str, str]]:
    """Kind and status of every carrier's webhook about a parcel, oldest first."""
    rows = house.sql(
        "SELECT kind, status FROM webhook_inbox WHERE source = 'carrier:sandbox'"
        " AND encode(body, 'escape') LIKE %s ORDER BY id",
        f"%{number}%",
    )
    return [(kind, status) for kind, status in rows]


async def inbox_becomes(house: House, number: str, *statuses: str) -> None:
    """Waits until the webhooks about a parcel have these statuses."""

    def there() -> bool:
        found = inbox_states(house, number)
        assert [status for _, status in found] == list(statuses), found
        return True

    await eventually(there)


async def redeliver(house: House, number: str) -> None:
    """Makes what waits in the inbox due and runs what the schedule runs."""
    house.sql(
        "UPDATE webhook_inbox SET next_attempt_at = now() WHERE encode(body, 'escape') LIKE %s",
        f"%{number}%",
    )
    await house.temporal.execute_workflow(
        "RedeliverInbox",
        id=f"redeliver-{uuid.uuid4().hex}",
        task_queue=house.settings.temporal_task_queue,
    )


async def test_ten_days_without_a_scan(house: House) -> None:
    deal, _ = await Deal.shipped(house)
    promised = await deal.expect("scan", 10 * DAY)
    await deal.let_pass(10 * DAY + 1)
    # Lost pieces do not go back on sale.
    await deal.assert_refunded("lost", stock=4, events=[*SHIPPED, "lost by system"])
    assert await deal.posted("refund") == promised
    state = house.sql("SELECT state FROM reservations WHERE sale_id = %s", deal.id)
    assert state == [("sold",)]


async def test_a_scan_keeps_a_silent_parcel_alive(brisk: House) -> None:
    # In real time and with short waits: a carrier's scan carries the real time, which nothing here can skip.
    deal, number = await Deal.shipped(brisk)
    before = await deal.deadline()
    await brisk.scan(number, "in_transit")
    await inbox_becomes(brisk, number, "consumed", "consumed")
    scanned = datetime.fromisoformat((await deal.until("shipped"))["parcel"]["last_scan_at"])
    after = await deal.deadline()
    due = datetime.fromisoformat(after["due_at"])
    assert due == scanned + timedelta(seconds=SILENCE)
    assert due > datetime.fromisoformat(before["due_at"])
    await deal.assert_refunded("lost", stock=4, events=[*SHIPPED, "lost by system"])
    [(lost_at,)] = brisk.sql("SELECT at FROM events WHERE path_id = %s AND kind = 'lost'", deal.id)
    assert lost_at >= due
    assert await deal.posted("refund") == deal.promised(after)


async def test_the_carrier_says_it_is_lost(house: House) -> None:
    deal, number = await Deal.shipped(house)
    await house.scan(number, "in_transit")
    await inbox_becomes(house, number, "consumed", "consumed")
    await house.scan(number, "lost")
    await deal.assert_refunded("lost", stock=4, events=[*SHIPPED, "lost by carrier"])
    await inbox_becomes(house, number, "consumed", "consumed", "consumed")


async def lose(house: House) -> tuple[Deal, Json]:
    """A parcel under the platform's label gets lost. The deal, and the deadline before the loss."""
    deal, number = await Deal.shipped(house, price=100)
    await house.scan(number, "in_transit", label_paid_by="platform")
    await inbox_becomes(house, number, "consumed", "consumed")
    deadline = await deal.deadline()
    scan = await house.sandbox.post(f"/carrier/parcels/{number}/scans", json={"kind": "lost"})
    scan.raise_for_status()
    await deal.until("refunded")
    assert await house.payable(deal.seller) == 92
    assert await deal.stock() == 4
    await house.assert_at_zero(deal.sale)
    return deal, deadline


async def test_a_loss_under_our_label_is_made_good_from_the_fund_and_then_by_the_platform(
    brisk: House,
) -> None:
    poor, _ = await lose(brisk)
    assert await brisk.postings(poor.sale) == [
        *funded(100),
        "compensate: debit loss:platform 92",
        "compensate: credit payable:seller 92",
        *refunded(100),
    ]
    sold, _ = await Deal.shipped(brisk, price=2_500)
    await sold.act("confirm", sold.buyer)
    assert (await brisk.postings(sold.sale))[-2:] == [
        "protect: debit fee:platform 100",
        "protect: credit protection_fund:platform 100",
    ]
    await brisk.assert_at_zero(sold.sale)

    covered, promise = await lose(brisk)
    assert await covered.posted("compensate", "refund") == covered.promised(promise)
    assert await covered.posted("compensate") == [
        "debit protection_fund:platform 92",
        "credit payable:seller 92",
    ]
    short, _ = await lose(brisk)
    assert await short.posted("compensate") == [
        "debit protection_fund:platform 8",
        "debit loss:platform 84",
        "credit payable:seller 92",
    ]


async def test_the_release_that_feeds_the_fund_is_what_was_promised(brisk: House) -> None:
    deal, number = await Deal.shipped(brisk)
    await brisk.scan(number, "delivered")
    await deal.until("delivered")
    promised = deal.promised(await deal.deadline())
    await deal.let_pass(10 * DAY + 1)
    await deal.until("completed")
    assert await deal.posted("release", "protect") == promised
    assert promised[-1] == "credit protection_fund:platform 800"
    await brisk.assert_at_zero(deal.sale)


async def test_a_carrier_faster_than_the_seller_is_heard_when_the_parcel_is_known(
    house: House,
) -> None:
    deal = await Deal.accepted(house)
    number = f"SF{uuid.uuid4().hex[:12]}"
    await house.scan(number, "delivered", label_paid_by="platform")
    await inbox_becomes(house, number, "received", "received")
    await deal.act("ship", deal.seller, carrier="sandbox", tracking_number=number)
    assert (await deal.until("shipped"))["parcel"]["last_scan_at"] is None
    await redeliver(house, number)
    await deal.until("delivered")
    await inbox_becomes(house, number, "consumed", "consumed")
    await deal.act("confirm", deal.buyer)
    assert (await deal.timeline())[-2:] == ["delivered by carrier", "confirmed by buyer"]
    await house.assert_at_zero(deal.sale)


async def test_a_parcel_nobody_knows_waits_in_the_inbox(house: House) -> None:
    number = f"SF{uuid.uuid4().hex[:12]}"
    await house.scan(number, "lost")
    await inbox_becomes(house, number, "received", "received")
    await redeliver(house, number)
    assert inbox_states(house, number) == [
        ("registered", "received"),
        ("lost", "received"),
    ]


async def test_scans_out_of_order(house: House) -> None:
    deal, number = await Deal.shipped(house)
    (
        await house.sandbox.post("/carrier/parcels", json={"tracking_number": number})
    ).raise_for_status()
    await inbox_becomes(house, number, "consumed")
    await house.scan(number, "delivered")
    await deal.until("delivered")
    due = (await deal.deadline())["due_at"]
    for kind in ("in_transit", "lost", "delivered"):
        await house.scan(number, kind)
    await inbox_becomes(house, number, "consumed", "consumed", *["ignored"] * 3)
    assert (await deal.deadline())["due_at"] == due
    assert (await deal.until("delivered"))["refund"] is None
    await deal.act("confirm", deal.buyer)
    assert (await deal.timeline())[-2:] == ["delivered by carrier", "confirmed by buyer"]
    await house.assert_at_zero(deal.sale)


async def test_one_tracking_number_belongs_to_one_sale(house: House) -> None:
    first, number = await Deal.shipped(house)
    second = await Deal.accepted(house)
    answer = await second.try_to("ship", second.seller, carrier="sandbox", tracking_number=number)
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (422, "invalid_input")
    assert problem["field"] == "tracking_number"
    assert (await second.until("accepted"))["parcel"] is None
    # The refused try is no obstacle to the right one.
    await second.ship()
    for deal in (first, second):
        await deal.act("confirm", deal.buyer)
        await house.assert_at_zero(deal.sale)
