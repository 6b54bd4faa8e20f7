"""What is common to all paths, as the API shows it."""

from __future__ import annotations

from typing import Self

from pydantic import Field

from api.schemas.base import MoneyView, Utc, View
from db.queries.paths import Pending
from db.tables import PathEvent
from domain.accounts import Side
from domain.deadlines import Deadline, PlannedPosting


class PlannedPostingView(View):
    """One line that a timer would post."""

    account: str = Field(examples=["escrow:sal_01h45ytscbebyvny4gc8cr8ma2"])
    side: Side
    amount: MoneyView

    @classmethod
    def of(cls, line: PlannedPosting) -> Self:
        """The view of a planned posting."""
        amount = MoneyView.of(line.amount, line.currency)
        return cls(account=line.account, side=line.side, amount=amount)


class DeadlineView(View):
    """A pending timer: until when, who can stop it, and what happens if nobody does."""

    name: str = Field(examples=["acceptance"])
    due_at: Utc
    stopped_by: list[str] = Field(examples=[["seller: accept", "seller: decline", "buyer: cancel"]])
    outcome: str = Field(examples=["The order is cancelled and the buyer gets everything back."])
    postings: list[PlannedPostingView] = Field(description="Exactly what would be posted then.")

    @classmethod
    def of(cls, deadline: Deadline) -> Self:
        """The view of a deadline."""
        return cls(
            name=deadline.name,
            due_at=deadline.due_at,
            stopped_by=list(deadline.stopped_by),
            outcome=deadline.outcome,
            postings=[PlannedPostingView.of(line) for line in deadline.postings],
        )


class DeadlinesView(View):
    """What a path waits for."""

    path_id: str
    phase: str = Field(examples=["paid"])
    deadlines: list[DeadlineView]

    @classmethod
    def of(cls, path_id: str, pending: Pending) -> Self:
        """The view of a path's pending timers."""
        deadlines = [DeadlineView.of(deadline) for deadline in pending.deadlines]
        return cls(path_id=path_id, phase=pending.phase, deadlines=deadlines)


class EventView(View):
    """One thing that happened on a path."""

    id: int = Field(description="Grows along the timeline.")
    at: Utc
    kind: str = Field(examples=["shipped"])
    phase: str = Field(description="Phase after it.", examples=["shipped"])
    actor: str = Field(description="The role that acted.", examples=["seller"])
    summary: str = Field(examples=["Shipped with SF Express, SF123456789"])

    @classmethod
    def of(cls, event: PathEvent) -> Self:
        """The view of an event row."""
        return cls(
            id=event.id,
            at=event.at,
            kind=event.kind,
            phase=event.phase,
            actor=event.actor,
            summary=event.summary,
        )
