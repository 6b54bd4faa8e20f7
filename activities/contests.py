"""The contest's transitions, each one transaction."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta

from temporalio import activity
from temporalio.client import Client

from activities import contest_choice as choice
from activities import contest_prizes as prizes
from activities.contest_case import Case, Change, load, settle, unmoved
from activities.contest_money import cancelled
from activities.escrow import PaymentTerms, ask_for
from activities.gathering import gather_payouts
from activities.transitions import lock_path, recall, timers
from db.engine import Database
from db.queries import file_access
from db.tables import LicenceSignature
from domain.contest import (
    ContestTerms,
    Event,
    Phase,
    least_extension,
    require_holdable,
)
from domain.contest_deadlines import deadlines
from domain.contest_messages import ContestStanding, ContestStep, FundingWish
from domain.errors import AmountOutOfRange, InvalidInput, LimitReached
from domain.ids import new_id, step_key
from domain.payments import Purpose

_UNPAID_EXTENSIONS = 5
"""So often an owner may change their mind; each asking is a payment of its own in the history."""
_RELEASES = frozenset(
    {
        Event.ACCEPTED,
        Event.ACCEPTANCE_LAPSED,
        Event.CHOOSING_LAPSED,
        Event.NOT_DECIDED,
        Event.VOTED,
        Event.RECOUNTED,
    }
)


class Contests:
    """Activities of the contest. `payout_at_once`: released money may leave without a waiting time."""

    def __init__(self, database: Database, temporal: Client, *, payout_at_once: bool) -> None:
        self.database = database
        self.temporal = temporal
        self.payout_at_once = payout_at_once

    @activity.defn(name="move_contest")
    async def move(self, step: ContestStep) -> ContestStanding:
        """Takes the contest through one transition with everything that belongs to it."""
        async with self.database.transaction() as session:
            path = await lock_path(session, step.contest_id)
            before = await recall(session, step.key, ContestStanding)
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
                return unmoved(case)
            standing = await settle(case, await _HAPPENS[step.event](case))
        if self.payout_at_once and step.event in _RELEASES:
            await gather_payouts(self.temporal, activity.info().task_queue)
        return standing


def _has_moved(case: Case) -> bool:
    """Whether a timer fired for a deadline that has moved or gone meanwhile."""
    if case.act.actor != "system":
        return False
    own = [timer for timer in timers(case.path) if timer.event]
    due = [t for t in own if (t.event, t.subject) == (case.event, case.subject)]
    timed = {Event.VOTED, Event.NOT_DECIDED, Event.RECOUNTED}
    return case.event not in timed and not any(t.passes_at <= case.at for t in due)


async def _funding_asked(case: Case) -> Change:
    """The draft becomes an offer: terms fixed, the owner's signature under the licence, and where to pay."""
    wish = case.act.funding
    if wish is None:
        raise InvalidInput("no way to pay was named", field="method")
    require_holdable(case.terms, wish.max_hold_seconds)
    expires_at = case.at + timedelta(seconds=wish.window_seconds)
    case.session.add(
        LicenceSignature(
            path_id=case.path.id,
            user_id=case.terms.owner_id,
            role="initiator",
            text_sha256=case.terms.licence_sha256,
            signed_at=case.at,
        )
    )
    collection = ask_for(
        case.session,
        case.path,
        _payment_terms(case.terms, wish),
        payment_id=case.path.id.replace("con_", "pay_", 1),
        payer_id=case.terms.owner_id,
        purpose=Purpose.BOUNTY,
        amount=case.terms.bounty,
        expires_at=expires_at,
        description=f"Bounty of the contest {case.terms.title}",
        operation_id=step_key(case.key, "payment"),
    )
    await case.session.flush()
    await file_access.grant(case.session, case.terms.file_ids, case.path.id, file_access.MEMBERS)
    return Change(
        phase=Phase.FUNDING,
        state=case.state,
        summary=f"The owner is asked to pay {case.money(case.terms.bounty)}",
        collections=(collection,),
        deadlines=deadlines(case.terms, case.state, Phase.FUNDING, expires_at, (), ()),
    )


async def _extension_asked(case: Case) -> Change:
    """The owner wants more time and is asked to add to the bounty."""
    wish, policy = case.act.funding, case.terms.policy
    if wish is None:
        raise InvalidInput("no way to pay was named", field="method")
    if case.state.extensions >= policy.extensions:
        raise LimitReached(
            f"the contest was extended {policy.extensions} times", accepted="no further extension"
        )
    if case.state.asked_extensions >= policy.extensions + _UNPAID_EXTENSIONS:
        raise LimitReached(
            "too many extensions were asked for and not paid", accepted="no further extension"
        )
    least = least_extension(case.terms)
    if case.act.amount < least:
        raise AmountOutOfRange(
            f"an extension adds at least {case.money(least)}",
            field="amount",
            accepted=f"{least} or more",
        )
    collection = ask_for(
        case.session,
        case.path,
        _payment_terms(case.terms, wish),
        payment_id=new_id("pay"),
        payer_id=case.terms.owner_id,
        purpose=Purpose.EXTENSION,
        amount=case.act.amount,
        expires_at=case.at + timedelta(seconds=wish.window_seconds),
        description=f"More bounty for the contest {case.terms.title}",
        operation_id=step_key(case.key, "payment"),
    )
    await case.session.flush()
    return Change(
        phase=Phase.OPEN,
        state=case.state.model_copy(update={"asked_extensions": case.state.asked_extensions + 1}),
        summary=f"The owner is asked to add {case.money(case.act.amount)} for more time",
        collections=(collection,),
    )


def _payment_terms(terms: ContestTerms, wish: FundingWish) -> PaymentTerms:
    return PaymentTerms(
        provider=wish.provider,
        return_url=wish.return_url,
        poll=terms.policy.poll,
        silence_seconds=terms.policy.provider_silence_seconds,
        refund_policy=terms.refund_policy,
    )


_HAPPENS: Mapping[Event, Callable[[Case], Awaitable[Change]]] = {
    Event.FUNDING_ASKED: _funding_asked,
    Event.EXTENSION_ASKED: _extension_asked,
    Event.ENTRIES_CLOSED: choice.entries_closed,
    Event.FINALISTS_PICKED: choice.finalists_picked,
    Event.PICKING_LAPSED: choice.picking_lapsed,
    Event.FINAL_ROUND_CLOSED: choice.final_round_closed,
    Event.NUDGED: choice.nudged,
    Event.TAKEN_BACK: choice.taken_back,
    Event.ANNOUNCED: choice.announced,
    Event.CHOOSING_LAPSED: choice.choosing_lapsed,
    Event.VOTED: choice.voted,
    Event.NOT_DECIDED: choice.not_decided,
    Event.RECOUNTED: choice.recounted,
    Event.NOTICE_PASSED: prizes.notice_passed,
    Event.OBJECTED: prizes.objected,
    Event.OBJECTION_DISMISSED: prizes.objection_dismissed,
    Event.OBJECTION_LAPSED: prizes.objection_lapsed,
    Event.ENTRY_VOIDED: prizes.entry_voided,
    Event.HANDED_OVER: prizes.handed_over,
    Event.HAND_OVER_LAPSED: prizes.hand_over_lapsed,
    Event.REVISION_ASKED: prizes.revision_asked,
    Event.ACCEPTED: prizes.accepted,
    Event.ACCEPTANCE_LAPSED: prizes.accepted,
    Event.REOPENED: prizes.reopened,
    Event.CANCELLED: cancelled,
}
