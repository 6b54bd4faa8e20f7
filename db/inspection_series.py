"""How severely the next lot of a maker is inspected for a requester, by how the lots before it went."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from db.tables import InspectionSeries
from domain.errors import LimitReached, NotFound
from domain.sampling_rules import SwitchState, resumed

Which = Literal["maker", "requester"]


async def state(session: AsyncSession, maker_id: str, requester_id: str) -> SwitchState:
    """Where the series stands; a new one begins with normal inspection."""
    found = await session.scalar(
        select(InspectionSeries.state).where(
            InspectionSeries.maker_id == maker_id, InspectionSeries.requester_id == requester_id
        )
    )
    return SwitchState() if found is None else SwitchState.model_validate(found)


async def locked(session: AsyncSession, maker_id: str, requester_id: str) -> SwitchState:
    """The same, its row locked until the transaction ends: lots count one after the other."""
    await session.execute(
        insert(InspectionSeries)
        .values(
            maker_id=maker_id,
            requester_id=requester_id,
            state=SwitchState().model_dump(mode="json"),
        )
        .on_conflict_do_nothing()
    )
    found = await session.scalar(
        select(InspectionSeries.state)
        .where(InspectionSeries.maker_id == maker_id, InspectionSeries.requester_id == requester_id)
        .with_for_update()
    )
    return SwitchState.model_validate(found)


async def store(
    session: AsyncSession, maker_id: str, requester_id: str, moved: SwitchState
) -> None:
    """Where the locked series stands after one more lot."""
    await session.execute(
        update(InspectionSeries)
        .where(InspectionSeries.maker_id == maker_id, InspectionSeries.requester_id == requester_id)
        .values(
            state=moved.model_dump(mode="json"),
            lots=InspectionSeries.lots + 1,
            updated_at=func.now(),
        )
        .execution_options(synchronize_session=False)
    )


async def require_running(session: AsyncSession, maker_id: str, requester_id: str) -> None:
    """Raises LimitReached while inspection of the maker's lots for the requester is stopped (ISO 2859-1, 9.4)."""
    if (await state(session, maker_id, requester_id)).stopped:
        raise LimitReached(
            "too many lots of this maker were not accepted: no more are taken on for now",
            accepted="after the requester has resumed the series",
        )


async def resume(session: AsyncSession, maker_id: str, requester_id: str) -> InspectionSeries:
    """The requester lets a maker go on who has mended how they work: tightened inspection.

    Raises NotFound, WrongPhase.
    """
    row = await session.get(
        InspectionSeries, (maker_id, requester_id), with_for_update=True, populate_existing=True
    )
    if row is None:
        raise NotFound("there is no such series")
    row.state = resumed(SwitchState.model_validate(row.state)).model_dump(mode="json")
    await session.flush()
    return row


async def page(
    session: AsyncSession, user_id: str, which: Which, after: str | None, limit: int
) -> Sequence[InspectionSeries]:
    """The series of a user on one side, by the id of the other one, after that id."""
    own, other = (
        (InspectionSeries.maker_id, InspectionSeries.requester_id)
        if which == "maker"
        else (InspectionSeries.requester_id, InspectionSeries.maker_id)
    )
    query = select(InspectionSeries).where(own == user_id)
    if after is not None:
        query = query.where(other > after)
    return (await session.scalars(query.order_by(other).limit(limit))).all()
