"""A lot as its transitions work on it, and what a transition leaves behind: all in one transaction.

Locks are taken in one order: the order's path (shared), the lot's path, the order's row, users, accounts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from activities import payees
from activities.escrow import PaymentTerms, Returns, send_back
from activities.inspections import question_of
from activities.settlement import net_debts
from activities.transitions import advance, close_when_empty, timers
from db import lot_rows, notices
from db.production_rows import terms_of
from db.tables import Lot, Path, Payment, ProductionOrder
from domain import accounts
from domain.deadlines import Deadline
from domain.errors import WrongPhase
from domain.lot import FINAL, Course, Event, Flow, Moved, Phase, deposit_account, require_event
from domain.lot_deadlines import Clock, entered, stayed
from domain.lot_moves import Said, move, steps
from domain.lot_postings import entries
from domain.materials import balances, movements, require_accounted
from domain.money import format_money
from domain.path import Collection, Standing
from domain.payments import PaymentOutcome
from domain.postings import JournalEntry
from domain.production import Phase as OrderPhase
from domain.production import ProductionTerms, after_lots
from domain.production_messages import LotAct, LotNews
from ledger import journal


@dataclass
class Case:
    """A lot with its path locked and its order's path shared, and what is happening to it."""

    session: AsyncSession
    path: Path
    row: Lot
    order_path: Path
    order: ProductionOrder
    event: Event
    key: str
    at: datetime
    act: LotAct
    sample_known: bool = False
    held_until: datetime | None = None
    """How long the provider holds the wages of the order."""
    terms: ProductionTerms = field(init=False)

    def __post_init__(self) -> None:
        self.terms = terms_of(self.order)

    @property
    def phase(self) -> Phase:
        """Where the lot stands before the transition."""
        return Phase(self.path.phase)

    @property
    def course(self) -> Course:
        """How the lot has gone so far."""
        return lot_rows.course_of(self.row)

    @property
    def said(self) -> Said:
        """What was said with the event, and what the books know."""
        return Said(
            sample_known=self.sample_known,
            hand_in=self.act.hand_in or lot_rows.hand_in_of(self.row),
            tracked=self.row.goods_tracking is not None,
            covered=self.row.covered,
            by_carrier=self.act.actor == "carrier",
            held_until=self.held_until,
            decision=self.act.decision,
            granted=self.act.granted,
            returned=self.act.returned,
            as_promised=self.act.as_promised,
            seconds=self.act.seconds,
            amount=self.act.amount,
        )

    def moved(self) -> Moved:
        """What the event does. Raises what domain.lot_moves.move raises."""
        return move(self.terms, self.course, self.phase, self.event, self.at, self.said)

    def money(self, amount: int) -> str:
        """An amount in words."""
        return format_money(amount, self.terms.currency)


@dataclass
class Change:
    """What a transition does."""

    moved: Moved
    summary: str
    entries: list[JournalEntry] = field(default_factory=list)
    """Besides those that follow from the flow."""
    collections: tuple[Collection, ...] = ()
    pay_until: datetime | None = None
    """When the payment of the deposit expires that this transition asks for."""


async def load(
    session: AsyncSession, path: Path, *, event: Event, key: str, at: datetime, act: LotAct
) -> Case:
    """The lot of a locked path. Raises NotFound."""
    row = await lot_rows.lot_of(session, path.id)
    order = await lot_rows.order_of(session, row.order_id)
    return Case(
        session=session,
        path=path,
        row=row,
        order_path=await lot_rows.lock_order_path(session, row.order_id),
        order=order,
        event=event,
        key=key,
        at=at,
        act=act,
        held_until=await _held_until(session, order) if event is Event.EXTENDED else None,
    )


async def _held_until(session: AsyncSession, order: ProductionOrder) -> datetime | None:
    """How long the provider holds what was paid in for the order."""
    payment = await session.get(Payment, order.payment_id) if order.payment_id else None
    if payment is None or payment.captured_at is None:
        return None
    return payment.captured_at + timedelta(seconds=terms_of(order).rules.max_hold_seconds)


