"""Inspections: the frozen plan, what was found, the decision; and how the lots of one maker went before."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from db import inspection_series
from db.admission import Arrival, admit, due_of
from db.queries import file_access
from db.tables import Inspection, InspectionFinding, Lot, Path, PathEvent, ProductionOrder
from domain.errors import Forbidden, InvalidInput, NotFound, WrongPhase
from domain.ids import new_id
from domain.inspection import (
    UnitFinding,
    counts_for_series,
    drawn_by,
    full_plan,
    judge,
    next_state,
    require_findings,
    require_full_look,
    require_same,
)
from domain.lot import Phase
from domain.lot_deadlines import INSPECTION
from domain.production import ProductionTerms
from domain.sampling import Plan, Verdict

RULING = "ruling"
"""The lot's timer that ends an appeal."""


@dataclass(frozen=True)
class Look:
    """An inspection with its lot and the order's terms."""

    row: Inspection
    lot: Lot
    terms: ProductionTerms

    @property
    def plan(self) -> Plan:
        """The frozen plan."""
        return Plan.model_validate(self.row.plan)


async def add(
    session: AsyncSession,
    *,
    lot_id: str,
    inspector_id: str,
    plan: Plan,
    round_: int,
    opened_at: datetime,
    due_at: datetime,
    appeal: bool = False,
) -> Inspection:
    """Writes an inspection down before any unit is looked at: the plan, and the units that a fresh seed draws.

    The units are numbered from 1 by then, as many as were handed in.
    """
    seed = secrets.token_hex(16)
    row = Inspection(
        id=new_id("ins"),
        lot_id=lot_id,
        round=round_,
        inspector_id=inspector_id,
        units=plan.lot_size,
        appeal=appeal,
        plan=plan.model_dump(mode="json"),
        seed=seed,
        drawn=list(drawn_by(plan, seed)),
        opened_at=opened_at,
        due_at=due_at,
    )
    session.add(row)
    await session.flush()
    return row


async def look(session: AsyncSession, inspection_id: str) -> Look:
    """The inspection as it is now. Raises NotFound."""
    row = await session.get(Inspection, inspection_id, populate_existing=True)
    if row is None:
        raise NotFound(f"there is no inspection {inspection_id}")
    lot = await session.get_one(Lot, row.lot_id, populate_existing=True)
    order = await session.get_one(ProductionOrder, lot.order_id)
    return Look(row, lot, ProductionTerms.model_validate(order.terms))


async def newest(session: AsyncSession, lot_id: str) -> Look | None:
    """The lot's newest inspection, which alone can be decided."""
    found = await session.scalar(
        select(Inspection.id).where(Inspection.lot_id == lot_id).order_by(Inspection.id.desc())
    )
    return await look(session, found) if found else None


async def of_lot(session: AsyncSession, lot_id: str) -> Sequence[Inspection]:
    """All inspections of the lot, oldest first."""
    rows = await session.scalars(
        select(Inspection).where(Inspection.lot_id == lot_id).order_by(Inspection.id)
    )
    return rows.all()


async def require_open(session: AsyncSession, found: Look, user_id: str | None) -> None:
    """Raises Forbidden for anybody but its inspector, WrongPhase once it is decided or another one has taken its place."""
    row = found.row
    if row.inspector_id != user_id:
        raise Forbidden("this is another inspector's work", accepted="its inspector")
    if row.decided_at is not None:
        raise WrongPhase("the inspection is decided", field="phase", accepted="an appeal")
    last = await newest(session, row.lot_id)
    if last is None or last.row.id != row.id:
        raise WrongPhase(
            "another inspection has taken its place",
            field="inspection_id",
            accepted=last.row.id if last else None,
        )


# Findings.


async def findings(session: AsyncSession, inspection_id: str) -> list[tuple[int, list[str]]]:
    """Every unit that was looked at, with its defects."""
    rows = await session.execute(
        select(InspectionFinding.unit, InspectionFinding.defects)
        .where(InspectionFinding.inspection_id == inspection_id)
        .order_by(InspectionFinding.unit)
    )
    return [(unit, defects) for unit, defects in rows]


async def page(
    session: AsyncSession, inspection_id: str, after: int | None, limit: int
) -> Sequence[InspectionFinding]:
    """Up to `limit` findings by unit, after that unit."""
    query = select(InspectionFinding).where(InspectionFinding.inspection_id == inspection_id)
    if after is not None:
        query = query.where(InspectionFinding.unit > after)
    return (await session.scalars(query.order_by(InspectionFinding.unit).limit(limit))).all()


