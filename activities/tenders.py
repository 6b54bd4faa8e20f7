"""The tender's transitions, each one transaction."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncSession
from temporalio import activity
from temporalio.client import Client

from activities import payees
from activities.escrow import ask_for
from activities.gathering import gather_payouts
from activities.tender_case import (
    Case,
    Change,
    back_to_buyer,
    load,
    payment_terms,
    settle,
    unmoved,
)
from activities.tender_work import ask_for_payment, require_worker, worked
from activities.transitions import lock_path, recall, require_not_paused, timers
from db.engine import Database
from db.queries import file_access, kinship
from db.tables import Bid
from db.tender_rows import (
    LIVE,
    add_award,
    answer_award,
    count_live,
    forget_work,
    live_bids,
    store_work,
)
from domain.errors import AccountFrozen, InvalidInput, UnknownBid
from domain.ids import new_id, step_key
from domain.milestones import planned
from domain.path import Standing
from domain.payments import Purpose
from domain.tender import Award, Event, Phase, listing_fee, require_event, require_plan
from domain.tender_deadlines import milestone_deadlines, phase_deadlines
from domain.tender_messages import TenderStep

_RELEASES = frozenset({Event.APPROVED, Event.APPROVAL_LAPSED, Event.RULED, Event.RULING_LAPSED})


class Tenders:
    """Activities of the tender. `payout_at_once`: released money may leave without a waiting time."""

    def __init__(self, database: Database, temporal: Client, *, payout_at_once: bool) -> None:
        self.database = database
        self.temporal = temporal
        self.payout_at_once = payout_at_once

    @activity.defn(name="move_tender")
    async def move(self, step: TenderStep) -> Standing:
        """Takes the tender through one transition with everything that belongs to it."""
        async with self.database.transaction() as session:
            path = await lock_path(session, step.tender_id)
            before = await recall(session, step.key, Standing)
            if before is not None:
                return before
            case = await load(
                session,
                path,
                event=step.event,
                key=step.key,
                at=step.at,
                act=step.act,
                subject=step.subject,
            )
            if _has_moved(case):
                return await unmoved(case)
            require_not_paused(path)
            require_event(case.phase, case.event)
            standing = await settle(case, await _HAPPENS.get(step.event, worked)(case))
        if self.payout_at_once and step.event in _RELEASES:
            await gather_payouts(self.temporal, activity.info().task_queue)
        return standing


def _has_moved(case: Case) -> bool:
    """Whether a timer fired for a deadline that has moved or gone meanwhile."""
    if case.act.actor != "system":
        return False
    due = (t for t in timers(case.path) if (t.event, t.subject) == (case.event, case.subject))
    return not any(each.passes_at <= case.at for each in due)


async def _funding_asked(case: Case) -> Change:
    """The draft becomes an offer: terms and rules fixed, and where to pay the deposit."""
    wish = case.act.funding
    if wish is None:
        raise InvalidInput("no way to pay was named", field="method")
    case.terms = case.terms.model_copy(update={"rules": wish.rules})
    case.row.terms = case.terms.model_dump(mode="json")
    expires_at = case.at + timedelta(seconds=wish.window_seconds)
    payment_id = new_id("pay")
    collection = ask_for(
        case.session,
        case.path,
        payment_terms(case.terms, wish.window_seconds),
        payment_id=payment_id,
        payer_id=case.terms.buyer_id,
        purpose=Purpose.DEPOSIT,
        amount=case.terms.deposit,
        expires_at=expires_at,
        description=f"Deposit of the tender {case.terms.title}",
        operation_id=step_key(case.key, "payment"),
    )
    await case.session.flush()
    case.row.deposit_payment_id = payment_id
    return Change(
        phase=Phase.FUNDING,
        summary=f"The buyer is asked for a deposit of {case.money(case.terms.deposit)}",
        collections=(collection,),
        deadlines=phase_deadlines(case.terms, Phase.FUNDING, expires_at),
    )


async def _cancelled(case: Case) -> Change:
    """Called off before anybody was chosen; once people have bid, the buyer pays the listing fee."""
    who = case.act.actor
    if case.phase is Phase.FUNDING:
        return Change(phase=Phase.CANCELLED, summary=f"Called off by the {who} before it opened")
    bids = await count_live(case.session, case.path.id)
    free = bids == 0 or who != "initiator"
    return await _given_back(case, Phase.CANCELLED, f"Called off by the {who}", free=free)


async def _bidding_closed(case: Case) -> Change:
    """The seals are broken; a tender without bids is over."""
    bids = (await case.session.scalars(live_bids(case.path.id))).all()
    if not bids:
        return await _given_back(case, Phase.EXPIRED, "Nobody has bid", free=True)
    samples = [file_id for bid in bids for file_id in bid.file_ids]
    await file_access.grant(case.session, samples, case.path.id, case.terms.buyer_id)
    return _selecting(case, f"Bids are closed and opened to the buyer: {len(bids)}")


async def _selection_lapsed(case: Case) -> Change:
    return await _given_back(case, Phase.EXPIRED, "The buyer has chosen nobody", free=False)


async def _given_back(case: Case, phase: Phase, why: str, *, free: bool) -> Change:
    """The deposit goes back, less the listing fee unless that is forgone."""
    entries, back = ((), case.terms.deposit) if free else listing_fee(case.terms, case.key)
    fee = case.terms.deposit - back
    kept = f", {case.money(fee)} kept as listing fee" if fee else ""
    returns = []
    if back:
        returns.append(await back_to_buyer(case, back, case.terms.deposit_account))
    return Change(
        phase=phase,
        summary=f"{why}; {case.money(back)} of the deposit goes back{kept}",
        entries=list(entries),
        returns=returns,
    )


def _selecting(case: Case, why: str) -> Change:
    """The buyer has fresh time to choose."""
    case.row.worker_id = None
    case.row.reserves = []
    return Change(
        phase=Phase.SELECTING,
        summary=why,
        deadlines=phase_deadlines(case.terms, Phase.SELECTING, case.at),
    )


async def _awarded(case: Case) -> Change:
    """The buyer has chosen a bid, and perhaps others in reserve, each with its milestones."""
    award = case.act.award
    if award is None:
        raise InvalidInput("no bid was named", field="bid_id")
    wanted = (award, *case.act.reserves)
    if len({each.bid_id for each in wanted}) != len(wanted):
        raise InvalidInput("a bid is named twice", field="reserves", accepted="each bid once")
    bids = []
    for index, each in enumerate(wanted):
        field = f"reserves[{index - 1}]." if index else ""
        bid = await _live_bid(case.session, case.path.id, each.bid_id)
        if bid is None:
            raise UnknownBid(
                f"{each.bid_id} does not stand",
                field=f"{field}bid_id",
                accepted="a bid of the list",
            )
        require_plan(each, bid.price, f"{field}milestones")
        bids.append(bid)
    return await _offered(case, award, bids[0], case.act.reserves, "The buyer has chosen a bid")


async def _offered(
    case: Case, award: Award, bid: Bid, reserves: tuple[Award, ...], why: str
) -> Change:
    """The work is offered to a bidder."""
    await add_award(case.session, case.path.id, bid, award, case.at)
    case.row.worker_id = bid.bidder_id
    case.row.reserves = [each.model_dump(mode="json") for each in reserves]
    return Change(
        phase=Phase.AWARDED,
        summary=why,
        deadlines=phase_deadlines(case.terms, Phase.AWARDED, case.at, reserves=len(reserves)),
    )


async def _award_accepted(case: Case) -> Change:
    """The bidder takes the work on, and the buyer is asked to pay the first milestone."""
    require_worker(case)
    worker_id = case.row.worker_id
    assert worker_id is not None
    await payees.require_active(case.session, worker_id)
    award = await answer_award(case.session, case.path.id, "accepted", case.at)
    work = planned(Award.model_validate(award.plan).milestones)
    await store_work(case.session, case.row, work)
    first = work.milestone(1)
    return Change(
        phase=Phase.ACCEPTED,
        # Without the amount: the timeline is everybody's again if the bidder steps back.
        summary="The bidder takes the work on; the buyer is asked to pay milestone 1",
        collections=(await ask_for_payment(case, first),),
        deadlines=milestone_deadlines(
            case.terms, worker_id, work, case.at, frozenset({first.number})
        ),
        work=work,
    )


async def _award_declined(case: Case) -> Change:
    require_worker(case)
    await answer_award(case.session, case.path.id, "declined", case.at)
    return await _next_bidder(case, "The bidder does not take the work on")


async def _award_lapsed(case: Case) -> Change:
    await answer_award(case.session, case.path.id, "lapsed", case.at)
    return await _next_bidder(case, "The bidder did not answer")


async def _retracted(case: Case) -> Change:
    """The bidder steps back before anything was paid."""
    require_worker(case)
    await answer_award(case.session, case.path.id, "retracted", case.at)
    await forget_work(case.session, case.path.id)
    return await _next_bidder(case, "The bidder steps back")


async def _next_bidder(case: Case, why: str) -> Change:
    """The first in reserve who can still take the work on; without one the buyer chooses again."""
    reserves = tuple(Award.model_validate(each) for each in case.row.reserves)
    for index, award in enumerate(reserves):
        bid = await _live_bid(case.session, case.path.id, award.bid_id)
        if bid is not None and await _may_work(case, bid):
            rest = reserves[index + 1 :]
            return await _offered(case, award, bid, rest, f"{why}; the next in reserve is asked")
    return _selecting(case, f"{why}; the buyer chooses again")


async def _may_work(case: Case, bid: Bid) -> bool:
    """Whether a bidder in reserve is neither frozen nor, as has come out since, the buyer."""
    try:
        await payees.require_active(case.session, bid.bidder_id)
    except AccountFrozen:
        return False
    return await kinship.tie(case.session, bid.bidder_id, [case.terms.buyer_id]) is None


async def _live_bid(session: AsyncSession, tender_id: str, bid_id: str) -> Bid | None:
    bid = await session.get(Bid, bid_id, populate_existing=True)
    return bid if bid and (bid.tender_id, bid.status) == (tender_id, LIVE) else None


_HAPPENS: Mapping[Event, Callable[[Case], Awaitable[Change]]] = {
    Event.FUNDING_ASKED: _funding_asked,
    Event.CANCELLED: _cancelled,
    Event.BIDDING_CLOSED: _bidding_closed,
    Event.SELECTION_LAPSED: _selection_lapsed,
    Event.AWARDED: _awarded,
    Event.AWARD_ACCEPTED: _award_accepted,
    Event.AWARD_DECLINED: _award_declined,
    Event.AWARD_LAPSED: _award_lapsed,
    Event.RETRACTED: _retracted,
}
"""What each event does; all others concern one milestone."""
