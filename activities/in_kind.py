"""The transitions of an offer in kind, each one transaction."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta

from temporalio import activity
from temporalio.client import Client

from activities import payees
from activities.escrow import PaymentTerms, ask_for
from activities.gathering import gather_payouts
from activities.in_kind_case import Case, Change, carried_out, load, settle, unmoved
from activities.transitions import lock_path, recall, require_not_paused, timers
from db.engine import Database
from db.in_kind_rows import PICKED, add_record, live_ask, pass_ask
from db.queries import file_access, kinship
from domain.errors import Forbidden, InvalidInput, SelfDealing
from domain.ids import new_id, step_key
from domain.in_kind import Event, Help, InKindTerms, Phase, published, require_event
from domain.in_kind_messages import InKindStep
from domain.in_kind_moves import Moved
from domain.path import Collection, Standing
from domain.payments import Purpose

_RELEASES = frozenset({Event.CLAIM_AGREED, Event.CLAIM_LAPSED, Event.RULED, Event.RULING_LAPSED})
_BY_ASKER = frozenset(
    {
        Event.CONFIRMED,
        Event.OBJECTED,
        Event.SENT_BACK,
        Event.CLAIM_AGREED,
        Event.CLAIM_CONTESTED,
    }
)
_SHOWN_TO_ASKER = frozenset({Event.HANDED_OVER, Event.CLAIMED})


class HelpInKind:
    """Activities of offers in kind. `payout_at_once`: released money may leave without a waiting time."""

    def __init__(self, database: Database, temporal: Client, *, payout_at_once: bool) -> None:
        self.database = database
        self.temporal = temporal
        self.payout_at_once = payout_at_once

    @activity.defn(name="move_in_kind")
    async def move(self, step: InKindStep) -> Standing:
        """Takes the offer through one transition with everything that belongs to it."""
        async with self.database.transaction() as session:
            path = await lock_path(session, step.in_kind_id)
            before = await recall(session, step.key, Standing)
            if before is not None:
                return before
            case = await load(
                session, path, event=step.event, key=step.key, at=step.at, act=step.act
            )
            if _has_moved(case):
                return unmoved(case)
            require_not_paused(path)
            require_event(case.phase, case.event)
            _require_asker(case)
            change = await _HAPPENS.get(step.event, _happened)(case)
            await _keep(case)
            standing = await settle(case, change)
        if self.payout_at_once and step.event in _RELEASES:
            await gather_payouts(self.temporal, activity.info().task_queue)
        return standing


def _has_moved(case: Case) -> bool:
    """Whether a timer fired for a deadline that has moved or gone meanwhile."""
    if case.act.actor != "system":
        return False
    due = (each for each in timers(case.path) if each.event == case.event)
    return not any(each.passes_at <= case.at for each in due)


def _require_asker(case: Case) -> None:
    """Raises Forbidden when somebody acts in the place of the one who was picked."""
    acts_as_asker = case.event in _BY_ASKER or (
        case.event is Event.CALLED_OFF and case.act.actor == "asker"
    )
    if acts_as_asker and case.act.user_id != case.row.asker_id:
        raise Forbidden("somebody else was picked", accepted="who was picked")


async def _published(case: Case) -> Change:
    """The draft becomes an offer: terms and rules are fixed, and its pictures are for everybody."""
    rules = case.act.rules
    if rules is None:
        raise InvalidInput("the rules are missing", field="rules")
    await payees.require_active(case.session, case.terms.supporter_id)
    case.terms = case.terms.model_copy(update={"rules": rules})
    case.row.terms = case.terms.model_dump(mode="json")
    await file_access.grant(case.session, case.terms.file_ids, case.path.id, file_access.MEMBERS)
    return Change(
        phase=Phase.OFFERED,
        course=published(case.terms, case.at),
        summary=f"A {_THING[case.terms.help]} is offered",
    )


async def _picked(case: Case) -> Change:
    """The supporter has picked one of those who ask; a borrower is asked for the deposit."""
    ask = await live_ask(case.session, case.path.id, case.act.ask_id or "")
    if ask is None:
        raise InvalidInput(
            "there is no such ask that stands", field="ask_id", accepted="an ask of the list"
        )
    await payees.require_active(case.session, ask.asker_id)
    if await kinship.tie(case.session, ask.asker_id, [case.terms.supporter_id]):
        raise SelfDealing("supporter and asker are the same person")
    said = case.act.said.model_copy(update={"asker_id": ask.asker_id})
    case.act = case.act.model_copy(update={"said": said})
    moved = case.moved()
    ask.status, ask.updated_at = PICKED, case.at
    # Without names: everybody who is picked later reads the timeline too.
    change = await carried_out(case, moved, "The supporter has picked somebody")
    if moved.phase is Phase.DEPOSIT:
        change.collections = (await _ask_for_deposit(case, ask.asker_id),)
        change.summary += f"; a deposit of {case.terms.money(case.terms.deposit)} is asked for"
    return change


async def _ask_for_deposit(case: Case, borrower_id: str) -> Collection:
    """The borrower is asked to pay the deposit."""
    policy = case.terms.policy
    payment_id = new_id("pay")
    collection = ask_for(
        case.session,
        case.path,
        _payment_terms(case.terms),
        payment_id=payment_id,
        payer_id=borrower_id,
        purpose=Purpose.DEPOSIT,
        amount=case.terms.deposit,
        expires_at=case.at + timedelta(seconds=policy.deposit_seconds),
        description=f"Deposit for the loan of {case.terms.title}",
        operation_id=step_key(case.key, "payment"),
    )
    await case.session.flush()
    case.row.payment_id = payment_id
    return collection


def _payment_terms(terms: InKindTerms) -> PaymentTerms:
    return PaymentTerms(
        provider=terms.rules.provider,
        return_url=terms.rules.return_url,
        poll=terms.policy.poll,
        silence_seconds=terms.policy.provider_silence_seconds,
        refund_policy=terms.rules.refund_policy,
    )


async def _called_off(case: Case) -> Change:
    """One side steps back before the handing over; only the supporter can take the offer back with it."""
    if case.act.actor == "asker":
        said = case.act.said.model_copy(update={"offer_again": True})
        case.act = case.act.model_copy(update={"said": said})
    return await _stepped_back(case, case.moved(), f"Called off by the {case.act.actor}")


async def _cancelled(case: Case) -> Change:
    return await _stepped_back(case, case.moved(), "Cancelled by an operator")


async def _hand_over_lapsed(case: Case) -> Change:
    return await _stepped_back(case, case.moved(), "The supporter has handed nothing over in time")


async def _stepped_back(case: Case, moved: Moved, why: str) -> Change:
    """Nobody is picked any more, and the whole deposit goes back."""
    asker_id = case.course.asker_id
    if moved.phase is Phase.OFFERED:
        why += "; it is offered to others again"
        if asker_id is not None:
            await pass_ask(case.session, case.path.id, asker_id, case.at)
    return await carried_out(case, moved, why)


async def _happened(case: Case) -> Change:
    """An event about which the rules say everything."""
    moved = case.moved()
    change = await carried_out(case, moved, _words(case, moved))
    if moved.phase is case.phase and case.event is not Event.EXTENDED:
        # A reminder that was given is not given again.
        change.running = tuple(t for t in timers(case.path) if t.event != case.event)
    elif moved.phase is case.phase and moved.phase is not Phase.LENT:
        change.running = timers(case.path)
    return change


async def _keep(case: Case) -> None:
    """What a person has said and shown, for the other side and the operators."""
    act = case.act
    if act.user_id is None or case.event in (Event.PUBLISHED, Event.PICKED):
        return
    await add_record(
        case.session,
        case.row,
        kind=case.event,
        made_by=act.actor,
        note=act.note,
        amount=act.said.amount,
        file_ids=act.file_ids,
        at=case.at,
    )
    if act.file_ids and case.row.asker_id is not None:
        to_asker = case.event in _SHOWN_TO_ASKER
        other_side = case.row.asker_id if to_asker else case.terms.supporter_id
        await file_access.grant(case.session, act.file_ids, case.path.id, other_side)


def _words(case: Case, moved: Moved) -> str:
    """The transition in words. What was said with it is in the records, for the people of the agreement."""
    thing = _THING[case.terms.help]
    done = "done" if case.terms.help is Help.TASK else "given"
    course = moved.course
    later = f"{course.due_at:%Y-%m-%d %H:%M} UTC" if course.due_at else ""
    claimed = case.terms.money(course.claimed) if course.claimed else ""
    nobody = "Nobody has answered in time"
    return {
        Event.WITHDRAWN: "The supporter has taken the offer back",
        Event.OFFER_LAPSED: "Nobody was picked in time",
        Event.HANDED_OVER: f"The {thing} was {'lent' if course.due_at else done}",
        Event.CONFIRMED: "The asker has confirmed it",
        Event.CONFIRMATION_LAPSED: "No objection in time: it counts as received",
        Event.OBJECTED: "The asker says that nothing has come",
        Event.FELL_DUE: "The loan is due today: the borrower is reminded",
        Event.OVERDUE: "The loan is overdue",
        Event.EXTENDED: f"The day of return was put off to {later}",
        Event.SENT_BACK: "The borrower has sent the loan back",
        Event.RETURN_CONFIRMED: "The lender has the loan back",
        Event.RETURN_LAPSED: f"{nobody}: the loan counts as returned",
        Event.OVERDUE_LAPSED: f"{nobody}: the loan counts as returned",
        Event.WRITTEN_OFF: "The lender has written the loan off",
        Event.CLAIMED: f"The lender claims {claimed} of the deposit",
        Event.CLAIM_AGREED: "The borrower agrees with the claim",
        Event.CLAIM_LAPSED: f"{nobody}: the claim stands",
        Event.CLAIM_CONTESTED: "The borrower contests the claim",
        Event.RULED: "Operators have ruled",
        Event.RULING_LAPSED: "No ruling in time",
    }.get(case.event, str(case.event))


_THING = {Help.MATERIAL: "material", Help.TASK: "task", Help.LOAN: "loan"}
_HAPPENS: Mapping[Event, Callable[[Case], Awaitable[Change]]] = {
    Event.PUBLISHED: _published,
    Event.PICKED: _picked,
    Event.CALLED_OFF: _called_off,
    Event.CANCELLED: _cancelled,
    Event.HAND_OVER_LAPSED: _hand_over_lapsed,
}
"""What needs more than the rules; for all others they say everything."""
