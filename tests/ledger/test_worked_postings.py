"""Every case of the specification's worked postings, through the macros, on the real ledger."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from domain import accounts, postings
from domain.accounts import FEE, LOSS, PROTECTION_FUND, PSP_FEE
from domain.money import basis_points_of, split
from domain.policy import RefundPolicy, SalePolicy
from domain.postings import EntryKind, Share
from domain.sale import (
    Delivery,
    ListedItem,
    OrderedItem,
    SaleOrder,
    SaleTerms,
    StockKind,
    agree,
    release_entries,
)
from ledger.journal import balances, post, post_pending, void_pending
from tests.ledger.book import PROVIDER, Book

pytestmark = pytest.mark.asyncio

CLEARING = accounts.clearing(PROVIDER)
CASH = accounts.cash(PROVIDER)


async def fund(book: Book, path_id: str, amount: int) -> None:
    await book.post(postings.fund(book.key(), path_id, PROVIDER, amount, "CNY"))


async def pay_back(book: Book, path_id: str, refund_id: str, amount: int) -> None:
    """The provider has sent a refund that is due."""
    await book.post(postings.refund_paid(book.key(), path_id, refund_id, PROVIDER, amount, "CNY"))


async def test_contest_guaranteed_owner_silent_seven_finalists(book: Book) -> None:
    bounty = 100_000
    await fund(book, "contest", bounty)
    fee = basis_points_of(bounty, 1_000)
    parts = split(bounty - fee, [1] * 7)
    finalists = [accounts.payable(f"finalist{n}") for n in range(7)]
    shares = [Share(account=a, amount=n) for a, n in zip(finalists, parts, strict=True)]
    await book.post(
        postings.release(book.key(), "contest", [*shares, Share(account=FEE, amount=fee)], "CNY")
    )
    paid = [await book.posted(a) for a in finalists]
    assert paid == [12_858] + [12_857] * 6
    assert await book.posted(FEE) == 10_000
    await book.require_empty("contest")


async def test_contest_without_entries(book: Book) -> None:
    await fund(book, "contest", 100_000)
    await book.post(postings.settle(book.key(), "contest", PROVIDER, 100_000, 600, "CNY"))
    await book.post(postings.refund(book.key(), "contest", "ref", 100_000, "CNY"))
    assert await book.posted(accounts.refund_due("ref")) == 100_000
    await pay_back(book, "contest", "ref", 100_000)
    await book.require_empty("contest")
    assert await book.standing() == {PSP_FEE.code: 600, CASH.code: -600}


async def funded_lot(book: Book) -> None:
    """100 units at 500 in escrow, kits of 200 each as the producer's deposit."""
    await fund(book, "lot", 50_000)
    await book.move(
        EntryKind.FUND, {CLEARING: 20_000}, {accounts.deposit("lot", "producer"): 20_000}, "lot"
    )


async def test_production_lot_partly_accepted(book: Book) -> None:
    await funded_lot(book)
    producer, requester = accounts.payable("producer"), accounts.payable("requester")
    deposit = accounts.deposit("lot", "producer")
    wages = 92 * 500
    fee = basis_points_of(wages, 500)
    shares = [Share(account=producer, amount=wages - fee), Share(account=FEE, amount=fee)]
    await book.post(postings.release(book.key(), "lot", shares, "CNY"))
    await book.move(EntryKind.RELEASE, {deposit: 92 * 200}, {producer: 92 * 200}, "lot")
    await book.post(postings.refund(book.key(), "lot", "ref", 8 * 500, "CNY"))
    await book.move(EntryKind.RELEASE, {deposit: 8 * 200}, {requester: 8 * 200}, "lot")
    assert await book.standing() == {
        CLEARING.code: 70_000,
        producer.code: 43_700 + 18_400,
        requester.code: 1_600,
        FEE.code: 2_300,
        "refund_due:ref": 4_000,
    }
    await pay_back(book, "lot", "ref", 4_000)
    await book.require_empty("lot")


