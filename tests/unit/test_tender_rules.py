"""The rules of a tender without any I/O: transitions, terms, scores, the deposit."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import accounts, errors
from domain.accounts import Side
from domain.money import MAX_AMOUNT, Money
from domain.policy import RefundPolicy, TenderPolicy
from domain.tender import (
    FINAL,
    TRANSITIONS,
    Award,
    Best,
    Event,
    Phase,
    PlannedMilestone,
    Rules,
    TenderTerms,
    Weights,
    forfeit,
    listing_fee,
    release_entry,
    require_event,
    require_holdable,
    require_plan,
    require_price,
    require_terms,
    score,
)
from domain.tender_deadlines import phase_deadlines

NOW = datetime(2027, 3, 1, 9, tzinfo=UTC)
DAY = timedelta(days=1)
WORKER = accounts.payable("worker")


def terms(**changes: Any) -> TenderTerms:
    """Terms that are accepted."""
    return TenderTerms(
        **{
            "tender_id": "ten",
            "buyer_id": "buyer",
            "title": "Lamps",
            "brief": "Bamboo",
            "currency": "CNY",
            "deposit": 10_001,
            "bidding_seconds": 7 * 86_400,
            "rules": Rules(
                policy=TenderPolicy(),
                refund_policy=RefundPolicy(),
                provider="sandbox",
                return_url="https://shop.example/",
            ),
            **changes,
        }
    )


EXPECTED = """
    draft       funding_asked       funding
    draft       cancelled           cancelled
    funding     deposit_paid        open
    funding     deposit_unpaid      expired
    funding     cancelled           cancelled
    open        bidding_closed      expired selecting
    open        cancelled           cancelled
    selecting   awarded             awarded
    selecting   selection_lapsed    expired
    selecting   cancelled           cancelled
    awarded     award_accepted      accepted
    awarded     award_declined      awarded selecting
    awarded     award_lapsed        awarded selecting
    accepted    retracted           awarded selecting
    accepted    milestone_paid      in_progress
    accepted    milestone_unpaid    failed
    in_progress milestone_paid      in_progress
    in_progress milestone_unpaid    failed in_progress
    in_progress submitted           in_progress
    in_progress approved            completed in_progress
    in_progress approval_lapsed     completed in_progress
    in_progress changes_requested   in_progress
    in_progress changes_lapsed      in_progress
    in_progress delivery_lapsed     in_progress
    in_progress milestone_cancelled cancelled in_progress
    in_progress hard_stop           cancelled in_progress
    in_progress disputed            in_progress
    in_progress ruled               cancelled completed failed in_progress
    in_progress ruling_lapsed       cancelled completed failed in_progress
    open        charged_back        failed
    selecting   charged_back        failed
    awarded     charged_back        failed
    accepted    charged_back        failed
    in_progress charged_back        failed
