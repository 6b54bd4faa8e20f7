"""Sales that go well, through the REST API, each ending with the path's accounts at 0."""

from __future__ import annotations

from domain import accounts, postings
from ledger import journal
from tests.stories.deals import DAY, HOUR, MINUTE, Deal, funded, people, released
from tests.stories.house import House

DELIVERED_AND_CONFIRMED = [
    "placed by buyer",
    "payment_captured by provider",
    "accepted by seller",
    "shipped by seller",
    "delivered by carrier",
    "confirmed by buyer",
]


async def test_from_order_to_the_sellers_balance_with_every_deadline(house: House) -> None:
    deal = await Deal.placed(house, royalty_basis_points=300, royalty_sku="sku-lamp")
    assert await deal.stock() == 4
    assert await deal.expect("payment", 15 * MINUTE) == []
    refund = ["debit escrow:sale 20000", "credit refund_due:ref 20000"]
    await deal.pay()
    assert await deal.expect("acceptance", 72 * HOUR) == refund
    await deal.accept()
    assert await deal.expect("shipment", 14 * DAY) == refund
    number = await deal.ship()
    assert await deal.expect("scan", 10 * DAY) == refund
    await house.scan(number, "delivered")
    await deal.until("delivered")
    promised = await deal.expect("confirmation", 10 * DAY)
    done = await deal.act("confirm", deal.buyer)

    assert done["phase"] == "completed"
    assert await house.payable(deal.seller) == 17_800
    lines = released(17_800, 1_600, **{"sku-lamp": 600})
    assert await house.postings(deal.sale) == funded(20_000) + lines
    assert await deal.posted("release") == promised
    assert await deal.timeline() == DELIVERED_AND_CONFIRMED
    assert await deal.stock() == 4
    await house.assert_at_zero(deal.sale)


async def test_silence_for_thirty_days_still_pays_the_seller(house: House) -> None:
    deal, number = await Deal.shipped(house)
    await house.scan(number, "delivered")
    await deal.until("delivered")
    promised = await deal.expect("confirmation", 10 * DAY)
    await deal.let_pass(30 * DAY)
    await deal.until("completed")
    assert await deal.posted("release") == promised
    assert (await deal.timeline())[-1] == "confirmation_lapsed by system"
    assert await house.payable(deal.seller) == 18_400
    await house.assert_at_zero(deal.sale)


async def test_pieces_picked_up_are_handed_over_in_person_and_complete_after_two_days(
    house: House,
) -> None:
    deal = await Deal.accepted(house, order={"delivery": "pickup"})
    await deal.act("ship", deal.seller, note="Met at the workshop")
    await deal.until("delivered")
    promised = await deal.expect("confirmation", 2 * DAY)
    await deal.let_pass(2 * DAY + 1)
    done = await deal.until("completed")
    assert done["parcel"] is None
    assert await deal.posted("release") == promised
    assert (await deal.timeline())[-2:] == [
        "handed_over by seller",
        "confirmation_lapsed by system",
    ]
    await house.assert_at_zero(deal.sale)


async def test_the_buyer_may_confirm_before_the_carrier_reports(house: House) -> None:
    deal, number = await Deal.shipped(house)
    done = await deal.act("confirm", deal.buyer)
    assert done["phase"] == "completed"
    # The carrier's word comes too late to change anything.
    await house.scan(number, "lost")
    assert await deal.posted("release") == [
        "debit escrow:sale 20000",
        "credit payable:seller 18400",
        "credit fee:platform 1600",
    ]
    assert (await deal.timeline())[-1] == "confirmed by buyer"
    await house.assert_at_zero(deal.sale)


