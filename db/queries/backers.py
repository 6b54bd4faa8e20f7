"""Who backs a campaign, as everybody may know it: those who have agreed by name, the others as a number."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Select, exists, func, select, union_all
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from db.queries.slow_counts import Counted, SlowCounts
from db.tables import Pledge, User
from domain.pledge import STANDING, PledgeState

_OTHER = aliased(Pledge)
_NAMED = (
    _OTHER.campaign_id == Pledge.campaign_id,
    _OTHER.backer_id == Pledge.backer_id,
    ~_OTHER.anonymous,
    _OTHER.state.in_(sorted(STANDING)),
)
"""Another pledge of this person to this campaign stands and names them."""


async def page(
    session: AsyncSession, campaign_id: str, after: str | None, limit: int
) -> Sequence[tuple[Pledge, User]]:
    """People with a pledge that stands and names them, each with the first such pledge, after the pledge `after`.

    State by state, so that each part is read in the order of its index and a page costs the same at any length.
    """
    ids = union_all(
        *(_first_of(campaign_id, state, after, limit).subquery().select() for state in STANDING)
    ).subquery()
    rows = await session.execute(
        select(Pledge, User)
        .join(User, User.id == Pledge.backer_id)
        .where(Pledge.id.in_(select(ids.c.id)))
        .order_by(Pledge.id)
        .limit(limit)
    )
    return [(pledge, user) for pledge, user in rows]


def _first_of(campaign_id: str, state: PledgeState, after: str | None, limit: int) -> Select[str]:
    query = select(Pledge.id).where(
        Pledge.campaign_id == campaign_id,
        Pledge.state == state,
        ~Pledge.anonymous,
        ~exists().where(*_NAMED, _OTHER.id < Pledge.id),
    )
    if after is not None:
        query = query.where(Pledge.id > after)
    return query.order_by(Pledge.id).limit(limit)


async def count_anonymous(session: AsyncSession, campaign_id: str, counts: SlowCounts) -> int:
    """How many people back the campaign and have not agreed with any of their pledges to be named."""
    return await counts.of(
        ("anonymous", campaign_id), lambda: _count_anonymous(session, campaign_id)
    )


async def _count_anonymous(session: AsyncSession, campaign_id: str) -> Counted[int]:
    found = await session.scalar(
        select(func.count(Pledge.backer_id.distinct())).where(
            Pledge.campaign_id == campaign_id,
            Pledge.anonymous,
            Pledge.state.in_(sorted(STANDING)),
            ~exists().where(*_NAMED),
        )
    )
    return Counted(int(found or 0), rows=int(found or 0))
