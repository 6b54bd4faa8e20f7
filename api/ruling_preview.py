"""What a ruling on a dispute would do to everybody's money, before it is made."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Path, Query
from temporalio.client import WorkflowFailureError

from api.auth import CurrentUser
from api.errors import problems
from api.policy import on_path
from api.schemas.unwind import UnwindView
from api.services import Services, ServicesDep
from api.temporal import answered_within
from db.queries import paths
from domain import access
from domain.access import Action
from domain.disputes import RulingAsked
from domain.errors import Forbidden, NotFound, Unavailable
from domain.ids import DisputeId
from domain.model import BasisPoints
from domain.unwinding import Unwind
from runtime.temporal_errors import domain_error_of
from workflows.preview import PreviewRuling

router = APIRouter(tags=["disputes"])
ThisDispute = Annotated[DisputeId, Path(alias="dispute_id", description="Id of the dispute.")]
ToPayer = Annotated[
    BasisPoints, Query(description="What would go back to who paid, in basis points.")
]


@router.get(
    "/v1/disputes/{dispute_id}/preview",
    operation_id="previewRuling",
    summary="Who would get what by a ruling",
    responses=problems(Forbidden, NotFound, Unavailable),
)
async def preview(
    dispute_id: ThisDispute, to_payer: ToPayer, user: CurrentUser, services: ServicesDep
) -> UnwindView:
    """The real end of the dispute, done and taken back in one transaction. Operators see everything, the sides themselves."""
    async with services.database.reading() as session:
        seen = await on_path(session, user, Action.DISPUTE_SEE, dispute_id, "dispute")
    found = await _previewed(services, RulingAsked(dispute_id=dispute_id, to_payer=to_payer))
    async with services.database.reading() as session:
        pending = await paths.pending(session, dispute_id)
    sees = None if access.allowed(Action.LEDGER_VIEW, seen.relations) else user.id
    return UnwindView.of(dispute_id, pending, found, sees=sees)


async def _previewed(services: Services, asked: RulingAsked) -> Unwind:
    seconds = services.settings.request_timeout_seconds
    try:
        async with answered_within(seconds):
            return await services.temporal.execute_workflow(
                PreviewRuling.run,
                asked,
                id=f"preview-{uuid.uuid4().hex}",
                task_queue=services.settings.temporal_task_queue,
                execution_timeout=timedelta(seconds=seconds),
                static_summary=f"Preview of a ruling on {asked.dispute_id}",
            )
    except WorkflowFailureError as failed:
        raise domain_error_of(failed) or Unavailable("there is no preview now") from failed
