"""Who can be paid out."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import ColumnElement, Integer, and_, case, cast, func, literal, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from db.tables import (
    LedgerAccount,
    LedgerEntry,
    LedgerPosting,
    Payout,
    PayoutDestination,
    PayoutWish,
    User,
)
from db.tables import Payee as PayeeRow
from domain.accounts import AccountKind, Side
from domain.model import Instant, Message
from domain.payees import PayeeStatus
from domain.payments import PUT_BACK, DuePage, PayoutState
from domain.payouts import PayoutEvery
from domain.policy import PayoutPolicy
from domain.postings import EntryKind

_PUT_BACK = (EntryKind.PAYOUT_FAILED, EntryKind.PAYOUT_RETURNED, EntryKind.UNFREEZE)
"""Credits that only restore what was income before; they need not wait again."""
_NOT_EARNED = (*_PUT_BACK, EntryKind.FREEZE, EntryKind.REFUND_TO_BALANCE, EntryKind.CLAIM_PAID)
"""Besides: money that people had paid themselves. Nothing of it is kept for refunds."""


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


class Earned(Message):
    """What a payee has earned, in one currency; their own money that came back is not earned."""

    first_at: Instant | None
    latest: int
    """Minor units that came within the reserve's time and could leave otherwise."""


async def earned(
    session: AsyncSession, user_id: str, currency: str, policy: PayoutPolicy
) -> Earned:
    """Since when, and how much lately."""
    latest = and_(
        LedgerEntry.at > func.now() - timedelta(seconds=policy.reserve_seconds),
        LedgerEntry.at <= func.now() - timedelta(seconds=policy.availability_seconds),
        LedgerAccount.kind == AccountKind.PAYABLE,
    )
    row = (
        await session.execute(
            select(
                func.min(LedgerEntry.at),
                func.coalesce(func.sum(LedgerPosting.amount).filter(latest), 0),
            )
            .select_from(LedgerPosting)
            .join(LedgerEntry, LedgerEntry.id == LedgerPosting.entry_id)
            .join(LedgerAccount, LedgerAccount.id == LedgerPosting.account_id)
            .where(
                LedgerAccount.kind.in_((AccountKind.PAYABLE, AccountKind.HELD)),
                LedgerAccount.owner == user_id,
                LedgerAccount.currency == currency,
                LedgerPosting.side == Side.CREDIT,
                LedgerEntry.status == "posted",
                LedgerEntry.kind.not_in(_NOT_EARNED),
            )
        )
    ).one()
    return Earned(first_at=row[0], latest=int(row[1]))


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
            Payout.status.not_in(PUT_BACK),
            Payout.created_at > func.now() - timedelta(seconds=policy.min_interval_seconds),
        )
        .exists()
    )
    failed = (
        select(Payout.id)
        .where(
            Payout.destination_id == PayoutDestination.id,
            Payout.status.in_((PayoutState.FAILED, PayoutState.RETURNED)),
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
            & (PayoutDestination.status == "active"),
        )
        .join(User, User.id == LedgerAccount.owner)
        .outerjoin(
            PayoutWish,
            (PayoutWish.user_id == LedgerAccount.owner)
            & (PayoutWish.currency == LedgerAccount.currency),
        )
        .where(
            or_(and_(PayoutDestination.automatic, _wished()), _closing()),
            LedgerAccount.kind == AccountKind.PAYABLE,
            LedgerAccount.credits_posted
            - LedgerAccount.debits_posted
            - LedgerAccount.debits_pending
            - (_young_income(policy.availability_seconds) if policy.availability_seconds else 0)
            - _owed()
            >= case(
                (_closing(), 1),
                else_=func.greatest(_minimum(policy), func.coalesce(PayoutWish.minimum, 1)),
            ),
            _may_be_paid(policy),
            cursor > page.after,
            ~recent,
            ~failed,
        )
        .order_by(cursor)
        .limit(page.limit)
    )
    return [Payee(user_id=owner, currency=currency) for owner, currency in rows]


def _may_be_paid(policy: PayoutPolicy) -> ColumnElement[bool]:
    """Whether the destination's provider has verified the payee, where it pays nobody else."""
    verified = (
        select(PayeeRow.id)
        .where(
            PayeeRow.user_id == PayoutDestination.user_id,
            PayeeRow.provider == PayoutDestination.provider,
            PayeeRow.status == PayeeStatus.ACTIVE,
        )
        .correlate(PayoutDestination)
        .exists()
    )
    return or_(PayoutDestination.provider.not_in(policy.verifying_providers), verified)


def _closing() -> ColumnElement[bool]:
    """Whether the account is being closed: everything leaves, whatever its owner wished before."""
    return User.closing_at.is_not(None)


def _wished() -> ColumnElement[bool]:
    """Whether the payee's wish lets the balance leave today; nobody who has not wished anything waits."""
    today = cast(func.extract("isodow", func.timezone("UTC", func.now())), Integer)
    return or_(
        PayoutWish.every.is_(None),
        PayoutWish.every == PayoutEvery.DAY,
        and_(PayoutWish.every == PayoutEvery.WEEK, PayoutWish.weekday == today, ~_paid_today()),
    )


def _paid_today() -> ColumnElement[bool]:
    """Whether there was a payout within the last day, so that a weekly one does not leave twice."""
    return (
        select(Payout.id)
        .where(
            Payout.user_id == LedgerAccount.owner,
            Payout.currency == LedgerAccount.currency,
            Payout.created_at > func.now() - _REST_AFTER_FAILURE,
        )
        .correlate(LedgerAccount)
        .exists()
    )


def _minimum(policy: PayoutPolicy) -> ColumnElement[int]:
    """The least that is paid out in the currency of the enclosing query's account."""
    if not policy.minimums:
        return literal(policy.minimum_amount)
    return case(
        *(
            (LedgerAccount.currency == currency, amount)
            for currency, amount in policy.minimums.items()
        ),
        else_=policy.minimum_amount,
    )


def _owed() -> ColumnElement[int]:
    """What the owner of the enclosing query's account owes the platform: that is paid first."""
    debt = aliased(LedgerAccount)
    owed = (
        select(debt.balance)
        .where(
            debt.kind == AccountKind.RECEIVABLE,
            debt.owner == LedgerAccount.owner,
            debt.currency == LedgerAccount.currency,
        )
        .correlate(LedgerAccount)
        .scalar_subquery()
    )
    return func.coalesce(owed, 0)
