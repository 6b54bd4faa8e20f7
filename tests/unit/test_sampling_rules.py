"""The switching rules: how the severity of the next lot follows from the lots before it."""

from __future__ import annotations

from decimal import Decimal
from functools import reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import errors
from domain.sampling import (
    HOUSE_LIMITS,
    ClassLimit,
    DefectClass,
    Finding,
    Plan,
    Verdict,
    judged,
    planned,
    planned_alone,
    taken,
)
from domain.sampling_rules import LotOutcome, SwitchState, after, outcome, resumed
from domain.sampling_tables import Severity

GOOD = LotOutcome(accepted=True, points=3)
PLAIN = LotOutcome(accepted=True, points=2)
BARELY = LotOutcome(accepted=True, points=0)
BAD = LotOutcome(accepted=False)
ASKED = {"steady": True, "reduced_wished": True}
TIGHT = SwitchState(severity=Severity.TIGHTENED)
REDUCED = SwitchState(severity=Severity.REDUCED)


def run(state: SwitchState, *lots: LotOutcome) -> SwitchState:
    return reduce(after, lots, state)


def wished(lot: LotOutcome) -> LotOutcome:
    return lot.model_copy(update=ASKED)


@pytest.mark.parametrize("between", range(4))
def test_two_of_five_lots_in_a_row_not_accepted_tighten(between: int) -> None:
    state = run(SwitchState(), BAD, *[GOOD] * between)
    assert state.severity is Severity.NORMAL
    assert run(state, BAD) == TIGHT


def test_two_lots_not_accepted_within_six_do_not_tighten() -> None:
    state = run(SwitchState(), BAD, *[GOOD] * 4, BAD)
    assert state.severity is Severity.NORMAL
    assert run(state, GOOD, GOOD, GOOD, BAD).severity is Severity.TIGHTENED


def test_five_lots_in_a_row_accepted_bring_normal_inspection_back() -> None:
    state = run(TIGHT, BAD, GOOD, GOOD, BAD, *[BARELY] * 4)
    assert state.severity is Severity.TIGHTENED
    assert run(state, BARELY) == SwitchState()


def test_five_lots_not_accepted_on_tightened_inspection_stop_it_however_many_pass_between() -> None:
    state = run(TIGHT, *[BAD, GOOD, GOOD, GOOD, GOOD] * 4)
    assert (state.severity, state.refused_tightened, state.stopped) == (
        Severity.TIGHTENED,
        4,
        False,
    )
    state = run(state, BAD)
    assert state.stopped
    with pytest.raises(errors.WrongPhase):
        after(state, GOOD)
    assert resumed(state) == TIGHT
    with pytest.raises(errors.WrongPhase):
        resumed(TIGHT)


def test_the_count_of_lots_not_accepted_starts_anew_with_each_tightening() -> None:
    state = run(TIGHT, *[BAD] * 4, *[GOOD] * 5, BAD, BAD)
    assert state == TIGHT


def test_a_score_of_thirty_reduces_when_production_is_steady_and_it_is_wished() -> None:
    at_28 = run(SwitchState(), *[PLAIN] * 14)
    assert at_28.score == 28
    assert run(at_28, wished(PLAIN)) == REDUCED
    assert run(SwitchState(), *[GOOD] * 9, wished(GOOD)) == REDUCED
    for missing in ASKED:
        lot = wished(PLAIN).model_copy(update={missing: False})
        waiting = run(at_28, lot)
        assert (waiting.severity, waiting.score) == (Severity.NORMAL, 30)
        assert run(waiting, wished(PLAIN)) == REDUCED


@pytest.mark.parametrize("breaker", [BAD, BARELY], ids=["not accepted", "barely accepted"])
def test_a_lot_that_earns_nothing_takes_the_score_back_to_zero(breaker: LotOutcome) -> None:
    state = run(SwitchState(), *[GOOD] * 9, wished(breaker))
    assert (state.severity, state.score) == (Severity.NORMAL, 0)


@pytest.mark.parametrize(
    "lot",
    [
        wished(BAD),
        GOOD.model_copy(update={"reduced_wished": True}),
        GOOD.model_copy(update={"steady": True}),
    ],
    ids=["not accepted", "not steady", "not wished"],
)
def test_reduced_inspection_ends_at_once(lot: LotOutcome) -> None:
    assert run(REDUCED, wished(GOOD), wished(BARELY)).severity is Severity.REDUCED
    assert run(REDUCED, wished(GOOD), lot) == SwitchState()


