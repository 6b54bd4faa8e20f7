"""What operators know and decide about people's accounts: verified identities, freezing, refused self-dealing."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response
from sqlalchemy.ext.asyncio import AsyncSession
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError

from api.auth import Caller, CurrentUser, effective_roles
from api.errors import problems
from api.idempotency import Once, OnceDep
from api.policy import require, require_active, unknown
from api.schemas.base import Limit, Page, RowCursor, page_of
from api.schemas.users import AccountReason, AccountView, Identity, SelfDealingRefusalView
from api.services import Services, ServicesDep
from api.temporal import answered_within
from db.queries import refusals, users
from db.tables import User
from domain.access import Action
from domain.errors import AccountFrozen, Forbidden, InvalidInput, NotFound
from domain.ids import PathId, UserId
from domain.people import AccountChange, AccountEvent, document_number, identity_hash
from workflows.account import ChangeAccount
from workflows.names import account_workflow_id

router = APIRouter(tags=["users"])
OfPath = Annotated[PathId | None, Query(description="Only refusals on this path.")]


@router.put(
    "/v1/users/{user_id}/identity",
    operation_id="verifyUser",
    summary="Say who a user is",
    responses=problems(AccountFrozen, Forbidden, InvalidInput, NotFound),
)
async def verify_user(
    user_id: UserId, body: Identity, user: CurrentUser, services: ServicesDep
) -> AccountView:
    """For operators who have seen the document. Its number is kept as a keyed hash only.

    Accounts verified with the same document count as one person. Another document replaces the one before.
    """
    _require_operator(user, Action.USER_VERIFY)
    document = document_number(body.document.get_secret_value())
    key = services.settings.identity_key.get_secret_value().encode()
    async with services.database.transaction() as session:
        row = await users.verify(session, user_id, identity_hash(key, document), by=user.id)
        return await _view(session, services, row)


@router.delete(
    "/v1/users/{user_id}/identity",
    operation_id="unverifyUser",
    summary="Forget who a user is",
    responses=problems(AccountFrozen, Forbidden, NotFound),
)
async def unverify_user(user_id: UserId, user: CurrentUser, services: ServicesDep) -> AccountView:
    """For operators. Without effect on a user who is not verified."""
    _require_operator(user, Action.USER_VERIFY)
    async with services.database.transaction() as session:
        row = await users.unverify(session, user_id, by=user.id)
        return await _view(session, services, row)


@router.post(
    "/v1/users/{user_id}/freeze",
    operation_id="freezeUser",
    summary="Freeze an account",
    response_model=AccountView,
    responses=problems(AccountFrozen, Forbidden, NotFound),
)
async def freeze_user(
    user_id: UserId, body: AccountReason, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """For operators. The user may look, but not begin anything; the balance and all income are held.

    What is under way goes on: orders, payouts that have left, refunds. Frozen again, the first reason stays.
    """
    return await _change(services, once, user, user_id, body, AccountEvent.FROZEN)


@router.post(
    "/v1/users/{user_id}/unfreeze",
    operation_id="unfreezeUser",
    summary="Unfreeze an account",
    response_model=AccountView,
    responses=problems(AccountFrozen, Forbidden, NotFound),
)
async def unfreeze_user(
    user_id: UserId, body: AccountReason, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """For operators. What was held may be taken out, less what the user owes."""
    return await _change(services, once, user, user_id, body, AccountEvent.UNFROZEN)


@router.get(
    "/v1/self-dealing-refusals",
    operation_id="listSelfDealingRefusals",
    summary="Refused self-dealing, newest first",
    responses=problems(Forbidden),
)
async def list_refusals(
    user: CurrentUser,
    services: ServicesDep,
    path_id: OfPath = None,
    after: RowCursor = None,
    limit: Limit = 50,
) -> Page[SelfDealingRefusalView]:
    """For operators: who was kept from what, and as whom they count. The person is not told that."""
    require(Action.REFUSAL_LIST, user.relations())
    async with services.database.transaction() as session:
        rows = await refusals.page(session, path_id, after, limit + 1)
    return page_of(rows, limit, SelfDealingRefusalView.of, lambda row: str(row.id))


def _require_operator(user: Caller, action: Action) -> None:
    require(action, user.relations())
    # Or a frozen operator could clear themselves.
    require_active(user)


async def _change(
    services: Services,
    once: Once,
    user: Caller,
    user_id: str,
    body: AccountReason,
    event: AccountEvent,
) -> Response:
    _require_operator(user, Action.USER_FREEZE)

    async def change(key: str) -> AccountView:
        async with services.database.transaction() as session:
            await _view(session, services, await users.get(session, user_id))
        await _carry_out(
            services,
            AccountChange(key=key, user_id=user_id, event=event, reason=body.reason, by=user.id),
        )
        async with services.database.transaction() as session:
            return await _view(session, services, await users.get(session, user_id))

    return await once.resumable("act", body, change, status=200)


async def _carry_out(services: Services, change: AccountChange) -> None:
    """Runs the change's workflow, or waits for the one that a former try has started."""
    workflow_id = account_workflow_id(change.key)
    async with answered_within(services.settings.request_timeout_seconds):
        try:
            await services.temporal.execute_workflow(
                ChangeAccount.run,
                change,
                id=workflow_id,
                task_queue=services.settings.temporal_task_queue,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                static_summary=f"{change.user_id} is {change.event}",
            )
        except WorkflowAlreadyStartedError:
            await services.temporal.get_workflow_handle(workflow_id).result()


async def _view(session: AsyncSession, services: Services, row: User | None) -> AccountView:
    if row is None:
        raise unknown("user")
    roles = (await users.roles_of(session, [row.id])).get(row.id, set())
    admins = services.settings.admin_subjects
    return AccountView.with_roles(row, effective_roles(row.subject, roles, admins))
