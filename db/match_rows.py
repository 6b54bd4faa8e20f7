"""What match calls add to the pledges of a campaign: promised, passed on, used and given back, as rows.

The campaign's own transactions call this, with the campaign's path locked. The calls concerned are locked here, sorted by
id, after paths, pledges and items, and before users and ledger accounts; from then on nobody else promises anything of
theirs until the transaction ends. Whichever function comes first in a transaction locks all calls that the campaign is not
decided for, so that a second one has none left to lock out of order. Amounts are minor units. Nothing here writes money.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast as assume

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Select,
    and_,
    case,
    cast,
    exists,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from db import match_due, match_lumps, match_queue
from db.match_queue import Promises
from db.queries import kinship
from db.tables import Campaign, MatchCall, MatchProject, MatchReservation, Path, Pledge
from domain.errors import InsufficientFunds
from domain.match_call import Mode, ProjectState, ReservationState, match_of
from domain.model import Message
from domain.money import format_money
from domain.pledge import PAID, STANDING, PledgeState


class PledgeFacts(Message):
    """A pledge as match calls see it."""

    pledge_id: str
    campaign_id: str
    backer_id: str
    amount: int
    """Minor units."""
    currency: str


class CampaignNow(Message):
    """Where a campaign stands before this pledge, minor units."""

    pledged: int
    goal: int


class Matched(Message):
    """Money of one call for one campaign, minor units."""

    call_id: str
    amount: int
    currency: str


async def reserve(session: AsyncSession, pledge: PledgeFacts, now: CampaignNow) -> int:
    """Reserves what every call adds to a pledge that is being made, and lump sums that it makes due.

    To be called inside the pledge's transaction, the campaign's path share-locked and the pledge's row flushed. A call
    that is closed, paused or in another currency reserves nothing; one without money left lets the pledge wait for what
    becomes free. Repeated for the same pledge it reserves nothing more. Answers what was reserved.
    """
    calls = await _undecided(session, pledge.campaign_id)
    calls = [each for each in calls if match_queue.terms_of(each).currency == pledge.currency]
    if not calls:
        return 0
    answers = await match_queue.promises(session, calls)
    by_id = {each.id: each for each in calls if answers[each.id] is Promises.YES}
    for call in by_id.values():
        if call.to_pass_on:
            await match_queue.pass_on(session, call)
    own = await _self_dealing(session, pledge, list(by_id.values()))
    total = 0
    for project in await _projects(session, pledge.campaign_id, by_id):
        call = by_id[project.call_id]
        if match_queue.terms_of(call).offer.mode is Mode.LUMP:
            total += await match_lumps.with_pledge(
                session, call, project, pledge.pledge_id, now.pledged + pledge.amount, now.goal
            )
        elif call.id not in own:
            total += await _for_pledge(session, call, project, pledge)
    await session.flush()
    return total


async def reserve_lumps(session: AsyncSession, campaign_id: str) -> int:
    """Reserves the lump sums that the campaign's pledges make due together, though none of them did when it was made.

    A pledge that is made sees none that are not saved or paid yet: the last two may each have been one too few. So
    whoever decides about the campaign looks again, holding its path alone. Money under way counts: whether the sum is
    due without it is asked when it is counted (db.match_due). Repeated it reserves nothing more. Answers what was reserved.
    """
    calls = await _undecided(session, campaign_id)
    lumps = {each.id: each for each in calls if match_queue.terms_of(each).offer.mode is Mode.LUMP}
    if not lumps:
        return 0
    answers = await match_queue.promises(session, list(lumps.values()))
    takes = {key: call for key, call in lumps.items() if answers[key] is Promises.YES}
    offers = {key: match_queue.terms_of(call).offer for key, call in takes.items()}
    due = await match_due.lumps_due(
        session, campaign_id, offers, STANDING | {PledgeState.INITIATED}
    )
    for call in takes.values():
        if call.to_pass_on:
            await match_queue.pass_on(session, call)
    total = 0
    for project in await _projects(session, campaign_id, takes):
        if project.call_id in due:
            total += await match_lumps.reserve(session, takes[project.call_id], project)
    await session.flush()
    return total


async def free_pledges(session: AsyncSession, pledge_ids: Sequence[str]) -> int:
    """Pledges that ended before their campaign was decided: what was reserved for them is free, exactly once.

    It goes on to those who wait. Called with up to a thousand at once. Answers how much became free.
    """
    campaigns = select(Pledge.campaign_id).where(match_queue.among(Pledge.id, pledge_ids))
    calls = await match_queue.lock(
        session,
        _calls_of(MatchProject.campaign_id.in_(campaigns), MatchProject.decided_at.is_(None)),
    )
    if not calls:
        return 0
    freed = await match_queue.free(session, calls, match_queue.among(_PLEDGE, pledge_ids))
    await match_queue.settle(session, calls)
    return freed


async def reprice(session: AsyncSession, pledge: PledgeFacts, now: CampaignNow) -> int:
    """The pledge has another amount now; `now` is the campaign without it.

    What it gets less of is passed on. For more it waits at the end of the queue, unless there is money at once; of a
    call that is closed or paused it gets no more. Answers what stands reserved for it afterwards.
    """
    calls = await _undecided(session, pledge.campaign_id)
    if not calls:
        return 0
    answers = await match_queue.promises(session, calls)
    by_id = {each.id: each for each in calls}
    rows = await session.scalars(
        select(MatchReservation)
        .where(
            MatchReservation.pledge_id == pledge.pledge_id,
            MatchReservation.call_id.in_(by_id),
            MatchReservation.state == ReservationState.RESERVED,
        )
        .execution_options(populate_existing=True)
    )
    for row in rows.all():
        call = by_id[row.call_id]
        await _rewant(session, call, row, pledge.amount, answers[call.id] is Promises.YES)
    await session.flush()
    await match_queue.settle(session, calls)
    for project in await _projects(session, pledge.campaign_id, by_id):
        call = by_id[project.call_id]
        lump = match_queue.terms_of(call).offer.mode is Mode.LUMP
        if lump and answers[call.id] is Promises.YES:
            await match_lumps.with_pledge(
                session, call, project, pledge.pledge_id, now.pledged + pledge.amount, now.goal
            )
    await session.flush()
    stands = await session.scalar(
        select(cast(func.coalesce(func.sum(MatchReservation.amount), 0), BigInteger)).where(
            MatchReservation.pledge_id == pledge.pledge_id,
            MatchReservation.state == ReservationState.RESERVED,
        )
    )
    return int(stands or 0)


async def matched(session: AsyncSession, campaign_id: str) -> int:
    """What stands reserved for the campaign or, once it has succeeded, was used for it and not given back."""
    promised = case((Campaign.succeeded_at.is_(None), MatchProject.reserved), else_=0)
    total = await session.scalar(
        select(cast(func.coalesce(func.sum(promised + MatchProject.used), 0), BigInteger))
        .join(Campaign, Campaign.id == MatchProject.campaign_id)
        .where(MatchProject.campaign_id == campaign_id)
    )
    return int(total or 0)


async def use(session: AsyncSession, campaign_id: str) -> tuple[Matched, ...]:
    """The campaign has succeeded: what is reserved for pledges that are paid is used, all else is freed.

    What becomes free is passed on first, so that paid pledges of this campaign that wait get their turn. Lump sums are
    checked a last time against what was collected. The caller posts each with domain.postings_match.match_used. Nothing is
    promised to the campaign from now on; a second call answers nothing.

    Of calls in doubt (db.match_due.in_doubt) nothing is used: what they have reserved for paid pledges waits until the
    bank has decided, and this is called once more then.
    """
    calls = await _undecided(session, campaign_id)
    if not calls:
        return ()
    here = MatchReservation.campaign_id == campaign_id
    is_paid = exists().where(Pledge.id == MatchReservation.pledge_id, Pledge.state.in_(PAID))
    doubtful = await match_due.in_doubt(session, [each.id for each in calls])
    undue = await match_lumps.not_due(session, campaign_id, calls)
    await match_queue.free(
        session,
        calls,
        here,
        or_(
            and_(MatchReservation.pledge_id.is_not(None), ~is_paid),
            and_(MatchReservation.pledge_id.is_(None), MatchReservation.call_id.in_(undue)),
        ),
    )
    await match_queue.settle(session, calls)
    sound = [each for each in calls if each.id not in doubtful]
    used = await match_queue.use_up(session, sound, here, MatchReservation.amount > 0)
    # Those that still wait have waited in vain.
    await match_queue.free(session, sound, here)
    await _decide(session, campaign_id, sound)
    return tuple(
        Matched(call_id=call.id, amount=used[call.id], currency=match_queue.terms_of(call).currency)
        for call in sound
        if used[call.id]
    )


async def free_campaign(session: AsyncSession, campaign_id: str) -> int:
    """The campaign has failed, or was called off before its success: all is freed and passed on. Answers how much."""
    calls = await _undecided(session, campaign_id)
    if not calls:
        return 0
    await _decide(session, campaign_id, calls)
    freed = await match_queue.free(session, calls, MatchReservation.campaign_id == campaign_id)
    await match_queue.settle(session, calls)
    return freed


async def give_back(session: AsyncSession, campaign_id: str, amounts: Sequence[Matched]) -> None:
    """The campaign stopped after its success: so much of what was used goes back to the calls, and on to those who wait.

    The caller posts each with domain.postings_match.match_returned. Raises InsufficientFunds for more than was used.
    """
    given = {each.call_id: each.amount for each in amounts if each.amount}
    locked = {each.id: each for each in await lock_for_return(session, campaign_id)}
    known = {each.call_id: each for each in await used(session, campaign_id)}
    for call_id, amount in given.items():
        had = known.get(call_id)
        if had is None or amount > had.amount:
            held = format_money(had.amount, had.currency) if had else "nothing"
            raise InsufficientFunds(f"{campaign_id} has used {held} of {call_id}")
    calls = [locked[call_id] for call_id in sorted(given)]
    for call in calls:
        amount = given[call.id]
        match_queue.book(call, used=-amount)
        await match_queue.book_project(
            session, call.id, campaign_id, used=-amount, given_back=amount
        )
    await session.flush()
    await match_queue.settle(session, calls)


async def lock_for_return(session: AsyncSession, campaign_id: str) -> list[MatchCall]:
    """Locks the calls whose money the campaign has used, their paths first: what a closed one gets back goes on from it.

    To be called before users and ledger accounts are locked. Nobody who holds the path of a call waits for a campaign or
    for a pledge, so their paths may be locked after pledges.
    """
    ids = [each.call_id for each in await used(session, campaign_id)]
    await session.execute(
        select(Path.id).where(Path.id.in_(ids)).order_by(Path.id).with_for_update()
    )
    return await match_queue.lock(
        session,
        _calls_of(
            MatchProject.campaign_id == campaign_id,
            or_(MatchProject.used > 0, MatchProject.decided_at.is_(None)),
        ),
    )


async def used(session: AsyncSession, campaign_id: str) -> tuple[Matched, ...]:
    """What was used for the campaign and not given back, by call."""
    rows = await session.execute(
        select(MatchProject.call_id, MatchProject.used, Path.currency)
        .join(Path, Path.id == MatchProject.call_id)
        .where(MatchProject.campaign_id == campaign_id, MatchProject.used > 0)
        .order_by(MatchProject.call_id)
    )
    return tuple(
        Matched(call_id=call_id, amount=amount, currency=currency)
        for call_id, amount, currency in rows
    )


async def involved(session: AsyncSession, campaign_id: str) -> tuple[str, ...]:
    """The calls that the campaign was accepted in: their stories are told when it is decided."""
    rows = await session.scalars(
        select(MatchProject.call_id)
        .where(MatchProject.campaign_id == campaign_id, _ACCEPTED)
        .order_by(MatchProject.call_id)
    )
    return tuple(rows)


_PLEDGE = assume("InstrumentedAttribute[str]", MatchReservation.pledge_id)
_ACCEPTED = MatchProject.state == ProjectState.ACCEPTED


async def _undecided(session: AsyncSession, campaign_id: str) -> list[MatchCall]:
    """The calls that the campaign is accepted in and has not been decided for, locked."""
    return await match_queue.lock(
        session,
        _calls_of(MatchProject.campaign_id == campaign_id, MatchProject.decided_at.is_(None)),
    )


def _calls_of(*conditions: ColumnElement[bool]) -> Select[str]:
    """Calls in which campaigns that meet the conditions were accepted."""
    return select(MatchProject.call_id).where(_ACCEPTED, *conditions)


async def _projects(
    session: AsyncSession, campaign_id: str, calls: dict[str, MatchCall]
) -> Sequence[MatchProject]:
    """The campaign in these locked calls, in the order in which it was accepted."""
    rows = await session.scalars(
        select(MatchProject)
        .where(
            MatchProject.campaign_id == campaign_id,
            MatchProject.call_id.in_(calls),
            _ACCEPTED,
            MatchProject.decided_at.is_(None),
        )
        .order_by(MatchProject.accepted_at, MatchProject.call_id)
        .execution_options(populate_existing=True)
    )
    return rows.all()


async def _self_dealing(
    session: AsyncSession, pledge: PledgeFacts, calls: Sequence[MatchCall]
) -> set[str]:
    """Calls that do not match this pledge: its backer counts as the sponsor, or as the campaign's creator."""
    sponsors = {call.id: match_queue.terms_of(call).sponsor_id for call in calls}
    if not sponsors:
        return set()
    creator = await session.scalar(select(Path.initiator_id).where(Path.id == pledge.campaign_id))
    others = {*sponsors.values(), creator or ""}
    tied = {each.other_id for each in await kinship.ties(session, pledge.backer_id, others)}
    if creator in tied:
        return set(sponsors)
    return {call_id for call_id, sponsor in sponsors.items() if sponsor in tied}


