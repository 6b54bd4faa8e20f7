"""Re-delivery of what nobody answered: inbox rows, and looks at what can still change without a webhook."""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog
from sqlalchemy import ColumnElement, extract, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute
from temporalio import activity
from temporalio.client import Client
from temporalio.service import RPCError

from db import inbox
from db.engine import Database
from db.tables import Payment, Payout
from db.wakeups import wake_about, wakeup_for
from domain.payments import PaymentState, PayoutState, Redelivered
from runtime.settings import Settings
from runtime.temporal import Tell, Wake, send

_BATCH = 500
_LOOK_FOR_SETTLEMENT = timedelta(hours=1)
_LOOK_FOR_RETURN = timedelta(days=1)
_RETURNS_WITHIN = timedelta(days=30)
"""A bank can send a paid payout back for this long."""

log = structlog.get_logger()


class Redelivery:
    """Activities of the re-delivery schedule."""

    def __init__(self, database: Database, temporal: Client, settings: Settings) -> None:
        self.database = database
        self.temporal = temporal
        self.settings = settings

    @activity.defn(name="redeliver_inbox")
    async def redeliver(self) -> Redelivered:
        """Hands a batch of due rows to their workflows again; a failure leaves the row for the next round."""
        async with self.database.transaction() as session:
            rows = await inbox.due_for_redelivery(session, _BATCH)
            wakeups = [await wakeup_for(session, row, self.settings) for row in rows]
            wakeups += [
                await wake_about(session, subject, self.settings)
                for subject in await self._worth_a_look(session)
            ]
        for wakeup in wakeups:
            if wakeup is not None:
                await self._send(wakeup)
        return Redelivered(rows=len(wakeups))

    async def _worth_a_look(self, session: AsyncSession) -> list[str]:
        """Captures that have not settled, hourly; paid payouts that a bank may have sent back, daily."""
        period = timedelta(seconds=self.settings.redelivery_every_seconds)
        unsettled = select(Payment.id).where(
            Payment.status == PaymentState.CAPTURED,
            Payment.settled_at.is_(None),
            _comes_round(Payment.created_at, _LOOK_FOR_SETTLEMENT, period),
        )
        returnable = select(Payout.id).where(
            Payout.status == PayoutState.PAID,
            Payout.ended_at > func.now() - _RETURNS_WITHIN,
            _comes_round(Payout.ended_at, _LOOK_FOR_RETURN, period),
        )
        found: list[str] = []
        for query in (unsettled, returnable):
            found += await session.scalars(query.limit(_BATCH))
        return found

    async def _send(self, wakeup: Wake | Tell) -> None:
        try:
            await send(self.temporal, self.settings.temporal_task_queue, wakeup)
        except RPCError as missed:
            log.warning("wake-up not delivered", reason=str(missed))


def _comes_round(
    since: InstrumentedAttribute[datetime] | InstrumentedAttribute[datetime | None],
    every: timedelta,
    period: timedelta,
) -> ColumnElement[bool]:
    """True in the one round, of rounds `period` apart, after each full `every` since then.

    So each row is looked at once per `every` without a column that remembers the last look, the looks spread over
    time like the rows themselves, and old rows cannot crowd out new ones.
    """
    age = extract("epoch", func.now() - since)
    distance = int(every.total_seconds())
    return (age >= distance) & (func.mod(age, distance) < int(period.total_seconds()))
