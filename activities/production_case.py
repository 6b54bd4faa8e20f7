"""A production order as its transitions work on it, and what a transition leaves behind: all in one transaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from activities import payees
from activities.escrow import PaymentTerms, Returns, in_escrow, send_back
from activities.settlement import net_debts
from activities.transitions import advance, close_when_empty, timers
from db import production_rows
from db.tables import Path, Payment, ProductionOrder
from domain import accounts, postings
from domain.deadlines import Deadline
from domain.errors import NotFound, WrongPhase
from domain.ids import step_key
from domain.money import format_money
from domain.path import Collection, Standing
from domain.payments import PaymentOutcome
from domain.postings import JournalEntry, Share
from domain.production import (
    FINAL,
    Event,
    Phase,
    ProductionTerms,
    Units,
    after_lots,
    require_event,
)
from domain.production_deadlines import look, looked
from domain.production_messages import ProductionAct
from ledger import journal


@dataclass
class Case:
    """A production order with its path and its row locked, and what is happening to it."""

    session: AsyncSession
    path: Path
    row: ProductionOrder
    terms: ProductionTerms
    event: Event
    key: str
    at: datetime
    act: ProductionAct
    subject: str = ""

    @property
    def phase(self) -> Phase:
        """Where the order stands before the transition."""
        return Phase(self.path.phase)

    @property
    def units(self) -> Units:
        """Where its units are."""
        return production_rows.units_of(self.row)

    def money(self, amount: int) -> str:
        """An amount in words."""
        return format_money(amount, self.terms.currency)


@dataclass
class Change:
    """What a transition does."""

    phase: Phase
    summary: str
    deadlines: tuple[Deadline, ...] = ()
    """The path's own timers from now on."""
    entries: list[JournalEntry] = field(default_factory=list)
    returns: list[Returns] = field(default_factory=list)
    collections: tuple[Collection, ...] = ()
    to_balance: bool = False
    """Whether something is the requester's balance now, which pays what they owe first."""


async def load(
    session: AsyncSession,
    path: Path,
    *,
    event: Event,
    key: str,
    at: datetime,
    act: ProductionAct,
    subject: str = "",
) -> Case:
    """The order of a locked path, its own row locked as well. Raises NotFound."""
    row = await production_rows.lock(session, path.id)
    if row is None:
        raise NotFound(f"there is no production order {path.id}")
    return Case(
        session=session,
        path=path,
        row=row,
        terms=production_rows.terms_of(row),
        event=event,
        key=key,
        at=at,
        act=act,
        subject=subject,
    )


def payment_terms(terms: ProductionTerms, window_seconds: int) -> PaymentTerms:
    """How a payment is collected for which somebody may take so long."""
    return PaymentTerms(
        provider=terms.rules.provider,
        return_url=terms.rules.return_url,
        poll=terms.policy.poll(window_seconds),
        silence_seconds=terms.policy.provider_silence_seconds,
        refund_policy=terms.rules.refund_policy,
    )


def goes_on(case: Case) -> bool:
    """Whether lots run, or can still be claimed."""
    return after_lots(case.phase, case.units, case.row.lots_running) is case.phase


async def closed(
    case: Case, why: str, *, lost: JournalEntry | None = None, taken: int = 0
) -> Change:
    """Nothing more can be claimed. Without a running lot the order is completed, else it waits for the last one.

    `lost`: what a chargeback posts in the same transaction, `taken` minor units of it out of the escrow.
    """
    phase = after_lots(Phase.CLOSING, case.units, case.row.lots_running)
    change = Change(phase=phase, summary=why, entries=[lost] if lost else [])
    if phase is Phase.COMPLETED:
        await _pay_rest_back(case, change, taken)
    else:
        change.summary += f"; lots that are finished first: {case.row.lots_running}"
        change.deadlines = (look(case.terms, await _published_at(case), case.at),)
    return change


async def completed(case: Case, why: str) -> Change:
    """The order is over: what is left of the wages goes back."""
    change = Change(phase=Phase.COMPLETED, summary=why)
    await _pay_rest_back(case, change, 0)
    return change


async def kept_on(case: Case) -> tuple[Deadline, ...]:
    """The timers of an order that stays in its phase."""
    since = await _published_at(case)
    return looked(case.terms, case.phase, timers(case.path), since, case.at)


