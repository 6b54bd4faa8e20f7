"""Many at once: no deadlock, nothing lost, nothing twice."""

from __future__ import annotations

import asyncio

import pytest

from domain import accounts, postings
from domain.errors import IdempotencyConflict, InsufficientFunds, WrongPhase
from domain.postings import EntryKind, JournalEntry, Share, entry
from ledger.journal import balances, post, post_pending, void_pending
from tests.ledger.book import PROVIDER, Book

pytestmark = pytest.mark.asyncio

TASKS = 20


def between(key: str, giver: str, taker: str, amount: int) -> JournalEntry:
    return entry(
        EntryKind.REVERSAL,
        key,
        "CNY",
        [Share(account=accounts.payable(giver), amount=amount)],
        [Share(account=accounts.payable(taker), amount=amount)],
    )


async def give(book: Book, user_id: str, amount: int) -> None:
    share = Share(account=accounts.payable(user_id), amount=amount)
    await book.post(
        postings.fund(f"fund/{user_id}", "sale", PROVIDER, amount, "CNY"),
        postings.release(f"release/{user_id}", "sale", [share], "CNY"),
    )


async def test_opposing_entries_over_the_same_accounts(book: Book) -> None:
    users = ["a", "b", "c"]
    for user in users:
        await give(book, user, 1_000)

    async def shuffle(task: int) -> None:
        for step in range(5):
            giver, taker = users[(task + step) % 3], users[(task + 2 * step + 1) % 3]
            if giver != taker:
                await book.post(
                    between(f"{task}/{step}", giver, taker, 3),
                    between(f"{task}/{step}/back", taker, giver, 2),
                )

    await asyncio.gather(*(shuffle(task) for task in range(TASKS)))
    total = sum([await book.posted(accounts.payable(user)) for user in users])
    assert total == 3_000


async def test_new_accounts_from_all_sides(book: Book) -> None:
    """Accounts nobody has used yet are made by 20 transactions at once, in different order."""
    names = [f"new{n}" for n in range(6)]

    async def bring(task: int) -> None:
        order = names[task % 6 :] + names[: task % 6]
        shares = [Share(account=accounts.payable(n), amount=1) for n in reversed(order)]
        await book.post(
            postings.fund(f"f{task}", f"path{task % 4}", PROVIDER, len(names), "CNY"),
            postings.release(f"r{task}", f"path{task % 4}", shares, "CNY"),
        )

    await asyncio.gather(*(bring(task) for task in range(TASKS)))
    assert [await book.posted(accounts.payable(n)) for n in names] == [TASKS] * 6


async def test_the_same_key_at_once_is_one_entry(book: Book) -> None:
    entry = postings.fund("once", "sale", PROVIDER, 700, "CNY")
    answers = await asyncio.gather(*(book.post(entry) for _ in range(TASKS)))
    assert sum(answer.written for [answer] in answers) == 1
    assert len({answer.id for [answer] in answers}) == 1
    assert await book.posted(accounts.escrow("sale")) == 700


async def test_the_same_key_with_other_inputs_at_once(book: Book) -> None:
    """One wins; everybody else is told, whether the rival shares their accounts or not."""
    entries = [postings.fund("once", f"p{n}", PROVIDER, 700, "CNY") for n in range(5)]
    entries += [postings.fund("once", f"q{n}", f"bank{n}", 700, "CNY") for n in range(5)]
    answers = await asyncio.gather(*(book.post(e) for e in entries), return_exceptions=True)
    refused = [a for a in answers if isinstance(a, BaseException)]
    assert len(refused) == 9
    assert {type(r) for r in refused} == {IdempotencyConflict}
    assert await book.count("ledger_entries") == 1


async def test_only_what_is_there_is_paid_out(book: Book) -> None:
    await give(book, "maker", 1_000)
    tries = [postings.payout(f"p{n}", f"payout{n}", "maker", 300, "CNY") for n in range(TASKS)]
    answers = await asyncio.gather(*(book.post(e) for e in tries), return_exceptions=True)
    refused = [a for a in answers if isinstance(a, BaseException)]
    assert {type(r) for r in refused} == {InsufficientFunds}
    assert len(refused) == TASKS - 3
    assert await book.posted(accounts.payable("maker")) == 100


async def test_a_hold_is_ended_by_one_of_many(book: Book) -> None:
    await give(book, "maker", 1_000)
    await book.hold(postings.payout("hold", "payout", "maker", 1_000, "CNY"))

    async def end(task: int) -> None:
        async with book.database.transaction() as session:
            await (post_pending if task % 2 else void_pending)(session, f"end{task}", "hold")

    answers = await asyncio.gather(*(end(n) for n in range(TASKS)), return_exceptions=True)
    assert answers.count(None) == 1
    assert {type(a) for a in answers if a is not None} == {WrongPhase}
    maker = await book.balance(accounts.payable("maker"))
    assert maker.pending_out == 0
    assert maker.posted in (0, 1_000)


async def test_clawbacks_see_each_others_balance(book: Book) -> None:
    """Each takes what the payable still holds and books the rest as a debt; together exactly what was asked."""
    await give(book, "maker", 1_000)
    payable, owed = accounts.payable("maker"), accounts.receivable("maker")

    async def claw(task: int) -> None:
        touched = [payable, owed, accounts.escrow("sale")]
        async with book.database.transaction() as session:
            now = await balances(session, touched, "CNY", for_update=True)
            available = now[payable].available
            await post(
                session, postings.clawback(f"c{task}", "sale", "maker", 70, available, "CNY")
            )

    await asyncio.gather(*(claw(n) for n in range(TASKS)))
    assert await book.posted(payable) == 0
    assert await book.posted(owed) == TASKS * 70 - 1_000
    assert await book.posted(accounts.escrow("sale")) == TASKS * 70
