"""The rules of production orders: legal transitions, terms, what is paid in, and the timers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import pytest

from domain.deadlines import Deadline
from domain.errors import AmountOutOfRange, HoldTooLong, InvalidInput, WrongPhase
from domain.money import MAX_AMOUNT
from domain.policy import RefundPolicy
from domain.production import (
    FINAL,
    TRANSITIONS,
    Defect,
    DefectClass,
    Event,
    Material,
    Phase,
    ProductionTerms,
    Rules,
    Standard,
    Units,
    after_lots,
    require_event,
    require_holdable,
    require_terms,
)
from domain.production_deadlines import CLAIMS, LOOK, as_of_now, looked, phase_deadlines
from domain.production_policy import ProductionPolicy

DAY = 86_400
AT = datetime(2027, 3, 1, tzinfo=UTC)
POLICY = ProductionPolicy()


def terms_of(**changes: Any) -> ProductionTerms:
    """A hundred baskets at 5.00, with materials for 2.00 each."""
    defect = Defect(code="splinter", text="A splinter", severity=DefectClass.CRITICAL)
    terms = {
        "order_id": "prd_1",
        "requester_id": "usr_1",
        "title": "Baskets",
        "process": "Weave",
        "standard": Standard(text="Round", defects=(defect,), good_file_ids=("fil_2",)),
        "materials": (Material(number=1, title="Bamboo", pieces=2, cost=100),),
        "currency": "CNY",
        "units": 100,
        "lot_most": 100,
        "rate": 500,
        "deposit": 200,
        "make_seconds": 20 * DAY,
        "claims_seconds": 10 * DAY,
        "rules": Rules(
            policy=POLICY, refund_policy=RefundPolicy(), provider="sandbox", return_url="x"
        ),
        **changes,
    }
    return ProductionTerms.model_validate(terms)


def test_the_state_machine_is_closed() -> None:
    assert all(phase not in FINAL for phase, _ in TRANSITIONS)
    assert {phase for targets in TRANSITIONS.values() for phase in targets} == set(Phase) - {
        Phase.DRAFT
    }
    for phase, event in product(Phase, Event):
        if (phase, event) in TRANSITIONS:
            assert require_event(phase, event) == TRANSITIONS[phase, event]
        else:
            with pytest.raises(WrongPhase):
                require_event(phase, event)


def test_what_is_paid_in() -> None:
    assert terms_of().to_fund == 50_000
    more = {"freight": 10, "certifier_id": "usr_2", "certifier_fee": 7}
    # Freight once for the first time, and once for each of the two times goods may be mended.
    assert terms_of(**more, sample_fee=300, samples=2).to_fund == 100 * (500 + 30 + 7) + 600
    assert terms_of().kit_cost == 200
    assert not terms_of().wants_sample
    assert terms_of(sample_fee=0, samples=1).wants_sample, "a sample may be made for nothing"


def test_every_file_of_the_contract_is_shown_once() -> None:
    assert terms_of(file_ids=("fil_1", "fil_2")).shown_files == ("fil_1", "fil_2")


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("deposit", {"deposit": 201}),
        ("deposit", {"materials": ()}),
        ("lot_most", {"lot_most": 101}),
        ("lot_most", {"lot_least": 50, "lot_most": 49}),
        ("samples", {"sample_fee": 300}),
        ("samples", {"samples": 1}),
        ("certifier_fee", {"certifier_fee": 1}),
        ("make_seconds", {"make_seconds": DAY - 1}),
        ("make_seconds", {"make_seconds": POLICY.make_longest_seconds + 1}),
        ("claims_seconds", {"claims_seconds": DAY - 1}),
        ("claims_seconds", {"claims_seconds": POLICY.claims_longest_seconds + 1}),
        ("standard.defects", {"standard": Standard(text="Good", defects=())}),
        (
            "standard.defects",
            {
                "standard": Standard(
                    text="Good",
                    defects=(
                        Defect(code="a", text="One", severity=DefectClass.MAJOR),
                        Defect(code="a", text="Two", severity=DefectClass.MINOR),
                    ),
                )
            },
        ),
        (
            "materials",
            {
                "materials": (
                    Material(number=1, title="A", pieces=1, cost=100),
                    Material(number=1, title="B", pieces=1, cost=100),
                )
            },
        ),
    ],
    ids=str,
)
def test_terms_no_order_can_have(field: str, changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput) as refused:
        require_terms(terms_of(**changes), DAY)
    assert refused.value.field == field
    assert refused.value.accepted


def test_sums_nobody_can_pay() -> None:
    require_terms(terms_of(), DAY)
    with pytest.raises(AmountOutOfRange):
        require_terms(terms_of(rate=MAX_AMOUNT), DAY)
    dear = (Material(number=1, title="Gold", pieces=10_000, cost=MAX_AMOUNT),)
    with pytest.raises(AmountOutOfRange):
        require_terms(terms_of(materials=dear), DAY)


def test_wages_are_never_held_longer_than_the_provider_holds_them() -> None:
    terms = terms_of()
    longest = terms.claims_seconds + POLICY.lot_seconds(terms.make_seconds)
    require_holdable(terms, longest)
    with pytest.raises(HoldTooLong):
        require_holdable(terms, longest - 1)


@pytest.mark.parametrize(
    ("phase", "units", "running", "end"),
    [
        (Phase.PUBLISHED, Units(open=1, accepted=99), 0, Phase.PUBLISHED),
        (Phase.PUBLISHED, Units(running=1, accepted=99), 1, Phase.PUBLISHED),
        (Phase.PUBLISHED, Units(accepted=100), 0, Phase.COMPLETED),
        (Phase.CLOSING, Units(open=1, running=1, accepted=98), 1, Phase.CLOSING),
        (Phase.CLOSING, Units(open=100), 0, Phase.COMPLETED),
    ],
    ids=str,
)
def test_an_order_is_over_once_nothing_runs_and_nothing_can_be_claimed(
    phase: Phase, units: Units, running: int, end: Phase
) -> None:
    assert after_lots(phase, units, running) is end
    assert units.total == 100


def names(timers: tuple[Deadline, ...]) -> dict[str, datetime]:
    """When each timer fires."""
    return {each.name: each.due_at for each in timers}


def test_a_look_leaves_the_end_of_the_claims_where_it_is() -> None:
    terms = terms_of()
    began = phase_deadlines(terms, Phase.PUBLISHED, AT)
    ends = AT + timedelta(days=10)
    assert names(began) == {CLAIMS: ends, LOOK: AT + timedelta(days=1)}
    assert began[0].passes_at == ends + timedelta(seconds=POLICY.grace_seconds)
    later = AT + timedelta(days=1)
    again = looked(terms, Phase.PUBLISHED, began, AT, later)
    assert names(again) == {CLAIMS: ends, LOOK: later + timedelta(days=1)}
    assert names(looked(terms, Phase.CLOSING, again, AT, later)) == {
        LOOK: later + timedelta(days=1)
    }
    assert looked(terms, Phase.COMPLETED, again, AT, later) == ()


def test_an_order_that_runs_for_long_is_looked_at_less_often() -> None:
    """So its history stays short: half a year takes fewer than 80 looks."""
    terms, at, looks = terms_of(), AT, 0
    while at < AT + timedelta(days=180):
        [timer] = looked(terms, Phase.CLOSING, (), AT, at)
        at, looks = timer.due_at, looks + 1
    assert looks < 80


def test_the_end_of_the_claims_shows_what_it_would_post_while_nothing_runs() -> None:
    terms = terms_of()
    running = phase_deadlines(terms, Phase.PUBLISHED, AT)
    claims = next(t for t in as_of_now(terms, running, 50_000, 0) if t.name == CLAIMS)
    assert [str(each) for each in claims.postings] == [
        "debit escrow:prd_1 CNY 500.00",
        "credit refund_due:new CNY 500.00",
    ]
    assert as_of_now(terms, running, 50_000, 1) == running
    assert as_of_now(terms, running, 0, 0) == running


def test_every_timer_says_who_can_stop_it_and_what_silence_does() -> None:
    terms = terms_of()
    for phase in Phase:
        for timer in phase_deadlines(terms, phase, AT):
            assert timer.outcome.endswith(".")
            assert timer.stopped_by
            assert timer.event == "" or Event(timer.event)
