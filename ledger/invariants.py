"""What must always be true of the ledger, as queries that can run on a live system: `python -m ledger.invariants`.

Triggers and constraints keep these truths while money is written. The checks recompute them from the postings, so they
also find what came in around the triggers: a restored backup, a superuser, a bug in the triggers themselves.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Collection
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from db.engine import Database
from domain.accounts import AccountKind, Side, may_go_below_zero, normal_side
from domain.errors import Unavailable
from domain.model import Message
from runtime.settings import settings

HOLD_DAYS = 7
"""Days after which a pending entry should have been posted or voided; card authorisations last no longer."""
_MOST_ROWS = 100


class Violation(Message):
    """One row that breaks an invariant."""

    invariant: str
    subject: str
    """What is wrong: an entry by its key, an account by its code and currency, a path, a currency."""
    detail: str


@dataclass(frozen=True)
class Invariant:
    """A truth and the query that returns `subject, detail` of every row that breaks it."""

    name: str
    truth: str
    query: str


INVARIANTS = (
    Invariant(
        "entry_balances",
        "debits and credits of each entry are equal, and equal to its total",
        """
        SELECT e.key AS subject, format('debits %s, credits %s, total %s',
            coalesce(s.debits, 0), coalesce(s.credits, 0), e.total) AS detail
        FROM ledger_entries e LEFT JOIN (
            SELECT entry_id, sum(amount) FILTER (WHERE side = 'debit') AS debits,
                sum(amount) FILTER (WHERE side = 'credit') AS credits
            FROM ledger_postings GROUP BY entry_id
        ) s ON s.entry_id = e.id
        WHERE s.debits IS DISTINCT FROM e.total OR s.credits IS DISTINCT FROM e.total
        """,
    ),
    Invariant(
        "one_currency",
        "every posting is in its entry's currency",
        """
        SELECT e.key AS subject, format('%s entry on %s:%s in %s',
            e.currency, a.kind, a.owner, a.currency) AS detail
        FROM ledger_postings p
        JOIN ledger_entries e ON e.id = p.entry_id
        JOIN ledger_accounts a ON a.id = p.account_id
        WHERE a.currency <> e.currency
        """,
    ),
    Invariant(
        "account_in_step",
        "the balances of each account are the sums of its postings",
        """
        SELECT format('%s:%s %s', a.kind, a.owner, a.currency) AS subject, format(
            'stored debits %s credits %s pending %s/%s version %s, postings give %s %s %s/%s %s',
            a.debits_posted, a.credits_posted, a.debits_pending, a.credits_pending, a.version,
            s.debits, s.credits, s.pending_debits, s.pending_credits, s.postings) AS detail
        FROM ledger_accounts a CROSS JOIN LATERAL (
            SELECT
                coalesce(sum(amount) FILTER (WHERE side = 'debit' AND status = 'posted'), 0)
                    AS debits,
                coalesce(sum(amount) FILTER (WHERE side = 'credit' AND status = 'posted'), 0)
                    AS credits,
                coalesce(sum(CASE WHEN status = 'pending' THEN amount ELSE -amount END)
                    FILTER (WHERE side = 'debit' AND (status = 'pending' OR ends)), 0)
                    AS pending_debits,
                coalesce(sum(CASE WHEN status = 'pending' THEN amount ELSE -amount END)
                    FILTER (WHERE side = 'credit' AND (status = 'pending' OR ends)), 0)
                    AS pending_credits,
                count(*) AS postings
            FROM (
                SELECT p.side, p.amount, e.status, e.resolves_id IS NOT NULL AS ends
                FROM ledger_postings p JOIN ledger_entries e ON e.id = p.entry_id
                WHERE p.account_id = a.id
            ) AS own
        ) s
        WHERE (a.debits_posted, a.credits_posted, a.debits_pending, a.credits_pending, a.version)
            <> (s.debits, s.credits, s.pending_debits, s.pending_credits, s.postings)
        """,
    ),
    Invariant(
        "balance_chain",
        "each posting's balance_after follows from the one before it",
        """
        SELECT format('%s:%s %s', kind, owner, currency) AS subject,
            format('posting %s says %s, the chain gives %s', id, balance_after, chain) AS detail
        FROM (
            SELECT p.id, a.kind, a.owner, a.currency, p.balance_after,
                sum(CASE WHEN p.side = CASE WHEN a.kind = ANY(:debit_kinds)
                        THEN 'debit' ELSE 'credit' END THEN p.amount ELSE -p.amount END)
                    OVER (PARTITION BY p.account_id ORDER BY p.id) AS chain
            FROM ledger_postings p
            JOIN ledger_entries e ON e.id = p.entry_id AND e.status = 'posted'
            JOIN ledger_accounts a ON a.id = p.account_id
        ) AS chained
        WHERE balance_after IS DISTINCT FROM chain
        """,
    ),
    Invariant(
        "not_overdrawn",
        "no account holds less than nothing, unless its kind may",
        """
        SELECT format('%s:%s %s', kind, owner, currency) AS subject,
            format('available %s', available) AS detail
        FROM (
            SELECT kind, owner, currency, CASE WHEN kind = ANY(:debit_kinds)
                THEN debits_posted - credits_posted - credits_pending
                ELSE credits_posted - debits_posted - debits_pending END AS available
            FROM ledger_accounts WHERE kind <> ALL(:free_kinds)
        ) AS bound
        WHERE available < 0
        """,
    ),
    Invariant(
        "currency_sums_to_zero",
        "all accounts of one currency together stand at 0",
        """
        SELECT currency AS subject, format('debits %s, credits %s, pending %s/%s',
            sum(debits_posted), sum(credits_posted), sum(debits_pending), sum(credits_pending))
            AS detail
        FROM ledger_accounts GROUP BY currency
        HAVING sum(debits_posted) <> sum(credits_posted)
            OR sum(debits_pending) <> sum(credits_pending)
        """,
    ),
    Invariant(
        "hold_ended_exactly",
        "what ends a pending entry repeats its postings",
        """
        SELECT e.key AS subject, format('differs from pending entry %s', e.resolves_id) AS detail
        FROM ledger_entries e
        WHERE e.resolves_id IS NOT NULL AND NOT ledger_same_postings(e.id, e.resolves_id)
        """,
    ),
    Invariant(
        "hold_ended_in_time",
        "no pending entry is left open",
        """
        SELECT p.key AS subject, format('pending since %s', p.at) AS detail
        FROM ledger_entries p
        WHERE p.status = 'pending' AND p.at < now() - make_interval(days => :hold_days)
            AND NOT EXISTS (SELECT FROM ledger_entries e WHERE e.resolves_id = p.id)
        """,
    ),
    Invariant(
        "closed_path_empty",
        "a closed path's escrow, deposits, refunds due and disputes are 0",
        """
        SELECT a.path_id AS subject, format('%s:%s holds %s %s, pending %s/%s', a.kind, a.owner,
            a.currency, a.balance, a.debits_pending, a.credits_pending) AS detail
        FROM paths JOIN ledger_accounts a ON a.path_id = paths.id
        WHERE paths.closed_at IS NOT NULL
            AND (a.balance <> 0 OR a.debits_pending <> 0 OR a.credits_pending <> 0)
        """,
    ),
)

QUICK = frozenset({"not_overdrawn", "currency_sums_to_zero", "closed_path_empty"})
"""Names of those that read accounts only, never all postings: they can run all the time."""


async def check(session: AsyncSession, *, hold_days: int = HOLD_DAYS) -> list[Violation]:
    """Runs all checks on one snapshot, read only, without locks; at most 100 rows for each.

    Must be the first thing its transaction does: it sets the isolation of the whole transaction.
    """
    await session.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
    return await violations(session, hold_days=hold_days)


async def violations(
    connection: AsyncSession | AsyncConnection,
    *,
    hold_days: int = HOLD_DAYS,
    only: Collection[str] | None = None,
) -> list[Violation]:
    """`check` within a transaction that has begun already, on what that transaction sees; all of it, or these names."""
    values = {
        "debit_kinds": [str(k) for k in AccountKind if normal_side(k) is Side.DEBIT],
        "free_kinds": [str(k) for k in AccountKind if may_go_below_zero(k)],
        "hold_days": hold_days,
    }
    found = []
    for invariant in INVARIANTS:
        if only is not None and invariant.name not in only:
            continue
        used = {name: value for name, value in values.items() if f":{name}" in invariant.query}
        rows = await connection.execute(text(f"{invariant.query} LIMIT {_MOST_ROWS}"), used)
        found += [
            Violation(invariant=invariant.name, subject=row.subject, detail=row.detail)
            for row in rows
        ]
    return found


async def check_url(url: str) -> list[Violation]:
    """`check` on the database at `postgresql://…`. Raises Unavailable."""
    database = Database(url, pool_size=1)
    try:
        async with database.transaction() as session:
            return await check(session)
    finally:
        await database.aclose()


def report(violations: list[Violation]) -> Table:
    """One line for each invariant, and one for each row that breaks it."""
    table = Table("invariant", "holds", "where", "detail", title="Ledger invariants")
    for invariant in INVARIANTS:
        broken = [v for v in violations if v.invariant == invariant.name]
        if not broken:
            table.add_row(invariant.name, "yes", "", invariant.truth)
        for violation in broken:
            table.add_row(invariant.name, "NO", violation.subject, violation.detail)
    return table


def main() -> int:
    """Checks the database of BAIGONG_DATABASE_URL: 0 when all holds, 1 on violations, 2 when it cannot be checked."""
    url = settings().database_url
    if url is None:
        print("BAIGONG_DATABASE_URL is not set: nothing to check", file=sys.stderr)
        return 2
    try:
        violations = asyncio.run(check_url(url.get_secret_value()))
    except Unavailable as unavailable:
        print(f"not checked: {unavailable.detail}", file=sys.stderr)
        return 2
    Console().print(report(violations))
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
