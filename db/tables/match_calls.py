"""Match calls: projects that apply, what is promised to their campaigns, and spendings."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Identity, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from db.tables.base import Base, Json, one_of
from domain.match_call import Budget, ProjectState, ReservationState, SpendingState


class MatchCall(Base):
    """What only a match call has. `terms` is a domain.match_call.CallTerms, frozen once it is being funded.

    The sums, in minor units, move only with this row locked; what is promised to nobody is never below 0. Pledges of
    many campaigns move them without locking the call's path. That is why the id is no foreign key: PostgreSQL checks it
    again when a row is written twice in a transaction, and would wait for the path out of the order of locks.
    """

    __tablename__ = "match_calls"
    __table_args__ = (
        CheckConstraint("reserved >= 0 AND used >= 0 AND spent >= 0", name="promised"),
        CheckConstraint("paid >= 0 AND returned >= 0 AND lost >= 0", name="moved"),
        CheckConstraint("paid >= reserved + used + spent + returned + lost", name="not_overdrawn"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    """That of the path."""
    terms: Mapped[Json]
    payment_id: Mapped[str | None] = mapped_column(ForeignKey("payments.id"))
    """The budget's first payment; None while it is a draft."""
    paid: Mapped[int] = mapped_column(server_default=text("0"))
    reserved: Mapped[int] = mapped_column(server_default=text("0"))
    """Promised to campaigns that are not decided, and asked for by spendings."""
    used: Mapped[int] = mapped_column(server_default=text("0"))
    """With campaigns that have succeeded, less what they gave back."""
    spent: Mapped[int] = mapped_column(server_default=text("0"))
    returned: Mapped[int] = mapped_column(server_default=text("0"))
    """Back with the sponsor, or on its way."""
    lost: Mapped[int] = mapped_column(server_default=text("0"))
    """Taken out of the budget by the sponsor's bank for good."""
    positions: Mapped[int] = mapped_column(server_default=text("0"))
    """How many places in the queue of reservations have been given out."""
    to_pass_on: Mapped[bool] = mapped_column(server_default=text("false"))
    """Money became free while the call was paused; the waiting get it before anybody else does."""
    closed_at: Mapped[datetime | None]
    """When it stopped promising anything."""
    end_reason: Mapped[str | None]
    moves: Mapped[int] = mapped_column(server_default=text("0"))
    """Grows with each transition, so that a story can tell old news from new."""

    @property
    def budget(self) -> Budget:
        """Where the money is."""
        return Budget(**{name: getattr(self, name) for name in Budget.model_fields})


class MatchProject(Base):
    """A campaign that has applied to a call, and what it has got of it, minor units."""

    __tablename__ = "match_projects"
    __table_args__ = (
        CheckConstraint(one_of("state", set(ProjectState) - {ProjectState.LAPSED}), name="state"),
        CheckConstraint("reserved >= 0 AND used >= 0 AND given_back >= 0", name="amounts"),
        CheckConstraint("(state = 'accepted') = (accepted_at IS NOT NULL)", name="accepted"),
        Index(None, "campaign_id"),
    )

    call_id: Mapped[str] = mapped_column(ForeignKey("match_calls.id"), primary_key=True)
    campaign_id: Mapped[str] = mapped_column(ForeignKey("campaigns.id"), primary_key=True)
    creator_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    state: Mapped[str]
    note: Mapped[str]
    applied_at: Mapped[datetime]
    answer_by: Mapped[datetime]
    """Silence until then is a no."""
    answered_at: Mapped[datetime | None]
    answer_note: Mapped[str] = mapped_column(server_default=text("''"))
    accepted_at: Mapped[datetime | None]
    decided_at: Mapped[datetime | None]
    """When the campaign succeeded or did not: nothing is promised to it any more."""
    reserved: Mapped[int] = mapped_column(server_default=text("0"))
    used: Mapped[int] = mapped_column(server_default=text("0"))
    """Less what was given back."""
    given_back: Mapped[int] = mapped_column(server_default=text("0"))


class MatchReservation(Base):
    """What a call promises for one pledge, or as a lump sum for a campaign; minor units.

    `position` is the place in the call's queue. A reservation with less than is wanted waits for what becomes free, and
    gets it in transactions of other pledges, which must not wait for its own: the pledge is no foreign key for the same
    reason as the id of a MatchCall.
    """

    __tablename__ = "match_reservations"
    __table_args__ = (
        CheckConstraint(one_of("state", ReservationState), name="state"),
        CheckConstraint("wanted > 0 AND amount BETWEEN 0 AND wanted", name="amounts"),
        CheckConstraint("(pledge_id IS NULL) = (backer_id IS NULL)", name="pledge_or_lump"),
        Index(None, "call_id", "position", unique=True),
        Index(
            "uq_match_reservations_pledge",
            "pledge_id",
            "call_id",
            unique=True,
            postgresql_where=text("state <> 'freed'"),
        ),
        Index(
            "uq_match_reservations_lump",
            "call_id",
            "campaign_id",
            unique=True,
            postgresql_where=text("pledge_id IS NULL AND state <> 'freed'"),
        ),
        Index(
            "ix_match_reservations_waiting",
            "call_id",
            "position",
            postgresql_where=text("state = 'reserved' AND amount < wanted"),
        ),
        Index(
            "ix_match_reservations_person",
            "call_id",
            "backer_id",
            postgresql_where=text("state <> 'freed'"),
        ),
        Index(None, "campaign_id", "state"),
    )

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    call_id: Mapped[str] = mapped_column(ForeignKey("match_calls.id"))
    campaign_id: Mapped[str] = mapped_column(ForeignKey("campaigns.id"))
    pledge_id: Mapped[str | None]
    backer_id: Mapped[str | None] = mapped_column(ForeignKey("users.id"))
    """Both None for a lump sum."""
    position: Mapped[int]
    wanted: Mapped[int]
    """What the rule gives, if there is money."""
    amount: Mapped[int]
    """What is promised, was used, or was promised before it was freed."""
    state: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))
    ended_at: Mapped[datetime | None]


class MatchSpending(Base):
    """Somebody is to be paid out of the budget, once enough approvers agree. Meanwhile it counts as reserved."""

    __tablename__ = "match_spendings"
    __table_args__ = (
        CheckConstraint(one_of("state", SpendingState), name="state"),
        CheckConstraint("amount > 0", name="amount_positive"),
        Index(None, "call_id", "id"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    call_id: Mapped[str] = mapped_column(ForeignKey("match_calls.id"))
    asked_by: Mapped[str] = mapped_column(ForeignKey("users.id"))
    payee_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    amount: Mapped[int]
    purpose: Mapped[str]
    file_ids: Mapped[list[str]]
    state: Mapped[str]
    asked_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    refused_by: Mapped[str | None] = mapped_column(ForeignKey("users.id"))
    note: Mapped[str] = mapped_column(server_default=text("''"))
    """Why it was refused."""


class MatchApproval(Base):
    """One approver agrees to a spending. Never changed."""

    __tablename__ = "match_approvals"

    spending_id: Mapped[str] = mapped_column(ForeignKey("match_spendings.id"), primary_key=True)
    approver_id: Mapped[str] = mapped_column(ForeignKey("users.id"), primary_key=True)
    at: Mapped[datetime]
