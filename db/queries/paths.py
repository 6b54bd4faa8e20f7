"""What is common to all paths: the people of a path, its deadlines and its timeline."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pydantic import TypeAdapter
from sqlalchemy import ColumnElement, Text, and_, cast, exists, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from db import campaign_counts, consents
from db.queries import campaigns, match_calls, production
from db.tables import (
    Bid,
    Dispute,
    Entry,
    InKindAsk,
    InKindOffer,
    Inspection,
    Jury,
    Lot,
    MatchCall,
    Order,
    Path,
    PathEvent,
    ProductionOrder,
    Sale,
    SaleReturn,
    Tender,
)
from domain.access import Relation
from domain.deadlines import Deadline

_DEADLINES = TypeAdapter(tuple[Deadline, ...])


@dataclass(frozen=True)
class Seen:
    """A path as somebody meets it."""

    kind: str
    phase: str
    workflow_id: str
    relations: frozenset[Relation]
    """What the person is to the path by their part in it."""


@dataclass(frozen=True)
class Pending:
    """What a path waits for."""

    phase: str
    deadlines: tuple[Deadline, ...]


_PARTS: dict[str, dict[Relation, Callable[[str, str], ColumnElement[bool]]]] = {
    "sale": {
        Relation.BUYER: lambda path, user: exists().where(Sale.id == path, Sale.buyer_id == user),
        Relation.SELLER: lambda path, user: exists().where(Sale.id == path, Sale.seller_id == user),
    },
    "return": {
        Relation.BUYER: lambda path, user: exists().where(
            SaleReturn.id == path, SaleReturn.buyer_id == user
        ),
        Relation.SELLER: lambda path, user: exists().where(
            SaleReturn.id == path, SaleReturn.seller_id == user
        ),
    },
    "dispute": {
        Relation.CLAIMANT: lambda path, user: exists().where(
            Dispute.id == path, Dispute.claimant_id == user
        ),
        Relation.RESPONDENT: lambda path, user: exists().where(
            Dispute.id == path, Dispute.respondent_id == user
        ),
    },
    "order": {
        Relation.BUYER: lambda path, user: exists().where(Order.id == path, Order.buyer_id == user),
    },
    "contest": {
        Relation.CREATOR: lambda path, user: exists().where(
            Entry.contest_id == path, Entry.creator_id == user
        ),
    },
    "tender": {
        Relation.BIDDER: lambda path, user: exists().where(
            Bid.tender_id == path,
            Bid.bidder_id == user,
            Bid.status == "live",
            Tender.id == Bid.tender_id,
            func.coalesce(Tender.worker_id, user) == user,
        ),
    },
    "campaign": {
        Relation.BACKER: lambda path, user: campaigns.is_backed_by(path, user),
    },
    "match_call": {
        Relation.APPROVER: lambda path, user: exists().where(
            MatchCall.id == path, match_calls.approves(user)
        ),
    },
    "in_kind": {
        Relation.ASKER: lambda path, user: exists().where(
            InKindAsk.in_kind_id == path,
            InKindAsk.asker_id == user,
            InKindAsk.status.in_(("live", "picked")),
            InKindOffer.id == InKindAsk.in_kind_id,
            func.coalesce(InKindOffer.asker_id, user) == user,
        ),
    },
    "production": {
        Relation.MAKER: lambda path, user: exists().where(
            Lot.order_id == path, or_(Lot.maker_id == user, Lot.broker_id == user)
        ),
        Relation.INSPECTOR: lambda path, user: exists().where(
            ProductionOrder.id == path,
            func.coalesce(ProductionOrder.certifier_id, ProductionOrder.requester_id) == user,
        ),
    },
    "lot": {
        Relation.MAKER: lambda path, user: exists().where(
            Lot.id == path,
            or_(
                Lot.maker_id == user,
                and_(Lot.broker_id == user, consents.stands_for_lot()),
            ),
        ),
        Relation.BROKER: lambda path, user: exists().where(Lot.id == path, Lot.broker_id == user),
        Relation.REQUESTER: lambda path, user: exists().where(
            Lot.id == path,
            ProductionOrder.id == Lot.order_id,
            ProductionOrder.requester_id == user,
        ),
        Relation.INSPECTOR: lambda path, user: or_(
            exists().where(
                Lot.id == path,
                ProductionOrder.id == Lot.order_id,
                func.coalesce(ProductionOrder.certifier_id, ProductionOrder.requester_id) == user,
            ),
            exists().where(Inspection.lot_id == path, Inspection.inspector_id == user),
        ),
        Relation.JUROR: lambda path, user: exists().where(
            Jury.lot_id == path, Jury.jurors.op("@>")(func.jsonb_build_array(cast(user, Text)))
        ),
    },
}
"""By kind of path: who takes part in it besides its initiator."""
_OF_SIDES = frozenset({"sale", "return", "dispute"})
"""Kinds whose initiator is one of their two sides."""


async def seen_by(session: AsyncSession, path_id: str, user_id: str) -> Seen | None:
    """The path and what the user is to it, or None when there is no such path."""
    row = (
        await session.execute(
            select(Path.kind, Path.phase, Path.workflow_id, Path.initiator_id).where(
                Path.id == path_id
            )
        )
    ).first()
    if row is None:
        return None
    kind, phase, workflow_id, initiator_id = row
    parts = _PARTS.get(kind, {})
    found = set()
    if parts:
        answers = await session.execute(
            select(*(part(path_id, user_id).label(name) for name, part in parts.items()))
        )
        found = {name for name, is_one in zip(parts, answers.one(), strict=True) if is_one}
    if kind not in _OF_SIDES and initiator_id == user_id:
        found.add(Relation.INITIATOR)
    return Seen(kind=kind, phase=phase, workflow_id=workflow_id, relations=frozenset(found))


async def open_paths_of(session: AsyncSession, user_id: str, limit: int) -> Sequence[str]:
    """Ids of paths under way in which the user has a part; their own drafts are none."""
    # The parts are written for one path; a column in its place makes them conditions on each row.
    path_id = cast(Path.id, Text)
    takes_part = [
        and_(Path.kind == kind, or_(*(part(path_id, user_id) for part in parts.values())))  # type: ignore[arg-type]
        for kind, parts in _PARTS.items()
    ]
    rows = await session.scalars(
        select(Path.id)
        .where(
            Path.closed_at.is_(None),
            Path.phase != "draft",
            or_(Path.initiator_id == user_id, *takes_part),
        )
        .order_by(Path.id)
        .limit(limit)
    )
    return rows.all()


async def pending(session: AsyncSession, path_id: str) -> Pending:
    """The phase and the pending timers of an existing path."""
    kind, phase, running = (
        await session.execute(
            select(Path.kind, Path.phase, Path.deadlines).where(Path.id == path_id)
        )
    ).one()
    timers = _DEADLINES.validate_python(running)
    if kind == "match_call":
        # Every pledge changes what would go back, and no transition hears of it.
        timers = await match_calls.timers_now(session, path_id, timers)
    elif kind == "campaign":
        timers = await campaign_counts.timers_now(session, path_id, phase, timers)
    elif kind == "production":
        timers = await production.timers_now(session, path_id, timers)
    return Pending(phase=phase, deadlines=timers)


async def timeline(
    session: AsyncSession, path_id: str, after: int | None, limit: int
) -> Sequence[PathEvent]:
    """Up to `limit` events of the path, oldest first, after the event of that number."""
    query = select(PathEvent).where(PathEvent.path_id == path_id)
    if after is not None:
        query = query.where(PathEvent.id > after)
    return (await session.scalars(query.order_by(PathEvent.id).limit(limit))).all()
