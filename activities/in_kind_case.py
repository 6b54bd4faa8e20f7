"""An offer in kind as its transitions work on it, and what a transition leaves behind: all in one transaction."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from activities import payees
from activities.escrow import Returns, send_back
from activities.settlement import net_debts
from activities.transitions import advance, close_when_empty, timers
from db.in_kind_rows import course_of, store_course, terms_of
from db.tables import InKindOffer, Path
from domain.deadlines import Deadline
from domain.errors import NotFound, WrongPhase
from domain.in_kind import (
    FINAL,
    LENDING,
    Course,
    Event,
    InKindTerms,
    Phase,
    require_event,
)
from domain.in_kind_deadlines import deadlines
from domain.in_kind_messages import InKindAct, Known
from domain.in_kind_moves import Moved, entries, move
from domain.path import Collection, Standing
from domain.payments import PaymentOutcome
from domain.postings import JournalEntry


@dataclass
class Case:
    """An offer with its path row locked, and what is happening to it."""

    session: AsyncSession
    path: Path
    row: InKindOffer
    terms: InKindTerms
    event: Event
    key: str
    at: datetime
    act: InKindAct

    @property
    def phase(self) -> Phase:
        """Where the offer stands before the transition."""
        return Phase(self.path.phase)

    @property
    def course(self) -> Course:
        """What has become of the offer so far. Raises WrongPhase before it is published."""
        found = course_of(self.row)
        if found is None:
            raise WrongPhase("the offer is not published yet", field="phase", accepted=Phase.DRAFT)
        return found

    def moved(self) -> Moved:
        """What the event does. Raises what domain.in_kind.move raises."""
        return move(self.terms.bounds, self.course, self.phase, self.event, self.at, self.act.said)


@dataclass
class Change:
    """What a transition does."""

    phase: Phase
    course: Course
    summary: str
    entries: list[JournalEntry] = field(default_factory=list)
    returns: list[Returns] = field(default_factory=list)
    collections: tuple[Collection, ...] = ()
    running: tuple[Deadline, ...] = ()
    """Timers that go on with the time they had; none: those of the phase begin."""
    pays_lender: bool = False


async def load(
    session: AsyncSession, path: Path, *, event: Event, key: str, at: datetime, act: InKindAct
) -> Case:
    """The offer of a locked path. Raises NotFound."""
    row = await session.get(InKindOffer, path.id, populate_existing=True)
    if row is None:
        raise NotFound(f"there is no offer {path.id}")
    return Case(
        session=session,
        path=path,
        row=row,
        terms=terms_of(row),
        event=event,
        key=key,
        at=at,
        act=act,
    )


async def carried_out(case: Case, moved: Moved, summary: str) -> Change:
    """What the rules say about the deposit, as postings and refunds."""
    before = case.course
    change = Change(
        phase=moved.phase,
        course=moved.course,
        summary=summary + _divided(case.terms, moved),
        entries=list(entries(case.terms, before.asker_id, moved, f"{case.key}/release")),
        pays_lender=moved.to_lender > 0,
    )
    if moved.to_borrower:
        assert before.asker_id is not None
        change.returns.append(await back_to_borrower(case, moved.to_borrower, before.asker_id))
    return change


async def back_to_borrower(case: Case, amount: int, borrower_id: str) -> Returns:
    """The postings and refunds that send so much of the deposit back."""
    return await send_back(
        case.session,
        case.path,
        amount,
        key=case.key,
        reason=case.event,
        source=case.terms.deposit_account(borrower_id),
        policy=case.terms.rules.refund_policy,
    )


async def settle(case: Case, change: Change, outcome: PaymentOutcome | None = None) -> Standing:
    """Writes a change down: postings, phase, timers and event.

    `outcome`: what the payment's story is told, when money brought the change about. Raises WrongPhase for an arrow
    that is not there.
    """
    if change.phase not in require_event(case.phase, case.event):
        raise WrongPhase(f"{case.event} does not lead from {case.phase} to {change.phase}")
    posted = [*change.entries, *(entry for each in change.returns for entry in each.entries)]
    if posted:
        await payees.post(case.session, *posted)
    if change.pays_lender:
        await net_debts(
            case.session, case.terms.supporter_id, case.path.currency, case.key, case.path.id
        )
    store_course(case.row, change.course)
    case.row.moves += 1
    over = change.phase in FINAL
    if over:
        case.row.end_reason = case.event
    timed = deadlines(case.terms, change.phase, change.course, case.at, change.running)
    standing = _standing(case, change.phase, change.course, (*timed, *_offers(case.path)))
    standing = standing.model_copy(
        update={
            "collections": change.collections,
            "refunds": tuple(found for each in change.returns for found in each.cases),
        }
    )
    told = outcome.model_copy(update={"standing": standing}) if outcome else standing
    advance(
        case.session,
        case.path,
        key=case.key,
        kind=case.event,
        phase=change.phase,
        actor=case.act.actor,
        summary=change.summary,
        deadlines=standing.deadlines,
        data=told.model_dump(mode="json"),
    )
    if over:
        await close_when_empty(case.session, case.path, case.at)
    return standing


def unmoved(case: Case) -> Standing:
    """Where the offer stands when nothing has happened to it."""
    return _standing(case, case.phase, case.course, timers(case.path))


def _standing(case: Case, phase: Phase, course: Course, timed: tuple[Deadline, ...]) -> Standing:
    known = Known(bounds=case.terms.bounds, course=course)
    return Standing(
        path_id=case.path.id,
        phase=phase,
        deadlines=timed,
        title=f"Help in kind: {case.terms.title}",
        facts=_facts(case.terms, phase, course),
        over=phase in FINAL,
        version=case.row.moves,
        details=known.model_dump(mode="json"),
    )


def _offers(path: Path) -> tuple[Deadline, ...]:
    """Refunds the provider refused, offered as balance: their own stories end them."""
    return tuple(each for each in timers(path) if each.subject.startswith("ref_"))


def _facts(terms: InKindTerms, phase: Phase, course: Course) -> tuple[str, ...]:
    """What operators read about an offer."""
    who = f"Supporter {terms.supporter_id}"
    if course.asker_id:
        who += f", picked {course.asker_id}"
    found = [f"{terms.help}: {who}"]
    if course.due_at is not None:
        found.append(f"To be back by {course.due_at:%Y-%m-%d %H:%M} UTC")
    if terms.deposit:
        found.append(f"Deposit: {terms.money(terms.deposit)}, held: {terms.money(course.held)}")
    if course.claimed is not None and phase in LENDING:
        back = "it is back" if course.is_back else "it has not come back"
        found.append(f"The lender claims {terms.money(course.claimed)}: {back}")
    return tuple(found)


def _divided(terms: InKindTerms, moved: Moved) -> str:
    """What becomes of the deposit, in words."""
    parts = []
    if moved.to_lender:
        parts.append(f"{terms.money(moved.to_lender)} of the deposit goes to the lender")
    if moved.to_borrower:
        parts.append(f"{terms.money(moved.to_borrower)} of it goes back to the borrower")
    return "".join(f"; {part}" for part in parts)
