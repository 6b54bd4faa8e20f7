"""What Temporal must know before the first path starts: search attributes and schedules. Safe to repeat."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import NamedTuple

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import (
    AddSearchAttributesRequest,
    ListSearchAttributesRequest,
)
from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleUpdate,
    ScheduleUpdateInput,
)

from activities.gathering import payout_schedule
from domain.holds import HoldsAsked
from domain.model import Message
from domain.payments import DuePage
from domain.reconciliation import ReconcileRun
from runtime import search_attributes
from runtime.leaving import leave
from runtime.settings import Settings, settings
from runtime.temporal import connect
from workflows.holds import KeepHolds
from workflows.reconciliation import Reconcile
from workflows.records import PublishProofs, WriteDownQuarters
from workflows.upkeep import (
    EndClosings,
    FindStuck,
    GatherPayouts,
    KeepHouse,
    PassOnClaims,
    PledgeIntake,
    RedeliverInbox,
    SendNotices,
)

_DAY_SECONDS = 86_400
_MINUTE_SECONDS = 60


def redelivery_schedule(task_queue: str) -> str:
    """Id of the schedule that re-delivers the inbox; each task queue has its own."""
    return f"{task_queue}-redelivery"


def intake_schedule(task_queue: str) -> str:
    """Id of the schedule that keeps the intake of pledges going."""
    return f"{task_queue}-pledge-intake"


async def register_search_attributes(client: Client) -> None:
    """Adds the registry's search attributes that the namespace does not have yet."""
    listed = await client.operator_service.list_search_attributes(
        ListSearchAttributesRequest(namespace=client.namespace)
    )
    missing = {
        key.name: IndexedValueType.ValueType(int(key.indexed_value_type))
        for key in search_attributes.ALL
        if key.name not in listed.custom_attributes
    }
    if missing:
        await client.operator_service.add_search_attributes(
            AddSearchAttributesRequest(namespace=client.namespace, search_attributes=missing)
        )


class Recurring(NamedTuple):
    """Work that a schedule starts again and again."""

    schedule_id: str
    story: type
    name: str
    """The workflow's id, after that of the task queue."""
    summary: str
    every_seconds: int
    page: Message | None = None


def recurring(settings: Settings) -> tuple[Recurring, ...]:
    """All of it; deadlines of paths depend on none."""
    return (*_about_money(settings), *_upkeep(settings))


def schedules(settings: Settings) -> list[tuple[str, int]]:
    """Id and period in seconds of every schedule."""
    return [
        (intake_schedule(settings.temporal_task_queue), _MINUTE_SECONDS),
        *((each.schedule_id, each.every_seconds) for each in recurring(settings)),
    ]


def _about_money(settings: Settings) -> tuple[Recurring, ...]:
    queue = settings.temporal_task_queue
    return (
        Recurring(
            payout_schedule(queue),
            GatherPayouts,
            "gather-payouts",
            "Pay out what is due per payee",
            settings.payouts_every_seconds,
            DuePage(),
        ),
        Recurring(
            f"{queue}-closings",
            EndClosings,
            "end-closings",
            "Close accounts whose money has left",
            settings.payouts_every_seconds,
        ),
        Recurring(
            redelivery_schedule(queue),
            RedeliverInbox,
            "redeliver-inbox",
            "Re-deliver unanswered webhooks",
            settings.redelivery_every_seconds,
        ),
    )


def _upkeep(settings: Settings) -> tuple[Recurring, ...]:
    queue = settings.temporal_task_queue
    return (
        Recurring(
            f"{queue}-housekeeping",
            KeepHouse,
            "keep-house",
            "Forget old keys and rejected webhooks",
            _DAY_SECONDS,
        ),
        Recurring(
            f"{queue}-claims",
            PassOnClaims,
            "pass-on-claims",
            "Pass on what backers of stopped campaigns are owed",
            settings.claims_every_seconds,
        ),
        Recurring(
            f"{queue}-notices",
            SendNotices,
            "send-notices",
            "Send the notices that wait",
            settings.notices_every_seconds,
        ),
        Recurring(
            f"{queue}-proofs",
            PublishProofs,
            "publish-proofs",
            "Publish proofs of closed paths",
            settings.proofs_every_seconds,
        ),
        Recurring(
            f"{queue}-stuck",
            FindStuck,
            "find-stuck",
            "Look for what is stuck",
            settings.stuck_every_seconds,
        ),
        Recurring(
            f"{queue}-reconcile",
            Reconcile,
            "reconcile",
            "Compare the books with the statements of payment companies",
            _DAY_SECONDS,
            ReconcileRun(),
        ),
        Recurring(
            f"{queue}-quarters",
            WriteDownQuarters,
            "write-down-quarters",
            "Write down the figures of past quarters",
            settings.tax_every_seconds,
        ),
        Recurring(
            f"{queue}-holds",
            KeepHolds,
            "keep-holds",
            "See to money that a provider will let go of",
            settings.holds_every_seconds,
            HoldsAsked(),
        ),
    )


async def register_schedules(client: Client, settings: Settings) -> None:
    """Creates the schedules, or brings their periods up to date."""
    queue = settings.temporal_task_queue
    await register_intake(client, settings)
    for each in recurring(settings):
        action = ScheduleActionStartWorkflow(
            each.story.__name__,
            *([each.page] if each.page else []),
            id=f"{queue}-{each.name}",
            task_queue=queue,
            static_summary=each.summary,
        )
        await _schedule(client, each.schedule_id, action, each.every_seconds)


async def register_intake(client: Client, settings: Settings) -> None:
    """Creates the schedule of the intake of pledges. Its runs are as long as its period, so one is always at work."""
    queue = settings.temporal_task_queue
    intake = ScheduleActionStartWorkflow(
        PledgeIntake.run,
        id=f"{queue}-take-in-pledges",
        task_queue=queue,
        static_summary="Take in news of pledges",
    )
    await _schedule(client, intake_schedule(queue), intake, _MINUTE_SECONDS, at_once=True)


async def _schedule(
    client: Client,
    schedule_id: str,
    action: ScheduleActionStartWorkflow,
    every_seconds: int,
    *,
    at_once: bool = False,
) -> None:
    wanted = Schedule(
        action=action,
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=timedelta(seconds=every_seconds))]),
        # A trigger that comes while a run is under way must not be lost: it runs right after.
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.BUFFER_ONE),
    )

    async def keep_state(current: ScheduleUpdateInput) -> ScheduleUpdate:
        wanted.state = current.description.schedule.state
        return ScheduleUpdate(schedule=wanted)

    try:
        await client.create_schedule(schedule_id, wanted, trigger_immediately=at_once)
    except ScheduleAlreadyRunningError:
        await client.get_schedule_handle(schedule_id).update(keep_state)


async def main(settings: Settings) -> None:
    """Registers everything on the configured cluster."""
    client = await connect(settings)
    await register_search_attributes(client)
    await register_schedules(client, settings)


if __name__ == "__main__":
    asyncio.run(main(settings()))
    leave()
