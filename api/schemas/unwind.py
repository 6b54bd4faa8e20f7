"""The unwind preview as the API shows it."""

from __future__ import annotations

from typing import Self

from pydantic import Field

from api.schemas.base import MoneyView, View
from api.schemas.cases import PartyView
from api.schemas.paths import DeadlineView, PlannedPostingView
from db.queries.paths import Pending
from domain.unwinding import Unwind


class UnwindView(View):
    """Who would get what if the path were called off now. Nothing is done."""

    path_id: str
    phase: str
    possible: bool
    why_not: str = Field(
        description="When it cannot be called off: why. `deadlines` tell what decides."
    )
    who: list[PartyView] = Field(description="Operators see everybody, others themselves.")
    postings: list[PlannedPostingView] = Field(
        description="Operators see all, others those on the path's accounts and their own."
    )
    words: list[str]
    backers: MoneyView | None = Field(
        description="Of a campaign: what would go back to all who have paid, in batches."
    )
    own: MoneyView | None = Field(description="Of it, the caller's share.")
    deadlines: list[DeadlineView] = Field(description="What happens if nobody does anything.")

    @classmethod
    def of(cls, path_id: str, pending: Pending, found: Unwind, *, sees: str | None) -> Self:
        """The view for operators, or, with a user's id, for that user."""
        back = found.backed
        return cls(
            path_id=path_id,
            phase=pending.phase,
            possible=found.possible,
            why_not=found.why_not,
            who=[PartyView.of(each) for each in found.who if sees in (None, each.user_id)],
            postings=[
                PlannedPostingView.of(each)
                for each in found.postings
                if sees is None or path_id in each.account or sees in each.account
            ],
            words=list(found.words),
            backers=MoneyView.of(back.total, back.currency) if back else None,
            own=MoneyView.of(back.own, back.currency) if back else None,
            deadlines=[DeadlineView.of(each) for each in pending.deadlines],
        )
