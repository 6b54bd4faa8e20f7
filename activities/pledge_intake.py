"""The intake of pledges: takes in what webhooks tell of them, in batches, and sees to what is due.

Pledges come by the hundred thousand, so no workflow follows one. One long activity works at a time; a worker that dies is
replaced by another within seconds, and two at a time do no harm: every effect is written once, under locks.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta

import structlog
from sqlalchemy import and_, exists, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession
from temporalio import activity
from temporalio.client import Client
from temporalio.exceptions import ApplicationError

from activities.pledge_due import PledgesDue, subject_of
from activities.pledge_looks import PledgeLooks, refund_subject
from activities.pledge_news import IntakeNews, Subject
from activities.resting import Resting
from db import inbox
from db.engine import Database
from db.tables import Path, PathEvent, Payment, Pledge, Refund, SavedCard
from domain.campaign import GIVES_BACK, Event
from domain.campaign_messages import TakenIn
from domain.errors import DomainError
from domain.pledge import ENDED
from providers.registry import ProviderRegistry
from runtime.settings import Settings

_RUN_SECONDS = 65
"""A little more than the schedule's period, so that the next run is waiting when this one ends."""
_BATCH = 500
_PLANNED = 100
_PAUSE = timedelta(milliseconds=300)
_LONGEST_PAUSE = timedelta(seconds=5)
"""While nothing can be done, such as when a provider is down."""
_BEAT = timedelta(seconds=2)

log = structlog.get_logger()


