"""What each side reads about the money of a sale, and what a buyer may hold the platform to when ordering."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import psycopg
import pytest
from temporalio.service import RPCError, RPCStatusCode

from tests.api.client import assert_problem
from tests.stories.deals import ADMIN, Deal, people, released
from tests.stories.house import House, Json
from tests.stories.money import called_off, refund_of
from tests.waiting import eventually

PRICE = 20_000
CNY = {"amount": PRICE, "currency": "CNY"}


async def statement(house: House, sale: Json, by: str, kind: str = "sales") -> list[Json]:
    """All lines of the path's statement as somebody reads it, in two pages."""
    address = f"/v1/{kind}/{sale['id']}/statement"
    first = await house.get(address, by=by, limit=5)
    second = await house.get(address, by=by, limit=50, after=first["next"])
    assert second["next"] is None
    return [*first["items"], *second["items"]]


def shown(lines: list[Json], sale: Json) -> set[str]:
    """The accounts whose running balance is shown; on each it is shown in every line or in none."""
    names = {sale["id"]: "sale", sale["seller_id"]: "seller", sale["buyer_id"]: "buyer"}
    found: dict[str, set[bool]] = {}
    for line in lines:
        kind, _, owner = line["account"].partition(":")
        name = f"{kind}:{names.get(owner, owner.split('_')[0])}"
        found.setdefault(name, set()).add(line["balance_after"] is not None)
    assert all(len(each) == 1 for each in found.values()), found
    return {name for name, each in found.items() if each == {True}}


def without_balances(lines: list[Json]) -> list[Json]:
    """The lines without what only some may see."""
    return [{**line, "balance_after": None} for line in lines]


async def test_running_balances_of_a_completed_sale(house: House) -> None:
    deal = await Deal.accepted(house, order={"delivery": "pickup"})
    await deal.act("ship", deal.seller)
    await deal.act("confirm", deal.buyer)
    buyers = await statement(house, deal.sale, deal.buyer)
    sellers = await statement(house, deal.sale, deal.seller)
    operators = await statement(house, deal.sale, ADMIN)
    assert shown(buyers, deal.sale) == {"escrow:sale"}
    assert shown(sellers, deal.sale) == {"escrow:sale", "payable:seller"}
    everything = {"clearing:sandbox", "cash:sandbox", "psp_fee:platform", "fee:platform"}
    assert shown(operators, deal.sale) == {"escrow:sale", "payable:seller", *everything}
    assert [
        each["balance_after"]["amount"] for each in sellers if "payable" in each["account"]
    ] == [18_400]
    # Everybody reads the same postings, under either address.
    assert len(buyers) == 5 + len(released(18_400, 1_600))
    assert without_balances(sellers) == without_balances(operators) == without_balances(buyers)
    assert await statement(house, deal.sale, deal.seller, kind="paths") == sellers
    outsider = await house.call("GET", f"/v1/sales/{deal.id}/statement", by=people()[0])
    assert outsider.status_code == 404


async def test_running_balances_of_a_refund_that_became_balance(house: House) -> None:
    sale, buyer = await called_off(house, "refund_refused")
    refund = await refund_of(house, sale, "refused", by=buyer)
    await house.post(f"/v1/refunds/{refund['id']}/accept-balance", by=buyer)
    await house.until(sale, "refunded", by=buyer)
    mine = await statement(house, sale, buyer)
    assert shown(mine, sale) == {"escrow:sale", "refund_due:ref", "payable:buyer"}
    seller = house.sql("SELECT subject FROM users WHERE id = %s", sale["seller_id"])[0][0]
    assert shown(await statement(house, sale, seller), sale) == {"escrow:sale", "refund_due:ref"}
    assert "payable:buyer" in shown(await statement(house, sale, ADMIN), sale)


async def test_an_order_at_the_price_the_buyer_saw(house: House) -> None:
    buyer, seller = people()
    lamp = await house.listing(seller)
    expected = {"amount": 2 * PRICE, "currency": "CNY"}
    sale = await house.order(lamp, by=buyer, quantity=2, expected_total=expected)
    assert sale["total"]["amount"] == 2 * PRICE
    await house.act(sale, "cancel", by=buyer)
    await house.assert_at_zero(sale)


