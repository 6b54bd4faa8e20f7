"""Offers in kind and asks, as readers want them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import exists, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from db.in_kind_rows import LIVE, PICKED
from db.tables import InKindAsk, InKindOffer, InKindRecord, Path, Payment
from domain.in_kind import Help, Phase

Which = Literal["open", "mine", "asked"]


@dataclass(frozen=True)
class InKindRows:
    """An offer and what belongs to it."""

    offer: InKindOffer
    path: Path
    deposit: Payment | None
    """The payment of the deposit of whoever was picked last."""
    picked: InKindAsk | None
    records: Sequence[InKindRecord]
    asks: int
    """How many stand."""


async def in_kind(session: AsyncSession, in_kind_id: str) -> InKindRows | None:
    """The offer, or None."""
    row = (
        await session.execute(
            select(InKindOffer, Path, Payment)
            .join(Path, Path.id == InKindOffer.id)
            .outerjoin(Payment, Payment.id == InKindOffer.payment_id)
            .where(InKindOffer.id == in_kind_id)
        )
    ).first()
    if row is None:
        return None
    asks = select(InKindAsk).where(InKindAsk.in_kind_id == in_kind_id)
    picked = await session.scalar(asks.where(InKindAsk.status == PICKED))
    records = await session.scalars(
        select(InKindRecord)
        .where(InKindRecord.in_kind_id == in_kind_id)
        .order_by(InKindRecord.number)
    )
    standing = asks.where(InKindAsk.status == LIVE)
    count = await session.scalar(select(func.count()).select_from(standing.subquery()))
    return InKindRows(*row, picked=picked, records=records.all(), asks=int(count or 0))


async def was_draft(session: AsyncSession, in_kind_id: str) -> bool:
    """Whether the offer never got further than a draft."""
    row = await session.get_one(InKindOffer, in_kind_id)
    return row.offer_ends_at is None


async def page(
    session: AsyncSession,
    user_id: str,
    which: Which,
    help: Help | None,
    after: str | None,
    limit: int,
) -> Sequence[tuple[InKindOffer, Path]]:
    """Offers that people can ask for, or those of a user on one side; newest first, before the offer `after`."""
    query = select(InKindOffer, Path).join(Path, Path.id == InKindOffer.id)
    match which:
        case "open":
            query = query.where(Path.kind == "in_kind", Path.phase == Phase.OFFERED)
        case "mine":
            query = query.where(Path.kind == "in_kind", Path.initiator_id == user_id)
        case "asked":
            query = query.where(
                exists().where(
                    InKindAsk.in_kind_id == InKindOffer.id, InKindAsk.asker_id == user_id
                )
            )
    if help is not None:
        query = query.where(InKindOffer.terms["help"].astext == help.value)
    if after is not None:
        query = query.where(InKindOffer.id < after)
    rows = await session.execute(query.order_by(InKindOffer.id.desc()).limit(limit))
    return [(row, path) for row, path in rows]


async def asks(
    session: AsyncSession,
    in_kind_id: str,
    asker_id: str | None,
    after: str | None,
    limit: int,
) -> Sequence[InKindAsk]:
    """The asks that stand and the picked one, or every ask of one person; oldest first, after the ask `after`."""
    query = select(InKindAsk).where(InKindAsk.in_kind_id == in_kind_id)
    if asker_id is not None:
        query = query.where(InKindAsk.asker_id == asker_id)
    else:
        query = query.where(InKindAsk.status.in_((LIVE, PICKED)))
    if after is not None:
        query = query.where(InKindAsk.id > after)
    return (await session.scalars(query.order_by(InKindAsk.id).limit(limit))).all()


async def ask(session: AsyncSession, in_kind_id: str, ask_id: str) -> InKindAsk | None:
    """An ask of this offer, whatever became of it."""
    found: InKindAsk | None = await session.scalar(
        select(InKindAsk).where(InKindAsk.id == ask_id, InKindAsk.in_kind_id == in_kind_id)
    )
    return found
