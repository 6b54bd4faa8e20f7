"""The webhook inbox: every delivery kept once, handed to its workflow until somebody consumed it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

from sqlalchemy import (
    ColumnElement,
    and_,
    delete,
    func,
    not_,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from db.tables import InboxRow
from domain.payments import RefundState

DISPUTES = "dispute."
"""How the kinds of news begin that are about the disputes of a payment, not about the payment itself."""
GIVE_UP_AFTER = 20
"""Deliveries of one row before it is left to the operators."""
_KEPT_BYTES = 4_000
"""Of a rejected body; accepted ones are kept whole."""
_REJECTED_AN_HOUR = 1_000
"""Of one source: a flood of forgeries must not fill the disk."""
_LONGEST_WAIT_SECONDS = 6 * 3_600


async def keep(
    session: AsyncSession, *, source: str, event_id: str, kind: str, subject: str, body: bytes
) -> InboxRow | None:
    """Stores a verified webhook; None when this event was stored before.

    News about payments, refunds and cards of pledges is consumed in batches, by no workflow.
    """
    values = {
        "source": source,
        "event_id": event_id,
        "kind": kind,
        "subject": subject,
        "body": body,
        "about": "" if kind.startswith(DISPUTES) else subject.partition("_")[0],
        "open_refunds": [RefundState.REQUESTED, RefundState.PENDING],
    }
    kept: InboxRow | None = (await session.scalars(_KEEP, values)).one_or_none()
    return kept


# Written out, because building it anew for each webhook took longer than storing it. `in_batches` is whether the news is
# about a pledge: disputes have stories, and so has a refund that the provider has refused.
_KEEP = select(InboxRow).from_statement(
    text("""
        INSERT INTO webhook_inbox
            (source, event_id, kind, subject, body, status, in_batches, next_attempt_at)
        SELECT :source, :event_id, :kind, :subject, :body, 'received', in_batches,
            now() + CASE WHEN in_batches THEN interval '0' ELSE interval '30 seconds' END
        FROM (SELECT CASE CAST(:about AS text)
            WHEN 'pay' THEN EXISTS (
                SELECT FROM payments WHERE id = :subject AND pledge_id IS NOT NULL)
            WHEN 'ref' THEN EXISTS (
                SELECT FROM refunds WHERE id = :subject AND pledge_id IS NOT NULL
                    AND status = ANY(CAST(:open_refunds AS text[])) AND failure_reason IS NULL)
            WHEN 'crd' THEN EXISTS (SELECT FROM saved_cards WHERE id = :subject)
            ELSE false END AS in_batches) AS told
        ON CONFLICT (source, event_id) WHERE status <> 'rejected' DO NOTHING
        RETURNING *
    """)
)


async def keep_rejected(session: AsyncSession, *, source: str, reason: str, body: bytes) -> None:
    """Keeps what was refused at the door, for the operators; the same body is kept once."""
    recent = select(InboxRow.id).where(
        InboxRow.source == source,
        text("status = 'rejected'"),
        InboxRow.received_at > func.now() - timedelta(hours=1),
    )
    crowded = await session.scalar(recent.offset(_REJECTED_AN_HOUR - 1).limit(1))
    if crowded is not None:
        return
    await session.execute(
        insert(InboxRow)
        .values(
            source=source,
            event_id=sha256(body).hexdigest(),
            kind="rejected",
            subject="",
            body=body[:_KEPT_BYTES],
            status="rejected",
            reason=reason,
        )
        .on_conflict_do_nothing(
            index_elements=[InboxRow.source, InboxRow.event_id],
            index_where=text("status = 'rejected'"),
        )
    )


async def forget_rejected(session: AsyncSession, older_than: timedelta) -> int:
    """Deletes what was refused at the door that long ago; how many."""
    gone = await session.scalars(
        delete(InboxRow)
        .where(text("status = 'rejected'"), InboxRow.received_at < func.now() - older_than)
        .returning(InboxRow.id)
    )
    return len(gone.all())


async def newest(session: AsyncSession, subject: str, *, disputes: bool = False) -> int:
    """Id of the newest row about a subject, or about the disputes of it; 0 when there is none."""
    found = await session.scalar(select(func.max(InboxRow.id)).where(_about(subject, disputes)))
    return found or 0


async def consume(
    session: AsyncSession, subject: str, *, up_to: int | None = None, disputes: bool = False
) -> None:
    """Marks the rows about a subject as answered, in the transaction that acts on them.

    `up_to` is the newest row seen before the provider was read: later ones may tell of something that was not seen.
    With `disputes` the rows about the disputes of a payment, which have a story of their own.
    """
    due = (
        update(InboxRow)
        .where(_about(subject, disputes), InboxRow.status == "received")
        .values(status="consumed", consumed_at=func.now())
    )
    await session.execute(due if up_to is None else due.where(InboxRow.id <= up_to))


def _about(subject: str, disputes: bool) -> ColumnElement[bool]:
    of_dispute = InboxRow.kind.startswith(DISPUTES)
    return and_(InboxRow.subject == subject, of_dispute if disputes else not_(of_dispute))


async def ignore(session: AsyncSession, row: InboxRow, reason: str) -> None:
    """The row concerns nothing that could still change."""
    row.status = "ignored"
    row.reason = reason


async def claim_due(session: AsyncSession, limit: int) -> list[int]:
    """Ids of rows that nobody consumed and whose next attempt is due; that attempt moves to doubled distance.

    Commit before acting on them: the rows must not stay locked while paths are.
    """
    rows = await session.scalars(
        select(InboxRow)
        .where(
            InboxRow.status == "received",
            ~InboxRow.in_batches,
            InboxRow.next_attempt_at <= func.now(),
        )
        .order_by(InboxRow.next_attempt_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    now = (await session.execute(select(func.now()))).scalar_one()
    claimed = []
    for row in rows:
        await _put_off(session, row, now, "nobody consumed it")
        claimed.append(row.id)
    return claimed


async def _put_off(session: AsyncSession, row: InboxRow, now: datetime, why: str) -> None:
    """The next attempt is at doubled distance; after many the row is left to the operators."""
    row.attempts += 1
    wait = timedelta(seconds=min(30 * 2**row.attempts, _LONGEST_WAIT_SECONDS))
    # From now on, not from when it was due: after a long outage a row must not use up its attempts in a burst.
    row.next_attempt_at = now + wait
    if row.attempts >= GIVE_UP_AFTER:
        await ignore(session, row, why)


@dataclass(frozen=True)
class News:
    """Rows of a batch about one thing."""

    subject: str
    rows: tuple[int, ...]


async def batch(session: AsyncSession, limit: int) -> list[News]:
    """The oldest rows that are consumed in batches and are due, by what they are about. Nothing is locked."""
    rows = await session.execute(
        select(InboxRow.id, InboxRow.subject)
        .where(
            InboxRow.status == "received",
            InboxRow.in_batches,
            InboxRow.next_attempt_at <= func.now(),
        )
        .order_by(InboxRow.id)
        .limit(limit)
    )
    found: dict[str, list[int]] = {}
    for row_id, subject in rows:
        found.setdefault(subject, []).append(row_id)
    return [News(subject, tuple(ids)) for subject, ids in found.items()]


async def consume_rows(session: AsyncSession, rows: Collection[int]) -> None:
    """Marks these rows as answered, in the transaction that acts on them."""
    if rows:
        await session.execute(
            update(InboxRow)
            .where(InboxRow.id.in_(rows), InboxRow.status == "received")
            .values(status="consumed", consumed_at=func.now())
            .execution_options(synchronize_session=False)
        )


async def put_off(session: AsyncSession, rows: Collection[int], why: str) -> None:
    """These rows could not be acted on: they come again later, and in the end are left to the operators."""
    found = await session.scalars(
        select(InboxRow)
        .where(InboxRow.id.in_(rows), InboxRow.status == "received")
        .order_by(InboxRow.id)
        .with_for_update()
    )
    now = (await session.execute(select(func.now()))).scalar_one()
    for row in found:
        await _put_off(session, row, now, why)