async def test_price_and_royalty_of_several_lines_are_those_of_the_order(house: House) -> None:
    buyer, seller = people()
    lamp = await house.listing(
        seller, price=20_000, royalty_basis_points=300, royalty_sku="sku-lamp"
    )
    bowl = await house.listing(seller, price=999, royalty_basis_points=50, royalty_sku="sku-bowl")
    lines = [
        {"listing_id": lamp["id"], "quantity": 2},
        {"listing_id": bowl["id"], "quantity": 3},
    ]
    sale = await house.post("/v1/sales", {"lines": lines}, by=buyer)
    for listing in (lamp, bowl):
        changed = await house.call(
            "PATCH",
            f"/v1/listings/{listing['id']}",
            by=seller,
            json={"unit_price": {"amount": 7_000_000}, "on_sale": False},
        )
        assert changed.status_code == 200
        # No request changes a royalty once it is given; a row that changed all the same must not matter.
        house.sql("UPDATE listings SET royalty_basis_points = 9000 WHERE id = %s", listing["id"])
    await house.pay(sale)
    await house.until(sale, "paid", by=buyer)
    await house.shipped(sale, by=seller)
    done = await house.act(sale, "confirm", by=buyer)

    assert [line["unit_price"]["amount"] for line in done["lines"]] == [20_000, 999]
    assert [line["fee"]["amount"] for line in done["lines"]] == [3_200, 240]
    assert [line["royalty"]["amount"] for line in done["lines"]] == [1_200, 15]
    total = 40_000 + 2_997
    assert done["total"]["amount"] == total
    royalties = {"sku-lamp": 1_200, "sku-bowl": 15}
    lines_posted = released(total - 3_440 - 1_215, 3_440, **royalties)
    assert await house.postings(sale) == funded(total) + lines_posted
    await house.assert_at_zero(sale)


async def test_yen_have_no_decimals(house: House) -> None:
    deal, _ = await Deal.shipped(house, price=1_234, currency="JPY", quantity=3)
    assert deal.sale["total"] == {"amount": 3_702, "currency": "JPY", "text": "JPY 3,702"}
    await deal.act("confirm", deal.buyer)
    assert await house.postings(deal.sale) == funded(3_702) + released(3_406, 296)
    assert await house.payable(deal.seller, "JPY") == 3_406
    assert await house.payable(deal.seller, "CNY") == 0
    await house.assert_at_zero(deal.sale)


async def test_dinars_have_three_decimals(house: House) -> None:
    deal, _ = await Deal.shipped(
        house, price=12_345, currency="KWD", royalty_basis_points=1, royalty_sku="sku-dinar"
    )
    assert deal.sale["total"]["text"] == "KWD 12.345"
    await deal.act("confirm", deal.buyer)
    lines = released(12_345 - 988 - 1, 988, **{"sku-dinar": 1})
    assert await house.postings(deal.sale) == funded(12_345) + lines
    await house.assert_at_zero(deal.sale)


async def test_of_a_single_minor_unit_the_commission_rounds_to_nothing(house: House) -> None:
    deal, _ = await Deal.shipped(house, price=1)
    await deal.act("confirm", deal.buyer)
    assert await house.postings(deal.sale) == funded(1) + released(1, 0)
    await house.assert_at_zero(deal.sale)


async def test_of_a_single_minor_unit_the_royalty_may_take_all(house: House) -> None:
    deal, _ = await Deal.shipped(house, price=1, royalty_basis_points=9_200, royalty_sku="sku-all")
    await deal.act("confirm", deal.buyer)
    assert await house.postings(deal.sale) == funded(1) + released(0, 0, **{"sku-all": 1})
    assert await house.payable(deal.seller) == 0
    await house.assert_at_zero(deal.sale)


async def test_a_debt_of_the_seller_is_paid_from_the_release(house: House) -> None:
    deal, _ = await Deal.shipped(house)
    seller = deal.sale["seller_id"]
    async with house.database.transaction() as session:
        # What a chargeback after a payout leaves behind: 5,000 owed, and the loss of the platform in between.
        owed = postings.entry(
            postings.EntryKind.REVERSAL,
            f"test/{deal.id}/debt",
            "CNY",
            [postings.Share(account=accounts.receivable(seller), amount=5_000)],
            [postings.Share(account=accounts.LOSS, amount=5_000)],
        )
        await journal.post(session, owed)
    await deal.act("confirm", deal.buyer)
    assert await house.postings(deal.sale) == [
        *funded(20_000),
        *released(18_400, 1_600),
        "netting: debit payable:seller 5000",
        "netting: credit receivable:seller 5000",
    ]
    assert await house.payable(deal.seller) == 13_400
    await house.assert_at_zero(deal.sale)
