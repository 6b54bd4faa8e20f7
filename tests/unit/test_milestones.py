"""The work of a tender without any I/O: what each act and each silence does with milestones, money and deposit."""

from __future__ import annotations

from datetime import timedelta
from functools import reduce
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import errors
from domain.milestones import (
    ENDED,
    REMAINDER,
    TRANSITIONS,
    DepositFate,
    Moved,
    State,
    Work,
    charged_back,
    move,
    planned,
    subject_number,
)
from domain.policy import TenderPolicy
from domain.tender import Event, Phase, PlannedMilestone
from domain.tender_deadlines import milestone_deadlines
from tests.unit.test_tender_rules import DAY, NOW, terms

POLICY = TenderPolicy()
PAID = [(1, Event.MILESTONE_PAID)]
SHOWN = [*PAID, (1, Event.SUBMITTED)]


def work(*amounts: int) -> Work:
    """Work in these parts, the first being paid."""
    return planned([PlannedMilestone(title="x", amount=a, due_days=14) for a in amounts])


def after(start: Work, *steps: tuple[int, Event], at: Any = NOW) -> Work:
    """The work after these steps."""
    return reduce(lambda w, step: move(POLICY, w, step[0], step[1], at).work, steps, start)


def states(found: Work) -> list[str]:
    """Where each milestone stands."""
    return [each.state for each in found.milestones]


def last(start: Work, *steps: tuple[int, Event], **more: Any) -> Moved:
    """What the last of these steps does."""
    *before, (number, event) = steps
    return move(POLICY, after(start, *before), number, event, NOW, **more)


def test_one_after_the_other_until_the_work_is_done() -> None:
    first = last(work(10, 20), *SHOWN, (1, Event.APPROVED))
    assert (first.released, first.asks_for, first.phase) == (10, 2, Phase.IN_PROGRESS)
    assert states(first.work) == [State.RELEASED, State.FUNDING]
    second = last(first.work, (2, Event.MILESTONE_PAID), (2, Event.SUBMITTED), (2, Event.APPROVED))
    assert (second.released, second.phase) == (20, Phase.COMPLETED)
    assert second.deposit is DepositFate.RETURNED


def test_what_is_not_released_rolls_on_and_the_buyer_pays_only_what_the_next_costs() -> None:
    moved = last(work(10, 20), *SHOWN, (1, Event.APPROVED), amount=7)
    following = moved.work.milestone(2)
    assert (moved.released, following.amount, following.carried) == (7, 20, 3)
    assert moved.work.in_escrow == 3
    done = last(
        moved.work, (2, Event.MILESTONE_PAID), (2, Event.SUBMITTED), (2, Event.APPROVAL_LAPSED)
    )
    assert done.released == 23
    assert done.work.in_escrow == 0


def test_after_the_last_one_the_remainder_is_one_more_milestone_that_is_paid_already() -> None:
    moved = last(work(10), *SHOWN, (1, Event.APPROVED), amount=9)
    rest = moved.work.milestone(2)
    assert (rest.title, rest.state, rest.amount, rest.total) == (REMAINDER, State.FUNDED, 0, 1)
    assert (rest.due_at, rest.hard_stop_at) == (NOW + 14 * DAY, NOW + 75 * DAY)
    assert (moved.phase, moved.asks_for, moved.deposit) == (
        Phase.IN_PROGRESS,
        None,
        DepositFate.KEPT,
    )
    done = last(moved.work, (2, Event.SUBMITTED), (2, Event.APPROVED))
    assert (done.released, done.phase) == (1, Phase.COMPLETED)


def test_an_unpaid_milestone_costs_half_of_the_deposit_and_what_rolled_on_goes_back() -> None:
    moved = last(work(10, 20, 30), *SHOWN, (1, Event.APPROVED), amount=6)
    failed = last(moved.work, (2, Event.MILESTONE_UNPAID))
    assert (failed.phase, failed.deposit, failed.refunded) == (
        Phase.FAILED,
        DepositFate.FORFEITED,
        4,
    )
    assert states(failed.work) == [State.RELEASED, State.DROPPED, State.DROPPED]
    assert failed.work.in_escrow == 0
    assert last(moved.work, (2, Event.MILESTONE_UNPAID), at_fault=False).deposit is (
        DepositFate.RETURNED
    )


def test_changes_can_be_asked_for_three_times() -> None:
    again = [(1, Event.CHANGES_REQUESTED), (1, Event.SUBMITTED)]
    thrice = after(work(10), *SHOWN, *again, *again, *again)
    assert thrice.milestone(1).rounds == 4
    with pytest.raises(errors.LimitReached) as refused:
        move(POLICY, thrice, 1, Event.CHANGES_REQUESTED, NOW)
    assert refused.value.accepted == "approve or dispute"


