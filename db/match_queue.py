"""The queue of a match call: who gets what is left, and what is taken back when there is not enough.

Everything here works on rows of match_calls that the caller has locked with `lock`; their sums and those of the projects
move together with the reservations. Amounts are minor units.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from datetime import datetime
from enum import StrEnum

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Select,
    Text,
    any_,
    bindparam,
    cast,
    func,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from db.tables import Json, MatchCall, MatchProject, MatchReservation, Path
from domain.deadlines import Deadline
from domain.match_call import (
    CallTerms,
    Phase,
    ReservationState,
    Waiting,
    passed_on,
)
from domain.match_call_deadlines import OPEN_UNTIL

PAGE = 500
"""Waiting reservations looked at in one go."""


class Promises(StrEnum):
    """Whether a call may promise anything right now."""

    YES = "yes"
    PAUSED = "paused"
    """The sponsor's bank has the money for the moment."""
    NO = "no"


def among(column: InstrumentedAttribute[str], values: Collection[str]) -> ColumnElement[bool]:
    """That the column is one of the values, as one parameter however many they are."""
    return column == any_(bindparam(None, list(values), type_=ARRAY(Text)))


async def lock(session: AsyncSession, call_ids: Select[str]) -> list[MatchCall]:
    """The calls of these ids, sorted and locked until the transaction ends."""
    rows = await session.scalars(
        select(MatchCall)
        .where(MatchCall.id.in_(call_ids))
        .order_by(MatchCall.id)
        # Their keys do not change: whoever only refers to a call need not wait.
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )
    return list(rows)


async def lock_one(session: AsyncSession, call_id: str) -> MatchCall:
    """One call, locked until the transaction ends; it must exist."""
    return (await lock(session, select(MatchCall.id).where(MatchCall.id == call_id)))[0]


def terms_of(call: MatchCall) -> CallTerms:
    """The frozen terms."""
    return CallTerms.model_validate(call.terms)


async def promises(session: AsyncSession, calls: Collection[MatchCall]) -> dict[str, Promises]:
    """Which of the locked calls may promise anything now, by phase, pause and the database's clock."""
    rows = await session.execute(
        select(Path.id, Path.phase, Path.paused_at, Path.deadlines, func.clock_timestamp()).where(
            Path.id.in_([call.id for call in calls])
        )
    )
    found = {}
    ended = {call.id for call in calls if call.closed_at is not None}
    for call_id, phase, paused_at, deadlines, now in rows:
        until = _open_until(deadlines)
        if phase != Phase.OPEN or call_id in ended:
            found[call_id] = Promises.NO
        elif paused_at is not None:
            found[call_id] = Promises.PAUSED
        else:
            found[call_id] = Promises.NO if until and now >= until else Promises.YES
    return found


def _open_until(deadlines: Sequence[Json]) -> datetime | None:
    pending = (Deadline.model_validate(each) for each in deadlines)
    return next((each.due_at for each in pending if each.name == OPEN_UNTIL), None)


async def settle(session: AsyncSession, calls: Collection[MatchCall]) -> None:
    """What is left of each call goes to those who wait, now or, if it is paused, when it goes on."""
    for call_id, answer in (await promises(session, calls)).items():
        call = next(each for each in calls if each.id == call_id)
        if answer is Promises.YES:
            await pass_on(session, call)
        elif answer is Promises.PAUSED:
            call.to_pass_on = True
    await session.flush()


async def pass_on(session: AsyncSession, call: MatchCall) -> int:
    """Gives what is left to the waiting reservations of all undecided campaigns, in their order and within the caps.

    Answers how much has been given.
    """
    call.to_pass_on = False
    offer, total, after = terms_of(call).offer, 0, 0
    while call.budget.left > 0:
        page = await _waiting(session, call, after)
        if not page:
            break
        after = page[-1][0]
        waiting = [each for _, each in page]
        given = passed_on(
            offer,
            waiting,
            projects=await _promised_to_projects(session, call.id),
            people=await promised_to(
                session, call.id, {each.backer_id for each in waiting if each.backer_id}
            ),
            left=call.budget.left,
        )
        await _give(session, call, waiting, given)
        total += sum(given.values())
        if len(page) < PAGE:
            break
    await session.flush()
    return total


