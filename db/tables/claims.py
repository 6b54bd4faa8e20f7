"""How what stopped campaigns' creators pay later reaches their backers."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer, func, text
from sqlalchemy.orm import Mapped, mapped_column

from db.tables.base import Base


class ClaimRound(Base):
    """One sharing of what has come in for a stopped campaign, minor units. A campaign has one open round at most."""

    __tablename__ = "claim_rounds"
    __table_args__ = (
        CheckConstraint("amount > 0 AND for_calls BETWEEN 0 AND amount", name="amounts"),
        CheckConstraint("paid BETWEEN 0 AND amount AND pledges >= 0", name="paid"),
        Index(
            "uq_claim_rounds_open",
            "campaign_id",
            unique=True,
            postgresql_where=text("ended_at IS NULL"),
        ),
    )

    campaign_id: Mapped[str] = mapped_column(ForeignKey("campaigns.id"), primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    """From 1."""
    amount: Mapped[int]
    """What is shared."""
    for_calls: Mapped[int]
    """Of it, the part of match calls; they get it when all backers have theirs."""
    paid: Mapped[int] = mapped_column(server_default=text("0"))
    """Of it, what backers and calls have got. Money that a bank came to dispute meanwhile stays in the claim."""
    pledges: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    """How many pledges have got something."""
    begun_at: Mapped[datetime] = mapped_column(server_default=func.now())
    ended_at: Mapped[datetime | None]


class ClaimShare(Base):
    """What a pledge gets of its campaign's open round, minor units; deleted in the transaction that posts it."""

    __tablename__ = "claim_shares"
    __table_args__ = (
        CheckConstraint("amount > 0", name="amount_positive"),
        Index(None, "campaign_id", "pledge_id"),
    )

    pledge_id: Mapped[str] = mapped_column(ForeignKey("pledges.id"), primary_key=True)
    campaign_id: Mapped[str] = mapped_column(ForeignKey("campaigns.id"))
    amount: Mapped[int]
