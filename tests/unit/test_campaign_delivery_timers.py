"""The timers of a campaign that has succeeded, and what backers tell about their rewards, without any I/O."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from domain import errors
from domain.campaign import Event, Ledger, Phase, Question, Report, Trigger
from domain.campaign_delivery import (
    VOTE,
    Delivery,
    delivery_deadlines,
    end_of,
    next_vote,
    part_of,
    parts_of,
    reached_by,
    released,
    reported,
    require_no_vote,
    success_deadlines,
    with_part,
)
from domain.deadlines import Deadline
from domain.pledge import PledgeState, RewardState
from domain.rewards import checked, received, require_open, require_told
from tests.unit.campaigns import DAY, FEE, NOW, by_name, delivery, terms, told


def test_the_timers_of_a_success_tell_what_they_post() -> None:
    due = by_name(success_deadlines(terms(), Ledger(taken_in=10_001), NOW, owed=2))
    assert list(due) == ["disbursal", "update"]
    assert due["disbursal"].due_at == NOW + 14 * DAY
    assert told(due["disbursal"]) == [
        "debit escrow:cmp 4000",
        "credit payable:creator 3800",
        "credit fee:platform 200",
    ]
    assert due["update"].due_at == NOW + 30 * DAY
    assert [each.name for each in success_deadlines(terms(), Ledger(taken_in=1), NOW)] == [
        "disbursal"
    ]


def started(**changes: Any) -> Delivery:
    """After the first release."""
    ledger = released(Ledger(taken_in=10_000), 4_000, FEE)
    return delivery(ledger=ledger, parts=reached_by(parts_of(terms()), Trigger.START), **changes)


def timers(found: Delivery, at: datetime = NOW + 14 * DAY, **changes: Any) -> dict[str, Deadline]:
    return by_name(delivery_deadlines(terms(**changes), Phase.FULFILLING, found, at))


def test_the_timers_while_it_is_made() -> None:
    due = timers(started())
    assert set(due) == {"reserve", "update", "delivery", "long_stop"}
    assert due["delivery"].due_at == datetime(2027, 9, 2, tzinfo=UTC) == end_of(date(2027, 9, 1))
    assert due["reserve"].due_at == NOW + 180 * DAY
    assert told(due["reserve"]) == []
    assert due["long_stop"].due_at == end_of(date(2027, 9, 1)) + 365 * DAY
    assert told(due["long_stop"]) == ["debit escrow:cmp 6000", "credit refund_due:new 6000"]
    # Those who have nothing get at most what they paid; the rest is the creator's.
    few = timers(started(owed=1, owed_amount=1_000))["long_stop"]
    assert told(few) == [
        "debit escrow:cmp 1000",
        "credit refund_due:new 1000",
        "debit escrow:cmp 5000",
        "credit payable:creator 4750",
        "credit fee:platform 250",
    ]
    done = timers(started(owed=0))
    assert set(done) == {"reserve", "long_stop"}
    assert told(done["long_stop"])[0] == "debit escrow:cmp 6000"
    assert delivery_deadlines(terms(), Phase.COMPLETED, started(), NOW) == ()


def test_a_reported_part_is_released_when_nobody_answers() -> None:
    found = started()
    shown = reported(part_of(found.parts, 2), Report(note=""), NOW + 20 * DAY)
    found = found.model_copy(update={"parts": with_part(found.parts, shown)})
    due = timers(found)["review"]
    assert (due.due_at, due.subject) == (NOW + 27 * DAY, "tranche 2")
    assert told(due)[0] == "debit escrow:cmp 3000"


def test_while_backers_vote_nothing_is_released() -> None:
    vote = Deadline(name=VOTE, due_at=NOW, stopped_by=(), outcome="", subject="bal")
    found = started(vote=vote)
    assert set(timers(found)) == {"vote", "update", "delivery"}
    with pytest.raises(errors.WrongPhase, match="voting"):
        require_no_vote(found)
    require_no_vote(started())


def test_the_reserve_comes_again_once_all_else_is_done() -> None:
    late = NOW + 200 * DAY
    assert "reserve" not in timers(started(), late)
    parts = reached_by(parts_of(terms()), *list(Trigger)[:3])
    ready = started().model_copy(update={"parts": parts, "owed": 0})
    due = timers(ready, late)["reserve"]
    assert due.due_at < late
    assert told(due)[0] == "debit escrow:cmp 6000"


def test_the_creator_is_reminded_every_month_of_silence() -> None:
    found = started(told_at=NOW + 10 * DAY)
    assert timers(found, NOW + 14 * DAY)["update"].due_at == NOW + 40 * DAY
    assert timers(found, NOW + 40 * DAY)["update"].due_at == NOW + 70 * DAY
    before = started(told_at=NOW - 10 * DAY)
    assert timers(before, NOW)["update"].due_at == NOW + 30 * DAY


def test_late_pledges_are_paid_weekly_until_the_promised_day() -> None:
    first = NOW + 14 * DAY
    weekly = {"late_pledges": True}
    assert timers(started(), first, **weekly)["late_pledges"].due_at == first + 7 * DAY
    assert timers(started(), first + 9 * DAY, **weekly)["late_pledges"].due_at == first + 14 * DAY
    assert "late_pledges" not in timers(started(), end_of(date(2027, 9, 1)), **weekly)
    assert "late_pledges" not in timers(started(), first)
    more = started().model_copy(update={"ledger": released(Ledger(taken_in=11_000), 4_000, FEE)})
    due = timers(more, first)["late_pledges"]
    assert told(due)[0] == "debit escrow:cmp 400"


def test_a_late_delivery_is_told_once_and_votes_keep_their_distance() -> None:
    assert "delivery" not in timers(started(alerted=True))
    assert "delivery" not in timers(started(deliver_by=None))
    promised = end_of(date(2027, 9, 1))
    assert next_vote(terms(), date(2027, 9, 1), None) == promised + 30 * DAY
    last = promised + 40 * DAY
    assert next_vote(terms(), date(2027, 9, 1), last) == last + 90 * DAY


def test_without_a_promised_day_the_long_stop_counts_from_the_success() -> None:
    due = timers(started(deliver_by=None, owed=0))["long_stop"]
    assert due.due_at == NOW + 365 * DAY
    assert due.event == Event.LONG_STOP


COLOUR = Question(key="colour", text="Which colour?", choices=("red", "blue"), tiers=(1,))
NAME = Question(key="name", text="Whose name?", required=False)


def test_answers_are_those_that_were_asked_for() -> None:
    asked = (COLOUR, NAME)
    assert checked(asked, 1, {"colour": "red"}).answers == {"colour": "red"}
    assert checked(asked, 2, {}).answers == {}
    for tier, answers, field in (
        (1, {"colour": "green"}, "answers.colour"),
        (1, {"name": "Bao"}, "answers.colour"),
        (1, {"colour": " "}, "answers.colour"),
        (2, {"colour": "red"}, "answers.colour"),
        (1, {"size": "XL"}, "answers.size"),
    ):
        with pytest.raises(errors.InvalidInput) as refused:
            checked(asked, tier, answers)
        assert refused.value.field == field


def test_a_backer_tells_until_the_reward_is_locked() -> None:
    require_open(PledgeState.SAVED, RewardState.NONE, 1)
    require_open(PledgeState.COLLECTED, RewardState.OWED, 1)
    for state, reward, tier in (
        (PledgeState.COLLECTED, RewardState.LOCKED, 1),
        (PledgeState.COLLECTED, RewardState.OWED, None),
        (PledgeState.EXPIRED, RewardState.NONE, 1),
        (PledgeState.REFUNDED, RewardState.OWED, 1),
    ):
        with pytest.raises(errors.WrongPhase):
            require_open(state, reward, tier)


def test_silence_after_the_shipping_counts_as_received() -> None:
    until, month = NOW + 30 * DAY, 30 * 86_400
    assert not received(RewardState.SHIPPED, NOW, until - DAY, month)
    assert received(RewardState.SHIPPED, NOW, until, month)
    assert received(RewardState.RECEIVED, NOW, NOW, month)
    assert not received(RewardState.MISSING, NOW, until, month)
    assert not received(RewardState.OWED, None, until, month)
    require_told(RewardState.SHIPPED, NOW, RewardState.MISSING, until, until - DAY)
    require_told(RewardState.MISSING, NOW, RewardState.RECEIVED, until, until + DAY)
    require_told(RewardState.MISSING, NOW, RewardState.MISSING, until, until + DAY)
    with pytest.raises(errors.TooLate):
        require_told(RewardState.SHIPPED, NOW, RewardState.MISSING, until, until)
    with pytest.raises(errors.WrongPhase):
        require_told(RewardState.LOCKED, None, RewardState.RECEIVED, until, NOW)
    with pytest.raises(errors.WrongPhase):
        require_told(RewardState.RECEIVED, NOW, RewardState.MISSING, until, NOW)
