"""What the database refuses by itself, whoever writes the SQL."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from psycopg import errors

from domain.accounts import AccountKind, Side, may_go_below_zero, normal_side

LEDGER = ("ledger_entries", "ledger_postings", "ledger_accounts")


@pytest.fixture
def sql(ledger_url: str) -> Iterator[psycopg.Connection]:
    """A superuser's connection to a ledger that holds one entry: 100 fen from clearing to an escrow."""
    with psycopg.connect(ledger_url) as connection:
        account(connection, "clearing", "bank")
        account(connection, "escrow", "sale")
        entry(connection, "first", 100)
        posting(connection, "first", "clearing", "debit", 100)
        posting(connection, "first", "escrow", "credit", 100)
        connection.commit()
        yield connection
        connection.rollback()


def account(sql: psycopg.Connection, kind: str, owner: str, currency: str = "CNY") -> None:
    bound = kind in ("escrow", "deposit", "match", "refund_due", "dispute")
    sql.execute(
        "INSERT INTO ledger_accounts (kind, owner, currency, path_id) VALUES (%s, %s, %s, %s)",
        (kind, owner, currency, owner if bound else None),
    )


def entry(
    sql: psycopg.Connection,
    key: str,
    total: int,
    status: str = "posted",
    resolves: str | None = None,
) -> None:
    sql.execute(
        """INSERT INTO ledger_entries
            (key, input_hash, kind, status, resolves_id, currency, total, note)
        VALUES (%s, '', 'fund', %s, (SELECT id FROM ledger_entries WHERE key = %s), 'CNY', %s, '')
        """,
        (key, status, resolves, total),
    )


def posting(
    sql: psycopg.Connection, key: str, kind: str, side: str, amount: int, currency: str = "CNY"
) -> None:
    sql.execute(
        """INSERT INTO ledger_postings (entry_id, account_id, side, amount)
        SELECT e.id, a.id, %s, %s FROM ledger_entries e, ledger_accounts a
        WHERE e.key = %s AND a.kind = %s AND a.currency = %s""",
        (side, amount, key, kind, currency),
    )


def both(sql: psycopg.Connection, key: str, debited: int, credited: int) -> None:
    posting(sql, key, "clearing", "debit", debited)
    posting(sql, key, "escrow", "credit", credited)


@pytest.mark.parametrize("table", LEDGER)
@pytest.mark.parametrize("statement", ["DELETE FROM {}", "TRUNCATE {} CASCADE"])
def test_nothing_is_deleted(sql: psycopg.Connection, table: str, statement: str) -> None:
    with pytest.raises(errors.RestrictViolation):
        sql.execute(statement.format(table).encode())


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger_entries SET note = 'x'",
        "UPDATE ledger_postings SET amount = 1",
        "UPDATE ledger_postings SET amount = 1 WHERE false",
        "UPDATE ledger_accounts SET credits_posted = 1",
        "UPDATE ledger_accounts SET owner = 'thief'",
        "UPDATE ledger_accounts SET version = version + 1",
    ],
)
def test_nothing_is_changed(sql: psycopg.Connection, statement: str) -> None:
    with pytest.raises(errors.RestrictViolation):
        sql.execute(statement.encode())


def test_an_account_starts_empty(sql: psycopg.Connection) -> None:
    with pytest.raises(errors.RestrictViolation):
        sql.execute(
            "INSERT INTO ledger_accounts (kind, owner, currency, credits_posted)"
            " VALUES ('payable', 'thief', 'CNY', 5)"
        )


def test_one_sided_entries_are_refused_at_commit(sql: psycopg.Connection) -> None:
    entry(sql, "k", 50)
    posting(sql, "k", "clearing", "debit", 50)
    with pytest.raises(errors.CheckViolation, match="debits 50 and credits 0, not 50"):
        sql.commit()


def test_unbalanced_entries_are_refused_at_commit(sql: psycopg.Connection) -> None:
    entry(sql, "k", 50)
    both(sql, "k", 50, 51)
    with pytest.raises(errors.CheckViolation) as refused:
        sql.commit()
    assert refused.value.diag.constraint_name == "ledger_entries_balanced"


def test_entries_without_postings_are_refused_at_commit(sql: psycopg.Connection) -> None:
    entry(sql, "k", 50)
    with pytest.raises(errors.CheckViolation):
        sql.commit()


def test_a_written_entry_gets_no_more_postings(sql: psycopg.Connection) -> None:
    both(sql, "first", 10, 10)
    with pytest.raises(errors.CheckViolation):
        sql.commit()


