"""Second looks in bulk at what a lost webhook may have hidden, and what an interrupted worker may have left.

Looks come at distances that grow with the age of what is looked at, so that they spread over time like the rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import (
    ColumnElement,
    Select,
    Update,
    and_,
    exists,
    extract,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from activities.pledge_due import subject_of
from activities.pledge_news import UNPAID, IntakeNews, Subject
from activities.pledge_reads import Ours
from db.tables import Path, Payment, Pledge, Refund, SavedCard
from domain.campaign import GIVES_BACK, Phase
from domain.payments import PaymentState, RefundState
from domain.pledge import ENDED, CardState, PledgeState

_MOST = 2_000
_MINUTE = 60
_HOURLY = 3_600
_DAILY = 86_400
_LATE_WITHIN = timedelta(days=3, hours=1)
"""How long what has ended is looked at: a capture whose webhook was lost is somebody's money."""
_UNSENT_SECONDS = 30
_UNSENT_BY_RUN_SECONDS = 600
"""How long refunds of a campaign that gives back are left to the run that sends them."""
_CLOSING = 500
_S = PledgeState
_Moment = InstrumentedAttribute[datetime] | InstrumentedAttribute[datetime | None]


class PledgeLooks:
    """Looks again. Not an activity: the intake uses it."""

    def __init__(self, news: IntakeNews) -> None:
        self.news = news
        self.database = news.database

    async def look(self, since_seconds: int) -> int:
        """Everything whose turn has come in the last so many seconds; how many were looked at."""
        async with self.database.transaction() as session:
            payments = await _payments(session, since_seconds)
            cards = await _cards(session, since_seconds)
            refunds = await _refunds(session, since_seconds)
            waiting = await _settled_campaigns(session)
        await self.news.payments(payments)
        await self.news.cards(cards)
        await self.news.refunds_of(refunds)
        for path in waiting:
            await self.news.tell_when_settled(path)
        async with self.database.transaction() as session:
            await session.execute(_mark_open(_left_card()))
        async with self.database.transaction() as session:
            await session.execute(_mark_open(_left_payment()))
        return len(payments) + len(cards) + len(refunds)


async def _payments(session: AsyncSession, since: int) -> list[Subject]:
    begun = _awaited(Payment.created_at, since)
    waits = and_(
        Payment.status.in_(UNPAID),
        exists().where(
            Pledge.id == Payment.pledge_id,
            Pledge.expires_at.is_not(None),
            Pledge.state.in_((_S.INITIATED, _S.FUNDED)),
        ),
        begun,
    )
    unsettled = and_(
        Payment.status == PaymentState.CAPTURED,
        Payment.settled_at.is_(None),
        _comes_round(Payment.captured_at, _HOURLY, since),
    )
    late = and_(
        Payment.status == PaymentState.EXPIRED,
        Payment.expires_at > func.now() - _LATE_WITHIN,
        _comes_round(Payment.created_at, _DAILY, since),
    )
    rows = await session.scalars(
        select(Payment)
        .where(Payment.pledge_id.is_not(None), or_(waits, unsettled, late))
        .order_by(Payment.id)
        .limit(_MOST)
    )
    return [subject_of(row, row.path_id, row.pledge_id or "") for row in rows]


async def _cards(session: AsyncSession, since: int) -> list[Subject]:
    waits = and_(
        Pledge.state == _S.INITIATED,
        Pledge.expires_at.is_not(None),
        SavedCard.status.in_((CardState.REQUESTED, CardState.OPEN)),
        _awaited(SavedCard.created_at, since),
    )
    late = and_(
        Pledge.state.in_(sorted(ENDED)),
        SavedCard.status == CardState.RELEASED,
        SavedCard.ended_at > func.now() - _LATE_WITHIN,
        _comes_round(SavedCard.ended_at, _DAILY, since),
    )
    rows = await session.execute(
        select(SavedCard, Pledge.campaign_id, Pledge.id)
        .join(Pledge, Pledge.card_id == SavedCard.id)
        .where(or_(waits, late))
        .order_by(Pledge.id)
        .limit(_MOST)
    )
    return [subject_of(card, campaign_id, pledge_id) for card, campaign_id, pledge_id in rows]


