"""Pledges whose time is up: nobody has paid or saved a card, a change was not paid, or a page is open for nothing.

The page is closed at the provider first, so that who was faster counts; only then seats are given free.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from activities.pledge_locks import Held, hold
from activities.pledge_news import KEEPS_CARDS, UNPAID, IntakeNews, Subject
from activities.pledge_reads import Ours
from activities.resting import Resting
from db import campaign_seats, pledge_states
from db.pledge_states import NewEvent
from db.tables import Path, Payment, Pledge, SavedCard
from domain.errors import DomainError
from domain.money import format_money
from domain.pledge import ENDED, PAID, CardState, PendingChange, PledgeState

_AT_ONCE = 100
_CLOSABLE = sorted({*ENDED, PledgeState.INITIATED, *PAID, PledgeState.REFUNDING})
"""Before a success every change of a paid pledge is settled, so that none is left of a collected one; if one is, it ends
here."""
_S = PledgeState

log = structlog.get_logger()


@dataclass(frozen=True)
class _Due:
    """Pledges that are due, and what is open of them at the provider."""

    pledges: dict[str, list[str]]
    """By campaign."""
    payments: list[Subject]
    unsaved: list[Subject]
    """Cards that still count when they were saved first."""
    unwanted: list[Subject]


class PledgesDue:
    """Closes what is due. Not an activity: the intake uses it."""

    def __init__(self, news: IntakeNews) -> None:
        self.news = news
        self.database = news.database
        self._resting = Resting()
        """Pledges whose page could not be closed."""

    async def close(self) -> int:
        """One batch; how many pledges it has dealt with."""
        due = await self._due()
        if not due.pledges:
            return 0
        await self.news.payments(due.payments, close=True)
        await self.news.cards(due.unsaved, close=True)
        await self.news.cards(due.unwanted, close=True, also_saved=True)
        done = 0
        for campaign_id, ids in due.pledges.items():
            dealt_with = await self._settle(campaign_id, ids)
            self._resting.add(set(ids) - dealt_with)
            done += len(dealt_with)
        return done

    async def _settle(self, campaign_id: str, ids: Sequence[str]) -> set[str]:
        """Which of these pledges of one campaign need nothing more."""
        try:
            async with self.database.transaction() as session:
                held = await hold(session, campaign_id, ids)
                dealt_with = await _settle(session, held)
            async with self.database.transaction() as session:
                await _lapse(session, await hold(session, campaign_id, ids))
        except (DomainError, ValueError, DBAPIError) as wrong:
            log.error("pledges that are due", campaign=campaign_id, reason=str(wrong))
            return set()
        await self.news.tell_when_settled(held.path)
        return dealt_with

    async def _due(self) -> _Due:
        async with self.database.transaction() as session:
            rows = await session.execute(
                select(Pledge.id, Pledge.campaign_id, Pledge.state, Pledge.card_id, Path.phase)
                .join(Path, Path.id == Pledge.campaign_id)
                .where(
                    Pledge.expires_at <= func.now(),
                    Pledge.state.in_(_CLOSABLE),
                    Pledge.id.not_in(self._resting.now()),
                )
                .order_by(Pledge.expires_at)
                .limit(_AT_ONCE)
            )
            due = {row.id: row for row in rows}
            found = _Due({}, [], [], [])
            if not due:
                return found
            for row in due.values():
                found.pledges.setdefault(row.campaign_id, []).append(row.id)
            for payment in await session.scalars(
                select(Payment).where(Payment.pledge_id.in_(due), Payment.status.in_(UNPAID))
            ):
                found.payments.append(subject_of(payment, payment.path_id, payment.pledge_id or ""))
            of_card = {row.card_id: row for row in due.values() if row.card_id}
            for card in await session.scalars(
                select(SavedCard).where(
                    SavedCard.id.in_(of_card), SavedCard.status != CardState.RELEASED
                )
            ):
                row = of_card[card.id]
                counts = row.state == _S.INITIATED and row.phase in KEEPS_CARDS
                if row.state not in PAID:
                    part = found.unsaved if counts else found.unwanted
                    part.append(subject_of(card, row.campaign_id, row.id))
            return found


def subject_of(
    row: Payment | SavedCard, campaign_id: str, pledge_id: str, rows: tuple[int, ...] = ()
) -> Subject:
    """The payment or card as something to look at."""
    ours = Ours(row.id, row.provider, row.operation_id, row.reference)
    return Subject(ours, campaign_id, pledge_id, rows)


async def _settle(session: AsyncSession, held: Held) -> set[str]:
    """Pledges that nothing is open of any more end, or are as they are. Which were dealt with."""
    open_still = await _open(session, list(held.pledges.values()))
    done = {each for each in held.pledges if each not in open_still}
    over = []
    for pledge_id in sorted(done):
        pledge = held.pledges[pledge_id]
        if pledge.expires_at is None or pledge.expires_at > held.at or pledge.pending is not None:
            continue
        if pledge.state == _S.INITIATED:
            over.append(pledge)
        elif pledge.state in _CLOSABLE:
            pledge.expires_at = None
    await session.flush()
    await pledge_states.write_events(session, [_expired(each) for each in over])
    await pledge_states.end(session, over, _S.EXPIRED, held.at)
    return done


async def _open(session: AsyncSession, pledges: Sequence[Pledge]) -> set[str]:
    """Those of the pledges of which something is still open at the provider, as far as is known."""
    payments = await session.scalars(
        select(Payment.pledge_id).where(
            Payment.pledge_id.in_([each.id for each in pledges]), Payment.status.in_(UNPAID)
        )
    )
    found = {each for each in payments if each is not None}
    cards = {each.card_id: each for each in pledges if each.card_id and each.state not in PAID}
    kept = await session.scalars(
        select(SavedCard.id).where(SavedCard.id.in_(cards), SavedCard.status != CardState.RELEASED)
    )
    return found | {cards[each].id for each in kept if cards[each].expires_at is not None}


async def _lapse(session: AsyncSession, held: Held) -> None:
    """Changes that were not paid in time: the former choice stands, and seats beyond it are free."""
    open_still = await _open(session, list(held.pledges.values()))
    seats: dict[tuple[str, int], int] = {}
    events = []
    for pledge in held.pledges.values():
        if pledge.pending is None or pledge.id in open_still or not _is_due(pledge, held.at):
            continue
        change = PendingChange.model_validate(pledge.pending)
        pledge.pending = None
        pledge.expires_at = None
        events.append(_lapsed(pledge, change))
        for number, pieces in change.seats.items():
            key = (pledge.campaign_id, number)
            seats[key] = seats.get(key, 0) + pieces
    await session.flush()
    await pledge_states.write_events(session, events)
    await campaign_seats.free(session, seats)


def _is_due(pledge: Pledge, at: datetime) -> bool:
    return pledge.expires_at is not None and pledge.expires_at <= at


def _expired(pledge: Pledge) -> NewEvent:
    return NewEvent(
        pledge_id=pledge.id,
        key=f"{pledge.id}/expired/{pledge.expires_at:%Y%m%d%H%M%S%f}",
        kind="expired",
        summary="Not paid or saved in time; its seats are free",
    )


def _lapsed(pledge: Pledge, change: PendingChange) -> NewEvent:
    return NewEvent(
        pledge_id=pledge.id,
        key=f"{change.payment_id}/lapsed",
        kind="change_lapsed",
        summary=(
            f"The change to {format_money(change.amount, pledge.currency)} was not paid in time; "
            "the former choice stands"
        ),
    )
