"""A match call as its transitions work on it, and what a transition leaves behind: all in one transaction."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from activities import payees
from activities.escrow import PaymentTerms, Returns, send_back
from activities.settlement import net_debts
from activities.transitions import advance, close_when_empty, timers
from db import match_call_rows, match_queue
from db.tables import MatchCall, Path
from domain import accounts, postings
from domain.deadlines import Deadline
from domain.errors import NotFound, WrongPhase
from domain.ids import step_key
from domain.match_call import FINAL, CallTerms, Event, Phase, require_event, shown
from domain.match_call_deadlines import SETTLEMENT, SPENDING, phase_deadlines
from domain.match_call_messages import CallAct
from domain.path import Collection, Standing
from domain.payments import PaymentOutcome
from domain.postings import JournalEntry, Share
from ledger import journal


@dataclass
class Case:
    """A match call with its path row and its own row locked, and what is happening to it."""

    session: AsyncSession
    path: Path
    row: MatchCall
    terms: CallTerms
    event: Event
    key: str
    at: datetime
    act: CallAct
    subject: str = ""

    @property
    def phase(self) -> Phase:
        """Where the call stands before the transition."""
        return Phase(self.path.phase)

    def money(self, amount: int) -> str:
        """An amount in words."""
        return self.terms.money(amount)


@dataclass
class Change:
    """What a transition does."""

    phase: Phase
    summary: str
    deadlines: tuple[Deadline, ...] = ()
    """The call's own timers from now on."""
    entries: list[JournalEntry] = field(default_factory=list)
    returns: list[Returns] = field(default_factory=list)
    collections: tuple[Collection, ...] = ()
    earners: tuple[str, ...] = ()
    """Whose debts the releases pay first."""
    subject: str = ""


async def load(
    session: AsyncSession,
    path: Path,
    *,
    event: Event,
    key: str,
    at: datetime,
    act: CallAct,
    subject: str = "",
) -> Case:
    """The match call of a locked path, its own row locked as well. Raises NotFound."""
    rows = await match_queue.lock(session, select(MatchCall.id).where(MatchCall.id == path.id))
    if not rows:
        raise NotFound(f"there is no match call {path.id}")
    return Case(
        session=session,
        path=path,
        row=rows[0],
        terms=match_queue.terms_of(rows[0]),
        event=event,
        key=key,
        at=at,
        act=act,
        subject=subject,
    )


def payment_terms(terms: CallTerms, return_url: str | None = None) -> PaymentTerms:
    """How a payment of the sponsor is collected."""
    return PaymentTerms(
        provider=terms.rules.provider,
        return_url=return_url or terms.rules.return_url,
        poll=terms.policy.poll,
        silence_seconds=terms.policy.provider_silence_seconds,
        refund_policy=terms.rules.refund_policy,
    )


def kept(case: Case, *, but: str = "") -> tuple[Deadline, ...]:
    """The call's own timers that go on running, without those about one subject."""
    return tuple(
        each
        for each in timers(case.path)
        if not each.subject.startswith("ref_") and not (but and each.subject == but)
    )


async def wound_up(case: Case, why: str, *, but: str = "") -> Change:
    """Nothing new is promised from now on: what is promised to nobody goes back, and without promises the call ends.

    `but`: a spending that has ended and whose timer stops.
    """
    case.row.closed_at = case.row.closed_at or case.at
    left = case.row.budget.left
    # What a bank has for the moment may be lost; nothing goes back to a sponsor who may have it already.
    waits = left > 0 and case.path.paused_at is not None
    ends = not case.row.reserved and not waits
    change = Change(phase=Phase.ENDED if ends else Phase.CLOSED, summary=why)
    if left and not waits:
        change.summary += f"; {case.money(left)} goes back to the sponsor"
        await back_to_sponsor(case, change, left)
    if change.phase is Phase.CLOSED:
        change.deadlines = (*_settlement(case), *_spendings(case, but))
        if case.row.reserved:
            change.summary += f"; {case.money(case.row.reserved)} stays promised"
    return change


def _settlement(case: Case) -> tuple[Deadline, ...]:
    """The timer of a closed call: the one that runs, or a fresh one when it has just closed or has just looked."""
    running = tuple(each for each in timers(case.path) if each.name == SETTLEMENT)
    if running and case.event is not Event.SETTLEMENT_OVERDUE:
        return running
    return phase_deadlines(case.terms, Phase.CLOSED, case.at)


