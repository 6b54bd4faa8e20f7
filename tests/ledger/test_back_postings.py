"""The worked postings of what goes wrong after money has moved, on the real ledger."""

from __future__ import annotations

import pytest

from domain import accounts, postings, postings_back
from domain.accounts import FEE, UNCLAIMED
from domain.errors import InsufficientFunds, UnbalancedEntry
from domain.postings import Share, credit, debit
from tests.ledger.book import PROVIDER, Book

pytestmark = pytest.mark.asyncio

CASH = accounts.cash(PROVIDER)
SELLER, OWED, HELD = accounts.payable("s"), accounts.receivable("s"), accounts.held("s")
POT = accounts.royalty("sku")


async def released(book: Book) -> None:
    """A sale of two lines of 10,000 at 8 % commission and 3 % royalty, all of it released."""
    await book.post(
        postings.fund(book.key(), "sale", PROVIDER, 20_000, "CNY"),
        postings.settle(book.key(), "sale", PROVIDER, 20_000, 0, "CNY"),
        postings.release(
            book.key(),
            "sale",
            [_of(SELLER, 17_800), _of(FEE, 1_600), _of(POT, 600)],
            "CNY",
        ),
    )


def _of(account: accounts.Account, amount: int) -> Share:
    return Share(account=account, amount=amount)


async def line_comes_back(book: Book, *, fee_kept: bool = False) -> None:
    """One of the two lines is returned after the release, and the buyer gets the money."""
    payee = HELD if await book.posted(HELD) else SELLER
    await book.post(
        postings_back.take_back(
            book.key(),
            "sale",
            "ref",
            payee=payee,
            user_id="s",
            seller=8_900,
            balance=await book.posted(payee),
            fee=800,
            royalties=[_of(POT, 300)],
            currency="CNY",
            fee_kept=fee_kept,
        ),
        postings.refund_paid(book.key(), "sale", "ref", PROVIDER, 10_000, "CNY"),
    )
    await book.require_empty("sale")


@pytest.mark.parametrize(
    ("taken_out", "left", "owed"), [(0, 8_900, 0), (12_800, 0, 3_900), (17_800, 0, 8_900)]
)
async def test_a_return_takes_the_balance_first_then_makes_a_debt(
    book: Book, taken_out: int, left: int, owed: int
) -> None:
    await released(book)
    if taken_out:
        await book.post(
            postings.payout(book.key(), "out", "s", taken_out, "CNY"),
            postings.payout_paid(book.key(), "out", PROVIDER, taken_out, 0, "CNY"),
        )
    await line_comes_back(book)
    assert await book.posted(SELLER) == left
    assert await book.posted(OWED) == owed
    assert await book.posted(FEE) == 800
    assert await book.posted(POT) == 300
    assert await book.posted(CASH) == 10_000 - taken_out


async def test_a_debt_of_a_return_is_netted_by_the_next_income(book: Book) -> None:
    await released(book)
    await book.post(
        postings.payout(book.key(), "out", "s", 17_800, "CNY"),
        postings.payout_paid(book.key(), "out", PROVIDER, 17_800, 0, "CNY"),
    )
    await line_comes_back(book)
    await book.post(
        postings.fund(book.key(), "next", PROVIDER, 10_000, "CNY"),
        postings.release(book.key(), "next", [_of(SELLER, 10_000)], "CNY"),
    )
    netting = postings.net_receivable(book.key(), "s", 8_900, 10_000, "CNY")
    assert netting is not None
    await book.post(netting)
    assert (await book.posted(SELLER), await book.posted(OWED)) == (1_100, 0)


async def test_a_frozen_seller_pays_from_what_is_held(book: Book) -> None:
    await released(book)
    await book.post(postings.freeze(book.key(), "s", 17_800, "CNY"))
    await line_comes_back(book)
    assert (await book.posted(HELD), await book.posted(OWED)) == (8_900, 0)


async def test_a_platform_that_keeps_its_commission_lets_the_seller_bear_it(book: Book) -> None:
    await released(book)
    await line_comes_back(book, fee_kept=True)
    assert (await book.posted(SELLER), await book.posted(FEE)) == (8_100, 1_600)


async def test_a_royalty_that_was_distributed_is_carried_below_zero(book: Book) -> None:
    await released(book)
    await book.post(
        postings_back.correction(
            book.key(),
            [debit(POT, 600), credit(accounts.payable("designer"), 600)],
            "CNY",
            "quarter",
        )
    )
    await line_comes_back(book)
    assert await book.posted(POT) == -300


async def test_a_gift_leaves_the_commission_and_makes_no_debt(book: Book) -> None:
    await released(book)
    await book.post(
        postings_back.goodwill(book.key(), "sale", "gift", SELLER, 1_000, "CNY"),
        postings.refund_paid(book.key(), "sale", "gift", PROVIDER, 1_000, "CNY"),
    )
    assert (await book.posted(SELLER), await book.posted(FEE)) == (16_800, 1_600)
    with pytest.raises(InsufficientFunds):
        await book.post(postings_back.goodwill(book.key(), "sale", "more", SELLER, 16_801, "CNY"))


async def test_the_loser_of_a_ruling_pays_its_fee(book: Book) -> None:
    await released(book)
    await book.post(postings_back.arbitration(book.key(), "sale", SELLER, 500, "CNY"))
    assert (await book.posted(SELLER), await book.posted(FEE)) == (17_300, 2_100)


async def test_what_people_correct_must_balance(book: Book) -> None:
    with pytest.raises(UnbalancedEntry):
        postings_back.correction(book.key(), [debit(CASH, 2), credit(FEE, 1)], "CNY", "typo")


async def test_money_a_provider_may_hold_no_longer_is_with_its_custodian(book: Book) -> None:
    await book.post(
        postings.fund(book.key(), "path", PROVIDER, 5_000, "CNY"),
        postings.settle(book.key(), "path", PROVIDER, 5_000, 0, "CNY"),
        postings_back.to_custody(book.key(), "path", PROVIDER, 5_000, "CNY"),
    )
    assert await book.standing() == {"cash:sandbox.custody": 5_000, "escrow:path": 5_000}


async def test_what_a_closed_account_held_stays_visible(book: Book) -> None:
    await released(book)
    await book.post(
        postings.freeze(book.key(), "s", 17_800, "CNY"),
        postings_back.escheat(book.key(), "s", 17_800, "CNY"),
    )
    assert (await book.posted(HELD), await book.posted(UNCLAIMED)) == (0, 17_800)


async def test_what_nobody_can_explain_waits_on_either_side(book: Book) -> None:
    suspense = accounts.suspense(PROVIDER)
    await book.post(postings_back.suspend(book.key(), PROVIDER, 70, "CNY", "unknown line"))
    assert (await book.posted(CASH), await book.posted(suspense)) == (70, 70)
    await book.post(postings_back.suspend(book.key(), PROVIDER, -100, "CNY", "a fee twice"))
    assert (await book.posted(CASH), await book.posted(suspense)) == (-30, -30)
