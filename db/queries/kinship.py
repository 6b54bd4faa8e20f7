"""Who counts as the same person: the same account, the same verified identity, the same payout destination."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    CompoundSelect,
    Select,
    Text,
    any_,
    bindparam,
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
    asked: dict[str, str | list[str]] = {"user_id": user_id}
    if isinstance(others, Select):
        query = _ties_among(others)
    else:
        query = _TIES_AMONG_IDS
        asked["others"] = list(others)
    rows = await session.execute(query.limit(limit), asked)
    return [Tie(other_id=other_id, kind=kind) for other_id, kind, _ in rows]


def _ties_among(others: Select[str] | None) -> CompoundSelect[str, str, int]:
    """The ties of :user_id to the users of a query, or to :others."""
    me, them = aliased(User), aliased(User)
    mine, theirs = aliased(PayoutDestination), aliased(PayoutDestination)
    user_id = bindparam("user_id", type_=Text)

    def among(column: InstrumentedAttribute[str]) -> ColumnElement[bool]:
        if others is not None:
            return column.in_(others)
        # One array, not one parameter each: the number of others has no bound.
        return column == any_(bindparam("others", type_=ARRAY(Text)))

    found = {
        TieKind.SAME_PERSON: select(me.id).where(me.id == user_id, among(me.id)),
        TieKind.SAME_IDENTITY: select(them.id)
        .join(me, me.identity_hash == them.identity_hash)
        .where(me.id == user_id, them.id != user_id, among(them.id)),
        # Whatever became of a destination, and in any currency: it was theirs.
        TieKind.SAME_DESTINATION: select(theirs.user_id)
        .join(mine, mine.account_key == theirs.account_key)
        .where(mine.user_id == user_id, theirs.user_id != user_id, among(theirs.user_id)),
    }
    ranked = union_all(
        *(
            query.add_columns(
                literal(kind.value).label("kind"), literal(rank).label("rank")
            ).distinct()
            for rank, (kind, query) in enumerate(found.items())
        )
    )
    return ranked.order_by(literal_column("3"), literal_column("1"))


_TIES_AMONG_IDS = _ties_among(None)
"""Built once: putting it together costs more than asking it."""