async def test_producer_vanishes(book: Book) -> None:
    await funded_lot(book)
    deposit, requester = accounts.deposit("lot", "producer"), accounts.payable("requester")
    await book.move(EntryKind.RELEASE, {deposit: 20_000}, {requester: 20_000}, "lot")
    assert await book.standing() == {
        CLEARING.code: 70_000,
        "escrow:lot": 50_000,
        requester.code: 20_000,
    }


@pytest.mark.parametrize(("in_fund", "lost"), [(50_000, 0), (20_000, 30_000), (0, 50_000)])
async def test_goods_lost_on_our_label(book: Book, in_fund: int, lost: int) -> None:
    await funded_lot(book)
    producer = accounts.payable("producer")
    if in_fund:
        await book.post(postings.protect(book.key(), "earlier", in_fund, "CNY"))
    async with book.database.transaction() as session:
        held = await balances(session, [PROTECTION_FUND, LOSS, producer], "CNY", for_update=True)
        await post(
            session,
            postings.compensate(
                book.key(), "lot", producer, 50_000, held[PROTECTION_FUND].available, "CNY"
            ),
        )
    await book.move(
        EntryKind.RELEASE, {accounts.deposit("lot", "producer"): 20_000}, {producer: 20_000}, "lot"
    )
    await book.post(postings.refund(book.key(), "lot", "ref", 50_000, "CNY"))
    assert await book.posted(producer) == 70_000
    assert await book.posted(PROTECTION_FUND) == 0
    assert await book.posted(LOSS) == lost
    await pay_back(book, "lot", "ref", 50_000)
    await book.require_empty("lot")


async def test_pledge_lost_chargeback(book: Book) -> None:
    creator, owed = accounts.payable("creator"), accounts.receivable("creator")
    await fund(book, "campaign", 10_000)
    shares = [Share(account=creator, amount=3_800), Share(account=FEE, amount=200)]
    await book.post(postings.release(book.key(), "campaign", shares, "CNY"))
    await book.post(postings.payout(book.key(), "payout", "creator", 2_800, "CNY"))
    await book.post(postings.payout_paid(book.key(), "payout", PROVIDER, 2_800, 0, "CNY"))
    await book.post(
        postings.chargeback_open(book.key(), "campaign", "dispute", PROVIDER, 10_000, 1_500, "CNY")
    )
    assert await book.posted(accounts.dispute("dispute")) == -10_000
    assert await book.posted(CASH) == -2_800 - 11_500
    async with book.database.transaction() as session:
        wanted = [
            creator, owed, FEE, accounts.escrow("campaign"), accounts.dispute("dispute")
        ]  # fmt: skip
        now = await balances(session, wanted, "CNY", for_update=True, path_id="campaign")
        await post(
            session,
            postings.chargeback_lost(
                book.key(),
                "campaign",
                "dispute",
                "creator",
                amount=10_000,
                unreleased=now[accounts.escrow("campaign")].posted,
                fee_returned=200,
                payee_balance=now[creator].available,
                currency="CNY",
            ),
        )
    await book.require_empty("campaign")
    assert await book.posted(creator) == 0
    assert await book.posted(owed) == 2_800
    assert await book.posted(FEE) == 0
    assert await book.posted(LOSS) == 1_500
    await income_pays_the_debt(book)


async def income_pays_the_debt(book: Book) -> None:
    """Later income pays the 2,800 first."""
    creator, owed = accounts.payable("creator"), accounts.receivable("creator")
    await fund(book, "later", 5_000)
    await book.post(
        postings.release(book.key(), "later", [Share(account=creator, amount=5_000)], "CNY")
    )
    netting = postings.net_receivable(
        book.key(), "creator", await book.posted(owed), await book.posted(creator), "CNY"
    )
    assert netting is not None
    await book.post(netting)
    assert (await book.posted(creator), await book.posted(owed)) == (2_200, 0)
    assert postings.net_receivable(book.key(), "creator", 0, 2_200, "CNY") is None


