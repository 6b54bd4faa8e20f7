"""Closing an account for good: what is in its way, and the end, when nobody has any money of each other any more."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from db.case_rows import end_case, open_case
from db.queries import users
from db.queries.paths import open_paths_of
from db.tables import LedgerAccount, Listing, Payout, PayoutDestination, Refund, User, UserRole
from domain.accounts import AccountKind
from domain.errors import NoDestination, StillOwing, WrongPhase
from domain.money import format_money
from domain.operator_cases import CaseKind
from domain.payments import ON_THE_WAY, PayoutState, RefundState
from domain.people import CLOSED_NAME, AccountEvent

_A_WEEK = 7 * 86_400
"""Within so many seconds an operator decides what becomes of money that is held for an account that closes."""
_LISTED = 20
"""How many open paths a refusal names."""
_COMES_BACK = (RefundState.REQUESTED, RefundState.PENDING, RefundState.REFUSED)


async def begin(session: AsyncSession, user_id: str, key: str) -> User:
    """The account is closing: nothing can be begun any more, and the balance leaves. Again changes nothing.

    With nothing to wait for it is closed at once. Raises StillOwing, NoDestination.
    """
    user = await session.get_one(User, user_id, with_for_update={"key_share": True})
    if user.closing_at is not None:
        return user
    if found := await _in_the_way(session, user_id):
        raise StillOwing(
            f"in the way: {', '.join(found)}", field="account", accepted="once these have ended"
        )
    balances = await _balances(session, user_id, AccountKind.PAYABLE)
    await _require_destinations(session, user_id, [each.currency for each in balances])
    user.closing_at = func.now()
    users.record(session, user_id, AccountEvent.CLOSING, by=user_id, key=key)
    await session.execute(update(Listing).where(Listing.seller_id == user_id).values(on_sale=False))
    await _ask_about_held(session, user_id)
    await session.flush()
    await end(session, user_id)
    await session.refresh(user)
    return user


async def cancel(session: AsyncSession, user_id: str, *, by: str, reason: str) -> User | None:
    """An operator keeps the account open after all; None when there is no such user. Raises WrongPhase once it is closed."""
    user = await session.get(User, user_id, with_for_update={"key_share": True})
    if user is None:
        return None
    if user.closing_at is None or user.closed_at is not None:
        raise WrongPhase(
            "the account is not closing", field="state", accepted="an account that is closing"
        )
    user.closing_at = None
    users.record(session, user_id, AccountEvent.CLOSING_CANCELLED, by=by, reason=reason)
    await end_case(session, CaseKind.CLOSING, user_id, "cancelled", by=by, reason=reason)
    await session.flush()
    return user


async def end(session: AsyncSession, user_id: str) -> bool:
    """Closes an account that is closing, once it has no money and nothing is on the way; whether it is closed now."""
    user = await session.get_one(User, user_id, with_for_update={"key_share": True})
    if user.closing_at is None or user.closed_at is not None:
        return user.closed_at is not None
    money = await _balances(session, user_id, AccountKind.PAYABLE, AccountKind.HELD)
    if money or await _in_the_way(session, user_id):
        await _ask_about_held(session, user_id)
        return False
    user.closed_at = func.now()
    user.display_name = CLOSED_NAME
    user.identity_hash = user.verified_at = None
    await session.execute(delete(UserRole).where(UserRole.user_id == user_id))
    await session.execute(
        update(PayoutDestination)
        .where(PayoutDestination.user_id == user_id)
        .values(automatic=False)
    )
    users.record(session, user_id, AccountEvent.CLOSED, by=None)
    await end_case(session, CaseKind.CLOSING, user_id, "closed")
    await session.flush()
    return True


async def closing(session: AsyncSession, limit: int) -> Sequence[str]:
    """Users whose accounts are closing, and closed ones to whom money has come back."""
    came_back = (
        select(LedgerAccount.id)
        .where(
            LedgerAccount.kind == AccountKind.HELD,
            LedgerAccount.owner == User.id,
            LedgerAccount.balance != 0,
        )
        .exists()
    )
    rows = await session.scalars(
        select(User.id)
        .where(User.closing_at.is_not(None), or_(User.closed_at.is_(None), came_back))
        .order_by(User.closing_at)
        .limit(limit)
    )
    return rows.all()


async def see_to(session: AsyncSession, user_id: str) -> None:
    """Ends the closing if it can; calls operators when money has come back to an account that is closed."""
    if await end(session, user_id):
        await _ask_about_held(session, user_id)


async def _in_the_way(session: AsyncSession, user_id: str) -> list[str]:
    """What is not over yet, in words."""
    debts = await _balances(session, user_id, AccountKind.RECEIVABLE)
    refunds = await session.scalars(
        select(Refund.id).where(Refund.payer_id == user_id, Refund.status.in_(_COMES_BACK))
    )
    return [
        *(f"path {each}" for each in await open_paths_of(session, user_id, _LISTED)),
        *(f"you owe {format_money(abs(each.balance), each.currency)}" for each in debts),
        *(f"payout {each}" for each in await _payouts_on_the_way(session, user_id)),
        *(f"refund {each}" for each in refunds),
    ]


async def _require_destinations(
    session: AsyncSession, user_id: str, currencies: Sequence[str]
) -> None:
    known = set(
        await session.scalars(
            select(PayoutDestination.currency).where(
                PayoutDestination.user_id == user_id, PayoutDestination.status == "active"
            )
        )
    )
    for currency in currencies:
        if currency not in known:
            raise NoDestination(
                f"no active payout destination for {currency}",
                field="currency",
                accepted="add one with POST /v1/payout-destinations",
            )


async def _balances(
    session: AsyncSession, user_id: str, *kinds: AccountKind
) -> Sequence[LedgerAccount]:
    rows = await session.scalars(
        select(LedgerAccount)
        .where(
            LedgerAccount.kind.in_(kinds),
            LedgerAccount.owner == user_id,
            LedgerAccount.balance != 0,
        )
        .order_by(LedgerAccount.id)
    )
    return rows.all()


async def _payouts_on_the_way(session: AsyncSession, user_id: str) -> Sequence[str]:
    rows = await session.scalars(
        select(Payout.id).where(
            Payout.user_id == user_id,
            Payout.status.in_([PayoutState.HELD, *sorted(ON_THE_WAY)]),
        )
    )
    return rows.all()


async def _ask_about_held(session: AsyncSession, user_id: str) -> None:
    held = await _balances(session, user_id, AccountKind.HELD)
    if held:
        words = ", ".join(format_money(each.balance, each.currency) for each in held)
        await open_case(
            session,
            CaseKind.CLOSING,
            user_id,
            summary=f"An account is closing, or closed, while {words} is held for it.",
            within_seconds=_A_WEEK,
            user_id=user_id,
        )