def payment_terms(case: Case, window_seconds: int, return_url: str) -> PaymentTerms:
    """How a deposit is collected for which the maker may take so long."""
    rules = case.terms.rules
    return PaymentTerms(
        provider=rules.provider,
        return_url=return_url or rules.return_url,
        poll=case.terms.policy.poll(window_seconds),
        silence_seconds=case.terms.policy.provider_silence_seconds,
        refund_policy=rules.refund_policy,
    )


async def settle(case: Case, change: Change, outcome: PaymentOutcome | None = None) -> Standing:
    """Writes a change down: units, postings, materials, phase, timers and event.

    `outcome`: what the payment's story is told, when money brought the change about. Raises WrongPhase for an arrow
    that is not there.
    """
    moved = change.moved
    if moved.phase not in require_event(case.phase, case.event):
        raise WrongPhase(f"{case.event} does not lead from {case.phase} to {moved.phase}")
    over = moved.phase in FINAL
    is_asked = moved.phase is Phase.APPEALED and case.row.ballot_id is not None
    news = LotNews(
        inspection_id=case.row.inspection_id if moved.phase is Phase.INSPECTING else None,
        ballot_id=case.row.ballot_id if moved.phase is Phase.APPEALED else None,
        jury=await question_of(case.session, case.row) if is_asked else None,
        rejected=moved.course.rejected if is_asked else 0,
        not_returned=moved.course.not_returned if is_asked else 0,
        tells_order=await _give_units(case, moved.flow, over=over),
    )
    returns = await _returns(case, moved.flow)
    await _post(case, moved.flow, [*change.entries, *returns.entries])
    await _move_materials(case, moved, over=over)
    clock = await _clock(case, moved.course, change.pay_until)
    if moved.phase is case.phase and case.event is not Event.CLAIMED:
        timed = stayed(clock, moved.phase, case.event, case.at, timers(case.path))
    else:
        timed = entered(clock, moved.phase, case.at)
    case.row.course = moved.course.model_dump(mode="json")
    case.row.moves += 1
    if over:
        case.row.end_reason = case.event
    standing = _standing(case, moved.phase, moved.course, (*timed, *_offers(case.path)), news)
    standing = standing.model_copy(
        update={"collections": change.collections, "refunds": returns.cases}
    )
    told = outcome.model_copy(update={"standing": standing}) if outcome else standing
    await notices.of_lot(
        case.session, case.row, case.terms, case.event, moved, timed, key=case.key, at=case.at
    )
    advance(
        case.session,
        case.path,
        key=case.key,
        kind=case.event,
        phase=moved.phase,
        actor=case.act.actor,
        summary=f"{change.summary}: {case.act.note}" if case.act.note else change.summary,
        deadlines=standing.deadlines,
        data=told.model_dump(mode="json"),
    )
    if over:
        await close_when_empty(case.session, case.path, case.at)
    return standing


def unmoved(case: Case) -> Standing:
    """Where the lot stands when nothing has happened to it."""
    news = LotNews(
        inspection_id=case.row.inspection_id if case.phase is Phase.INSPECTING else None,
        ballot_id=case.row.ballot_id if case.phase is Phase.APPEALED else None,
    )
    return _standing(case, case.phase, case.course, timers(case.path), news)


async def _give_units(case: Case, flow: Flow, *, over: bool) -> str | None:
    """Units that the lot does not have any more; the workflow of the order if it can end now."""
    # Before a sample is shown nobody is paid for one.
    unused = over and case.phase is Phase.SAMPLE
    if not (flow.finished or over):
        return None
    units, running = await lot_rows.give_units(
        case.session, case.row.order_id, flow, ends=over, sample_unused=unused
    )
    phase = OrderPhase(case.order_path.phase)
    if over and after_lots(phase, units, running) is OrderPhase.COMPLETED:
        return case.order_path.workflow_id
    return None


