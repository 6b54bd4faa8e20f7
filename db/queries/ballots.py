"""Ballots and their papers, as readers want them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, select
from sqlalchemy.ext.asyncio import AsyncSession

from db.ballot_count import is_superseded, is_void
from db.tables import Ballot, Path, User, Vote
from domain.ballot import Phase


@dataclass(frozen=True)
class BallotRows:
    """A ballot with its path."""

    ballot: Ballot
    path: Path


@dataclass(frozen=True)
class PaperRow:
    """A vote and whether it counts."""

    vote: Vote
    superseded: bool
    void: bool


async def ballot(
    session: AsyncSession, ballot_id: str, *, locked: bool = False
) -> BallotRows | None:
    """The ballot, or None; `locked`: nobody else changes it until the transaction ends."""
    query = select(Ballot, Path).join(Path, Path.id == Ballot.id).where(Ballot.id == ballot_id)
    row = (await session.execute(query.with_for_update(of=Path) if locked else query)).first()
    return None if row is None else BallotRows(*row)


async def page(
    session: AsyncSession, initiator_id: str | None, after: str | None, limit: int
) -> Sequence[BallotRows]:
    """Ballots newest first, before the ballot `after`: all of one initiator, or everybody's but drafts."""
    which: list[ColumnElement[bool]] = [
        Path.phase != Phase.DRAFT if initiator_id is None else Path.initiator_id == initiator_id
    ]
    if after is not None:
        which.append(Ballot.id < after)
    rows = await session.execute(
        select(Ballot, Path)
        .join(Path, Path.id == Ballot.id)
        .where(*which)
        .order_by(Ballot.id.desc())
        .limit(limit)
    )
    return [BallotRows(*row) for row in rows]


async def papers(
    session: AsyncSession, ballot_id: str, after: int, limit: int
) -> Sequence[PaperRow]:
    """Votes in the order in which they were cast, after the one of that number."""
    rows = await session.execute(
        select(Vote, is_superseded(), is_void())
        .where(Vote.ballot_id == ballot_id, Vote.seq > after)
        .order_by(Vote.seq)
        .limit(limit)
    )
    return [PaperRow(*row) for row in rows]


async def known_users(session: AsyncSession, ids: Collection[str]) -> set[str]:
    """Which of these users exist."""
    return set(await session.scalars(select(User.id).where(User.id.in_(ids))))
