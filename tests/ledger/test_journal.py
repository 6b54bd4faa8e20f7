"""Idempotency, refusals, holds and currencies of the journal."""

from __future__ import annotations

import pytest

from domain import accounts, postings
from domain.accounts import FEE, PSP_FEE
from domain.errors import (
    AmountOutOfRange,
    IdempotencyConflict,
    InsufficientFunds,
    InvalidInput,
    NotFound,
    PathNotEmpty,
    UnbalancedEntry,
    WrongPhase,
)
from domain.postings import EntryKind, JournalEntry, Share, credit, debit
from ledger.journal import (
    EntryStatus,
    balances,
    hold,
    post,
    post_pending,
    require_empty,
    void_pending,
)
from tests.ledger.book import PROVIDER, Book

pytestmark = pytest.mark.asyncio

ESCROW = accounts.escrow("sale")
MAKER = accounts.payable("maker")


def fund(key: str, amount: int, currency: str = "CNY") -> JournalEntry:
    return postings.fund(key, "sale", PROVIDER, amount, currency)


def to_maker(key: str, amount: int, currency: str = "CNY") -> JournalEntry:
    return postings.release(key, "sale", [Share(account=MAKER, amount=amount)], currency)


async def test_the_same_entry_twice_is_written_once(book: Book) -> None:
    [first] = await book.post(fund("f", 1_000))
    [again] = await book.post(fund("f", 1_000))
    assert first.written and not again.written
    assert first.model_copy(update={"written": False}) == again
    assert await book.posted(ESCROW) == 1_000


async def test_twice_in_one_call_is_written_once(book: Book) -> None:
    first, second = await book.post(fund("f", 1_000), fund("f", 1_000))
    assert first == second
    assert await book.posted(ESCROW) == 1_000


async def test_a_replay_does_not_need_the_money_again(book: Book) -> None:
    await book.post(fund("f", 1_000), to_maker("r", 1_000))
    [again] = await book.post(to_maker("r", 1_000))
    assert not again.written
    assert await book.posted(MAKER) == 1_000


async def test_a_replay_mixed_with_new_entries(book: Book) -> None:
    await book.post(fund("f", 1_000))
    answers = await book.post(fund("g", 500), fund("f", 1_000), to_maker("r", 1_500))
    assert [(a.key, a.written) for a in answers] == [("g", True), ("f", False), ("r", True)]


async def test_a_key_never_stands_for_two_entries(book: Book) -> None:
    await book.post(fund("f", 1_000))
    others = [
        fund("f", 1_001),
        fund("f", 1_000, "EUR"),
        fund("f", 1_000).model_copy(update={"path_id": "other"}),
        fund("f", 1_000).model_copy(update={"kind": EntryKind.REVERSAL}),
        postings.fund("f", "sale", "stripe", 1_000, "CNY"),
    ]
    for other in others:
        with pytest.raises(IdempotencyConflict):
            await book.post(other)
    with pytest.raises(IdempotencyConflict):
        await book.hold(fund("f", 1_000))
    with pytest.raises(IdempotencyConflict):
        await book.post(fund("g", 1), fund("g", 2))
    assert await book.count("ledger_entries") == 1
    assert await book.count("ledger_accounts") == 2


async def test_note_and_order_of_postings_are_not_part_of_the_input(book: Book) -> None:
    entry = fund("f", 1_000)
    await book.post(entry)
    reworded = entry.model_copy(
        update={"note": "worded anew", "postings": tuple(reversed(entry.postings))}
    )
    [again] = await book.post(reworded)
    assert not again.written


async def test_later_entries_of_a_call_use_what_earlier_ones_bring(book: Book) -> None:
    await book.post(fund("f", 1_000), to_maker("r", 600), to_maker("s", 400))
    await book.require_empty("sale")


async def test_overdrawing_is_refused_and_leaves_the_transaction_usable(book: Book) -> None:
    async with book.database.transaction() as session:
        await post(session, fund("f", 1_000))
        with pytest.raises(InsufficientFunds, match="escrow:sale"):
            await post(session, to_maker("r", 600), to_maker("s", 401))
        await post(session, to_maker("t", 1_000))
    assert await book.posted(MAKER) == 1_000
    assert await book.count("ledger_entries") == 2


async def test_debit_normal_accounts_are_not_overdrawn_either(book: Book) -> None:
    await book.post(fund("f", 1_000))
    with pytest.raises(InsufficientFunds, match="clearing:sandbox"):
        await book.post(postings.settle("s", "sale", PROVIDER, 1_001, 0, "CNY"))


async def test_nothing_moves_is_refused(book: Book) -> None:
    empty = JournalEntry(key="k", kind=EntryKind.FUND, currency="CNY", postings=())
    lame = empty.model_copy(update={"postings": (debit(FEE, 5), credit(MAKER, 4))})
    for entry in (empty, lame):
        with pytest.raises(UnbalancedEntry):
            await book.post(entry)
    assert await book.post() == []


async def test_the_largest_amounts(book: Book) -> None:
    largest = 2**63 - 1
    await book.post(fund("f", largest))
    assert await book.posted(ESCROW) == largest
    with pytest.raises(AmountOutOfRange):
        await book.post(fund("g", 1))
    with pytest.raises(AmountOutOfRange):
        await book.post(postings.fund("h", "other", PROVIDER, 2**63, "CNY"))
    with pytest.raises(AmountOutOfRange):
        await book.post(to_maker("r", largest), fund("i", 1))


