"""Cases: what needs a person, who sees to it, and everything that is known about it. For operators."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from sqlalchemy.ext.asyncio import AsyncSession

from api.auth import CurrentUser, effective_roles
from api.errors import problems
from api.idempotency import OnceDep
from api.policy import require, require_active
from api.retrying import set_going
from api.schemas.base import Limit, Page, page_of
from api.schemas.cases import Assignment, CaseDetail, CaseView, CaseWords, Retry
from api.services import Services, ServicesDep
from db.queries import cases, users
from domain.access import Action, Role
from domain.errors import AccountFrozen, Forbidden, InvalidInput, NotFound, Unavailable, WrongPhase
from domain.ids import CaseId
from domain.operator_cases import CaseKind, CaseState

router = APIRouter(tags=["operators"])
ThisCase = Annotated[CaseId, Path(alias="case_id", description="Id of the case.")]
_ACTS = (AccountFrozen, Forbidden, NotFound, WrongPhase)


@router.get(
    "/v1/cases",
    operation_id="listCases",
    summary="What needs a person, the most urgent first",
    responses=problems(Forbidden),
)
async def list_cases(
    user: CurrentUser,
    services: ServicesDep,
    state: Annotated[CaseState | None, Query(description="Without it: all that are open.")] = None,
    kind: CaseKind | None = None,
    mine: Annotated[bool, Query(description="Only what the caller sees to.")] = False,
    overdue: Annotated[bool, Query(description="Only what nobody has decided in time.")] = False,
    after: Annotated[CaseId | None, Query(description="`next` of the page before.")] = None,
    limit: Limit = 50,
) -> Page[CaseView]:
    """Silence changes no money: each path's own rule does what its deadlines say."""
    require(Action.CASE_SEE, user.relations())
    async with services.database.reading() as session:
        rows = await cases.page(
            session,
            state=state,
            kind=kind,
            assignee_id=user.id if mine else None,
            overdue=overdue,
            after=after,
            limit=limit + 1,
        )
        now = await cases.now(session)
    return page_of(rows, limit, lambda row: CaseView.of(row, now), lambda row: row.id)


@router.get(
    "/v1/cases/{case_id}",
    operation_id="getCase",
    summary="A case with its evidence, and what can be done",
    responses=problems(Forbidden, NotFound),
)
async def get_case(case_id: ThisCase, user: CurrentUser, services: ServicesDep) -> CaseDetail:
    """The path with its deadlines, timeline and balances, the people, the money, and the commands that are possible."""
    require(Action.CASE_SEE, user.relations())
    async with services.database.reading() as session:
        return await _detail(session, services, case_id)


@router.post(
    "/v1/cases/{case_id}/assign",
    operation_id="assignCase",
    summary="See to a case, or give it to another operator",
    response_model=CaseDetail,
    responses=problems(*_ACTS, InvalidInput),
)
async def assign_case(
    case_id: ThisCase, body: Assignment, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """Whoever sees to it now; the case's record says who has given it to whom."""
    require(Action.CASE_SEE, user.relations())
    require_active(user)

    async def assign(session: AsyncSession, _: str) -> CaseDetail:
        if body.to is not None:
            await _require_operator(session, services, body.to)
        await cases.assign(session, case_id, body.to or user.id, user.id)
        return await _detail(session, services, case_id)

    return await once.in_transaction("act", body, assign, status=200)


@router.post(
    "/v1/cases/{case_id}/note",
    operation_id="noteOnCase",
    summary="Write something down in a case",
    response_model=CaseDetail,
    responses=problems(*_ACTS),
)
async def note_on_case(
    case_id: ThisCase, body: CaseWords, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """Nothing that was written down can be taken away."""
    require(Action.CASE_SEE, user.relations())
    require_active(user)

    async def write(session: AsyncSession, _: str) -> CaseDetail:
        await cases.add_note(session, case_id, user.id, body.words)
        return await _detail(session, services, case_id)

    return await once.in_transaction("act", body, write, status=200)


@router.post(
    "/v1/cases/{case_id}/close",
    operation_id="closeCase",
    summary="Nobody is needed any more",
    response_model=CaseDetail,
    responses=problems(*_ACTS),
)
async def close_case(
    case_id: ThisCase, body: CaseWords, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """With the reason. What comes back is a new case."""
    require(Action.CASE_SEE, user.relations())
    require_active(user)

    async def close(session: AsyncSession, _: str) -> CaseDetail:
        await cases.close(session, case_id, user.id, body.words)
        return await _detail(session, services, case_id)

    return await once.in_transaction("act", body, close, status=200)


@router.post(
    "/v1/cases/{case_id}/retry",
    operation_id="retryCase",
    summary="Set going again what is stuck",
    response_model=CaseDetail,
    responses=problems(*_ACTS, Unavailable),
)
async def retry_case(
    case_id: ThisCase, body: Retry, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """Of cases of the kind `stuck`. Whatever its story did before is not done twice."""
    require(Action.CASE_SEE, user.relations())
    require_active(user)

    async def set_it_going(_: str) -> CaseDetail:
        async with services.database.transaction() as session:
            case = await cases.get(session, case_id)
        if case.kind != CaseKind.STUCK or case.ended_at is not None:
            raise WrongPhase(
                "nothing of this case is stuck", field="kind", accepted="an open case of stuck"
            )
        await set_going(services, case.subject, body.how, body.reason)
        async with services.database.transaction() as session:
            await cases.add_note(session, case_id, user.id, f"{body.how}: {body.reason}")
            return await _detail(session, services, case_id)

    return await once.resumable("act", body, set_it_going, status=200)


async def _detail(session: AsyncSession, services: Services, case_id: str) -> CaseDetail:
    case = await cases.get(session, case_id)
    await session.refresh(case)
    known = await cases.evidence(session, case)
    policy = services.settings.operator_policy
    return CaseDetail.of(case, known, policy, await cases.now(session))


async def _require_operator(session: AsyncSession, services: Services, user_id: str) -> None:
    row = await users.get(session, user_id)
    roles = (await users.roles_of(session, [user_id])).get(user_id, set())
    admins = services.settings.admin_subjects
    if row is None or Role.OPERATOR not in effective_roles(row.subject, roles, admins):
        raise InvalidInput("they are no operator", field="to", accepted="the id of an operator")
