"""What would happen if a path were called off now."""

from __future__ import annotations

import uuid
from datetime import timedelta

from fastapi import APIRouter
from temporalio.client import WorkflowFailureError

from api.auth import CurrentUser
from api.errors import problems
from api.paths import AnyPath
from api.policy import require_on_path
from api.schemas.unwind import UnwindView
from api.services import Services, ServicesDep
from api.temporal import answered_within
from db.queries import paths
from domain import access
from domain.access import Action
from domain.errors import Forbidden, NotFound, Unavailable
from domain.unwinding import Unwind, UnwindAsked
from runtime.temporal_errors import domain_error_of
from workflows.preview import Preview

router = APIRouter(tags=["paths"])


@router.get(
    "/v1/paths/{path_id}/unwind",
    operation_id="getPathUnwind",
    summary="Who would get what if it were called off now",
    responses=problems(Forbidden, NotFound, Unavailable),
)
async def unwind(path_id: AnyPath, user: CurrentUser, services: ServicesDep) -> UnwindView:
    """The real end of the path, done and taken back in one transaction: what it shows is what would be posted.

    For the path's people, its backers and operators. Backers and other parties see their own share.
    """
    async with services.database.reading() as session:
        relations = await require_on_path(session, user, Action.UNWIND_VIEW, path_id)
    found = await _previewed(services, UnwindAsked(path_id=path_id, user_id=user.id))
    async with services.database.reading() as session:
        pending = await paths.pending(session, path_id)
    sees = None if access.allowed(Action.LEDGER_VIEW, relations) else user.id
    return UnwindView.of(path_id, pending, found, sees=sees)


async def _previewed(services: Services, asked: UnwindAsked) -> Unwind:
    seconds = services.settings.request_timeout_seconds
    try:
        async with answered_within(seconds):
            return await services.temporal.execute_workflow(
                Preview.run,
                asked,
                id=f"preview-{uuid.uuid4().hex}",
                task_queue=services.settings.temporal_task_queue,
                execution_timeout=timedelta(seconds=seconds),
                static_summary=f"Unwind preview of {asked.path_id}",
            )
    except WorkflowFailureError as failed:
        raise domain_error_of(failed) or Unavailable("there is no preview now") from failed