async def enqueue(
    session: AsyncSession,
    call: MatchCall,
    campaign_id: str,
    *,
    wanted: int,
    amount: int,
    pledge_id: str | None = None,
    backer_id: str | None = None,
) -> int:
    """Writes a reservation at the end of the queue, unless the pledge has one; without a pledge it is a lump sum.

    Answers what it reserves.
    """
    call.positions += 1
    made = await session.execute(
        insert(MatchReservation)
        .values(
            call_id=call.id,
            campaign_id=campaign_id,
            pledge_id=pledge_id,
            backer_id=backer_id,
            position=call.positions,
            wanted=wanted,
            amount=amount,
            state=ReservationState.RESERVED,
        )
        .on_conflict_do_nothing(
            index_elements=[MatchReservation.pledge_id, MatchReservation.call_id],
            index_where=text("state <> 'freed'"),
        )
        .returning(MatchReservation.id)
    )
    if made.first() is None:
        return 0
    book(call, reserved=amount)
    await book_project(session, call.id, campaign_id, reserved=amount)
    return amount


async def free(
    session: AsyncSession, calls: Sequence[MatchCall], *conditions: ColumnElement[bool]
) -> int:
    """Frees the reservations of these calls that meet the conditions, each once. Answers how much that is."""
    return sum((await _end(session, calls, ReservationState.FREED, *conditions)).values())


async def use_up(
    session: AsyncSession, calls: Sequence[MatchCall], *conditions: ColumnElement[bool]
) -> Counter[str]:
    """The reservations that meet the conditions are used. Answers how much of each call."""
    return await _end(session, calls, ReservationState.USED, *conditions)


async def shrink(session: AsyncSession, call: MatchCall, most: int) -> int:
    """Takes back the newest promises until at most `most` is promised by reservations. Answers how much was freed."""
    rows = await session.execute(_SHRINK, {"call_id": call.id, "most": max(0, most)})
    freed = 0
    for campaign_id, less in rows:
        book(call, reserved=-less)
        await book_project(session, call.id, campaign_id, reserved=-less)
        freed += less
    await session.flush()
    return freed


def book(call: MatchCall, *, reserved: int = 0, used: int = 0) -> None:
    """Moves the sums of a locked call."""
    call.reserved += reserved
    call.used += used


async def book_project(
    session: AsyncSession,
    call_id: str,
    campaign_id: str,
    *,
    reserved: int = 0,
    used: int = 0,
    given_back: int = 0,
) -> None:
    """Moves the sums of one project of a locked call."""
    await session.execute(
        update(MatchProject)
        .where(MatchProject.call_id == call_id, MatchProject.campaign_id == campaign_id)
        .values(
            reserved=MatchProject.reserved + reserved,
            used=MatchProject.used + used,
            given_back=MatchProject.given_back + given_back,
        )
        .execution_options(synchronize_session=False)
    )


async def promised_to(
    session: AsyncSession, call_id: str, people: Collection[str]
) -> dict[str, int]:
    """What each of these people's pledges have been promised by the call, used included."""
    if not people:
        return {}
    rows = await session.execute(
        select(MatchReservation.backer_id, cast(func.sum(MatchReservation.amount), BigInteger))
        .where(
            MatchReservation.call_id == call_id,
            among(_BACKER, people),
            MatchReservation.state != ReservationState.FREED,
        )
        .group_by(MatchReservation.backer_id)
    )
    return {person: amount for person, amount in rows if person is not None}


_BACKER: InstrumentedAttribute[str] = MatchReservation.backer_id  # type: ignore[assignment]


