"""Statements that were read, and what differs, as the API shows them."""

from __future__ import annotations

import datetime as dt
from typing import Self

from api.schemas.base import Body, MoneyView, Utc, View
from api.schemas.tenders import Reason
from db.tables import BookDifference, StatementDay
from domain.reconciliation import DifferenceKind, Part


class StatementDayView(View):
    """A day whose statement was read."""

    provider: str
    day: dt.date
    lines: int
    opening: list[MoneyView]
    closing: list[MoneyView]
    read_at: Utc

    @classmethod
    def of(cls, row: StatementDay) -> Self:
        """The view of a day."""
        return cls(
            provider=row.provider,
            day=row.day,
            lines=row.lines,
            opening=_sums(row.opening),
            closing=_sums(row.closing),
            read_at=row.read_at,
        )


class DifferenceView(View):
    """What a payment company and our books do not agree about."""

    id: str
    provider: str
    subject: str
    part: Part
    kind: DifferenceKind
    ours: list[MoneyView]
    theirs: list[MoneyView]
    found_at: Utc
    ended_at: Utc | None
    outcome: str | None
    """`matched` when the other side came late, `explained` by an operator."""
    reason: str | None

    @classmethod
    def of(cls, row: BookDifference) -> Self:
        """The view of a difference."""
        return cls(
            id=row.id,
            provider=row.provider,
            subject=row.subject,
            part=Part(row.part),
            kind=DifferenceKind(row.kind),
            ours=_sums(row.ours),
            theirs=_sums(row.theirs),
            found_at=row.found_at,
            ended_at=row.ended_at,
            outcome=row.outcome,
            reason=row.reason,
        )


class Explanation(Body):
    """Why the two sides differ."""

    reason: Reason


def _sums(sums: dict[str, int]) -> list[MoneyView]:
    return [MoneyView.of(amount, currency) for currency, amount in sorted(sums.items())]
