"""How routes tell a path's story of an act, and start one."""

from __future__ import annotations

from typing import Any, TypeVar

from temporalio.client import WithStartWorkflowOperation
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.workflow import UpdateMethodMultiParam

from api.auth import Caller
from api.policy import role_of
from api.services import Services
from api.temporal import answered_within
from db.queries.paths import Seen
from domain.model import Message
from domain.path import Act, Standing
from runtime.temporal import start_attributes

ActT = TypeVar("ActT", bound=Act)


class Opening(Message):
    """What operators read about a path from its start."""

    workflow: str
    workflow_id: str
    kind: str
    initiator_id: str
    currency: str
    summary: str
    details: str


def said_by(user: Caller, seen: Seen, note: str = "") -> Act:
    """Who acts, in which role, and which phase they saw."""
    return Act(actor=role_of(seen.relations), user_id=user.id, note=note, phase_seen=seen.phase)


async def tell(
    services: Services,
    seen: Seen,
    update: UpdateMethodMultiParam[[Any, ActT], Standing],  # of whichever story
    act: ActT,
    update_id: str,
) -> Standing:
    """Tells the path's workflow of an act. Raises WrongPhase, Unavailable, and what the workflow refuses.

    `update_id` is the same at every try of one request, so that the act happens once.
    """
    handle = services.temporal.get_workflow_handle(seen.workflow_id)
    async with answered_within(services.settings.request_timeout_seconds):
        return await handle.execute_update(update, act, id=update_id)


async def begin(
    services: Services,
    opening: Opening,
    start: Message,
    update: UpdateMethodMultiParam[[Any, ActT], Standing],  # of whichever story
    act: ActT,
    update_id: str,
) -> None:
    """Starts the path's workflow, or finds it started, and waits for its answer to the first act.

    A story that was refused its beginning has failed, so that the mended draft can begin anew.
    """
    operation: WithStartWorkflowOperation[Any, Any] = WithStartWorkflowOperation(
        opening.workflow,
        start,
        id=opening.workflow_id,
        task_queue=services.settings.temporal_task_queue,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY,
        static_summary=opening.summary,
        static_details=opening.details,
        search_attributes=start_attributes(opening.kind, opening.initiator_id, opening.currency),
    )
    try:
        async with answered_within(services.settings.request_timeout_seconds):
            await services.temporal.execute_update_with_start_workflow(
                update, act, start_workflow_operation=operation, id=update_id
            )
    except WorkflowAlreadyStartedError:
        # A former try of the same request got this far, and the path has ended meanwhile: its row tells how.
        return
