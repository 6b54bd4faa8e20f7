"""A campaign as its transitions work on it, and what a transition leaves behind: all in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from activities import payees
from activities.settlement import net_debts
from activities.transitions import advance, close_when_empty, timers
from db.tables import Campaign, Path, Pledge
from domain.ballot import BallotTerms
from domain.campaign import (
    FINAL,
    GIVES_BACK,
    CampaignTerms,
    Event,
    Ledger,
    Phase,
    require_event,
)
from domain.campaign_messages import CampaignAct, CampaignStanding
from domain.cases import RefundCase
from domain.deadlines import Deadline
from domain.errors import NotFound, WrongPhase
from domain.money import format_money
from domain.pledge import ENDED
from domain.postings import JournalEntry

_NEVER_PLEDGED = frozenset({Phase.DRAFT, Phase.IN_REVIEW, Phase.SCHEDULED})


@dataclass
class Case:
    """A campaign with its path row locked, and what is happening to it."""

    session: AsyncSession
    path: Path
    row: Campaign
    terms: CampaignTerms
    event: Event
    key: str
    at: datetime
    act: CampaignAct
    subject: str = ""
    rate_per_second: int = 0
    """How many calls a second batches may make at the provider; 0 without a limit."""

    @property
    def phase(self) -> Phase:
        """Where the campaign stands before the transition."""
        return Phase(self.path.phase)

    @property
    def ledger(self) -> Ledger:
        """What a campaign that has succeeded has got."""
        return Ledger(
            taken_in=self.row.taken_in,
            released=self.row.released,
            fee_taken=self.row.fee_taken,
            disputed=self.row.disputed,
        )

    def money(self, amount: int) -> str:
        """An amount in words."""
        return format_money(amount, self.terms.currency)


@dataclass
class Change:
    """What a transition does."""

    phase: Phase
    summary: str
    deadlines: tuple[Deadline, ...] = ()
    """The campaign's timers from now on."""
    entries: list[JournalEntry] = field(default_factory=list)
    earner: str | None = None
    """Whose debts the release pays first."""
    match_calls: tuple[str, ...] = ()
    """Workflows of the match calls that have to hear that the campaign is decided."""
    facts: tuple[str, ...] = ()
    """More lines for operators."""
    refunds: tuple[RefundCase, ...] = ()
    """What goes on to the sponsors of match calls that have ended."""
    subject: str = ""
    calls_operator: bool = False
    """Whether operators have to see to something; the story goes on meanwhile."""
    ballot_id: str | None = None
    """Of a vote that has been asked for."""
    ballot: BallotTerms | None = None


async def load(
    session: AsyncSession,
    path: Path,
    *,
    event: Event,
    key: str,
    at: datetime,
    act: CampaignAct,
    subject: str = "",
) -> Case:
    """The campaign of a locked path. Raises NotFound."""
    row = await session.get(Campaign, path.id, populate_existing=True)
    if row is None:
        raise NotFound(f"there is no campaign {path.id}")
    return Case(
        session=session,
        path=path,
        row=row,
        terms=CampaignTerms.model_validate(row.terms),
        event=event,
        key=key,
        at=at,
        act=act,
        subject=subject,
    )


async def settle(case: Case, change: Change) -> CampaignStanding:
    """Writes a change down: postings, phase, timers and event. Raises WrongPhase for an arrow that is not there.

    A campaign that gives everything back closes only when every pledge has ended.
    """
    if change.phase not in require_event(case.phase, case.event):
        raise WrongPhase(f"{case.event} does not lead from {case.phase} to {change.phase}")
    closes = (
        case.event is Event.GIVEN_BACK
        or change.phase is Phase.COMPLETED
        or (change.phase in FINAL and case.phase in _NEVER_PLEDGED)
    )
    if change.entries:
        await payees.post(case.session, *change.entries)
    if change.earner is not None and change.entries:
        await net_debts(case.session, change.earner, case.terms.currency, case.key, case.path.id)
    case.row.moves += 1
    if change.phase in FINAL:
        case.row.end_reason = case.row.end_reason or case.event
    standing = CampaignStanding(
        path_id=case.path.id,
        phase=change.phase,
        deadlines=change.deadlines,
        refunds=change.refunds,
        title=_title(case),
        facts=(*facts(case), *change.facts),
        over=change.phase in FINAL,
        subject=change.subject,
        version=case.row.moves,
        match_calls=change.match_calls,
        calls_operator=change.calls_operator,
        ballot_id=change.ballot_id,
        ballot=change.ballot,
        given_back=case.event is Event.GIVEN_BACK,
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
        data=standing.model_dump(mode="json"),
    )
    if closes and not await unfinished(case.session, case.path.id, change.phase):
        await close_when_empty(case.session, case.path, case.at)
    return standing


def unmoved(case: Case) -> CampaignStanding:
    """Where the campaign stands when a timer fired for a deadline that has moved meanwhile: nothing is written."""
    return CampaignStanding(
        path_id=case.path.id,
        phase=case.path.phase,
        deadlines=timers(case.path),
        title=_title(case),
        facts=facts(case),
        over=case.phase in FINAL,
        version=case.row.moves,
    )


async def unfinished(session: AsyncSession, campaign_id: str, phase: Phase) -> bool:
    """Whether a campaign that gives everything back still has pledges that have not ended."""
    if phase not in GIVES_BACK:
        return False
    found = await session.scalar(
        select(Pledge.id)
        .where(Pledge.campaign_id == campaign_id, Pledge.state.not_in(sorted(ENDED)))
        .limit(1)
    )
    return found is not None


def _title(case: Case) -> str:
    return f"Campaign: {case.terms.title}"


def facts(case: Case) -> Sequence[str]:
    """What operators read about a campaign."""
    terms, ledger = case.terms, case.ledger
    lines = [f"Creator {terms.creator_id}, goal {case.money(terms.goal)}, {terms.funding}"]
    if case.row.succeeded_at is not None:
        lines.append(
            f"Taken in {case.money(ledger.taken_in)}, released {case.money(ledger.released)}, "
            f"in escrow {case.money(ledger.left)}"
        )
    return tuple(lines)
