"""Consents of workers to a broker 经纪人 who acts for them: given once, standing until one of the two ends them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from sqlalchemy import ColumnElement, exists, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from db.tables import BrokerConsent, Lot

Which = Literal["worker", "broker"]


async def give(
    session: AsyncSession, consent_id: str, worker_id: str, broker_id: str
) -> BrokerConsent:
    """The consent that stands from now on; the one that stands already when there is one."""
    await session.execute(
        insert(BrokerConsent)
        .values(id=consent_id, worker_id=worker_id, broker_id=broker_id)
        .on_conflict_do_nothing(
            index_elements=[BrokerConsent.broker_id, BrokerConsent.worker_id],
            # As text, so that PostgreSQL can match the partial index.
            index_where=text("ended_at IS NULL"),
        )
    )
    found = await session.scalars(
        select(BrokerConsent).where(
            BrokerConsent.worker_id == worker_id,
            BrokerConsent.broker_id == broker_id,
            BrokerConsent.ended_at.is_(None),
        )
    )
    return found.one()


async def end(session: AsyncSession, consent_id: str) -> BrokerConsent:
    """The broker does nothing more with it from now on; ending it again changes nothing."""
    row = await session.get_one(BrokerConsent, consent_id, with_for_update=True)
    if row.ended_at is None:
        row.ended_at = await session.scalar(select(func.now()))
        await session.flush()
    return row


async def consent(session: AsyncSession, consent_id: str) -> BrokerConsent | None:
    """The consent, standing or ended; None when there is none of this id."""
    return await session.get(BrokerConsent, consent_id)


async def stands(session: AsyncSession, broker_id: str, worker_id: str) -> bool:
    """Whether the broker may act for the worker now.

    The consent cannot be ended before the transaction is: work that begins meanwhile begins under it.
    """
    found = await session.scalar(
        select(BrokerConsent.id)
        .where(
            BrokerConsent.broker_id == broker_id,
            BrokerConsent.worker_id == worker_id,
            BrokerConsent.ended_at.is_(None),
        )
        .with_for_update(read=True)
    )
    return found is not None


def stands_for_lot() -> ColumnElement[bool]:
    """Of a lot: whether its broker may act on it now."""
    return exists().where(
        BrokerConsent.broker_id == Lot.broker_id,
        BrokerConsent.worker_id == Lot.maker_id,
        BrokerConsent.ended_at.is_(None),
    )


async def page(
    session: AsyncSession, user_id: str, which: Which, after: str | None, limit: int
) -> Sequence[BrokerConsent]:
    """Consents that somebody has given, or as a broker got; newest first, before the consent `after`."""
    mine = BrokerConsent.worker_id if which == "worker" else BrokerConsent.broker_id
    query = select(BrokerConsent).where(mine == user_id)
    if after is not None:
        query = query.where(BrokerConsent.id < after)
    return (await session.scalars(query.order_by(BrokerConsent.id.desc()).limit(limit))).all()