async def _refunds(session: AsyncSession, since: int) -> list[Subject]:
    """On their way for days, or written down and never sent."""
    age = extract("epoch", func.now() - Refund.created_at)
    unsent = and_(
        Refund.status == RefundState.REQUESTED,
        Refund.failure_reason.is_(None),
        or_(
            and_(Path.phase.not_in(sorted(GIVES_BACK)), age >= _UNSENT_SECONDS),
            age >= _UNSENT_BY_RUN_SECONDS,
        ),
    )
    pending = and_(
        Refund.status == RefundState.PENDING, _comes_round(Refund.created_at, _DAILY, since)
    )
    rows = await session.execute(
        select(Refund)
        .join(Path, Path.id == Refund.path_id)
        .where(Refund.pledge_id.is_not(None), Refund.ended_at.is_(None), or_(unsent, pending))
        .order_by(Refund.id)
        .limit(_MOST)
    )
    return [refund_subject(row) for (row,) in rows]


def refund_subject(row: Refund, rows: tuple[int, ...] = ()) -> Subject:
    """The refund as something to look at."""
    ours = Ours(row.id, row.provider, row.operation_id, row.reference)
    return Subject(ours, row.path_id, row.pledge_id or "", rows)


async def _settled_campaigns(session: AsyncSession) -> Sequence[Path]:
    """Campaigns that wait for slow methods although none is left: whoever should have told them was interrupted."""
    rows = await session.scalars(
        select(Path)
        .where(
            Path.kind == "campaign",
            Path.phase == Phase.WAITING_FUNDS,
            ~exists().where(Pledge.campaign_id == Path.id, Pledge.state == _S.INITIATED),
        )
        .limit(_MOST)
    )
    return rows.all()


def _left_card() -> Select[str]:
    """Pledges that have ended and whose card nobody has released."""
    return (
        select(Pledge.id)
        .join(SavedCard, SavedCard.id == Pledge.card_id)
        .where(
            Pledge.state.in_(sorted(ENDED)),
            Pledge.expires_at.is_(None),
            SavedCard.status != CardState.RELEASED,
        )
    )


def _left_payment() -> Select[str]:
    """Pledges that wait for no payment, although a page to pay is open."""
    return (
        select(Pledge.id)
        .join(Payment, Payment.pledge_id == Pledge.id)
        .where(
            Pledge.state.in_(sorted({*ENDED, _S.FUNDED, _S.REFUNDING})),
            Pledge.expires_at.is_(None),
            Payment.status.in_(UNPAID),
        )
    )


def _mark_open(left: Select[str]) -> Update:
    """They are due: what is open of them is closed at the provider."""
    some = left.limit(_CLOSING).with_for_update(of=Pledge, skip_locked=True)
    return (
        update(Pledge)
        .where(Pledge.id.in_(some.scalar_subquery()))
        .values(expires_at=func.now())
        .execution_options(synchronize_session=False)
    )


def _comes_round(moment: _Moment, every: int, since: int) -> ColumnElement[bool]:
    """Whether a full `every` seconds since the moment ended in the last `since` seconds."""
    age = extract("epoch", func.now() - moment)
    return func.div(age, every) > func.div(age - since, every)


def _awaited(moment: _Moment, since: int) -> ColumnElement[bool]:
    """The same at a minute, two, four, … and once a day."""
    age = extract("epoch", func.now() - moment)

    def step(seconds: ColumnElement[int]) -> ColumnElement[int]:
        return func.floor(func.log(2, func.greatest(seconds, 1)) - func.log(2, _MINUTE))

    doubled = and_(age >= _MINUTE, step(age) > step(age - since))
    return or_(doubled, _comes_round(moment, _DAILY, since))
