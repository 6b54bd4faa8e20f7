"""Publishing a proof of each path that has closed."""

from __future__ import annotations

from sqlalchemy import func, select
from temporalio import activity

from db import path_proofs
from db.engine import Database
from db.path_proofs import Wanted
from domain.path_proof import FIRST, PublishedProofs

_PAGE = 100


class Proofs:
    """Activities of the schedule that publishes proofs."""

    def __init__(self, database: Database) -> None:
        self.database = database

    @activity.defn(name="publish_proofs")
    async def publish(self) -> PublishedProofs:
        """Makes the proofs that are wanted, a transaction each. A closed path that holds money gets none."""
        made, after = 0, None
        while True:
            async with self.database.transaction() as session:
                page = await path_proofs.wanted(session, after, _PAGE)
            for each in page:
                activity.heartbeat(made)
                made += await self._make(each)
                after = each
            if len(page) < _PAGE:
                return PublishedProofs(made=made)

    async def _make(self, asked: Wanted) -> bool:
        async with self.database.transaction() as session:
            newest = await path_proofs.take_turn(session)
            row = await path_proofs.asked_for(session, asked)
            if row is None:
                return False
            if await path_proofs.holds_money(session, asked.path_id):
                # Operators hear of it from those who look for what is stuck.
                return False
            previous = newest.sha256 if newest and newest.sha256 else FIRST
            upto = await path_proofs.extent(session, asked.path_id)
            hasher = await path_proofs.hashed(
                session, previous, row.path_id, row.number, row.closed_at, upto
            )
            at = await session.scalar(select(func.now()))
            row.last_entry_id, row.last_event_id = upto.entry_id, upto.event_id
            row.postings, row.events = hasher.postings, hasher.events
            row.previous, row.sha256 = previous, hasher.done()
            row.position = (newest.position or 0) + 1 if newest else 1
            row.made_at = at
            return True