"""


def test_the_state_machine_is_the_one_of_the_specification() -> None:
    rows = [line.split() for line in EXPECTED.strip().splitlines()]
    assert {(a, b): set(c) for a, b, *c in rows} == TRANSITIONS


@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("event", Event)
def test_what_is_not_in_the_table_cannot_happen(phase: Phase, event: Event) -> None:
    if (phase, event) in TRANSITIONS:
        assert require_event(phase, event) == TRANSITIONS[phase, event]
        return
    with pytest.raises(errors.WrongPhase) as refused:
        require_event(phase, event)
    assert (refused.value.field, bool(refused.value.accepted)) == ("phase", True)


def test_nothing_follows_the_end() -> None:
    assert not {phase for phase, _ in TRANSITIONS} & FINAL


@pytest.mark.parametrize("seconds", [0, 86_399, 30 * 86_400 + 1])
def test_the_time_for_bids_has_bounds(seconds: int) -> None:
    with pytest.raises(errors.InvalidInput) as refused:
        require_terms(terms(bidding_seconds=seconds), 86_400)
    assert refused.value.field == "bidding_seconds"
    assert refused.value.accepted == "86400 to 2592000 seconds"


def test_weights_sum_to_a_hundred() -> None:
    require_terms(terms(weights=Weights(price=50, lead_time=30, sample=20)), 86_400)
    with pytest.raises(errors.SharesDoNotSum):
        require_terms(terms(weights=Weights(price=50, lead_time=30, sample=21)), 86_400)


def test_a_milestone_must_fit_into_the_providers_hold() -> None:
    policy = TenderPolicy()
    require_holdable(policy, policy.hold_seconds())
    assert policy.hold_seconds() == (75 + 14 + 3 * 21) * 86_400
    with pytest.raises(errors.HoldTooLong):
        require_holdable(policy, policy.hold_seconds() - 1)


def test_a_bid_keeps_to_cap_and_currency() -> None:
    require_price(terms(cap=500), Money(amount=500, currency="CNY"))
    with pytest.raises(errors.AboveCap) as above:
        require_price(terms(cap=500), Money(amount=501, currency="CNY"))
    assert (above.value.field, above.value.accepted) == ("price.amount", "at most 500")
    with pytest.raises(errors.CurrencyMismatch):
        require_price(terms(), Money(amount=1, currency="JPY"))


def test_milestones_sum_to_the_price() -> None:
    parts = tuple(PlannedMilestone(title="x", amount=a, due_days=1) for a in (1, 2))
    require_plan(Award(bid_id="b", milestones=parts), 3)
    for price in (2, 4):
        with pytest.raises(errors.SharesDoNotSum):
            require_plan(Award(bid_id="b", milestones=parts), price)


def test_scores_compare_with_the_best() -> None:
    weights = Weights(price=50, lead_time=30, sample=20)
    best = Best(price=800, lead_days=10)
    assert score(weights, best, 800, 10, 100) == 10_000
    assert score(weights, best, 1_600, 10, 100) == 7_500
    assert score(weights, best, 800, 40, None) == 5_000 + 750
    assert score(Weights(price=0, lead_time=0, sample=100), best, 900, 99, 7) == 700


@given(
    st.integers(1, MAX_AMOUNT),
    st.integers(1, MAX_AMOUNT),
    st.integers(1, 730),
    st.integers(1, 730),
    st.integers(0, 100),
    st.integers(0, 100),
)
def test_scores_stay_in_bounds_and_reward_the_better(
    price: int, other: int, days: int, more_days: int, sample: int, share: int
) -> None:
    weights = Weights(price=share, lead_time=100 - share, sample=0)
    best = Best(price=min(price, other), lead_days=min(days, more_days))
    mine = score(weights, best, price, days, sample)
    assert 0 <= mine <= 10_000
    if price <= other and days <= more_days:
        assert mine >= score(weights, best, other, more_days, sample)


@given(st.integers(1, MAX_AMOUNT))
def test_a_forfeited_deposit_is_shared_to_the_unit(deposit: int) -> None:
    entry, back = forfeit(terms(deposit=deposit), WORKER, "key")
    share = sum(p.amount for p in entry.postings if p.account == WORKER)
    assert share + back == deposit
    assert share - back in (0, 1)


@given(st.integers(1, MAX_AMOUNT))
def test_the_listing_fee_is_a_tenth_of_the_deposit(deposit: int) -> None:
    entries, back = listing_fee(terms(deposit=deposit), "key")
    taken = sum(p.amount for e in entries for p in e.postings if p.side is Side.CREDIT)
    assert taken + back == deposit
    assert taken == (deposit + 5) // 10


@given(st.integers(1, MAX_AMOUNT))
def test_the_commission_is_taken_out_of_what_is_released(amount: int) -> None:
    entry = release_entry(terms(), WORKER, amount, "key")
    entry.require_balance()
    paid = sum(p.amount for p in entry.postings if p.account == WORKER)
    assert 0 < paid <= amount
    assert amount - paid == (amount + 5) // 10


def test_each_phase_that_waits_says_for_what() -> None:
    waits = {
        Phase.FUNDING: ("deposit", NOW, ""),
        Phase.OPEN: ("bidding", NOW + 7 * DAY, Event.BIDDING_CLOSED),
        Phase.SELECTING: ("selection", NOW + 4 * DAY, Event.SELECTION_LAPSED),
        Phase.AWARDED: ("acceptance", NOW + 2 * DAY, Event.AWARD_LAPSED),
    }
    for phase in Phase:
        found = phase_deadlines(terms(), phase, NOW)
        told = [(each.name, each.due_at, each.event) for each in found]
        assert told == ([waits[phase]] if phase in waits else []), phase
        assert all(each.outcome and each.stopped_by for each in found)
