"""The rules of inspections: plans by the contract, what a decision may say, reminders, the time of a jury."""

from __future__ import annotations

from datetime import timedelta
from typing import get_args

import pytest

from api.schemas.production import Aql, LimitingQuality
from domain.errors import InvalidInput, WrongPhase
from domain.inspection import (
    UnitFinding,
    counts_for_series,
    drawn_by,
    full_plan,
    judge,
    jury_seconds,
    jury_terms,
    limits_of,
    next_state,
    plan_of,
    reminders,
    require_allowed,
    require_findings,
    require_full_look,
)
from domain.lot import Decision
from domain.production import Defect, ProductionTerms, Sampling
from domain.production import DefectClass as Gravity
from domain.production_policy import ProductionPolicy
from domain.sampling import Plan, Scheme, Verdict
from domain.sampling_rules import SwitchState
from domain.sampling_tables import Severity
from domain.time import utc_now
from tests.unit.test_production_rules import terms_of

SEED = "a seed that is known afterwards"


def terms(**sampling: object) -> ProductionTerms:
    """Terms with three defects: splinter (critical), handle (major), stain (minor)."""
    made = terms_of()
    named = (
        ("splinter", Gravity.CRITICAL),
        ("handle", Gravity.MAJOR),
        ("stain", Gravity.MINOR),
    )
    defects = tuple(Defect(code=code, text=code, severity=gravity) for code, gravity in named)
    standard = made.standard.model_copy(
        update={"sampling": Sampling.model_validate(sampling), "defects": defects}
    )
    return made.model_copy(update={"standard": standard})


def verdict_of(plan: Plan, bad: int, code: str = "handle") -> Verdict:
    """What the plan says when the first drawn units have this defect."""
    drawn = drawn_by(plan, SEED) or tuple(range(1, plan.lot_size + 1))
    found = [(unit, [code] if index < bad else []) for index, unit in enumerate(drawn)]
    return judge(terms().standard, plan, SEED, found)


@pytest.mark.parametrize(
    ("units", "size", "accepts"),
    [
        (16, 5, 0),
        (25, 5, 0),
        (26, 5, 0),
        (51, 20, 1),
        (91, 20, 1),
        (151, 32, 2),
        (281, 50, 3),
        (501, 80, 5),
        (1_201, 125, 7),
    ],
)
def test_plans_of_the_contract(units: int, size: int, accepts: int) -> None:
    plan = plan_of(terms(), units, Severity.NORMAL)
    major = next(each for each in plan.classes if each.defect_class == "major")
    assert (plan.scheme, major.size, major.accept) == (Scheme.LOT_BY_LOT, size, accepts)
    drawn = drawn_by(plan, SEED)
    assert len(set(drawn)) == plan.size and set(drawn) <= set(range(1, units + 1))


def test_small_and_isolated_lots() -> None:
    small = plan_of(terms(), 15, Severity.TIGHTENED)
    assert (small.scheme, small.size, drawn_by(small, SEED)) == (Scheme.EVERY_UNIT, 15, ())
    alone = plan_of(terms(limiting_quality="12.5"), 500, Severity.TIGHTENED)
    assert alone.scheme is Scheme.ISOLATED
    assert not counts_for_series(alone, round_=0, appeal=False)
    assert not counts_for_series(small, round_=0, appeal=False)
    series = plan_of(terms(), 100, Severity.NORMAL)
    assert counts_for_series(series, round_=0, appeal=False)
    assert not counts_for_series(series, round_=1, appeal=False), "mended units do not count"


def test_every_limit_of_the_contract_has_a_plan() -> None:
    for aql in get_args(Aql):
        for units in (2, 16, 1_000_000):
            plan_of(terms(major_aql=aql, critical_aql=aql, minor_aql=aql), units, Severity.REDUCED)
    for quality in get_args(LimitingQuality):
        chosen = terms(limiting_quality=quality, critical_aql="0.65")
        assert limits_of(chosen.standard.sampling)[0].percent is None
        for units in (2, 16, 1_000_000):
            plan_of(chosen, units, Severity.NORMAL)


