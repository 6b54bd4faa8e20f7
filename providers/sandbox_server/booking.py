"""The balance this company keeps for its client, and the daily statement of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date

from providers.sandbox_server.behaviours import any_on, take_for_line
from providers.sandbox_server.records import Behaviour, Effect, Movement, Statement
from providers.sandbox_server.store import Tx

_DAY = 86_400
PAGE = 1_000
"""Most lines in one page of a statement."""


def book(tx: Tx, kind: str, reference: str, subject: str, amount: int, currency: str) -> None:
    """Adds one signed movement and moves the balance and the day's total with it; nothing for 0.

    Balances may go below 0 here: a refund or a dispute can take more than is there.
    """
    if amount == 0:
        return
    for line in _faulty(tx, _Line(kind, reference, subject, amount, currency, tx.moment)):
        _write(tx, line)
    tx.run(
        "INSERT INTO balances (currency, amount) VALUES (?, ?)"
        " ON CONFLICT (currency) DO UPDATE SET amount = amount + excluded.amount",
        currency,
        amount,
    )


@dataclass(frozen=True)
class _Line:
    kind: str
    reference: str
    subject: str
    amount: int
    currency: str
    moment: str


def _faulty(tx: Tx, line: _Line) -> list[_Line]:
    """The lines that the statement shows for a movement: one and true, unless it was told to err."""
    names = (line.subject, line.reference)
    if not any_on(tx, "statement"):
        return [line]

    def told(effect: Effect) -> Behaviour | None:
        return take_for_line(tx, effect, names, line.kind)

    if told(Effect.LINE_MISSING):
        return []
    if told(Effect.LINE_DOUBLED):
        return [line, line]
    if told(Effect.LINE_AMOUNT):
        return [replace(line, amount=line.amount + (1 if line.amount > 0 else -1))]
    if told(Effect.LINE_CURRENCY):
        return [replace(line, currency="USD" if line.currency != "USD" else "EUR")]
    if told(Effect.LINE_SIGN):
        return [replace(line, amount=-line.amount)]
    if told(Effect.LINE_KIND):
        return [replace(line, kind="adjustment")]
    if told(Effect.LINE_SUBJECT):
        return [replace(line, subject="unknown")]
    if late := told(Effect.LINE_LATE):
        return [replace(line, moment=tx.later(late.seconds or _DAY))]
    if told(Effect.BALANCE_OFF):
        _total(tx, line.moment[:10], line.currency, 1)
    return [line]


def _write(tx: Tx, line: _Line) -> None:
    day = line.moment[:10]
    tx.run(
        "INSERT INTO movements (reference, kind, subject, amount, currency, booked_at, day)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        line.reference,
        line.kind,
        line.subject,
        line.amount,
        line.currency,
        line.moment,
        day,
    )
    _total(tx, day, line.currency, line.amount)


def _total(tx: Tx, day: str, currency: str, amount: int) -> None:
    tx.run(
        "INSERT INTO day_totals (day, currency, amount) VALUES (?, ?, ?)"
        " ON CONFLICT (day, currency) DO UPDATE SET amount = amount + excluded.amount",
        day,
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