async def counted(session: AsyncSession, inspection_id: str) -> tuple[int, int]:
    """How many units were looked at, and how many of them have a defect."""
    bad = func.jsonb_array_length(InspectionFinding.defects) > 0
    row = (
        await session.execute(
            select(func.count(), func.count().filter(bad)).where(
                InspectionFinding.inspection_id == inspection_id
            )
        )
    ).one()
    return int(row[0]), int(row[1])


async def report(
    session: AsyncSession,
    inspection_id: str,
    inspector_id: str,
    found: Sequence[UnitFinding],
    arrival: Arrival,
) -> None:
    """Writes down what an inspector has seen on some of the drawn units; the same again changes nothing.

    Raises Forbidden, WrongPhase, TooLate, InvalidInput.
    """
    now = await _admitted(session, inspection_id, inspector_id, arrival)
    await require_open(session, now, inspector_id)
    require_findings(now.terms.standard, now.plan, now.row.drawn, found)
    before = await _known(session, inspection_id, [each.unit for each in found])
    fresh = []
    for index, each in enumerate(found):
        known = before.get(each.unit)
        if known is not None:
            require_same(known, each, f"findings[{index}].defects")
            continue
        fresh.append(
            {
                "inspection_id": inspection_id,
                "unit": each.unit,
                "defects": sorted(set(each.defects)),
                "note": each.note,
                "file_ids": list(each.file_ids),
            }
        )
    if fresh:
        await session.execute(insert(InspectionFinding), fresh)
    await show_files(session, now, [file_id for each in found for file_id in each.file_ids])


async def _admitted(
    session: AsyncSession, inspection_id: str, user_id: str, arrival: Arrival
) -> Look:
    """The inspection with its lot locked, while the time for it runs by the database's clock."""
    before = await look(session, inspection_id)
    phase = Phase.APPEALED if before.row.appeal else Phase.INSPECTING
    # One after the other: two requests about one unit must not both find it untouched.
    await admit(
        session,
        before.lot.id,
        arrival,
        phases={phase},
        deadline=_timer(before.row),
        alone=True,
    )
    return await look(session, inspection_id)


def _timer(row: Inspection) -> str:
    """The timer of the lot that ends the inspection."""
    return RULING if row.appeal else INSPECTION


async def due_at(session: AsyncSession, row: Inspection) -> datetime:
    """Until when it can be decided: as long as it waits the lot's own timer says so, which stands still with the lot."""
    path = await session.get_one(Path, row.lot_id)
    waits_in = Phase.APPEALED if row.appeal else Phase.INSPECTING
    running = due_of(path, _timer(row)) if path.phase == waits_in else None
    return row.due_at if row.decided_at or running is None else running


async def _known(
    session: AsyncSession, inspection_id: str, units: Collection[int]
) -> dict[int, UnitFinding]:
    rows = await session.execute(
        select(InspectionFinding.unit, InspectionFinding.defects).where(
            InspectionFinding.inspection_id == inspection_id, InspectionFinding.unit.in_(units)
        )
    )
    return {unit: UnitFinding(unit=unit, defects=tuple(defects)) for unit, defects in rows}


async def show_files(
    session: AsyncSession, found: Look, file_ids: Collection[str], *others: str
) -> None:
    """Shows pictures of an inspection to both sides of the lot, and to others who have to judge it."""
    order = await session.get_one(ProductionOrder, found.lot.order_id)
    sides = {found.lot.maker_id, found.lot.broker_id, order.requester_id, order.certifier_id}
    for person in sorted({*filter(None, sides), *others}):
        await file_access.grant(session, file_ids, found.lot.id, person)


async def pictures(session: AsyncSession, lot_id: str) -> list[str]:
    """All pictures that the inspections of a lot refer to."""
    rows = await session.scalars(
        select(func.jsonb_array_elements_text(InspectionFinding.file_ids))
        .join(Inspection, Inspection.id == InspectionFinding.inspection_id)
        .where(Inspection.lot_id == lot_id)
    )
    return sorted(set(rows))


# What follows from them.


async def verdict(session: AsyncSession, found: Look) -> Verdict:
    """What the findings mean by the plan. Raises InvalidInput while drawn units were not looked at."""
    seen = await findings(session, found.row.id)
    return judge(found.terms.standard, found.plan, found.row.seed, seen)


