"""Balances and statements of users, and the whole ledger for operators."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query

from api.auth import Caller, CurrentUser
from api.errors import problems
from api.policy import require, unknown
from api.schemas.base import Limit, Page, RowCursor
from api.schemas.ledger import (
    StatementLineView,
    TrialBalanceView,
    UserBalanceView,
    statement_view,
)
from api.services import Services, ServicesDep
from db import statements
from db.queries import users
from domain.access import Action
from domain.accounts import Account, AccountKind
from domain.errors import Forbidden, InvalidInput, NotFound
from domain.ids import UserId
from domain.money import Currency

router = APIRouter(tags=["money"])
CurrencyFilter = Annotated[Currency | None, Query(description="Only this currency.")]
AccountCode = Annotated[
    str,
    Path(
        pattern=r"^[a-z_]{1,32}:[A-Za-z0-9_.:-]{1,200}$",
        description="`kind:owner`.",
        examples=["fee:platform"],
    ),
]


@router.get("/v1/me/balances", operation_id="getMyBalances", summary="The own balances")
async def my_balances(user: CurrentUser, services: ServicesDep) -> list[UserBalanceView]:
    """What the platform and the signed-in user owe each other, one line for each currency."""
    return await _balances(services, user, user.id)


@router.get("/v1/me/statement", operation_id="getMyStatement", summary="The own statement")
async def my_statement(
    user: CurrentUser,
    services: ServicesDep,
    currency: CurrencyFilter = None,
    after: RowCursor = None,
    limit: Limit = 50,
) -> Page[StatementLineView]:
    """Every posting on the signed-in user's accounts, newest first."""
    return await _statement(services, user, user.id, currency, after, limit)


@router.get(
    "/v1/users/{user_id}/balances",
    operation_id="getUserBalances",
    summary="Balances of a user",
    responses=problems(Forbidden, NotFound),
)
async def user_balances(
    user_id: UserId, user: CurrentUser, services: ServicesDep
) -> list[UserBalanceView]:
    """For operators, and for the user themselves."""
    return await _balances(services, user, user_id)


@router.get(
    "/v1/users/{user_id}/statement",
    operation_id="getUserStatement",
    summary="Statement of a user",
    responses=problems(Forbidden, NotFound),
)
async def user_statement(
    user_id: UserId,
    user: CurrentUser,
    services: ServicesDep,
    currency: CurrencyFilter = None,
    after: RowCursor = None,
    limit: Limit = 50,
) -> Page[StatementLineView]:
    """For operators, and for the user themselves; newest first."""
    return await _statement(services, user, user_id, currency, after, limit)


@router.get(
    "/v1/ledger/trial-balance",
    operation_id="getTrialBalance",
    summary="The whole ledger by kind of account",
    responses=problems(Forbidden),
)
async def trial_balance(user: CurrentUser, services: ServicesDep) -> list[TrialBalanceView]:
    """For operators. Debits and credits of each currency add up to the same."""
    require(Action.LEDGER_VIEW, user.relations())
    async with services.database.reading() as session:
        lines = await statements.trial_balance(session)
    return [TrialBalanceView.of(line) for line in lines]


@router.get(
    "/v1/ledger/accounts/{code}/statement",
    operation_id="getAccountStatement",
    summary="Statement of one account",
    responses=problems(Forbidden),
)
async def account_statement(
    code: AccountCode,
    user: CurrentUser,
    services: ServicesDep,
    currency: Annotated[Currency, Query(description="ISO 4217 code.")],
    after: RowCursor = None,
    limit: Limit = 50,
) -> Page[StatementLineView]:
    """For operators. Every posting on the account in this currency, newest first; an unused account has none."""
    require(Action.LEDGER_VIEW, user.relations())
    account = account_of(code)
    async with services.database.reading() as session:
        page = await statements.account_statement(
            session, account, currency, before=after, limit=limit
        )
    return statement_view(page)


async def _balances(services: Services, user: Caller, user_id: str) -> list[UserBalanceView]:
    require(Action.BALANCE_VIEW, user.relations(owner=user_id))
    async with services.database.reading() as session:
        if await users.get(session, user_id) is None:
            raise unknown("user")
        found = await statements.user_balances(session, user_id)
    return [UserBalanceView.of(balance) for balance in found]


async def _statement(
    services: Services,
    user: Caller,
    user_id: str,
    currency: str | None,
    after: int | None,
    limit: int,
) -> Page[StatementLineView]:
    require(Action.BALANCE_VIEW, user.relations(owner=user_id))
    async with services.database.reading() as session:
        if await users.get(session, user_id) is None:
            raise unknown("user")
        page = await statements.user_statement(
            session, user_id, currency=currency, before=after, limit=limit
        )
    return statement_view(page)


def account_of(code: str) -> Account:
    """The account of a code such as `fee:platform`. Raises InvalidInput for a kind that there is not."""
    kind, _, owner = code.partition(":")
    if kind not in set(AccountKind):
        raise InvalidInput(
            f"there is no kind of account {kind!r}",
            field="code",
            accepted=", ".join(AccountKind),
        )
    return Account(kind=AccountKind(kind), owner=owner)