async def test_pledge_won_chargeback(book: Book) -> None:
    await fund(book, "campaign", 10_000)
    await book.post(
        postings.chargeback_open(book.key(), "campaign", "dispute", PROVIDER, 10_000, 1_500, "CNY"),
        postings.chargeback_won(book.key(), "campaign", "dispute", PROVIDER, 10_000, "CNY"),
    )
    assert await book.standing() == {
        CLEARING.code: 10_000,
        "escrow:campaign": 10_000,
        CASH.code: -1_500,
        LOSS.code: 1_500,
    }


def two_equal_lines() -> SaleTerms:
    """A sale of 20,000 with fee 8 % and royalty 3 %."""
    offers = [
        ListedItem(
            listing_id=name,
            seller_id="seller",
            title="lamp",
            unit_price=10_000,
            currency="CNY",
            stock_kind=StockKind.IN_STOCK,
            stock=1,
            lead_days=0,
            available_from=None,
            royalty_basis_points=300,
            royalty_sku="sku",
            delivery=("express",),
            on_sale=True,
        )
        for name in ("one", "two")
    ]
    order = SaleOrder(
        sale_id="sale",
        payment_id="payment",
        buyer_id="buyer",
        items=tuple(OrderedItem(listing_id=o.listing_id, quantity=1) for o in offers),
        delivery=Delivery.EXPRESS,
        provider=PROVIDER,
        max_hold_seconds=10**9,
        return_url="",
        policy=SalePolicy(fee_basis_points=800),
        refund_policy=RefundPolicy(),
    )
    return agree(order, offers, datetime(2026, 1, 1, tzinfo=UTC))


async def completed_sale(book: Book) -> None:
    await fund(book, "sale", 20_000)
    await book.post(*release_entries(two_equal_lines(), book.key()))
    assert await book.standing() == {
        CLEARING.code: 20_000,
        "payable:seller": 17_800,
        FEE.code: 1_600,
        "royalty:sku": 600,
    }


async def test_sale_line_returned_after_completion(book: Book) -> None:
    await completed_sale(book)
    await book.move(
        EntryKind.REFUND,
        {accounts.payable("seller"): 8_900, FEE: 800, accounts.royalty("sku"): 300},
        {accounts.refund_due("ref"): 10_000},
        "sale",
    )
    assert await book.posted(accounts.royalty("sku")) == 300
    assert await book.posted(accounts.payable("seller")) == 8_900
    await pay_back(book, "sale", "ref", 10_000)
    await book.require_empty("sale")


async def test_sale_line_returned_when_the_seller_was_paid_out(book: Book) -> None:
    await completed_sale(book)
    await book.post(postings.payout(book.key(), "payout", "seller", 17_800, "CNY"))
    await book.post(postings.payout_paid(book.key(), "payout", PROVIDER, 17_800, 10, "CNY"))
    clawback = postings.clawback(book.key(), "sale", "seller", 8_900, 0, "CNY")
    await book.post(clawback)
    await book.move(
        EntryKind.REFUND,
        {accounts.escrow("sale"): 8_900, FEE: 800, accounts.royalty("sku"): 300},
        {accounts.refund_due("ref"): 10_000},
        "sale",
    )
    await pay_back(book, "sale", "ref", 10_000)
    await book.require_empty("sale")
    assert await book.posted(accounts.receivable("seller")) == 8_900
    assert await book.posted(accounts.royalty("sku")) == 300


