"""Payments that the payer's bank takes back."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from db.tables.base import CURRENCY_CODE, Base, one_of
from domain.chargebacks import ChargebackState


class Chargeback(Base):
    """One chargeback of all or part of a payment. `reference` is the provider's name of it."""

    __tablename__ = "chargebacks"
    __table_args__ = (
        CheckConstraint("amount > 0 AND fee >= 0", name="amounts"),
        CheckConstraint(CURRENCY_CODE, name="currency_code"),
        CheckConstraint(one_of("status", ChargebackState), name="status"),
        CheckConstraint("(status = 'open') = (ended_at IS NULL)", name="ended"),
        UniqueConstraint("provider", "reference"),
        Index(None, "path_id"),
        Index(None, "payment_id"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    payment_id: Mapped[str] = mapped_column(ForeignKey("payments.id"))
    path_id: Mapped[str] = mapped_column(ForeignKey("paths.id"))
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
