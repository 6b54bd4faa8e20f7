"""The transitions of a return, each one transaction together with the money of its sale."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession
from temporalio import activity
from temporalio.client import Client

from activities.gathering import gather_payouts
from activities.return_money import Case, end, preview
from activities.sale_money import (
    PartOf,
    bank_has_money,
    left,
    lock,
    note,
)
from activities.sales import sale_of
from activities.transitions import advance, close_when_empty, lock_path, recall, timers
from db import inbox, parcels, return_rows
from db.engine import Database
from db.queries import file_access
from db.return_rows import course_of, earlier_lines, terms_of
from db.tables import Path, SaleReturn
from domain.cases import RefundCase
from domain.deadlines import Deadline
from domain.errors import LimitReached, NotFound, WrongPhase
from domain.parcels import LabelPayer
from domain.path import Standing
from domain.payments import RefundCause
from domain.returns import (
    FINAL,
    MOST_RETURNS,
    Course,
    Event,
    OpenReturn,
    Phase,
    Reason,
    ReturnAct,
    ReturnStep,
    ReturnTerms,
    WantedLine,
    after,
    deadlines,
    due_at,
    opened,
    part,
    priced,
    require_open_window,
    require_part,
    require_possible,
)
from domain.sale import Phase as SalePhase

_BANK_DECIDES = timedelta(days=1)
"""So long a return whose time is up waits for the buyer's bank, again and again, before money goes back."""
_RETURNABLE = frozenset({SalePhase.DELIVERED, SalePhase.COMPLETED})


class Returns:
    """Activities of returns. `payout_at_once`: released money may leave without a waiting time."""

    def __init__(self, database: Database, temporal: Client, *, payout_at_once: bool) -> None:
        self.database = database
        self.temporal = temporal
        self.payout_at_once = payout_at_once

    @activity.defn(name="move_return")
    async def move(self, step: ReturnStep) -> Standing:
        """Takes the return through one transition with everything that belongs to it."""
        async with self.database.transaction() as session:
            sale_path = await lock_path(session, step.opening.sale_id)
            before = await recall(session, step.key, Standing)
            if before is not None:
                return before
            if step.event is Event.OPENED:
                standing = await _opened(session, sale_path, step)
            else:
                standing = await _moved(session, sale_path, step)
        if self.payout_at_once and standing.over:
            await gather_payouts(self.temporal, activity.info().task_queue)
        return standing


async def hand_to_dispute(
    session: AsyncSession, sale_path: Path, return_id: str, key: str, actor: str, at: datetime
) -> Standing:
    """A dispute decides about the return's money now: what the return had locked is free for the dispute to lock."""
    path = await lock_path(session, return_id)
    row = await session.get_one(SaleReturn, return_id, populate_existing=True)
    terms = terms_of(row)
    opening = OpenReturn(
        return_id=terms.return_id,
        sale_id=terms.sale_id,
        buyer_id=terms.buyer_id,
        reason=terms.reason,
        remedy=terms.remedy,
        lines=tuple(WantedLine(line=e.line, quantity=e.quantity) for e in terms.lines),
    )
    step = ReturnStep(
        opening=opening,
        workflow_id=path.workflow_id,
        key=key,
        event=Event.DISPUTED,
        act=ReturnAct(actor=actor),
        at=at,
    )
    return await _moved(session, sale_path, step)


async def _opened(session: AsyncSession, sale_path: Path, step: ReturnStep) -> Standing:
    """The return begins: its price is fixed, and what is still in escrow stays there."""
    wish = step.opening
    sale = await sale_of(session, wish.sale_id)
    gives = wish.reason is Reason.GOODWILL
    cause = RefundCause.GOODWILL if gives else RefundCause.RETURN
    of_sale = PartOf(session, sale_path, sale, cause, wish.return_id)
    terms = await _agreed(of_sale, wish, step.at)
    path = Path(
        id=terms.return_id,
        kind="return",
        workflow_id=step.workflow_id,
        initiator_id=terms.buyer_id,
        currency=terms.currency,
        phase=Phase.ASKED,
    )
    session.add(path)
    await session.flush()
    row = SaleReturn(
        id=terms.return_id,
        sale_id=sale.id,
        buyer_id=sale.buyer_id,
        seller_id=sale.seller_id,
        terms=terms.model_dump(mode="json"),
        course=Course().model_dump(mode="json"),
        locked={str(k): v for k, v in (await lock(of_sale, part(terms, terms.total))).items()},
        moves=0,
    )
    session.add(row)
    await session.flush()
    await file_access.grant(session, terms.file_ids, path.id, terms.seller_id)
    case = Case(session, path, row, of_sale, terms, Course(), step)
    words = _opening_words(case)
    if not gives:
        note(
            of_sale,
            key=f"{step.key}/opened",
            kind="return_opened",
            actor="buyer",
            summary=words,
            reopen=False,
        )
    return await _settle(case, opened(terms), words)


