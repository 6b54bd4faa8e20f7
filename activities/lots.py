"""The lot's transitions, each one transaction."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession
from temporalio import activity
from temporalio.client import Client

from activities import payees
from activities.escrow import ask_for
from activities.gathering import gather_payouts
from activities.inspections import ask_jury, open_inspection, rule
from activities.lot_case import Case, Change, load, payment_terms, settle, unmoved
from activities.transitions import lock_path, recall, require_not_paused, timers
from db import consents, inbox, inspection_series, lot_parcels, lot_rows
from db.admission import Arrival, admit
from db.engine import Database
from db.production_rows import terms_of
from db.queries import file_access, kinship
from db.tables import Lot, Path
from domain.errors import (
    Forbidden,
    InvalidInput,
    LimitReached,
    OutOfStock,
    SelfDealing,
    TooLate,
)
from domain.ids import new_id, step_key
from domain.lot import Course, Event, Moved, Parcel, Phase, require_claim, require_event
from domain.path import Collection, Standing
from domain.payments import Purpose
from domain.production import Event as OrderEvent
from domain.production import Phase as OrderPhase
from domain.production import ProductionTerms
from domain.production_messages import Claim, LotStep


class Lots:
    """Activities of the lot. `payout_at_once`: released money may leave without a waiting time."""

    def __init__(self, database: Database, temporal: Client, *, payout_at_once: bool) -> None:
        self.database = database
        self.temporal = temporal
        self.payout_at_once = payout_at_once

    @activity.defn(name="move_lot")
    async def move(self, step: LotStep) -> Standing:
        """Takes the lot through one transition with everything that belongs to it."""
        async with self.database.transaction() as session:
            before = await recall(session, step.key, Standing)
            if before is not None:
                return before
            if step.event is Event.CLAIMED:
                case = await _claimed(session, step)
                return await settle(case, await _begun(case))
            row = await lot_rows.lot_of(session, step.lot_id)
            await lot_rows.lock_order_path(session, row.order_id)
            path = await lock_path(session, step.lot_id)
            if before := await recall(session, step.key, Standing):
                return before
            case = await load(
                session, path, event=step.event, key=step.key, at=step.at, act=step.act
            )
            if _has_moved(case, step.subject):
                return unmoved(case)
            require_not_paused(path)
            require_event(case.phase, case.event)
            standing = await settle(case, await _HAPPENS.get(step.event, _happened)(case))
            await _heard(case)
        if self.payout_at_once and step.event in _RELEASES:
            await gather_payouts(self.temporal, activity.info().task_queue)
        return standing


# The claim.


async def _claimed(session: AsyncSession, step: LotStep) -> Case:
    """The units are the maker's: taken under the order's lock, or nothing is written.

    Raises WrongPhase, TooLate, OutOfStock, LimitReached, InvalidInput, SelfDealing, AccountFrozen, Forbidden.
    """
    claim = step.act.claim
    if claim is None:
        raise InvalidInput("say how many units", field="units")
    order_path = await _open_order(session, claim)
    order = await lot_rows.order_of(session, claim.order_id)
    terms = terms_of(order)
    require_claim(terms, claim.units, await lot_rows.open_units(session, claim.order_id))
    if not await lot_rows.take_units(session, claim.order_id, claim.units):
        raise OutOfStock(
            "somebody else was faster: so many units are not open",
            field="units",
            accepted=f"at most {await lot_rows.open_units(session, claim.order_id)}",
        )
    # From here on the order's row is locked: claims of one order come one after the other.
    known = await lot_rows.is_sample_known(session, claim.order_id, claim.maker_id)
    needs_sample = terms.wants_sample and not known
    await _require_maker(session, terms, claim, needs_sample=needs_sample)
    if needs_sample and not await lot_rows.reserve_sample(session, claim.order_id):
        raise OutOfStock("no more samples are paid for", field="units")
    path = Path(
        id=step.lot_id,
        kind="lot",
        workflow_id=step.key.partition("/")[0],
        initiator_id=claim.maker_id,
        currency=terms.currency,
        phase=Phase.SAMPLE,
        deadlines=[],
    )
    session.add(path)
    await session.flush()
    row = Lot(
        id=step.lot_id,
        order_id=claim.order_id,
        maker_id=claim.maker_id,
        broker_id=claim.broker_id,
        units=claim.units,
        course=Course(units=claim.units).model_dump(mode="json"),
        sample_file_ids=[],
        moves=0,
        heard_at=step.at,
    )
    session.add(row)
    await session.flush()
    return Case(
        session=session,
        path=path,
        row=row,
        order_path=order_path,
        order=order,
        event=step.event,
        key=step.key,
        at=step.at,
        act=step.act,
        sample_known=known,
    )


async def _open_order(session: AsyncSession, claim: Claim) -> Path:
    """The order's path, shared until the transaction ends, while lots of it can be claimed by the database's clock.

    What counts is when the claim arrived; the order closes after a grace in which it can be written down.
    """
    admitted = await admit(
        session, claim.order_id, Arrival(time.monotonic()), phases={OrderPhase.PUBLISHED}
    )
    ends = (t.due_at for t in timers(admitted.path) if t.event == OrderEvent.CLAIMS_OVER)
    ends_at = min(ends, default=None)
    if ends_at is not None and (claim.arrived_at or admitted.at) >= ends_at:
        raise TooLate(
            f"claims ended at {ends_at.isoformat()}", accepted=f"before {ends_at.isoformat()}"
        )
    return admitted.path


async def _require_maker(
    session: AsyncSession, terms: ProductionTerms, claim: Claim, *, needs_sample: bool
) -> None:
    """Raises what keeps somebody from taking this lot on."""
    taken = await lot_rows.taken(session, claim.order_id, claim.maker_id)
    # Units that lay idle cost others the chance to make them: from then on one lot after the other.
    most = 1 if taken.abandoned else terms.lots_at_once
    if taken.running >= most:
        raise LimitReached(
            f"{taken.running} lots of this order are running already",
            accepted=f"at most {most} at once{' after an abandoned one' if taken.abandoned else ''}",
        )
    if needs_sample:
        _require_first_sample(taken)
    others = [each for each in (terms.requester_id, terms.certifier_id) if each]
    for person in filter(None, (claim.maker_id, claim.broker_id)):
        if await kinship.tie(session, person, others):
            raise SelfDealing("nobody makes units for themselves, or inspects their own")
    if claim.broker_id is not None and not await consents.stands(
        session, claim.broker_id, claim.maker_id
    ):
        raise Forbidden(
            "a broker needs the worker's consent",
            field="for",
            accepted="workers who have agreed that you act for them",
        )
    for person in filter(None, (claim.maker_id, claim.broker_id)):
        await payees.require_active(session, person)
    await inspection_series.require_running(session, claim.maker_id, terms.requester_id)


def _require_first_sample(taken: lot_rows.Taken) -> None:
    """A maker is paid for one sample of an order. Raises LimitReached while it is looked at, and once it was refused."""
    if taken.samples_open:
        raise LimitReached(
            "your sample for this order is not approved yet",
            accepted="one sample at a time; more lots once it is approved",
        )
    if taken.samples_refused:
        raise LimitReached(
            "your sample for this order was not approved", accepted="lots of other orders"
        )


async def _begun(case: Case) -> Change:
    """The first phase that applies: a sample, the deposit, the materials, or the work at once."""
    return await _with_deposit(case, case.moved(), f"{case.course.units} units claimed")


# What needs more than the rules say.


async def _sample_seen(case: Case) -> Change:
    """The sample is approved, by word or by silence: the kit can be reserved."""
    return await _with_deposit(case, case.moved(), _words(case))


async def _with_deposit(case: Case, moved: Moved, words: str) -> Change:
    """The maker is asked for the deposit if the lot waits for it now."""
    change = Change(moved=moved, summary=words)
    if moved.phase is not Phase.KIT_RESERVED:
        return change
    amount = case.course.units * case.terms.deposit
    claim = case.act.claim
    window = (claim.window_seconds if claim else 0) or case.terms.policy.deposit_seconds
    change.pay_until = case.at + timedelta(seconds=window)
    change.summary += f"; a deposit of {case.money(amount)} is asked for"
    return_url = claim.return_url if claim else ""
    change.collections = (
        await _ask_for_deposit(case, amount, window, change.pay_until, return_url),
    )
    return change


async def _ask_for_deposit(
    case: Case, amount: int, window: int, until: datetime, return_url: str
) -> Collection:
    payment_id = new_id("pay")
    collection = ask_for(
        case.session,
        case.path,
        payment_terms(case, window, return_url),
        payment_id=payment_id,
        payer_id=case.row.maker_id,
        purpose=Purpose.DEPOSIT,
        amount=amount,
        expires_at=until,
        description=f"Deposit for the materials of {case.course.units} x {case.terms.title}",
        operation_id=step_key(case.key, "payment"),
    )
    await case.session.flush()
    case.row.payment_id = payment_id
    return collection


async def _sample_sent(case: Case) -> Change:
    case.row.sample_file_ids = list(case.act.file_ids)
    return await _happened(case)


async def _kit_sent(case: Case) -> Change:
    moved = case.moved()
    await lot_rows.note_kit(case.session, case.row, await _own_parcel(case))
    return Change(moved=moved, summary=_words(case))


async def _goods_sent(case: Case) -> Change:
    moved = case.moved()
    assert case.act.hand_in is not None
    parcel = await _own_parcel(case)
    await lot_rows.note_goods(case.session, case.row, parcel, case.act.hand_in)
    return Change(moved=moved, summary=_words(case))


async def _own_parcel(case: Case) -> Parcel:
    """What the goods travel as. Raises InvalidInput when another parcel travels under the number."""
    parcel = case.act.parcel or Parcel()
    await lot_parcels.take(case.session, case.row.id, parcel)
    return parcel


async def _goods_received(case: Case) -> Change:
    """The goods are there: an inspection begins, unless nothing was made."""
    moved = case.moved()
    if moved.phase is Phase.INSPECTING:
        case.row.inspection_id = await open_inspection(
            case.session, case.row, case.terms, moved.course, case.at
        )
    return Change(moved=moved, summary=_words(case))


async def _appealed(case: Case) -> Change:
    """A jury of peers is asked if the maker wants one and there are enough; otherwise operators name somebody."""
    # Jurors judge pictures of goods: what never arrived is for operators to find out.
    judged = case.act.jury and case.course.rejected and case.row.inspection_id is not None
    jury = await ask_jury(case.session, case.row, case.terms) if judged else None
    words = _words(case)
    if case.act.jury:
        case.row.ballot_id = jury.ballot_id if jury else None
        words += (
            "; a jury of three makers decides"
            if jury
            else "; no jury can be asked: operators decide, or name a second inspector"
        )
    return Change(moved=case.moved(), summary=words)


async def _ruled(case: Case) -> Change:
    await rule(case.session, case.row, case.act, case.at)
    return await _happened(case)


async def _happened(case: Case) -> Change:
    """An event about which the rules say everything."""
    return Change(moved=case.moved(), summary=_words(case))


async def _heard(case: Case) -> None:
    """What follows from who has spoken: the maker is heard of, files are shown to the other side, news is answered."""
    act = case.act
    if act.actor == "maker":
        case.row.heard_at = case.at
    if act.actor == "carrier":
        await inbox.consume(case.session, case.path.id)
    people = (case.terms.requester_id, case.terms.certifier_id, case.row.maker_id)
    for person in sorted(set(filter(None, people)) - {act.user_id}):
        await file_access.grant(case.session, act.file_ids, case.path.id, person)


def _has_moved(case: Case, subject: str) -> bool:
    """Whether a timer fired for a deadline that has moved or gone meanwhile, or an inspection that counts no more."""
    if case.event in (Event.INSPECTED, Event.INSPECTION_LAPSED):
        return case.phase is not Phase.INSPECTING or case.row.inspection_id != subject
    if case.act.actor != "system":
        return False
    due = (each for each in timers(case.path) if each.event == case.event)
    return not any(each.passes_at <= case.at for each in due)


def _words(case: Case) -> str:
    """The transition in words."""
    said, terms = case.said, case.terms
    sent = said.hand_in
    goods = f"{sent.made} made" if sent else "nothing"
    if sent and (sent.unused or sent.spoiled):
        goods += f", {sent.unused} unused, {sent.spoiled} spoiled"
    course = case.course
    ruled = course.rejected - course.gone if said.granted is None else said.granted
    decision = said.decision
    decided = (
        f"{decision.accepted} accepted, {decision.rework} to be mended, {decision.rejected} rejected"
        if decision
        else ""
    )
    return {
        Event.SAMPLE_SENT: "The maker shows a sample",
        Event.SAMPLE_APPROVED: "The sample is approved",
        Event.SAMPLE_SILENCE: "No word about the sample in time: it counts as approved",
        Event.SAMPLE_REFUSED: "The sample is refused; its fee is paid",
        Event.SAMPLE_LAPSED: "No sample has come in time",
        Event.WITHDRAWN: "The maker steps back",
        Event.CALLED_OFF: "Called off by operators",
        Event.KIT_SENT: "The materials are on their way",
        Event.KIT_NOT_SENT: "The materials were not sent in time",
        Event.KIT_RECEIVED: "The maker has the materials",
        Event.KIT_LOST: "The materials are lost: another kit has to be sent",
        Event.HEARTBEAT: "The work goes on",
        Event.SILENT: "No word from the maker for a while",
        Event.OVERDUE: "The goods are overdue: the maker is reminded",
        Event.EXTENDED: "The requester gives more time",
        Event.ABANDONED: "Nothing has come: the lot counts as abandoned",
        Event.GOODS_SENT: f"The goods are on their way: {goods}",
        Event.GOODS_RECEIVED: f"The goods are there: {goods}",
        Event.GOODS_LOST: f"The goods are lost under the label of the {terms.label}",
        Event.GOODS_DENIED: "Whoever should have the goods says that they never came",
        Event.KIT_CONTESTED: "The maker says that the materials are not as promised",
        Event.CONTEST_ADMITTED: "The requester agrees: these materials are not as promised",
        Event.KIT_RULED: f"The materials are {'' if said.as_promised else 'not '}as promised",
        Event.CONTEST_LAPSED: "Nobody has ruled on the materials: the maker's word counts",
        Event.INSPECTED: f"Inspected: {decided}",
        Event.INSPECTION_LAPSED: "Nobody has inspected in time: everything is accepted",
        Event.REWORK_LAPSED: "The units to be mended were not sent in time",
        Event.APPEALED: "The maker appeals against the rejected units",
        Event.APPEAL_WAIVED: "The maker agrees with the decision",
        Event.APPEAL_OVER: "No appeal in time: the decision stands",
        Event.RULED: f"The appeal is decided: {ruled} units are accepted after all",
        Event.RULING_LAPSED: f"No ruling in time: {ruled} units are accepted after all",
    }.get(case.event, str(case.event))


_RELEASES = frozenset(
    {
        Event.SAMPLE_APPROVED,
        Event.SAMPLE_SILENCE,
        Event.SAMPLE_REFUSED,
        Event.ABANDONED,
        Event.GOODS_RECEIVED,
        Event.GOODS_LOST,
        Event.GOODS_DENIED,
        Event.INSPECTED,
        Event.INSPECTION_LAPSED,
        Event.APPEAL_WAIVED,
        Event.APPEAL_OVER,
        Event.RULED,
        Event.RULING_LAPSED,
        Event.REWORK_LAPSED,
    }
)
"""After which somebody may have money to take out."""

_HAPPENS: Mapping[Event, Callable[[Case], Awaitable[Change]]] = {
    Event.SAMPLE_SENT: _sample_sent,
    Event.SAMPLE_APPROVED: _sample_seen,
    Event.SAMPLE_SILENCE: _sample_seen,
    Event.KIT_SENT: _kit_sent,
    Event.GOODS_SENT: _goods_sent,
    Event.GOODS_RECEIVED: _goods_received,
    Event.APPEALED: _appealed,
    Event.RULED: _ruled,
}
"""What needs more than the rules; for all others they say everything."""
