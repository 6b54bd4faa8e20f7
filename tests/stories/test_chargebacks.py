"""The payer's bank takes a payment back: won or lost, before or after the money was released, whole, in part, or more."""

from __future__ import annotations

from tests.stories.chargebacks import (
    BANK_FEE,
    balance,
    borne,
    chargeback_at,
    decided,
    disputed,
    given_back,
    in_dispute,
    opened,
    posted_by_chargebacks,
    story_of_chargeback,
    taken,
)
from tests.stories.deals import DAY, Deal, people, refused
from tests.stories.house import House, Json
from tests.stories.money import (
    PRICE,
    SHARE,
    all_answered,
    destination,
    earned,
    inbox,
    payout_at,
    redeliver,
    refund_of,
    settled,
    take_out,
    unheard,
)
from tests.stories.test_second_looks import calls_operator, gone, grown_older, news
from tests.waiting import eventually

COMMISSION = PRICE - SHARE


async def sold(house: House) -> tuple[Json, str]:
    """A finished sale whose money the seller has taken out, and the seller."""
    _, seller = people()
    sale = await earned(house, seller)
    await destination(house, seller)
    await payout_at(house, await take_out(house, seller), "paid", by=seller)
    return sale, seller


async def handed_over(house: House) -> Deal:
    """A sale whose buyer has the pieces and has not confirmed."""
    deal = await Deal.accepted(house, order={"delivery": "pickup"})
    await deal.act("ship", deal.seller)
    await settled(house, deal.sale)
    return deal


async def test_won_before_the_release(house: House) -> None:
    deal = await handed_over(house)
    dispute = await opened(house, deal.sale)
    assert posted_by_chargebacks(house, deal.sale) == taken(PRICE)
    await calls_operator(house, story_of_chargeback(deal.sale))
    cases = "SELECT state, outcome, amount, due_at > now() FROM cases WHERE path_id = %s"
    assert house.sql(cases, deal.id) == [("open", None, PRICE, True)]
    # What the bank has taken back is not paid out to the seller.
    await refused(await deal.try_to("confirm", deal.buyer), 409, "path_not_empty")
    assert await house.payable(deal.seller) == 0

    await decided(house, dispute, won=True)
    assert house.sql(cases, deal.id) == [("closed", "won", PRICE, True)]
    await deal.act("confirm", deal.buyer)
    assert await house.payable(deal.seller) == SHARE
    assert posted_by_chargebacks(house, deal.sale) == [*taken(PRICE), *given_back(PRICE)]
    assert (await deal.timeline())[-3:] == [
        "chargeback_opened by provider",
        "chargeback_won by provider",
        "confirmed by buyer",
    ]
    await house.workflow(story_of_chargeback(deal.sale)).result()
    await calls_operator(house, story_of_chargeback(deal.sale), called=False)
    await house.assert_at_zero(deal.sale)


async def test_a_sale_that_could_not_complete_goes_on_when_the_bank_has_decided(
    house: House,
) -> None:
    deal = await handed_over(house)
    dispute = await opened(house, deal.sale)
    await deal.let_pass(2 * DAY + 1)
    await calls_operator(house, house.story_of(deal.sale))
    await decided(house, dispute, won=True)
    await deal.until("completed")
    assert await house.payable(deal.seller) == SHARE
    await house.assert_at_zero(deal.sale)


async def test_lost_before_the_release(house: House) -> None:
    deal = await handed_over(house)
    await decided(house, await opened(house, deal.sale), won=False)
    assert posted_by_chargebacks(house, deal.sale) == [*taken(PRICE), *borne(PRICE, escrow=PRICE)]
    assert in_dispute(house, deal.sale) == 0
    await calls_operator(house, story_of_chargeback(deal.sale), called=False)
    # The seller gets nothing out of an empty escrow, and the sale ends all the same.
    await deal.act("confirm", deal.buyer)
    assert await house.payable(deal.seller) == 0
    ended = await house.get(f"/v1/sales/{deal.sale['id']}", by=deal.buyer)
    assert (ended["phase"], ended["end_reason"]) == ("completed", "charged_back")
    await house.workflow(story_of_chargeback(deal.sale)).result()
    await house.assert_at_zero(deal.sale)


