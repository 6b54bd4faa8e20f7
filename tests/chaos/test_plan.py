"""A plan is made from its seed alone, and a long one leaves nobody out."""

from __future__ import annotations

import pytest

from tests.chaos.plan import ACTS, POINTS, Process, make_plan
from tests.chaos.scenes import SCENES

SEEDS = range(20)


@pytest.mark.parametrize("rounds", [None, 1, 3])
def test_the_same_seed_gives_the_same_plan(rounds: int | None) -> None:
    plans = [make_plan(seed, rounds) for seed in SEEDS]
    assert plans == [make_plan(seed, rounds) for seed in SEEDS]
    assert len({each.digest for each in plans}) == len(plans)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_long_plan_kills_everybody_at_every_point(seed: int) -> None:
    plan = make_plan(seed, 1)
    struck = {(each.process, each.point) for each in plan.kills}
    assert struck == {
        *((process, point) for process, points in POINTS.items() for point in points),
        *((process, None) for process in Process),
    }
    assert set(plan.stories) == set(SCENES) == set(ACTS)


@pytest.mark.parametrize("seed", SEEDS)
def test_kills_come_while_people_are_at_work(seed: int) -> None:
    for rounds in (None, 2):
        plan = make_plan(seed, rounds)
        assert {each.process for each in plan.kills} == set(Process)
        at = [each.at_act for each in plan.kills]
        assert at == sorted(at)
        assert 0 < at[0] < at[-1] < plan.acts