async def conclude(session: AsyncSession, found: Look, verdict_: Verdict) -> None:
    """Records what the plan says, once; the series of the maker and the requester hears of it."""
    if found.row.verdict is not None:
        return
    found.row.verdict = verdict_.model_dump(mode="json")
    plan = found.plan
    if not counts_for_series(plan, round_=found.row.round, appeal=found.row.appeal):
        return
    maker_id, requester_id = found.lot.maker_id, found.terms.requester_id
    state = await inspection_series.locked(session, maker_id, requester_id)
    moved = next_state(state, plan, verdict_, found.terms.standard.sampling)
    await inspection_series.store(session, maker_id, requester_id, moved)


async def look_at_all(
    session: AsyncSession, inspection_id: str, inspector_id: str, note: str, arrival: Arrival
) -> Inspection:
    """After a sample that failed every unit is looked at: a new inspection, within the same time.

    What was found on the sample counts there too. Raises Forbidden, WrongPhase, TooLate, InvalidInput.
    """
    now = await _admitted(session, inspection_id, inspector_id, arrival)
    await require_open(session, now, inspector_id)
    judged_ = await verdict(session, now)
    require_full_look(now.plan, judged_)
    await conclude(session, now, judged_)
    row = await add(
        session,
        lot_id=now.lot.id,
        inspector_id=inspector_id,
        plan=full_plan(now.terms, now.row.units),
        round_=now.row.round,
        opened_at=await _clock(session),
        due_at=await due_at(session, now.row),
    )
    seen = select(
        InspectionFinding.unit,
        InspectionFinding.defects,
        InspectionFinding.note,
        InspectionFinding.file_ids,
    ).where(InspectionFinding.inspection_id == inspection_id)
    await session.execute(
        insert(InspectionFinding).from_select(
            ["inspection_id", "unit", "defects", "note", "file_ids"],
            seen.with_only_columns(
                select(Inspection.id).where(Inspection.id == row.id).scalar_subquery(),
                *seen.selected_columns,
            ),
        )
    )
    path = await session.get_one(Path, now.lot.id)
    session.add(
        PathEvent(
            path_id=path.id,
            key=f"{row.id}/opened",
            kind="full_look",
            phase=path.phase,
            actor="inspector",
            summary="The sample has failed: every unit is looked at"
            + (f": {note}" if note else ""),
            data={"inspection_id": row.id},
        )
    )
    return row


async def _clock(session: AsyncSession) -> datetime:
    found: datetime | None = await session.scalar(select(func.clock_timestamp()))
    assert found is not None
    return found


# The second inspector.


async def name_inspector(
    session: AsyncSession, lot_id: str, inspector_id: str, note: str, arrival: Arrival
) -> Inspection:
    """Operators name who looks at the rejected units once more; a later name takes the place of the one before.

    Raises WrongPhase, TooLate, InvalidInput.
    """
    admitted = await admit(
        session, lot_id, arrival, phases={Phase.APPEALED}, deadline=RULING, alone=True
    )
    before = await newest(session, lot_id)
    if before is None:
        raise WrongPhase(
            "nothing has arrived that somebody could look at",
            field="phase",
            accepted="the ruling of operators",
        )
    if before.lot.ballot_id is not None:
        raise WrongPhase(
            "a jury decides this appeal", field="phase", accepted="the ruling of operators"
        )
    if inspector_id == before.row.inspector_id:
        raise InvalidInput(
            "the same person cannot look again", field="inspector_id", accepted="somebody else"
        )
    rejected = int(before.lot.course["rejected"])
    ends_at = due_of(admitted.path, RULING)
    assert ends_at is not None
    row = await add(
        session,
        lot_id=lot_id,
        inspector_id=inspector_id,
        plan=full_plan(before.terms, rejected),
        round_=before.row.round,
        opened_at=admitted.at,
        due_at=ends_at,
        appeal=True,
    )
    await show_files(session, before, await pictures(session, lot_id), inspector_id)
    session.add(
        PathEvent(
            path_id=lot_id,
            key=f"{row.id}/opened",
            kind="inspector_named",
            phase=admitted.path.phase,
            actor="operator",
            summary=f"{inspector_id} looks at the rejected units" + (f": {note}" if note else ""),
            data={"inspection_id": row.id},
        )
    )
    return row


def note_decision(row: Inspection, decision: dict[str, object], note: str, at: datetime) -> None:
    """Writes a decision down."""
    row.decision, row.note, row.decided_at = decision, note, at
