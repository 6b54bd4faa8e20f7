"""What operators watch, counted from the rows: cheap queries that can run every half minute on a live system."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from domain.payments import ON_THE_WAY, PayoutState, RefundState

_PATIENCE = "10s"
"""Watching must never hold up what is watched."""


@dataclass(frozen=True)
class Gauge:
    """One measure: its name in Prometheus, what it is in words, and the query that answers labels and then the value.

    Without a query it is measured elsewhere.
    """

    name: str
    words: str
    labels: tuple[str, ...]
    query: str


@dataclass(frozen=True)
class Sample:
    """One value of a gauge."""

    gauge: Gauge
    labels: dict[str, str]
    value: float


def _age(column: str) -> str:
    return f"coalesce(extract(epoch FROM now() - min({column})), 0)"


_WAITING_PAYOUTS = ", ".join(f"'{each}'" for each in sorted({PayoutState.HELD, *ON_THE_WAY}))
_WAITING_REFUNDS = ", ".join(
    f"'{each}'" for each in sorted({RefundState.REQUESTED, RefundState.PENDING})
)

GAUGES = (
    Gauge(
        "baigong_cases_open",
        "Cases that nobody has ended, by kind",
        ("kind",),
        "SELECT kind, count(*) FROM cases WHERE ended_at IS NULL GROUP BY kind",
    ),
    Gauge(
        "baigong_cases_overdue",
        "Open cases about which somebody should have decided by now, by kind",
        ("kind",),
        "SELECT kind, count(*) FROM cases WHERE ended_at IS NULL AND due_at < now() GROUP BY kind",
    ),
    Gauge(
        "baigong_inbox_oldest_seconds",
        "Age of the oldest webhook that nobody has consumed; way: story or batch",
        ("way",),
        f"""
        SELECT CASE WHEN in_batches THEN 'batch' ELSE 'story' END, {_age("received_at")}
        FROM webhook_inbox WHERE status = 'received' GROUP BY in_batches
        """,
    ),
    Gauge(
        "baigong_webhooks_refused",
        "Different webhooks refused at the door within the last hour, by source",
        ("source",),
        """
        SELECT source, count(*) FROM webhook_inbox
        WHERE status = 'rejected' AND received_at > now() - interval '1 hour' GROUP BY source
        """,
    ),
    Gauge(
        "baigong_notices_oldest_seconds",
        "For how long the oldest notice that waits to be sent has been due",
        (),
        f"SELECT {_age('due_at')} FROM notices WHERE state = 'waiting' AND due_at < now()",
    ),
    Gauge(
        "baigong_payouts_oldest_seconds",
        "Age of the oldest payout that has neither arrived nor come back, by status",
        ("status",),
        f"""
        SELECT status, {_age("created_at")} FROM payouts
        WHERE status IN ({_WAITING_PAYOUTS}) GROUP BY status
        """,
    ),
    Gauge(
        "baigong_payouts_short_of_balance",
        "1 while payouts wait because the payment company holds too little for us",
        ("provider", "currency"),
        """
        SELECT split_part(subject, '/', 2), split_part(subject, '/', 3), 1 FROM cases
        WHERE kind = 'other' AND ended_at IS NULL AND starts_with(subject, 'balance/')
        """,
    ),
    Gauge(
        "baigong_refunds_oldest_seconds",
        "Age of the oldest refund that the payment company has neither sent nor refused, by status",
        ("status",),
        f"""
        SELECT status, {_age("created_at")} FROM refunds
        WHERE status IN ({_WAITING_REFUNDS}) GROUP BY status
        """,
    ),
    Gauge(
        "baigong_chargebacks_unanswered",
        "Chargebacks without evidence, with less than a day left to hand it in",
        (),
        """
        SELECT count(*) FROM chargebacks
        WHERE status = 'open' AND accepted_at IS NULL
            AND due_by BETWEEN now() AND now() + interval '1 day'
        """,
    ),
    Gauge(
        "baigong_differences_open",
        "Differences between a statement and our books that nobody has explained, by kind",
        ("kind",),
        "SELECT kind, count(*) FROM differences WHERE ended_at IS NULL GROUP BY kind",
    ),
    Gauge(
        "baigong_statement_age_seconds",
        "How long ago a statement of the payment company was last read",
        ("provider",),
        """
        SELECT provider, extract(epoch FROM now() - max(read_at))
        FROM statement_days GROUP BY provider
        """,
    ),
)
"""All measures that come from the rows alone."""
CONNECTIONS_USED = Gauge(
    "baigong_database_connections_used", "Connections in use in this process", (), ""
)
CONNECTIONS_MOST = Gauge(
    "baigong_database_connections_most",
    "Connections that this process may have; when all are in use, work waits for one",
    (),
    "",
)


async def measure(session: AsyncSession) -> list[Sample]:
    """One value for each gauge and set of labels; a gauge by label has none for what is not there."""
    await session.execute(text(f"SET LOCAL statement_timeout = '{_PATIENCE}'"))
    return [sample for gauge in GAUGES for sample in await _samples(session, gauge)]


async def _samples(session: AsyncSession, gauge: Gauge) -> list[Sample]:
    rows = await session.execute(text(gauge.query))
    return [
        Sample(
            gauge=gauge,
            labels=dict(zip(gauge.labels, map(str, labels), strict=True)),
            value=float(value),
        )
        for *labels, value in rows
    ]
