"""Rules of payouts: how often a balance leaves by itself, and how much of it has to stay."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

from domain.errors import ProviderMismatch
from domain.moves import may_follow
from domain.payments import PAYOUT_MOVES, PUT_BACK, PayoutState
from domain.policy import PayoutPolicy


class PayoutEvery(StrEnum):
    """When a balance leaves by itself."""

    DAY = "day"
    WEEK = "week"
    REQUEST = "request"
    """Never: only when its owner asks for it."""


def reserve(
    policy: PayoutPolicy, now: datetime, first_income_at: datetime | None, latest_income: int
) -> int:
    """What a new payee has to leave, minor units: the rolling reserve, half a unit rounded up.

    `latest_income` is what came within `reserve_seconds` and could leave otherwise. It is no account of its own: money that
    is taken back comes out of the same balance first.
    """
    new = timedelta(seconds=policy.new_payee_seconds)
    if first_income_at is None or first_income_at + new <= now:
        return 0
    return (latest_income * policy.reserve_basis_points + 5_000) // 10_000


def cools_until(policy: PayoutPolicy, created_at: datetime) -> datetime:
    """From when on money may go to a destination that has replaced another one."""
    return created_at + timedelta(seconds=policy.destination_cooling_seconds)


def needs_review(policy: PayoutPolicy, currency: str, amount: int) -> bool:
    """Whether an operator looks at the payout before it is sent."""
    limit = policy.review_amounts.get(currency)
    return limit is not None and amount > limit


def require_agreement(payout_id: str, ours: PayoutState, theirs: PayoutState) -> None:
    """Raises ProviderMismatch when the provider's state cannot follow ours.

    A payout whose money we put back must not be on its way or paid after all. One that was paid must not be on its way
    again: its money has left `transit`, and could not fail out of it a second time.
    """
    agreed = theirs in PUT_BACK if ours in PUT_BACK else may_follow(PAYOUT_MOVES, ours, theirs)
    if not agreed:
        raise ProviderMismatch(f"{payout_id} is {ours} here and {theirs} at the provider")
