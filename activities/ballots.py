"""The ballot's transitions and its counts. Each transition is one transaction; a count reads first and records after."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from temporalio import activity

from activities.transitions import advance, happened, lock_path, recall, timers
from db import ballot_count, ballot_rows
from db.engine import Database
from db.tables import Ballot, Path, Vote, VoteVoid
from domain.ballot import (
    FINAL,
    BallotTerms,
    Event,
    Phase,
    allow,
    deadlines,
    facts,
    require_sound,
)
from domain.ballot_messages import BallotAct, BallotStanding, BallotStep
from domain.ballot_tally import BallotResult
from domain.deadlines import Deadline
from domain.errors import InvalidInput, NotFound, TooLate, WrongPhase

_TITLE = 100
"""Characters of a title in the Temporal UI, whose summaries are short."""


class Ballots:
    """Activities of the ballot."""

    def __init__(self, database: Database) -> None:
        self.database = database

    @activity.defn(name="move_ballot")
    async def move(self, step: BallotStep) -> BallotStanding:
        """Takes the ballot through one transition with everything that belongs to it.

        A timer that fires although its deadline has moved meanwhile changes nothing.
        """
        async with self.database.transaction() as session:
            if step.event is Event.OPENED:
                await _create(session, step)
            path = await lock_path(session, step.ballot_id)
            before = await recall(session, step.key, BallotStanding)
            if before is not None:
                return before
            ballot = await _ballot_of(session, step.ballot_id)
            terms = BallotTerms.model_validate(ballot.terms)
            allow(Phase(path.phase), step.event)
            if _not_yet(path, step):
                return _standing(path, ballot, terms, Phase(path.phase), timers(path))
            to = await _next(session, path, ballot, terms, step)
            return _record(session, path, ballot, terms, step, to)

    @activity.defn(name="count_ballot")
    async def count(self, step: BallotStep) -> BallotStanding:
        """Counts the votes of a closed ballot and puts the result on public notice. Raises ChainBroken."""
        return await self._count(step)

    @activity.defn(name="retally_ballot")
    async def retally(self, step: BallotStep) -> BallotStanding:
        """Declares votes of an ended ballot void and counts the rest again.

        Raises InvalidInput, WrongPhase, TooLate, ChainBroken.
        """
        async with self.database.transaction() as session:
            path = await lock_path(session, step.ballot_id)
            allow(Phase(path.phase), step.event)
            first = step.model_copy(
                update={"key": f"{step.key}/voided", "event": Event.VOTES_VOIDED}
            )
            if not await happened(session, first.key):
                ballot = await _ballot_of(session, step.ballot_id)
                terms = BallotTerms.model_validate(ballot.terms)
                _require_unpaid(terms)
                _require_in_time(path, terms, step.at)
                words = await _void(session, ballot, step.act)
                to = _Next(Phase.FINAL, words, ended=path.closed_at)
                _record(session, path, ballot, terms, first, to)
        return await self._count(step)

    async def _count(self, step: BallotStep) -> BallotStanding:
        """Reads without a lock, since nobody can vote any more; what operators void meanwhile is read again."""
        while True:
            async with self.database.transaction() as session:
                before = await recall(session, step.key, BallotStanding)
                if before is not None:
                    return before
                ballot = await _ballot_of(session, step.ballot_id)
                terms = BallotTerms.model_validate(ballot.terms)
                voids = await ballot_count.voids(session, ballot.id)
                result = await ballot_count.count(
                    session, ballot, terms, on_progress=activity.heartbeat
                )
            async with self.database.transaction() as session:
                path = await lock_path(session, step.ballot_id)
                before = await recall(session, step.key, BallotStanding)
                if before is not None:
                    return before
                allow(Phase(path.phase), step.event)
                if voids == await ballot_count.voids(session, ballot.id):
                    ballot = await _ballot_of(session, step.ballot_id)
                    return await _counted(session, path, ballot, terms, step, result)


async def _ballot_of(session: AsyncSession, ballot_id: str) -> Ballot:
    ballot = await session.get(Ballot, ballot_id, populate_existing=True)
    if ballot is None:
        raise NotFound(f"there is no ballot {ballot_id}")
    return ballot


async def _create(session: AsyncSession, step: BallotStep) -> None:
    """Writes down the ballot of another path, once; drafts are in the books already."""
    opening = step.opening
    if opening is None or opening.terms is None:
        return
    if await session.scalar(select(Path.id).where(Path.id == step.ballot_id)) is not None:
        return
    if opening.initiator_id is None:
        raise InvalidInput("a ballot needs somebody whose path it is", field="initiator_id")
    await ballot_rows.draft(
        session,
        step.ballot_id,
        workflow_id=step.workflow_id,
        initiator_id=opening.initiator_id,
        terms=opening.terms,
        parent_path_id=opening.parent_path_id,
    )


def _not_yet(path: Path, step: BallotStep) -> bool:
    """Whether the timer whose end this is runs on."""
    return any(each.event == step.event and each.passes_at > step.at for each in timers(path))


@dataclass(frozen=True)
class _Next:
    """Where a transition leads."""

    phase: Phase
    words: str
    pending: tuple[Deadline, ...] = ()
    ended: datetime | None = None


async def _next(
    session: AsyncSession, path: Path, ballot: Ballot, terms: BallotTerms, step: BallotStep
) -> _Next:
    match step.event:
        case Event.OPENED:
            require_sound(terms)
            path.opened_at = step.at
            return _open_until(terms, step.at, terms.voting_seconds, "Open for votes")
        case Event.VOTING_ENDED:
            return await _end_of_voting(session, ballot, terms, step.at)
        case Event.VOTES_VOIDED:
            words = await _void(session, ballot, step.act)
            if path.phase == Phase.OPEN:
                return _Next(Phase.OPEN, words, timers(path))
            return _Next(Phase.CLOSED, words)
        case Event.NOTICE_ENDED:
            return _Next(Phase.FINAL, "The result is final", ended=step.at)
        case _:
            words = f"Cancelled by the {step.act.actor}; nothing is decided"
            note = f": {step.act.note}" if step.act.note else ""
            return _Next(Phase.CANCELLED, words + note, ended=step.at)


def _open_until(
    terms: BallotTerms, at: datetime, seconds: int, words: str, *, extended: bool = False
) -> _Next:
    due = at + timedelta(seconds=seconds)
    return _Next(Phase.OPEN, words, deadlines(terms, Phase.OPEN, due, extended=extended))


async def _end_of_voting(
    session: AsyncSession, ballot: Ballot, terms: BallotTerms, at: datetime
) -> _Next:
    found = await ballot_count.turnout(session, ballot.id)
    if found >= terms.quorum:
        return _Next(Phase.CLOSED, "Closed; the votes are being counted")
    too_few = f"Only {found} of {terms.quorum} people have voted"
    if ballot.extended:
        return _Next(Phase.CLOSED, f"{too_few}: there is no decision")
    ballot.extended = True
    # Counted from now and not from the deadline: everybody who reads of it has the whole time.
    words = f"{too_few}: the voting goes on for {terms.extension_seconds} seconds"
    return _open_until(terms, at, terms.extension_seconds, words, extended=True)


async def _counted(
    session: AsyncSession,
    path: Path,
    ballot: Ballot,
    terms: BallotTerms,
    step: BallotStep,
    result: BallotResult,
) -> BallotStanding:
    """Records a count, and tells the path that asked the crowd when a count after the end decides otherwise."""
    before = BallotResult.model_validate(ballot.result) if ballot.result else None
    ballot.result = result.model_dump(mode="json")
    if step.event is Event.RETALLIED:
        ballot.retallies += 1
        changed = before is None or _decision(before) != _decision(result)
        to = _Next(Phase.FINAL, _in_words(terms, result), ended=path.closed_at)
        parent = await _parent_story(session, ballot) if changed else None
        return _record(session, path, ballot, terms, step, to, changed=changed, parent=parent)
    if result.decided or before is not None:
        # A count that follows votes declared void in public is put on public notice in its turn.
        due = step.at + timedelta(seconds=terms.notice_seconds)
        pending = deadlines(terms, Phase.NOTICE, due, extended=ballot.extended)
        to = _Next(Phase.NOTICE, _in_words(terms, result), pending)
    else:
        to = _Next(Phase.FINAL, _in_words(terms, result), ended=step.at)
    return _record(session, path, ballot, terms, step, to)


def _decision(result: BallotResult) -> tuple[str, ...]:
    return result.ranking if result.decided else ()


def _in_words(terms: BallotTerms, result: BallotResult) -> str:
    found = f"Counted: {result.turnout} people"
    winner = next((each for each in terms.options if each.id == result.winner), None)
    return f"{found}; {winner.label} is first" if winner else f"{found}; there is no decision"


async def _parent_story(session: AsyncSession, ballot: Ballot) -> str | None:
    found: str | None = await session.scalar(
        select(Path.workflow_id).where(Path.id == ballot.parent_path_id)
    )
    return found


def _require_unpaid(terms: BallotTerms) -> None:
    """Raises WrongPhase for a jury: its result is the ruling on an appeal, and money is released upon it at once."""
    if terms.jury:
        raise WrongPhase(
            "what a jury has decided is paid at once: a path must still be before the release to be decided otherwise",
            field="phase",
            accepted="votes declared void while the result is on public notice",
        )


def _require_in_time(path: Path, terms: BallotTerms, at: datetime) -> None:
    ended = path.closed_at or at
    until = ended + timedelta(seconds=terms.policy.retally_seconds)
    if at >= until:
        raise TooLate(
            "the ballot ended too long ago to be counted again",
            field="closed_at",
            accepted=f"before {until.isoformat()}",
        )


async def _void(session: AsyncSession, ballot: Ballot, act: BallotAct) -> str:
    """Declares votes and voters void, each once. Raises InvalidInput unless all exist and one is new."""
    for index, seq in enumerate(act.seqs):
        if not 1 <= seq <= ballot.vote_count:
            raise InvalidInput(
                "there is no such vote",
                field=f"seqs[{index}]",
                accepted=f"1 to {ballot.vote_count}",
            )
    voted = set(
        await session.scalars(
            select(Vote.voter_id)
            .where(Vote.ballot_id == ballot.id, Vote.voter_id.in_(act.voter_ids))
            .distinct()
        )
    )
    for index, voter_id in enumerate(act.voter_ids):
        if voter_id not in voted:
            raise InvalidInput(
                "they have not voted",
                field=f"voter_ids[{index}]",
                accepted="ids of people who have",
            )
    common = {"ballot_id": ballot.id, "reason": act.note, "by_id": act.user_id}
    rows = [{**common, "seq": seq, "voter_id": None} for seq in act.seqs]
    rows += [{**common, "seq": None, "voter_id": voter_id} for voter_id in act.voter_ids]
    made = await session.scalars(
        insert(VoteVoid).values(rows).on_conflict_do_nothing().returning(VoteVoid.id)
    )
    new = len(made.all())
    if not new:
        raise InvalidInput("all of these are void already", field="seqs", accepted="others")
    return f"{new} votes or voters declared void: {act.note}"


def _standing(
    path: Path,
    ballot: Ballot,
    terms: BallotTerms,
    phase: Phase,
    pending: tuple[Deadline, ...],
) -> BallotStanding:
    result = ballot.result and BallotResult.model_validate(ballot.result)
    counted = (_in_words(terms, result),) if result else ()
    return BallotStanding(
        path_id=path.id,
        phase=phase,
        deadlines=pending,
        title=terms.title[:_TITLE],
        facts=(*facts(terms), *counted),
        over=phase in FINAL,
        outcome=result.outcome(ballot.id) if result else None,
    )


def _record(
    session: AsyncSession,
    path: Path,
    ballot: Ballot,
    terms: BallotTerms,
    step: BallotStep,
    to: _Next,
    *,
    changed: bool = False,
    parent: str | None = None,
) -> BallotStanding:
    standing = _standing(path, ballot, terms, to.phase, to.pending).model_copy(
        update={"changed": changed, "parent_workflow_id": parent}
    )
    advance(
        session,
        path,
        key=step.key,
        kind=step.event,
        phase=to.phase,
        actor=step.act.actor,
        summary=to.words,
        deadlines=to.pending,
        closed_at=to.ended,
        data=standing.model_dump(mode="json"),
    )
    return standing
