"""Returns: goods that go back, part of the price or other goods for them, and what silence of either side brings."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.client import assert_problem
from tests.stories.chargebacks import balance, decided, disputed, opened
from tests.stories.comebacks import DAY, Back, completed, delivered
from tests.stories.deals import Deal, refused
from tests.stories.house import House, Json
from tests.stories.money import assert_sound, refund_of

PRICE, SHARE = 20_000, 18_400


def back_from_seller(amount: int, seller: int, fee: int, royalty: int = 0) -> list[str]:
    """What is posted when released money goes back."""
    lines = [
        f"return: debit payable:seller {seller}",
        f"return: debit fee:platform {fee}",
        f"return: debit royalty:glaze {royalty}",
        f"return: credit refund_due:ref {amount}",
    ]
    return [line for line in lines if not line.endswith(" 0")]


async def house_sale(deal: Deal) -> Json:
    """The sale as it stands."""
    return await deal.house.get(f"/v1/sales/{deal.id}", by=deal.buyer)


async def finish(deal: Deal) -> None:
    """The buyer confirms what they keep, and the sale ends with all of its accounts at 0."""
    if (await house_sale(deal))["phase"] == "delivered":
        await deal.act("confirm", deal.buyer)
    await deal.closed()


async def test_a_change_of_mind_within_seven_days(house: House) -> None:
    deal = await delivered(house)
    back = await Back.opened(deal, "no_reason")
    assert (await back.now())["phase"] == "agreed"
    due = await back.deadline()
    assert (due["name"], due["postings"]) == ("shipment back", [])
    number = await back.ship()
    await house.scan(number, "in_transit")
    await house.scan(number, "delivered")
    await back.until("received")
    promised = deal.promised(await back.deadline())
    assert promised == [f"debit escrow:sale {PRICE}", f"credit refund_due:ref {PRICE}"]
    await back.act("accept", deal.seller)
    await back.ended("refunded", back=PRICE)
    await finish(deal)
    assert await house.payable(deal.seller) == 0
    assert (await deal.until("completed"))["refund"] is None


async def test_one_of_two_equal_lines_comes_back_after_completion(house: House) -> None:
    """The worked example: 20,000, 8 % commission, 3 % royalty, half of it returned."""
    deal = await completed(
        house, price=10_000, quantity=2, royalty_basis_points=300, royalty_sku="glaze"
    )
    assert await house.payable(deal.seller) == 17_800
    back = await Back.received(deal)
    await back.act("accept", deal.seller)
    await back.ended("refunded", back=10_000)
    await deal.closed()
    assert await deal.posted("return") == [
        line.removeprefix("return: ") for line in back_from_seller(10_000, 8_900, 800, 300)
    ]
    assert await house.payable(deal.seller) == 8_900


async def test_a_seller_who_was_paid_out_owes_it(house: House) -> None:
    deal = await completed(house)
    house.sql("UPDATE users SET frozen_at = NULL WHERE id = %s", deal.sale["seller_id"])
    paid = await house.post(
        "/v1/payout-destinations",
        {"account": f"6222{deal.id[-12:]}", "holder": "Lin", "automatic": False},
        by=deal.seller,
    )
    assert paid["id"]
    await house.post("/v1/payouts", {}, by=deal.seller)
    assert await house.payable(deal.seller) == 0
    back = await Back.received(deal)
    await back.act("accept", deal.seller)
    await back.ended("refunded", back=PRICE)
    assert balance(house, "receivable", deal.sale["seller_id"]) == SHARE
    await deal.closed()
    # Later income pays it first.
    await Deal.of(house, deal.lamp, f"{deal.buyer}-2", deal.seller)


@pytest.mark.parametrize("wants", ["refund", "exchange"])
async def test_silence_of_the_seller_accepts(house: House, wants: str) -> None:
    deal = await delivered(house)
    back = await Back.opened(deal, remedy=wants)
    assert (await back.deadline())["name"] == "answer"
    await back.let_pass(5 * DAY + 1)
    await back.until("agreed")
    number = await back.ship()
    await house.scan(number, "delivered")
    await back.until("received")
    await back.let_pass(5 * DAY + 1)
    if wants == "exchange":
        await back.until("exchanging")
        await back.let_pass(14 * DAY + 1)
    await back.ended("refunded", back=PRICE)
    await finish(deal)
    assert await house.payable(deal.seller) == 0


async def test_silence_of_the_buyer_closes_the_return(house: House) -> None:
    deal = await delivered(house)
    back = await Back.opened(deal, "no_reason")
    await back.let_pass(10 * DAY + 1)
    await back.ended("closed")
    await finish(deal)
    assert await house.payable(deal.seller) == SHARE


async def test_only_what_is_to_go_back_is_locked(house: House) -> None:
    deal = await delivered(house, quantity=2, price=10_000)
    back = await Back.opened(deal, "no_reason")
    await deal.act("confirm", deal.buyer)
    assert (await deal.until("completed"))["closed_at"] is None
    assert await house.payable(deal.seller) == SHARE // 2
    await back.act("withdraw", deal.buyer)
    await back.ended("closed")
    await deal.closed()
    assert await house.payable(deal.seller) == SHARE


async def test_the_whole_price_is_locked_and_goes_back_after_completion(house: House) -> None:
    deal = await delivered(house)
    back = await Back.opened(deal)
    await deal.act("confirm", deal.buyer)
    assert await house.payable(deal.seller) == 0
    await back.act("refund", deal.seller)
    await back.ended("refunded", back=PRICE)
    await deal.closed()
    assert await house.payable(deal.seller) == 0
    assert await deal.posted("release") == []


async def test_a_part_of_the_price_is_offered_and_taken(house: House) -> None:
    deal = await delivered(house)
    back = await Back.opened(deal)
    done = await back.act("offer", deal.seller, amount={"amount": 5_000}, note="A scratch")
    assert done["offered"]["amount"] == 5_000
    assert deal.promised(await back.deadline()) == [
        "debit escrow:sale 5000",
        "credit refund_due:ref 5000",
    ]
    await back.act("take", deal.buyer)
    await back.ended("refunded", back=5_000)
    await finish(deal)
    assert await house.payable(deal.seller) == 15_000 - 1_200


async def test_silence_takes_an_offer_and_a_refused_offer_can_lapse(house: House) -> None:
    deal = await delivered(house)
    back = await Back.received(deal)
    await back.act("offer", deal.seller, amount={"amount": 1})
    await back.let_pass(5 * DAY + 1)
    await back.ended("refunded", back=1)
    await finish(deal)
    deal = await delivered(house)
    back = await Back.opened(deal)
    await back.act("offer", deal.seller, amount={"amount": 1})
    await back.act("reject", deal.buyer)
    await back.let_pass(5 * DAY + 1)
    await back.ended("closed")
    await finish(deal)
    assert await house.payable(deal.seller) == SHARE


async def test_a_refusal_stands_unless_the_seller_thinks_again(house: House) -> None:
    deal = await delivered(house)
    back = await Back.received(deal)
    await back.act("refuse", deal.seller, note="It was worn")
    await back.act("refund", deal.seller)
    await back.ended("refunded", back=PRICE)
    await finish(deal)


async def test_other_goods_in_exchange(house: House) -> None:
    deal = await delivered(house)
    back = await Back.received(deal, remedy="exchange")
    await back.act("accept", deal.seller)
    assert deal.promised(await back.deadline())[0] == f"debit escrow:sale {PRICE}"
    await back.ship("exchange", by=deal.seller)
    await back.act("confirm", deal.buyer)
    await back.ended("exchanged")
    await finish(deal)
    assert await house.payable(deal.seller) == SHARE
    deal = await delivered(house)
    back = await Back.received(deal, remedy="exchange")
    await back.act("accept", deal.seller)
    await back.ship("exchange", by=deal.seller)
    await back.let_pass(20 * DAY + 1)
    await back.ended("exchanged")
    await finish(deal)


@pytest.mark.parametrize(
    ("reason", "label", "phase", "back", "seller"),
    [
        ("no_reason", "seller", "closed", 0, SHARE),
        ("defective", "seller", "refunded", PRICE, 0),
        ("no_reason", "platform", "refunded", PRICE, PRICE),
    ],
)
async def test_goods_lost_on_their_way_back(
    house: House, reason: str, label: str, phase: str, back: int, seller: int
) -> None:
    deal = await delivered(house)
    lost = await Back.opened(deal, reason)
    if reason == "defective":
        await lost.act("agree", deal.seller)
    number = await lost.ship()
    await house.scan(number, "in_transit", label)
    if label == "platform":
        await house.scan(number, "lost", label)
    else:
        await lost.let_pass(10 * DAY + 3_600)
    await lost.ended(phase, back=back)
    await finish(deal)
    assert await house.payable(deal.seller) == seller


async def test_pieces_picked_up_are_handed_back_in_person(house: House) -> None:
    deal = await Deal.accepted(house, order={"delivery": "pickup"})
    await deal.act("ship", deal.seller)
    back = await Back.opened(deal, "no_reason")
    await back.act("ship", deal.buyer, note="At the shop")
    assert (await back.now())["phase"] == "received"
    await back.act("accept", deal.seller)
    await back.ended("refunded", back=PRICE)
    await finish(deal)


async def test_goodwill_before_and_after_completion(house: House) -> None:
    deal = await delivered(house)
    path = f"/v1/sales/{deal.id}/goodwill"
    given = await house.post(path, {"amount": {"amount": 1_000}, "note": "Late"}, by=deal.seller)
    assert (given["phase"], given["refunded"]["amount"]) == ("refunded", 1_000)
    await Back(deal, given["id"]).ended("refunded", back=1_000)
    await deal.act("confirm", deal.buyer)
    await deal.closed()
    earned = 19_000 - 1_520
    assert await house.payable(deal.seller) == earned
    given = await house.post(path, {"amount": {"amount": 480}}, by=deal.seller)
    await Back(deal, given["id"]).ended("refunded", back=480)
    assert await house.payable(deal.seller) == earned - 480
    answer = await house.call("POST", path, by=deal.seller, json={"amount": {"amount": earned}})
    await refused(answer, 409, "insufficient_funds")
    # What was given does not go back a second time.
    back = await Back.opened(deal)
    await back.act("refund", deal.seller)
    await back.ended("refunded", back=20_000 - 1_000 - 480)
    answer = await house.call("POST", path, by=deal.buyer, json={"amount": {"amount": 1}})
    assert_problem(answer, 403, "forbidden")
    await deal.closed()


async def test_what_cannot_be_sent_back_is_refused_without_effect(house: House) -> None:
    deal, _ = await Deal.shipped(house, quantity=2)
    await refused(await Back.try_to_open(deal), 409, "wrong_phase", "phase")
    await deal.act("confirm", deal.buyer)
    await deal.until("completed")
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"lines": [{"line": 1}]}, "lines[0].line"),
        ({"lines": [{"line": 0, "quantity": 3}]}, "lines[0].quantity"),
        ({"lines": [{"line": 0}, {"line": 0}]}, "lines"),
    ]
    for body, field in wrong:
        answer = await Back.try_to_open(deal, **body)
        await refused(answer, 422, "invalid_input", field)
    assert_problem(await Back.try_to_open(deal, by=deal.seller), 403, "forbidden")
    assert_problem(await Back.try_to_open(deal, by="stranger"), 404, "not_found")
    back = await Back.opened(deal, "no_reason", lines=[{"line": 0, "quantity": 2}])
    answer = await Back.try_to_open(deal)
    await refused(answer, 422, "invalid_input", "lines[0].quantity")
    for verb, by in (("agree", deal.seller), ("take", deal.buyer), ("accept", deal.seller)):
        await refused(await back.try_to(verb, by), 409, "wrong_phase", "phase")
    assert_problem(await back.try_to("refund", deal.buyer), 403, "forbidden")
    # Opening and withdrawing without end would fill the sale's timeline.
    house.sql(
        "INSERT INTO paths (id, kind, workflow_id, initiator_id, currency, phase) SELECT 'rtn_' || n || %s,"
        " 'return', 'return-' || n || %s, initiator_id, 'CNY', 'closed' FROM paths, generate_series(1, 29) n"
        " WHERE id = %s",
        deal.id,
        deal.id,
        deal.id,
    )
    house.sql(
        "INSERT INTO returns (id, sale_id, buyer_id, seller_id, terms, course, locked) SELECT 'rtn_' || n || %s,"
        " sale_id, buyer_id, seller_id, terms, course, '{}' FROM returns, generate_series(1, 29) n WHERE id = %s",
        deal.id,
        back.id,
    )
    await refused(await Back.try_to_open(deal), 409, "limit_reached")
    house.sql("DELETE FROM returns WHERE id <> %s AND sale_id = %s", back.id, deal.id)
    house.sql("DELETE FROM paths WHERE id LIKE 'rtn_%%' AND workflow_id LIKE %s", f"%{deal.id}")
    assert_problem(await back.try_to("refund", "stranger"), 404, "not_found")
    for amount in (1, 40_001):
        answer = await back.try_to("offer", deal.seller, amount={"amount": amount})
        assert answer.status_code in (409, 422)
    house.sql(
        "UPDATE sales SET delivered_at = delivered_at - interval '7 days',"
        " completed_at = completed_at - interval '15 days' WHERE id = %s",
        deal.id,
    )
    await back.act("withdraw", deal.buyer)
    for reason in ("no_reason", "defective"):
        await refused(await Back.try_to_open(deal, reason), 409, "too_late", "reason")
    await deal.closed()


async def test_made_to_order_goes_back_for_a_defect_only(house: House) -> None:
    deal = await delivered(
        house,
        order={"made_to_order_confirmed": True},
        stock_kind="made_to_order",
        lead_days=1,
        stock=0,
    )
    answer = await Back.try_to_open(deal, "no_reason")
    await refused(answer, 422, "invalid_input", "lines[0].line")
    back = await Back.opened(deal, "not_as_described")
    await back.act("refund", deal.seller)
    await back.ended("refunded", back=PRICE)
    await finish(deal)


async def test_nothing_goes_back_while_the_bank_has_the_money(house: House) -> None:
    deal = await delivered(house)
    back = await Back.received(deal)
    dispute = await opened(house, deal.sale)
    await refused(await back.try_to("accept", deal.seller), 409, "wrong_phase", "phase")
    await back.let_pass(5 * DAY + 1)
    assert (await back.now())["phase"] == "received"
    await decided(house, dispute, won=True)
    await back.act("accept", deal.seller)
    await back.ended("refunded", back=PRICE)
    await finish(deal)


async def test_what_the_bank_kept_does_not_go_back_again(house: House) -> None:
    deal = await delivered(house)
    back = await Back.received(deal)
    dispute = await disputed(house, deal.sale, 15_000)
    await decided(house, dispute, won=False)
    await back.act("accept", deal.seller)
    await back.ended("refunded", back=5_000)
    await finish(deal)
    await assert_sound(house)


async def test_a_refund_the_provider_refuses_becomes_balance(house: House) -> None:
    deal = await delivered(house)
    back = await Back.received(deal)
    await house.misbehave("refund", "refund_refused")
    await back.act("accept", deal.seller)
    await back.until("refunded")
    refund = await refund_of(house, deal.sale, "refused", by=deal.buyer)
    # The offer stands beside whatever else happens to the sale.
    await deal.act("confirm", deal.buyer)
    page = await house.get(f"/v1/sales/{deal.id}/deadlines", by=deal.buyer)
    assert [each["name"] for each in page["deadlines"]] == ["refund_offer"]
    await house.post(f"/v1/refunds/{refund['id']}/accept-balance", {}, by=deal.buyer)
    await finish(deal)
    assert await house.payable(deal.buyer) == PRICE


@pytest.mark.parametrize(
    ("steps", "phase", "back"),
    [
        ("seller: refuse, buyer: withdraw", "closed", 0),
        ("seller: agree, seller: refund", "refunded", PRICE),
        ("seller: agree, buyer: withdraw", "closed", 0),
        ("seller: agree, buyer: ship, seller: accept", "refunded", PRICE),
        ("seller: offer, seller: refund", "refunded", PRICE),
        ("seller: offer, buyer: withdraw", "closed", 0),
        ("buyer: withdraw", "closed", 0),
    ],
)
async def test_every_other_way_through_a_return(
    house: House, steps: str, phase: str, back: int
) -> None:
    deal = await delivered(house)
    one = await Back.opened(deal)
    for step in steps.split(", "):
        who, verb = step.split(": ")
        if verb == "ship":
            await one.ship()
            continue
        body = {"amount": {"amount": 500}} if verb == "offer" else {}
        await one.act(verb, deal.buyer if who == "buyer" else deal.seller, **body)
    await one.ended(phase, back=back)
    await finish(deal)
    assert await house.payable(deal.seller) == (0 if back else SHARE)


@pytest.mark.parametrize("verb", ["refund", "withdraw"])
async def test_an_exchange_that_is_given_up(house: House, verb: str) -> None:
    deal = await delivered(house)
    one = await Back.received(deal, remedy="exchange")
    await one.act("accept", deal.seller)
    if verb == "withdraw":
        await one.ship("exchange", by=deal.seller)
    await one.act(verb, deal.buyer if verb == "withdraw" else deal.seller)
    back = PRICE if verb == "refund" else 0
    await one.ended("refunded" if back else "closed", back=back)
    await finish(deal)