def test_a_late_worker_may_be_cancelled_and_may_still_submit() -> None:
    late = after(work(10, 20), *PAID, (1, Event.DELIVERY_LAPSED))
    assert states(after(late, (1, Event.SUBMITTED)))[0] == State.SUBMITTED
    gone = last(late, (1, Event.MILESTONE_CANCELLED))
    assert (gone.refunded, gone.phase, gone.deposit) == (
        10,
        Phase.CANCELLED,
        DepositFate.RETURNED,
    )
    assert states(gone.work) == [State.REFUNDED, State.DROPPED]


def test_after_a_late_change_the_hard_stop_leaves_time_to_act() -> None:
    at = NOW + 80 * DAY
    waiting = after(work(10), *SHOWN, (1, Event.CHANGES_REQUESTED))
    late = move(POLICY, waiting, 1, Event.CHANGES_LAPSED, at).work.milestone(1)
    assert late.hard_stop_at == at + 7 * DAY
    early = move(POLICY, waiting, 1, Event.CHANGES_LAPSED, NOW).work.milestone(1)
    assert early.hard_stop_at == NOW + 75 * DAY


def test_a_dispute_locks_its_part_while_the_next_milestone_goes_on() -> None:
    disputed = last(work(10, 20), *SHOWN, (1, Event.DISPUTED))
    assert disputed.asks_for == 2
    going_on = after(disputed.work, (2, Event.MILESTONE_PAID), (2, Event.SUBMITTED))
    assert going_on.in_escrow == 30
    ruled = last(going_on, (1, Event.RULED), amount=7)
    assert (ruled.released, ruled.refunded, ruled.phase) == (7, 3, Phase.IN_PROGRESS)
    done = last(ruled.work, (2, Event.APPROVED))
    assert (done.phase, done.released) == (Phase.COMPLETED, 20)


def test_a_tender_that_has_failed_waits_for_its_disputes() -> None:
    disputed = after(work(10, 20), *PAID, (1, Event.DISPUTED))
    failing = last(disputed, (2, Event.MILESTONE_UNPAID))
    assert (failing.phase, failing.deposit) == (Phase.IN_PROGRESS, DepositFate.FORFEITED)
    ended = last(failing.work, (1, Event.RULING_LAPSED))
    assert (ended.phase, ended.refunded, ended.deposit) == (Phase.FAILED, 10, DepositFate.KEPT)


def test_without_a_ruling_what_was_shown_is_released_and_the_rest_refunded() -> None:
    lapsed = (1, Event.RULING_LAPSED)
    disputed = (1, Event.DISPUTED)
    shown = last(work(10), *SHOWN, disputed, lapsed)
    sent_back = last(work(10), *SHOWN, (1, Event.CHANGES_REQUESTED), disputed, lapsed)
    nothing = last(work(10), *PAID, disputed, lapsed)
    left_lying = last(
        work(10),
        *SHOWN,
        (1, Event.CHANGES_REQUESTED),
        (1, Event.CHANGES_LAPSED),
        disputed,
        lapsed,
    )
    assert [m.released for m in (shown, sent_back, nothing, left_lying)] == [10, 10, 0, 0]
    assert {m.phase for m in (shown, sent_back, nothing, left_lying)} == {Phase.COMPLETED}


@pytest.mark.parametrize(("amount", "event"), [(0, Event.APPROVED), (11, Event.APPROVED)])
def test_an_approval_in_part_stays_within_the_milestone(amount: int, event: Event) -> None:
    with pytest.raises(errors.AmountOutOfRange) as refused:
        last(work(10), *SHOWN, (1, event), amount=amount)
    assert refused.value.accepted == "1 to 10"


def test_a_ruling_may_give_the_worker_nothing_but_no_more_than_there_is() -> None:
    disputed = [*SHOWN, (1, Event.DISPUTED)]
    assert last(work(10), *disputed, (1, Event.RULED), amount=0).refunded == 10
    with pytest.raises(errors.AmountOutOfRange):
        last(work(10), *disputed, (1, Event.RULED), amount=11)


@pytest.mark.parametrize("number", [0, 3])
def test_there_is_no_such_milestone(number: int) -> None:
    with pytest.raises(errors.NotFound):
        move(POLICY, work(10, 20), number, Event.SUBMITTED, NOW)


@pytest.mark.parametrize("subject", ["", "milestone", "milestone x", "prize 1", "ref_1"])
def test_other_subjects_are_no_milestones(subject: str) -> None:
    assert subject_number("milestone 12") == 12
    with pytest.raises(errors.NotFound):
        subject_number(subject)


