"""More time for a maker: not so much that the wages could not be held any more."""

from __future__ import annotations

from datetime import timedelta

import pytest

from domain.errors import HoldTooLong, InvalidInput
from domain.lot import Course, Event, Phase
from domain.lot_moves import Said, move
from domain.production import require_holdable
from tests.ledger.test_production_postings import AT, TERMS

DAY = 86_400
COURSE = Course(units=10, due_at=AT + timedelta(days=3))


def extended(days: int, *, held_for: int | None) -> Course:
    """The course of a lot whose due date was three days off, with so many more."""
    held_until = None if held_for is None else AT + timedelta(days=held_for)
    said = Said(seconds=days * DAY, held_until=held_until)
    return move(TERMS, COURSE, Phase.MAKING, Event.EXTENDED, AT, said).course


def test_what_follows_has_to_end_while_the_wages_are_held() -> None:
    after = TERMS.policy.after_making_seconds // DAY
    assert extended(7, held_for=10 + after).due_at == AT + timedelta(days=10)
    with pytest.raises(HoldTooLong) as refused:
        extended(8, held_for=10 + after)
    assert (AT + timedelta(days=10)).isoformat() in str(refused.value.accepted)
    assert extended(60, held_for=None).due_at == AT + timedelta(days=63)
    for days in (0, 61):
        with pytest.raises(InvalidInput):
            extended(days, held_for=None)


def test_an_order_that_could_not_be_held_is_not_begun() -> None:
    longest = TERMS.claims_seconds + TERMS.policy.lot_seconds(TERMS.make_seconds)
    require_holdable(TERMS, longest)
    with pytest.raises(HoldTooLong):
        require_holdable(TERMS, longest - 1)
