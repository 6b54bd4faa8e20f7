"""Juries 陪审: three makers who decide an appeal against an inspection, drawn from a recorded seed."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Sequence

from sqlalchemy import Integer, Text, cast, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from db import ballot_rows
from db.queries import kinship
from db.tables import Jury, Lot, User
from domain.ballot import BallotTerms
from domain.ids import new_id
from domain.inspection import JURORS
from domain.sampling import drawing_order

MOST_CANDIDATES = 200
"""Among so many of those whose work was accepted last the jurors are drawn."""


async def draw(
    session: AsyncSession,
    lot: Lot,
    parties: Collection[str],
    terms: BallotTerms,
    *,
    initiator_id: str,
) -> Jury | None:
    """Draws the jurors of an appeal and writes their ballot down; None when there are not three who could be.

    They are makers with accepted units of other orders, none of whom takes part here or counts as somebody who does.
    """
    candidates = await _candidates(session, lot, parties)
    seed = secrets.token_hex(16)
    jurors: list[str] = []
    for number in drawing_order(seed, range(1, len(candidates) + 1)):
        person = candidates[number - 1]
        if await kinship.tie(session, person, [*parties, *jurors]) is None:
            jurors.append(person)
        if len(jurors) == JURORS:
            break
    else:
        return None
    ballot_id = new_id("bal")
    await ballot_rows.draft(
        session,
        ballot_id,
        workflow_id=f"ballot-{ballot_id}",
        initiator_id=initiator_id,
        terms=terms,
        parent_path_id=lot.id,
    )
    jury = Jury(ballot_id=ballot_id, lot_id=lot.id, seed=seed, candidates=candidates, jurors=jurors)
    session.add(jury)
    await session.flush()
    return jury


async def _candidates(session: AsyncSession, lot: Lot, parties: Collection[str]) -> list[str]:
    """Makers who could be jurors, whose work was accepted last coming first."""
    here = aliased(Lot)
    newest = func.max(Lot.id)
    rows = await session.scalars(
        select(Lot.maker_id)
        .join(User, User.id == Lot.maker_id)
        .where(
            Lot.order_id != lot.order_id,
            Lot.course["accepted"].astext.cast(Integer) > 0,
            Lot.maker_id.not_in(parties),
            User.frozen_at.is_(None),
            Lot.maker_id.not_in(select(here.maker_id).where(here.order_id == lot.order_id)),
        )
        .group_by(Lot.maker_id)
        .order_by(newest.desc())
        .limit(MOST_CANDIDATES)
    )
    return list(rows)


async def is_juror(session: AsyncSession, ballot_id: str, user_id: str) -> bool:
    """Whether somebody was drawn for this ballot."""
    jurors = await session.scalar(select(Jury.jurors).where(Jury.ballot_id == ballot_id))
    return user_id in (jurors or [])


async def of_juror(
    session: AsyncSession, user_id: str, after: str | None, limit: int
) -> Sequence[Jury]:
    """The juries for which somebody was drawn, newest first, before the ballot `after`."""
    query = select(Jury).where(Jury.jurors.op("@>")(func.jsonb_build_array(cast(user_id, Text))))
    if after is not None:
        query = query.where(Jury.ballot_id < after)
    return (await session.scalars(query.order_by(Jury.ballot_id.desc()).limit(limit))).all()


async def of_lot(session: AsyncSession, lot_id: str) -> Jury | None:
    """The jury of the lot, or None."""
    found: Jury | None = await session.scalar(
        select(Jury).where(Jury.lot_id == lot_id).order_by(Jury.ballot_id.desc()).limit(1)
    )
    return found
