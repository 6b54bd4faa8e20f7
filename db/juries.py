"""Juries 陪审: three makers who decide an appeal against an inspection, drawn from a recorded seed."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Sequence

from sqlalchemy import (
    ColumnElement,
    Integer,
    Select,
    Text,
    cast,
    exists,
    func,
    literal,
    or_,
    select,
)
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from db import ballot_rows
from db.queries import kinship
from db.tables import Jury, Lot, ProductionOrder, User
from domain.ballot import BallotTerms
from domain.ids import new_id
from domain.inspection import JURORS
from domain.production_policy import ProductionPolicy
from domain.sampling import drawing_order

LEAST_REQUESTERS = 2
"""So many people have accepted units that a juror has made."""


async def draw(
    session: AsyncSession,
    lot: Lot,
    parties: Collection[str],
    terms: BallotTerms,
    policy: ProductionPolicy,
    *,
    initiator_id: str,
) -> Jury | None:
    """Draws the jurors of an appeal and writes their ballot down; None when there are not three who could be.

    They are makers whom several people have paid for accepted units, none of whom takes part here or counts as somebody
    who does.
    """
    candidates = await _candidates(session, lot, parties, policy.jury_age_seconds)
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


async def _candidates(
    session: AsyncSession, lot: Lot, parties: Collection[str], age_seconds: int
) -> list[str]:
    """Makers who could be jurors, in the order of their ids: one for each requester who was the first to accept units.

    Who has made up many makers has few requesters to vouch for them, so few of them can be drawn. Which maker stands for
    a requester follows from the lot's id, before there is a seed.
    """
    known = _vouched(lot, await _around(session, parties)).subquery()
    place = func.sha256(func.convert_to(literal(f"{lot.id}:").concat(known.c.maker_id), "UTF8"))
    one_each = (
        select(known.c.maker_id)
        .join(User, User.id == known.c.maker_id)
        .where(
            known.c.maker_id.not_in(parties),
            User.frozen_at.is_(None),
            _is_somebody(age_seconds),
            known.c.maker_id.not_in(select(Lot.maker_id).where(Lot.order_id == lot.order_id)),
        )
        .ext(distinct_on(known.c.origin))
        .order_by(known.c.origin, place)
    ).subquery()
    return list(await session.scalars(select(one_each.c.maker_id).order_by(one_each.c.maker_id)))


async def _around(session: AsyncSession, parties: Collection[str]) -> set[str]:
    """The parties, and requesters who count as one of them: what they have accepted proves nothing."""
    requesters = select(ProductionOrder.requester_id)
    ties = [each for person in parties for each in await kinship.ties(session, person, requesters)]
    return {*parties, *(each.other_id for each in ties)}


def _vouched(lot: Lot, around: Collection[str]) -> Select[tuple[str, str]]:
    """Makers of whom several people have accepted units, and which of these people was the first."""
    requester = aliased(User)
    # Accounts of one verified person are one person.
    person = func.coalesce(requester.identity_hash, requester.id)
    work = (
        select(Lot.maker_id, person.label("person"), func.min(Lot.id).label("since"))
        .join(ProductionOrder, ProductionOrder.id == Lot.order_id)
        .join(requester, requester.id == ProductionOrder.requester_id)
        .where(
            Lot.order_id != lot.order_id,
            Lot.course["accepted"].astext.cast(Integer) > 0,
            ProductionOrder.requester_id.not_in(around),
        )
        .group_by(Lot.maker_id, person)
    ).subquery()
    counted = select(
        work.c.maker_id,
        work.c.person,
        func.count().over(partition_by=work.c.maker_id).label("requesters"),
        func.row_number().over(partition_by=work.c.maker_id, order_by=work.c.since).label("number"),
    ).subquery()
    return select(counted.c.maker_id, counted.c.person.label("origin")).where(
        counted.c.requesters >= LEAST_REQUESTERS, counted.c.number == 1
    )


def _is_somebody(age_seconds: int) -> ColumnElement[bool]:
    """Whether an account is more than made up: verified where anybody is, else of some age."""
    anybody = aliased(User)
    old = func.now() - func.make_interval(0, 0, 0, 0, 0, 0, age_seconds)
    verifies = exists().where(anybody.verified_at.is_not(None))
    return or_(User.verified_at.is_not(None), ~verifies & (User.created_at <= old))


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
