"""Notices: written in the transaction of what they tell of, taken one by one by whoever sends them, read by their reader."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from db.lot_rows import hand_in_of
from db.tables import Lot, Notice, NoticeWish, Path, ProductionOrder, User
from domain.deadlines import Deadline
from domain.lot import Course, Event, Moved
from domain.notice_policy import NoticePolicy
from domain.notices import concerns, does_of, facts_of, notice
from domain.plain import Language, Reader
from domain.production import ProductionTerms
from domain.taps import Tap, tap

_DEFAULT = Reader()


async def of_lot(
    session: AsyncSession,
    row: Lot,
    terms: ProductionTerms,
    event: Event,
    moved: Moved,
    timers: Sequence[Deadline],
    *,
    key: str,
    at: datetime,
) -> None:
    """Tells the maker of a lot what a transition means for them, and the broker who acts for them.

    In the transaction of the transition. `key` is the transition's, `timers` are the lot's from now on.
    """
    if not concerns(event):
        return
    facts = facts_of(terms, row.units, event, moved, timers, hand_in_of(row), at)
    expires_at = at + timedelta(seconds=terms.policy.tap_seconds)
    readers = await _readers(session, row)
    for user_id, reader in readers.items():
        taps = [
            tap(row.id, does, moved.course, row.moves, expires_at, by_broker=bool(reader.acts_for))
            for does in does_of(facts)
        ]
        await say(
            session,
            key=f"{key}/{user_id}",
            user_id=user_id,
            path_id=row.id,
            language=reader.language,
            words=notice(facts, reader),
            taps=taps,
        )


async def say(
    session: AsyncSession,
    *,
    key: str,
    user_id: str,
    path_id: str,
    language: Language,
    words: str,
    taps: Sequence[Tap] = (),
) -> None:
    """Writes a notice down, once by `key`; it is sent after the transaction has committed."""
    await session.execute(
        insert(Notice)
        .values(
            key=key,
            user_id=user_id,
            path_id=path_id,
            language=language.value,
            words=words,
            taps=[each.model_dump(mode="json") for each in taps],
        )
        .on_conflict_do_nothing(index_elements=[Notice.key])
    )


async def _readers(session: AsyncSession, row: Lot) -> dict[str, Reader]:
    """The maker and, if there is one, the broker."""
    people = {row.maker_id, row.broker_id or row.maker_id}
    found = await session.execute(
        select(User.id, User.display_name, NoticeWish)
        .outerjoin(NoticeWish, NoticeWish.user_id == User.id)
        .where(User.id.in_(people))
    )
    names: dict[str, str] = {}
    readers: dict[str, Reader] = {}
    for user_id, name, wish in found:
        names[user_id] = name
        readers[user_id] = _reader(wish)
    if row.broker_id is not None and row.broker_id != row.maker_id:
        readers[row.broker_id] = readers[row.broker_id].model_copy(
            update={"acts_for": names[row.maker_id]}
        )
    return readers


# What people choose.


async def reader_of(session: AsyncSession, user_id: str) -> Reader:
    """How somebody wants notices written."""
    return _reader(await session.get(NoticeWish, user_id, populate_existing=True))


async def wish(
    session: AsyncSession, user_id: str, language: Language, time_zone: str | None
) -> None:
    """Remembers how somebody wants notices written from now on."""
    chosen = {"language": language.value, "time_zone": time_zone}
    await session.execute(
        insert(NoticeWish)
        .values(user_id=user_id, **chosen)
        .on_conflict_do_update(
            index_elements=[NoticeWish.user_id], set_={**chosen, "changed_at": func.now()}
        )
    )


def _reader(row: NoticeWish | None) -> Reader:
    if row is None:
        return _DEFAULT
    return Reader(language=Language(row.language), time_zone=row.time_zone)


# Reading.


async def page(
    session: AsyncSession, user_id: str, before: int | None, limit: int
) -> Sequence[Notice]:
    """Up to `limit` notices of somebody, newest first, before the one of that number."""
    query = select(Notice).where(Notice.user_id == user_id)
    if before is not None:
        query = query.where(Notice.id < before)
    return (await session.scalars(query.order_by(Notice.id.desc()).limit(limit))).all()


def taps_of(row: Notice) -> list[Tap]:
    """What can be said by the links of a notice."""
    return [Tap.model_validate(each) for each in row.taps]


@dataclass(frozen=True)
class Tapped:
    """A lot as a tap meets it."""

    lot: Lot
    path: Path
    title: str
    course: Course
    reader: Reader
    """Who was sent the link."""
    now: datetime
    """By the database's clock."""

    @property
    def user_id(self) -> str:
        """The maker, in whose place a broker may act."""
        return self.lot.maker_id


async def tapped(session: AsyncSession, found: Tap) -> Tapped | None:
    """The lot that a tap is about, or None."""
    row = (
        await session.execute(
            select(Lot, Path, ProductionOrder.title, func.now())
            .join(Path, Path.id == Lot.id)
            .join(ProductionOrder, ProductionOrder.id == Lot.order_id)
            .where(Lot.id == found.lot_id)
        )
    ).first()
    if row is None:
        return None
    lot, path, title, now = row
    told = lot.broker_id if found.by_broker and lot.broker_id else lot.maker_id
    return Tapped(
        lot=lot,
        path=path,
        title=title,
        course=Course.model_validate(lot.course),
        reader=await reader_of(session, told),
        now=now,
    )


# Sending.


async def next_due(session: AsyncSession) -> Notice | None:
    """The notice that has waited longest for its next try, locked; those that others are sending are left out."""
    found: Notice | None = await session.scalar(
        select(Notice)
        .where(Notice.state == "waiting", Notice.due_at <= func.now())
        .order_by(Notice.due_at, Notice.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    return found


def mark_sent(row: Notice, at: datetime) -> None:
    """The port has taken it."""
    row.state = "sent"
    row.tries += 1
    row.sent_at = at


def put_off(row: Notice, at: datetime, policy: NoticePolicy) -> None:
    """The port has not taken it: the next try comes at doubled distance."""
    row.due_at = at + policy.backoff.wait(row.tries)
    row.tries += 1


async def give_up_old(session: AsyncSession, policy: NoticePolicy) -> int:
    """Gives up what is too old to be of use; how many. What is being sent right now is left out."""
    old = (
        select(Notice.id)
        .where(Notice.state == "waiting", Notice.created_at < func.now() - policy.give_up_after)
        .with_for_update(skip_locked=True)
    )
    gone = await session.scalars(
        update(Notice)
        .where(Notice.id.in_(old))
        .values(state="given_up")
        .returning(Notice.id)
        .execution_options(synchronize_session=False)
    )
    return len(gone.all())