async def test_lost_in_part_before_the_release(house: House) -> None:
    """The seller gets what the bank has left, by the frozen shares, and gives back that and no more."""
    deal = await handed_over(house)
    await decided(house, await opened(house, deal.sale, 5_000), won=False)
    assert posted_by_chargebacks(house, deal.sale) == [*taken(5_000), *borne(5_000, escrow=5_000)]
    money_not_kept(house, deal.sale)
    waits = await deal.deadline()
    assert waits["postings"][0]["amount"]["amount"] == 15_000
    await deal.let_pass(2 * DAY + 1)
    await deal.until("completed")
    assert await house.payable(deal.seller) == 13_800
    assert "CNY 150.00 released" in await last_words(house, deal)
    await house.assert_at_zero(deal.sale)

    await decided(house, await opened(house, deal.sale, 15_000), won=False)
    assert posted_by_chargebacks(house, deal.sale)[-3:] == borne(15_000, payable=13_800, fee=1_200)
    assert await house.payable(deal.seller) == 0
    await house.assert_at_zero(deal.sale)


async def test_lost_before_the_seller_has_sent_anything(house: House) -> None:
    """Called off, the buyer gets back what their bank has not taken already: the rest, or nothing."""
    deal = await Deal.paid(house)
    await settled(house, deal.sale)
    await decided(house, await opened(house, deal.sale, 5_000), won=False)
    await deal.act("cancel", deal.buyer)
    await deal.until("refunded")
    refunds = "SELECT amount FROM refunds WHERE path_id = %s"
    assert house.sql(refunds, deal.sale["id"]) == [(15_000,)]
    await house.assert_at_zero(deal.sale)

    other = await Deal.paid(house)
    await settled(house, other.sale)
    await decided(house, await opened(house, other.sale), won=False)
    await other.act("decline", other.seller)
    await other.until("refunded")
    assert house.sql(refunds, other.sale["id"]) == []
    assert await house.payable(other.buyer) == await house.payable(other.seller) == 0
    await house.assert_at_zero(other.sale)


def money_not_kept(house: House, sale: Json) -> None:
    """As if it had happened before the platform kept where the money of each line is."""
    house.sql("UPDATE sales SET money = NULL WHERE id = %s", sale["id"])


async def last_words(house: House, deal: Deal) -> str:
    """The summary of the newest event of the sale."""
    told = await house.get(f"/v1/sales/{deal.sale['id']}/timeline", by=deal.seller)
    return str(told["items"][-1]["summary"])


async def test_lost_after_the_seller_has_taken_the_money_out(house: House) -> None:
    sale, seller = await sold(house)
    money_not_kept(house, sale)
    dispute = await opened(house, sale)
    closed = "SELECT closed_at IS NULL FROM paths WHERE id = %s"
    assert house.sql(closed, sale["id"]) == [(True,)], "open again while the money is disputed"
    await decided(house, dispute, won=False)
    assert posted_by_chargebacks(house, sale) == [
        *taken(PRICE),
        *borne(PRICE, receivable=SHARE, fee=COMMISSION),
    ]
    assert balance(house, "receivable", sale["seller_id"]) == SHARE
    await house.workflow(story_of_chargeback(sale)).result()
    await house.assert_at_zero(sale)

    # The next income pays the debt first.
    await earned(house, seller, price=30_000)
    assert balance(house, "receivable", sale["seller_id"]) == 0
    assert await house.payable(seller) == 27_600 - SHARE


async def test_won_after_the_end(house: House) -> None:
    sale, seller = await sold(house)
    await decided(house, await opened(house, sale), won=True)
    assert posted_by_chargebacks(house, sale) == [*taken(PRICE), *given_back(PRICE)]
    assert await house.payable(seller) == 0
    await house.workflow(story_of_chargeback(sale)).result()
    await house.assert_at_zero(sale)


async def test_in_parts_one_after_the_other(house: House) -> None:
    """Each part gives back its part of the commission; together exactly all of it."""
    _, seller = people()
    sale = await earned(house, seller)
    parts = {7_777: 622, 3_333: 266, 8_890: 712}
    assert (sum(parts), sum(parts.values())) == (PRICE, COMMISSION)
    expected: list[str] = []
    for amount, fee in parts.items():
        await decided(house, await opened(house, sale, amount), won=False)
        expected += [*taken(amount), *borne(amount, payable=amount - fee, fee=fee)]
    assert posted_by_chargebacks(house, sale) == expected
    assert await house.payable(seller) == balance(house, "receivable", sale["seller_id"]) == 0
    await house.assert_at_zero(sale)