def _spendings(case: Case, but: str) -> tuple[Deadline, ...]:
    return tuple(each for each in kept(case, but=but) if each.name == SPENDING)


async def back_to_sponsor(case: Case, change: Change, amount: int) -> None:
    """So much of the budget goes back, through the payments that brought it.

    What those cannot take any more, because the sponsor's bank has the money already, is the sponsor's balance and pays
    what they owe for it.
    """
    case.row.returned += amount
    back = min(amount, await match_call_rows.returnable(case.session, case.path.id))
    if back:
        change.returns.append(
            await send_back(
                case.session,
                case.path,
                back,
                key=case.key,
                reason=case.event,
                source=case.terms.account,
                policy=case.terms.rules.refund_policy,
            )
        )
    if amount > back:
        change.entries.append(await _to_balance(case, amount - back))


async def _to_balance(case: Case, amount: int) -> JournalEntry:
    """So much of the budget pays what the sponsor owes; the rest is theirs to take out."""
    sponsor = case.terms.sponsor_id
    await payees.payee_account(case.session, sponsor)
    debt, balance = accounts.receivable(sponsor), accounts.payable(sponsor)
    found = await journal.balances(
        case.session, [case.terms.account, debt, balance], case.terms.currency, for_update=True
    )
    owed = min(amount, found[debt].available)
    return postings.release(
        step_key(case.key, "sponsor"),
        case.path.id,
        [Share(account=debt, amount=owed), Share(account=balance, amount=amount - owed)],
        case.terms.currency,
        source=case.terms.account,
    )


async def settle(case: Case, change: Change, outcome: PaymentOutcome | None = None) -> Standing:
    """Writes a change down: postings, phase, timers and event.

    `outcome`: what the payment's story is told, when money brought the change about. Raises WrongPhase for an arrow
    that is not there.
    """
    if change.phase not in require_event(case.phase, case.event):
        raise WrongPhase(f"{case.event} does not lead from {case.phase} to {change.phase}")
    entries = [*change.entries, *(entry for each in change.returns for entry in each.entries)]
    case.row.moves += 1
    over = change.phase in FINAL
    if over:
        case.row.end_reason = case.row.end_reason or case.event
    await case.session.flush()
    if entries:
        await payees.post(case.session, *entries)
    for earner in change.earners:
        await net_debts(case.session, earner, case.terms.currency, case.key, case.path.id)
    standing = Standing(
        path_id=case.path.id,
        phase=change.phase,
        deadlines=(*change.deadlines, *_offers(case.path)),
        collections=change.collections,
        refunds=tuple(found for each in change.returns for found in each.cases),
        title=_title(case),
        facts=facts(case, change.phase),
        over=over,
        subject=change.subject,
        version=case.row.moves,
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


def unmoved(case: Case) -> Standing:
    """Where the call stands when nothing is to be done: nothing is written."""
    return Standing(
        path_id=case.path.id,
        phase=case.path.phase,
        deadlines=timers(case.path),
        title=_title(case),
        facts=facts(case, case.phase),
        over=case.phase in FINAL,
        version=case.row.moves,
    )


def _offers(path: Path) -> tuple[Deadline, ...]:
    """Refunds the provider refused, offered as balance: their own stories end them."""
    return tuple(each for each in timers(path) if each.subject.startswith("ref_"))


def _title(case: Case) -> str:
    return f"Match call: {case.terms.title}"


def facts(case: Case, phase: Phase) -> tuple[str, ...]:
    """What operators read about a match call; the sums are those of its last transition."""
    budget = case.row.budget
    sums = {
        "Paid": budget.paid,
        "Left": budget.left,
        "Promised": budget.reserved,
        "Used": budget.used,
        "Spent": budget.spent,
        "Gone back": budget.returned,
        "Taken by the bank": budget.lost,
    }
    lines = [f"{name}: {case.money(amount)}" for name, amount in sums.items() if amount]
    if case.event is Event.SETTLEMENT_OVERDUE and phase is Phase.CLOSED:
        lines.append("Operators: campaigns it has promised money to are not decided yet")
    return (
        f"Sponsor {case.terms.sponsor_id}",
        *([f"Shown as {shown(phase, budget)}"] if phase is Phase.OPEN else []),
        *lines,
    )
