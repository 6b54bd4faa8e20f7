"""Statements page by key without gaps or repeats, and balances say what the journal says."""

from __future__ import annotations

from datetime import timedelta

import pytest

from db import statements
from db.statements import StatementLine, StatementPage
from domain import accounts, postings
from domain.accounts import FEE, AccountKind, Side
from domain.postings import Share
from ledger.journal import hold, post, post_pending, void_pending
from tests.ledger.book import PROVIDER, Book

pytestmark = pytest.mark.asyncio

MAKER = accounts.payable("maker")


async def sell(book: Book, sale: str, amount: int, currency: str = "CNY") -> None:
    """A sale that is paid and released at once: a tenth is the platform's."""
    fee = amount // 10
    shares = [Share(account=MAKER, amount=amount - fee), Share(account=FEE, amount=fee)]
    await book.post(
        postings.fund(f"{sale}/fund", sale, PROVIDER, amount, currency),
        postings.release(f"{sale}/release", sale, shares, currency),
    )


def brief(lines: tuple[StatementLine, ...]) -> list[tuple[str, str, int, int | None]]:
    return [(line.key, line.account.code, line.change, line.balance_after) for line in lines]


async def test_statement_of_an_account(book: Book) -> None:
    await sell(book, "one", 1_000)
    await sell(book, "two", 500)
    await sell(book, "yen", 300, "JPY")
    await book.post(postings.payout("out", "payout", "maker", 1_000, "CNY"))
    async with book.database.transaction() as session:
        page = await statements.account_statement(session, MAKER, "CNY")
        unknown = await statements.account_statement(session, MAKER, "EUR")
    assert brief(page.lines) == [
        ("out", "payable:maker", -1_000, 350),
        ("two/release", "payable:maker", 450, 1_350),
        ("one/release", "payable:maker", 900, 900),
    ]
    newest = page.lines[0]
    assert (newest.side, newest.amount, newest.kind) == (Side.DEBIT, 1_000, "payout")
    assert newest.at.utcoffset() == timedelta(0)
    assert page.next_before is None
    assert unknown == StatementPage(lines=(), next_before=None)


async def test_pages_of_a_user_over_all_accounts(book: Book) -> None:
    for number in range(4):
        await sell(book, f"sale{number}", 1_000)
    await sell(book, "yen", 300, "JPY")
    await book.post(
        postings.freeze("freeze", "maker", 600, "CNY"),
        postings.clawback("claw", "sale0", "maker", 3_500, 3_000, "CNY"),
    )
    await sell(book, "other", 1_000)
    seen: list[StatementLine] = []
    before = None
    async with book.database.transaction() as session:
        whole = await statements.user_statement(session, "maker")
        yen = await statements.user_statement(session, "maker", currency="JPY")
    while True:
        async with book.database.transaction() as session:
            page = await statements.user_statement(session, "maker", before=before, limit=2)
        seen += page.lines
        if page.next_before is None:
            break
        before = page.next_before
        await sell(book, f"meanwhile{before}", 10)
    assert seen == list(whole.lines)
    assert [line.id for line in seen] == sorted((line.id for line in seen), reverse=True)
    assert {line.account.kind for line in seen} == {
        AccountKind.PAYABLE,
        AccountKind.HELD,
        AccountKind.RECEIVABLE,
    }
    assert [(line.currency, line.change) for line in yen.lines] == [("JPY", 270)]


async def test_statement_of_a_path(book: Book) -> None:
    await sell(book, "one", 1_000)
    await sell(book, "two", 500)
    async with book.database.transaction() as session:
        whole = await statements.path_statement(session, "one")
        first = await statements.path_statement(session, "one", limit=3)
        assert first.next_before is not None
        rest = await statements.path_statement(session, "one", before=first.next_before, limit=3)
    assert first.lines + rest.lines == whole.lines
    assert rest.next_before is None
    assert brief(whole.lines) == [
        ("one/release", "fee:platform", 100, 100),
        ("one/release", "payable:maker", 900, 900),
        ("one/release", "escrow:one", -1_000, 0),
        ("one/fund", "escrow:one", 1_000, 1_000),
        ("one/fund", "clearing:sandbox", 1_000, 1_000),
    ]


async def test_holds_show_but_do_not_count(book: Book) -> None:
    await sell(book, "one", 1_000)
    async with book.database.transaction() as session:
        await hold(session, postings.payout("h1", "p1", "maker", 300, "CNY"))
        await void_pending(session, "v1", "h1")
        await hold(session, postings.payout("h2", "p2", "maker", 200, "CNY"))
        await post_pending(session, "e2", "h2")
        await hold(session, postings.payout("h3", "p3", "maker", 50, "CNY"))
        page = await statements.account_statement(session, MAKER, "CNY")
        [mine] = await statements.user_balances(session, "maker")
    assert [(line.key, line.status, line.ends_pending, line.change) for line in page.lines] == [
        ("h3", "pending", False, 0),
        ("e2", "posted", True, -200),
        ("h2", "pending", False, 0),
        ("v1", "void", True, 0),
        ("h1", "pending", False, 0),
        ("one/release", "posted", False, 900),
    ]
    assert (mine.payable, mine.available, mine.held, mine.receivable) == (700, 650, 0, 0)


async def test_balances_of_a_user_and_a_path(book: Book) -> None:
    await sell(book, "one", 1_000)
    await sell(book, "yen", 300, "JPY")
    await book.post(
        postings.fund("f", "open", PROVIDER, 800, "CNY"),
        postings.refund("r", "open", "ref", 300, "CNY"),
        postings.freeze("z", "maker", 100, "CNY"),
    )
    async with book.database.transaction() as session:
        await hold(session, postings.refund("h", "open", "ref", 200, "CNY"))
        mine = await statements.user_balances(session, "maker")
        path = await statements.path_balances(session, "open")
        nobody = await statements.user_balances(session, "nobody")
    assert [(m.currency, m.payable, m.held) for m in mine] == [("CNY", 800, 100), ("JPY", 270, 0)]
    assert [(b.account.code, b.balance, b.pending_in, b.pending_out) for b in path] == [
        ("escrow:open", 500, 0, 200),
        ("refund_due:ref", 300, 200, 0),
    ]
    assert nobody == []


async def test_trial_balance_adds_up(book: Book) -> None:
    await sell(book, "one", 1_000)
    await sell(book, "two", 500)
    await sell(book, "yen", 300, "JPY")
    async with book.database.transaction() as session:
        await post(session, postings.settle("s", None, PROVIDER, 1_000, 6, "CNY"))
        table = await statements.trial_balance(session)
    for currency in ("CNY", "JPY"):
        lines = [line for line in table if line.currency == currency]
        assert sum(line.debits for line in lines) == sum(line.credits for line in lines)
    assert [(line.kind.value, line.accounts, line.balance) for line in table[:6]] == [
        ("cash", 1, 994),
        ("clearing", 1, 500),
        ("escrow", 2, 0),
        ("payable", 1, 1_350),
        ("fee", 1, 150),
        ("psp_fee", 1, 6),
    ]


async def test_limits_are_bounded(book: Book) -> None:
    await sell(book, "one", 1_000)
    async with book.database.transaction() as session:
        assert len((await statements.path_statement(session, "one", limit=0)).lines) == 1
        assert len((await statements.path_statement(session, "one", limit=10**9)).lines) == 5
