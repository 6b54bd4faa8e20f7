"""The production order's transitions, each one transaction."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta

from temporalio import activity

from activities.escrow import ask_for
from activities.production_case import (
    Case,
    Change,
    closed,
    completed,
    goes_on,
    kept_on,
    load,
    payment_terms,
    settle,
    unmoved,
)
from activities.transitions import lock_path, recall, require_not_paused, timers
from db.engine import Database
from domain.errors import InvalidInput
from domain.ids import new_id, step_key
from domain.path import Standing
from domain.payments import Purpose
from domain.production import Event, Phase, require_event
from domain.production_deadlines import phase_deadlines
from domain.production_messages import ProductionStep


class Productions:
    """Activities of the production order. What it pays anybody goes through its lots, or the way it came."""

    def __init__(self, database: Database) -> None:
        self.database = database

    @activity.defn(name="move_production")
    async def move(self, step: ProductionStep) -> Standing:
        """Takes the order through one transition with everything that belongs to it."""
        async with self.database.transaction() as session:
            path = await lock_path(session, step.order_id)
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
            if case.event in (Event.LOOKED, Event.LOTS_OVER) and goes_on(case):
                return await _looked(case)
            return await settle(case, await _HAPPENS[step.event](case))


def _has_moved(case: Case) -> bool:
    """Whether a timer fired for a deadline that has moved or gone meanwhile."""
    if case.act.actor != "system" or case.event is Event.LOTS_OVER:
        return False
    due = (t for t in timers(case.path) if (t.event, t.subject) == (case.event, case.subject))
    return not any(each.passes_at <= case.at for each in due)


async def _looked(case: Case) -> Standing:
    """How far the order is, for operators. No event: nothing has happened to it, and an order is looked at often."""
    if case.event is Event.LOOKED:
        running = (*await kept_on(case), *(t for t in timers(case.path) if not t.event))
        case.path.deadlines = [each.model_dump(mode="json") for each in running]
    return await unmoved(case)


async def _funding_asked(case: Case) -> Change:
    """The draft becomes an offer: terms and rules fixed, and where to pay the wages in."""
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
        payer_id=case.terms.requester_id,
        purpose=Purpose.WAGES,
        amount=case.terms.to_fund,
        expires_at=expires_at,
        description=f"Wages of the production order {case.terms.title}",
        operation_id=step_key(case.key, "payment"),
    )
    await case.session.flush()
    case.row.payment_id = payment_id
    return Change(
        phase=Phase.FUNDING,
        summary=f"The requester is asked to pay {case.money(case.terms.to_fund)} in",
        collections=(collection,),
        deadlines=phase_deadlines(case.terms, Phase.FUNDING, expires_at),
    )


async def _cancelled(case: Case) -> Change:
    """Before it is paid the order was never there; later, by operators, what runs is finished."""
    who = case.act.actor
    if case.phase is Phase.FUNDING:
        words = f"Called off by the {who} before it was published"
        return Change(phase=Phase.CANCELLED, summary=words)
    return await closed(case, f"Called off by the {who}: nothing more can be claimed")


async def _claims_stopped(case: Case) -> Change:
    return await closed(case, f"Stopped by the {case.act.actor}: nothing more can be claimed")


async def _claims_over(case: Case) -> Change:
    return await closed(case, "The time for claims is over")


async def _lots_over(case: Case) -> Change:
    if case.units.open:
        return await completed(case, "The last lot is over")
    return await completed(case, "All units are made, and the last lot is over")


_HAPPENS: Mapping[Event, Callable[[Case], Awaitable[Change]]] = {
    Event.FUNDING_ASKED: _funding_asked,
    Event.CANCELLED: _cancelled,
    Event.CLAIMS_STOPPED: _claims_stopped,
    Event.CLAIMS_OVER: _claims_over,
    Event.LOTS_OVER: _lots_over,
    Event.LOOKED: _lots_over,
}
"""What each event does; all others come with a payment (activities.production_money)."""
