"""Paths and movements of money that do not go on by themselves, found by their rows."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from db.tables import Case, Path
from domain.accounts import PATH_BOUND
from domain.operator_cases import CaseKind
from domain.stuck import FORGOTTEN_DAYS, LATE_MINUTES, PAYOUT_DAYS, REFUND_DAYS, Stuck, Why


async def by_rows(session: AsyncSession, limit: int) -> list[Stuck]:
    """What the rows alone tell; at most so many of each kind."""
    found: list[Stuck] = []
    for why, query in _QUERIES.items():
        rows = await session.execute(text(query), _values(query) | {"limit": limit})
        found += [Stuck(subject=row.subject, why=why, path_id=row.path_id) for row in rows]
    return found


async def of_stories(session: AsyncSession, workflow_ids: Collection[str]) -> dict[str, str]:
    """Of these workflows, those that tell the story of a path that is open: the path's id by workflow."""
    rows = await session.execute(
        select(Path.workflow_id, Path.id).where(
            Path.workflow_id.in_(workflow_ids), Path.closed_at.is_(None)
        )
    )
    return {workflow_id: path_id for workflow_id, path_id in rows}


async def open_cases(session: AsyncSession) -> Sequence[str]:
    """Subjects of all open cases of what is stuck."""
    rows = await session.scalars(
        select(Case.subject).where(Case.kind == CaseKind.STUCK, Case.ended_at.is_(None))
    )
    return rows.all()


# Timers of payments and refunds have a subject and no event: their own stories run them.
_OPEN = "closed_at IS NULL AND paused_at IS NULL"
_QUERIES = {
    Why.MISSED_TIMER: f"""
        SELECT p.workflow_id AS subject, p.id AS path_id FROM paths p
        WHERE {_OPEN} AND EXISTS (
            SELECT FROM jsonb_array_elements(p.deadlines) d
            WHERE (d->>'event' <> '' OR d->>'subject' = '') AND (d->>'due_at')::timestamptz
                + make_interval(secs => coalesce((d->>'grace_seconds')::int, 0))
                < now() - make_interval(mins => :late_minutes)
        ) ORDER BY p.id LIMIT :limit
    """,
    Why.PAUSED_ORPHAN: """
        SELECT p.workflow_id AS subject, p.id AS path_id FROM paths p
        WHERE p.closed_at IS NULL AND p.paused_at < now() - make_interval(mins => :late_minutes)
            AND NOT EXISTS (
                SELECT FROM chargebacks c JOIN payments y ON y.id = c.payment_id
                WHERE y.path_id = p.id AND c.status = 'open'
            ) ORDER BY p.id LIMIT :limit
    """,
    Why.FORGOTTEN: f"""
        SELECT p.workflow_id AS subject, p.id AS path_id FROM paths p
        WHERE {_OPEN} AND p.deadlines = '[]' AND p.phase <> 'draft'
            AND p.updated_at < now() - make_interval(days => :forgotten_days)
        ORDER BY p.id LIMIT :limit
    """,
    Why.NOT_EMPTY: """
        SELECT DISTINCT p.workflow_id AS subject, p.id AS path_id
        FROM paths p JOIN ledger_accounts a ON a.path_id = p.id
        WHERE p.closed_at IS NOT NULL AND a.kind = ANY(:path_bound)
            AND (a.balance <> 0 OR a.debits_pending <> 0 OR a.credits_pending <> 0)
        ORDER BY p.id LIMIT :limit
    """,
    Why.REFUND: """
        SELECT 'refund-' || id AS subject, path_id FROM refunds
        WHERE status IN ('requested', 'pending') AND pledge_id IS NULL
            AND created_at < now() - make_interval(days => :refund_days)
        ORDER BY id LIMIT :limit
    """,
    Why.PAYOUT: """
        SELECT 'payout-' || id AS subject, NULL AS path_id FROM payouts
        WHERE status IN ('requested', 'submitted', 'awaiting_payee', 'in_transit')
            AND created_at < now() - make_interval(days => :payout_days)
        ORDER BY id LIMIT :limit
    """,
}
_VALUES = {
    "late_minutes": LATE_MINUTES,
    "forgotten_days": FORGOTTEN_DAYS,
    "refund_days": REFUND_DAYS,
    "payout_days": PAYOUT_DAYS,
    "path_bound": sorted(PATH_BOUND),
}


def _values(query: str) -> dict[str, object]:
    return {name: value for name, value in _VALUES.items() if f":{name}" in query}
