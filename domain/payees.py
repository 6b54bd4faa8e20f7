"""Payees as payment companies know them: who has been verified, and what is missing."""

from __future__ import annotations

from enum import StrEnum

from domain.model import Message
from domain.policy import PayoutPolicy


class PayeeStatus(StrEnum):
    """How far the payment company is with verifying somebody."""

    PENDING = "pending"
    """It wants to know something yet."""
    ACTIVE = "active"
    RESTRICTED = "restricted"
    """It pays them no longer until something is mended."""
    REJECTED = "rejected"


STOPPED = frozenset({PayeeStatus.RESTRICTED, PayeeStatus.REJECTED})
"""States in which their money cannot leave, and nobody is at work on that."""


class PayeeCase(Message):
    """Input of the Payee workflow: whom to look at, and at which company."""

    payee_id: str
    user_id: str
    provider: str
    policy: PayoutPolicy
    within_seconds: int
    """How long operators have to decide what becomes of money that cannot leave."""


class PayeeOutcome(Message):
    """Where the verification stands after a look."""

    status: PayeeStatus