def test_checking_early_opens_no_gap(sql: psycopg.Connection) -> None:
    entry(sql, "k", 50)
    both(sql, "k", 50, 50)
    sql.execute("SET CONSTRAINTS ALL IMMEDIATE")
    with pytest.raises(errors.CheckViolation):
        both(sql, "k", 1, 1)


def test_currencies_never_mix(sql: psycopg.Connection) -> None:
    account(sql, "fee", "platform", "JPY")
    entry(sql, "k", 50)
    with pytest.raises(errors.CheckViolation, match="the currency of entry"):
        posting(sql, "k", "fee", "credit", 50, "JPY")


@pytest.mark.parametrize("amount", [0, -5])
def test_amounts_are_positive(sql: psycopg.Connection, amount: int) -> None:
    entry(sql, "k", 50)
    with pytest.raises(errors.CheckViolation):
        posting(sql, "k", "escrow", "credit", amount)


def test_words_outside_the_vocabulary(sql: psycopg.Connection) -> None:
    insert = "INSERT INTO ledger_accounts (kind, owner, currency, path_id) VALUES (%s, 'x', %s, %s)"
    for row in (
        ("gold", "CNY", None),
        ("fee", "cny", None),
        ("escrow", "CNY", None),
        ("fee", "CNY", "path"),
    ):
        with pytest.raises(errors.CheckViolation), sql.transaction():
            sql.execute(insert, row)
    with pytest.raises(errors.CheckViolation), sql.transaction():
        entry(sql, "k", 1, "maybe")
    with pytest.raises(errors.CheckViolation), sql.transaction():
        entry(sql, "k", 1, "void")
    with pytest.raises(errors.CheckViolation), sql.transaction():
        entry(sql, "k", 0)


def test_what_ends_a_hold_repeats_it(sql: psycopg.Connection) -> None:
    entry(sql, "hold", 50, "pending")
    both(sql, "hold", 50, 50)
    sql.commit()
    with pytest.raises(errors.CheckViolation), sql.transaction():
        entry(sql, "half", 20, "posted", resolves="hold")
        both(sql, "half", 20, 20)
        sql.execute("SET CONSTRAINTS ALL IMMEDIATE")
    with pytest.raises(errors.CheckViolation), sql.transaction():
        entry(sql, "other", 50, "void", resolves="first")
        both(sql, "other", 50, 50)
    entry(sql, "whole", 50, "void", resolves="hold")
    both(sql, "whole", 50, 50)
    sql.commit()
    with pytest.raises(errors.UniqueViolation):
        entry(sql, "again", 50, "void", resolves="hold")


@pytest.mark.parametrize("kind", list(AccountKind))
def test_the_database_knows_the_chart_of_accounts(
    sql: psycopg.Connection, kind: AccountKind
) -> None:
    """The kinds frozen in the migrations are those of domain.accounts."""
    account(sql, kind, "tested")
    shrinks, grows = Side.CREDIT, Side.DEBIT
    if normal_side(kind) is Side.CREDIT:
        shrinks, grows = grows, shrinks
    other = "fee" if kind is not AccountKind.FEE else "loss"
    account(sql, other, "other")
    for key, side, against in (("up", grows, shrinks), ("down", shrinks, grows)):
        entry(sql, key, 7)
        move(sql, key, kind, side)
        move(sql, key, other, against, "other")
    found = sql.execute(
        "SELECT balance FROM ledger_accounts WHERE owner = 'tested' AND kind = %s", (str(kind),)
    ).fetchone()
    assert found == (0,)
    after = sql.execute(
        """SELECT p.balance_after FROM ledger_postings p JOIN ledger_accounts a
        ON a.id = p.account_id WHERE a.owner = 'tested' ORDER BY p.id"""
    ).fetchall()
    assert after == [(7,), (0,)]
    entry(sql, "below", 1)
    if may_go_below_zero(kind):
        move(sql, "below", kind, shrinks)
    else:
        with pytest.raises(errors.CheckViolation) as refused:
            move(sql, "below", kind, shrinks)
        assert refused.value.diag.constraint_name == "ck_ledger_accounts_not_overdrawn"


def move(sql: psycopg.Connection, key: str, kind: str, side: Side, owner: str = "tested") -> None:
    sql.execute(
        """INSERT INTO ledger_postings (entry_id, account_id, side, amount)
        SELECT e.id, a.id, %s, e.total FROM ledger_entries e, ledger_accounts a
        WHERE e.key = %s AND a.kind = %s AND a.owner = %s""",
        (str(side), key, str(kind), owner),
    )
