"""The inspection of one lot without any I/O: the plan, the drawing, the verdict, and how often a plan accepts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from itertools import combinations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import ValidationError

from domain import errors
from domain.sampling import (
    HOUSE_LIMITS,
    ClassLimit,
    Decision,
    DefectClass,
    Finding,
    Plan,
    Sample,
    Scheme,
    Verdict,
    accept_probability,
    accept_probability_of_process,
    draw,
    drawing_order,
    judged,
    planned,
    planned_alone,
    taken,
)
from domain.sampling_tables import AQLS, Level, Severity

CRITICAL, MAJOR, MINOR = DefectClass.CRITICAL, DefectClass.MAJOR, DefectClass.MINOR
EVERY_UNIT_UP_TO = 15
Defects = dict[int, tuple[DefectClass, ...]]


def major(percent: str) -> tuple[ClassLimit, ...]:
    return (ClassLimit(defect_class=MAJOR, percent=Decimal(percent)),)


def house(lot_size: int, severity: Severity = Severity.NORMAL) -> Plan:
    return planned(lot_size, every_unit_up_to=EVERY_UNIT_UP_TO, severity=severity)


def sample_of(plan: Plan) -> Sample:
    return taken(plan, "seed", range(1, plan.lot_size + 1))


def verdict(plan: Plan, defects: Defects) -> Verdict:
    """The verdict when the units at these places of the sample (from 0) have these defects, the others none."""
    sample = sample_of(plan)
    findings = [
        Finding(unit=unit, classes=defects.get(place, ()))
        for place, unit in enumerate(sample.units)
    ]
    return judged(plan, sample, findings)


def spread(*classes: Sequence[DefectClass]) -> Defects:
    return {place: tuple(has) for place, has in enumerate(classes)}


def sizes(plan: Plan) -> list[tuple[int, int, int]]:
    return [(part.size, part.accept, part.reject) for part in plan.classes]


def test_a_plan_of_the_house_has_one_sample_and_a_plan_per_class() -> None:
    plan = house(1000)
    assert (plan.edition, plan.level, plan.severity, plan.letter, plan.size, plan.full) == (
        "ISO 2859-1:1999",
        Level.II,
        Severity.NORMAL,
        "J",
        80,
        False,
    )
    assert [part.defect_class for part in plan.classes] == [CRITICAL, MAJOR, MINOR]
    assert [part.percent for part in plan.classes] == [None, Decimal("2.5"), Decimal("4.0")]
    assert sizes(plan) == [(80, 0, 1), (80, 5, 6), (80, 7, 8)]


@pytest.mark.parametrize(
    ("lot_size", "severity", "expected"),
    [
        (20, Severity.NORMAL, [(5, 0, 1), (5, 0, 1), (3, 0, 1)]),
        (40, Severity.NORMAL, [(13, 0, 1), (5, 0, 1), (13, 1, 2)]),
        (40, Severity.TIGHTENED, [(20, 0, 1), (8, 0, 1), (20, 1, 2)]),
        (40, Severity.REDUCED, [(8, 0, 1), (2, 0, 1), (8, 1, 2)]),
        (90, Severity.NORMAL, [(20, 0, 1), (20, 1, 2), (13, 1, 2)]),
    ],
)
def test_where_the_classes_need_different_samples_each_keeps_its_own(
    lot_size: int, severity: Severity, expected: list[tuple[int, int, int]]
) -> None:
    plan = house(lot_size, severity)
    assert sizes(plan) == expected
    assert plan.size == max(size for size, _, _ in expected)


@pytest.mark.parametrize("lot_size", [1, 2, 15])
def test_small_lots_are_inspected_unit_by_unit_and_not_decided_as_lots(lot_size: int) -> None:
    plan = house(lot_size)
    assert (plan.scheme, plan.edition, plan.size, plan.full) == (
        Scheme.EVERY_UNIT,
        None,
        lot_size,
        True,
    )
    seen = verdict(plan, {0: (MINOR,)})
    assert seen.decision is Decision.UNIT_BY_UNIT
    assert seen.nonconforming == (sample_of(plan).units[0],)
    with pytest.raises(errors.InvalidInput):
        accept_probability(plan, MAJOR, 0)
    assert house(16).scheme is Scheme.LOT_BY_LOT
    assert planned(15, every_unit_up_to=0).scheme is Scheme.LOT_BY_LOT


def test_a_sample_as_large_as_the_lot_means_every_unit_with_the_ac_of_the_plan() -> None:
    plan = planned(26, major("4.0"), every_unit_up_to=15, level=Level.III)
    assert (plan.letter, plan.classes[0].letter, plan.full) == ("E", "E", False)
    plan = planned(30, major("0.25"), every_unit_up_to=15)
    assert (plan.letter, plan.classes[0].letter, plan.size, plan.full) == ("D", "H", 30, True)
    plan = planned(
        26, major("2.5"), every_unit_up_to=0, severity=Severity.TIGHTENED, level=Level.III
    )
    assert (plan.size, plan.full, plan.classes[0].accept) == (26, True, 1)
    assert verdict(plan, {3: (MAJOR,)}).decision is Decision.ACCEPTED
    assert verdict(plan, {3: (MAJOR,), 25: (MAJOR,)}).decision is Decision.NOT_ACCEPTED


def test_a_lot_that_stands_alone_has_a_plan_by_limiting_quality() -> None:
    limits = (HOUSE_LIMITS[0], *major("12.5"))
    plan = planned_alone(400, limits, every_unit_up_to=15)
    assert (plan.edition, plan.scheme, plan.level, plan.letter) == (
        "ISO 2859-2:1985",
        Scheme.ISOLATED,
        None,
        None,
    )
    assert sizes(plan) == [(32, 0, 1), (32, 1, 2)]
    assert verdict(plan, {0: (MAJOR,)}).decision is Decision.ACCEPTED
    assert planned_alone(15, limits, every_unit_up_to=15).scheme is Scheme.EVERY_UNIT
    assert planned_alone(40, major("0.80"), every_unit_up_to=15).full


@pytest.mark.parametrize(
    "limits",
    [(), HOUSE_LIMITS[:1], (*HOUSE_LIMITS, HOUSE_LIMITS[1]), major("3.0")],
    ids=["none", "only none allowed", "twice", "unknown aql"],
)
@pytest.mark.parametrize("lot_size", [10, 100])
def test_limits_that_make_no_plan_are_refused_for_every_lot(
    lot_size: int, limits: tuple[ClassLimit, ...]
) -> None:
    for make in (planned, planned_alone):
        with pytest.raises(errors.InvalidInput):
            make(lot_size, limits, every_unit_up_to=EVERY_UNIT_UP_TO)


def test_a_plan_that_contradicts_itself_cannot_be_read_back() -> None:
    stored = house(1000).model_dump(mode="json")
    changes: list[dict[str, object]] = [{"size": 50}, {"lot_size": 79}, {"classes": []}]
    for change in changes:
        with pytest.raises(ValidationError):
            Plan.model_validate({**stored, **change})
    parts = [{**part, "reject": part["reject"] + 1} for part in stored["classes"]]
    with pytest.raises(ValidationError):
        Plan.model_validate({**stored, "classes": parts})


LIMITS = st.tuples(
    st.sampled_from([None, *AQLS[:6]]), st.sampled_from(AQLS), st.sampled_from(AQLS)
).map(
    lambda chosen: tuple(
        ClassLimit(defect_class=one, percent=percent)
        for one, percent in zip(DefectClass, chosen, strict=True)
    )
)
PLANS = st.builds(
    planned,
    st.integers(1, 3000),
    LIMITS,
    every_unit_up_to=st.sampled_from([0, 15]),
    level=st.sampled_from(Level),
    severity=st.sampled_from(Severity),
)


@given(PLANS)
def test_every_plan_fits_into_its_lot_and_survives_being_stored(plan: Plan) -> None:
    assert all(part.accept < part.reject for part in plan.classes)
    assert 1 <= plan.size <= plan.lot_size
    assert plan.full == (plan.size == plan.lot_size)
    assert Plan.model_validate_json(plan.model_dump_json()) == plan


ORDER = (8, 4, 3, 5, 2, 7, 1, 6)


def test_anybody_can_recompute_the_drawing() -> None:
    """The places are what `printf 'lot 7, 2026-11-23:%d' 1 | sha256sum` and so on print, sorted."""
    assert drawing_order("lot 7, 2026-11-23", range(1, 9)) == ORDER
    assert draw("lot 7, 2026-11-23", range(1, 9), 3) == tuple(sorted(ORDER[:3]))
    assert draw("lot 7, 2026-11-23", [8, 3, 1, 2, 7, 6, 5, 4], 3) == tuple(sorted(ORDER[:3]))


@given(st.text(min_size=1), st.sets(st.integers(1, 10**6), max_size=60), st.data())
def test_a_drawing_is_a_smaller_part_of_every_larger_one(
    seed: str, units: set[int], data: st.DataObject
) -> None:
    size = data.draw(st.integers(0, len(units)))
    drawn = draw(seed, units, size)
    assert len(drawn) == len(set(drawn)) == size
    assert set(drawn) <= units
    assert list(drawn) == sorted(drawn)
    assert draw(seed, sorted(units, reverse=True), size) == drawn
    assert set(drawn) <= set(draw(seed, units, len(units)))
    assert set(draw(seed, units, size // 2)) <= set(drawn)


def test_every_unit_and_every_pair_is_drawn_about_equally_often() -> None:
    seeds = 4000
    drawn = [draw(f"seed {number}", range(1, 11), 3) for number in range(seeds)]
    units = Counter(unit for one in drawn for unit in one)
    pairs = Counter(pair for one in drawn for pair in combinations(one, 2))
    assert all(abs(units[unit] - seeds * 3 / 10) < 130 for unit in range(1, 11))
    assert all(abs(pairs[pair] - seeds / 15) < 75 for pair in combinations(range(1, 11), 2))


def test_what_cannot_be_drawn_is_refused() -> None:
    for seed, units, size in (("", [1], 1), ("x", [1, 1], 1), ("x", [1], 2), ("x", [1], -1)):
        with pytest.raises(errors.InvalidInput):
            draw(seed, units, size)
    with pytest.raises(errors.InvalidInput):
        taken(house(100), "x", range(99))


def test_each_class_decides_by_its_own_number() -> None:
    plan = house(1000)
    accepted = spread(*[(MAJOR,)] * 5, *[(MINOR,)] * 7)
    seen = verdict(plan, accepted)
    assert seen.decision is Decision.ACCEPTED
    assert [(one.found, one.accept, one.reject, one.accepted) for one in seen.classes] == [
        (0, 0, 1, True),
        (5, 5, 6, True),
        (7, 7, 8, True),
    ]
    assert len(seen.nonconforming) == 12
    for defect_class in DefectClass:
        one_more = verdict(plan, {**accepted, 20: (defect_class,)})
        assert one_more.decision is Decision.NOT_ACCEPTED
        refused = [one.defect_class for one in one_more.classes if not one.accepted]
        assert refused == [defect_class]


def test_a_unit_counts_once_in_each_class_however_many_defects_it_has() -> None:
    seen = verdict(house(1000), {4: (MAJOR, MAJOR, MINOR)})
    assert [one.found for one in seen.classes] == [0, 1, 1]
    assert len(seen.nonconforming) == 1


def test_a_class_is_judged_on_the_first_units_drawn_and_the_rest_is_told() -> None:
    """Lot of 40: 13 units, major judged on the first 5 of them with Ac 0."""
    plan = house(40)
    inside, outside = verdict(plan, {4: (MAJOR,)}), verdict(plan, {5: (MAJOR,)})
    assert inside.decision is Decision.NOT_ACCEPTED
    assert outside.decision is Decision.ACCEPTED
    told = outside.classes[1]
    assert (told.found, told.beyond) == (0, 1)
    assert outside.nonconforming == (sample_of(plan).units[5],)
    assert verdict(plan, {12: (CRITICAL,)}).decision is Decision.NOT_ACCEPTED


def test_a_verdict_needs_every_drawn_unit_and_no_other() -> None:
    plan = house(40)
    sample = sample_of(plan)
    findings = [Finding(unit=unit) for unit in sample.units]
    stranger = next(unit for unit in range(1, 41) if unit not in sample.units)
    for wrong, said in (
        (findings[:-1], f"unit {sample.units[-1]}"),
        ([*findings, Finding(unit=stranger)], f"Unit {stranger}"),
        ([*findings, findings[0]], "twice"),
    ):
        with pytest.raises(errors.InvalidInput, match=said) as refused:
            judged(plan, sample, wrong)
        assert refused.value.field == "findings"
    short = Sample(seed="seed", units=sample.units[:-1])
    with pytest.raises(errors.InvalidInput):
        judged(plan, short, findings[:-1])
    only_minor = planned(40, HOUSE_LIMITS[2:], every_unit_up_to=15)
    with pytest.raises(errors.InvalidInput, match="major"):
        verdict(only_minor, {0: (MAJOR,)})


@given(st.integers(20, 400), st.data())
def test_tightened_accepts_no_lot_that_normal_does_not_on_the_same_findings(
    lot_size: int, data: st.DataObject
) -> None:
    """Where both plans judge a class on equally many units, with the same seed: these are then the same units."""
    percent = str(data.draw(st.sampled_from(AQLS)))
    normal, tightened = (
        planned(lot_size, major(percent), every_unit_up_to=0, severity=severity)
        for severity in (Severity.NORMAL, Severity.TIGHTENED)
    )
    assume(normal.size == tightened.size)
    places = data.draw(st.sets(st.integers(0, normal.size - 1)))
    defects: Defects = dict.fromkeys(places, (MAJOR,))
    if verdict(tightened, defects).decision is Decision.ACCEPTED:
        assert verdict(normal, defects).decision is Decision.ACCEPTED


def test_a_plan_accepts_as_often_as_counting_all_samples_says() -> None:
    plan = planned(16, major("6.5"), every_unit_up_to=0)
    part = plan.classes[0]
    assert (part.size, part.accept) == (8, 1)
    for bad in (0, 1, 2, 5, 8, 9, 10, 16):
        samples = [sum(unit < bad for unit in one) for one in combinations(range(16), 8)]
        accepted = sum(found <= 1 for found in samples)
        assert accept_probability(plan, MAJOR, bad) == Fraction(accepted, len(samples))
    assert accept_probability(plan, MAJOR, 10) == 0


@given(PLANS.filter(lambda plan: plan.scheme is Scheme.LOT_BY_LOT), st.data())
def test_the_worse_the_lot_the_less_often_it_is_accepted(plan: Plan, data: st.DataObject) -> None:
    for part in plan.classes:
        bad = data.draw(st.integers(0, plan.lot_size - 1))
        better = accept_probability(plan, part.defect_class, bad)
        worse = accept_probability(plan, part.defect_class, bad + 1)
        assert 0 <= worse <= better <= 1
        if 0 < better < 1:
            assert worse < better
    assert all(accept_probability(plan, part.defect_class, 0) == 1 for part in plan.classes)


def test_a_full_inspection_leaves_nothing_to_chance() -> None:
    plan = planned(30, major("0.25"), every_unit_up_to=15)
    assert [accept_probability(plan, MAJOR, bad) for bad in (0, 1, 30)] == [1, 0, 0]


def test_of_a_process_the_curve_is_the_one_the_standard_prints() -> None:
    """ISO 2859-1, table 10-J: with 80 units and Ac 5, 10 of 100 lots are accepted at 11.3 % nonconforming."""
    at = accept_probability_of_process(80, 5, Fraction(113, 1000))
    assert Fraction(99, 1000) < at < Fraction(101, 1000)
    assert accept_probability_of_process(80, 5, Fraction(0)) == 1
    assert accept_probability_of_process(80, 5, Fraction(1)) == 0
    for share in (Fraction(-1, 10), Fraction(11, 10)):
        with pytest.raises(errors.InvalidInput):
            accept_probability_of_process(80, 5, share)


def test_a_probability_is_asked_for_a_class_of_the_plan_and_a_lot_that_can_be() -> None:
    plan = house(100)
    for bad in (-1, 101):
        with pytest.raises(errors.InvalidInput):
            accept_probability(plan, MAJOR, bad)
    with pytest.raises(errors.NotFound):
        accept_probability(planned(100, major("2.5"), every_unit_up_to=15), MINOR, 1)
