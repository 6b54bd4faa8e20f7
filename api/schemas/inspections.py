"""Inspections, as the API takes and shows them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Self

from pydantic import AfterValidator, Field

from api.schemas.base import Body, Remark, Utc, View, distinct
from api.schemas.lots import ReasonIn, Units
from api.schemas.production import Code
from api.schemas.sales import Note
from db.tables import Inspection, InspectionFinding, InspectionSeries, Jury
from domain.ids import FileId, UserId
from domain.inspection import UnitFinding
from domain.lot import Decision, Fault
from domain.production import MOST_UNITS
from domain.sampling import Decision as Judgement
from domain.sampling import DefectClass, Plan, Scheme, Verdict
from domain.sampling_rules import SwitchState
from domain.sampling_tables import Level, Severity

MOST_FINDINGS = 500
"""In one request."""
UnitNumber = Annotated[int, Field(ge=1, le=MOST_UNITS, strict=True)]


class UnitFindingIn(Body):
    """What was seen on one unit."""

    unit: UnitNumber = Field(examples=[7], description="Its number, from 1.")
    defects: Annotated[tuple[Code, ...], Field(max_length=100), AfterValidator(distinct)] = Field(
        default=(), description="Codes of the contract; none for a unit that is as agreed."
    )
    note: Remark = ""
    file_ids: Annotated[tuple[FileId, ...], Field(max_length=20), AfterValidator(distinct)] = ()

    @property
    def finding(self) -> UnitFinding:
        """The same as the domain has it."""
        return UnitFinding(**self.model_dump())


class FindingsIn(Body):
    """What was seen on some of the units; the rest follows."""

    findings: tuple[UnitFindingIn, ...] = Field(min_length=1, max_length=MOST_FINDINGS)


class DecisionIn(Note):
    """What becomes of all units that were handed in."""

    accepted: Units = Field(examples=[92])
    rework: Units = Field(default=0, description="Sent back to their maker to be mended.")
    rejected: Units = 0
    missing: Units = Field(
        default=0, description="Of the rejected ones: units that were not in the parcel."
    )
    returned: Units | None = Field(
        default=None,
        description="Units whose materials came back unused; by default as many as the maker has said.",
    )
    fault: Fault = Field(
        default=Fault.MAKER, description="Whose fault it is that units are not accepted."
    )
    concession: bool = Field(
        default=False, description="Units are accepted although the sample has failed."
    )

    @property
    def decision(self) -> Decision:
        """The same as the domain has it."""
        return Decision(**self.model_dump(exclude={"note"}))


class AppealIn(ReasonIn):
    """Why the rejected units are as agreed, and who is to decide."""

    jury: bool = Field(
        default=False,
        description="Three peers drawn by lot; otherwise a second inspector whom operators name.",
    )


class InspectorIn(Note):
    """Who looks at the rejected units once more."""

    inspector_id: UserId


class ClassPlanView(View):
    """The plan of one class of defects."""

    defect_class: DefectClass
    percent: str | None = Field(description="Its limit; none: not one such defect is allowed.")
    letter: str | None
    size: int = Field(description="Judged on so many units of the sample, in the order of drawing.")
    accept: int = Field(description="Ac")
    reject: int = Field(description="Re")


class PlanView(View):
    """How the units are inspected; fixed before any of them was looked at."""

    edition: str | None = Field(description="The standard; none when every unit is looked at.")
    scheme: Scheme
    lot_size: int
    level: Level | None
    severity: Severity
    letter: str | None
    size: int = Field(description="Units to look at.")
    classes: list[ClassPlanView]

    @classmethod
    def of(cls, plan: Plan) -> Self:
        """The view of a plan."""
        return cls.model_validate(plan.model_dump(mode="json"))


class ClassVerdictView(View):
    """What was found of one class of defects."""

    defect_class: DefectClass
    found: int
    beyond: int = Field(description="On units of the sample that do not decide for this class.")
    accept: int
    reject: int
    accepted: bool


class VerdictView(View):
    """What the findings mean by the plan."""

    decision: Judgement
    classes: list[ClassVerdictView]
    nonconforming: list[int] = Field(description="Units with any defect.")

    @classmethod
    def of(cls, verdict: Verdict) -> Self:
        """The view of a verdict."""
        return cls.model_validate(verdict.model_dump(mode="json"))


class DecisionView(View):
    """What was decided, in units."""

    accepted: int
    rework: int
    rejected: int
    missing: int = 0
    returned: int | None = None
    fault: Fault
    concession: bool


class InspectionCard(View):
    """An inspection in a list."""

    id: str = Field(examples=["ins_01h45ytscbebyvny4gc8cr8ma2"])
    lot_id: str
    round: int = Field(description="0 for the first time, then how often the units were mended.")
    appeal: bool = Field(description="The second look at units that were rejected.")
    inspector_id: str
    units: int
    size: int = Field(description="Units to look at.")
    opened_at: Utc
    due_at: Utc = Field(description="Without a decision by then everything is accepted.")
    decided_at: Utc | None
    decision: DecisionView | None

    @classmethod
    def of(cls, row: Inspection, due_at: datetime) -> Self:
        """The view of an inspection's row."""
        return cls(**_card(row, due_at))


