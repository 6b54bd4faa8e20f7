"""Things of several sellers are paid at once; then each sale ends in its own way."""

from __future__ import annotations

import asyncio
import uuid

from tests.stories.carts import Cart, lines
from tests.stories.deals import funded, refunded, released
from tests.stories.house import House
from tests.waiting import eventually


async def test_two_sellers_are_paid_at_once_and_both_sales_complete(house: House) -> None:
    cart = await Cart.paid(house)
    assert await cart.stock() == [4, 4]
    seen = await house.get(f"/v1/orders/{cart.order['id']}", by=cart.buyer)
    assert [each["phase"] for each in seen["sales"]] == ["paid", "paid"]
    assert {each["order_id"] for each in seen["sales"]} == {cart.order["id"]}
    assert {each["payment"]["id"] for each in seen["sales"]} == {seen["payment"]["id"]}
    for number in (0, 1):
        await cart.complete(number)
    fund = [line for line in funded(20_000) if line.startswith("fund")]
    assert await house.postings(cart.sales[0]) == fund + released(18_400, 1_600)
    rows = house.sql(
        "SELECT p.side, a.kind, p.amount FROM ledger_postings p"
        " JOIN ledger_entries e ON e.id = p.entry_id JOIN ledger_accounts a ON a.id = p.account_id"
        " WHERE e.path_id = %s ORDER BY p.id",
        cart.order["id"],
    )
    assert rows == [
        ("debit", "cash", 24_850),
        ("debit", "psp_fee", 150),
        ("credit", "clearing", 25_000),
    ]
    assert await cart.earned() == [18_400, 4_600, 0]
    page = await house.get(f"/v1/orders/{cart.order['id']}/timeline", by=cart.buyer)
    kinds = [each["kind"] for each in page["items"]]
    assert kinds == ["placed", "payment_captured", "sales_started"]
    payment = await house.get(f"/v1/payments/{cart.order['payment']['id']}", by=cart.buyer)
    assert payment["amount"]["amount"] == 25_000
    # A seller sees their own sale, and not what else was ordered with it.
    answer = await house.call("GET", f"/v1/orders/{cart.order['id']}", by=cart.sellers[0])
    assert answer.status_code == 404
    mine = await house.get("/v1/orders", by=cart.buyer)
    assert [each["id"] for each in mine["items"]] == [cart.order["id"]]
    await cart.assert_at_zero()


async def test_one_seller_declines_and_the_other_sale_completes(house: House) -> None:
    cart = await Cart.paid(house)
    await cart.act(0, "decline")
    await cart.complete(1)
    sale = await cart.sale(0, "refunded")
    assert (sale["refund"]["status"], sale["refund"]["amount"]["amount"]) == ("succeeded", 20_000)
    fund = [line for line in funded(20_000) if line.startswith("fund")]
    assert await house.postings(cart.sales[0]) == fund + refunded(20_000)
    assert await cart.earned() == [0, 4_600, 0]
    assert await cart.stock() == [5, 4]
    await cart.assert_at_zero()


async def test_an_order_nobody_pays_expires_with_all_of_its_sales(house: House) -> None:
    cart = await Cart.placed(house)
    assert await cart.stock() == [4, 4]
    found = await house.get(f"/v1/orders/{cart.order['id']}/deadlines", by=cart.buyer)
    [deadline] = found["deadlines"]
    assert deadline["stopped_by"] == ["buyer: pay", "buyer: cancel the order"]
    # A single sale cannot be called off before the order is paid.
    path = f"/v1/sales/{cart.sales[0]['id']}/cancel"
    answer = await house.call("POST", path, by=cart.buyer, json={})
    assert (answer.status_code, answer.json()["accepted"]) == (409, "cancel the order")
    await cart.expire()
    assert await cart.stock() == [5, 5]
    for number in (0, 1):
        assert (await cart.sale(number, "expired"))["end_reason"] == "payment_expired"
        assert await house.postings(cart.sales[number]) == []
    await cart.assert_at_zero()


async def test_late_money_brings_one_sale_back_and_returns_the_other(house: House) -> None:
    cart = await Cart.placed(house, stock_kind="one_of_a_kind", stock=1)
    await cart.expire()
    # Somebody else has the only lamp meanwhile.
    await house.order(cart.goods[0], by=f"other-{uuid.uuid4().hex[:8]}")
    await cart.pay_late()
    await cart.sale(0, "refunded")
    await cart.until("paid")
    await cart.complete(1)
    assert await cart.earned() == [0, 4_600, 0]
    await cart.assert_at_zero()


async def test_an_order_is_called_off_before_it_is_paid(house: House) -> None:
    cart = await Cart.placed(house)
    path = f"/v1/orders/{cart.order['id']}/cancel"
    calls = (house.call("POST", path, by=cart.buyer, json={"note": "No."}) for _ in range(2))
    answers = await asyncio.gather(*calls)
    assert [(each.status_code, each.json()["phase"]) for each in answers] == [(200, "expired")] * 2
    assert await cart.stock() == [5, 5]
    await cart.assert_at_zero()
    # Late money finds no use: everything goes back, though the pieces are there.
    await cart.pay_late()
    for number in (0, 1):
        await cart.sale(number, "refunded")
    assert await cart.earned() == [0, 0, 0]
    await cart.until("paid")
    await cart.assert_at_zero()


async def test_fifty_carts_and_one_lamp(house: House) -> None:
    tail = uuid.uuid4().hex[:8]
    lamp = await house.listing(f"seller-{tail}", stock_kind="one_of_a_kind", stock=1)
    bowl = await house.listing(f"potter-{tail}", price=5_000, stock=100)
    buyers = [f"buyer-{number}-{tail}" for number in range(50)]
    wanted = {"lines": lines(lamp, bowl)}

    answers = await asyncio.gather(
        *(house.patiently("/v1/orders", wanted, by=buyer) for buyer in buyers)
    )
    assert sorted(each.status_code for each in answers) == [201, *[409] * 49]
    assert {each.json()["code"] for each in answers if each.status_code == 409} == {"out_of_stock"}

    async def left() -> bool:
        found = await house.get(f"/v1/listings/{bowl['id']}", by=buyers[0])
        return bool(found["stock"] == 99)

    await eventually(left)
