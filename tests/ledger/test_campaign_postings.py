"""A campaign's releases, lost pledges and debts through the rules of domain.campaign_delivery, on the real ledger."""

from __future__ import annotations

import pytest

from domain import accounts, postings, postings_match
from domain.accounts import FEE
from domain.campaign import CampaignTerms, Funding, Kind, Ledger, Rules, Tranche, Trigger
from domain.campaign_delivery import (
    borne,
    clawback_of,
    parts_of,
    reached_by,
    releasable,
    release_entry,
    released,
)
from domain.policy import CampaignPolicy, RefundPolicy
from ledger.journal import balances, post
from tests.ledger.book import PROVIDER, Book

pytestmark = pytest.mark.asyncio

CREATOR, OWED = accounts.payable("creator"), accounts.receivable("creator")
ESCROW, CLAIM = accounts.escrow("campaign"), accounts.claim("campaign")
TERMS = CampaignTerms(
    campaign_id="campaign",
    creator_id="creator",
    title="Lamps",
    story="Bamboo",
    currency="CNY",
    kind=Kind.REWARD,
    funding=Funding.ALL_OR_NOTHING,
    goal=10_000,
    live_seconds=86_400,
    tranches=(
        Tranche(title="Start", trigger=Trigger.START, basis_points=4_000),
        Tranche(title="Reserve", trigger=Trigger.RESERVE, basis_points=6_000),
    ),
    rules=Rules(
        policy=CampaignPolicy(),
        refund_policy=RefundPolicy(),
        provider="sandbox",
        return_url="https://shop.test",
    ),
)
PARTS = reached_by(parts_of(TERMS), Trigger.START)


async def started(book: Book) -> Ledger:
    """A pledge of 10,000 of which 40 % is released, and all but 1,000 of that is taken out."""
    await book.post(postings.fund(book.key(), "campaign", PROVIDER, 10_000, "CNY"))
    before = Ledger(taken_in=10_000)
    after = released(before, releasable(before, PARTS), TERMS.policy.fee_basis_points)
    entry = release_entry(TERMS, before, after, book.key())
    assert entry is not None
    await book.post(entry)
    await book.post(postings.payout(book.key(), "payout", "creator", 2_800, "CNY"))
    await book.post(postings.payout_paid(book.key(), "payout", PROVIDER, 2_800, 0, "CNY"))
    assert await book.posted(CREATOR) == 1_000
    return after


async def test_a_pledge_lost_after_forty_per_cent_was_released(book: Book) -> None:
    ledger = await started(book)
    await book.post(
        postings.chargeback_open(book.key(), "campaign", "cbk", PROVIDER, 10_000, 1_500, "CNY")
    )
    found = borne(ledger, PARTS, 10_000, TERMS.policy.fee_basis_points)
    async with book.database.transaction() as session:
        touched = [CREATOR, OWED, FEE, ESCROW, accounts.dispute("cbk")]
        held = await balances(session, touched, "CNY", for_update=True, path_id="campaign")
        entry = postings.chargeback_lost(
            book.key(),
            "campaign",
            "cbk",
            "creator",
            amount=10_000,
            unreleased=found.from_escrow,
            fee_returned=found.fee_returned,
            payee_balance=held[CREATOR].available,
            currency="CNY",
        )
        await post(session, entry)
    assert [(each.side, each.account.code, each.amount) for each in entry.postings] == [
        ("debit", "escrow:campaign", 6_000),
        ("debit", "payable:creator", 1_000),
        ("debit", "receivable:creator", 2_800),
        ("debit", "fee:platform", 200),
        ("credit", "dispute:cbk", 10_000),
    ]
    assert found.after == Ledger(taken_in=0)
    await book.require_empty("campaign")


async def test_what_a_stopped_creator_cannot_give_back_is_claimed(book: Book) -> None:
    ledger = await started(book)
    back = clawback_of(ledger, await book.posted(CREATOR))
    # 1,000 of 3,800 with as much of the commission of 200, rounded down.
    assert (back.from_balance, back.fee, back.owed) == (1_000, 52, 2_948)
    await book.post(
        postings.clawback(book.key(), "campaign", "creator", 1_000, 1_000, "CNY", fee=back.fee),
        postings_match.claim(book.key(), "campaign", "creator", back.owed, "CNY"),
        postings.refund(book.key(), "campaign", "ref", 6_000 + back.amount, "CNY"),
        postings.refund_paid(book.key(), "campaign", "ref", PROVIDER, 6_000 + back.amount, "CNY"),
    )
    await book.require_empty("campaign")
    assert await book.posted(CREATOR) == 0
    assert await book.posted(OWED) == await book.posted(CLAIM) == 2_948
    assert await book.broken() == []
