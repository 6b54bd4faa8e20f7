"""Reconciliation: statements are read day by day, compared with the books, and what differs calls operators."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta

from sqlalchemy.ext.asyncio import AsyncSession
from temporalio import activity

from db import reconciliation_rows as rows
from db.case_rows import end_case, open_case
from db.engine import Database
from db.tables import StatementRow
from domain.money import Money
from domain.operator_cases import CaseKind
from domain.operator_policy import OperatorPolicy
from domain.reconciliation import (
    Companies,
    CompareBooks,
    Compared,
    Difference,
    Moved,
    ReadStatements,
    ReconcilePolicy,
    StatementsRead,
    compare,
    day_adds_up,
    part_of,
)
from providers.registry import ProviderRegistry

_DAYS_AT_ONCE = 40
_PAGE = 500


class Reconciliation:
    """Activities of reconciliation."""

    def __init__(
        self,
        database: Database,
        providers: ProviderRegistry,
        policy: ReconcilePolicy,
        operators: OperatorPolicy,
    ) -> None:
        self.database = database
        self.providers = providers
        self.policy = policy
        self.operators = operators

    @activity.defn(name="reconcile_whom")
    async def whom(self) -> Companies:
        """The payment companies with which we have anything to do."""
        return Companies(codes=tuple(self.providers.codes))

    @activity.defn(name="read_statements")
    async def read(self, asked: ReadStatements) -> StatementsRead:
        """Reads the days that are missing, and the last ones again: lines can be booked late.

        Raises ProviderUnavailable, so that a day whose statement cannot be read is never taken for an empty one.
        """
        async with self.database.transaction() as session:
            last = await rows.last_day(session, asked.provider)
            first = await rows.first_day(session, asked.provider)
        if first is None:
            return StatementsRead(complete=True)
        again = timedelta(days=self.policy.grace_days)
        day = (
            first if last is None else max(first, min(last + timedelta(days=1), asked.upto) - again)
        )
        until = min(asked.upto, day + timedelta(days=_DAYS_AT_ONCE))
        while day <= until:
            await self._read_day(asked.provider, day)
            activity.heartbeat(day.isoformat())
            day += timedelta(days=1)
        return StatementsRead(complete=until == asked.upto)

    async def _read_day(self, provider: str, day: date) -> None:
        theirs = await self.providers.get(provider).statement(day)
        lines = [
            StatementRow(
                provider=provider,
                line_id=each.line_id,
                day=day,
                kind=each.kind,
                subject=each.subject,
                reference=each.reference,
                amount=each.amount,
                currency=each.currency,
                booked_at=each.booked_at,
            )
            for each in theirs.lines
        ]
        moved = [
            Moved(
                subject=each.subject,
                part=part_of(each.kind),
                amount=each.amount,
                currency=each.currency,
                at=each.booked_at,
            )
            for each in theirs.lines
        ]
        off = day_adds_up(day, theirs.opening, theirs.closing, moved)
        async with self.database.transaction() as session:
            await rows.keep(session, provider, day, lines, theirs.opening, theirs.closing)
            await self._write(session, provider, [day.isoformat()], [off] if off else [])

    @activity.defn(name="compare_books")
    async def compare(self, asked: CompareBooks) -> Compared:
        """Compares a page of objects that either side has moved lately; what the other side told late is settled."""
        ripe = asked.upto - timedelta(days=self.policy.grace_days)
        since = asked.upto - timedelta(days=self.policy.window_days)
        async with self.database.transaction() as session:
            page = await rows.subjects(session, asked.provider, since, asked.after, _PAGE)
            ids = sorted({*page, *await rows.owners(session, asked.provider, page)})
            known, by_reference, unfinished = await rows.objects(session, ids)
            found = compare(
                await rows.ours(session, asked.provider, ids),
                await rows.theirs(session, asked.provider, ids, list(by_reference)),
                known=known,
                by_reference=by_reference,
                unfinished=unfinished,
                ripe_before=datetime.combine(ripe + timedelta(days=1), time(), UTC),
            )
            new, matched = await self._write(session, asked.provider, ids, found)
        full = len(page) == _PAGE
        return Compared(found=new, matched=matched, next=page[-1] if full else None)

    async def _write(
        self,
        session: AsyncSession,
        provider: str,
        checked: Sequence[str],
        found: Sequence[Difference],
    ) -> tuple[int, int]:
        new, gone = await rows.write(session, provider, checked, found)
        for difference_id, each in new:
            await open_case(
                session,
                CaseKind.DIFFERENCE,
                difference_id,
                summary=f"{provider}: {each.words}"[:500],
                within_seconds=self.operators.sla_seconds,
                money=_most(each),
                facts=each,
            )
        for difference_id in gone:
            await end_case(session, CaseKind.DIFFERENCE, difference_id, rows.MATCHED)
        return len(new), len(gone)


def _most(difference: Difference) -> Money | None:
    """How far the two sides are apart, in the currency in which it is most."""
    apart = {
        currency: abs(difference.ours.get(currency, 0) - difference.theirs.get(currency, 0))
        for currency in {*difference.ours, *difference.theirs}
    }
    currency = max(apart, key=lambda each: apart[each], default=None)
    if currency is None or not apart[currency]:
        return None
    return Money(amount=apart[currency], currency=currency)
