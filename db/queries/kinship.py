"""Who counts as the same person: the same account, the same verified identity, the same payout destination."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Select,
    Text,
    any_,
    literal,
    literal_column,
    select,
    union_all,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute, aliased

from db.tables import PayoutDestination, User
from domain.people import Tie, TieKind

Others = Collection[str] | Select[str]
"""User ids, or a query for them: for crowds that should not travel to the database and back."""


async def tie(session: AsyncSession, user_id: str, others: Others) -> Tie | None:
    """The strongest tie of the user to one of the others, or None."""
    found = await _ties(session, user_id, others, limit=1)
    return found[0] if found else None


async def ties(session: AsyncSession, user_id: str, others: Others) -> list[Tie]:
    """Every tie of the user to the others, the strongest first; somebody tied in two ways appears twice."""
    return await _ties(session, user_id, others)


async def _ties(
    session: AsyncSession, user_id: str, others: Others, limit: int | None = None
) -> list[Tie]:
    me, them = aliased(User), aliased(User)
    mine, theirs = aliased(PayoutDestination), aliased(PayoutDestination)
    found = {
        TieKind.SAME_PERSON: select(me.id).where(me.id == user_id, _among(me.id, others)),
        TieKind.SAME_IDENTITY: select(them.id)
        .join(me, me.identity_hash == them.identity_hash)
        .where(me.id == user_id, them.id != user_id, _among(them.id, others)),
        # Whatever became of a destination, and in any currency: it was theirs.
        TieKind.SAME_DESTINATION: select(theirs.user_id)
        .join(mine, mine.account_key == theirs.account_key)
        .where(mine.user_id == user_id, theirs.user_id != user_id, _among(theirs.user_id, others)),
    }
    ranked = union_all(
        *(
            query.add_columns(
                literal(kind.value).label("kind"), literal(rank).label("rank")
            ).distinct()
            for rank, (kind, query) in enumerate(found.items())
        )
    )
    rows = await session.execute(
        ranked.order_by(literal_column("3"), literal_column("1")).limit(limit)
    )
    return [Tie(other_id=other_id, kind=kind) for other_id, kind, _ in rows]


def _among(column: InstrumentedAttribute[str], others: Others) -> ColumnElement[bool]:
    if isinstance(others, Select):
        return column.in_(others)
    # One array, not one parameter each: the number of others has no bound.
    return column == any_(literal(list(others), ARRAY(Text)))