async def _end(
    session: AsyncSession,
    calls: Sequence[MatchCall],
    state: ReservationState,
    *conditions: ColumnElement[bool],
) -> Counter[str]:
    by_id = {call.id: call for call in calls}
    ended = (
        update(MatchReservation)
        .where(
            MatchReservation.call_id.in_(by_id),
            MatchReservation.state == ReservationState.RESERVED,
            *conditions,
        )
        .values(state=state, ended_at=func.clock_timestamp())
        .returning(MatchReservation.call_id, MatchReservation.campaign_id, MatchReservation.amount)
        .cte("ended")
    )
    rows = await session.execute(
        select(
            ended.c.call_id, ended.c.campaign_id, cast(func.sum(ended.c.amount), BigInteger)
        ).group_by(ended.c.call_id, ended.c.campaign_id)
    )
    sums: Counter[str] = Counter()
    for call_id, campaign_id, amount in rows:
        used = amount if state is ReservationState.USED else 0
        book(by_id[call_id], reserved=-amount, used=used)
        await book_project(session, call_id, campaign_id, reserved=-amount, used=used)
        sums[call_id] += amount
    await session.flush()
    return sums


async def _waiting(session: AsyncSession, call: MatchCall, after: int) -> list[tuple[int, Waiting]]:
    """A page of those who wait and whose caps leave room, by position."""
    offer = terms_of(call).offer
    rows = await session.execute(
        _WAITING,
        {
            "call_id": call.id,
            "after": after,
            "per_project": offer.per_project_cap,
            "per_person": offer.per_person_cap,
            "page": PAGE,
        },
    )
    return [
        (
            row.position,
            Waiting(
                id=row.id, campaign_id=row.campaign_id, backer_id=row.backer_id, lacks=row.lacks
            ),
        )
        for row in rows
    ]


async def _promised_to_projects(session: AsyncSession, call_id: str) -> dict[str, int]:
    rows = await session.execute(
        select(MatchProject.campaign_id, MatchProject.reserved + MatchProject.used).where(
            MatchProject.call_id == call_id
        )
    )
    return {campaign_id: amount for campaign_id, amount in rows}


async def _give(
    session: AsyncSession, call: MatchCall, waiting: Sequence[Waiting], given: dict[int, int]
) -> None:
    if not given:
        return
    await session.execute(_GIVE, {"ids": list(given), "amounts": list(given.values())})
    sums: Counter[str] = Counter()
    for each in waiting:
        sums[each.campaign_id] += given.get(each.id, 0)
    for campaign_id, amount in sums.items():
        book(call, reserved=amount)
        await book_project(session, call.id, campaign_id, reserved=amount)


_WAITING = text("""
    SELECT r.id, r.position, r.campaign_id, r.backer_id, r.wanted - r.amount AS lacks
    FROM match_reservations r
    JOIN match_projects p ON p.call_id = r.call_id AND p.campaign_id = r.campaign_id
    WHERE r.call_id = :call_id AND r.state = 'reserved' AND r.amount < r.wanted
        AND r.position > :after AND p.decided_at IS NULL
        AND (CAST(:per_project AS bigint) IS NULL OR p.reserved + p.used < :per_project)
        AND (CAST(:per_person AS bigint) IS NULL OR r.backer_id IS NULL OR (
            SELECT sum(o.amount) FROM match_reservations o
            WHERE o.call_id = r.call_id AND o.backer_id = r.backer_id AND o.state <> 'freed'
        ) < :per_person)
    ORDER BY r.position LIMIT :page
""")

_GIVE = text("""
    UPDATE match_reservations r SET amount = r.amount + g.more
    FROM unnest(CAST(:ids AS bigint[]), CAST(:amounts AS bigint[])) AS g (id, more)
    WHERE r.id = g.id
""")

_SHRINK = text("""
    WITH running AS (
        SELECT id, amount,
            sum(amount) OVER (ORDER BY position) AS up_to_here
        FROM match_reservations
        WHERE call_id = :call_id AND state = 'reserved' AND amount > 0
    ), cut AS (
        SELECT id, least(amount, up_to_here - :most) AS less FROM running
        WHERE up_to_here > :most
    ), shorter AS (
        UPDATE match_reservations r SET amount = r.amount - cut.less
        FROM cut WHERE r.id = cut.id
        RETURNING r.campaign_id, cut.less
    )
    SELECT campaign_id, CAST(sum(less) AS bigint) FROM shorter GROUP BY campaign_id
    ORDER BY campaign_id
""")
