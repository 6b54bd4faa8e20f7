"""Campaigns, what they offer, and what backers have pledged."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import CheckConstraint, ForeignKey, Identity, Index, Integer, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from db.tables.base import CURRENCY_CODE, Base, Json, one_of
from domain.campaign import TrancheState
from domain.pledge import CardState, ItemKind, Method, PledgeState, RewardState


class Campaign(Base):
    """What only a campaign has. `terms` is a domain.campaign.CampaignTerms, frozen once it is submitted."""

    __tablename__ = "campaigns"
    __table_args__ = (
        CheckConstraint("taken_in >= 0 AND released >= 0 AND disputed >= 0", name="amounts"),
        CheckConstraint("released <= taken_in", name="not_overdrawn"),
        CheckConstraint("fee_taken BETWEEN 0 AND released", name="fee"),
    )

    id: Mapped[str] = mapped_column(ForeignKey("paths.id"), primary_key=True)
    terms: Mapped[Json]
    round: Mapped[int] = mapped_column(Integer, server_default=text("1"))
    """In which round pledges are taken; 0 afterwards never: late pledges belong to the last one."""
    launched_at: Mapped[datetime | None]
    closed_for_pledges_at: Mapped[datetime | None]
    """When the last round ended."""
    slow_until: Mapped[datetime | None]
    """Until when slow methods that were begun in time may still bring their money."""
    fix_until: Mapped[datetime | None]
    """Until when a backer may mend a charge that failed."""
    result: Mapped[Json | None] = mapped_column(JSONB(none_as_null=True))
    """domain.campaign.Result: what was counted when it was decided whether the campaign has succeeded."""
    succeeded_at: Mapped[datetime | None]
    taken_in: Mapped[int] = mapped_column(server_default=text("0"))
    """What the campaign has to spend, minor units: collected and matched, less what was lost or given back since."""
    released: Mapped[int] = mapped_column(server_default=text("0"))
    """Of it, what has been released, the platform's fee included."""
    fee_taken: Mapped[int] = mapped_column(server_default=text("0"))
    """Of what was released, the platform's fee."""
    disputed: Mapped[int] = mapped_column(server_default=text("0"))
    """Of what was taken in, what banks have taken back and not decided yet: kept back from releases."""
    deliver_by: Mapped[date | None]
    """The latest delivery that was promised."""
    rewards_locked_at: Mapped[datetime | None]
    """When addresses and answers to the survey were fixed."""
    ballot_id: Mapped[str | None] = mapped_column(ForeignKey("paths.id"))
    """The backers' vote on a refund that is under way."""
    updated_backers_at: Mapped[datetime | None]
    """When the creator last wrote to the backers."""
    review_note: Mapped[str | None]
    """What operators want mended before it goes live."""
    end_reason: Mapped[str | None]
    moves: Mapped[int] = mapped_column(server_default=text("0"))
    """Grows with each transition, so that a story can tell old news from new."""


