"""Carts nobody can take seriously: a typed refusal that names the line, and nothing is reserved."""

from __future__ import annotations

import uuid

from tests.api.client import assert_problem
from tests.stories.carts import lines
from tests.stories.house import House, Json


async def test_carts_that_cannot_be(house: House) -> None:
    tail = uuid.uuid4().hex[:8]
    buyer, seller, potter = f"buyer-{tail}", f"seller-{tail}", f"potter-{tail}"
    lamp = await house.listing(seller)
    bowl = await house.listing(potter, price=5_000)
    yen = await house.listing(potter, currency="JPY")
    own = await house.listing(buyer)
    table = await house.listing(potter, stock_kind="made_to_order", lead_days=5)
    gone = await house.listing(potter, stock=1)
    taken = await house.order(gone, by=f"other-{tail}")
    assert taken["phase"] == "pending_payment"
    price = {"expected_total": {"amount": 24_999, "currency": "CNY"}}
    cases: list[tuple[Json, int, str, str]] = [
        ({"lines": lines(lamp, yen)}, 422, "several_currencies", "lines"),
        ({"lines": lines(lamp, bowl, own)}, 422, "own_listing", "lines[2].listing_id"),
        ({"lines": lines(lamp, gone)}, 409, "out_of_stock", "lines[1].quantity"),
        ({"lines": lines(lamp, bowl), **price}, 409, "price_changed", "expected_total"),
        (
            {"lines": lines(lamp, table)},
            422,
            "made_to_order_not_confirmed",
            "made_to_order_confirmed",
        ),
        ({"lines": lines(lamp, bowl, lamp)}, 422, "invalid_input", "lines"),
        ({"lines": []}, 422, "invalid_input", "lines"),
    ]
    for body, status, code, field in cases:
        answer = await house.call("POST", "/v1/orders", by=buyer, json=body)
        assert assert_problem(answer, status, code)["field"] == field, body
    mine = await house.get("/v1/orders", by=buyer)
    bought = await house.get("/v1/sales", by=buyer)
    assert mine["items"] == bought["items"] == []
    for listing, left in ((lamp, 5), (bowl, 5), (gone, 0)):
        assert (await house.get(f"/v1/listings/{listing['id']}", by=buyer))["stock"] == left


async def test_the_same_key_twice_is_one_order(house: House) -> None:
    tail = uuid.uuid4().hex[:8]
    lamp, bowl = await house.listing(f"seller-{tail}"), await house.listing(f"potter-{tail}")
    buyer, key = f"buyer-{tail}", uuid.uuid4().hex
    body = {"lines": lines(lamp, bowl), "expected_total": {"amount": 40_000, "currency": "CNY"}}
    first, second = [
        await house.call("POST", "/v1/orders", by=buyer, key=key, json=body) for _ in range(2)
    ]
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json() == second.json()
    assert len((await house.get("/v1/orders", by=buyer))["items"]) == 1
    assert (await house.get(f"/v1/listings/{lamp['id']}", by=buyer))["stock"] == 4
    other = await house.call("POST", "/v1/orders", by=buyer, key=key, json={"lines": lines(lamp)})
    assert_problem(other, 422, "idempotency_key_reused")
