"""Commands of operators: what was shown, who proposed it, who approved it, and what became of it."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, func, text
from sqlalchemy.orm import Mapped, mapped_column, validates

from db.tables.base import CURRENCY_CODE, Base, Json, one_of
from domain.commands import COMMAND_MOVES, CommandState, ItemState
from domain.moves import moved


class Command(Base):
    """Something operators want done. What must be approved by two cannot have been approved by one."""

    __tablename__ = "commands"
    __table_args__ = (
        CheckConstraint(one_of("state", CommandState), name="state"),
        CheckConstraint("length(btrim(reason)) >= 10", name="reason"),
        CheckConstraint("approved_by <> proposed_by", name="two_people"),
        CheckConstraint(
            "NOT needs_two OR approved_by IS NOT NULL OR state IN ('lapsed', 'proposed', 'rejected')",
            name="approved",
        ),
        CheckConstraint("(amount IS NULL) = (currency IS NULL)", name="money"),
        CheckConstraint(CURRENCY_CODE, name="currency_code"),
        Index(None, "path_id", "executed_at"),
        Index(None, "state", "id"),
        Index("ix_commands_case_id", "case_id", postgresql_where=text("case_id IS NOT NULL")),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str]
    case_id: Mapped[str | None] = mapped_column(ForeignKey("cases.id"))
    path_id: Mapped[str | None] = mapped_column(ForeignKey("paths.id"))
    user_id: Mapped[str | None] = mapped_column(ForeignKey("users.id"))
    input: Mapped[Json]
    """A CommandOrder."""
    reason: Mapped[str]
    amount: Mapped[int | None]
    """What counts towards the limit of one operator alone, when it is in one currency."""
    currency: Mapped[str | None]
    needs_two: Mapped[bool]
    state: Mapped[str]
    preview: Mapped[Json]
    preview_sha256: Mapped[str]
    proposed_by: Mapped[str] = mapped_column(ForeignKey("users.id"))
    approved_by: Mapped[str | None] = mapped_column(ForeignKey("users.id"))
    executed_by: Mapped[str | None] = mapped_column(ForeignKey("users.id"))
    refusal: Mapped[str | None]
    """Why it was rejected, or could not be executed the last time."""
    outcome: Mapped[Json | None]
    """An Executed: told again to a story that asks again."""
    proposed_at: Mapped[datetime] = mapped_column(server_default=func.now())
    decided_at: Mapped[datetime | None]
    executed_at: Mapped[datetime | None]
    lapses_at: Mapped[datetime]

    @validates("state")
    def _only_along_an_arrow(self, name: str, new: str) -> str:
        return moved(COMMAND_MOVES, self.__dict__.get(name), new)


class CommandItem(Base):
    """One path of a bulk command."""

    __tablename__ = "command_items"
    __table_args__ = (
        CheckConstraint(one_of("state", ItemState), name="state"),
        Index(None, "path_id"),
    )

    command_id: Mapped[str] = mapped_column(ForeignKey("commands.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    path_id: Mapped[str]
    """Any id that was asked for; of one that does not exist nothing is done."""
    state: Mapped[str]
    preview: Mapped[Json | None]
    preview_sha256: Mapped[str | None]
    refusal: Mapped[str | None]
    outcome: Mapped[Json | None]
    """An Executed."""
