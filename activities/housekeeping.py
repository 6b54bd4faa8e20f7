"""Forgetting what nobody can need any more."""

from __future__ import annotations

from datetime import timedelta

from temporalio import activity

from db import idempotency, inbox
from db.engine import Database
from domain.payments import Forgotten

_KEYS_KEPT = timedelta(days=30)
"""A request is not repeated after this long; the longest known retry schedules end after days."""
_REJECTED_KEPT = timedelta(days=30)


class Housekeeping:
    """Activities of the housekeeping schedule."""

    def __init__(self, database: Database) -> None:
        self.database = database

    @activity.defn(name="forget_old_rows")
    async def forget(self) -> Forgotten:
        """Deletes old idempotency keys and old webhooks that were refused at the door."""
        async with self.database.transaction() as session:
            return Forgotten(
                idempotency_keys=await idempotency.forget(session, _KEYS_KEPT),
                rejected_webhooks=await inbox.forget_rejected(session, _REJECTED_KEPT),
            )