async def _pay_rest_back(case: Case, change: Change, taken: int) -> None:
    """All that the escrow still holds is the requester's, through the payment that brought it.

    What that payment cannot take any more, because its bank has the money already, is the requester's balance and pays
    what they owe for it.
    """
    requester = case.terms.requester_id
    await payees.payee_account(case.session, requester)
    left = await in_escrow(case.session, case.path) - taken
    back = min(left, await production_rows.returnable(case.session, case.path.id))
    if back:
        change.returns.append(
            await send_back(
                case.session,
                case.path,
                back,
                key=case.key,
                reason=case.event,
                source=accounts.escrow(case.path.id),
                policy=case.terms.rules.refund_policy,
            )
        )
    if left > back:
        change.to_balance = True
        change.entries.append(
            postings.release(
                step_key(case.key, "requester"),
                case.path.id,
                [Share(account=accounts.payable(requester), amount=left - back)],
                case.terms.currency,
            )
        )
    if left:
        change.summary += f"; {case.money(left)} of the wages goes back to the requester"


async def _published_at(case: Case) -> datetime:
    """When the wages were paid in."""
    payment = await case.session.get(Payment, case.row.payment_id) if case.row.payment_id else None
    return (payment.captured_at if payment else None) or case.at


async def settle(case: Case, change: Change, outcome: PaymentOutcome | None = None) -> Standing:
    """Writes a change down: postings, phase, timers and event.

    `outcome`: what the payment's story is told, when money brought the change about. Raises WrongPhase for an arrow
    that is not there.
    """
    if change.phase not in require_event(case.phase, case.event):
        raise WrongPhase(f"{case.event} does not lead from {case.phase} to {change.phase}")
    case.row.moves += 1
    over = change.phase in FINAL
    if over or change.phase is Phase.CLOSING:
        case.row.end_reason = case.row.end_reason or case.event
    await case.session.flush()
    entries = [*change.entries, *(entry for each in change.returns for entry in each.entries)]
    if entries:
        await payees.post(case.session, *entries)
    if change.to_balance:
        terms = case.terms
        await net_debts(case.session, terms.requester_id, terms.currency, case.key, case.path.id)
    deadlines = (*change.deadlines, *_offers(case.path))
    standing = await _standing(case, change.phase, deadlines, change)
    told = outcome.model_copy(update={"standing": standing}) if outcome else standing
    advance(
        case.session,
        case.path,
        key=case.key,
        kind=case.event,
        phase=change.phase,
        actor=case.act.actor,
        summary=f"{change.summary}: {case.act.note}" if case.act.note else change.summary,
        deadlines=standing.deadlines,
        data=told.model_dump(mode="json"),
    )
    if over:
        await close_when_empty(case.session, case.path, case.at)
    return standing


async def unmoved(case: Case) -> Standing:
    """Where the order stands when nothing is to be done: no event is written."""
    return await _standing(case, case.phase, timers(case.path), Change(case.phase, ""))


async def _standing(
    case: Case, phase: Phase, deadlines: tuple[Deadline, ...], change: Change
) -> Standing:
    return Standing(
        path_id=case.path.id,
        phase=phase,
        deadlines=deadlines,
        collections=change.collections,
        refunds=tuple(found for each in change.returns for found in each.cases),
        title=f"Production order: {case.terms.title}",
        facts=await _facts(case),
        over=phase in FINAL,
        version=case.row.moves,
    )


def _offers(path: Path) -> tuple[Deadline, ...]:
    """Refunds the provider refused, offered as balance: their own stories end them."""
    return tuple(each for each in timers(path) if each.subject.startswith("ref_"))


async def _facts(case: Case) -> tuple[str, ...]:
    """What operators read about an order: where its units and its money are, and how far its lots."""
    terms, units = case.terms, case.units
    where = ", ".join(f"{count} {name}" for name, count in units.model_dump().items() if count)
    lots = await production_rows.lots_by_phase(case.session, case.path.id)
    escrow = accounts.escrow(case.path.id)
    held = (await journal.balances(case.session, [escrow], terms.currency))[escrow].available
    return (
        f"Requester {terms.requester_id}",
        *((f"Inspector {terms.certifier_id}",) if terms.certifier_id else ()),
        f"Units: {units.total}, of which {where}",
        f"Wages: {case.money(terms.rate)} for each accepted unit",
        f"In escrow: {case.money(held)}",
        *((f"Lots: {_counted(lots)}",) if lots else ()),
    )


def _counted(lots: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {phase}" for phase, count in lots.items())
