"""Commands: every override of operators is shown before, approved by a second one when it matters, and done as shown."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from temporalio.client import WithStartWorkflowOperation
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.workflow import UpdateMethodMultiParam

from api.auth import Caller, CurrentUser
from api.errors import problems
from api.idempotency import Once, OnceDep
from api.policy import require, require_active
from api.schemas.base import Body, Limit, Page, RowCursor, page_of
from api.schemas.cases import CommandItemView, CommandView, NewCommand, Rejection, Seen
from api.services import Services, ServicesDep
from api.temporal import answered_within
from db.queries import cases
from domain.access import Action
from domain.commands import ENDED, CommandAct, CommandStanding, CommandStart, CommandState
from domain.errors import (
    AccountFrozen,
    Forbidden,
    HoldTooLong,
    InsufficientFunds,
    InvalidInput,
    LimitReached,
    NeedsSecondOperator,
    NotFound,
    OwnRequest,
    PathNotEmpty,
    RefundTooLarge,
    TooLate,
    UnbalancedEntry,
    WrongPhase,
)
from domain.ids import CommandId, PathId
from domain.time import utc_now
from workflows.command import Command
from workflows.names import command_workflow_id

router = APIRouter(tags=["operators"])
ThisCommand = Annotated[CommandId, Path(alias="command_id", description="Id of the command.")]
_REFUSED = (
    AccountFrozen,
    Forbidden,
    HoldTooLong,
    InsufficientFunds,
    InvalidInput,
    LimitReached,
    NotFound,
    OwnRequest,
    PathNotEmpty,
    RefundTooLarge,
    TooLate,
    UnbalancedEntry,
    WrongPhase,
)


@router.post(
    "/v1/commands",
    operation_id="proposeCommand",
    summary="Propose a command, and see what it would do",
    status_code=201,
    response_model=CommandView,
    responses=problems(*_REFUSED),
)
async def propose(
    body: NewCommand, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """Nothing is changed: the command is rehearsed, and the answer lists every posting it would make.

    Above the limit of one operator alone, another one has to approve it. Not executed within the time of the platform's
    rules, it is void.
    """
    _require(user, Action.COMMAND_PROPOSE)

    async def begin(command_id: str) -> CommandView:
        start = CommandStart(
            command_id=command_id,
            by=user.id,
            order=body.order,
            reason=body.reason,
            at=utc_now(),
            case_id=body.case_id,
            policy=services.settings.operator_policy,
        )
        await _begin(services, start)
        return await _view(services, command_id)

    return await once.resumable("cmd", body, begin, status=201)


@router.get(
    "/v1/commands",
    operation_id="listCommands",
    summary="Commands, newest first",
    responses=problems(Forbidden),
)
async def list_commands(
    user: CurrentUser,
    services: ServicesDep,
    state: CommandState | None = None,
    path_id: Annotated[PathId | None, Query(description="Only of this path.")] = None,
    after: Annotated[CommandId | None, Query(description="`next` of the page before.")] = None,
    limit: Limit = 50,
) -> Page[CommandView]:
    """What waits for a second operator has the state `proposed`."""
    require(Action.CASE_SEE, user.relations())
    async with services.database.reading() as session:
        rows = await cases.commands(
            session, state=state, path_id=path_id, before=after, limit=limit + 1
        )
    return page_of(rows, limit, CommandView.of, lambda row: row.id)


@router.get(
    "/v1/commands/{command_id}",
    operation_id="getCommand",
    summary="A command with its preview",
    responses=problems(Forbidden, NotFound),
)
async def get_command(
    command_id: ThisCommand, user: CurrentUser, services: ServicesDep
) -> CommandView:
    """Who proposed and approved it, what it does, and what became of it."""
    require(Action.CASE_SEE, user.relations())
    return await _view(services, command_id)


@router.get(
    "/v1/commands/{command_id}/items",
    operation_id="listCommandItems",
    summary="The paths of a bulk command",
    responses=problems(Forbidden, NotFound),
)
async def list_items(
    command_id: ThisCommand,
    user: CurrentUser,
    services: ServicesDep,
    after: RowCursor = None,
    limit: Limit = 50,
) -> Page[CommandItemView]:
    """What is, or would be, done with each of them."""
    require(Action.CASE_SEE, user.relations())
    async with services.database.reading() as session:
        await cases.command(session, command_id)
        last = -1 if after is None else after
        rows = await cases.command_items(session, command_id, last, limit + 1)
    return page_of(rows, limit, CommandItemView.of, lambda row: str(row.number))


@router.post(
    "/v1/commands/{command_id}/approve",
    operation_id="approveCommand",
    summary="Agree to a command of another operator",
    response_model=CommandView,
    responses=problems(AccountFrozen, Forbidden, NotFound, OwnRequest, WrongPhase),
)
async def approve(
    command_id: ThisCommand, body: Seen, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """Exactly to what the hash stands for. An account of the same person does not count as another operator."""
    _require(user, Action.COMMAND_APPROVE)
    act = CommandAct(by=user.id, sha256=body.preview_sha256)
    return await _act(services, once, command_id, body, Command.approve, act, CommandState.APPROVED)


@router.post(
    "/v1/commands/{command_id}/reject",
    operation_id="rejectCommand",
    summary="Do not let a command happen",
    response_model=CommandView,
    responses=problems(AccountFrozen, Forbidden, NotFound, WrongPhase),
)
async def reject(
    command_id: ThisCommand,
    body: Rejection,
    user: CurrentUser,
    services: ServicesDep,
    once: OnceDep,
) -> Response:
    """By any operator, who proposed it among them."""
    _require(user, Action.COMMAND_APPROVE)
    act = CommandAct(by=user.id, reason=body.reason)
    return await _act(services, once, command_id, body, Command.reject, act, CommandState.REJECTED)


@router.post(
    "/v1/commands/{command_id}/rehearse",
    operation_id="rehearseCommand",
    summary="See anew what a command would do",
    response_model=CommandView,
    responses=problems(*_REFUSED),
)
async def rehearse(
    command_id: ThisCommand, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """When things have moved since it was shown. Who approved the former preview has to approve this one."""
    _require(user, Action.COMMAND_PROPOSE)
    act = CommandAct(by=user.id)
    return await _act(services, once, command_id, "", Command.rehearse, act, CommandState.PROPOSED)


@router.post(
    "/v1/commands/{command_id}/execute",
    operation_id="executeCommand",
    summary="Do what was shown",
    response_model=CommandView,
    responses=problems(*_REFUSED, NeedsSecondOperator),
)
async def execute(
    command_id: ThisCommand, body: Seen, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """It is rehearsed again in the same transaction: if other money would move, nothing is done."""
    _require(user, Action.COMMAND_PROPOSE)
    act = CommandAct(by=user.id, sha256=body.preview_sha256)
    return await _act(services, once, command_id, body, Command.execute, act, CommandState.EXECUTED)


def _require(user: Caller, action: Action) -> None:
    """Whoever may decide about other people's money: the one place for what is asked besides the role."""
    require(action, user.relations())
    require_active(user)


