"""The unwind preview: the real end of a path, rehearsed and taken back."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import case, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from temporalio import activity
from temporalio.client import Client

from activities.calling_off import call_off
from activities.command_ways import Ordered
from activities.rehearsal import parties, rehearsed
from db.engine import Database
from db.tables import Path, Pledge
from domain.commands import CancelPath
from domain.errors import DomainError, NotFound, Unavailable
from domain.ids import step_key
from domain.unwinding import Backed, Unwind, UnwindAsked

_MOST_PLEDGES = 2_500
_CROWD = (
    "so many have paid that no preview is made: what is not released goes back to them in shares of"
    " what each has paid"
)
_WORDS = "nothing is done: this only shows what would happen"


class Unwinding:
    """Activities of previews."""

    def __init__(self, database: Database, temporal: Client) -> None:
        self.database = database
        self.temporal = temporal

    @activity.defn(name="preview_unwind")
    async def preview(self, asked: UnwindAsked) -> Unwind:
        """What calling the path off now would post, as operators would do it. Raises NotFound and Unavailable."""
        if await self._has_a_crowd(asked.path_id):
            return Unwind(possible=False, why_not=_CROWD)
        words: list[str] = []
        sums: list[Backed] = []
        at = activity.info().started_time

        async def work(session: AsyncSession) -> None:
            done = await call_off(self._ordered(session, asked, at))
            words.extend(done.words)
            await session.flush()
            path = await session.get(Path, asked.path_id)
            if path is not None and path.kind == "campaign":
                sums.append(await _backers(session, path, asked.user_id))

        try:
            found = await rehearsed(self.database, work)
        except (NotFound, Unavailable):
            raise
        except DomainError as refused:
            return Unwind(possible=False, why_not=refused.detail)
        return Unwind(
            possible=True,
            postings=found.postings,
            who=parties(found),
            words=(*words, _WORDS),
            backed=sums[0] if sums else None,
        )

    async def _has_a_crowd(self, path_id: str) -> bool:
        """Whether so many have paid that planning each share, only to take it back, would burden everybody."""
        async with self.database.transaction() as session:
            paid = select(Pledge.id).where(Pledge.campaign_id == path_id, Pledge.paid > 0)
            beyond = await session.scalar(paid.offset(_MOST_PLEDGES).limit(1))
        return beyond is not None

    def _ordered(self, session: AsyncSession, asked: UnwindAsked, at: datetime) -> Ordered:
        return Ordered(
            session=session,
            temporal=self.temporal,
            command_id="",
            key=step_key("unwind", asked.path_id),
            order=CancelPath(path_id=asked.path_id),
            by=asked.user_id,
            case_id=None,
            at=at,
        )


async def _backers(session: AsyncSession, path: Path, user_id: str) -> Backed:
    """What goes back to all pledges, and to those of one backer: the shares that were planned, else what was paid."""
    back = case(
        (Pledge.to_refund.is_not(None), Pledge.to_refund), else_=Pledge.paid - Pledge.refunded
    )
    total, own = (
        await session.execute(
            select(
                func.coalesce(func.sum(back), 0),
                func.coalesce(func.sum(back).filter(Pledge.backer_id == user_id), 0),
            ).where(Pledge.campaign_id == path.id, Pledge.paid > Pledge.refunded)
        )
    ).one()
    return Backed(currency=path.currency, total=int(total), own=int(own))