async def _agreed(of_sale: PartOf, wish: OpenReturn, at: datetime) -> ReturnTerms:
    """What goes back, with its price. Raises InvalidInput, LimitReached, TooLate and WrongPhase."""
    session, sale, sold = of_sale.session, of_sale.sale, of_sale.terms
    gives = wish.reason is Reason.GOODWILL
    if of_sale.phase not in _RETURNABLE:
        raise WrongPhase(
            f"goods of a sale that is {of_sale.phase} cannot be sent back",
            field="phase",
            accepted="delivered or completed",
        )
    if not gives:
        require_open_window(sold, wish.reason, sale.delivered_at, sale.completed_at, at)
    if await return_rows.count(session, sale.id) >= MOST_RETURNS:
        raise LimitReached(
            f"a sale has at most {MOST_RETURNS} returns", accepted="writing to the other side"
        )
    before = await earlier_lines(session, sale.id)
    return ReturnTerms(
        return_id=wish.return_id,
        sale_id=sale.id,
        buyer_id=sale.buyer_id,
        seller_id=sale.seller_id,
        currency=sold.currency,
        reason=wish.reason,
        remedy=wish.remedy,
        lines=priced(sold, wish.reason, wish.lines, before, await left(of_sale)),
        delivery=sold.delivery,
        policy=sold.return_policy,
        refund_policy=sold.refund_policy,
        given=wish.amount if gives else 0,
        note=wish.note,
        file_ids=wish.file_ids,
    )


def _opening_words(case: Case) -> str:
    terms = case.terms
    pieces = sum(each.quantity for each in terms.lines)
    words = f"{pieces} pieces are to go back, {case.money(terms.total)}: {terms.reason}"
    if terms.reason is Reason.GOODWILL:
        words = f"The seller gives {case.money(terms.total)} back of their own accord"
    return f"{words}: {terms.note}" if terms.note else words


async def _moved(session: AsyncSession, sale_path: Path, step: ReturnStep) -> Standing:
    path = await lock_path(session, step.opening.return_id)
    row = await session.get(SaleReturn, path.id, populate_existing=True)
    if row is None:
        raise NotFound(f"there is no return {path.id}")
    sale = await sale_of(session, row.sale_id)
    of_sale = PartOf(session, sale_path, sale, RefundCause.RETURN, row.id)
    case = Case(session, path, row, of_sale, terms_of(row), course_of(row), step)
    if step.act.actor == "system" and not _is_due(case):
        return _standing(case, case.phase)
    targets = require_possible(case.phase, step.event)
    phase = after(case.terms, step.event)
    if step.event is Event.LOST and row.label_paid_by == LabelPayer.PLATFORM:
        phase = Phase.REFUNDED
    if phase is Phase.REFUNDED and await bank_has_money(session, sale):
        return _wait_for_bank(case)
    assert phase in targets
    if step.act.actor == "carrier":
        await inbox.consume(session, path.id)
    words = await _keep(case)
    return await _settle(case, phase, words)


def _is_due(case: Case) -> bool:
    """Whether the timer that has fired has not moved or gone meanwhile."""
    due = (each for each in timers(case.path) if each.event == case.step.event)
    return any(each.passes_at <= case.step.at for each in due)


def _wait_for_bank(case: Case) -> Standing:
    """Money goes back when the buyer's bank has decided what it keeps. Raises WrongPhase when somebody asks for it."""
    if case.step.act.actor != "system":
        raise WrongPhase(
            "the buyer's bank has money of this sale for the moment",
            field="phase",
            accepted="the same request when the bank has decided",
        )
    later = case.step.at + _BANK_DECIDES
    moved = [each.model_copy(update={"due_at": later}) for each in timers(case.path)]
    case.path.deadlines = [each.model_dump(mode="json") for each in moved]
    case.row.moves += 1
    return _standing(case, case.phase)


