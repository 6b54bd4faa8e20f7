"""A pledge's row as it moves from state to state, with its seats, what match calls have reserved for it and the totals."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from db import campaign_seats, match_rows, pledge_stats
from db.match_rows import CampaignNow, PledgeFacts
from db.pledge_stats import Delta
from db.tables import Pledge, PledgeEvent
from domain.model import Message
from domain.pledge import STANDING, PledgeState, RewardState, Selection, require_next


class NewEvent(Message):
    """Something that happened to a pledge; `key` makes it happen once."""

    pledge_id: str
    key: str
    kind: str
    summary: str


def dropped(pledge: Pledge, why: str) -> NewEvent:
    """What a backer reads when their pledge is dropped."""
    return NewEvent(
        pledge_id=pledge.id,
        key=f"{pledge.id}/dropped",
        kind="dropped",
        summary=f"{why}; the pledge is dropped",
    )


def move(pledge: Pledge, wanted: PledgeState) -> None:
    """Takes the locked pledge to another state. Raises WrongPhase for an arrow that is not there."""
    require_next(pledge.state, wanted)
    pledge.state = wanted
    if wanted is PledgeState.COLLECTED:
        pledge.reward = RewardState.NONE if pledge.tier is None else RewardState.OWED
    elif wanted not in STANDING and pledge.reward in (RewardState.OWED, RewardState.LOCKED):
        pledge.reward = RewardState.NONE


def delta(
    pledge: Pledge, at: datetime, *, pledges: int = 0, amount: int = 0, paid: int = 0
) -> Delta:
    """A change of the totals under the pledge's tier as it is now; signed."""
    return Delta(
        campaign_id=pledge.campaign_id,
        tier=pledge.tier or 0,
        at=at,
        pledges=pledges,
        amount=amount,
        paid=paid,
    )


def went(pledge: Pledge, at: datetime) -> Delta:
    """What the totals lose when a pledge that stands stands no more; what was paid is counted until it goes back."""
    return delta(pledge, at, pledges=-1, amount=-pledge.amount)


def saved(pledge: Pledge, at: datetime) -> Delta:
    """The card of an initiated pledge is saved: it stands now."""
    move(pledge, PledgeState.SAVED)
    pledge.stands_since = at
    pledge.expires_at = None
    pledge.decline_reason = None
    return delta(pledge, at, pledges=1, amount=pledge.amount)


def rewrite(
    pledge: Pledge, selection: Selection, amount: int, shipping: int, at: datetime
) -> list[Delta]:
    """A pledge that stands is another one from now on. Answers what the totals change by; its seats are the caller's."""
    away, held = went(pledge, at), pledge.paid - pledge.refunded
    pledge.selection = selection.model_dump(mode="json")
    pledge.tier = selection.tier.number if selection.tier else None
    pledge.amount = amount
    pledge.shipping = shipping
    return [
        away.model_copy(update={"paid": -held}),
        delta(pledge, at, pledges=1, amount=amount, paid=held),
    ]


async def end(
    session: AsyncSession, pledges: Sequence[Pledge], state: PledgeState, at: datetime
) -> None:
    """Ends pledges of which no money is held: their seats and what match calls had reserved for them are free again."""
    deltas = []
    for pledge in pledges:
        if pledge.state in STANDING:
            deltas.append(went(pledge, at))
        move(pledge, state)
        pledge.expires_at = None
    await set_free(session, pledges)
    await pledge_stats.note(session, deltas)


async def set_free(session: AsyncSession, pledges: Sequence[Pledge]) -> None:
    """Gives free what was kept for pledges that stand no more: their seats, and what match calls had reserved."""
    await campaign_seats.free_those_of(session, pledges)
    await session.flush()
    await match_rows.free_pledges(session, [pledge.id for pledge in pledges])


def facts_of(pledge: Pledge) -> PledgeFacts:
    """The pledge as match calls see it."""
    return PledgeFacts(
        pledge_id=pledge.id,
        campaign_id=pledge.campaign_id,
        backer_id=pledge.backer_id,
        amount=pledge.amount,
        currency=pledge.currency,
    )


async def now_of(session: AsyncSession, campaign_id: str, goal: int) -> CampaignNow:
    """Where the campaign stands, minor units."""
    stands = await pledge_stats.standing(session, campaign_id)
    return CampaignNow(pledged=stands.amount, goal=goal)


async def happened(session: AsyncSession, key: str) -> bool:
    """Whether the event of this key is written."""
    found = await session.scalar(select(PledgeEvent.id).where(PledgeEvent.key == key))
    return found is not None


async def write_events(session: AsyncSession, events: Iterable[NewEvent]) -> None:
    """Writes events that are not written yet."""
    rows = [each.model_dump() for each in events]
    if rows:
        await session.execute(
            insert(PledgeEvent)
            .values(rows)
            .on_conflict_do_nothing(index_elements=[PledgeEvent.key])
        )
