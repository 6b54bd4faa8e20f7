"""Statements and payouts as whole CSV files, for bookkeeping: the same rights and the same lines as their JSON."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from fastapi import APIRouter
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import StreamingResponse

from api.auth import Caller, CurrentUser
from api.balances import AccountCode, CurrencyFilter, account_of
from api.errors import problems
from api.paths import AnyPath, concerns
from api.policy import require, require_on_path, unknown
from api.services import Services, ServicesDep
from api.spreadsheets import MEDIA_TYPE, Cell, spreadsheet
from db import statements
from db.queries import money_movements, users
from db.statements import MAX_LIMIT, StatementLine, StatementPage
from domain import access
from domain.access import Action
from domain.accounts import Account
from domain.errors import Forbidden, NotFound
from domain.ids import UserId
from domain.money import Currency, format_money

router = APIRouter(tags=["money"])
_CSV: dict[int | str, dict[str, object]] = {
    200: {"content": {MEDIA_TYPE: {}}, "description": "The whole table."}
}
_STATEMENT = (
    "at",
    "entry_id",
    "kind",
    "status",
    "path_id",
    "account",
    "side",
    "currency",
    "amount_minor",
    "amount",
    "change_minor",
    "balance_after_minor",
    "note",
)
_PAYOUTS = ("id", "created_at", "status", "currency", "amount_minor", "amount")

PageOf = Callable[[AsyncSession, int | None], Awaitable[StatementPage]]


@router.get(
    "/v1/me/statement.csv",
    operation_id="exportMyStatement",
    summary="The own statement as a file",
    responses=_CSV,
    response_class=StreamingResponse,
)
async def my_statement(
    user: CurrentUser, services: ServicesDep, currency: CurrencyFilter = None
) -> StreamingResponse:
    """Every posting on the signed-in user's accounts, newest first."""
    return await _of_user(services, user, user.id, currency)


@router.get(
    "/v1/users/{user_id}/statement.csv",
    operation_id="exportUserStatement",
    summary="Statement of a user as a file",
    responses={**_CSV, **problems(Forbidden, NotFound)},
    response_class=StreamingResponse,
)
async def user_statement(
    user_id: UserId, user: CurrentUser, services: ServicesDep, currency: CurrencyFilter = None
) -> StreamingResponse:
    """For operators, and for the user themselves; newest first."""
    return await _of_user(services, user, user_id, currency)


@router.get(
    "/v1/paths/{path_id}/statement.csv",
    operation_id="exportPathStatement",
    summary="Postings of a path as a file",
    responses={**_CSV, **problems(Forbidden, NotFound)},
    response_class=StreamingResponse,
)
async def path_statement(
    path_id: AnyPath, user: CurrentUser, services: ServicesDep
) -> StreamingResponse:
    """Newest first; running balances of other people's accounts are left out, as in the JSON."""
    async with services.database.reading() as session:
        relations = await require_on_path(session, user, Action.PATH_STATEMENT_VIEW, path_id)
    sees_all = access.allowed(Action.LEDGER_VIEW, relations)

    async def page(session: AsyncSession, before: int | None) -> StatementPage:
        return await statements.path_statement(session, path_id, before=before, limit=MAX_LIMIT)

    lines = _statement(services, page, lambda account: sees_all or concerns(account, user.id))
    return spreadsheet(path_id, _STATEMENT, lines)


@router.get(
    "/v1/ledger/accounts/{code}/statement.csv",
    operation_id="exportAccountStatement",
    summary="Statement of one account as a file",
    responses={**_CSV, **problems(Forbidden)},
    response_class=StreamingResponse,
)
async def account_statement(
    code: AccountCode, user: CurrentUser, services: ServicesDep, currency: Currency
) -> StreamingResponse:
    """For operators; newest first."""
    require(Action.LEDGER_VIEW, user.relations())
    account = account_of(code)

    async def page(session: AsyncSession, before: int | None) -> StatementPage:
        return await statements.account_statement(
            session, account, currency, before=before, limit=MAX_LIMIT
        )

    return spreadsheet(f"{account.kind}-{currency}", _STATEMENT, _statement(services, page))


@router.get(
    "/v1/payouts.csv",
    operation_id="exportPayouts",
    summary="The own payouts as a file",
    responses=_CSV,
    response_class=StreamingResponse,
)
async def payouts(user: CurrentUser, services: ServicesDep) -> StreamingResponse:
    """Newest first."""

    async def lines() -> AsyncIterator[Sequence[Cell]]:
        after: str | None = None
        while True:
            async with services.database.reading() as session:
                rows = await money_movements.payouts_of(session, user.id, after, MAX_LIMIT)
            for row in rows:
                text = format_money(row.amount, row.currency)
                at = row.created_at.isoformat()
                yield row.id, at, row.status, row.currency, row.amount, text
            if len(rows) < MAX_LIMIT:
                return
            after = rows[-1].id

    return spreadsheet("payouts", _PAYOUTS, lines())


async def _of_user(
    services: Services, user: Caller, user_id: str, currency: str | None
) -> StreamingResponse:
    require(Action.BALANCE_VIEW, user.relations(owner=user_id))
    async with services.database.reading() as session:
        if await users.get(session, user_id) is None:
            raise unknown("user")

    async def page(session: AsyncSession, before: int | None) -> StatementPage:
        return await statements.user_statement(
            session, user_id, currency=currency, before=before, limit=MAX_LIMIT
        )

    return spreadsheet("statement", _STATEMENT, _statement(services, page))


async def _statement(
    services: Services, page_of: PageOf, sees_balance: Callable[[Account], bool] = lambda _: True
) -> AsyncIterator[Sequence[Cell]]:
    """All lines, a page a transaction: no snapshot stays open for somebody who reads slowly."""
    before: int | None = None
    while True:
        async with services.database.reading() as session:
            page = await page_of(session, before)
        for line in page.lines:
            yield _cells(line, sees_balance=sees_balance(line.account))
        before = page.next_before
        if before is None:
            return


def _cells(line: StatementLine, *, sees_balance: bool) -> Sequence[Cell]:
    return (
        line.at.isoformat(),
        line.entry_id,
        line.kind,
        line.status,
        line.path_id,
        line.account.code,
        line.side,
        line.currency,
        line.amount,
        format_money(line.amount, line.currency),
        line.change,
        line.balance_after if sees_balance else None,
        line.note,
    )
