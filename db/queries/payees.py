"""Who can be paid out."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from db.tables import LedgerAccount, LedgerEntry, LedgerPosting, Payout, PayoutDestination
from domain.accounts import AccountKind, Side
from domain.model import Message
from domain.payments import DuePage
from domain.policy import PayoutPolicy
from domain.postings import EntryKind

_PUT_BACK = (EntryKind.PAYOUT_FAILED, EntryKind.PAYOUT_RETURNED, EntryKind.UNFREEZE)
"""Credits that only restore what was income before; they need not wait again."""


_REST_AFTER_FAILURE = timedelta(days=1)
"""A destination to which a payout has just failed is not tried again by itself for this long."""


class Payee(Message):
    """A user with money that may leave in one currency."""

    user_id: str
    currency: str

    @property
    def cursor(self) -> str:
        """Where the next page begins."""
        return f"{self.user_id}/{self.currency}"


async def income_since(
    session: AsyncSession, user_id: str, currency: str, availability_seconds: int
) -> int:
    """Minor units of income too young to leave."""
    if availability_seconds == 0:
        return 0
    young = await session.scalar(
        select(_young_income(availability_seconds)).where(
            LedgerAccount.kind == AccountKind.PAYABLE,
            LedgerAccount.owner == user_id,
            LedgerAccount.currency == currency,
        )
    )
    return int(young or 0)


def _young_income(availability_seconds: int) -> ColumnElement[int]:
    """Credits of the account of the enclosing query that are too young to leave."""
    return (
        select(func.coalesce(func.sum(LedgerPosting.amount), 0))
        .join(LedgerEntry, LedgerEntry.id == LedgerPosting.entry_id)
        .where(
            LedgerPosting.account_id == LedgerAccount.id,
            LedgerPosting.side == Side.CREDIT,
            LedgerEntry.status == "posted",
            LedgerEntry.kind.not_in(_PUT_BACK),
            LedgerEntry.at > func.now() - timedelta(seconds=availability_seconds),
        )
        .correlate(LedgerAccount)
        .scalar_subquery()
    )


async def due_payees(session: AsyncSession, page: DuePage, policy: PayoutPolicy) -> list[Payee]:
    """Payees with an automatic destination, at least the minimum that may leave, and no payout within the interval."""
    cursor = func.concat(LedgerAccount.owner, "/", LedgerAccount.currency)
    recent = (
        select(Payout.id)
        .where(
            Payout.user_id == LedgerAccount.owner,
            Payout.currency == LedgerAccount.currency,
            Payout.status.not_in(("failed", "returned")),
            Payout.created_at > func.now() - timedelta(seconds=policy.min_interval_seconds),
        )
        .exists()
    )
    failed = (
        select(Payout.id)
        .where(
            Payout.destination_id == PayoutDestination.id,
            Payout.status.in_(("failed", "returned")),
            Payout.created_at > func.now() - _REST_AFTER_FAILURE,
        )
        .exists()
    )
    rows = await session.execute(
        select(LedgerAccount.owner, LedgerAccount.currency)
        .join(
            PayoutDestination,
            (PayoutDestination.user_id == LedgerAccount.owner)
            & (PayoutDestination.currency == LedgerAccount.currency)
            & (PayoutDestination.status == "active")
            & PayoutDestination.automatic,
        )
        .where(
            LedgerAccount.kind == AccountKind.PAYABLE,
            LedgerAccount.credits_posted
            - LedgerAccount.debits_posted
            - LedgerAccount.debits_pending
            - (_young_income(policy.availability_seconds) if policy.availability_seconds else 0)
            >= policy.minimum_amount,
            cursor > page.after,
            ~recent,
            ~failed,
        )
        .order_by(cursor)
        .limit(page.limit)
    )
    return [Payee(user_id=owner, currency=currency) for owner, currency in rows]