async def test_several_at_once_and_decided_differently(house: House) -> None:
    _, seller = people()
    sale = await earned(house, seller)
    first, second = await opened(house, sale, 5_000), await opened(house, sale, 10_000)
    assert in_dispute(house, sale) == 15_000
    await decided(house, second, won=True)
    assert in_dispute(house, sale) == 5_000
    await decided(house, first, won=False)
    assert await house.payable(seller) == SHARE - 4_600
    await house.workflow(story_of_chargeback(sale)).result()
    await house.assert_at_zero(sale)


async def test_more_than_the_payment(house: House) -> None:
    """Banks add costs and exchange rates: the seller gives back what they got, the rest is the platform's loss."""
    sale, _ = await sold(house)
    dispute = await opened(house, sale, PRICE + 1_234, over=True)
    # Other sales may have fed the fund, which pays before the platform does.
    protected = min(balance(house, "protection_fund", "platform"), 1_234)
    await decided(house, dispute, won=False)
    expected = borne(
        PRICE + 1_234,
        receivable=SHARE,
        fee=COMMISSION,
        protection_fund=protected,
        loss=1_234 - protected,
    )
    assert posted_by_chargebacks(house, sale)[-len(expected) :] == expected
    await house.assert_at_zero(sale)


async def test_a_buyer_who_has_the_money_twice_owes_it(house: House) -> None:
    """Called off while the bank has the money: the refund is refused, credited, and then the bank keeps it as well."""
    deal = await Deal.paid(house)
    await settled(house, deal.sale)
    dispute = await opened(house, deal.sale)
    await deal.act("cancel", deal.buyer)
    refund = await refund_of(house, deal.sale, "refused", by=deal.buyer)

    async def accepted() -> bool:
        # The refusal is in the books a moment before its story knows of it.
        place = f"/v1/refunds/{refund['id']}/accept-balance"
        return (await house.call("POST", place, by=deal.buyer)).status_code == 200

    await eventually(accepted)
    await deal.until("refunded")
    await decided(house, dispute, won=False)
    assert posted_by_chargebacks(house, deal.sale)[-2:] == borne(PRICE, payable=PRICE)
    assert await house.payable(deal.buyer) == await house.payable(deal.seller) == 0
    await house.assert_at_zero(deal.sale)


async def test_the_order_and_number_of_webhooks_do_not_matter(house: House) -> None:
    _, seller = people()
    sale = await earned(house, seller)
    payment = sale["payment"]["id"]
    async with unheard(house):
        dispute = await disputed(house, sale)
        close = await house.sandbox.post(f"/v1/disputes/{dispute}/close", json={"won": False})
        close.raise_for_status()
    for kind in ("closed", "closed", "opened", "closed", "opened"):
        await news(house, f"dispute.{kind}", payment)
    await chargeback_at(house, dispute, "lost")
    await all_answered(house, payment)
    await house.workflow(story_of_chargeback(sale)).result()
    assert posted_by_chargebacks(house, sale) == [
        *taken(PRICE),
        *borne(PRICE, payable=SHARE, fee=COMMISSION),
    ]
    timeline = (await house.get(f"/v1/sales/{sale['id']}/timeline", by=seller))["items"]
    assert [each["kind"] for each in timeline][-2:] == ["chargeback_opened", "chargeback_lost"]
    assert "CNY 200.00" in timeline[-1]["summary"]
    await house.assert_at_zero(sale)


async def test_news_of_a_dispute_before_that_of_the_payment(house: House) -> None:
    """The payment is looked at first; the dispute's news waits in the inbox for that."""
    deal = await Deal.placed(house)
    payment = deal.sale["payment"]["id"]
    async with unheard(house):
        assert (await house.pay(deal.sale)).status_code == 200
        await house.sandbox.post(f"/v1/payments/{reference_at_provider(house, payment)}/dispute")
    await news(house, "dispute.opened", payment)
    await deal.until("paid")
    assert ("dispute.opened", "received") in await inbox(house, payment)
    due = "UPDATE webhook_inbox SET next_attempt_at = now() WHERE subject = %s"
    house.sql(due, payment)
    await redeliver(house)
    await all_answered(house, payment)
    assert posted_by_chargebacks(house, deal.sale) == taken(PRICE)
    [(dispute,)] = house.sql("SELECT reference FROM chargebacks WHERE payment_id = %s", payment)
    await decided(house, dispute, won=True)
    await deal.act("cancel", deal.buyer)
    await deal.until("refunded")
    await house.assert_at_zero(deal.sale)


