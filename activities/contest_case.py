"""A contest as its transitions work on it, and what a transition leaves behind: all in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from activities import payees
from activities.escrow import Returns, send_back
from activities.settlement import net_debts
from activities.transitions import advance, close_when_empty, require_not_paused, timers
from db.entries import contenders
from db.queries import file_access
from db.tables import Contest, EntryRevision, HandOver, Path
from domain import accounts
from domain.ballot import BallotTerms
from domain.contest import (
    FINAL,
    HIDES_ENTRIES,
    Contender,
    ContestState,
    ContestTerms,
    Event,
    Phase,
    bounty_in_words,
    require_leads_to,
)
from domain.contest_deadlines import deadlines
from domain.contest_messages import ContestAct, ContestStanding
from domain.deadlines import Deadline
from domain.errors import NotFound
from domain.model import Message
from domain.money import format_money
from domain.path import Collection
from domain.postings import JournalEntry
from ledger import journal

_FACTS = frozenset({Event.FUNDED, Event.EXTENDED, Event.NOT_FUNDED, Event.BOUNTY_LOST})
"""What providers tell: it has happened, also while the contest is paused."""


@dataclass
class Case:
    """A contest with its path row locked, and what is happening to it."""

    session: AsyncSession
    path: Path
    row: Contest
    terms: ContestTerms
    state: ContestState
    contenders: Sequence[Contender]
    event: Event
    key: str
    at: datetime
    act: ContestAct
    subject: str = ""

    @property
    def phase(self) -> Phase:
        """Where the contest stands before the transition."""
        return Phase(self.path.phase)

    def contender(self, entry_id: str) -> Contender | None:
        """The entry among those that have not been withdrawn."""
        return next((c for c in self.contenders if c.entry_id == entry_id), None)

    def money(self, amount: int) -> str:
        """An amount in words."""
        return format_money(amount, self.terms.currency)


@dataclass
class Change:
    """What a transition does."""

    phase: Phase
    state: ContestState
    summary: str
    entries: list[JournalEntry] = field(default_factory=list)
    returns: Returns = field(default_factory=Returns)
    collections: tuple[Collection, ...] = ()
    deadlines: tuple[Deadline, ...] | None = None
    """None: those that the phase asks for."""
    earners: tuple[str, ...] = ()
    """Users whose debts the release pays first."""
    end_reason: str | None = None
    ballot_id: str | None = None
    ballot: BallotTerms | None = None


async def load(
    session: AsyncSession,
    path: Path,
    *,
    event: Event,
    key: str,
    at: datetime,
    act: ContestAct,
    subject: str = "",
) -> Case:
    """The contest of a locked path. Raises NotFound."""
    row = await session.get(Contest, path.id)
    if row is None:
        raise NotFound(f"there is no contest {path.id}")
    return Case(
        session=session,
        path=path,
        row=row,
        terms=ContestTerms.model_validate(row.terms),
        state=ContestState.model_validate(row.state),
        contenders=await contenders(session, path.id),
        event=event,
        key=key,
        at=at,
        act=act,
        subject=subject,
    )


async def all_back(case: Case, amount: int) -> Returns:
    """The postings and refunds that send `amount` of the escrow back to the owner."""
    return await send_back(
        case.session,
        case.path,
        amount,
        key=case.key,
        reason=case.event,
        source=accounts.escrow(case.path.id),
        policy=case.terms.refund_policy,
    )


async def settle(
    case: Case,
    change: Change,
    kept: Callable[[ContestStanding], Message] = lambda standing: standing,
) -> ContestStanding:
    """Writes a change down: postings, state, phase, timers and event. Raises WrongPhase for an arrow that is not there.

    `kept` makes what the event keeps for a repeated attempt, if that is not the standing itself.
    """
    if case.event not in _FACTS:
        require_not_paused(case.path)
    require_leads_to(case.phase, case.event, change.phase)
    version = case.state.version + 1
    change = replace(change, state=_dated(case, change).model_copy(update={"version": version}))
    case.row.state = change.state.model_dump(mode="json")
    case.row.end_reason = change.end_reason or case.row.end_reason
    entries = [*change.entries, *change.returns.entries]
    if entries:
        await payees.post(case.session, *entries)
    await _net_debts(case, change.earners)
    over = change.phase in FINAL
    standing = ContestStanding(
        path_id=case.path.id,
        phase=change.phase,
        deadlines=() if over else _timers(case, change),
        collections=change.collections,
        refunds=change.returns.cases,
        title=f"{case.terms.title}, {bounty_in_words(case.terms, change.state)}",
        facts=facts(case, change),
        over=over,
        version=version,
        ballot_id=change.ballot_id,
        ballot=change.ballot,
    )
    advance(
        case.session,
        case.path,
        key=case.key,
        kind=case.event,
        phase=change.phase,
        actor=case.act.actor,
        summary=f"{change.summary}: {case.act.note}" if case.act.note else change.summary,
        deadlines=standing.deadlines,
        data=kept(standing).model_dump(mode="json"),
    )
    lost = case.state.winners - change.state.winners
    await _hand_back(case, lost)
    if case.terms.sealed:
        await _seal_again(case, lost)
    if change.phase in HIDES_ENTRIES:
        await file_access.revoke(case.session, case.path.id)
    if over:
        await close_when_empty(case.session, case.path, case.at)
    return standing


async def _net_debts(case: Case, earners: Sequence[str]) -> None:
    """What earners owe is taken from what they have just got; asked for all at once, since thousands may share."""
    currency = case.terms.currency
    owed = {user_id: accounts.receivable(user_id) for user_id in sorted(set(earners))}
    held = await journal.balances(case.session, list(owed.values()), currency)
    for user_id, debt in owed.items():
        if held[debt].available:
            await net_debts(case.session, user_id, currency, f"{case.key}/{user_id}", case.path.id)


def _dated(case: Case, change: Change) -> ContestState:
    """The state with the time at which the contest has completed, or at which the owner begins to choose."""
    if change.phase is not case.phase and change.phase is Phase.COMPLETED:
        return change.state.model_copy(update={"completed_at": case.at})
    if change.phase is not case.phase and change.phase is Phase.CHOOSING:
        return change.state.model_copy(update={"choosing_since": case.at})
    return change.state


async def _seal_again(case: Case, entry_ids: frozenset[str]) -> None:
    """Entries that have lost their prize are for owner and operators only, as before."""
    files = await _entry_files(case, entry_ids)
    await file_access.revoke(case.session, case.path.id, files)
    await file_access.grant(case.session, files, case.path.id, case.terms.owner_id)


async def _hand_back(case: Case, entry_ids: frozenset[str]) -> None:
    """What a winner had handed over for a prize that they lose is not the owner's: nobody is paid for it."""
    if not entry_ids:
        return
    rows = await case.session.scalars(
        select(HandOver.files).where(
            HandOver.contest_id == case.path.id, HandOver.entry_id.in_(entry_ids)
        )
    )
    given = {str(file["id"]) for files in rows for file in files}
    await file_access.revoke(
        case.session, case.path.id, given - await _entry_files(case, entry_ids)
    )