async def test_currencies_are_kept_apart(book: Book) -> None:
    await book.post(fund("y", 3_000, "JPY"), fund("d", 3_001, "KWD"))
    with pytest.raises(InsufficientFunds, match=r"does not hold KWD 3\.002"):
        await book.post(to_maker("r", 3_002, "KWD"))
    with pytest.raises(InsufficientFunds, match=r"does not hold JPY 3,001"):
        await book.post(to_maker("r", 3_001, "JPY"))
    with pytest.raises(InsufficientFunds):
        await book.post(to_maker("r", 1, "CNY"))
    await book.post(to_maker("y2", 3_000, "JPY"))
    async with book.database.transaction() as session:
        in_yen = await balances(session, [MAKER], "JPY")
        in_dinar = await balances(session, [MAKER], "KWD")
        with pytest.raises(PathNotEmpty, match=r"escrow:sale KWD 3\.001"):
            await require_empty(session, "sale")
    assert (in_yen[MAKER].posted, in_dinar[MAKER].posted) == (3_000, 0)


async def test_a_hold_reserves_and_its_posting_moves(book: Book) -> None:
    await book.post(fund("f", 1_000))
    held = await book.hold(to_maker("h", 700))
    assert held.status is EntryStatus.PENDING
    escrow, maker = await book.balance(ESCROW), await book.balance(MAKER)
    assert (escrow.posted, escrow.pending_out, escrow.available) == (1_000, 700, 300)
    assert (maker.posted, maker.pending_in, maker.available) == (0, 700, 0)
    with pytest.raises(InsufficientFunds):
        await book.post(to_maker("r", 301))
    with pytest.raises(InsufficientFunds):
        await book.hold(to_maker("h2", 301))
    async with book.database.transaction() as session:
        ended = await post_pending(session, "p", "h")
        replayed = await post_pending(session, "p", "h")
    assert (ended.status, ended.written, replayed.written) == (EntryStatus.POSTED, True, False)
    escrow, maker = await book.balance(ESCROW), await book.balance(MAKER)
    assert (escrow.posted, escrow.available, maker.available) == (300, 300, 700)


async def test_a_void_gives_the_money_free(book: Book) -> None:
    await book.post(fund("f", 1_000))
    await book.hold(to_maker("h", 1_000))
    async with book.database.transaction() as session:
        with pytest.raises(PathNotEmpty, match="with pending entries"):
            await require_empty(session, "sale")
        ended = await void_pending(session, "v", "h")
        assert not (await void_pending(session, "v", "h")).written
    assert ended.status is EntryStatus.VOID
    assert (await book.balance(ESCROW)).available == 1_000
    assert (await book.balance(MAKER)).pending_in == 0


async def test_a_hold_ends_once(book: Book) -> None:
    await book.post(fund("f", 1_000))
    await book.hold(to_maker("h", 1_000))
    async with book.database.transaction() as session:
        await void_pending(session, "v", "h")
        with pytest.raises(WrongPhase, match="ended by v"):
            await post_pending(session, "p", "h")
        with pytest.raises(WrongPhase):
            await void_pending(session, "v2", "h")
        with pytest.raises(IdempotencyConflict):
            await post_pending(session, "v", "h")
        with pytest.raises(NotFound):
            await post_pending(session, "p", "unknown")
        with pytest.raises(NotFound):
            await post_pending(session, "p", "f")


async def test_balances_with_lock_make_the_accounts(book: Book) -> None:
    async with book.database.transaction() as session:
        found = await balances(session, [ESCROW, MAKER], "CNY", for_update=True)
    assert {b.posted for b in found.values()} == {0}
    assert await book.count("ledger_accounts") == 2


async def test_path_bound_accounts_know_their_path(book: Book) -> None:
    await book.post(fund("f", 1_000))
    homeless = postings.refund("r", "sale", "ref", 1_000, "CNY").model_copy(
        update={"path_id": None}
    )
    with pytest.raises(InvalidInput, match="refund_due:ref"):
        await book.post(homeless)
    await book.post(postings.refund("r", "sale", "ref", 1_000, "CNY"))
    with pytest.raises(PathNotEmpty, match="refund_due:ref"):
        await book.require_empty("sale")


async def test_escrows_keep_their_own_path_when_another_pays_in(book: Book) -> None:
    await book.post(postings.fund("f", "venture", PROVIDER, 1_000, "CNY"))
    await book.move(EntryKind.FUND, {accounts.escrow("venture"): 1_000}, {ESCROW: 1_000}, "venture")
    await book.require_empty("venture")
    with pytest.raises(PathNotEmpty, match="escrow:sale"):
        await book.require_empty("sale")


async def test_a_reversal_undoes_an_entry(book: Book) -> None:
    await book.post(fund("f", 1_000))
    settled = postings.settle("s", "sale", PROVIDER, 1_000, 6, "CNY")
    await book.post(settled, postings.reverse("undo", settled, "wrong statement"))
    assert await book.posted(PSP_FEE) == 0
    assert await book.posted(accounts.clearing(PROVIDER)) == 1_000


async def test_a_rolled_back_transaction_leaves_nothing(book: Book) -> None:
    with pytest.raises(RuntimeError):
        async with book.database.transaction() as session:
            await post(session, fund("f", 1_000))
            await hold(session, to_maker("h", 1_000))
            raise RuntimeError
    assert await book.count("ledger_accounts") == 0
    [entry] = await book.post(fund("f", 1_000))
    assert entry.written
