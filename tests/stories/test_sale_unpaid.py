"""Orders nobody pays, or pays too late: the pieces go back on sale once, and late money finds its way."""

from __future__ import annotations

import asyncio

from tests.stories.deals import DAY, Deal, funded, people, released
from tests.stories.house import House, Json
from tests.waiting import eventually


async def at_the_provider(house: House, sale: Json) -> str:
    """The payment's status at the sandbox."""
    reference = sale["payment"]["checkout_url"].rpartition("/")[2]
    answer = await house.sandbox.get(f"/v1/payments/{reference}")
    assert answer.status_code == 200, answer.text
    return str(answer.json()["status"])


async def assert_expired(deal: Deal, last: str = "payment_expired by system") -> None:
    """Nothing was paid, nothing posted, everything is back."""
    sale = await deal.until("expired")
    assert sale["payment"]["status"] == "expired"
    assert sale["closed_at"] is not None
    assert await at_the_provider(deal.house, sale) == "canceled"
    assert await deal.house.postings(deal.sale) == []
    assert await deal.timeline() == ["placed by buyer", last]
    assert await deal.stock() == 5
    await deal.house.assert_at_zero(deal.sale)


async def test_an_order_nobody_pays_expires_after_a_quarter_of_an_hour(house: House) -> None:
    deal = await Deal.placed(house, quantity=2)
    assert await deal.stock() == 3
    await deal.expire()
    await assert_expired(deal)
    # The provider's page takes no money any more.
    assert (await house.pay(deal.sale)).status_code == 409


async def test_a_buyer_who_cancels_before_paying_owes_nothing(house: House) -> None:
    deal = await Deal.placed(house)
    # Twice at once: both hear how it ended.
    answers = await asyncio.gather(*(deal.try_to("cancel", deal.buyer) for _ in range(2)))
    assert [(a.status_code, a.json()["phase"]) for a in answers] == [(200, "expired")] * 2
    await assert_expired(deal, "cancelled by buyer")


async def test_late_money_for_an_order_that_was_called_off_goes_back(house: House) -> None:
    """The pieces are still there, but somebody has said that the order is off."""
    deal = await Deal.placed(house)
    await deal.act("cancel", deal.buyer, note="Changed my mind.")
    sale = await deal.until("expired")
    assert sale["end_reason"] == "cancelled"
    await deal.pay_late()
    events = ["placed by buyer", "cancelled by buyer", "late_payment_returned by provider"]
    await deal.assert_refunded("late_payment_returned", stock=5, events=events)


async def test_money_faster_than_the_cancelling_buyer_goes_back_in_full(house: House) -> None:
    deal = await Deal.placed(house)
    # The payer is faster, but its webhook is lost: the platform learns of the money when it closes the payment.
    await house.misbehave("webhook", "drop", subject=deal.sale["payment"]["id"])
    assert (await house.pay(deal.sale)).status_code == 200
    answer = await deal.act("cancel", deal.buyer)
    assert answer["phase"] in ("refunding", "refunded")
    events = ["placed by buyer", "payment_captured by provider", "cancelled by buyer"]
    await deal.assert_refunded("cancelled", stock=5, events=events)


async def test_late_money_revives_an_expired_order_whose_pieces_are_still_there(
    house: House,
) -> None:
    deal = await Deal.placed(house, stock_kind="one_of_a_kind", stock=1)
    await deal.expire()
    assert await deal.stock() == 1
    await deal.pay_late()
    sale = await deal.until("paid")
    assert (sale["closed_at"], await deal.stock()) == (None, 0)
    refund = ["debit escrow:sale 20000", "credit refund_due:ref 20000"]
    assert await deal.expect("acceptance", 3 * DAY) == refund

    # The story has started again: an act may come before it has.
    async def accepted() -> bool:
        return (await deal.try_to("accept", deal.seller)).status_code == 200

    await eventually(accepted)
    number = await deal.ship()
    await house.scan(number, "delivered")
    await deal.until("delivered")
    await deal.act("confirm", deal.buyer)
    assert await house.postings(deal.sale) == funded(20_000) + released(18_400, 1_600)
    assert await deal.timeline() == [
        "placed by buyer",
        "payment_expired by system",
        "late_payment_accepted by provider",
        "accepted by seller",
        "shipped by seller",
        "delivered by carrier",
        "confirmed by buyer",
    ]
    assert await deal.stock() == 0
    await house.assert_at_zero(deal.sale)


async def test_late_money_goes_back_when_somebody_else_has_the_pieces(house: House) -> None:
    late = await Deal.placed(house, stock_kind="one_of_a_kind", stock=1)
    await late.expire()
    second = await Deal.of(house, late.lamp, people()[0], late.seller)
    await late.pay_late()
    await late.assert_refunded(
        "late_payment_returned",
        stock=0,
        events=[
            "placed by buyer",
            "payment_expired by system",
            "late_payment_returned by provider",
        ],
    )
    await second.pay()
    await second.accept()
    await second.ship()
    await second.act("confirm", second.buyer)
    assert await house.postings(second.sale) == funded(20_000) + released(18_400, 1_600)
    await house.assert_at_zero(second.sale)
    assert await second.posted("refund") == []
