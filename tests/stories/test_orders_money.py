"""What the buyer's bank takes back of an order's one payment, and what goes back of one of its sales."""

from __future__ import annotations

from tests.api.client import assert_problem
from tests.stories.carts import Cart
from tests.stories.chargebacks import balance, borne, decided, opened, posted_by_chargebacks
from tests.stories.house import House
from tests.stories.money import payment_reference, refund_of, settled


async def owed(cart: Cart) -> list[int]:
    """What the sellers and the buyer owe the platform."""
    people = (*(sale["seller_id"] for sale in cart.sales), cart.order["buyer_id"])
    return [balance(cart.house, "receivable", each) for each in people]


async def test_the_bank_takes_everything_before_the_sales_end(house: House) -> None:
    cart = await Cart.paid(house)
    await settled(house, cart.order)
    # A dispute that is won leaves no trace.
    await decided(house, await opened(house, cart.order, 1_000), won=True)
    await decided(house, await opened(house, cart.order, 25_000), won=False)
    assert posted_by_chargebacks(house, cart.sales[0]) == borne(20_000, escrow=20_000)
    assert posted_by_chargebacks(house, cart.sales[1]) == borne(5_000, escrow=5_000)
    for number in (0, 1):
        # Nobody makes or sends anything for money that is gone.
        path = f"/v1/sales/{cart.sales[number]['id']}/accept"
        answer = await house.call("POST", path, by=cart.sellers[number], json={})
        assert_problem(answer, 409, "wrong_phase")
        await cart.act(number, "decline")
        assert (await cart.sale(number, "refunded"))["end_reason"] == "declined"
    assert await cart.earned() == [0, 0, 0]
    assert await owed(cart) == [0, 0, 0]
    await cart.assert_at_zero()


async def test_a_part_is_taken_from_each_sale_by_what_is_left_of_it(house: House) -> None:
    cart = await Cart.paid(house)
    await settled(house, cart.order)
    await cart.complete(1)
    # One sale has ended, the other has not: 10,001 of 25,000 are 8,001 of one and 2,000 of the other.
    await decided(house, await opened(house, cart.order, 10_001), won=False)
    assert posted_by_chargebacks(house, cart.sales[0]) == borne(8_001, escrow=8_001)
    lost = borne(2_000, fee=160, payable=1_840)
    assert sorted(posted_by_chargebacks(house, cart.sales[1])) == sorted(lost)
    await cart.complete(0)
    # Of 20,000 are 11,999 left, of which 8 % are commission.
    assert await cart.earned() == [11_040, 2_760, 0]
    assert await owed(cart) == [0, 0, 0]
    await cart.assert_at_zero()


async def test_after_a_refund_the_other_sale_bears_its_part_and_the_buyer_the_rest(
    house: House,
) -> None:
    cart = await Cart.paid(house)
    await settled(house, cart.order)
    dispute = await opened(house, cart.order, 25_000)
    await house.misbehave("refund", "refund_refused", subject=payment_reference(house, cart.order))
    await cart.act(0, "decline")
    await cart.complete(1)
    refund = await refund_of(house, cart.sales[0], "refused", by=cart.buyer)
    await decided(house, dispute, won=False)
    lost = borne(5_000, fee=400, payable=4_600)
    assert sorted(posted_by_chargebacks(house, cart.sales[1])) == sorted(lost)
    assert posted_by_chargebacks(house, cart.sales[0]) == []
    assert await owed(cart) == [0, 0, 20_000]
    # The provider does not send that one part back: the buyer has it as balance, besides what they owe.
    await house.post(f"/v1/refunds/{refund['id']}/accept-balance", by=cart.buyer)
    await cart.sale(0, "refunded")
    assert await cart.earned() == [0, 0, 20_000]
    await cart.assert_at_zero()
