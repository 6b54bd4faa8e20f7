"""Balances and statements as the API shows them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

from pydantic import Field

from api.schemas.base import MoneyView, Page, Utc, View
from db.statements import (
    AccountBalance,
    StatementLine,
    StatementPage,
    TrialBalanceLine,
    UserBalance,
)
from domain.accounts import Account, AccountKind, Side


class UserBalanceView(View):
    """What the platform and a user owe each other in one currency."""

    currency: str = Field(examples=["CNY"])
    payable: MoneyView = Field(description="Earned and not taken out.")
    available: MoneyView = Field(description="Of it, what is not reserved.")
    held: MoneyView = Field(description="Earned, but may not be taken out for now.")
    receivable: MoneyView = Field(description="Owed to the platform; later income pays it first.")

    @classmethod
    def of(cls, balance: UserBalance) -> Self:
        """The view of a user's balance in one currency."""
        code = balance.currency
        return cls(
            currency=code,
            payable=MoneyView.of(balance.payable, code),
            available=MoneyView.of(balance.available, code),
            held=MoneyView.of(balance.held, code),
            receivable=MoneyView.of(balance.receivable, code),
        )


class AccountBalanceView(View):
    """An account of a path as it stands."""

    account: str = Field(examples=["escrow:sal_01h45ytscbebyvny4gc8cr8ma2"])
    balance: MoneyView = Field(description="On the side on which the account grows.")
    pending_in: MoneyView
    pending_out: MoneyView

    @classmethod
    def of(cls, balance: AccountBalance) -> Self:
        """The view of an account balance."""
        code = balance.currency
        return cls(
            account=balance.account.code,
            balance=MoneyView.of(balance.balance, code),
            pending_in=MoneyView.of(balance.pending_in, code),
            pending_out=MoneyView.of(balance.pending_out, code),
        )


class StatementLineView(View):
    """One posting, as its account sees it."""

    id: int
    entry_id: int
    at: Utc
    kind: str = Field(description="What the journal entry records.", examples=["release"])
    status: str = Field(description="posted, pending or void.", examples=["posted"])
    path_id: str | None
    account: str = Field(examples=["payable:usr_01h45ytscbebyvny4gc8cr8ma2"])
    side: Side
    amount: MoneyView
    change: MoneyView = Field(description="What it does to the balance; 0 while pending.")
    balance_after: MoneyView | None = Field(
        description="Running balance of the account, where the reader may see it."
    )
    note: str

    @classmethod
    def of(cls, line: StatementLine, *, running_balance: bool) -> Self:
        """The view of a statement line."""
        code, after = line.currency, line.balance_after if running_balance else None
        return cls(
            id=line.id,
            entry_id=line.entry_id,
            at=line.at,
            kind=line.kind,
            status=line.status,
            path_id=line.path_id,
            account=line.account.code,
            side=line.side,
            amount=MoneyView.of(line.amount, code),
            change=MoneyView.of(line.change, code),
            balance_after=None if after is None else MoneyView.of(after, code),
            note=line.note,
        )


class TrialBalanceView(View):
    """All accounts of one kind and currency together."""

    kind: AccountKind
    currency: str
    accounts: int = Field(description="How many there are.")
    debits: MoneyView
    credits: MoneyView
    balance: MoneyView = Field(description="On the side on which this kind grows.")

    @classmethod
    def of(cls, line: TrialBalanceLine) -> Self:
        """The view of a line of the trial balance."""
        return cls(
            kind=line.kind,
            currency=line.currency,
            accounts=line.accounts,
            debits=MoneyView.of(line.debits, line.currency),
            credits=MoneyView.of(line.credits, line.currency),
            balance=MoneyView.of(line.balance, line.currency),
        )


def statement_view(
    page: StatementPage, running_balance: Callable[[Account], bool] = lambda account: True
) -> Page[StatementLineView]:
    """A page of a statement, newest first; `running_balance` says on which accounts the reader may see it."""
    cursor = None if page.next_before is None else str(page.next_before)
    items = [
        StatementLineView.of(line, running_balance=running_balance(line.account))
        for line in page.lines
    ]
    return Page(items=items, next=cursor)
