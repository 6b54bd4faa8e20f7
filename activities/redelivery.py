"""Re-delivery of what nobody answered: inbox rows, and looks at what can still change without a webhook."""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog
from sqlalchemy import ColumnElement, extract, func, or_, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute
from temporalio import activity
from temporalio.client import Client
from temporalio.service import RPCError

from db import inbox
from db.engine import Database
from db.tables import Chargeback, InboxRow, Path, Payment, Payout, Refund
from db.wakeups import wake_about, wakeup_for
from domain.chargebacks import UNDECIDED
from domain.payments import PaymentState, PayoutState, Redelivered, RefundState
from runtime.settings import Settings
from runtime.temporal import Tell, Wake, send

_BATCH = 200
_LOOKS = 2_000
_HOURLY = timedelta(hours=1)
_DAILY = timedelta(days=1)
_LATE_MONEY_WITHIN = timedelta(days=3, hours=1)
"""How long an expired payment is looked at: a capture whose webhook was lost is somebody's money."""
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
            rows = await inbox.claim_due(session, _BATCH)
            subjects = await self._worth_a_look(session)
        for row_id in rows:
            await self._redeliver(row_id)
        for subject in subjects:
            async with self.database.transaction() as session:
                wakeup = await wake_about(session, subject, self.settings)
            await self._send(wakeup)
        return Redelivered(rows=len(rows) + len(subjects))

    async def _redeliver(self, row_id: int) -> None:
        try:
            async with self.database.transaction() as session:
                row = await session.get_one(InboxRow, row_id)
                wakeup = await wakeup_for(session, row, self.settings)
        except (ValueError, DBAPIError) as unreadable:
            # One row that cannot be understood must not keep the others from being delivered.
            log.error("inbox row not understood", row=row_id, reason=str(unreadable))
            return
        await self._send(wakeup)

    async def _worth_a_look(self, session: AsyncSession) -> list[str]:
        """What can still change, or should have, although no webhook came; each looked at once per distance.

        Payments of pledges and what goes back of them are looked at in batches (activities.pledge_intake).
        """
        period = timedelta(seconds=self.settings.redelivery_every_seconds)
        unsettled = select(Payment.id).where(
            Payment.pledge_id.is_(None),
            Payment.status == PaymentState.CAPTURED,
            Payment.settled_at.is_(None),
            _comes_round(Payment.created_at, _HOURLY, period),
        )
        revived = (
            select(Payment.id)
            .join(Path, Path.id == Payment.path_id)
            .where(
                Path.workflow_id == func.concat(Path.kind, "-", Path.id, "-revived"),
                Path.closed_at.is_(None),
                _comes_round(Payment.created_at, _HOURLY, period),
            )
        )
        late = select(Payment.id).where(
            Payment.pledge_id.is_(None),
            Payment.status == PaymentState.EXPIRED,
            Payment.expires_at > func.now() - _LATE_MONEY_WITHIN,
            _comes_round(Payment.expires_at, _DAILY, period),
        )
        unfinished_refunds = select(Refund.id).where(
            # Of pledges only those that the provider has refused have a story.
            or_(
                Refund.pledge_id.is_(None),
                Refund.status == RefundState.REFUSED,
                Refund.failure_reason.is_not(None),
            ),
            Refund.ended_at.is_(None),
            _comes_round(Refund.created_at, _DAILY, period),
        )
        unfinished_payouts = select(Payout.id).where(
            Payout.ended_at.is_(None), _comes_round(Payout.created_at, _DAILY, period)
        )
        returnable = select(Payout.id).where(
            Payout.status == PayoutState.PAID,
            Payout.ended_at > func.now() - _RETURNS_WITHIN,
            _comes_round(Payout.ended_at, _DAILY, period),
        )
        undecided = select(Chargeback.id).where(
            Chargeback.status.in_(UNDECIDED),
            _comes_round(Chargeback.opened_at, _DAILY, period),
        )
        unfinished = (unfinished_refunds, unfinished_payouts, undecided)
        found: list[str] = []
        for query in (unsettled, revived, late, *unfinished, returnable):
            found += await session.scalars(query.limit(_LOOKS))
        return found

    async def _send(self, wakeup: Wake | Tell | None) -> None:
        if wakeup is None:
            return
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
