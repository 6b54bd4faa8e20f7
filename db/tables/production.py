"""Production orders, their lots, inspections, materials on their way, and who may act for whom."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    Identity,
    Index,
    Integer,
    SmallInteger,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from db.tables.base import Base, Json, one_of
from domain.materials import Place


class ProductionOrder(Base):
    """What only a production order has. `terms` is a domain.production.ProductionTerms, frozen once it is being funded.

    `open` to `lost` are the fields of domain.production.Units; they change with every lot.
    """

    __tablename__ = "production_orders"
    __table_args__ = (
        CheckConstraint(
            "open >= 0 AND running >= 0 AND accepted >= 0 AND rejected >= 0 AND lost >= 0"
            " AND open + running + accepted + rejected + lost = units",
            name="units",
        ),
        CheckConstraint("lots_running >= 0 AND samples_left >= 0", name="counts"),
    )

    id: Mapped[str] = mapped_column(ForeignKey("paths.id"), primary_key=True)
    requester_id: Mapped[str] = mapped_column(ForeignKey("users.id"), index=True)
    certifier_id: Mapped[str | None] = mapped_column(ForeignKey("users.id"))
    title: Mapped[str]
    terms: Mapped[Json]
    units: Mapped[int]
    open: Mapped[int]
    running: Mapped[int] = mapped_column(server_default=text("0"))
    accepted: Mapped[int] = mapped_column(server_default=text("0"))
    rejected: Mapped[int] = mapped_column(server_default=text("0"))
    lost: Mapped[int] = mapped_column(server_default=text("0"))
    lots: Mapped[int] = mapped_column(server_default=text("0"))
    """How many were ever claimed."""
    lots_running: Mapped[int] = mapped_column(server_default=text("0"))
    samples_left: Mapped[int] = mapped_column(server_default=text("0"))
    payment_id: Mapped[str | None] = mapped_column(ForeignKey("payments.id"))
    end_reason: Mapped[str | None]
    moves: Mapped[int] = mapped_column(server_default=text("0"))
    """Grows with each transition, so that a story can tell old news from new."""


class Lot(Base):
    """What only a lot has. `course` is a domain.lot.Course."""

    __tablename__ = "lots"
    __table_args__ = (
        CheckConstraint("units > 0", name="units_positive"),
        Index(None, "order_id", "id"),
        Index(None, "maker_id", "id"),
        Index(None, "broker_id", "id"),
        Index(
            None,
            "kit_tracking",
            postgresql_where=text("kit_tracking IS NOT NULL"),
        ),
        Index(
            None,
            "goods_tracking",
            postgresql_where=text("goods_tracking IS NOT NULL"),
        ),
    )

    id: Mapped[str] = mapped_column(ForeignKey("paths.id"), primary_key=True)
    order_id: Mapped[str] = mapped_column(ForeignKey("production_orders.id"))
    maker_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    broker_id: Mapped[str | None] = mapped_column(ForeignKey("users.id"))
    units: Mapped[int]
    course: Mapped[Json]
    hand_in: Mapped[Json | None]
    """domain.lot.HandIn of the goods that were sent last."""
    sample_file_ids: Mapped[list[str]] = mapped_column(JSONB, server_default=text("'[]'"))
    kit_carrier: Mapped[str | None]
    kit_tracking: Mapped[str | None]
    goods_carrier: Mapped[str | None]
    goods_tracking: Mapped[str | None]
    sent_at: Mapped[datetime | None]
    """When the parcel was sent that is on its way, or was last."""
    covered: Mapped[bool] = mapped_column(server_default=text("false"))
    """Whether a carrier has had it in hand under a label that the platform has paid for."""
    heard_at: Mapped[datetime] = mapped_column(server_default=func.now())
    """When the maker was last heard of."""
    inspection_id: Mapped[str | None]
    """The newest one."""
    ballot_id: Mapped[str | None]
    payment_id: Mapped[str | None] = mapped_column(ForeignKey("payments.id"))
    """Of the deposit."""
    claimed_at: Mapped[datetime] = mapped_column(server_default=func.now())
    end_reason: Mapped[str | None]
    moves: Mapped[int] = mapped_column(server_default=text("0"))
    """Grows with each transition, so that a story can tell old news from new."""


class MaterialMove(Base):
    """Pieces of one material of a lot went from one place to another. Never changed."""

    __tablename__ = "material_moves"
    __table_args__ = (
        CheckConstraint("pieces > 0", name="pieces_positive"),
        CheckConstraint(one_of("source", tuple(Place)), name="source"),
        CheckConstraint(one_of("target", tuple(Place)), name="target"),
        CheckConstraint("source <> target", name="moves"),
        Index("uq_material_moves_key", "lot_id", "key", "number", unique=True),
    )

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    lot_id: Mapped[str] = mapped_column(ForeignKey("lots.id"))
    key: Mapped[str]
    """Of the transition."""
    number: Mapped[int] = mapped_column(SmallInteger)
    """Within the transition."""
    material: Mapped[int] = mapped_column(Integer)
    source: Mapped[str]
    target: Mapped[str]
    pieces: Mapped[int]
    at: Mapped[datetime] = mapped_column(server_default=func.now())


class Inspection(Base):
    """One look at the goods of a lot. `plan` is a domain.sampling.Plan, frozen before any unit is looked at."""

    __tablename__ = "inspections"
    __table_args__ = (Index(None, "lot_id", "id"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    lot_id: Mapped[str] = mapped_column(ForeignKey("lots.id"))
    round: Mapped[int] = mapped_column(Integer)
    """0 for the first time, then how often the units were mended."""
    inspector_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    units: Mapped[int]
    appeal: Mapped[bool] = mapped_column(server_default=text("false"))
    """Whether it is the second look at units that were rejected, by somebody else; their numbers begin at 1 again."""
    plan: Mapped[Json]
    seed: Mapped[str]
    drawn: Mapped[list[int]] = mapped_column(JSONB)
    """Units to be looked at, from 1, in the order of drawing; none named: every unit."""
    opened_at: Mapped[datetime] = mapped_column(server_default=func.now())
    due_at: Mapped[datetime]
    verdict: Mapped[Json | None]
    """domain.sampling.Verdict, once every drawn unit was looked at and something followed from it."""
    decided_at: Mapped[datetime | None]
    decision: Mapped[Json | None]
    """domain.lot.Decision."""
    note: Mapped[str] = mapped_column(server_default=text("''"))


class InspectionFinding(Base):
    """What an inspector has found on one unit. Never changed: a drawn unit is looked at once, and counts as it was found."""

    __tablename__ = "inspection_findings"

    inspection_id: Mapped[str] = mapped_column(ForeignKey("inspections.id"), primary_key=True)
    unit: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    defects: Mapped[list[str]] = mapped_column(JSONB)
    """Codes of the contract; none for a good unit."""
    note: Mapped[str] = mapped_column(server_default=text("''"))
    file_ids: Mapped[list[str]] = mapped_column(JSONB, server_default=text("'[]'"))
    at: Mapped[datetime] = mapped_column(server_default=func.now())


class InspectionSeries(Base):
    """The lots of one maker for one requester, one after the other: how severely the next one is inspected."""

    __tablename__ = "inspection_series"
    __table_args__ = (Index(None, "requester_id", "maker_id"),)

    maker_id: Mapped[str] = mapped_column(ForeignKey("users.id"), primary_key=True)
    requester_id: Mapped[str] = mapped_column(ForeignKey("users.id"), primary_key=True)
    state: Mapped[Json]
    """domain.sampling_rules.SwitchState."""
    lots: Mapped[int] = mapped_column(server_default=text("0"))
    """How many have counted."""
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Jury(Base):
    """Three makers who decide an appeal, drawn from those who could. Never changed."""

    __tablename__ = "juries"
    __table_args__ = (Index(None, "lot_id"),)

    ballot_id: Mapped[str] = mapped_column(ForeignKey("ballots.id"), primary_key=True)
    lot_id: Mapped[str] = mapped_column(ForeignKey("lots.id"))
    seed: Mapped[str]
    candidates: Mapped[list[str]] = mapped_column(JSONB)
    """Users in the order in which they were numbered, from 1, before the seed was known."""
    jurors: Mapped[list[str]] = mapped_column(JSONB)
    drawn_at: Mapped[datetime] = mapped_column(server_default=func.now())


class BrokerConsent(Base):
    """A worker lets a broker act for them, until they say otherwise."""

    __tablename__ = "broker_consents"
    __table_args__ = (
        CheckConstraint("broker_id <> worker_id", name="two_people"),
        Index(
            "uq_broker_consents_standing",
            "broker_id",
            "worker_id",
            unique=True,
            postgresql_where=text("ended_at IS NULL"),
        ),
        Index(None, "worker_id", "id"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    broker_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    worker_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    given_at: Mapped[datetime] = mapped_column(server_default=func.now())
    ended_at: Mapped[datetime | None]


class Notice(Base):
    """A short text for somebody who is not at home on the web. waiting -> sent, or given_up after days."""

    __tablename__ = "notices"
    __table_args__ = (
        CheckConstraint(one_of("state", ("waiting", "sent", "given_up")), name="state"),
        Index("ix_notices_waiting", "due_at", postgresql_where=text("state = 'waiting'")),
        Index(None, "user_id", "id"),
    )

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    key: Mapped[str] = mapped_column(unique=True)
    """Of the transition and the person: said once."""
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    path_id: Mapped[str] = mapped_column(ForeignKey("paths.id"))
    language: Mapped[str]
    words: Mapped[str]
    taps: Mapped[list[Json]] = mapped_column(JSONB, server_default=text("'[]'"))
    """domain.taps.Tap of each link that is sent along."""
    state: Mapped[str] = mapped_column(server_default=text("'waiting'"))
    tries: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    due_at: Mapped[datetime] = mapped_column(server_default=func.now())
    sent_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class NoticeWish(Base):
    """How somebody wants notices written. Without a row: in Chinese, in Beijing time."""

    __tablename__ = "notice_wishes"
    __table_args__ = (CheckConstraint(one_of("language", ("zh", "en")), name="language"),)

    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), primary_key=True)
    language: Mapped[str]
    time_zone: Mapped[str | None]
    """IANA name; None: not known."""
    changed_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())
