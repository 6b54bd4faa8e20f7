"""Fifty buyers at once: every piece is sold once, nobody who got none has paid, and the ledger stands at 0."""

from __future__ import annotations

import asyncio
import uuid

import httpx
import pytest

from tests.api.client import assert_problem
from tests.stories.deals import Deal, people
from tests.stories.house import House, Json
from tests.waiting import eventually

pytestmark = pytest.mark.crowd

CROWD = 50


def crowd(number: int) -> list[str]:
    """Buyers nobody else knows."""
    tail = uuid.uuid4().hex[:8]
    return [f"crowd-{tail}-{n}" for n in range(number)]


async def order_at_once(house: House, lamp: Json, buyers: list[str]) -> dict[str, httpx.Response]:
    """Everybody orders one piece at the same moment."""
    body = {"lines": [{"listing_id": lamp["id"], "quantity": 1}]}
    answers = await asyncio.gather(
        *(house.patiently("/v1/sales", body, by=buyer) for buyer in buyers)
    )
    return dict(zip(buyers, answers, strict=True))


def assert_left_nothing_behind(house: House, lamp: Json, sales: int) -> None:
    """There are as many sales and reservations of the listing as were answered with 201, and no more."""
    found = house.sql(
        "SELECT (SELECT count(*) FROM reservations WHERE listing_id = %s),"
        " (SELECT count(*) FROM sales WHERE seller_id = %s)",
        lamp["id"],
        lamp["seller_id"],
    )
    assert found == [(sales, sales)]


async def test_fifty_buyers_and_one_lamp(house: House) -> None:
    seller = people()[1]
    lamp = await house.listing(seller, stock_kind="one_of_a_kind", stock=1)
    answers = await order_at_once(house, lamp, crowd(CROWD))
    won = {buyer: answer for buyer, answer in answers.items() if answer.status_code == 201}
    assert len(won) == 1
    for buyer, answer in answers.items():
        if buyer not in won:
            assert_problem(answer, 409, "out_of_stock")
    assert_left_nothing_behind(house, lamp, sales=1)
    [(buyer, answer)] = won.items()
    sale = answer.json()
    await house.pay(sale)
    await house.until(sale, "paid", by=buyer)
    await house.shipped(sale, by=seller)
    await house.act(sale, "confirm", by=buyer)
    assert (await house.get(f"/v1/listings/{lamp['id']}", by=seller))["stock"] == 0
    assert await house.payable(seller) == 18_400
    await house.assert_at_zero(sale)


async def test_fifty_buyers_while_earlier_orders_are_paid_too_late(house: House) -> None:
    seller, pieces = people()[1], 5
    lamp = await house.listing(seller, stock=pieces)
    early, late = crowd(pieces), crowd(CROWD - pieces)
    first = [await Deal.of(house, lamp, buyer, seller) for buyer in early]
    await asyncio.gather(*(deal.act("cancel", deal.buyer) for deal in first))
    assert (await house.get(f"/v1/listings/{lamp['id']}", by=seller))["stock"] == pieces

    # Everybody wants the pieces at once: those who order now, and the money of those who had given up.
    async with asyncio.TaskGroup() as rush:
        ordering = rush.create_task(order_at_once(house, lamp, late))
        for deal in first:
            rush.create_task(deal.pay_late())
    answers = ordering.result()
    placed = [
        Deal(house, buyer, seller, lamp, answer.json(), first[0].since)
        for buyer, answer in answers.items()
        if answer.status_code == 201
    ]
    for answer in answers.values():
        if answer.status_code != 201:
            assert_problem(answer, 409, "out_of_stock")

    async def decided(deal: Deal) -> str:
        async def settled() -> str:
            phase = (await house.get(f"/v1/sales/{deal.id}", by=deal.buyer))["phase"]
            return str(phase) if phase in ("paid", "refunded") else ""

        return await eventually(settled, within_seconds=30)

    outcomes = await asyncio.gather(*(decided(deal) for deal in first))
    revived = [deal for deal, phase in zip(first, outcomes, strict=True) if phase == "paid"]
    assert len(revived) + len(placed) == pieces
    assert (await house.get(f"/v1/listings/{lamp['id']}", by=seller))["stock"] == 0
    assert_left_nothing_behind(house, lamp, sales=len(first) + len(placed))

    await asyncio.gather(*(deal.pay() for deal in placed))
    await asyncio.gather(*(call_off(deal) for deal in (*revived, *placed)))
    assert (await house.get(f"/v1/listings/{lamp['id']}", by=seller))["stock"] == pieces
    for deal in (*first, *placed):
        await house.assert_at_zero(deal.sale)


async def call_off(deal: Deal) -> None:
    """The seller declines; a sale that is just being taken up again may answer 503 first."""

    async def declined() -> bool:
        return (await deal.try_to("decline", deal.seller)).status_code == 200

    await eventually(declined)
    await deal.until("refunded")
