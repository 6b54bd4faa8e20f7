"""Statements as they were read, our own movements as the journal has them, and what differs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, date, datetime

from sqlalchemy import func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from db.tables import (
    BookDifference,
    Chargeback,
    Payment,
    Payout,
    Refund,
    StatementDay,
    StatementRow,
)
from domain.errors import NotFound, WrongPhase
from domain.ids import new_id
from domain.payments import ON_THE_WAY, PayoutState, RefundState
from domain.reconciliation import CHARGEBACKS, OURS, Difference, Moved, Part, part_of

MATCHED = "matched"
EXPLAINED = "explained"
_CHUNK = 1_000
_ON_THE_WAY = (PayoutState.HELD, *sorted(ON_THE_WAY))
_GOING_BACK = (RefundState.REQUESTED, RefundState.PENDING, RefundState.REFUSED)


async def last_day(session: AsyncSession, provider: str) -> date | None:
    """The newest day that was read."""
    found: date | None = await session.scalar(
        select(func.max(StatementDay.day)).where(StatementDay.provider == provider)
    )
    return found


async def first_day(session: AsyncSession, provider: str) -> date | None:
    """The day of the provider's first captured payment here."""
    found: datetime | None = await session.scalar(
        select(func.min(Payment.captured_at)).where(Payment.provider == provider)
    )
    return found.astimezone(UTC).date() if found else None


async def keep(
    session: AsyncSession,
    provider: str,
    day: date,
    lines: Sequence[StatementRow],
    opening: dict[str, int],
    closing: dict[str, int],
) -> None:
    """Writes a day's statement down; what was read before stays as it was."""
    for start in range(0, len(lines), _CHUNK):
        rows = [
            {
                "provider": each.provider,
                "line_id": each.line_id,
                "day": each.day,
                "kind": each.kind,
                "subject": each.subject,
                "reference": each.reference,
                "amount": each.amount,
                "currency": each.currency,
                "booked_at": each.booked_at,
            }
            for each in lines[start : start + _CHUNK]
        ]
        await session.execute(insert(StatementRow).values(rows).on_conflict_do_nothing())
    known = insert(StatementDay).values(
        provider=provider, day=day, lines=len(lines), opening=opening, closing=closing
    )
    await session.execute(
        known.on_conflict_do_update(
            index_elements=["provider", "day"],
            set_={
                "lines": len(lines),
                "opening": opening,
                "closing": closing,
                "read_at": func.now(),
            },
        )
    )


_SUBJECTS = text(
    """
    SELECT DISTINCT subject FROM (
        SELECT subject FROM statement_lines WHERE provider = :provider AND day >= CAST(:since AS date)
        UNION ALL
        SELECT coalesce(c.payment_id, split_part(e.key, '/', 1))
        FROM ledger_entries e
        JOIN ledger_postings p ON p.entry_id = e.id
        JOIN ledger_accounts a ON a.id = p.account_id AND a.kind = 'cash' AND a.owner = :provider
        LEFT JOIN chargebacks c ON c.id = split_part(e.key, '/', 1)
        WHERE e.at >= CAST(:since AS date) AND e.status = 'posted' AND e.kind <> ALL (:aside)
    ) moved
    WHERE subject > :after ORDER BY subject LIMIT :limit
    """
)
_ASIDE = ["custody", "suspend", "correction", "reversal"]
"""Entries on cash that no line of a statement answers."""


async def subjects(
    session: AsyncSession, provider: str, since: date, after: str, limit: int
) -> list[str]:
    """A page of what either side has moved since a day."""
    found = await session.scalars(
        _SUBJECTS,
        {
            "provider": provider,
            "since": since,
            "after": after,
            "limit": limit,
            "aside": _ASIDE,
        },
    )
    return list(found)


async def theirs(
    session: AsyncSession, provider: str, ids: Collection[str], references: Collection[str]
) -> list[Moved]:
    """What the statements say about these objects, by our ids or the provider's references."""
    rows = await session.scalars(
        select(StatementRow).where(
            StatementRow.provider == provider,
            StatementRow.subject.in_(ids) | StatementRow.reference.in_(references),
        )
    )
    return [
        Moved(
            subject=row.subject,
            part=part_of(row.kind),
            amount=row.amount,
            currency=row.currency,
            at=row.booked_at,
            reference=row.reference,
        )
        for row in rows
    ]


_OURS = text(
    """
    SELECT coalesce(c.payment_id, split_part(e.key, '/', 1)) AS subject, e.kind, e.currency, e.at,
        sum(CASE WHEN a.kind = 'cash' THEN CASE p.side WHEN 'debit' THEN p.amount ELSE -p.amount END
            ELSE 0 END) AS cash,
        sum(CASE WHEN a.kind IN ('psp_fee', 'loss') AND p.side = 'debit' THEN p.amount ELSE 0 END) AS fee
    FROM ledger_entries e
    JOIN ledger_postings p ON p.entry_id = e.id
    JOIN ledger_accounts a ON a.id = p.account_id
    LEFT JOIN chargebacks c ON c.id = split_part(e.key, '/', 1)
    WHERE e.status = 'posted' AND e.kind <> ALL (:aside)
        AND e.id IN (
            SELECT p2.entry_id FROM ledger_entries e2
            JOIN ledger_postings p2 ON p2.entry_id = e2.id
            JOIN ledger_accounts a2 ON a2.id = p2.account_id
                AND a2.kind = 'cash' AND a2.owner = :provider
            LEFT JOIN chargebacks c2 ON c2.id = split_part(e2.key, '/', 1)
            WHERE coalesce(c2.payment_id, split_part(e2.key, '/', 1)) = ANY (:ids)
        )
    GROUP BY e.id, c.payment_id, e.key, e.kind, e.currency, e.at
    """
)


