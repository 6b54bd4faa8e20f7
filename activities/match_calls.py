"""The match call's transitions, each one transaction. Pledges are rows: no transition hears of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta

from temporalio import activity
from temporalio.client import Client

from activities.escrow import ask_for
from activities.gathering import gather_payouts
from activities.match_call_case import (
    Case,
    Change,
    back_to_sponsor,
    kept,
    load,
    payment_terms,
    settle,
    unmoved,
    wound_up,
)
from activities.match_hand_over import hand_over
from activities.match_spendings import (
    call_off_spendings,
    spending_approved,
    spending_asked,
    spending_lapsed,
    spending_refused,
)
from activities.transitions import lock_path, recall, require_not_paused, timers
from db import match_call_rows, match_due, match_queue
from db.engine import Database
from domain.errors import Forbidden, InvalidInput, WrongPhase
from domain.ids import new_id, step_key
from domain.match_call import HOLDS_BUDGET, Event, Phase, require_event
from domain.match_call_deadlines import phase_deadlines, top_up_deadline
from domain.match_call_messages import CallStep
from domain.path import Standing
from domain.payments import Purpose

_NEWS = {Event.SETTLED: frozenset({Phase.CLOSED}), Event.RESUMED: HOLDS_BUDGET}
"""What the platform brings about without a timer, and the phases in which it matters."""


class MatchCalls:
    """Activities of the match call. `payout_at_once`: released money may leave without a waiting time."""

    def __init__(self, database: Database, temporal: Client, *, payout_at_once: bool) -> None:
        self.database = database
        self.temporal = temporal
        self.payout_at_once = payout_at_once

    @activity.defn(name="move_match_call")
    async def move(self, step: CallStep) -> Standing:
        """Takes the match call through one transition with everything that belongs to it."""
        if step.event is Event.RESUMED:
            await self._hand_over(step)
        async with self.database.transaction() as session:
            path = await lock_path(session, step.call_id)
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
            if _has_moved(case) or (step.event is Event.RESUMED and path.paused_at is not None):
                return unmoved(case)
            require_not_paused(path)
            require_event(case.phase, case.event)
            standing = await settle(case, await _HAPPENS[step.event](case))
        if self.payout_at_once and step.event is Event.SPENDING_APPROVED:
            await gather_payouts(self.temporal, activity.info().task_queue)
        return standing

    async def _hand_over(self, step: CallStep) -> None:
        """Each campaign that has waited for the bank has its own transaction: its path is locked before any call."""
        async with self.database.transaction() as session:
            campaigns = await match_due.has_more_to_come(session, step.call_id)
        for campaign_id in campaigns:
            async with self.database.transaction() as session:
                await hand_over(session, campaign_id, step.key, step.at)


def _has_moved(case: Case) -> bool:
    """Whether a timer fired for a deadline that has moved or gone meanwhile, or news came too late to matter."""
    if case.act.actor != "system":
        return False
    if case.event in _NEWS:
        return case.phase not in _NEWS[case.event]
    due = (t for t in timers(case.path) if (t.event, t.subject) == (case.event, case.subject))
    return not any(each.passes_at <= case.at for each in due)


async def _funding_asked(case: Case) -> Change:
    """The draft becomes an offer: terms and rules fixed, and where to pay the budget."""
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
        payment_terms(case.terms),
        payment_id=payment_id,
        payer_id=case.terms.sponsor_id,
        purpose=Purpose.BUDGET,
        amount=case.terms.budget,
        expires_at=expires_at,
        description=f"Budget of the match call {case.terms.title}",
        operation_id=step_key(case.key, "payment"),
    )
    await case.session.flush()
    case.row.payment_id = payment_id
    return Change(
        phase=Phase.FUNDING,
        summary=f"The sponsor is asked for a budget of {case.money(case.terms.budget)}",
        collections=(collection,),
        deadlines=phase_deadlines(case.terms, Phase.FUNDING, expires_at),
    )


async def _top_up_asked(case: Case) -> Change:
    """The sponsor wants to add to the budget."""
    wish = case.act.top_up
    if wish is None:
        raise InvalidInput("no amount was named", field="amount")
    if await match_call_rows.pays_now(case.session, case.path.id):
        raise WrongPhase(
            "another top-up is being paid", field="phase", accepted="once it is paid or has lapsed"
        )
    expires_at = case.at + timedelta(seconds=wish.window_seconds)
    payment_id = new_id("pay")
    collection = ask_for(
        case.session,
        case.path,
        payment_terms(case.terms, wish.return_url),
        payment_id=payment_id,
        payer_id=case.terms.sponsor_id,
        purpose=Purpose.BUDGET,
        amount=wish.amount,
        expires_at=expires_at,
        description=f"More budget for the match call {case.terms.title}",
        operation_id=step_key(case.key, "payment"),
    )
    return Change(
        phase=case.phase,
        summary=f"The sponsor wants to add {case.money(wish.amount)}",
        collections=(collection,),
        deadlines=(*kept(case), top_up_deadline(payment_id, expires_at)),
        subject=payment_id,
    )


async def _cancelled(case: Case) -> Change:
    """Called off: before it has opened by the sponsor, later by operators only. What is not used goes back."""
    who = case.act.actor
    if case.phase is Phase.FUNDING:
        return Change(phase=Phase.CANCELLED, summary=f"Called off by the {who} before it opened")
    if who != "operator":
        raise Forbidden(
            "an open call is closed, not called off", accepted="operator, or to close it"
        )
    case.row.closed_at = case.at
    freed = await match_queue.free(case.session, [case.row]) + await call_off_spendings(case)
    left = case.row.budget.left
    change = Change(
        phase=Phase.CANCELLED,
        summary=(
            f"Called off by the {who}: {case.money(freed)} is promised no more, "
            f"{case.money(left)} goes back to the sponsor"
        ),
    )
    if left:
        await back_to_sponsor(case, change, left)
    return change


async def _time_up(case: Case) -> Change:
    return await wound_up(case, "Its time is up")


async def _closed(case: Case) -> Change:
    return await wound_up(case, "Closed by the sponsor")


async def _settled(case: Case) -> Change:
    return await wound_up(case, "Campaigns have been decided")


async def _resumed(case: Case) -> Change:
    """The bank has decided: who waits is served first, and a closed call gives back what is promised to nobody."""
    words = "The bank has decided, and what has waited for it is where it belongs"
    if case.phase is Phase.CLOSED:
        return await wound_up(case, words)
    await match_queue.settle(case.session, [case.row])
    return Change(phase=case.phase, summary=words, deadlines=kept(case))


async def _settlement_overdue(case: Case) -> Change:
    return await wound_up(case, "Looked again long after the end")


_HAPPENS: Mapping[Event, Callable[[Case], Awaitable[Change]]] = {
    Event.FUNDING_ASKED: _funding_asked,
    Event.TOP_UP_ASKED: _top_up_asked,
    Event.CANCELLED: _cancelled,
    Event.TIME_UP: _time_up,
    Event.CLOSED: _closed,
    Event.SETTLED: _settled,
    Event.RESUMED: _resumed,
    Event.SETTLEMENT_OVERDUE: _settlement_overdue,
    Event.SPENDING_ASKED: spending_asked,
    Event.SPENDING_APPROVED: spending_approved,
    Event.SPENDING_REFUSED: spending_refused,
    Event.SPENDING_LAPSED: spending_lapsed,
}
"""What each event does; the others are brought about by money."""