class PledgeIntakes:
    """The activity that is running nearly always."""

    def __init__(
        self, database: Database, providers: ProviderRegistry, temporal: Client, settings: Settings
    ) -> None:
        self.database = database
        self.news = IntakeNews(database, providers, temporal, settings, lambda: None)
        self.due = PledgesDue(self.news)
        self.looks = PledgeLooks(self.news)
        self._resting = Resting()
        """Campaigns whose refunds could not be written down."""
        self._look_seconds = settings.redelivery_every_seconds
        self._looked_at = int(time.monotonic()) - 2 * self._look_seconds
        self._unanswered = 0
        """Of the last batch of news: about how many things the provider gave no answer."""

    @activity.defn(name="take_in_pledges")
    async def take_in(self) -> TakenIn:
        """Works for about a minute. Raises ApplicationError when its worker stops, so that another goes on at once."""
        stop = asyncio.create_task(activity.wait_for_worker_shutdown())
        work = asyncio.create_task(self._work())
        beat = asyncio.create_task(_beat())
        try:
            await asyncio.wait({stop, work}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                raise ApplicationError("the worker stops")
            return work.result()
        finally:
            for task in (stop, work, beat):
                task.cancel()
                with suppress(asyncio.CancelledError, Exception):
                    await task

    async def _work(self) -> TakenIn:
        until = time.monotonic() + _RUN_SECONDS
        taken, pause = TakenIn(), _PAUSE
        while time.monotonic() < until:
            done = await self.round()
            taken = taken.plus(done)
            if done.total:
                pause = _PAUSE
                continue
            await asyncio.sleep(pause.total_seconds())
            pause = min(2 * pause, _LONGEST_PAUSE) if self._unanswered else _PAUSE
        return taken

    async def round(self) -> TakenIn:
        """Everything once; what was done."""
        return TakenIn(
            news=await _tried(self._take_news),
            due=await _tried(self.due.close),
            refunds=await _tried(self._send_back),
            looks=await _tried(self._look_again),
        )

    async def _take_news(self) -> int:
        """The oldest rows of the inbox that are about pledges."""
        async with self.database.transaction() as session:
            news = await inbox.batch(session, _BATCH)
            self._unanswered = 0
            if not news:
                return 0
            rows = {each.subject: each.rows for each in news}
            payments = await _payments(session, rows)
            cards = await _cards(session, rows)
            refunds = await _refunds(session, rows)
            known = {each.ours.id for each in (*payments, *cards, *refunds)}
            nothing = [row for subject, ids in rows.items() if subject not in known for row in ids]
            await inbox.consume_rows(session, nothing)
        silent = (await self.news.payments(payments)).silent
        silent |= (await self.news.cards(cards)).silent
        silent |= await self.news.refunds_of(refunds)
        self._unanswered = len(silent)
        return len(nothing) + sum(len(rows[each]) for each in known - silent)

    async def _send_back(self) -> int:
        """What is planned to go back to backers; how many pledges.

        Of campaigns that go on, and of those that have given everything back but what banks had had for the moment:
        while a run gives back, it sees to that itself.
        """
        given_back = exists().where(
            PathEvent.path_id == Path.id, PathEvent.kind == Event.GIVEN_BACK
        )
        goes_on = Path.phase.not_in(sorted(GIVES_BACK))
        async with self.database.transaction() as session:
            rows = await session.execute(
                select(Pledge.campaign_id, Pledge.id, goes_on)
                .join(Path, Path.id == Pledge.campaign_id)
                .where(
                    Pledge.to_refund.is_not(None),
                    ~Pledge.dispute_open,
                    Pledge.state.not_in(sorted(ENDED)),
                    Pledge.campaign_id.not_in(self._resting.now()),
                    and_(goes_on, Pledge.to_refund > 0) | and_(~goes_on, given_back),
                )
                .limit(_PLANNED)
            )
            planned: dict[tuple[str, bool], list[str]] = {}
            for campaign_id, pledge_id, on in rows:
                planned.setdefault((campaign_id, not on), []).append(pledge_id)
        undone: set[str] = set()
        for (campaign_id, over), ids in planned.items():
            async with self.news.apart(campaign_id, (), undone):
                await self.news.refunds.send(campaign_id, ids, everything=over, beat=self.news.beat)
        self._resting.add(undone)
        return sum(len(ids) for (each, _), ids in planned.items() if each not in undone)

    async def _look_again(self) -> int:
        """As often as other news is delivered again."""
        now = int(time.monotonic())
        if now - self._looked_at < self._look_seconds:
            return 0
        since, self._looked_at = now - self._looked_at, now
        return await self.looks.look(since)


async def _beat() -> None:
    """The heartbeat stops with the event loop, not with a provider that is slow."""
    while True:
        activity.heartbeat()
        await asyncio.sleep(_BEAT.total_seconds())


async def _tried(step: Callable[[], Awaitable[int]]) -> int:
    """One step; what hinders it must not hinder the others, and it is tried again in the next round."""
    try:
        return await step()
    except (DomainError, ValueError, DBAPIError) as failed:
        log.error("intake of pledges", step=step.__qualname__, reason=str(failed))
        return 0


async def _payments(session: AsyncSession, rows: dict[str, tuple[int, ...]]) -> list[Subject]:
    found = await session.scalars(
        select(Payment)
        .where(Payment.id.in_(rows), Payment.pledge_id.is_not(None))
        .order_by(Payment.id)
    )
    return [subject_of(row, row.path_id, row.pledge_id or "", rows[row.id]) for row in found]


async def _cards(session: AsyncSession, rows: dict[str, tuple[int, ...]]) -> list[Subject]:
    found = await session.execute(
        select(SavedCard, Pledge.campaign_id, Pledge.id)
        .join(Pledge, Pledge.card_id == SavedCard.id)
        .where(SavedCard.id.in_(rows))
        .order_by(Pledge.id)
    )
    return [
        subject_of(card, campaign_id, pledge_id, rows[card.id])
        for card, campaign_id, pledge_id in found
    ]


async def _refunds(session: AsyncSession, rows: dict[str, tuple[int, ...]]) -> list[Subject]:
    found = await session.scalars(
        select(Refund).where(Refund.id.in_(rows), Refund.pledge_id.is_not(None)).order_by(Refund.id)
    )
    return [refund_subject(row, rows[row.id]) for row in found]