async def _keep(case: Case) -> str:
    """What the act says beside the phase, written down; the event in words."""
    act, course, whole = case.step.act, case.course, case.money(case.terms.total)
    changes: dict[str, int | str | None] = {}
    match case.step.event:
        case Event.PART_OFFERED:
            offered = require_part(case.terms, act.amount)
            changes["offered"] = offered
            words = f"The seller offers {case.money(offered)} of {whole}"
        case Event.SHIPPED:
            await _take_number(case)
            changes |= {"carrier": act.carrier, "tracking_number": act.tracking_number}
            words = "The buyer has sent the goods back"
        case Event.EXCHANGE_SENT:
            changes |= {"exchange_carrier": act.carrier, "exchange_tracking": act.tracking_number}
            words = "The seller has sent other goods"
        case event:
            words = _WORDS[event]
    case.course = course.model_copy(update=changes)
    return f"{words}: {act.note}" if act.note else words


_WORDS = {
    Event.AGREED: "The seller agrees: the buyer may send the goods",
    Event.ANSWER_LAPSED: "The seller did not answer: the buyer may send the goods",
    Event.KEPT: "The seller sends the price back",
    Event.OFFER_TAKEN: "The buyer takes the offer",
    Event.OFFER_LAPSED: "The offer counts as taken",
    Event.OFFER_REJECTED: "The buyer does not take the offer",
    Event.REFUSED: "The seller refuses",
    Event.REFUSAL_LAPSED: "The buyer left it at that",
    Event.SHIPMENT_LAPSED: "Nothing was sent back in time",
    Event.DELIVERED: "The goods are back with the seller",
    Event.LOST: "The parcel is lost",
    Event.ACCEPTED: "The seller accepts what came back",
    Event.INSPECTION_LAPSED: "No objection to what came back in time",
    Event.EXCHANGE_LAPSED: "Other goods were not sent in time",
    Event.EXCHANGE_CONFIRMED: "The buyer has the other goods",
    Event.EXCHANGE_CONFIRM_LAPSED: "No objection to the other goods in time",
    Event.WITHDRAWN: "The buyer has thought again",
    Event.DISPUTED: "A dispute decides now",
}


async def _take_number(case: Case) -> None:
    """The parcel's number is this return's; a parcel handed over in person has none."""
    act = case.step.act
    if act.tracking_number is None:
        return
    await parcels.take_for_return(case.session, act.carrier, act.tracking_number)
    case.row.carrier, case.row.tracking_number = act.carrier, act.tracking_number
    await case.session.flush()


async def _settle(case: Case, phase: Phase, words: str) -> Standing:
    """Writes a transition down: money, phase, timers and events."""
    step = case.step
    refunds: tuple[RefundCase, ...] = ()
    if phase in FINAL:
        refund, outcome = await end(case, phase)
        refunds = (refund,) if refund else ()
        words += outcome
    case.row.course = case.course.model_dump(mode="json")
    case.row.moves += 1
    case.path.phase = phase
    due = due_at(case.terms, phase, step.at)
    timed = deadlines(case.terms, phase, due, await preview(case, phase))
    standing = _standing(case, phase, timed).model_copy(update={"refunds": refunds})
    advance(
        case.session,
        case.path,
        key=step.key,
        kind=step.event,
        phase=phase,
        actor=step.act.actor,
        summary=words,
        deadlines=timed,
        data=standing.model_dump(mode="json"),
    )
    if phase in FINAL:
        case.row.end_reason = step.event
        note(
            case.of_sale,
            key=f"{step.key}/sale",
            kind="return_ended",
            actor=step.act.actor,
            summary=words,
            reopen=bool(refunds),
        )
        await close_when_empty(case.session, case.path, step.at)
    return standing


def _standing(case: Case, phase: Phase, timed: Sequence[Deadline] | None = None) -> Standing:
    terms = case.terms
    lines = ", ".join(f"{each.quantity} of line {each.line + 1}" for each in terms.lines)
    return Standing(
        path_id=case.path.id,
        phase=phase,
        deadlines=timers(case.path) if timed is None else tuple(timed),
        title=f"Return of {lines}, {case.money(terms.total)}",
        facts=(
            f"Sale {terms.sale_id}: buyer {terms.buyer_id}, seller {terms.seller_id}",
            f"Because: {terms.reason}; wanted: {terms.remedy}",
        ),
        over=phase in FINAL,
        version=case.row.moves,
    )