class CampaignItem(Base):
    """A reward tier or an add-on. `taken` counts the seats of limited ones; the database keeps them from being oversold."""

    __tablename__ = "campaign_items"
    __table_args__ = (
        CheckConstraint(one_of("kind", ItemKind), name="kind"),
        CheckConstraint("price > 0", name="price_positive"),
        CheckConstraint("taken >= 0 AND (seats IS NULL OR taken <= seats)", name="not_oversold"),
    )

    campaign_id: Mapped[str] = mapped_column(ForeignKey("campaigns.id"), primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    kind: Mapped[str]
    title: Mapped[str]
    description: Mapped[str]
    price: Mapped[int]
    seats: Mapped[int | None] = mapped_column(Integer)
    """How many there are; None without a limit, and then `taken` stays 0."""
    taken: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    """How many are reserved, saved or paid."""
    each_most: Mapped[int] = mapped_column(Integer, server_default=text("10"))
    """The most pieces in one pledge."""
    shipping: Mapped[Json]
    """Zone -> cost per piece in minor units; empty when nothing is shipped."""
    deliver_on: Mapped[date | None]
    """Estimated delivery."""
    for_tiers: Mapped[list[int]] = mapped_column(JSONB, server_default=text("'[]'"))
    """Of an add-on: the tiers it goes with; empty for all."""
    on_sale: Mapped[bool] = mapped_column(server_default=text("true"))


class Pledge(Base):
    """What one backer has promised or paid. The states are domain.pledge.PledgeState."""

    __tablename__ = "pledges"
    __table_args__ = (
        CheckConstraint(one_of("state", PledgeState), name="state"),
        CheckConstraint(one_of("method", Method), name="method"),
        CheckConstraint(one_of("reward", RewardState), name="reward"),
        CheckConstraint("amount > 0 AND shipping >= 0", name="amounts"),
        CheckConstraint("paid >= 0 AND refunded >= 0 AND refunded <= paid", name="paid"),
        CheckConstraint("to_refund IS NULL OR to_refund >= 0", name="to_refund"),
        CheckConstraint(CURRENCY_CODE, name="currency_code"),
        Index(None, "campaign_id", "state", "id"),
        Index(None, "campaign_id", "backer_id"),
        Index(None, "backer_id", "id"),
        Index(
            "ix_pledges_expiring",
            "expires_at",
            postgresql_where=text("expires_at IS NOT NULL"),
        ),
        Index(
            "ix_pledges_to_refund",
            "campaign_id",
            "id",
            postgresql_where=text("to_refund IS NOT NULL"),
        ),
        Index(
            "ix_pledges_anonymous",
            "campaign_id",
            "backer_id",
            postgresql_where=text("anonymous"),
        ),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    campaign_id: Mapped[str] = mapped_column(ForeignKey("campaigns.id"))
    backer_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    state: Mapped[str]
    method: Mapped[str]
    round: Mapped[int] = mapped_column(Integer)
    late: Mapped[bool] = mapped_column(server_default=text("false"))
    """Made after the campaign had succeeded."""
    currency: Mapped[str]
    amount: Mapped[int]
    """All of it: reward, add-ons, shipping and what the backer gives on top, minor units."""
    shipping: Mapped[int] = mapped_column(server_default=text("0"))
    selection: Mapped[Json]
    """domain.pledge.Selection: what was chosen."""
    tier: Mapped[int | None] = mapped_column(Integer)
    holds_seats: Mapped[bool] = mapped_column(server_default=text("true"))
    """Whether the seats of the selection are taken; they are given free exactly once."""
    expires_at: Mapped[datetime | None]
    """Until when it may be paid or saved, or a failed charge mended; of one that was cancelled, that its page or card is
    still to be closed at the provider."""
    payment_id: Mapped[str | None] = mapped_column(ForeignKey("payments.id"))
    """The payment that is awaited, or the first that came."""
    card_id: Mapped[str | None] = mapped_column(ForeignKey("saved_cards.id"))
    pending: Mapped[Json | None] = mapped_column(JSONB(none_as_null=True))
    """domain.pledge.PendingChange: a change that waits for more money."""
    paid: Mapped[int] = mapped_column(server_default=text("0"))
    """What has been captured for it, minor units."""
    refunded: Mapped[int] = mapped_column(server_default=text("0"))
    """Of it, what goes or has gone back to the backer, or was taken back by their bank for good."""
    to_refund: Mapped[int | None]
    """What is still to be sent back, minor units; None when nothing is planned."""
    attempts: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    """How often the card was charged."""
    decline_reason: Mapped[str | None]
    dispute_open: Mapped[bool] = mapped_column(server_default=text("false"))
    anonymous: Mapped[bool] = mapped_column(server_default=text("false"))
    note: Mapped[str] = mapped_column(server_default=text("''"))
    reward: Mapped[str] = mapped_column(server_default=text("'none'"))
    survey: Mapped[Json | None] = mapped_column(JSONB(none_as_null=True))
    """domain.pledge.SurveyAnswers."""
    address: Mapped[Json | None] = mapped_column(JSONB(none_as_null=True))
    """domain.pledge.Address; seen by the backer, the creator and operators only."""
    carrier: Mapped[str | None]
    tracking_number: Mapped[str | None]
    shipped_at: Mapped[datetime | None]
    received_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    """When the request arrived, by the database's clock."""
    stands_since: Mapped[datetime | None]
    """When the card was saved or the money captured."""
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())


class SavedCard(Base):
    """A card that a backer lets us charge if the campaign succeeds. `operation_id` is the provider's idempotency key."""

    __tablename__ = "saved_cards"
    __table_args__ = (
        CheckConstraint(one_of("status", CardState), name="status"),
        Index("uq_saved_cards_reference", "provider", "reference", unique=True),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    payer_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    provider: Mapped[str]
    operation_id: Mapped[str] = mapped_column(unique=True)
    reference: Mapped[str | None]
    checkout_url: Mapped[str | None]
    currency: Mapped[str]
    status: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    ended_at: Mapped[datetime | None]


class PledgeEvent(Base):
    """What happened to one pledge, besides what its row and the journal tell. `key` makes it happen once."""

    __tablename__ = "pledge_events"
    __table_args__ = (Index(None, "pledge_id", "id"),)

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    pledge_id: Mapped[str] = mapped_column(ForeignKey("pledges.id"))
    key: Mapped[str] = mapped_column(unique=True)
    kind: Mapped[str]
    summary: Mapped[str]
    at: Mapped[datetime] = mapped_column(server_default=func.now())


class PledgeStat(Base):
    """What stands, by the hour in which it came or went, and by tier (0 without one): few rows, however many pledges.

    `pledges` and `amount` are those that are saved or paid, `paid` the part that is in the books.
    """

    __tablename__ = "pledge_stats"

    campaign_id: Mapped[str] = mapped_column(ForeignKey("campaigns.id"), primary_key=True)
    hour: Mapped[datetime] = mapped_column(primary_key=True)
    tier: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    pledges: Mapped[int] = mapped_column(server_default=text("0"))
    amount: Mapped[int] = mapped_column(server_default=text("0"))
    paid: Mapped[int] = mapped_column(server_default=text("0"))


class CampaignTranche(Base):
    """A part of the money, released when its condition is met. `basis_points` of all that was taken in."""

    __tablename__ = "campaign_tranches"
    __table_args__ = (
        CheckConstraint(one_of("state", TrancheState), name="state"),
        CheckConstraint("basis_points BETWEEN 0 AND 10000", name="basis_points"),
        CheckConstraint("reached BETWEEN 0 AND 10000", name="reached"),
    )

    campaign_id: Mapped[str] = mapped_column(ForeignKey("campaigns.id"), primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    trigger: Mapped[str]
    title: Mapped[str]
    basis_points: Mapped[int] = mapped_column(Integer)
    state: Mapped[str]
    reached: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    """How much of it may be released, in basis points; lots are accepted one after the other."""
    claimed: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    """What the creator reports as reached and is being looked at."""
    report: Mapped[Json | None] = mapped_column(JSONB(none_as_null=True))
    """domain.campaign.Report."""
    reported_at: Mapped[datetime | None]
    decided_at: Mapped[datetime | None]


class CampaignUpdate(Base):
    """News of the creator for the backers."""

    __tablename__ = "campaign_updates"

    campaign_id: Mapped[str] = mapped_column(ForeignKey("campaigns.id"), primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    title: Mapped[str]
    body: Mapped[str]
    for_backers: Mapped[bool]
    """Whether only backers may read it."""
    file_ids: Mapped[list[str]]
    at: Mapped[datetime] = mapped_column(server_default=func.now())


class ProviderLimit(Base):
    """When the next call of a batch to one endpoint of a provider may begin: one rate for all workers together."""

    __tablename__ = "provider_limits"

    provider: Mapped[str] = mapped_column(primary_key=True)
    endpoint: Mapped[str] = mapped_column(primary_key=True)
    next_at: Mapped[datetime]
