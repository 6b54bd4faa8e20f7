"""Tenders, bids, awards and milestones."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from db.tables.base import Base, Json, one_of


class Tender(Base):
    """What only a tender has. `terms` is a domain.tender.TenderTerms, frozen once it is being funded."""

    __tablename__ = "tenders"

    id: Mapped[str] = mapped_column(ForeignKey("paths.id"), primary_key=True)
    terms: Mapped[Json]
    deposit_payment_id: Mapped[str | None] = mapped_column(ForeignKey("payments.id"))
    worker_id: Mapped[str | None] = mapped_column(ForeignKey("users.id"))
    """The bidder the work is awarded to; None while nobody is."""
    reserves: Mapped[list[Json]] = mapped_column(JSONB, server_default=text("'[]'"))
    """domain.tender.Award of each bidder who is asked next, in order."""
    ending: Mapped[str | None]
    """How it will end once what is still disputed is ruled."""
    end_reason: Mapped[str | None]
    moves: Mapped[int] = mapped_column(server_default=text("0"))
    """Grows with each transition, so that a story can tell old news from new."""


class Bid(Base):
    """What somebody offers, as it stands now; sealed until the tender closes for bids."""

    __tablename__ = "bids"
    __table_args__ = (
        CheckConstraint("price > 0", name="price_positive"),
        CheckConstraint("lead_days > 0", name="lead_days_positive"),
        CheckConstraint("sample_score BETWEEN 0 AND 100", name="sample_score"),
        CheckConstraint(one_of("status", ("live", "voided", "withdrawn")), name="status"),
        Index(None, "tender_id", "id"),
        Index(None, "bidder_id", "id"),
        Index(
            "uq_bids_live",
            "tender_id",
            "bidder_id",
            unique=True,
            postgresql_where=text("status = 'live'"),
        ),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    tender_id: Mapped[str] = mapped_column(ForeignKey("tenders.id"))
    bidder_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    status: Mapped[str]
    price: Mapped[int]
    lead_days: Mapped[int] = mapped_column(Integer)
    message: Mapped[str]
    file_ids: Mapped[list[str]]
    revision: Mapped[int] = mapped_column(Integer)
    sample_score: Mapped[int | None] = mapped_column(Integer)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())


class BidRevision(Base):
    """A bid as it stood once. Never changed."""

    __tablename__ = "bid_revisions"

    bid_id: Mapped[str] = mapped_column(ForeignKey("bids.id"), primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    price: Mapped[int]
    lead_days: Mapped[int] = mapped_column(Integer)
    message: Mapped[str]
    file_ids: Mapped[list[str]]
    offer: Mapped[int | None] = mapped_column(Integer)
    """The counter-offer whose acceptance made it; None when the bidder wrote it."""
    at: Mapped[datetime] = mapped_column(server_default=func.now())


class Offer(Base):
    """A counter-offer on a bid, by either side. open -> accepted | declined | superseded, once."""

    __tablename__ = "offers"
    __table_args__ = (
        CheckConstraint("price > 0", name="price_positive"),
        CheckConstraint("lead_days > 0", name="lead_days_positive"),
        CheckConstraint(one_of("made_by", ("initiator", "bidder")), name="made_by"),
        CheckConstraint(
            one_of("state", ("open", "accepted", "declined", "superseded")), name="state"
        ),
        Index(
            "uq_offers_open",
            "bid_id",
            unique=True,
            postgresql_where=text("state = 'open'"),
        ),
    )

    bid_id: Mapped[str] = mapped_column(ForeignKey("bids.id"), primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    made_by: Mapped[str]
    price: Mapped[int]
    lead_days: Mapped[int] = mapped_column(Integer)
    note: Mapped[str]
    state: Mapped[str]
    at: Mapped[datetime] = mapped_column(server_default=func.now())
    answered_at: Mapped[datetime | None]


class AwardRow(Base):
    """An award, and how the bidder answered; what their reliability is counted from."""

    __tablename__ = "awards"
    __table_args__ = (
        CheckConstraint(
            one_of("outcome", ("offered", "accepted", "declined", "lapsed", "retracted")),
            name="outcome",
        ),
        Index(None, "bidder_id", "outcome"),
    )

    tender_id: Mapped[str] = mapped_column(ForeignKey("tenders.id"), primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    bid_id: Mapped[str] = mapped_column(ForeignKey("bids.id"))
    bidder_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    plan: Mapped[Json]
    """A domain.tender.Award."""
    outcome: Mapped[str]
    at: Mapped[datetime]
    answered_at: Mapped[datetime | None]


class MilestoneRow(Base):
    """A domain.milestones.Milestone of the accepted award."""

    __tablename__ = "milestones"
    __table_args__ = (
        CheckConstraint("amount >= 0 AND carried >= 0", name="amounts"),
        CheckConstraint("released >= 0 AND refunded >= 0", name="moved"),
    )

    tender_id: Mapped[str] = mapped_column(ForeignKey("tenders.id"), primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    title: Mapped[str]
    amount: Mapped[int]
    carried: Mapped[int]
    due_days: Mapped[int] = mapped_column(Integer)
    state: Mapped[str]
    payment_id: Mapped[str | None] = mapped_column(ForeignKey("payments.id"), unique=True)
    due_at: Mapped[datetime | None]
    hard_stop_at: Mapped[datetime | None]
    rounds: Mapped[int] = mapped_column(Integer)
    changes: Mapped[int] = mapped_column(Integer)
    disputed_from: Mapped[str | None]
    released: Mapped[int]
    refunded: Mapped[int]


class Submission(Base):
    """What the worker showed for a milestone, and what the buyer asked to be changed."""

    __tablename__ = "submissions"
    __table_args__ = (
        ForeignKeyConstraint(
            ["tender_id", "milestone"], ["milestones.tender_id", "milestones.number"]
        ),
    )

    tender_id: Mapped[str] = mapped_column(primary_key=True)
    milestone: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    round: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    note: Mapped[str]
    file_ids: Mapped[list[str]]
    at: Mapped[datetime]
    changes_wanted: Mapped[str | None]
