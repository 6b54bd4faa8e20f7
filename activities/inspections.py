"""Inspections of lots: opened by the lot's own transition, decided by the inspector or by silence; and appeals.

Findings are rows that the API writes (db.inspection_rows). Here is what belongs to a story: each step is one
transaction that holds the lot's path, so that nothing is reported while it is decided.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession
from temporalio import activity

from activities.transitions import happened, lock_path, require_not_paused
from db import inspection_rows, inspection_series, juries, lot_rows
from db.admission import due_of
from db.engine import Database
from db.inspection_rows import Look
from db.tables import Ballot, Jury, Lot, PathEvent
from domain.ballot import BallotTerms
from domain.errors import Forbidden, InvalidInput, TooLate, WrongPhase
from domain.inspection import jury_terms, plan_of, require_allowed
from domain.lot import Course, Decision, Phase, require_decision
from domain.lot_deadlines import INSPECTION
from domain.production import ProductionTerms
from domain.production_messages import InspectionOutcome, InspectionStep, LotAct

INSPECTOR = "inspector"
"""Role in which a second inspector rules on an appeal."""


class Inspections:
    """Activities of the inspection."""

    def __init__(self, database: Database) -> None:
        self.database = database

    @activity.defn(name="decide_inspection")
    async def decide(self, step: InspectionStep) -> InspectionOutcome:
        """The inspector's decision, or everything accepted when the time is up (`lapsed`).

        Time that the lot has stood still does not count: then nothing lapses yet, and the answer is until when it
        goes on. What was decided once stands, whoever asks again. Raises Forbidden, WrongPhase, TooLate, InvalidInput.
        """
        async with self.database.transaction() as session:
            first = await inspection_rows.look(session, step.inspection_id)
            path = await lock_path(session, first.lot.id)
            found = await inspection_rows.newest(session, path.id)
            assert found is not None
            if _is_known(found, step):
                return _outcome(step, found)
            if path.phase != Phase.INSPECTING or found.lot.inspection_id != step.inspection_id:
                raise WrongPhase("the lot is not being inspected", field="phase")
            due_at = due_of(path, INSPECTION)
            is_up = due_at is None or step.at >= due_at
            if step.lapsed:
                if path.paused_at is not None or not is_up:
                    waits_until = None if path.paused_at else due_at
                    return InspectionOutcome(inspection_id=step.inspection_id, due_at=waits_until)
                decision = Decision(accepted=found.row.units)
            else:
                require_not_paused(path)
                if is_up and due_at is not None:
                    raise TooLate(
                        "the time for the inspection is over",
                        accepted=f"before {due_at.isoformat()}",
                    )
                decision = await _decided(session, found, step)
            inspection_rows.note_decision(
                found.row, decision.model_dump(mode="json"), step.act.note, step.at
            )
            return _outcome(step, found)

    @activity.defn(name="remind_inspector")
    async def remind(self, step: InspectionStep) -> None:
        """Says on the lot's timeline that the inspection waits, and what silence will do."""
        async with self.database.transaction() as session:
            first = await inspection_rows.look(session, step.inspection_id)
            path = await lock_path(session, first.lot.id)
            due_at = due_of(path, INSPECTION)
            if await happened(session, step.key) or due_at is None or path.paused_at is not None:
                return
            found = await inspection_rows.newest(session, path.id)
            assert found is not None
            seen, _ = await inspection_rows.counted(session, found.row.id)
            session.add(
                PathEvent(
                    path_id=path.id,
                    key=step.key,
                    kind="inspection_reminded",
                    phase=path.phase,
                    actor="system",
                    summary=(
                        f"The inspection waits: {seen} of {found.plan.size} units were looked at; without a decision"
                        f" by {due_at:%Y-%m-%d %H:%M} UTC everything is accepted"
                    ),
                    data={"inspection_id": found.row.id},
                )
            )


