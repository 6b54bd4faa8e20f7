"""Orders and acts nobody can take seriously: a typed refusal that names the field, and nothing half-made."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from temporalio.service import RPCError, RPCStatusCode

from domain.ids import new_id
from domain.money import MAX_AMOUNT
from tests.api.client import assert_problem
from tests.stories.deals import Deal, people
from tests.stories.house import House, Json

INVALID = "invalid_input"
PRICES: list[tuple[object, str]] = [
    (0, "unit_price.amount"),
    (-1, "unit_price.amount"),
    (1.5, "unit_price.amount"),
    (True, "unit_price.amount"),
    ("12", "unit_price.amount"),
    (2**63, "unit_price.amount"),
    (MAX_AMOUNT + 1, "unit_price.amount"),
]


class Shop:
    """A seller's listings of every kind, which must be as they were after each refusal."""

    def __init__(self, house: House, buyer: str, seller: str, listings: dict[str, Json]) -> None:
        self.house, self.buyer, self.seller, self.listings = house, buyer, seller, listings

    def line(self, name: str, quantity: object = 1) -> Json:
        """One line of an order."""
        return {"listing_id": self.listings[name]["id"], "quantity": quantity}

    async def stock(self) -> list[tuple[str, int]]:
        """What is on the shelves."""
        ids = [listing["id"] for listing in self.listings.values()]
        rows = self.house.sql("SELECT id, stock FROM listings WHERE id = ANY(%s) ORDER BY id", ids)
        return [(listing, left) for listing, left in rows]

    async def refuses(self, body: Json, code: str, field: str, by: str | None = None) -> None:
        """The order is refused for this reason, and no row, piece or workflow tells of it."""
        before = await self.stock()
        key = uuid.uuid4().hex
        buyer = by or self.buyer
        answer = await self.house.call("POST", "/v1/sales", by=buyer, key=key, json=body)
        status = 409 if code == "out_of_stock" else 422
        problem = assert_problem(answer, status, code)
        assert problem["field"] == field, (body, problem)
        assert problem.get("accepted") or code in ("own_listing", "unknown_listing"), problem
        assert await self.stock() == before
        claimed = self.house.sql("SELECT resource_id FROM idempotency_keys WHERE key = %s", key)
        for (sale_id,) in claimed:
            for table in ("paths", "sales"):
                assert self.house.sql(f"SELECT 1 FROM {table} WHERE id = %s", sale_id) == []
            with pytest.raises(RPCError) as missing:
                await self.house.workflow(f"sale-{sale_id}").describe()
            assert missing.value.status is RPCStatusCode.NOT_FOUND


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def shop(house: House) -> AsyncIterator[Shop]:
    """One shop for all the refusals."""
    buyer, seller = people()
    listings = {
        "lamp": await house.listing(seller, delivery=["express"]),
        "bowl": await house.listing(seller),
        "yen": await house.listing(seller, currency="JPY"),
        "dear": await house.listing(seller, price=MAX_AMOUNT, stock=100),
        "table": await house.listing(seller, stock_kind="made_to_order", lead_days=5),
        "gone": await house.listing(seller),
        "other": await house.listing(people()[1]),
    }
    withdrawn = await house.call(
        "PATCH", f"/v1/listings/{listings['gone']['id']}", by=seller, json={"on_sale": False}
    )
    assert withdrawn.status_code == 200
    yield Shop(house, buyer, seller, listings)


@pytest.mark.parametrize(("amount", "field"), PRICES)
async def test_prices_that_are_none(house: House, amount: object, field: str) -> None:
    seller = people()[1]
    body = {"title": "Lamp", "unit_price": {"amount": amount}, "stock_kind": "in_stock", "stock": 1}
    answer = await house.call("POST", "/v1/listings", by=seller, json=body)
    assert assert_problem(answer, 422, INVALID)["field"] == field
    mine = await house.get(
        "/v1/listings", by=seller, seller=(await house.get("/v1/me", seller))["id"]
    )
    assert mine["items"] == []


async def test_a_price_in_a_currency_nobody_knows(house: House) -> None:
    body = {
        "title": "Lamp",
        "unit_price": {"amount": 1, "currency": "XXX"},
        "stock_kind": "in_stock",
        "stock": 1,
    }
    answer = await house.call("POST", "/v1/listings", by=people()[1], json=body)
    assert assert_problem(answer, 422, "unknown_currency")["field"] == "unit_price.currency"


@pytest.mark.parametrize("quantity", [0, -1, 10_001, 2**63, 2**70, 1.5, True, "1", None])
async def test_quantities_that_are_none(shop: Shop, quantity: object) -> None:
    await shop.refuses({"lines": [shop.line("lamp", quantity)]}, INVALID, "lines[0].quantity")


