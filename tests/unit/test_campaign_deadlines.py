"""The time that a campaign leaves for the last tries of failed charges, and for late pledges, without any I/O."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import errors
from domain.campaign import Phase
from domain.campaign_deadlines import (
    CALLS_OF_A_DROP,
    final_charges_seconds,
    phase_deadlines,
    put_off,
    with_final_charges,
)
from domain.campaign_delivery import end_of, require_in_time
from domain.pledge import Item, ItemKind
from tests.unit.campaigns import DAY, NOW, terms

HOUR = 3_600


@pytest.mark.parametrize(
    ("failed", "rate", "seconds"),
    [
        (0, 25, HOUR),
        (15_000, 25, HOUR),
        (15_001, 25, HOUR + 1),
        (30_000, 25, 2 * HOUR),
        (250_000, 25, 60_000),
        (250_000, 0, HOUR),
    ],
)
def test_the_last_tries_have_time(failed: int, rate: int, seconds: int) -> None:
    assert final_charges_seconds(failed, rate) == seconds


@given(failed=st.integers(0, 10**6), rate=st.integers(1, 1_000))
def test_all_last_tries_fit_twice(failed: int, rate: int) -> None:
    assert final_charges_seconds(failed, rate) * rate >= 2 * CALLS_OF_A_DROP * failed


def test_the_timer_of_the_collection_grows_and_says_so() -> None:
    [told] = phase_deadlines(terms(), Phase.COLLECTING, NOW)
    assert "60 minutes at most" in told.outcome
    assert told.passes_at == told.due_at + timedelta(hours=1)
    assert with_final_charges(told, 15_000, 25) == told
    grown = with_final_charges(told, 30_000, 25)
    assert (grown.due_at, grown.passes_at) == (told.due_at, told.due_at + timedelta(hours=2))
    assert "120 minutes at most" in grown.outcome
    # Fewer are left meanwhile: what was promised to all stands.
    assert with_final_charges(grown, 1, 25) == grown
    later = put_off(grown, grown.passes_at)
    assert with_final_charges(later, 250_000, 25) == later
    [launch] = phase_deadlines(terms(), Phase.LIVE, NOW)
    assert with_final_charges(launch, 250_000, 25) == launch


def test_late_pledges_end_with_the_delivery() -> None:
    def item(deliver_on: date | None) -> Item:
        return Item(number=1, kind=ItemKind.TIER, title="Lamp", price=1, deliver_on=deliver_on)

    day = date(2027, 9, 1)
    last = end_of(day) - timedelta(microseconds=1)
    require_in_time(None, {}, NOW)
    require_in_time(day, {"tier": item(day), "add_ons[0]": item(None)}, last)
    for deliver_by, chosen, field in (
        (day, {}, "deliver_by"),
        (day, {"tier": item(date(2028, 1, 1))}, "deliver_by"),
        (None, {"tier": item(day)}, "tier"),
        (day + 30 * DAY, {"tier": item(None), "add_ons[0]": item(day)}, "add_ons[0]"),
    ):
        with pytest.raises(errors.TooLate) as refused:
            require_in_time(deliver_by, chosen, last + timedelta(microseconds=1))
        assert refused.value.field == field
