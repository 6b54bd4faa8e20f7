"""What every path answers: deadlines, timeline, statement, balances. Reads PostgreSQL only.

The same four are there under the path's own kind (`/v1/sales/{id}/…`) and under `/v1/paths/{id}/…`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import APIRouter, Path

from api.auth import CurrentUser
from api.errors import problems
from api.policy import require_on_path, see_progress
from api.schemas.base import Limit, Page, RowCursor, page_of
from api.schemas.ledger import AccountBalanceView, StatementLineView, statement_view
from api.schemas.paths import DeadlinesView, EventView
from api.services import ServicesDep
from db import statements
from db.queries import paths
from domain import access
from domain.access import Action
from domain.accounts import PATH_BOUND, Account
from domain.errors import Forbidden, NotFound
from domain.ids import PathId

router = APIRouter(tags=["paths"])
AnyPath = Annotated[PathId, Path(description="Id of the path, such as `sal_…`.")]


async def deadlines(path_id: AnyPath, user: CurrentUser, services: ServicesDep) -> DeadlinesView:
    """Each pending timer, when it fires, who can stop it, and which postings happen if nobody does."""
    async with services.database.reading() as session:
        await see_progress(session, user, path_id)
        return DeadlinesView.of(path_id, await paths.pending(session, path_id))


async def timeline(
    path_id: AnyPath,
    user: CurrentUser,
    services: ServicesDep,
    after: RowCursor = None,
    limit: Limit = 50,
) -> Page[EventView]:
    """Everything that happened on the path, oldest first."""
    async with services.database.reading() as session:
        await see_progress(session, user, path_id)
        rows = await paths.timeline(session, path_id, after, limit + 1)
    return page_of(rows, limit, EventView.of, lambda row: str(row.id))


async def statement(
    path_id: AnyPath,
    user: CurrentUser,
    services: ServicesDep,
    after: RowCursor = None,
    limit: Limit = 50,
) -> Page[StatementLineView]:
    """Every posting of the path's journal entries, newest first."""
    async with services.database.reading() as session:
        relations = await require_on_path(session, user, Action.PATH_STATEMENT_VIEW, path_id)
        page = await statements.path_statement(session, path_id, before=after, limit=limit)
    if access.allowed(Action.LEDGER_VIEW, relations):
        return statement_view(page)
    return statement_view(page, running_balance=lambda account: concerns(account, user.id))


def concerns(account: Account, user_id: str) -> bool:
    """Whether a party may see the account's running balance: the path's own accounts and theirs, nobody else's."""
    return account.kind in PATH_BOUND or account.owner == user_id


async def balances(
    path_id: AnyPath, user: CurrentUser, services: ServicesDep
) -> list[AccountBalanceView]:
    """The accounts bound to the path; all stand at 0 when it has ended."""
    async with services.database.reading() as session:
        await require_on_path(session, user, Action.PATH_STATEMENT_VIEW, path_id)
        found = await statements.path_balances(session, path_id)
    return [AccountBalanceView.of(balance) for balance in found]


_PARTS: tuple[tuple[str, Callable[..., Awaitable[object]], str], ...] = (
    ("deadlines", deadlines, "What the path waits for"),
    ("timeline", timeline, "What happened so far"),
    ("statement", statement, "Postings of the path"),
    ("balances", balances, "Accounts of the path"),
)
_KINDS = (
    ("/v1/paths", "Path"),
    ("/v1/sales", "Sale"),
    ("/v1/orders", "Order"),
    ("/v1/returns", "Return"),
    ("/v1/disputes", "Dispute"),
    ("/v1/contests", "Contest"),
    ("/v1/tenders", "Tender"),
    ("/v1/ballots", "Ballot"),
    ("/v1/campaigns", "Campaign"),
    ("/v1/match-calls", "MatchCall"),
    ("/v1/in-kind", "InKind"),
    ("/v1/production-orders", "ProductionOrder"),
    ("/v1/lots", "Lot"),
)
for _prefix, _kind in _KINDS:
    for _name, _endpoint, _summary in _PARTS:
        router.add_api_route(
            f"{_prefix}/{{path_id}}/{_name}",
            _endpoint,
            operation_id=f"get{_kind}{_name.capitalize()}",
            summary=_summary,
            responses=problems(Forbidden, NotFound),
        )
