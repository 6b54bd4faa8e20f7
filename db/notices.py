"""Notices: written in the transaction of what they tell of, taken one by one by whoever sends them, read by their reader."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from db import consents, juries
from db.lot_rows import hand_in_of
from db.tables import Inspection, Lot, Notice, NoticeWish, Path, ProductionOrder, User
from domain.asked import Ask, Asks, Side, asked, asking
from domain.deadlines import Deadline
from domain.inspection import jury_seconds
from domain.lot import Course, Event, Moved
from domain.notice_policy import NoticePolicy
from domain.notices import LotFacts, concerns, does_of, facts_of, link_ends, notice
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
    """Tells the maker of a lot what a transition means for them, and the broker who acts for them; and the others.

    In the transaction of the transition. `key` is the transition's, `timers` are the lot's from now on.
    """
    if not concerns(event):
        return
    facts = facts_of(terms, row.units, event, moved, timers, hand_in_of(row), at)
    expires_at = link_ends(timers, at, terms.policy)
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
    await _ask_others(session, row, terms, facts, key=key, at=at)


async def _ask_others(
    session: AsyncSession,
    row: Lot,
    terms: ProductionTerms,
    facts: LotFacts,
    *,
    key: str,
    at: datetime,
) -> None:
    """Tells requester, inspector and jurors what they have to do now."""
    found = asked(facts, certified=terms.certifier_id is not None)
    told = {Side.REQUESTER: terms.requester_id, Side.CERTIFIER: terms.certifier_id}
    asks = {person: found[side] for side, person in told.items() if person and side in found}
    jury = await juries.of_lot(session, row.id) if Side.JUROR in found and row.ballot_id else None
    if jury is not None:
        voting, _ = jury_seconds(terms.policy)
        by = at + timedelta(seconds=voting)
        vote = found[Side.JUROR].model_copy(update={"by": by})
        asks |= dict.fromkeys(jury.jurors, vote)
    await _ask(session, row.id, asks, key)


async def ask_second_look(session: AsyncSession, named: Inspection) -> None:
    """Tells the second inspector of an appeal that they were named, in the transaction that names them."""
    lot = await session.get_one(Lot, named.lot_id)
    order = await session.get_one(ProductionOrder, lot.order_id)
    ask = Ask(
        asks=Asks.SECOND_LOOK,
        title=order.title,
        units=lot.units,
        count=named.units,
        by=named.due_at,
    )
    await _ask(session, lot.id, {named.inspector_id: ask}, named.id)


async def _ask(session: AsyncSession, lot_id: str, asks: Mapping[str, Ask], key: str) -> None:
    """One notice for each person."""
    wishes = await session.scalars(select(NoticeWish).where(NoticeWish.user_id.in_(asks)))
    readers = {wish.user_id: _reader(wish) for wish in wishes}
    for user_id, ask in asks.items():
        reader = readers.get(user_id, _DEFAULT)
        await say(
            session,
            key=f"{key}/{user_id}",
            user_id=user_id,
            path_id=lot_id,
            language=reader.language,
            words=asking(ask, reader),
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
    """The maker and, if there is one whom they still let act, the broker."""
    broker_id = row.broker_id
    if broker_id is not None and not await consents.stands(session, broker_id, row.maker_id):
        broker_id = None
    people = {row.maker_id, broker_id or row.maker_id}
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
    if broker_id is not None and broker_id != row.maker_id:
        readers[broker_id] = readers[broker_id].model_copy(update={"acts_for": names[row.maker_id]})
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
    may_act: bool
    """Of a broker: whether the maker still lets them act."""
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
    broker_id = lot.broker_id if found.by_broker else None
    return Tapped(
        lot=lot,
        path=path,
        title=title,
        course=Course.model_validate(lot.course),
        reader=await reader_of(session, broker_id or lot.maker_id),
        may_act=broker_id is None or await consents.stands(session, broker_id, lot.maker_id),
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
