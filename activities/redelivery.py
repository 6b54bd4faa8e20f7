"""Re-delivery of what nobody answered: inbox rows, and captures whose settlement is still unseen."""

from __future__ import annotations

import structlog
from sqlalchemy import func, select, text
from temporalio import activity
from temporalio.client import Client
from temporalio.service import RPCError

from db import inbox
from db.engine import Database
from db.tables import Payment
from db.wakeups import wake_payment, wakeup_for
from domain.payments import PaymentState, Redelivered
from runtime.settings import Settings
from runtime.temporal import Tell, Wake, send

_BATCH = 500

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
            unsettled = await session.scalars(
                select(Payment.id)
                .where(
                    Payment.status == PaymentState.CAPTURED,
                    Payment.settled_at.is_(None),
                    Payment.created_at < func.now() - text("interval '1 hour'"),
                )
                .order_by(Payment.id)
                .limit(_BATCH)
            )
            wakeups += [
                await wake_payment(session, payment, self.settings) for payment in unsettled
            ]
        for wakeup in wakeups:
            if wakeup is not None:
                await self._send(wakeup)
        return Redelivered(rows=len(wakeups))

    async def _send(self, wakeup: Wake | Tell) -> None:
        try:
            await send(self.temporal, self.settings.temporal_task_queue, wakeup)
        except RPCError as missed:
            log.warning("wake-up not delivered", reason=str(missed))
