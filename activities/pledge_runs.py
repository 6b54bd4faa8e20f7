"""What is done with every pledge of a campaign, page by page. Everything a run knows is in the rows: it may stop anywhere."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, exists, func, select
from temporalio import activity
from temporalio.client import Client

from activities import pledge_charges, pledge_closing, pledge_giving_back, pledge_locks
from activities.pledge_batch import Batch, Done
from activities.pledge_refunds import PledgeRefunds
from db.engine import Database
from db.tables import Path, Payment, Pledge, PledgeEvent, Refund
from domain.campaign import GIVES_BACK, Phase
from domain.campaign_messages import Progress, RunCase, RunGoal
from domain.payments import RefundState
from domain.pledge import Method, PledgeState
from providers.registry import ProviderRegistry
from runtime.settings import Settings

PAGE = 200
"""Most pledges in one transaction."""
_SECONDS_A_PAGE = 8
"""How long the calls of one page take at the allowed rate; slow providers get smaller pages."""
WORKS_FOR = 120
"""Seconds after which one call of the activity answers how far it is."""

_FITS = {
    RunGoal.CLOSE: frozenset({Phase.CLOSING}),
    RunGoal.CLOSE_SLOW: frozenset({Phase.WAITING_FUNDS}),
    RunGoal.COLLECT: frozenset({Phase.COLLECTING}),
    RunGoal.GIVE_BACK: GIVES_BACK,
}
"""The phases in which each goal makes sense."""

Step = Callable[[Batch, Sequence[str]], Awaitable[Done]]
_S = PledgeState


@dataclass(frozen=True)
class _Task:
    """One thing that a goal asks for: which pledges, and what is done with them."""

    state: PledgeState
    step: Step
    where: tuple[ColumnElement[bool], ...] = ()
    counts: bool = True
    """Whether the run goes on until nothing of it is left; else it ends by itself."""


_SLOW = Pledge.method == Method.BANK
_CHANGING = Pledge.pending.is_not(None)
_TOLD = exists().where(PledgeEvent.key == func.concat(Pledge.id, "/reminder/1"))
_UNSENT = exists().where(
    Refund.pledge_id == Pledge.id,
    Refund.status == RefundState.REQUESTED,
    Refund.failure_reason.is_(None),
)
_ON_ITS_WAY = exists().where(Refund.pledge_id == Pledge.id, Refund.status == RefundState.PENDING)
_LEFT_OPEN = exists().where(
    Payment.pledge_id == Pledge.id, Payment.status.in_(pledge_closing.UNPAID)
)
_UNPLANNED = Pledge.dispute_open.is_(True) & (
    Pledge.to_refund.is_(None)
    | (
        Pledge.to_refund.is_distinct_from(Pledge.paid - Pledge.refunded)
        & exists().where(Path.id == Pledge.campaign_id, Path.phase != Phase.STOPPED)
    )
)
"""Money that banks have for the moment, and of which less than all is planned to go back; only stops plan shares."""


def _closing(*where: ColumnElement[bool]) -> tuple[_Task, ...]:
    return (
        _Task(_S.INITIATED, pledge_closing.close, where),
        _Task(_S.FUNDED, pledge_closing.settle_changes, (_CHANGING, *where)),
    )


_TASKS: dict[RunGoal, tuple[_Task, ...]] = {
    RunGoal.CLOSE: _closing(~_SLOW),
    RunGoal.CLOSE_SLOW: _closing(_SLOW),
    RunGoal.COLLECT: (
        _Task(_S.SAVED, pledge_charges.charge),
        _Task(_S.CHARGING, pledge_charges.charge_again),
        _Task(_S.ERRORED, pledge_charges.tell_again, (~_TOLD,)),
    ),
    RunGoal.GIVE_BACK: (
        _Task(_S.INITIATED, pledge_closing.give_up),
        *(_Task(each, pledge_giving_back.release) for each in (_S.SAVED, _S.CHARGING, _S.ERRORED)),
        _Task(_S.DROPPED, pledge_giving_back.close_left_open, (_LEFT_OPEN,)),
        *(
            _Task(each, pledge_closing.settle_changes, (_CHANGING,))
            for each in (_S.FUNDED, _S.REFUNDING)
        ),
        *(
            _Task(each, pledge_giving_back.give_back, (~Pledge.dispute_open,))
            for each in (_S.FUNDED, _S.COLLECTED)
        ),
        *(
            _Task(each, pledge_giving_back.plan, (_UNPLANNED,))
            for each in (_S.FUNDED, _S.COLLECTED)
        ),
        _Task(
            _S.REFUNDING,
            pledge_giving_back.send,
            (_UNSENT | ((Pledge.to_refund > 0) & ~Pledge.dispute_open),),
        ),
        _Task(_S.REFUNDING, pledge_giving_back.look, (_ON_ITS_WAY,), counts=False),
    ),
}


class PledgeRuns:
    """Activities of the runs over all pledges of a campaign."""

    def __init__(
        self,
        database: Database,
        providers: ProviderRegistry,
        temporal: Client,
        settings: Settings,
    ) -> None:
        self.database = database
        self.providers = providers
        self.temporal = temporal
        self.settings = settings
        self.refunds = PledgeRefunds(database, providers, temporal, settings)

    @activity.defn(name="run_pledges")
    async def run(self, case: RunCase) -> Progress:
        """Works for a few minutes at most on this shard and answers what it has done and what is left.

        A goal that does not fit the campaign's phase any more leaves nothing. Safe to repeat, and to do twice at once.
        """
        rate = self.settings.provider_rate_per_second
        so_far = _Count(rate=max(1, rate // case.shards) if rate else 0)
        batch = Batch(
            database=self.database,
            providers=self.providers,
            temporal=self.temporal,
            settings=self.settings,
            refunds=self.refunds,
            case=case,
            beat=lambda: activity.heartbeat(so_far.progress()),
            failed=case.so_far.failed if case.so_far else 0,
        )
        until = time.monotonic() + WORKS_FOR
        for task in _TASKS[case.goal]:
            after: str | None = ""
            while after is not None and time.monotonic() < until:
                after = await self._page(batch, task, after, so_far)
                if after is None and so_far.over:
                    return so_far.progress()
        so_far.left = await self._left(case)
        return so_far.progress()

    async def _page(self, batch: Batch, task: _Task, after: str, so_far: _Count) -> str | None:
        """Does one page; answers the last pledge of it, None when there is no page any more."""
        async with self.database.transaction() as session:
            held = await pledge_locks.hold(session, batch.campaign_id, ())
            if held.phase not in _FITS[batch.case.goal]:
                so_far.over = True
                return None
            ids = (
                await session.scalars(
                    select(Pledge.id)
                    .where(*_mine(batch.case, task), Pledge.id > after)
                    .order_by(Pledge.id)
                    .limit(self._page_size())
                )
            ).all()
        if not ids:
            return None
        so_far.add(await task.step(batch, ids))
        batch.beat()
        return ids[-1]

    def _page_size(self) -> int:
        rate = self.settings.provider_rate_per_second
        return min(PAGE, rate * _SECONDS_A_PAGE) if rate else PAGE

    async def _left(self, case: RunCase) -> int:
        """How many pledges a further pass can still move."""
        total = 0
        async with self.database.transaction() as session:
            for task in _TASKS[case.goal]:
                if task.counts:
                    query = select(func.count()).select_from(Pledge).where(*_mine(case, task))
                    total += await session.scalar(query) or 0
        return total


@dataclass
class _Count:
    """How far one call of the activity is."""

    rate: int
    done: int = 0
    failed: int = 0
    left: int = 0
    over: bool = False
    """The goal does not fit the campaign's phase any more."""

    def add(self, done: Done) -> None:
        self.done += done.done
        self.failed += done.failed

    def progress(self) -> Progress:
        return Progress(done=self.done, failed=self.failed, left=self.left, per_second=self.rate)


def _mine(case: RunCase, task: _Task) -> list[ColumnElement[bool]]:
    """Which pledges the task is about, of this run's part of the campaign."""
    found = [Pledge.campaign_id == case.campaign_id, Pledge.state == task.state, *task.where]
    if case.shards > 1:
        # Without the sign: a remainder below 0 would be nobody's.
        hashed = func.hashtext(Pledge.id).op("&")(0x7FFF_FFFF)
        found.append(hashed.op("%")(case.shards) == case.shard)
    return found