async def placed_nothing(house: House, key: str, lamp: Json, workflow: bool = False) -> None:
    """A refused order has left nothing behind: no row, no missing piece, and no workflow unless one refused it."""
    [(sale_id,)] = house.sql("SELECT resource_id FROM idempotency_keys WHERE key = %s", key)
    for table in ("paths", "sales"):
        assert house.sql(f"SELECT 1 FROM {table} WHERE id = %s", sale_id) == []
    assert house.sql("SELECT 1 FROM payments WHERE path_id = %s", sale_id) == []
    assert house.sql("SELECT 1 FROM reservations WHERE sale_id = %s", sale_id) == []
    assert house.sql("SELECT stock FROM listings WHERE id = %s", lamp["id"]) == [(5,)]
    if workflow:
        assert (await house.workflow(f"sale-{sale_id}").result())["refusal"]
        return
    with pytest.raises(RPCError) as missing:
        await house.workflow(f"sale-{sale_id}").describe()
    assert missing.value.status is RPCStatusCode.NOT_FOUND


@pytest.mark.parametrize(
    "expected",
    [{**CNY, "amount": PRICE - 1}, {**CNY, "amount": PRICE + 1}, {**CNY, "currency": "USD"}],
    ids=["cheaper", "dearer", "another currency"],
)
async def test_another_total_than_the_buyer_saw(house: House, expected: Json) -> None:
    buyer, seller = people()
    lamp = await house.listing(seller)
    key = uuid.uuid4().hex
    body = {"lines": [{"listing_id": lamp["id"]}], "expected_total": expected}
    answer = await house.call("POST", "/v1/sales", by=buyer, key=key, json=body)
    problem = assert_problem(answer, 409, "price_changed")
    assert (problem["field"], problem["accepted"]) == ("expected_total", f"{PRICE} CNY")
    await placed_nothing(house, key, lamp)


async def test_a_price_that_changes_while_the_order_is_placed(house: House) -> None:
    """The API still saw the old price; what counts is the price at the moment the pieces are set aside."""
    buyer, seller = people()
    lamp = await house.listing(seller)
    key = uuid.uuid4().hex
    body = {"lines": [{"listing_id": lamp["id"]}], "expected_total": CNY}
    with psycopg.connect(house.settings.require_database_url()) as seller_is_faster:
        change = "UPDATE listings SET unit_price = %s WHERE id = %s"
        seller_is_faster.execute(change, (PRICE + 1, lamp["id"]))
        placing = asyncio.create_task(house.call("POST", "/v1/sales", by=buyer, key=key, json=body))
        waiting = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database()"
        await eventually(
            lambda: house.sql(
                f"{waiting} AND wait_event_type = 'Lock' AND query LIKE '%%listings%%'"
            )
        )
    problem = assert_problem(await placing, 409, "price_changed")
    assert (problem["field"], problem["accepted"]) == ("expected_total", f"{PRICE + 1} CNY")
    await placed_nothing(house, key, lamp, workflow=True)


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"expected_total": {"amount": "1"}}, "expected_total.amount"),
        ({"expected_total": {"amount": -1}}, "expected_total.amount"),
        ({"expected_total": PRICE}, "expected_total"),
        ({"return_url": f"https://shop.example/{'x' * 1_980}"}, "return_url"),
    ],
    ids=["text", "negative", "no money", "long address"],
)
async def test_orders_the_door_refuses(house: House, more: Json, field: str) -> None:
    buyer, seller = people()
    lamp = await house.listing(seller)
    body: dict[str, Any] = {"lines": [{"listing_id": lamp["id"]}], **more}
    answer = await house.call("POST", "/v1/sales", by=buyer, json=body)
    assert assert_problem(answer, 422, "invalid_input")["field"] == field
    assert house.sql("SELECT stock FROM listings WHERE id = %s", lamp["id"]) == [(5,)]


async def test_the_longest_return_address(house: House) -> None:
    buyer, seller = people()
    address = f"https://shop.example/{'x' * 1_979}"
    assert len(address) == 2_000
    sale = await house.order(await house.listing(seller), by=buyer, return_url=address)
    await house.act(sale, "cancel", by=buyer)
    await house.assert_at_zero(sale)
