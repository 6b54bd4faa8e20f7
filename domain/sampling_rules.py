"""How the severity of inspection follows what came before: the switching rules of ISO 2859-1:1999, clause 9.

A pure state machine over the lots of one series: one maker, one product, inspected lot after lot. Only lots inspected
for the first time count; a lot that comes back reworked changes nothing. Lots inspected unit by unit and lots that
stand alone are no part of a series: the former have no decision about the lot, the latter no AQL.

The standard switches each class of defects for itself. Here one severity holds for all classes of a series, so that a
plan can be told in one sentence: a lot counts as accepted when all its classes accept it, and as good enough for
reduced inspection when all its classes are. That tightens as soon as, and relaxes no sooner than, the standard would
for any class.
"""

from __future__ import annotations

from domain.errors import InvalidInput, WrongPhase
from domain.model import Message
from domain.sampling import ClassPlan, Decision, Plan, Scheme, Verdict
from domain.sampling_tables import Severity, one_step_tighter

WINDOW = 5
"""Lots in a row that are looked back at (9.3.1, 9.3.2)."""
TIGHTENED_AFTER = 2
"""Lots not accepted among them (9.3.1)."""
REDUCED_FROM = 30
"""Switching score from which reduced inspection may be had (9.3.3.1)."""
STOPPED_AFTER = 5
"""Lots not accepted on tightened inspection, altogether (9.4)."""
_FEW_ALLOWED = 1
"""Up to this Ac a lot earns the smaller number of points for being accepted, above it the larger one for more than that."""
_FEW_POINTS, _MORE_POINTS = 2, 3


class LotOutcome(Message):
    """What the switching rules need to know of one inspected lot."""

    accepted: bool
    points: int = 0
    """What the lot adds to the switching score; 0 takes the score back to 0. Counts on normal inspection only."""
    original: bool = True
    """Inspected for the first time, not after rework."""
    steady: bool = False
    """Production runs at a steady rate."""
    reduced_wished: bool = False
    """Who is responsible wishes reduced inspection."""


class SwitchState(Message):
    """Where a series stands. A new series begins with normal inspection."""

    severity: Severity = Severity.NORMAL
    recent: tuple[bool, ...] = ()
    """The last lots under this severity, the newest last, at most five: accepted or not."""
    score: int = 0
    """The switching score; kept on normal inspection only."""
    refused_tightened: int = 0
    """Lots not accepted since tightened inspection began."""
    stopped: bool = False
    """Nothing more is inspected until the maker has mended the process."""


def outcome(
    plan: Plan,
    verdict: Verdict,
    *,
    original: bool,
    steady: bool = False,
    reduced_wished: bool = False,
) -> LotOutcome:
    """What one verdict means for its series.

    Raises `InvalidInput` for a plan that is not one of a series, and for a verdict upon another plan.
    """
    if plan.scheme is not Scheme.LOT_BY_LOT:
        raise InvalidInput(
            "The switching rules are for the lots of a series, inspected by AQL", field="plan"
        )
    if [one.defect_class for one in verdict.classes] != [
        part.defect_class for part in plan.classes
    ]:
        raise InvalidInput("The verdict is upon another plan", field="verdict")
    return LotOutcome(
        accepted=verdict.decision is Decision.ACCEPTED,
        points=_points(plan, verdict),
        original=original,
        steady=steady,
        reduced_wished=reduced_wished,
    )


def after(state: SwitchState, lot: LotOutcome) -> SwitchState:
    """Where the series stands after one more lot.

    Raises `WrongPhase` for a lot inspected for the first time while inspection is stopped: see `resumed`.
    """
    if not lot.original:
        return state
    if state.stopped:
        raise WrongPhase("Inspection of this series is stopped until the maker's process is mended")
    recent = (*state.recent, lot.accepted)[-WINDOW:]
    if state.severity is Severity.TIGHTENED:
        return _after_tightened(state, recent)
    if state.severity is Severity.REDUCED:
        if lot.accepted and lot.steady and lot.reduced_wished:
            return state.model_copy(update={"recent": recent})
        return SwitchState()
    if recent.count(False) >= TIGHTENED_AFTER:
        return SwitchState(severity=Severity.TIGHTENED)
    score = state.score + lot.points if lot.accepted and lot.points else 0
    if score >= REDUCED_FROM and lot.steady and lot.reduced_wished:
        return SwitchState(severity=Severity.REDUCED)
    return SwitchState(recent=recent, score=score)


def resumed(state: SwitchState) -> SwitchState:
    """Inspection begins again, tightened, once the maker has mended the process (9.4).

    Raises `WrongPhase` when it was not stopped.
    """
    if not state.stopped:
        raise WrongPhase("Inspection of this series is not stopped")
    return SwitchState(severity=Severity.TIGHTENED)


def _after_tightened(state: SwitchState, recent: tuple[bool, ...]) -> SwitchState:
    if len(recent) == WINDOW and all(recent):
        return SwitchState()
    refused = state.refused_tightened + (not recent[-1])
    return SwitchState(
        severity=Severity.TIGHTENED,
        recent=recent,
        refused_tightened=refused,
        stopped=refused >= STOPPED_AFTER,
    )


def _points(plan: Plan, verdict: Verdict) -> int:
    """The least any class with an AQL earns; 0 when a class does not accept, or off normal inspection (9.3.3.2)."""
    if plan.severity is not Severity.NORMAL or verdict.decision is not Decision.ACCEPTED:
        return 0
    return min(
        _class_points(part, one.found)
        for part, one in zip(plan.classes, verdict.classes, strict=True)
        if part.percent is not None
    )


def _class_points(part: ClassPlan, found: int) -> int:
    if part.accept <= _FEW_ALLOWED:
        return _FEW_POINTS
    assert part.percent is not None and part.letter is not None
    tighter = one_step_tighter(part.letter, part.percent)
    return _MORE_POINTS if found <= tighter.accept else 0