async def _returns(case: Case, flow: Flow) -> Returns:
    """A deposit that goes back the way it came."""
    if not (flow.deposit_refunded and flow.deposit_back):
        return Returns()
    return await send_back(
        case.session,
        case.path,
        flow.deposit_back,
        key=case.key,
        reason=case.event,
        source=deposit_account(case.path.id, case.row.maker_id),
        policy=case.terms.rules.refund_policy,
    )


async def _post(case: Case, flow: Flow, others: list[JournalEntry]) -> None:
    """Everything that the transition posts, in one journal group; what the payees owe is taken from it first."""
    terms, maker_id = case.terms, case.row.maker_id
    fund = 0
    if flow.protected:
        # Users before accounts, and all accounts at once: what the fund pays depends on what it holds.
        people = await payees.payee_accounts(case.session, [maker_id, terms.requester_id])
        touched = [accounts.PROTECTION_FUND, accounts.LOSS, *people.values()]
        if flow.deposit_back or flow.deposit_kept:
            touched.append(deposit_account(case.path.id, maker_id))
        held = await journal.balances(case.session, touched, terms.currency, for_update=True)
        fund = held[accounts.PROTECTION_FUND].available
    made = entries(terms, case.path.id, maker_id, flow, case.key, fund_held=fund)
    if not (others or made):
        return
    await payees.post(case.session, *others, *made)
    earners = {
        maker_id: flow.wages + flow.freight + flow.protected + flow.deposit_back,
        terms.requester_id: flow.deposit_kept,
        terms.certifier_id or "": flow.certifier,
    }
    for user_id in sorted(user_id for user_id, amount in earners.items() if amount and user_id):
        await net_debts(case.session, user_id, terms.currency, case.key, case.path.id)


async def _move_materials(case: Case, moved: Moved, *, over: bool) -> None:
    """Where the materials are now. Raises UnbalancedEntry when a lot that is over has not accounted for them."""
    done = movements(case.terms.materials, steps(case.course, case.event, moved, case.said))
    await lot_rows.add_moves(case.session, case.path.id, case.key, done)
    if over:
        require_accounted(balances(await lot_rows.moves_of(case.session, case.path.id)))


async def _clock(case: Case, course: Course, pay_until: datetime | None) -> Clock:
    """The lot as its timers see it."""
    if pay_until is None and case.phase is Phase.KIT_RESERVED and case.row.payment_id:
        pay_until = (await case.session.get_one(Payment, case.row.payment_id)).expires_at
    return Clock(
        lot_id=case.path.id,
        maker_id=case.row.maker_id,
        terms=case.terms,
        course=course,
        said=case.said,
        inspection_id=case.row.inspection_id or "",
        pay_until=pay_until,
    )


def _standing(
    case: Case, phase: Phase, course: Course, timed: tuple[Deadline, ...], news: LotNews
) -> Standing:
    return Standing(
        path_id=case.path.id,
        phase=phase,
        deadlines=timed,
        title=f"Lot: {course.units} x {case.terms.title}",
        facts=_facts(case, course),
        over=phase in FINAL,
        version=case.row.moves,
        details=news.model_dump(mode="json"),
    )


def _offers(path: Path) -> tuple[Deadline, ...]:
    """Refunds the provider refused, offered as balance: their own stories end them."""
    return tuple(each for each in timers(path) if each.subject.startswith("ref_"))


def _facts(case: Case, course: Course) -> tuple[str, ...]:
    """What operators read about a lot."""
    who = f"Maker {case.row.maker_id}"
    if case.row.broker_id:
        who += f", through broker {case.row.broker_id}"
    counts = {
        "accepted": course.accepted,
        "to be mended": course.in_rework,
        "rejected": course.rejected,
        "not decided": max(course.undecided, 0),
    }
    decided = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    found = [
        f"{who}; order {case.row.order_id}",
        f"Units: {course.units}{f', of which {decided}' if decided else ''}",
        f"Wages: {case.money(case.terms.rate)} for each accepted unit",
        f"Deposit held: {case.money(course.deposit_held)}",
    ]
    if course.due_at is not None:
        found.append(f"To be sent by {course.due_at:%Y-%m-%d %H:%M} UTC")
    return tuple(found)