async def _for_pledge(
    session: AsyncSession, call: MatchCall, project: MatchProject, pledge: PledgeFacts
) -> int:
    offer = match_queue.terms_of(call).offer
    wanted = offer.wanted(pledge.amount)
    if not wanted:
        return 0
    person = {}
    if offer.per_person_cap is not None:
        person = await match_queue.promised_to(session, call.id, {pledge.backer_id})
    amount = match_of(
        offer,
        wanted,
        project=project.reserved + project.used,
        person=person.get(pledge.backer_id, 0),
        left=call.budget.left,
    )
    return await match_queue.enqueue(
        session,
        call,
        project.campaign_id,
        wanted=wanted,
        amount=amount,
        pledge_id=pledge.pledge_id,
        backer_id=pledge.backer_id,
    )


async def _rewant(
    session: AsyncSession, call: MatchCall, row: MatchReservation, pledged: int, may_grow: bool
) -> None:
    """What the rule gives for the new amount; a raise of what is wanted waits at the end of the queue."""
    wanted = match_queue.terms_of(call).offer.wanted(pledged)
    if wanted > row.wanted:
        if may_grow:
            call.positions += 1
            row.wanted, row.position = wanted, call.positions
        return
    less = max(0, row.amount - wanted)
    row.amount -= less
    if wanted == 0:
        row.state = ReservationState.FREED
    else:
        row.wanted = wanted
    if less:
        match_queue.book(call, reserved=-less)
        await match_queue.book_project(session, call.id, row.campaign_id, reserved=-less)


async def _decide(session: AsyncSession, campaign_id: str, calls: Sequence[MatchCall]) -> None:
    """The campaign is decided: no call promises it anything any more."""
    await session.execute(
        update(MatchProject)
        .where(
            MatchProject.campaign_id == campaign_id,
            MatchProject.call_id.in_([each.id for each in calls]),
            _ACCEPTED,
        )
        .values(decided_at=func.clock_timestamp())
        .execution_options(synchronize_session=False)
    )
