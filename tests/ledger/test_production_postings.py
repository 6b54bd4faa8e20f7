"""The worked postings of production lots through the rules of domain.lot_moves and domain.lot_postings, on the real ledger."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from domain import accounts, postings
from domain.accounts import FEE, LOSS, PROTECTION_FUND
from domain.lot import Course, Decision, Event, HandIn, Phase, deposit_account
from domain.lot_moves import Said, move
from domain.lot_postings import entries
from domain.policy import RefundPolicy
from domain.postings import EntryKind, JournalEntry
from domain.production import (
    Defect,
    DefectClass,
    Material,
    ProductionTerms,
    Rules,
    Standard,
)
from domain.production_policy import ProductionPolicy
from ledger.journal import balances
from tests.ledger.book import PROVIDER, Book

pytestmark = pytest.mark.asyncio

AT = datetime(2026, 5, 4, 12, tzinfo=UTC)
TERMS = ProductionTerms(
    order_id="order",
    requester_id="requester",
    title="Baskets",
    process="Weave",
    standard=Standard(
        text="No splinters",
        defects=(Defect(code="hole", text="A hole", severity=DefectClass.MAJOR),),
    ),
    materials=(Material(number=1, title="Bamboo", pieces=2, cost=100),),
    currency="CNY",
    units=100,
    lot_most=100,
    rate=500,
    deposit=200,
    make_seconds=86_400,
    claims_seconds=86_400,
    rules=Rules(
        policy=ProductionPolicy(),
        refund_policy=RefundPolicy(),
        provider=PROVIDER,
        return_url="https://shop.test",
    ),
)
WAGES, DEPOSIT = accounts.escrow("order"), deposit_account("lot", "producer")
PRODUCER, REQUESTER = accounts.payable("producer"), accounts.payable("requester")
SENT = HandIn(made=100)
Step = tuple[Event, Said]


class Lot:
    """A lot of 100 units whose materials are with the maker, and what its transitions post."""

    def __init__(self, book: Book) -> None:
        self.book = book
        self.phase = Phase.MAKING
        self.course = Course(units=100, deposit_held=20_000, due_at=AT + timedelta(days=1))
        self.posted: list[JournalEntry] = []

    async def goes(self, *way: Step) -> None:
        """One transition after the other."""
        for number, (event, said) in enumerate(way):
            moved = move(TERMS, self.course, self.phase, event, AT, said)
            async with self.book.database.transaction() as session:
                held = await balances(session, [PROTECTION_FUND], "CNY", for_update=True)
            made = entries(
                TERMS,
                "lot",
                "producer",
                moved.flow,
                f"lot/{number}",
                fund_held=held[PROTECTION_FUND].available,
            )
            await self.book.post(*made)
            self.posted += made
            self.phase, self.course = moved.phase, moved.course

    def sums(self, *kinds: EntryKind) -> Counter[str]:
        """All that was posted, by side and account."""
        found: Counter[str] = Counter()
        for entry in self.posted:
            for each in entry.postings if entry.kind in kinds else ():
                found[f"{each.side} {each.account.code}"] += each.amount
        return found


async def funded(book: Book) -> Lot:
    """100 units at 500 in the order's escrow, kits of 200 each as the producer's deposit."""
    await book.post(
        postings.fund(book.key(), "order", PROVIDER, TERMS.to_fund, "CNY"),
        postings.fund(book.key(), "lot", PROVIDER, 20_000, "CNY", into=DEPOSIT),
    )
    assert await book.posted(WAGES) == 50_000
    return Lot(book)


async def returned(book: Book, amount: int) -> None:
    """The order ends: what is left of the wages goes back."""
    assert await book.posted(WAGES) == amount
    await book.post(
        postings.refund(book.key(), "order", "ref", amount, "CNY"),
        postings.refund_paid(book.key(), "order", "ref", PROVIDER, amount, "CNY"),
    )
    await book.require_empty("order")


def _sent(made: int) -> list[Step]:
    sent = HandIn(made=made)
    return [(Event.GOODS_SENT, Said(hand_in=sent)), (Event.GOODS_RECEIVED, Said(hand_in=sent))]


def _inspected(**counts: int) -> Step:
    return Event.INSPECTED, Said(decision=Decision(**counts))


AT_ONCE = [_inspected(accepted=92, rejected=8)]
AFTER_REWORK = [
    _inspected(accepted=80, rework=20),
    *_sent(20),
    _inspected(accepted=12, rejected=8),
]


@pytest.mark.parametrize("way", [AT_ONCE, AFTER_REWORK], ids=["at once", "12 after rework"])
async def test_92_of_100_accepted(book: Book, way: Sequence[Step]) -> None:
    lot = await funded(book)
    await lot.goes(*_sent(100), *way, (Event.APPEAL_OVER, Said()))
    assert lot.phase is Phase.SETTLED
    assert lot.sums(EntryKind.RELEASE) == {
        "debit escrow:order": 46_000,
        "credit payable:producer": 43_700 + 18_400,
        "credit fee:platform": 2_300,
        "debit deposit:lot:producer": 18_400 + 1_600,
        "credit payable:requester": 1_600,
    }
    # Of the commission a fifth feeds the protection fund.
    assert lot.sums(EntryKind.PROTECT) == {
        "debit fee:platform": 460,
        "credit protection_fund:platform": 460,
    }
    assert await book.posted(FEE) + await book.posted(PROTECTION_FUND) == 2_300
    await book.require_empty("lot")
    await returned(book, 4_000)


async def test_the_release_of_92_units_is_one_entry(book: Book) -> None:
    lot = await funded(book)
    await lot.goes(*_sent(100), *AT_ONCE)
    assert [
        [f"{each.side} {each.account.code} {each.amount}" for each in entry.postings]
        for entry in lot.posted
        if entry.kind is EntryKind.RELEASE
    ] == [
        ["debit escrow:order 46000", "credit payable:producer 43700", "credit fee:platform 2300"],
        ["debit deposit:lot:producer 18400", "credit payable:producer 18400"],
    ]


async def test_a_producer_vanishes(book: Book) -> None:
    lot = await funded(book)
    await lot.goes((Event.ABANDONED, Said()))
    assert lot.phase is Phase.ABANDONED
    assert lot.sums(EntryKind.RELEASE) == {
        "debit deposit:lot:producer": 20_000,
        "credit payable:requester": 20_000,
    }
    await book.require_empty("lot")
    assert await book.posted(WAGES) == 50_000


@pytest.mark.parametrize(("in_fund", "lost"), [(50_000, 0), (20_000, 30_000), (0, 50_000)])
async def test_goods_lost_on_our_label(book: Book, in_fund: int, lost: int) -> None:
    lot = await funded(book)
    if in_fund:
        await book.post(postings.protect(book.key(), "earlier", in_fund, "CNY"))
    said = Said(hand_in=SENT)
    await lot.goes((Event.GOODS_SENT, said), (Event.GOODS_LOST, said))
    assert lot.phase is Phase.LOST
    from_fund = {"debit protection_fund:platform": in_fund} if in_fund else {}
    from_platform = {"debit loss:platform": lost} if lost else {}
    paid = {"credit payable:producer": 50_000}
    assert lot.sums(EntryKind.COMPENSATE) == {**from_fund, **from_platform, **paid}
    assert lot.sums(EntryKind.RELEASE) == {
        "debit deposit:lot:producer": 20_000,
        "credit payable:producer": 20_000,
    }
    assert await book.posted(PRODUCER) == 70_000
    assert await book.posted(LOSS) == lost
    await book.require_empty("lot")
    await returned(book, 50_000)


async def test_goods_lost_without_a_number_are_the_makers_loss(book: Book) -> None:
    lot = await funded(book)
    said = Said(hand_in=SENT, covered=False)
    await lot.goes((Event.GOODS_SENT, said), (Event.GOODS_LOST, said), (Event.APPEAL_OVER, said))
    assert lot.phase is Phase.LOST
    assert await book.posted(PRODUCER) == 0
    assert await book.posted(REQUESTER) == 20_000
    assert await book.posted(WAGES) == 50_000
    await book.require_empty("lot")