@given(st.lists(st.integers(1, 1_000), min_size=1, max_size=5), st.data())
def test_whatever_happens_no_money_is_made_or_lost(amounts: list[int], data: st.DataObject) -> None:
    """A random walk over all milestones: escrow = paid - released - refunded, and the end leaves nothing."""
    found, paid, out = work(*amounts), 0, 0
    fates: list[DepositFate] = []
    phase = Phase.ACCEPTED
    for _ in range(60):
        possible = [
            (each.number, event)
            for each in found.milestones
            for state, event in TRANSITIONS
            if state is each.state
            and not (event is Event.CHANGES_REQUESTED and each.changes >= POLICY.change_requests)
        ]
        if not possible:
            break
        number, event = data.draw(st.sampled_from(possible))
        held = found.milestone(number)
        amount = None
        if event in (Event.APPROVED, Event.RULED):
            amount = data.draw(st.integers(0 if event is Event.RULED else 1, held.total))
        moved = move(POLICY, found, number, event, NOW, amount=amount)
        paid += held.amount if event is Event.MILESTONE_PAID else 0
        out += moved.released + moved.refunded
        found, phase = moved.work, moved.phase
        if moved.deposit is not DepositFate.KEPT:
            fates.append(moved.deposit)
        assert found.in_escrow == paid - out >= 0
        assert (phase in (Phase.IN_PROGRESS,)) is not all(s in ENDED for s in states(found))
        require_divided(found, number, data.draw(st.integers(1, 100)))
    if all(state in ENDED for state in states(found)):
        assert found.in_escrow == 0
        assert len(fates) == 1
        assert (fates[0] is DepositFate.FORFEITED) is (phase is Phase.FAILED)


def require_divided(found: Work, number: int, amount: int) -> None:
    """Whenever the bank takes a payment back, all that is in escrow has somebody to go to."""
    moved = charged_back(found, number, amount)
    assert moved.taken + moved.released + moved.refunded == found.in_escrow
    assert 0 <= moved.taken <= amount and min(moved.released, moved.refunded) >= 0
    assert moved.taken == amount or not moved.refunded
    assert moved.work.in_escrow == 0
    assert all(state in ENDED for state in states(moved.work))


def test_a_lost_payment_takes_only_what_is_left_of_it_from_what_the_worker_has_shown() -> None:
    rolled = last(work(10, 20), *SHOWN, (1, Event.APPROVED), amount=4).work
    shown = after(rolled, (2, Event.MILESTONE_PAID), (2, Event.SUBMITTED))
    first = charged_back(shown, 1, 10)
    assert (first.taken, first.released, first.refunded) == (6, 20, 0)
    second = charged_back(shown, 2, 25)
    assert (second.taken, second.released, second.refunded) == (20, 6, 0)
    neither = charged_back(shown, None, 10)
    assert (neither.taken, neither.released) == (0, 26)
    # Of 26 again 22 are released: 6 of the first payment and 16 of the second.
    again = move(POLICY, shown, 2, Event.APPROVED, NOW, amount=22).work
    again = after(again, (3, Event.SUBMITTED))
    assert charged_back(again, 1, 10).taken == 0
    assert charged_back(again, 2, 25).taken == 4


def test_what_would_go_back_all_the_same_answers_for_the_rest_of_the_loss() -> None:
    disputed = after(work(10, 20), *PAID, (1, Event.DISPUTED), (2, Event.MILESTONE_PAID))
    moved = charged_back(disputed, 2, 25)
    assert (moved.taken, moved.released, moved.refunded) == (25, 0, 5)
    assert states(moved.work) == [State.REFUNDED, State.REFUNDED]


def names(found: Work) -> dict[str, timedelta]:
    """The timers of some work and how far away they are."""
    timers = milestone_deadlines(
        terms(), "worker", found, NOW, frozenset(m.number for m in found.milestones)
    )
    assert all(timer.stopped_by and timer.outcome for timer in timers)
    return {f"{timer.subject}: {timer.name}": timer.due_at - NOW for timer in timers}


def test_each_milestone_has_its_own_timers() -> None:
    assert names(work(10, 20)) == {"milestone 1: milestone_payment": 5 * DAY}
    assert names(after(work(10, 20), *PAID)) == {
        "milestone 1: delivery": 21 * DAY,
        "milestone 1: hard_stop": 75 * DAY,
    }
    assert names(after(work(10), *SHOWN)) == {"milestone 1: approval": 14 * DAY}
    changes = after(work(10), *SHOWN, (1, Event.CHANGES_REQUESTED))
    assert names(changes) == {"milestone 1: changes": 7 * DAY}
    assert names(after(changes, (1, Event.CHANGES_LAPSED))) == {"milestone 1: hard_stop": 75 * DAY}
    disputed = after(work(10, 20), *SHOWN, (1, Event.DISPUTED))
    assert names(disputed) == {
        "milestone 1: ruling": 60 * DAY,
        "milestone 2: milestone_payment": 5 * DAY,
    }


def test_timers_of_other_milestones_keep_the_time_they_have() -> None:
    before = after(work(10, 20), *SHOWN, (1, Event.DISPUTED))
    everything = frozenset({1, 2})
    running = milestone_deadlines(terms(), "worker", before, NOW, everything)
    later = move(POLICY, before, 2, Event.MILESTONE_PAID, NOW + DAY)
    timers = milestone_deadlines(terms(), "worker", later.work, NOW + DAY, later.changed, running)
    assert {timer.name: timer.due_at - NOW for timer in timers} == {
        "ruling": 60 * DAY,
        "delivery": 22 * DAY,
        "hard_stop": 76 * DAY,
    }
