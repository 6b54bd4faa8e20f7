"""What Temporal must know before the first path starts: search attributes and schedules. Safe to repeat."""

from __future__ import annotations

import asyncio
from datetime import timedelta

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
from domain.payments import DuePage
from runtime import search_attributes
from runtime.leaving import leave
from runtime.settings import Settings, settings
from runtime.temporal import connect
from workflows.records import PublishProofs, WriteDownQuarters
from workflows.upkeep import (
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


async def register_schedules(client: Client, settings: Settings) -> None:
    """Creates the schedules, or brings their periods up to date."""
    queue = settings.temporal_task_queue
    gather = ScheduleActionStartWorkflow(
        GatherPayouts.run,
        DuePage(),
        id=f"{queue}-gather-payouts",
        task_queue=queue,
        static_summary="Pay out what is due per payee",
    )
    redeliver = ScheduleActionStartWorkflow(
        RedeliverInbox.run,
        id=f"{queue}-redeliver-inbox",
        task_queue=queue,
        static_summary="Re-deliver unanswered webhooks",
    )
    keep_house = ScheduleActionStartWorkflow(
        KeepHouse.run,
        id=f"{queue}-keep-house",
        task_queue=queue,
        static_summary="Forget old keys and rejected webhooks",
    )
    pass_on = ScheduleActionStartWorkflow(
        PassOnClaims.run,
        id=f"{queue}-pass-on-claims",
        task_queue=queue,
        static_summary="Pass on what backers of stopped campaigns are owed",
    )
    send_notices = ScheduleActionStartWorkflow(
        SendNotices.run,
        id=f"{queue}-send-notices",
        task_queue=queue,
        static_summary="Send the notices that wait",
    )
    proofs = ScheduleActionStartWorkflow(
        PublishProofs.run,
        id=f"{queue}-publish-proofs",
        task_queue=queue,
        static_summary="Publish proofs of closed paths",
    )
    quarters = ScheduleActionStartWorkflow(
        WriteDownQuarters.run,
        id=f"{queue}-write-down-quarters",
        task_queue=queue,
        static_summary="Write down the figures of past quarters",
    )
    await register_intake(client, settings)
    await _schedule(client, f"{queue}-quarters", quarters, settings.tax_every_seconds)
    await _schedule(client, f"{queue}-proofs", proofs, settings.proofs_every_seconds)
    await _schedule(client, f"{queue}-claims", pass_on, settings.claims_every_seconds)
    await _schedule(client, f"{queue}-notices", send_notices, settings.notices_every_seconds)
    await _schedule(client, f"{queue}-housekeeping", keep_house, _DAY_SECONDS)
    await _schedule(client, payout_schedule(queue), gather, settings.payouts_every_seconds)
    await _schedule(
        client, redelivery_schedule(queue), redeliver, settings.redelivery_every_seconds
    )


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