def test_a_reworked_lot_changes_nothing() -> None:
    for state in (SwitchState(), run(SwitchState(), BAD), TIGHT, REDUCED, run(TIGHT, *[BAD] * 5)):
        for lot in (GOOD, BAD):
            assert after(state, lot.model_copy(update={"original": False})) == state


LOTS = st.builds(
    LotOutcome,
    accepted=st.booleans(),
    points=st.sampled_from([0, 2, 3]),
    original=st.booleans(),
    steady=st.booleans(),
    reduced_wished=st.booleans(),
)


@given(st.lists(LOTS, max_size=60))
def test_whatever_comes_the_state_stays_one_the_standard_knows(lots: list[LotOutcome]) -> None:
    state = SwitchState()
    for lot in lots:
        if state.stopped:
            state = resumed(state)
        before, state = state, after(state, lot)
        assert len(state.recent) <= 5
        assert state.score == 0 or state.severity is Severity.NORMAL
        assert state.refused_tightened == 0 or state.severity is Severity.TIGHTENED
        assert not state.stopped or state.refused_tightened == 5
        moved = (before.severity, state.severity)
        assert moved not in {
            (Severity.TIGHTENED, Severity.REDUCED),
            (Severity.REDUCED, Severity.TIGHTENED),
        }
        assert SwitchState.model_validate_json(state.model_dump_json()) == state


def verdict(plan: Plan, **found: int) -> Verdict:
    """A verdict with so many nonconforming units of each class, all within the class's own part of the sample."""
    sample = taken(plan, "seed", range(1, plan.lot_size + 1))
    classes: dict[int, list[DefectClass]] = {unit: [] for unit in sample.units}
    for name, number in found.items():
        for unit in sample.units[:number]:
            classes[unit].append(DefectClass(name))
    findings = [Finding(unit=unit, classes=tuple(has)) for unit, has in classes.items()]
    return judged(plan, sample, findings)


def points(plan: Plan, **found: int) -> int:
    return outcome(plan, verdict(plan, **found), original=True).points


def test_a_lot_earns_points_as_the_standard_counts_them() -> None:
    """Lot of 1,000: letter J, 80 units; major 2.5 has Ac 5 (3 at 1.5), minor 4.0 has Ac 7 (5 at 2.5)."""
    plan = planned(1000, every_unit_up_to=15)
    assert points(plan) == 3
    assert points(plan, major=3, minor=5) == 3
    assert points(plan, major=4) == 0
    assert points(plan, minor=6) == 0
    assert points(plan, minor=8) == 0
    assert points(plan, critical=1) == 0
    assert not outcome(plan, verdict(plan, critical=1), original=True).accepted


def test_with_ac_0_or_1_being_accepted_is_enough_and_the_least_class_counts() -> None:
    """Lot of 120: letter F, 20 units; major 2.5 has Ac 1, minor 4.0 has Ac 2 (1 at 2.5)."""
    plan = planned(120, every_unit_up_to=15)
    assert points(plan, major=1, minor=1) == 2
    assert points(plan, major=1, minor=2) == 0
    assert points(plan, major=2) == 0
    only = (ClassLimit(defect_class=DefectClass.MINOR, percent=Decimal("4.0")),)
    assert points(planned(120, only, every_unit_up_to=15), minor=1) == 3


def test_points_are_earned_on_normal_inspection_alone() -> None:
    for severity in (Severity.TIGHTENED, Severity.REDUCED):
        plan = planned(1000, every_unit_up_to=15, severity=severity)
        seen = outcome(plan, verdict(plan), original=False, **ASKED)
        assert seen == LotOutcome(accepted=True, points=0, original=False, **ASKED)


def test_lots_outside_a_series_do_not_move_it() -> None:
    alone = planned_alone(
        100,
        (ClassLimit(defect_class=DefectClass.MAJOR, percent=Decimal("12.5")),),
        every_unit_up_to=15,
    )
    small = planned(10, every_unit_up_to=15)
    for plan in (alone, small):
        with pytest.raises(errors.InvalidInput):
            outcome(plan, verdict(plan), original=True)
    of_another = planned(1000, HOUSE_LIMITS[1:], every_unit_up_to=15)
    with pytest.raises(errors.InvalidInput):
        outcome(planned(1000, every_unit_up_to=15), verdict(of_another), original=True)