def _card(row: Inspection, due_at: datetime) -> dict[str, object]:
    """What lists and pages show of an inspection."""
    return {
        "id": row.id,
        "lot_id": row.lot_id,
        "round": row.round,
        "appeal": row.appeal,
        "inspector_id": row.inspector_id,
        "units": row.units,
        "size": row.plan["size"],
        "opened_at": row.opened_at,
        "due_at": due_at,
        "decided_at": row.decided_at,
        "decision": DecisionView.model_validate(row.decision) if row.decision else None,
    }


class InspectionView(InspectionCard):
    """An inspection, for both sides of the lot, inspectors, jurors and operators."""

    plan: PlanView
    seed: str = Field(
        description="Units are drawn in the order of SHA-256(`seed:number`): anybody can recompute it."
    )
    drawn: list[int] = Field(
        description="Units to look at, in this order; none named: all of them."
    )
    looked_at: int
    defective: int = Field(description="Of those looked at.")
    verdict: VerdictView | None = Field(description="Once it was decided, or a full look followed.")
    note: str

    @classmethod
    def seen(cls, row: Inspection, due_at: datetime, looked_at: int, defective: int) -> Self:
        """The view of an inspection with how far it is."""
        verdict = row.verdict
        return cls(
            **_card(row, due_at),
            plan=PlanView.of(Plan.model_validate(row.plan)),
            seed=row.seed,
            drawn=row.drawn,
            looked_at=looked_at,
            defective=defective,
            verdict=VerdictView.of(Verdict.model_validate(verdict)) if verdict else None,
            note=row.note,
        )


class FindingView(View):
    """What was seen on one unit."""

    unit: int
    defects: list[str]
    note: str
    file_ids: list[str]
    at: Utc

    @classmethod
    def of(cls, row: InspectionFinding) -> Self:
        """The view of a finding's row."""
        return cls(
            unit=row.unit, defects=row.defects, note=row.note, file_ids=row.file_ids, at=row.at
        )


class JuryView(View):
    """How the jurors of an appeal were drawn: by the same order as units, from numbered candidates."""

    ballot_id: str
    seed: str
    candidates: int = Field(description="How many makers could have been drawn.")
    jurors: int
    drawn_at: Utc

    @classmethod
    def of(cls, row: Jury) -> Self:
        """The view of a jury's row."""
        return cls(
            ballot_id=row.ballot_id,
            seed=row.seed,
            candidates=len(row.candidates),
            jurors=len(row.jurors),
            drawn_at=row.drawn_at,
        )


class JuryForOperators(JuryView):
    """The same with the people, so that the drawing can be recomputed."""

    candidate_ids: list[str] = Field(description="In the order of their numbers, from 1.")
    juror_ids: list[str]

    @classmethod
    def of(cls, row: Jury) -> Self:
        """The view of a jury's row."""
        return cls(
            **JuryView.of(row).model_dump(), candidate_ids=row.candidates, juror_ids=row.jurors
        )


class SeriesView(View):
    """How severely the next lot of a maker is inspected for a requester."""

    maker_id: str
    requester_id: str
    severity: Severity
    score: int = Field(description="Switching score, on normal inspection.")
    stopped: bool = Field(
        description="Nothing more is taken on until the requester resumes the series."
    )
    lots: int = Field(description="How many lots have counted.")
    updated_at: Utc

    @classmethod
    def of(cls, row: InspectionSeries) -> Self:
        """The view of a series' row."""
        state = SwitchState.model_validate(row.state)
        return cls(
            maker_id=row.maker_id,
            requester_id=row.requester_id,
            severity=state.severity,
            score=state.score,
            stopped=state.stopped,
            lots=row.lots,
            updated_at=row.updated_at,
        )