def test_decisions_that_the_findings_bear() -> None:
    plan = plan_of(terms(), 100, Severity.NORMAL)
    passed, failed = verdict_of(plan, 1), verdict_of(plan, 2)
    for fits in (Decision(accepted=100), Decision(accepted=99, rework=1)):
        require_allowed(plan, passed, fits)
    for fits in (
        Decision(accepted=0, rejected=100),
        Decision(accepted=0, rework=60, rejected=40),
        Decision(accepted=100, concession=True),
        Decision(accepted=98, rejected=2, concession=True),
    ):
        require_allowed(plan, failed, fits)
    for verdict, wrong in (
        (passed, Decision(accepted=98, rejected=2)),
        (passed, Decision(accepted=0, rejected=100)),
        (passed, Decision(accepted=100, concession=True)),
        (failed, Decision(accepted=100)),
        (failed, Decision(accepted=50, rejected=50, concession=True)),
    ):
        with pytest.raises(InvalidInput):
            require_allowed(plan, verdict, wrong)


def test_every_unit_is_accepted_or_not_for_itself() -> None:
    plan = full_plan(terms(), 20)
    found = verdict_of(plan, 7)
    require_allowed(plan, found, Decision(accepted=13, rework=4, rejected=3))
    require_allowed(plan, found, Decision(accepted=20))
    with pytest.raises(InvalidInput):
        require_allowed(plan, found, Decision(accepted=12, rejected=8))
    with pytest.raises(WrongPhase):
        require_full_look(plan, found)
    sample = plan_of(terms(), 20, Severity.NORMAL)
    require_full_look(sample, verdict_of(sample, 1))
    with pytest.raises(WrongPhase):
        require_full_look(sample, verdict_of(sample, 0))
    assert verdict_of(sample, 1, "splinter").decision == "not_accepted", "not one critical defect"


def test_findings_are_about_drawn_units_and_named_defects() -> None:
    plan = plan_of(terms(), 20, Severity.NORMAL)
    drawn = drawn_by(plan, SEED)
    strange = next(unit for unit in range(1, 21) if unit not in drawn)
    good = UnitFinding(unit=drawn[0])
    require_findings(terms().standard, plan, drawn, [good])
    for wrong in (
        [UnitFinding(unit=strange)],
        [good, good],
        [UnitFinding(unit=drawn[0], defects=("ugly",))],
    ):
        with pytest.raises(InvalidInput):
            require_findings(terms().standard, plan, drawn, wrong)
    with pytest.raises(InvalidInput):
        require_findings(terms().standard, full_plan(terms(), 20), (), [UnitFinding(unit=21)])


def test_the_next_lot_of_a_series() -> None:
    chosen = terms(reduced=True)
    plan = plan_of(chosen, 100, Severity.NORMAL)
    state = SwitchState()
    for _ in range(2):
        state = next_state(state, plan, verdict_of(plan, 2), chosen.standard.sampling)
    assert state.severity is Severity.TIGHTENED
    good = SwitchState()
    for _ in range(15):
        good = next_state(good, plan, verdict_of(plan, 0), chosen.standard.sampling)
    assert good.severity is Severity.REDUCED
    unwished = SwitchState()
    for _ in range(15):
        unwished = next_state(unwished, plan, verdict_of(plan, 0), terms().standard.sampling)
    assert unwished.severity is Severity.NORMAL
    stopped = SwitchState(severity=Severity.TIGHTENED, stopped=True)
    assert next_state(stopped, plan, verdict_of(plan, 0), chosen.standard.sampling) == stopped


def test_reminders_and_the_time_of_a_jury() -> None:
    now = utc_now()
    window = timedelta(days=5)
    first, second = reminders(now, now + window)
    assert now < first < second < now + window
    for seconds in (100, 5 * 86_400, 60 * 86_400):
        voting, notice = jury_seconds(ProductionPolicy(ruling_seconds=seconds))
        assert voting + -(-voting // 2) + notice < seconds, "over before the ruling lapses"
    ballot = jury_terms(terms(), 3, ("usr_maker", "usr_requester"))
    assert ballot.jury and ballot.option_ids[0] == "as-agreed", "a tie is for the maker"