async def _begin(services: Services, start: CommandStart) -> None:
    """Starts the command's story, or finds it started, and waits until it can be read or is refused."""
    operation = WithStartWorkflowOperation(
        Command.run,
        start,
        id=command_workflow_id(start.command_id),
        task_queue=services.settings.temporal_task_queue,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
        static_summary=f"{start.order.kind} by {start.by}",
        static_details=start.reason,
    )
    try:
        async with answered_within(services.settings.request_timeout_seconds):
            await services.temporal.execute_update_with_start_workflow(
                Command.proposed, start_workflow_operation=operation, id="proposed"
            )
    except WorkflowAlreadyStartedError:
        # A former try of the same request got this far; its row tells how.
        return


async def _act(
    services: Services,
    once: Once,
    command_id: str,
    body: Body | str,
    update: UpdateMethodMultiParam[[Command, CommandAct], CommandStanding],
    act: CommandAct,
    leads_to: CommandState,
) -> Response:
    """`leads_to`: where the act leads in the end; a command that stands there already stays as it is."""
    async with services.database.transaction() as session:
        await cases.command(session, command_id)

    async def tell(update_id: str) -> CommandView:
        now = await _view(services, command_id)
        if now.state in ENDED:
            if now.state is not leads_to:
                raise WrongPhase(f"the command is {now.state}", field="state", accepted="a new one")
            return now
        story = services.temporal.get_workflow_handle(command_workflow_id(command_id))
        async with answered_within(services.settings.request_timeout_seconds):
            await story.execute_update(update, act, id=update_id)
        return await _view(services, command_id)

    return await once.resumable("act", body, tell, status=200)


async def _view(services: Services, command_id: str) -> CommandView:
    async with services.database.reading() as session:
        return CommandView.of(await cases.command(session, command_id))
