"""What the ledger says about a payee's quarter, and what was written down of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime

from sqlalchemy import Row, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from db.tables import TaxQuarter
from domain import tax
from domain.postings import EntryKind
from domain.tax import COUNTED, INCOME, EntryFacts, Figures, Quarter

_ROWS_AT_ONCE = 1_000


async def of_user(
    session: AsyncSession, user_id: str, quarter: Quarter, begins: datetime, ends: datetime
) -> tuple[Figures, ...]:
    """The payee's figures: those written down, else what the ledger says by now; one for each currency."""
    kept = await kept_of(session, user_id, quarter)
    return kept if kept is not None else await counted(session, user_id, begins, ends)


async def kept_of(
    session: AsyncSession, user_id: str, quarter: Quarter
) -> tuple[Figures, ...] | None:
    """What was written down; none while the quarter may still change."""
    rows = await session.scalars(
        select(TaxQuarter)
        .where(
            TaxQuarter.user_id == user_id,
            TaxQuarter.year == quarter.year,
            TaxQuarter.quarter == quarter.number,
        )
        .order_by(TaxQuarter.currency)
    )
    found = tuple(Figures.model_validate(row.figures) for row in rows)
    return found or None


async def counted(
    session: AsyncSession, user_id: str, begins: datetime, ends: datetime
) -> tuple[Figures, ...]:
    """What the ledger says of the time from `begins` until before `ends`."""
    entries = [each async for each in _entries(session, user_id, begins, ends)]
    return tax.figures(user_id, entries)


async def payees(
    session: AsyncSession, begins: datetime, ends: datetime, after: str, limit: int
) -> list[str]:
    """Users of whom anything counts in that time, by id."""
    rows = await session.execute(
        _PAYEES,
        {
            "begins": begins,
            "ends": ends,
            "after": after,
            "limit": limit,
            "kinds": sorted(COUNTED),
        },
    )
    return [row.owner for row in rows]


async def not_kept(
    session: AsyncSession, quarter: Quarter, begins: datetime, ends: datetime, limit: int
) -> Sequence[str]:
    """Of them, those whose figures are not written down yet."""
    rows = await session.execute(
        _NOT_KEPT,
        {
            "begins": begins,
            "ends": ends,
            "year": quarter.year,
            "quarter": quarter.number,
            "limit": limit,
            "kinds": sorted(COUNTED),
        },
    )
    return [row.owner for row in rows]


async def _entries(
    session: AsyncSession, user_id: str, begins: datetime, ends: datetime
) -> AsyncIterator[EntryFacts]:
    result = await session.stream(
        _ENTRIES,
        {
            "user_id": user_id,
            "begins": begins,
            "ends": ends,
            "kinds": sorted(COUNTED),
            "income": sorted(INCOME),
        },
        execution_options={"yield_per": _ROWS_AT_ONCE},
    )
    async for row in result:
        yield _facts(row)


def _facts(row: Row[tuple[object, ...]]) -> EntryFacts:
    return EntryFacts(
        kind=EntryKind(row.kind),
        path_id=row.path_id,
        currency=row.currency,
        own=int(row.own),
        fee=int(row.fee),
        owners=tuple(row.owners),
        nets=tuple(int(net) for net in row.nets),
        earned_before=row.earned_before,
    )


_NET = "sum(CASE p.side WHEN 'credit' THEN p.amount ELSE -p.amount END)"
_OF_USERS = "a.kind IN ('payable', 'held', 'receivable')"

_ENTRIES = text(f"""
    WITH mine AS (
        SELECT e.id, e.kind, e.path_id, e.currency, {_NET} AS own
        FROM ledger_accounts a
        JOIN ledger_postings p ON p.account_id = a.id
        JOIN ledger_entries e ON e.id = p.entry_id
        WHERE a.owner = :user_id AND {_OF_USERS} AND e.status = 'posted'
            AND e.kind = ANY(:kinds) AND e.at >= :begins AND e.at < :ends
        GROUP BY e.id
    )
    SELECT mine.*, coalesce(fees.net, 0) AS fee, everybody.owners, everybody.nets,
        EXISTS (
            SELECT FROM ledger_entries b
            JOIN ledger_postings p ON p.entry_id = b.id
            JOIN ledger_accounts a ON a.id = p.account_id
            WHERE b.path_id = mine.path_id AND b.id < mine.id AND b.kind = ANY(:income)
                AND a.owner = :user_id AND {_OF_USERS} AND p.side = 'credit'
        ) AS earned_before
    FROM mine
    CROSS JOIN LATERAL (
        SELECT {_NET} AS net FROM ledger_postings p JOIN ledger_accounts a ON a.id = p.account_id
        WHERE p.entry_id = mine.id AND a.kind = 'fee'
    ) fees
    CROSS JOIN LATERAL (
        SELECT array_agg(owner ORDER BY owner) AS owners, array_agg(net ORDER BY owner) AS nets
        FROM (
            SELECT a.owner, {_NET} AS net
            FROM ledger_postings p JOIN ledger_accounts a ON a.id = p.account_id
            WHERE p.entry_id = mine.id AND {_OF_USERS} GROUP BY a.owner
        ) AS each
    ) everybody
    ORDER BY mine.id
""")

_IN_TIME = f"""
    SELECT DISTINCT a.owner
    FROM ledger_entries e
    JOIN ledger_postings p ON p.entry_id = e.id
    JOIN ledger_accounts a ON a.id = p.account_id
    WHERE e.at >= :begins AND e.at < :ends AND e.status = 'posted' AND e.kind = ANY(:kinds)
        AND {_OF_USERS}
"""
_PAYEES = text(f"{_IN_TIME} AND a.owner > :after ORDER BY a.owner LIMIT :limit")
_NOT_KEPT = text(f"""
    {_IN_TIME} AND NOT EXISTS (
        SELECT FROM tax_quarters t WHERE t.user_id = a.owner AND t.year = :year
            AND t.quarter = :quarter AND t.currency = e.currency
    )
    ORDER BY a.owner LIMIT :limit
""")
