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
from api.schemas.users import (
    AccountEventView,
    AccountReason,
    AccountView,
    Identity,
    ReviewRequest,
    SelfDealingRefusalView,
    UserView,
)
from api.services import Services, ServicesDep
from api.temporal import answered_within
from db import closing_rows
from db.case_rows import open_case
from db.queries import refusals, users
from db.tables import User
from domain.access import Action
from domain.capabilities import Capability
from domain.errors import (
    AccountFrozen,
    Forbidden,
    InvalidInput,
    NoDestination,
    NotFound,
    StillOwing,
    WrongPhase,
)
from domain.ids import PathId, UserId
from domain.operator_cases import CaseKind
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


@router.post(
    "/v1/users/{user_id}/limits/{capability}",
    operation_id="limitUser",
    summary="Take a capability away",
    response_model=AccountView,
    responses=problems(AccountFrozen, Forbidden, NotFound),
)
async def limit_user(
    user_id: UserId,
    capability: Capability,
    body: AccountReason,
    user: CurrentUser,
    services: ServicesDep,
    once: OnceDep,
) -> Response:
    """For operators. The user begins nothing of this kind; what is under way goes on.

    Without `withdraw` the balance and all income are held, and no payout leaves.
    """
    return await _change(services, once, user, user_id, body, AccountEvent.LIMITED, capability)


@router.post(
    "/v1/users/{user_id}/limits/{capability}/lift",
    operation_id="allowUser",
    summary="Give a capability back",
    response_model=AccountView,
    responses=problems(AccountFrozen, Forbidden, NotFound),
)
async def allow_user(
    user_id: UserId,
    capability: Capability,
    body: AccountReason,
    user: CurrentUser,
    services: ServicesDep,
    once: OnceDep,
) -> Response:
    """For operators. What was held for want of `withdraw` may be taken out, less what the user owes."""
    return await _change(services, once, user, user_id, body, AccountEvent.ALLOWED, capability)


@router.post(
    "/v1/users/{user_id}/review",
    operation_id="reviewUser",
    summary="Ask for a look at an account",
    response_model=AccountView,
    responses=problems(AccountFrozen, Forbidden, NotFound),
)
async def review_user(
    user_id: UserId, body: AccountReason, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """For operators: opens a case that somebody must decide in time. Nothing is taken away by that."""
    _require_operator(user, Action.ACCOUNT_LIMIT)

    async def ask(session: AsyncSession, _: str) -> AccountView:
        await _ask_for_review(session, services, user_id, body.reason, by=user.id)
        return await _view(session, services, await users.get(session, user_id))

    return await once.in_transaction("act", body, ask, status=200)


@router.post(
    "/v1/me/review",
    operation_id="askForReview",
    summary="Ask for a look at the own account",
    response_model=UserView,
)
async def ask_for_review(
    body: ReviewRequest, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """For whoever is frozen or limited and thinks it is wrong, or done with. One look at a time."""

    async def ask(session: AsyncSession, _: str) -> UserView:
        row = await _ask_for_review(session, services, user.id, body.words, by=user.id)
        return UserView.with_roles(row, user.roles)

    return await once.in_transaction("act", body, ask, status=200)


@router.post(
    "/v1/me/closing",
    operation_id="closeAccount",
    summary="Close the own account for good",
    response_model=UserView,
    responses=problems(AccountFrozen, NoDestination, StillOwing),
)
async def close_account(user: CurrentUser, services: ServicesDep, once: OnceDep) -> Response:
    """Refused while anything is in the way: paths under way, debts, payouts and refunds on the way.

    From then on nothing can be begun. The whole balance is paid out, however small; what is held waits for operators.
    When nothing is left the name and the verified identity are forgotten and nobody can sign in any more; what the law
    wants kept (the ledger, payouts, tax records) stays. There is no way back after that.
    """
    require(Action.ACCOUNT_CLOSE, user.relations(owner=user.id))
    require_active(user)

    async def close(session: AsyncSession, key: str) -> UserView:
        return UserView.with_roles(await closing_rows.begin(session, user.id, key), user.roles)

    return await once.in_transaction("act", "closing", close, status=200)


@router.post(
    "/v1/users/{user_id}/closing/cancel",
    operation_id="cancelClosing",
    summary="Keep an account that is closing",
    response_model=AccountView,
    responses=problems(AccountFrozen, Forbidden, NotFound, WrongPhase),
)
async def cancel_closing(
    user_id: UserId, body: AccountReason, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """For operators, when its owner has changed their mind, or somebody else has asked for it."""
    _require_operator(user, Action.ACCOUNT_LIMIT)

    async def keep(session: AsyncSession, _: str) -> AccountView:
        row = await closing_rows.cancel(session, user_id, by=user.id, reason=body.reason)
        return await _view(session, services, row)

    return await once.in_transaction("act", body, keep, status=200)


@router.get(
    "/v1/users/{user_id}/account-events",
    operation_id="listAccountEvents",
    summary="What was done to an account, newest first",
    responses=problems(Forbidden),
)
async def list_account_events(
    user_id: UserId,
    user: CurrentUser,
    services: ServicesDep,
    after: RowCursor = None,
    limit: Limit = 50,
) -> Page[AccountEventView]:
    """For operators, with the reasons."""
    require(Action.ACCOUNT_LIMIT, user.relations())
    async with services.database.reading() as session:
        rows = await users.events(session, user_id, after, limit + 1)
    return page_of(rows, limit, AccountEventView.of, lambda row: str(row.id))


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
    async with services.database.reading() as session:
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
    capability: Capability | None = None,
) -> Response:
    _require_operator(user, Action.ACCOUNT_LIMIT if capability else Action.USER_FREEZE)

    async def change(key: str) -> AccountView:
        async with services.database.transaction() as session:
            await _view(session, services, await users.get(session, user_id))
        await _carry_out(
            services,
            AccountChange(
                key=key,
                user_id=user_id,
                event=event,
                reason=body.reason,
                by=user.id,
                capability=capability,
            ),
        )
        async with services.database.transaction() as session:
            return await _view(session, services, await users.get(session, user_id))

    return await once.resumable("act", body, change, status=200)


async def _ask_for_review(
    session: AsyncSession, services: Services, user_id: str, reason: str, *, by: str
) -> User:
    """Opens the account's case, or adds to the one that is open. Raises NotFound."""
    row = await users.get(session, user_id)
    if row is None:
        raise unknown("user")
    users.record(session, user_id, AccountEvent.REVIEW_ASKED, by=by, reason=reason)
    await open_case(
        session,
        CaseKind.ACCOUNT_REVIEW,
        user_id,
        summary=f"Somebody asks for a look at this account: {reason}",
        within_seconds=services.settings.operator_policy.sla_seconds,
        user_id=user_id,
    )
    return row


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
    held = effective_roles(row.subject, roles, admins)
    in_review = bool(await users.in_review(session, [row.id]))
    return AccountView.of_account(row, held, in_review=in_review)
