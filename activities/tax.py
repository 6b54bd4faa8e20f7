"""Writing down the figures of past quarters."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from sqlalchemy import func, select
from temporalio import activity

from db import tax_rows
from db.engine import Database
from db.queries import tax
from domain.operator_policy import TaxPolicy
from domain.tax import FrozenQuarters, Quarter, due_quarters

_PAGE = 100


class Tax:
    """Activities of the schedule of tax records."""

    def __init__(self, database: Database, policy: TaxPolicy) -> None:
        self.database = database
        self.policy = policy
        self.zone = ZoneInfo(policy.time_zone)

    @activity.defn(name="write_down_quarters")
    async def write_down(self) -> FrozenQuarters:
        """Writes down what is due and not written yet, a payee a transaction; the database's clock tells what is due."""
        async with self.database.transaction() as session:
            now = (await session.execute(select(func.now()))).scalar_one()
        written = 0
        for quarter in due_quarters(now, self.zone, self.policy.freeze_days):
            while page := await self._page(quarter):
                written += page
                activity.heartbeat(written)
        return FrozenQuarters(written=written)

    async def _page(self, quarter: Quarter) -> int:
        begins, ends = quarter.begins(self.zone), quarter.ends(self.zone)
        async with self.database.transaction() as session:
            users = await tax.not_kept(session, quarter, begins, ends, _PAGE)
        for user_id in users:
            async with self.database.transaction() as session:
                figures = await tax.counted(session, user_id, begins, ends)
                await tax_rows.write_down(session, user_id, quarter, figures)
        return len(users)