async def _entry_files(case: Case, entry_ids: frozenset[str]) -> set[str]:
    rows = await case.session.scalars(
        select(EntryRevision.files).where(EntryRevision.entry_id.in_(entry_ids))
    )
    return {str(file["id"]) for revision in rows for file in revision}


def _timers(case: Case, change: Change) -> tuple[Deadline, ...]:
    if change.deadlines is not None:
        return change.deadlines
    running = timers(case.path) if change.phase is case.phase else ()
    return deadlines(case.terms, change.state, change.phase, case.at, case.contenders, running)


def unmoved(case: Case) -> ContestStanding:
    """Where the contest stands when a timer fired for a deadline that has moved meanwhile: nothing is written."""
    return ContestStanding(
        path_id=case.path.id,
        phase=case.path.phase,
        deadlines=timers(case.path),
        title=f"{case.terms.title}, {bounty_in_words(case.terms, case.state)}",
        facts=facts(case, Change(phase=case.phase, state=case.state, summary="")),
        over=case.phase in FINAL,
        version=case.state.version,
    )


def facts(case: Case, change: Change) -> tuple[str, ...]:
    """What operators read about a contest."""
    kind = "guaranteed" if case.terms.guaranteed or change.state.final_round else "refundable"
    prizes = (
        f"Prize {prize.rank}: {case.money(prize.amount)}, {prize.state}"
        + (f", entry {prize.entry_id} of {prize.creator_id}" if prize.entry_id else "")
        for prize in change.state.prizes
    )
    return (
        f"Bounty: {bounty_in_words(case.terms, change.state)}, {kind}, "
        f"{'sealed' if case.terms.sealed else 'open'} entries",
        f"Owner {case.terms.owner_id}",
        f"Entries that count: {len(case.contenders)}",
        *prizes,
    )
