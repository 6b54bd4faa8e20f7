"""The balance this company keeps for its client, and the daily statement of it."""

from __future__ import annotations

from datetime import date

from providers.sandbox_server.records import Movement, Statement
from providers.sandbox_server.store import Tx

PAGE = 1_000
"""Most lines in one page of a statement."""


def book(tx: Tx, kind: str, reference: str, subject: str, amount: int, currency: str) -> None:
    """Adds one signed movement and moves the balance and the day's total with it; nothing for 0.

    Balances may go below 0 here: a refund or a dispute can take more than is there.
    """
    if amount == 0:
        return
    day = tx.moment[:10]
    tx.run(
        "INSERT INTO movements (reference, kind, subject, amount, currency, booked_at, day)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        reference,
        kind,
        subject,
        amount,
        currency,
        tx.moment,
        day,
    )
    tx.run(
        "INSERT INTO day_totals (day, currency, amount) VALUES (?, ?, ?)"
        " ON CONFLICT (day, currency) DO UPDATE SET amount = amount + excluded.amount",
        day,
        currency,
        amount,
    )
    tx.run(
        "INSERT INTO balances (currency, amount) VALUES (?, ?)"
        " ON CONFLICT (currency) DO UPDATE SET amount = amount + excluded.amount",
        currency,
        amount,
    )


def balance(tx: Tx, currency: str) -> int:
    """What this company holds in one currency."""
    return tx.number("SELECT amount FROM balances WHERE currency = ?", currency)


def balances(tx: Tx) -> dict[str, int]:
    """What this company holds, by currency."""
    return {
        str(row["currency"]): int(row["amount"] or 0)
        for row in tx.all("SELECT currency, amount FROM balances ORDER BY currency")
    }


def statement(tx: Tx, day: date, after: int) -> Statement:
    """One page of the movements of a UTC day that come after the movement id `after`."""
    rows = tx.all(
        "SELECT * FROM movements WHERE day = ? AND id > ? ORDER BY id LIMIT ?",
        day.isoformat(),
        after,
        PAGE + 1,
    )
    lines = [Movement.model_validate(row) for row in rows[:PAGE]]
    return Statement(
        day=day.isoformat(),
        opening=_sums(tx, "day < ?", day),
        closing=_sums(tx, "day <= ?", day),
        lines=lines,
        next_after=lines[-1].id if len(rows) > PAGE else None,
    )


def _sums(tx: Tx, which: str, day: date) -> dict[str, int]:
    rows = tx.all(
        f"SELECT currency, SUM(amount) AS total FROM day_totals WHERE {which}"
        " GROUP BY currency ORDER BY currency",
        day.isoformat(),
    )
    return {str(row["currency"]): int(row["total"] or 0) for row in rows}
