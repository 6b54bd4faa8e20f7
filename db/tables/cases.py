"""Cases: what operators have to look at, and everything that was done about it."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Identity, Index, func, text
from sqlalchemy.orm import Mapped, mapped_column, validates

from db.tables.base import CURRENCY_CODE, Base, Json, one_of
from domain.moves import moved
from domain.operator_cases import CASE_MOVES, CaseKind, CaseState


class Case(Base):
    """Something that needs a person. Of one kind and subject there is one open case at most."""

    __tablename__ = "cases"
    __table_args__ = (
        CheckConstraint(one_of("kind", CaseKind), name="kind"),
        CheckConstraint(one_of("state", CaseState), name="state"),
        CheckConstraint("(state = 'closed') = (ended_at IS NOT NULL)", name="ended"),
        CheckConstraint("(amount IS NULL) = (currency IS NULL)", name="money"),
        CheckConstraint(CURRENCY_CODE, name="currency_code"),
        Index(
            "uq_cases_open",
            "kind",
            "subject",
            unique=True,
            postgresql_where=text("ended_at IS NULL"),
        ),
        Index(None, "state", "due_at"),
        Index(None, "path_id"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str]
    subject: Mapped[str]
    """Id of what it is about: a path, a chargeback, a payout, a workflow."""
    path_id: Mapped[str | None] = mapped_column(ForeignKey("paths.id"))
    user_id: Mapped[str | None] = mapped_column(ForeignKey("users.id"))
    summary: Mapped[str]
    facts: Mapped[Json] = mapped_column(server_default=text("'{}'"))
    """The JSON of a message of the kind's own."""
    state: Mapped[str]
    due_at: Mapped[datetime]
    """Until when somebody must have decided."""
    amount: Mapped[int | None]
    currency: Mapped[str | None]
    opened_at: Mapped[datetime] = mapped_column(server_default=func.now())
    ended_at: Mapped[datetime | None]
    outcome: Mapped[str | None]
    assignee_id: Mapped[str | None] = mapped_column(ForeignKey("users.id"))
    """The operator who sees to it."""

    @validates("state")
    def _only_along_an_arrow(self, name: str, new: str) -> str:
        return moved(CASE_MOVES, self.__dict__.get(name), new)


class CaseEvent(Base):
    """What was done about a case. Append-only."""

    __tablename__ = "case_events"
    __table_args__ = (Index(None, "case_id", "id"),)

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    case_id: Mapped[str] = mapped_column(ForeignKey("cases.id"))
    kind: Mapped[str]
    by_id: Mapped[str | None] = mapped_column(ForeignKey("users.id"))
    """Nobody: the platform itself."""
    words: Mapped[str]
    at: Mapped[datetime] = mapped_column(server_default=func.now())
