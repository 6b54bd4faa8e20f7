"""Cases of operators: why a person has to look, and how far they have got."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class CaseKind(StrEnum):
    """Why a person has to look."""

    STUCK = "stuck"
    CHARGEBACK = "chargeback"
    DISPUTE_RULING = "dispute_ruling"
    DISPUTE_APPEAL = "dispute_appeal"
    RETURN = "return"
    PAYOUT_REVIEW = "payout_review"
    PAYOUT_MISMATCH = "payout_mismatch"
    DIFFERENCE = "difference"
    HOLD = "hold"
    ACCOUNT_REVIEW = "account_review"
    CLOSING = "closing"
    PAYEE = "payee"
    OTHER = "other"


class CaseState(StrEnum):
    """How far they have got."""

    OPEN = "open"
    ASSIGNED = "assigned"
    DECIDED = "decided"
    EXECUTED = "executed"
    CLOSED = "closed"


CASE_MOVES: Mapping[CaseState, frozenset[CaseState]] = {
    CaseState.OPEN: frozenset({CaseState.ASSIGNED, CaseState.DECIDED, CaseState.CLOSED}),
    CaseState.ASSIGNED: frozenset({CaseState.DECIDED, CaseState.CLOSED}),
    CaseState.DECIDED: frozenset({CaseState.EXECUTED, CaseState.CLOSED}),
    # Another command can be proposed in a case that goes on.
    CaseState.EXECUTED: frozenset({CaseState.DECIDED, CaseState.CLOSED}),
    CaseState.CLOSED: frozenset(),
}
"""The whole state machine of a case; decided and executed are what its commands make of it."""