async def test_orders_that_cannot_be(shop: Shop) -> None:
    lamp = shop.line("lamp")
    unknown = {"listing_id": new_id("lst"), "quantity": 1}
    cases: list[tuple[Json, str, str]] = [
        ({"lines": [lamp, unknown]}, "unknown_listing", "lines[1].listing_id"),
        ({"lines": [shop.line("gone")]}, "unknown_listing", "lines[0].listing_id"),
        ({"lines": [{"listing_id": "lst_1"}]}, INVALID, "lines[0].listing_id"),
        ({"lines": [shop.line("lamp", 6)]}, "out_of_stock", "lines[0].quantity"),
        ({"lines": [shop.line("dear", 2)]}, "amount_out_of_range", "lines"),
        ({"lines": [shop.line("dear"), lamp]}, "amount_out_of_range", "lines"),
        ({"lines": [lamp, lamp]}, INVALID, "lines"),
        ({"lines": [lamp, shop.line("other")]}, "several_sellers", "lines"),
        ({"lines": [lamp, shop.line("yen")]}, "several_sellers", "lines"),
        ({"lines": [lamp], "delivery": "pickup"}, INVALID, "delivery"),
        ({"lines": [lamp], "delivery": "drone"}, INVALID, "delivery"),
        (
            {"lines": [shop.line("table")]},
            "made_to_order_not_confirmed",
            "made_to_order_confirmed",
        ),
        (
            {"lines": [shop.line("table")], "made_to_order_confirmed": "yes"},
            INVALID,
            "made_to_order_confirmed",
        ),
        ({"lines": []}, INVALID, "lines"),
        ({"lines": [lamp] * 51}, INVALID, "lines"),
        ({}, INVALID, "lines"),
        ({"lines": [lamp], "price": 1}, INVALID, "price"),
        ({"lines": [{**lamp, "unit_price": 1}]}, INVALID, "lines[0].unit_price"),
        ({"lines": [lamp], "return_url": "javascript:alert(1)"}, INVALID, "return_url"),
    ]
    for body, code, field in cases:
        await shop.refuses(body, code, field)


async def test_nobody_buys_from_themselves(shop: Shop) -> None:
    body = {"lines": [shop.line("lamp")]}
    await shop.refuses(body, "own_listing", "lines[0].listing_id", by=shop.seller)


NOTES: list[tuple[Any, str]] = [
    ({"note": "x" * 501}, "note"),
    ({"note": "a\x00b"}, "note"),
    ({"note": "\x1b[31m"}, "note"),
    ({"note": "\u202egnp"}, "note"),
    ({"note": 7}, "note"),
    ({"note": "ok", "phase": "completed"}, "phase"),
]
PARCELS: list[tuple[Json, str]] = [
    ({}, "carrier"),
    ({"carrier": "sandbox"}, "tracking_number"),
    ({"tracking_number": "SF123456"}, "carrier"),
    ({"carrier": "pigeon", "tracking_number": "SF123456"}, "carrier"),
    ({"carrier": "Sandbox!", "tracking_number": "SF123456"}, "carrier"),
    ({"carrier": "sandbox", "tracking_number": "SF1"}, "tracking_number"),
    ({"carrier": "sandbox", "tracking_number": "x" * 65}, "tracking_number"),
    ({"carrier": "sandbox", "tracking_number": "SF 123\n456"}, "tracking_number"),
    ({"carrier": "sandbox", "tracking_number": "SF123456", "weight": 3}, "weight"),
]


async def test_acts_with_unusable_words(house: House) -> None:
    deal = await Deal.accepted(house)
    acts = {"accept": deal.seller, "decline": deal.seller, "confirm": deal.buyer}
    for body, field in NOTES:
        for act, by in {**acts, "cancel": deal.buyer, "ship": deal.seller}.items():
            answer = await deal.try_to(act, by, **body)
            assert assert_problem(answer, 422, INVALID)["field"] == field, (act, body)
    for body, field in PARCELS:
        answer = await deal.try_to("ship", deal.seller, **body)
        assert assert_problem(answer, 422, INVALID)["field"] == field, body
    missing = await house.call("POST", f"/v1/sales/{new_id('sal')}/accept", by=deal.seller, json={})
    assert_problem(missing, 404, "not_found")
    assert (await deal.timeline())[-1] == "accepted by seller"
    await deal.act("cancel", deal.seller)
    await deal.until("refunded")
    await house.assert_at_zero(deal.sale)


async def test_pieces_picked_up_travel_with_no_carrier(house: House) -> None:
    deal = await Deal.accepted(house, order={"delivery": "pickup"})
    for body in (
        {"carrier": "sandbox", "tracking_number": "SF123456"},
        {"tracking_number": "SF123456"},
    ):
        answer = await deal.try_to("ship", deal.seller, **body)
        assert assert_problem(answer, 422, INVALID)["field"] == "carrier"
    await deal.act("cancel", deal.buyer)
    await deal.until("refunded")
    await house.assert_at_zero(deal.sale)
