"""Setting a story going again that is stuck. Safe: whatever it did before, it does once by its key."""

from __future__ import annotations

import uuid

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.client import WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from api.services import Services
from api.temporal import answered_within
from db.wakeups import wake_about
from domain.errors import NotFound, WrongPhase
from domain.stuck import How
from runtime.temporal import send

_MOVEMENTS = ("payment-", "refund-", "payout-")
"""Stories that begin anew where their rows stand."""


async def set_going(services: Services, workflow_id: str, how: How, reason: str) -> None:
    """Wakes a running story, starts one of a movement of money anew, or resets one that has failed.

    Raises NotFound when there is no such story, WrongPhase when this way is not for it.
    """
    async with answered_within(services.settings.request_timeout_seconds):
        if how is How.START:
            await _start(services, workflow_id)
        else:
            await _running_or_ended(services, workflow_id, how, reason)


async def _start(services: Services, workflow_id: str) -> None:
    prefix = next((each for each in _MOVEMENTS if workflow_id.startswith(each)), None)
    if prefix is None:
        raise WrongPhase(
            "only payments, refunds and payouts begin anew", field="how", accepted="wake, reset"
        )
    async with services.database.transaction() as session:
        wake = await wake_about(session, workflow_id.removeprefix(prefix), services.settings)
    if wake is None:
        raise NotFound(f"nothing is known of {workflow_id}")
    again = wake.model_copy(update={"start_again": True})
    await send(services.temporal, services.settings.temporal_task_queue, again)


async def _running_or_ended(services: Services, workflow_id: str, how: How, reason: str) -> None:
    handle = services.temporal.get_workflow_handle(workflow_id)
    try:
        described = await handle.describe()
    except RPCError as missing:
        if missing.status is RPCStatusCode.NOT_FOUND:
            raise NotFound(f"there is no story {workflow_id}") from missing
        raise
    running = described.status is WorkflowExecutionStatus.RUNNING
    if running != (how is How.WAKE):
        raise WrongPhase(
            f"the story is {'running' if running else 'over'}",
            field="how",
            accepted="wake" if running else "reset, start",
        )
    if running:
        await handle.signal("wake")
        return
    if described.status is WorkflowExecutionStatus.COMPLETED:
        raise WrongPhase("the story has ended well", field="how", accepted="nothing")
    await _reset(services, workflow_id, described.run_id, reason)


async def _reset(services: Services, workflow_id: str, run_id: str, reason: str) -> None:
    """The story goes on as another run from its last completed task; signals that came since are told again."""
    last = 0
    handle = services.temporal.get_workflow_handle(workflow_id, run_id=run_id)
    async for event in handle.fetch_history_events():
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED:
            last = event.event_id
    if not last:
        raise WrongPhase("the story never began", field="how", accepted="start")
    await services.temporal.workflow_service.reset_workflow_execution(
        ResetWorkflowExecutionRequest(
            namespace=services.temporal.namespace,
            workflow_execution=WorkflowExecution(workflow_id=workflow_id, run_id=run_id),
            reason=reason,
            workflow_task_finish_event_id=last,
            request_id=uuid.uuid4().hex,
        )
    )
