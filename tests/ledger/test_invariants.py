"""Every invariant finds a violation that was planted around the triggers, and says where it is."""

from __future__ import annotations

import psycopg
import pytest
from sqlalchemy import text

from domain import accounts, postings
from domain.accounts import FEE
from domain.postings import Share
from ledger import invariants
from ledger.invariants import INVARIANTS, Violation
from ledger.journal import hold, void_pending
from tests.ledger.book import PROVIDER, Book

pytestmark = pytest.mark.asyncio

PLANTED = {
    "entry_balances": [
        "UPDATE ledger_postings SET amount = amount + 1 WHERE id = 1",
        "INSERT INTO ledger_entries (key, input_hash, kind, status, currency, total, note)"
        " VALUES ('bare', '', 'fund', 'posted', 'CNY', 5, '')",
    ],
    "one_currency": ["UPDATE ledger_accounts SET currency = 'EUR' WHERE kind = 'fee'"],
    "account_in_step": [
        "UPDATE ledger_accounts SET credits_posted = credits_posted + 1 WHERE kind = 'fee'",
        "UPDATE ledger_accounts SET credits_pending = 1 WHERE kind = 'fee'",
        "UPDATE ledger_accounts SET version = 0 WHERE kind = 'fee'",
    ],
    "balance_chain": [
        "UPDATE ledger_postings SET balance_after = balance_after + 1 WHERE id = 1",
        "UPDATE ledger_postings SET balance_after = NULL WHERE id = 1",
    ],
    "not_overdrawn": [
        "ALTER TABLE ledger_accounts DROP CONSTRAINT ck_ledger_accounts_not_overdrawn;"
        "UPDATE ledger_accounts SET debits_posted = 9999 WHERE kind = 'payable'",
    ],
    "currency_sums_to_zero": [
        "UPDATE ledger_accounts SET credits_posted = credits_posted + 1 WHERE kind = 'fee'",
        "UPDATE ledger_accounts SET credits_pending = 1 WHERE kind = 'fee'",
    ],
    "hold_ended_exactly": [
        "UPDATE ledger_entries SET resolves_id = 1 WHERE key = 'void'",
        "UPDATE ledger_postings SET amount = 2 WHERE id IN"
        " (SELECT p.id FROM ledger_postings p JOIN ledger_entries e ON e.id = p.entry_id"
        " WHERE e.key = 'void')",
    ],
    "hold_ended_in_time": [
        "UPDATE ledger_entries SET at = now() - interval '8 days' WHERE key = 'open'",
    ],
    "closed_path_empty": [
        "INSERT INTO users (id, issuer, subject, display_name) VALUES ('u', 'i', 's', 'n');"
        "INSERT INTO paths (id, kind, workflow_id, initiator_id, currency, phase, closed_at)"
        " VALUES ('sale', 'sale', 'w', 'u', 'CNY', 'completed', now())",
    ],
}


async def fill(book: Book) -> None:
    """One entry of each sort; the path `sale` still holds money."""
    shares = [Share(account=accounts.payable("maker"), amount=90), Share(account=FEE, amount=10)]
    await book.post(
        postings.fund("fund", "sale", PROVIDER, 1_000, "CNY"),
        postings.release("release", "sale", shares, "CNY"),
    )
    async with book.database.transaction() as session:
        await hold(session, postings.payout("ended", "payout", "maker", 20, "CNY"))
        await void_pending(session, "void", "ended")
        await hold(session, postings.payout("open", "payout", "maker", 30, "CNY"))


async def test_a_sound_ledger_has_no_violations(book: Book) -> None:
    await fill(book)
    assert await book.broken() == []


@pytest.mark.parametrize("name", [invariant.name for invariant in INVARIANTS])
async def test_each_invariant_finds_what_is_planted(spoiled_book: Book, name: str) -> None:
    await fill(spoiled_book)
    for number in range(len(PLANTED[name])):
        found = await planted(spoiled_book, PLANTED[name][number])
        broken = [v for v in found if v.invariant == name]
        assert broken, f"{name} did not find planted violation {number}"
        assert all(v.subject and v.detail for v in broken)


async def planted(book: Book, statement: str) -> list[Violation]:
    """What the checks say after `statement`, which is undone afterwards."""
    async with book.database.engine.connect() as connection:
        await connection.execute(text("SET LOCAL session_replication_role = replica"))
        for part in statement.split(";"):
            await connection.execute(text(part))
        found = await invariants.violations(connection)
        await connection.rollback()
        return found


async def test_checks_need_no_lock_and_change_nothing(book: Book) -> None:
    await fill(book)
    async with book.database.transaction() as session:
        assert await invariants.check(session) == []
        with pytest.raises(Exception, match="read-only transaction"):
            await session.execute(text("CREATE TABLE nonsense ()"))
        await session.rollback()


async def test_the_report_names_the_broken_entry(
    spoiled_book: Book,
    ledger_url: str,
) -> None:
    await fill(spoiled_book)
    assert invariants.report(await invariants.check_url(ledger_url)).row_count == len(INVARIANTS)
    with psycopg.connect(ledger_url) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("UPDATE ledger_entries SET total = total + 1 WHERE key = 'fund'")
    found = await invariants.check_url(ledger_url)
    assert [(v.invariant, v.subject) for v in found] == [("entry_balances", "fund")]
    assert "total 1001" in found[0].detail
