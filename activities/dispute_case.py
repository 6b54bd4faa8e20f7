"""A dispute as its transitions work on it, and what of it is shown: timers, previews, standing, timelines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from activities import dispute_stakes as stakes
from activities.transitions import advance, timers
from db.tables import Dispute, Path
from domain import postings
from domain.deadlines import Deadline, PlannedPosting, planned
from domain.disputes import (
    FINAL,
    Course,
    DisputeStep,
    DisputeTerms,
    Event,
    Phase,
    StakeKind,
    deadlines,
    in_words,
)
from domain.errors import WrongPhase
from domain.money import format_money
from domain.path import Standing

_BANK_DECIDES = timedelta(days=1)
"""So long a dispute whose time is up waits for the payer's bank, again and again, before its money moves."""


@dataclass
class Case:
    """A dispute with the rows of its path and of the path it is about locked, and what is happening to it."""

    session: AsyncSession
    about: Path
    path: Path
    row: Dispute
    terms: DisputeTerms
    course: Course
    step: DisputeStep
    left_by: Standing | None = None
    """The return that this goes on from, whose story has to hear that it is over."""

    @property
    def phase(self) -> Phase:
        """Where the dispute stands before the transition."""
        return Phase(self.path.phase)

    @property
    def locked(self) -> dict[int, int]:
        """What waits in a sale's escrow, minor units by line."""
        return {int(line): int(amount) for line, amount in self.row.locked.items()}


def wait_for_bank(case: Case) -> Standing:
    """The money is divided when the payer's bank has decided what it keeps. Raises WrongPhase when somebody asks for it."""
    if case.step.act.actor != "system":
        raise WrongPhase(
            "the payer's bank has money of this path for the moment",
            field="phase",
            accepted="the same request when the bank has decided",
        )
    later = case.step.at + _BANK_DECIDES
    case.path.deadlines = [
        each.model_copy(
            update={"due_at": later} if each.event == case.step.event else {}
        ).model_dump(mode="json")
        for each in timers(case.path)
    ]
    case.row.moves += 1
    return standing_of(case, case.phase)


def tell_about(case: Case, words: str, *, reopen: bool) -> None:
    """Tells the timeline of the path that it is about; money on its way opens a path that had closed."""
    about = case.about
    advance(
        case.session,
        about,
        key=f"{case.step.key}/about",
        kind="dispute_opened" if case.step.event is Event.OPENED else "dispute_ended",
        phase=about.phase,
        actor=case.step.act.actor,
        summary=words,
        deadlines=timers(about),
        closed_at=None if reopen else about.closed_at,
        data={"dispute_id": case.row.id},
    )


async def running(case: Case, phase: Phase) -> tuple[Deadline, ...]:
    """The pending timers, with what each would post."""
    if phase in FINAL:
        return ()
    terms, course = case.terms, case.course
    default = await stakes.default_share(case.session, terms.stake)
    shares = {terms.asked, default}
    shares |= {course.offer.to_payer} if course.offer else set()
    shares |= {course.ruling.to_payer} if course.ruling else set()
    previews = {share: _preview(case, share) for share in shares}
    return deadlines(terms, course, phase, case.step.at, previews, default)


def _preview(case: Case, share: int) -> Sequence[PlannedPosting]:
    """What would be posted for what is locked, or was released, if the payer got this share."""
    stake = case.terms.stake
    back = stake.to_payer(share)
    if not back:
        return ()
    if stake.kind is StakeKind.RELEASED:
        return planned(stakes.ruled_entry(stake, back, "preview", back))
    in_escrow = sum(case.locked.values()) if stake.kind is StakeKind.SALE else stake.amount
    there = min(back, in_escrow)
    if not there:
        return ()
    return planned(postings.refund("preview", stake.about_id, "new", there, stake.currency))


def standing_of(case: Case, phase: Phase, timed: Sequence[Deadline] | None = None) -> Standing:
    terms = case.terms
    amount = format_money(terms.stake.amount, terms.stake.currency)
    return Standing(
        path_id=case.path.id,
        phase=phase,
        deadlines=timers(case.path) if timed is None else tuple(timed),
        title=f"Dispute about {amount} of {terms.stake.about_id}",
        facts=(
            f"Opened by {terms.claimant_id} against {terms.respondent_id}",
            f"Asked: {in_words(terms.stake, terms.asked)}",
        ),
        over=phase in FINAL,
        version=case.row.moves,
        details=case.left_by.model_dump(mode="json") if case.left_by else None,
    )