async def test_auction_winner_defaults(book: Book) -> None:
    bidders = [accounts.deposit("auction", name) for name in ("winner", "second", "third")]
    for deposit in bidders:
        await book.move(EntryKind.FUND, {CLEARING: 5_000}, {deposit: 5_000}, "auction")
    for deposit, refund_id in zip(bidders[1:], ("ref1", "ref2"), strict=True):
        due = {accounts.refund_due(refund_id): 5_000}
        await book.move(EntryKind.REFUND, {deposit: 5_000}, due, "auction")
        await pay_back(book, "auction", refund_id, 5_000)
    seller, fee = split(5_000, [80, 20])
    await book.move(
        EntryKind.RELEASE,
        {bidders[0]: 5_000},
        {accounts.payable("seller"): seller, FEE: fee},
        "auction",
    )
    await book.require_empty("auction")
    assert await book.posted(accounts.payable("seller")) == 4_000
    assert await book.posted(FEE) == 1_000


async def test_payout_fails_then_bank_returns_a_second_one(book: Book) -> None:
    payable = accounts.payable("producer")
    await fund(book, "lot", 43_700)
    await book.post(
        postings.release(book.key(), "lot", [Share(account=payable, amount=43_700)], "CNY")
    )
    await book.post(postings.payout(book.key(), "first", "producer", 43_700, "CNY"))
    assert await book.posted(payable) == 0
    await book.post(postings.payout_failed(book.key(), "first", "producer", 43_700, "CNY"))
    assert await book.posted(payable) == 43_700
    await book.post(
        postings.payout(book.key(), "second", "producer", 43_700, "CNY"),
        postings.payout_paid(book.key(), "second", PROVIDER, 43_700, 0, "CNY"),
    )
    await book.post(postings.payout_returned(book.key(), "producer", PROVIDER, 43_700, "CNY"))
    assert await book.standing() == {CLEARING.code: 43_700, payable.code: 43_700}


async def test_match_call_reserved_freed_and_used(book: Book) -> None:
    call = accounts.match("call")
    await book.move(EntryKind.FUND, {CLEARING: 6_000}, {call: 6_000})

    def matching(key: str, rule: int, left: int) -> postings.JournalEntry:
        amount = min(rule, left)
        return postings.entry(
            EntryKind.FUND,
            key,
            "CNY",
            [Share(account=call, amount=amount)],
            [Share(account=accounts.escrow("campaign"), amount=amount)],
            path_id="campaign",
        )

    async with book.database.transaction() as session:
        left = (await balances(session, [call], "CNY"))[call].available
    await book.hold(matching("pledge1", 8_000, left))
    reserved = await book.balance(call)
    assert (reserved.posted, reserved.available) == (6_000, 0)
    async with book.database.transaction() as session:
        await void_pending(session, "pledge1/dropped", "pledge1")
    freed = await book.balance(call)
    assert (freed.posted, freed.available) == (6_000, 6_000)
    await book.hold(matching("pledge2", 6_000, freed.available))
    assert (await book.balance(call)).posted == 6_000
    async with book.database.transaction() as session:
        await post_pending(session, "campaign/funded", "pledge2")
    assert await book.standing() == {CLEARING.code: 6_000, "escrow:campaign": 6_000}


async def test_frozen_contributor_in_royalty_run(book: Book) -> None:
    await fund(book, "sale", 600)
    pot = accounts.royalty("sku")
    await book.post(postings.release(book.key(), "sale", [Share(account=pot, amount=600)], "CNY"))
    first, frozen, third = split(600, [1, 1, 1])
    await book.move(
        EntryKind.RELEASE,
        {pot: 600},
        {
            accounts.payable("first"): first,
            accounts.held("frozen"): frozen,
            accounts.payable("third"): third,
        },
    )
    assert await book.posted(pot) == 0
    await book.post(postings.unfreeze(book.key(), "frozen", frozen, "CNY"))
    assert await book.posted(accounts.held("frozen")) == 0
    assert await book.posted(accounts.payable("frozen")) == 200
    await book.post(postings.freeze(book.key(), "frozen", 200, "CNY"))
    assert await book.posted(accounts.held("frozen")) == 200
