"""What the people of a path have written to each other."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from db.queries import file_access, paths
from db.tables import Dispute, Path, PathMessage, Sale, User
from domain import contest, tender
from domain.access import Action, Relation, allowed
from domain.errors import InvalidInput, LimitReached
from domain.model import Message

A_DAY = 200
"""How many messages one person may write in 24 hours."""
_DAY = timedelta(days=1)
_ANYBODY = frozenset({"sale", "lot", "return", "dispute"})
"""Kinds of paths of few people, who all know of each other."""
_HIDDEN: dict[str, frozenset[str]] = {
    "tender": frozenset(tender.SEALED),
    "contest": frozenset({contest.Phase.DRAFT, contest.Phase.FUNDING, contest.Phase.OPEN}),
}
"""Phases in which the initiator must not find out who takes part."""


class Said(Message):
    """One message as it is written."""

    message_id: str
    path_id: str
    author_id: str
    role: str
    to_id: str
    subject: str = ""
    body: str
    file_ids: tuple[str, ...] = ()


async def other_side(
    session: AsyncSession, path_id: str, user_id: str, to_id: str | None, mine: frozenset[Relation]
) -> str:
    """To whom the message goes: `to_id`, or who it can only be. Raises InvalidInput (field to_id).

    In a path of many each talks with its initiator, and an initiator who must not know yet who takes part only
    answers. All that are refused are refused in the same words.
    """
    path = await session.get_one(Path, path_id)
    wanted = to_id or await _opposite(session, path, user_id)
    if wanted is not None and wanted != user_id:
        own_path = path.initiator_id in (user_id, wanted)
        if (own_path or path.kind in _ANYBODY) and await _may_hear(session, path, wanted, mine):
            return wanted
    raise InvalidInput(
        "say to whom", field="to_id", accepted="somebody with whom you have to do on this path"
    )


async def _opposite(session: AsyncSession, path: Path, user_id: str) -> str | None:
    if path.kind == "sale":
        sale = await session.get_one(Sale, path.id)
        return sale.buyer_id if sale.seller_id == user_id else sale.seller_id
    if path.kind == "dispute":
        dispute = await session.get_one(Dispute, path.id)
        mine = dispute.claimant_id == user_id
        return dispute.respondent_id if mine else dispute.claimant_id
    return path.initiator_id if path.initiator_id != user_id else None


async def _may_hear(
    session: AsyncSession, path: Path, to_id: str, mine: frozenset[Relation]
) -> bool:
    """Whether `to_id` has a part in the path, and the author may know it."""
    if to_id == path.initiator_id:
        return True
    if Relation.INITIATOR in mine and path.phase in _HIDDEN.get(path.kind, frozenset()):
        return await first_word(session, path.id, to_id) is not None
    theirs = await paths.seen_by(session, path.id, to_id)
    return theirs is not None and allowed(Action.MESSAGE_WRITE, theirs.relations)


async def write(session: AsyncSession, said: Said) -> PathMessage:
    """Writes it down and shows its private files to who it is for. Raises LimitReached."""
    # One after the other for one author, so that nobody gets past the limit.
    await session.execute(
        select(User.id).where(User.id == said.author_id).with_for_update(key_share=True)
    )
    written = await session.scalar(
        select(func.count())
        .select_from(PathMessage)
        .where(
            PathMessage.author_id == said.author_id,
            PathMessage.at > func.clock_timestamp() - _DAY,
        )
    )
    if (written or 0) >= A_DAY:
        raise LimitReached(
            "you have written enough for today", accepted=f"{A_DAY} messages in 24 hours"
        )
    row = PathMessage(
        id=said.message_id,
        path_id=said.path_id,
        author_id=said.author_id,
        to_id=said.to_id,
        role=said.role,
        subject=said.subject,
        body=said.body,
        file_ids=list(said.file_ids),
    )
    session.add(row)
    await file_access.grant(session, said.file_ids, said.path_id, said.to_id)
    await session.flush()
    await session.refresh(row)
    return row


async def page(
    session: AsyncSession, path_id: str, reader: str | None, after: str | None, limit: int
) -> Sequence[PathMessage]:
    """Up to `limit` messages of the path, oldest first: those from and to `reader`, or all without one."""
    query = select(PathMessage).where(PathMessage.path_id == path_id)
    if reader is not None:
        query = query.where(or_(PathMessage.author_id == reader, PathMessage.to_id == reader))
    if after is not None:
        query = query.where(PathMessage.id > after)
    return (await session.scalars(query.order_by(PathMessage.id).limit(limit))).all()


async def first_word(
    session: AsyncSession, path_id: str, user_id: str, to_id: str | None = None
) -> datetime | None:
    """When the user first wrote on the path to the other side, or to `to_id` of it; None when never."""
    query = select(func.min(PathMessage.at)).where(
        PathMessage.path_id == path_id, PathMessage.author_id == user_id
    )
    if to_id is not None:
        query = query.where(PathMessage.to_id == to_id)
    found: datetime | None = await session.scalar(query)
    return found