async def ours(session: AsyncSession, provider: str, ids: Sequence[str]) -> list[Moved]:
    """What the journal says about these objects."""
    rows = await session.execute(_OURS, {"provider": provider, "ids": list(ids), "aside": _ASIDE})
    found = []
    for row in rows:
        main, of_fee = OURS.get(row.kind, CHARGEBACKS)
        amount, fee = int(row.cash) + int(row.fee), int(row.fee)
        sides: Iterable[tuple[Part, int]] = ((main, amount), (of_fee, -fee))
        found += [
            Moved(subject=row.subject, part=part, amount=moved, currency=row.currency, at=row.at)
            for part, moved in sides
            if moved
        ]
    return found


async def objects(
    session: AsyncSession, ids: Sequence[str]
) -> tuple[set[str], dict[str, str], set[str]]:
    """Of these ids: which are ours, their ids by the provider's references, and which are still on their way."""
    known: set[str] = set()
    by_reference: dict[str, str] = {}
    unfinished: set[str] = set()
    for table in (Payment, Refund, Payout):
        rows = await session.execute(
            select(table.id, table.reference, table.status).where(table.id.in_(ids))
        )
        for object_id, reference, status in rows:
            known.add(object_id)
            if reference is not None:
                by_reference[reference] = object_id
            if (table is Payout and status in _ON_THE_WAY) or (
                table is Refund and status in _GOING_BACK
            ):
                unfinished.add(object_id)
    disputes = await session.execute(
        select(Chargeback.reference, Chargeback.payment_id).where(Chargeback.payment_id.in_(ids))
    )
    by_reference.update((reference, payment_id) for reference, payment_id in disputes)
    return known, by_reference, unfinished


async def owners(session: AsyncSession, provider: str, subjects_: Collection[str]) -> list[str]:
    """Our ids of objects that the statements name otherwise, found by the provider's references."""
    found: set[str] = set()
    references = select(StatementRow.reference).where(
        StatementRow.provider == provider, StatementRow.subject.in_(subjects_)
    )
    for table in (Payment, Refund, Payout):
        found |= set(await session.scalars(select(table.id).where(table.reference.in_(references))))
    return sorted(found)


async def write(
    session: AsyncSession, provider: str, checked: Collection[str], found: Sequence[Difference]
) -> tuple[list[tuple[str, Difference]], list[str]]:
    """Writes down what differs of the objects that were checked.

    Answers the new differences with their ids, and the ids of those that have vanished. What an operator has explained
    is not found again as long as it stays the same.
    """
    open_ = {
        (row.subject, row.part): row
        for row in await session.scalars(
            select(BookDifference).where(
                BookDifference.provider == provider,
                BookDifference.subject.in_(checked),
                BookDifference.ended_at.is_(None),
            )
        )
    }
    explained = [
        (row.subject, row.part, row.ours, row.theirs)
        for row in await session.scalars(
            select(BookDifference).where(
                BookDifference.provider == provider,
                BookDifference.subject.in_(checked),
                BookDifference.outcome == EXPLAINED,
            )
        )
    ]
    new: list[tuple[str, Difference]] = []
    for each in found:
        row = open_.pop((each.subject, each.part), None)
        if row is not None:
            row.kind, row.ours, row.theirs = each.kind, dict(each.ours), dict(each.theirs)
        elif (each.subject, each.part, each.ours, each.theirs) not in explained:
            new.append((new_id("dif"), each))
    for difference_id, each in new:
        session.add(
            BookDifference(
                id=difference_id,
                provider=provider,
                subject=each.subject,
                part=each.part,
                kind=each.kind,
                ours=dict(each.ours),
                theirs=dict(each.theirs),
            )
        )
    gone = [row.id for row in open_.values()]
    await session.execute(
        update(BookDifference)
        .where(BookDifference.id.in_(gone))
        .values(ended_at=func.now(), outcome=MATCHED)
    )
    await session.flush()
    return new, gone


async def days(
    session: AsyncSession, provider: str | None, before: date | None, limit: int
) -> Sequence[StatementDay]:
    """Days that were read, newest first."""
    query = select(StatementDay)
    if provider is not None:
        query = query.where(StatementDay.provider == provider)
    if before is not None:
        query = query.where(StatementDay.day < before)
    return (
        await session.scalars(
            query.order_by(StatementDay.day.desc(), StatementDay.provider).limit(limit)
        )
    ).all()


async def page(
    session: AsyncSession, *, only_open: bool, after: str | None, limit: int
) -> Sequence[BookDifference]:
    """Differences, newest first."""
    query = select(BookDifference)
    if only_open:
        query = query.where(BookDifference.ended_at.is_(None))
    if after is not None:
        query = query.where(BookDifference.id < after)
    return (await session.scalars(query.order_by(BookDifference.id.desc()).limit(limit))).all()


async def explain(
    session: AsyncSession, difference_id: str, by: str, reason: str
) -> BookDifference:
    """An operator knows why. Raises NotFound and WrongPhase."""
    row = await session.get(BookDifference, difference_id, with_for_update=True)
    if row is None:
        raise NotFound("there is no such difference")
    if row.ended_at is not None:
        raise WrongPhase(f"it is {row.outcome} already", field="outcome", accepted="an open one")
    row.ended_at = await session.scalar(select(func.now()))
    row.outcome, row.by_id, row.reason = EXPLAINED, by, reason
    await session.flush()
    return row
