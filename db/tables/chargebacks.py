"""Payments that the payer's bank takes back."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, validates

from db.tables.base import CURRENCY_CODE, Base, one_of
from domain.chargebacks import CHARGEBACK_MOVES, ChargebackState
from domain.moves import moved


def _whole(act: str) -> str:
    """A CHECK that when, by whom and why are there together or not at all."""
    return (
        f"({act}_at IS NULL) = ({act}_by IS NULL) AND ({act}_at IS NULL) = ({act}_reason IS NULL)"
    )


class Chargeback(Base):
    """One chargeback of all or part of a payment. `reference` is the provider's name of it."""

    __tablename__ = "chargebacks"
    __table_args__ = (
        CheckConstraint("amount > 0 AND fee >= 0", name="amounts"),
        CheckConstraint(CURRENCY_CODE, name="currency_code"),
        CheckConstraint(one_of("status", ChargebackState), name="status"),
        CheckConstraint("(status IN ('open', 'under_review')) = (ended_at IS NULL)", name="ended"),
        CheckConstraint(_whole("accepted"), name="accepted"),
        CheckConstraint(_whole("cleared"), name="cleared"),
        UniqueConstraint("provider", "reference"),
        Index(None, "path_id"),
        Index(None, "payment_id"),
        Index(
            "ix_chargebacks_locks",
            "payer_id",
            postgresql_where=text("status <> 'won' AND cleared_at IS NULL"),
        ),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    payment_id: Mapped[str] = mapped_column(ForeignKey("payments.id"))
    path_id: Mapped[str] = mapped_column(ForeignKey("paths.id"))
    payer_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    """Whose bank it is. Until it is won or cleared they pay for nothing new."""
    provider: Mapped[str]
    reference: Mapped[str]
    amount: Mapped[int]
    """What the bank takes; may be more than the payment."""
    fee: Mapped[int]
    """What the provider keeps for it, whoever wins."""
    currency: Mapped[str]
    status: Mapped[str]
    due_by: Mapped[datetime | None]
    """Until when evidence counts."""
    opened_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    rounds: Mapped[int] = mapped_column(server_default=text("0"))
    """How often the bank has decided anew."""
    returned_at: Mapped[datetime | None]
    """Of a lost one: when the bank gave the money back after all; operators say to whom it goes."""
    accepted_at: Mapped[datetime | None]
    """When operators gave in."""
    accepted_by: Mapped[str | None] = mapped_column(ForeignKey("users.id"))
    accepted_reason: Mapped[str | None]
    cleared_at: Mapped[datetime | None]
    """When operators let the payer pay for new things again, although it was not won."""
    cleared_by: Mapped[str | None] = mapped_column(ForeignKey("users.id"))
    cleared_reason: Mapped[str | None]

    @validates("status")
    def _only_along_an_arrow(self, name: str, new: str) -> str:
        return moved(CHARGEBACK_MOVES, self.__dict__.get(name), new)
