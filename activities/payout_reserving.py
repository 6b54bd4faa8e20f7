"""Taking a payout out of its payee's balance: everything that may stand against it, and what is owed comes first."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from activities import payees
from activities.payee_checks import require_verified
from db.case_rows import open_case
from db.queries.payees import earned, income_since
from db.tables import Payout, PayoutDestination, User
from domain import accounts, payouts, postings
from domain.cases import PayoutCase
from domain.errors import (
    DestinationTooNew,
    InsufficientFunds,
    NoDestination,
    NothingToPayOut,
    PayoutTooSoon,
)
from domain.money import Money, format_money
from domain.operator_cases import CaseKind
from domain.payments import PUT_BACK, PayoutState
from domain.policy import PayoutPolicy
from ledger import journal


async def reserve(session: AsyncSession, case: PayoutCase, policy: PayoutPolicy) -> Payout:
    """PAYOUT: what the payee owes is paid first, the rest is taken out of the balance and sent, or held for a look.

    Raises AccountFrozen, CapabilityLimited, PayeeNotVerified, NoDestination, DestinationTooNew, PayoutTooSoon, NothingToPayOut, InsufficientFunds.
    """
    await payees.require_withdrawing(session, case.user_id)
    income, debt = accounts.payable(case.user_id), accounts.receivable(case.user_id)
    # The lock on the payable account also serialises two payouts of one payee.
    held = await journal.balances(session, [income, debt], case.currency, for_update=True)
    now = (await session.execute(select(func.now()))).scalar_one()
    destination = await _destination(session, case, policy, now)
    await require_verified(session, case.user_id, destination.provider, policy)
    await _require_interval(session, case, policy, now)
    netting = postings.net_receivable(
        f"{case.payout_id}/netting",
        case.user_id,
        held[debt].available,
        held[income].available,
        case.currency,
    )
    free = held[income].available - held[debt].available
    amount = await _amount(session, case, policy, now, max(free, 0))
    review = payouts.needs_review(policy, case.currency, amount)
    row = Payout(
        id=case.payout_id,
        user_id=case.user_id,
        destination_id=destination.id,
        provider=destination.provider,
        operation_id=f"{case.payout_id}/send",
        amount=amount,
        currency=case.currency,
        status=PayoutState.HELD if review else PayoutState.REQUESTED,
        held_reason="above the amount that is looked at" if review else None,
    )
    session.add(row)
    entry = postings.payout(f"{row.id}/reserve", row.id, row.user_id, row.amount, row.currency)
    await journal.post(session, *filter(None, (netting, entry)))
    if review:
        await _ask(session, row, policy)
    return row


async def _amount(
    session: AsyncSession, case: PayoutCase, policy: PayoutPolicy, now: datetime, free: int
) -> int:
    """How much leaves: all that may, or what was asked for."""
    young = await income_since(session, case.user_id, case.currency, policy.availability_seconds)
    kept = 0
    if policy.reserve_basis_points:
        income = await earned(session, case.user_id, case.currency, policy)
        kept = payouts.reserve(policy, now, income.first_at, income.latest)
    available = max(free - young - kept, 0)
    amount = available if case.amount is None else case.amount
    user = await session.get_one(User, case.user_id)
    minimum = policy.minimum(case.currency) if user.closing_at is None else 1
    if amount < minimum:
        raise NothingToPayOut(
            f"{available} minor units are available", field="amount", accepted=str(minimum)
        )
    if amount > available:
        raise InsufficientFunds(
            f"{available} minor units are available",
            field="amount",
            accepted=f"at most {available}",
        )
    return amount


async def _destination(
    session: AsyncSession, case: PayoutCase, policy: PayoutPolicy, now: datetime
) -> PayoutDestination:
    found = await session.scalar(
        select(PayoutDestination).where(
            PayoutDestination.user_id == case.user_id,
            PayoutDestination.currency == case.currency,
            PayoutDestination.status == "active",
        )
    )
    if found is None:
        raise NoDestination(
            f"no active payout destination for {case.currency}",
            field="currency",
            accepted="a currency with a destination; add one with POST /v1/payout-destinations",
        )
    cool = payouts.cools_until(policy, found.created_at)
    if cool > now and await _replaces_another(session, found):
        raise DestinationTooNew(
            "the destination was changed a short while ago", accepted=f"after {cool.isoformat()}"
        )
    return found


async def _replaces_another(session: AsyncSession, destination: PayoutDestination) -> bool:
    """Whether money would go to an account that is new for this payee, who had another one before."""
    others = await session.scalars(
        select(PayoutDestination.account_key).where(
            PayoutDestination.user_id == destination.user_id,
            PayoutDestination.currency == destination.currency,
            PayoutDestination.id != destination.id,
        )
    )
    keys = set(others)
    return bool(keys) and destination.account_key not in keys


async def _require_interval(
    session: AsyncSession, case: PayoutCase, policy: PayoutPolicy, now: datetime
) -> None:
    last: datetime | None = await session.scalar(
        select(func.max(Payout.created_at)).where(
            Payout.user_id == case.user_id,
            Payout.currency == case.currency,
            Payout.status.not_in(PUT_BACK),
        )
    )
    wait = timedelta(seconds=policy.min_interval_seconds)
    if last is not None and last + wait > now:
        raise PayoutTooSoon(
            "there was a payout already", accepted=f"after {(last + wait).isoformat()}"
        )


async def _ask(session: AsyncSession, row: Payout, policy: PayoutPolicy) -> None:
    money = Money(amount=row.amount, currency=row.currency)
    await open_case(
        session,
        CaseKind.PAYOUT_REVIEW,
        row.id,
        summary=f"A payout of {format_money(row.amount, row.currency)} is held: {row.held_reason}.",
        within_seconds=policy.review_seconds,
        user_id=row.user_id,
        money=money,
    )