async def open_inspection(
    session: AsyncSession, lot: Lot, terms: ProductionTerms, course: Course, at: datetime
) -> str:
    """Draws up, in the transaction of the goods' arrival, who looks at which units until when; the inspection's id."""
    severity = (await inspection_series.state(session, lot.maker_id, terms.requester_id)).severity
    row = await inspection_rows.add(
        session,
        lot_id=lot.id,
        inspector_id=terms.certifier_id or terms.requester_id,
        plan=plan_of(terms, course.undecided, severity),
        round_=course.rework_rounds,
        opened_at=at,
        due_at=at + timedelta(seconds=terms.policy.inspect_seconds),
    )
    return row.id


async def ask_jury(session: AsyncSession, lot: Lot, terms: ProductionTerms) -> Jury | None:
    """Three peers for an appeal, in the transaction of the appeal; None when there are not three."""
    sides = (lot.maker_id, lot.broker_id, terms.requester_id, terms.certifier_id)
    parties = tuple(sorted({each for each in sides if each}))
    question = jury_terms(terms, lot_rows.course_of(lot).rejected, parties)
    jury = await juries.draw(
        session, lot, parties, question, terms.policy, initiator_id=lot.maker_id
    )
    if jury is not None:
        found = await inspection_rows.newest(session, lot.id)
        assert found is not None
        shown = await inspection_rows.pictures(session, lot.id)
        await inspection_rows.show_files(session, found, shown, *jury.jurors)
    return jury


async def question_of(session: AsyncSession, lot: Lot) -> BallotTerms | None:
    """What the jury of the lot is asked."""
    if lot.ballot_id is None:
        return None
    ballot = await session.get_one(Ballot, lot.ballot_id)
    return BallotTerms.model_validate(ballot.terms)


async def rule(session: AsyncSession, lot: Lot, act: LotAct, at: datetime) -> None:
    """A second inspector's word, in the transaction of the ruling; of other rulings there is nothing to record.

    They have looked at every rejected unit, and accept all that have no defect. Raises Forbidden, WrongPhase,
    InvalidInput.
    """
    if act.actor != INSPECTOR:
        return
    found = await inspection_rows.newest(session, lot.id)
    if found is None or not found.row.appeal:
        raise Forbidden("nobody was asked to look again", accepted="whom operators have named")
    await inspection_rows.require_open(session, found, act.user_id)
    verdict = await inspection_rows.verdict(session, found)
    granted = act.granted or 0
    rest = max(0, found.row.units - granted)
    # What cannot be looked at is no reason to accept it.
    missing = min(rest, len(verdict.missing))
    decision = Decision(accepted=granted, rejected=rest, missing=missing, returned=act.returned)
    require_allowed(found.plan, verdict, decision)
    await inspection_rows.conclude(session, found, verdict)
    inspection_rows.note_decision(found.row, decision.model_dump(mode="json"), act.note, at)


async def _decided(session: AsyncSession, found: Look, step: InspectionStep) -> Decision:
    """The inspector's decision as far as plan and findings bear it."""
    decision = step.act.decision
    if decision is None:
        raise InvalidInput("the decision is missing", field="accepted")
    asked = step.act.inspection_id or found.row.id
    await inspection_rows.require_open(
        session, await inspection_rows.look(session, asked), step.act.user_id
    )
    require_decision(lot_rows.course_of(found.lot), decision)
    verdict = await inspection_rows.verdict(session, found)
    require_allowed(found.plan, verdict, decision)
    await inspection_rows.conclude(session, found, verdict)
    return decision


def _is_known(found: Look, step: InspectionStep) -> bool:
    """Whether the inspection is decided already: by whomever if silence is to decide, else by a former attempt."""
    if found.row.decided_at is None or found.row.appeal:
        return False
    if step.lapsed:
        return found.lot.inspection_id == step.inspection_id
    return Decision.model_validate(found.row.decision) == step.act.decision


def _outcome(step: InspectionStep, found: Look) -> InspectionOutcome:
    """What stands in the books. Of silence there is no verdict: an inspector's decision always has one."""
    return InspectionOutcome(
        inspection_id=step.inspection_id,
        decision=Decision.model_validate(found.row.decision),
        lapsed=found.row.verdict is None,
    )