def reference_at_provider(house: House, payment: str) -> str:
    """The provider's name of a payment that is not captured in our books."""
    [(url,)] = house.sql("SELECT checkout_url FROM payments WHERE id = %s", payment)
    return str(url).rsplit("/", 1)[-1]


async def test_a_verdict_nobody_told_of_is_found(house: House) -> None:
    sale, _ = await sold(house)
    dispute = await opened(house, sale)
    await gone(house, story_of_chargeback(sale))
    async with unheard(house):
        await house.sandbox.post(f"/v1/disputes/{dispute}/close", json={"won": True})
    chargeback = await chargeback_at(house, dispute, "open")
    grown_older(house, "chargebacks", "opened_at", chargeback, "2 days")
    await redeliver(house)
    await chargeback_at(house, dispute, "won")
    await house.workflow(story_of_chargeback(sale)).result()
    await house.assert_at_zero(sale)


async def decided_anew(house: House, dispute: str, *, won: bool) -> None:
    """The bank decides another time."""
    verdict = {"won": won, "anew": True}
    (await house.sandbox.post(f"/v1/disputes/{dispute}/close", json=verdict)).raise_for_status()


async def test_won_and_then_lost_it_is_borne_like_any_other(house: House) -> None:
    """A second presentment: the bank takes the money once more, without another fee."""
    sale, _ = await sold(house)
    dispute = await opened(house, sale)
    await decided(house, dispute, won=True)
    await house.workflow(story_of_chargeback(sale)).result()
    await decided_anew(house, dispute, won=False)
    await chargeback_at(house, dispute, "lost")
    assert posted_by_chargebacks(house, sale) == [
        *taken(PRICE),
        *given_back(PRICE),
        f"chargeback_open: debit dispute {PRICE}",
        f"chargeback_open: credit cash {PRICE}",
        *borne(PRICE, receivable=SHARE, fee=COMMISSION),
    ]
    assert balance(house, "receivable", sale["seller_id"]) == SHARE
    await house.workflow(story_of_chargeback(sale)).result()
    cases = "SELECT outcome FROM cases WHERE path_id = %s AND kind = 'chargeback' ORDER BY id"
    assert house.sql(cases, sale["id"]) == [("won",), ("lost",)]
    await house.assert_at_zero(sale)


async def test_lost_and_then_won_operators_say_to_whom_it_goes(house: House) -> None:
    sale, _ = await sold(house)
    dispute = await opened(house, sale)
    await decided(house, dispute, won=False)
    await house.workflow(story_of_chargeback(sale)).result()
    before = balance(house, "suspense", "sandbox")
    returned = "SELECT returned_at IS NOT NULL FROM chargebacks WHERE reference = %s"
    cases = "SELECT state, summary FROM cases WHERE path_id = %s AND kind = 'difference'"
    for round_, back in enumerate((True, False, True), start=1):
        await decided_anew(house, dispute, won=back)

        def seen(back: bool = back) -> bool:
            return house.sql(returned, dispute) == [(back,)]

        await eventually(seen)
        await house.workflow(story_of_chargeback(sale)).result()
        assert abs(balance(house, "suspense", "sandbox") - before) == (PRICE if back else 0)
        assert len(house.sql(cases, sale["id"])) == (round_ + 1) // 2
    state, summary = house.sql(cases + " AND ended_at IS NULL", sale["id"])[0]
    assert state == "open" and f"receivable:{sale['seller_id']}" in summary
    # Nothing that was borne has moved: two operators decide that, and the path stays closed.
    assert balance(house, "receivable", sale["seller_id"]) == SHARE
    await house.assert_at_zero(sale)

    await decided_anew(house, dispute, won=False)
    await eventually(lambda: house.sql(returned, dispute) == [(False,)])
    assert balance(house, "suspense", "sandbox") == before
    await house.workflow(story_of_chargeback(sale)).result()


async def test_the_fee_is_the_platforms_whoever_wins(house: House) -> None:
    sale, _ = await sold(house)
    before = balance(house, "loss", "platform")
    await decided(house, await opened(house, sale), won=True)
    assert balance(house, "loss", "platform") - before == BANK_FEE
