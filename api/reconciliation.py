"""Reconciliation: what payment companies say, and where our books say something else. For operators."""

from __future__ import annotations

import datetime as dt
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from sqlalchemy.ext.asyncio import AsyncSession

from api.auth import CurrentUser
from api.errors import problems
from api.idempotency import OnceDep
from api.policy import require, require_active
from api.schemas.base import Limit, Page, page_of
from api.schemas.reconciliation import DifferenceView, Explanation, StatementDayView
from api.services import ServicesDep
from db import reconciliation_rows
from db.case_rows import end_case
from domain.access import Action
from domain.errors import Forbidden, NotFound, WrongPhase
from domain.ids import DifferenceId
from domain.operator_cases import CaseKind

router = APIRouter(prefix="/v1/reconciliation", tags=["operators"])
ThisDifference = Annotated[
    DifferenceId, Path(alias="difference_id", description="Id of the difference.")
]
DifferenceCursor = Annotated[DifferenceId | None, Query(description="`next` of the page before.")]
Before = Annotated[dt.date | None, Query(description="Only days before this one.")]


@router.get(
    "/days",
    operation_id="listStatementDays",
    summary="Days whose statements were read, newest first",
    responses=problems(Forbidden),
)
async def list_days(
    user: CurrentUser,
    services: ServicesDep,
    provider: str | None = None,
    before: Before = None,
    limit: Limit = 50,
) -> list[StatementDayView]:
    """With the balances around each day as the payment company has them."""
    require(Action.RECONCILE_SEE, user.relations())
    async with services.database.reading() as session:
        found = await reconciliation_rows.days(session, provider, before, limit)
    return [StatementDayView.of(each) for each in found]


@router.get(
    "/differences",
    operation_id="listDifferences",
    summary="What differs, newest first",
    responses=problems(Forbidden),
)
async def list_differences(
    user: CurrentUser,
    services: ServicesDep,
    only_open: bool = True,
    after: DifferenceCursor = None,
    limit: Limit = 50,
) -> Page[DifferenceView]:
    """Each has a case as long as it is open; what the other side tells late closes it by itself."""
    require(Action.RECONCILE_SEE, user.relations())
    async with services.database.reading() as session:
        found = await reconciliation_rows.page(
            session, only_open=only_open, after=after, limit=limit + 1
        )
    return page_of(found, limit, DifferenceView.of, lambda row: row.id)


@router.post(
    "/differences/{difference_id}/explain",
    operation_id="explainDifference",
    summary="Say why the two sides differ",
    response_model=DifferenceView,
    responses=problems(Forbidden, NotFound, WrongPhase),
)
async def explain_difference(
    difference_id: ThisDifference,
    body: Explanation,
    user: CurrentUser,
    services: ServicesDep,
    once: OnceDep,
) -> Response:
    """Closes it and its case; it is not found again as long as both sides say the same. Books are corrected by a command."""
    require(Action.RECONCILE_SEE, user.relations())
    require_active(user)

    async def explain(session: AsyncSession, _: str) -> DifferenceView:
        row = await reconciliation_rows.explain(session, difference_id, user.id, body.reason)
        await end_case(
            session,
            CaseKind.DIFFERENCE,
            difference_id,
            reconciliation_rows.EXPLAINED,
            by=user.id,
            reason=body.reason,
        )
        return DifferenceView.of(row)

    return await once.in_transaction("act", body, explain, status=200)
