"""A tender as its transitions work on it, and what a transition leaves behind: all in one transaction."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from activities import payees
from activities.escrow import PaymentTerms, Returns, send_back
from activities.settlement import net_debts
from activities.transitions import advance, close_when_empty, timers
from db.tables import Path, Tender
from db.tender_rows import work_of
from domain.accounts import Account
from domain.deadlines import Deadline
from domain.errors import NotFound, WrongPhase
from domain.milestones import Work
from domain.money import format_money
from domain.path import Collection, Standing
from domain.payments import FundingResult, PaymentOutcome
from domain.postings import JournalEntry
from domain.tender import FINAL, Event, Phase, TenderTerms, require_event
from domain.tender_messages import TenderAct


@dataclass
class Case:
    """A tender with its path row locked, and what is happening to it."""

    session: AsyncSession
    path: Path
    row: Tender
    terms: TenderTerms
    event: Event
    key: str
    at: datetime
    act: TenderAct
    subject: str = ""

    @property
    def phase(self) -> Phase:
        """Where the tender stands before the transition."""
        return Phase(self.path.phase)

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
    earner: str | None = None
    """Whose debts the release pays first."""
    work: Work | None = None


async def load(
    session: AsyncSession,
    path: Path,
    *,
    event: Event,
    key: str,
    at: datetime,
    act: TenderAct,
    subject: str = "",
) -> Case:
    """The tender of a locked path. Raises NotFound."""
    row = await session.get(Tender, path.id)
    if row is None:
        raise NotFound(f"there is no tender {path.id}")
    return Case(
        session=session,
        path=path,
        row=row,
        terms=TenderTerms.model_validate(row.terms),
        event=event,
        key=key,
        at=at,
        act=act,
        subject=subject,
    )


def payment_terms(terms: TenderTerms, window_seconds: int) -> PaymentTerms:
    """How a payment is collected for which the buyer may take so long."""
    return PaymentTerms(
        provider=terms.rules.provider,
        return_url=terms.rules.return_url,
        poll=terms.policy.poll(window_seconds),
        silence_seconds=terms.policy.provider_silence_seconds,
        refund_policy=terms.rules.refund_policy,
    )


async def back_to_buyer(case: Case, amount: int, source: Account) -> Returns:
    """The postings and refunds that send so much of an account back to the buyer."""
    return await send_back(
        case.session,
        case.path,
        amount,
        key=case.key,
        reason=case.event,
        source=source,
        policy=case.terms.rules.refund_policy,
    )


async def settle(case: Case, change: Change, outcome: PaymentOutcome | None = None) -> Standing:
    """Writes a change down: postings, phase, timers and event.

    `outcome`: what the payment's story is told, when money brought the change about. Raises WrongPhase for an arrow
    that is not there.
    """
    if change.phase not in require_event(case.phase, case.event):
        raise WrongPhase(f"{case.event} does not lead from {case.phase} to {change.phase}")
    entries = [*change.entries, *(entry for each in change.returns for entry in each.entries)]
    if entries:
        await payees.post(case.session, *entries)
    if change.earner is not None and change.entries:
        await net_debts(case.session, change.earner, case.terms.currency, case.key, case.path.id)
    case.row.moves += 1
    over = change.phase in FINAL
    if over:
        case.row.end_reason = case.row.end_reason or case.event
    standing = Standing(
        path_id=case.path.id,
        phase=change.phase,
        deadlines=(*change.deadlines, *_offers(case.path)),
        collections=change.collections,
        refunds=tuple(found for each in change.returns for found in each.cases),
        title=_title(case),
        facts=facts(case, change.work),
        over=over,
        version=case.row.moves,
        details=change.work.model_dump(mode="json") if change.work else None,
    )
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


def funded(at: datetime) -> PaymentOutcome:
    """What a payment is told that the tender has waited for."""
    return PaymentOutcome(result=FundingResult.FUNDED, at=at)


async def unmoved(case: Case) -> Standing:
    """Where the tender stands when a timer fired for a deadline that has moved meanwhile: nothing is written."""
    work = await work_of(case.session, case.row)
    return Standing(
        path_id=case.path.id,
        phase=case.path.phase,
        deadlines=timers(case.path),
        title=_title(case),
        facts=facts(case, work),
        over=case.phase in FINAL,
        version=case.row.moves,
        details=work.model_dump(mode="json") if work.milestones else None,
    )


def _offers(path: Path) -> tuple[Deadline, ...]:
    """Refunds the provider refused, offered as balance: their own stories end them."""
    return tuple(each for each in timers(path) if each.subject.startswith("ref_"))


def _title(case: Case) -> str:
    return f"Tender: {case.terms.title}"


def facts(case: Case, work: Work | None) -> tuple[str, ...]:
    """What operators read about a tender."""
    who = f"Buyer {case.terms.buyer_id}"
    if case.row.worker_id:
        who += f", awarded to {case.row.worker_id}"
    milestones = work.milestones if work else ()
    return (
        who,
        f"Deposit: {case.money(case.terms.deposit)}",
        *((f"In escrow: {case.money(work.in_escrow)}",) if work else ()),
        *(f"{m.number}. {m.title}: {case.money(m.total)}, {m.state}" for m in milestones),
    )
