"""The rules of a contest without any I/O: transitions, the silence resolver, exact splits, deadlines."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import accounts, errors
from domain.contest import (
    FINAL,
    TRANSITIONS,
    Contender,
    ContestState,
    ContestTerms,
    EntryStatus,
    Event,
    Outcome,
    Phase,
    Prize,
    PrizeState,
    after_prizes,
    extended,
    least_extension,
    next_ranked,
    refund_until,
    release_entry,
    require_holdable,
    require_leads_to,
    require_possible,
    require_sum,
    resolve,
    split_shares,
)
from domain.contest_deadlines import choice_receipt, deadlines, rank_of
from domain.contest_deadlines import extended as longer
from domain.deadlines import Deadline
from domain.money import MAX_AMOUNT
from domain.policy import BallotPolicy, ContestPolicy, RefundPolicy

NOW = datetime(2027, 3, 1, 9, tzinfo=UTC)
DAY = timedelta(days=1)
GRACE = ContestPolicy().grace_seconds
BY_MONEY = {Phase.DRAFT, Phase.FUNDING}
"""Left by the owner alone, or by a payment, whose own story runs the timer."""


def terms(*prizes: int, **changes: Any) -> ContestTerms:
    """What was agreed; one prize of CNY 1,000 unless told otherwise."""
    return ContestTerms(
        **{
            "contest_id": "con",
            "owner_id": "owner",
            "title": "A mark",
            "brief": "",
            "currency": "CNY",
            "prizes": prizes or (100_000,),
            "guaranteed": True,
            "sealed": True,
            "rounds": 1,
            "max_finalists": 6,
            "licence": "All rights that both sides name.",
            "licence_sha256": "0" * 64,
            "policy": ContestPolicy(),
            "ballot_policy": BallotPolicy(),
            "refund_policy": RefundPolicy(),
            **changes,
        }
    )


def state(agreed: ContestTerms | None = None, **changes: Any) -> ContestState:
    """A contest in which nothing has been awarded."""
    amounts = (agreed or terms()).prizes
    prizes = tuple(Prize(rank=rank, amount=amount) for rank, amount in enumerate(amounts, 1))
    return ContestState(**{"prizes": prizes, **changes})


def entry(number: int, status: str = "entered", **changes: Any) -> Contender:
    """The entry of that number, of a creator of its own."""
    return Contender(
        **{
            "entry_id": f"e{number}",
            "creator_id": f"c{number}",
            "title": f"Entry {number}",
            "status": EntryStatus(status),
            **changes,
        }
    )


def won(by: str = "e1", rank: int = 1, became: PrizeState = PrizeState.RELEASED) -> Prize:
    """A prize that an entry has."""
    return Prize(rank=rank, amount=50_000, state=became, entry_id=by, creator_id=f"c{by[1:]}")


def ids(found: Sequence[Contender]) -> list[str]:
    """The entries by id."""
    return [each.entry_id for each in found]


def decided(
    contenders: Sequence[Contender], agreed: ContestTerms | None = None, **changes: Any
) -> tuple[Outcome, list[str]]:
    """What the owner's silence does, and for whom."""
    agreed = agreed or terms()
    found = resolve(agreed, state(agreed, **changes), contenders)
    return found.outcome, ids(found.contenders)


# The state machine.


def test_every_end_can_be_reached() -> None:
    reached, frontier = {Phase.DRAFT}, {Phase.DRAFT}
    while frontier:
        nexts = {to for (phase, _), ends in TRANSITIONS.items() if phase in frontier for to in ends}
        frontier = nexts - reached
        reached |= nexts
    assert reached == set(Phase)


def test_no_end_is_left_but_for_an_award_that_is_taken_back() -> None:
    leaving = {(phase, event) for phase, event in TRANSITIONS if phase in FINAL}
    assert leaving == {(Phase.COMPLETED, Event.REOPENED)}


@pytest.mark.parametrize("phase", sorted(set(Phase) - FINAL))
def test_every_other_phase_comes_to_an_end_by_itself(phase: Phase) -> None:
    agreed = terms()
    winner = state(agreed, prizes=(won(became=PrizeState.HAND_OVER),))
    now = winner if phase is Phase.HAND_OVER else state(agreed)
    own = [each for each in deadlines(agreed, now, phase, NOW, (), ()) if each.event]
    if phase in BY_MONEY | {Phase.VOTING}:
        assert own == []
        left_by = {
            event for (at, event), ends in TRANSITIONS.items() if at is phase and ends - {phase}
        }
        assert left_by & {Event.CANCELLED, Event.FUNDED, Event.NOT_FUNDED, Event.VOTED}
        return
    assert own, "nothing happens when everybody stays silent"
    for each in own:
        assert TRANSITIONS[phase, Event(each.event)]
    assert any(TRANSITIONS[phase, Event(each.event)] - {phase} for each in own)


def test_what_is_not_in_the_machine_is_refused_with_what_is_possible() -> None:
    with pytest.raises(errors.WrongPhase) as refused:
        require_possible("announced", "accepted")
    assert refused.value.accepted == "bounty_lost, notice_passed, objected, recounted"
    with pytest.raises(errors.WrongPhase) as ended:
        require_possible("split", "announced")
    assert ended.value.accepted == "nothing: the contest has ended"
    with pytest.raises(errors.WrongPhase):
        require_leads_to(Phase.OPEN, Event.ENTRIES_CLOSED, Phase.COMPLETED)


# What the owner's silence does.


def test_the_only_shortlisted_entry_wins() -> None:
    entries = [entry(1), entry(2, "shortlisted"), entry(3, "eliminated")]
    assert decided(entries) == (Outcome.WIN, ["e2"])
    assert decided(entries, terms(guaranteed=False)) == (Outcome.WIN, ["e2"])


def test_the_crowd_votes_on_several_shortlisted_entries_in_the_order_of_arrival() -> None:
    entries = [entry(3, "shortlisted"), entry(1), entry(2, "shortlisted", creator_id="c3")]
    assert decided(entries) == (Outcome.VOTE, ["e3", "e2"])
    assert decided(entries, terms(guaranteed=False)) == (Outcome.VOTE, ["e3", "e2"])


def test_a_shortlisted_winner_does_not_stand_for_the_next_prize() -> None:
    entries = [entry(1, "shortlisted"), entry(2, "shortlisted"), entry(3, "entered")]
    prizes = (won("e1"), Prize(rank=2, amount=50_000))
    agreed = terms(50_000, 50_000)
    assert decided(entries, agreed, prizes=prizes) == (Outcome.WIN, ["e2"])
    assert decided(entries[::2], agreed, prizes=prizes) == (Outcome.SPLIT, ["e3"])
    assert decided(entries[:1], agreed, prizes=prizes) == (Outcome.REFUND, [])


def test_nobody_shortlisted_and_guaranteed_is_shared_by_all_qualified() -> None:
    entries = [entry(2), entry(1, "eliminated"), entry(3), entry(4, "withdrawn"), entry(5, "void")]
    assert decided(entries) == (Outcome.SPLIT, ["e2", "e3"])


def test_nobody_shortlisted_and_refundable_goes_back() -> None:
    assert decided([entry(1), entry(2)], terms(guaranteed=False)) == (Outcome.REFUND, [])


def test_once_finalists_were_picked_the_bounty_is_guaranteed_and_theirs() -> None:
    entries = [entry(1, "eliminated"), entry(2, finalist=True), entry(3, finalist=True)]
    agreed = terms(guaranteed=False, rounds=2)
    assert decided(entries, agreed, final_round=True) == (Outcome.SPLIT, ["e2", "e3"])


def test_a_finalist_who_has_left_does_not_share() -> None:
    entries = [entry(1, "withdrawn", finalist=True), entry(2, "void", finalist=True)]
    assert decided(entries, final_round=True) == (Outcome.REFUND, [])
    entries += [entry(3, "eliminated"), entry(4, finalist=True)]
    assert decided(entries, final_round=True) == (Outcome.SPLIT, ["e4"])


def test_eliminating_everybody_is_no_way_around_the_guarantee() -> None:
    entries = [entry(1, "eliminated"), entry(2, "eliminated")]
    assert decided(entries) == (Outcome.SPLIT, ["e1", "e2"])
    assert decided(entries, terms(guaranteed=False)) == (Outcome.REFUND, [])


def test_eliminated_finalists_come_before_those_who_were_none() -> None:
    entries = [entry(1, "eliminated"), entry(2, "eliminated", finalist=True)]
    assert decided(entries, final_round=True) == (Outcome.SPLIT, ["e2"])


def test_each_creator_shares_once_by_their_earliest_entry() -> None:
    entries = [entry(1), entry(2, creator_id="c1"), entry(3), entry(4, creator_id="c1")]
    assert decided(entries) == (Outcome.SPLIT, ["e1", "e3"])


def test_without_entries_everything_goes_back() -> None:
    assert decided([]) == (Outcome.REFUND, [])
    assert decided([entry(1, "withdrawn")]) == (Outcome.REFUND, [])


# Money.


def test_the_worked_split_among_seven_finalists() -> None:
    assert split_shares(terms(), 100_000, 7) == (10_000, [12_858, *[12_857] * 6])


def test_a_bounty_smaller_than_its_sharers_goes_to_the_earliest() -> None:
    assert split_shares(terms(3), 3, 7) == (0, [1, 1, 1, 0, 0, 0, 0])


@given(
    amount=st.integers(1, MAX_AMOUNT),
    people=st.integers(1, 500),
    fee=st.integers(0, 10_000),
)
def test_a_split_is_exact_even_and_favours_the_earliest(amount: int, people: int, fee: int) -> None:
    agreed = terms(policy=ContestPolicy(fee_basis_points=fee))
    commission, parts = split_shares(agreed, amount, people)
    assert commission + sum(parts) == amount
    assert commission >= 0 and min(parts) >= 0
    assert max(parts) - min(parts) <= 1
    assert parts == sorted(parts, reverse=True)
    assert abs(commission * 10_000 - amount * fee) <= 5_000


@given(
    prizes=st.lists(st.integers(1, MAX_AMOUNT // 20), min_size=1, max_size=20),
    added=st.integers(1, MAX_AMOUNT),
)
def test_an_extension_reaches_the_prizes_to_the_last_unit(prizes: list[int], added: int) -> None:
    agreed = terms(*prizes)
    after = extended(agreed, state(agreed), added)
    assert after.bounty == sum(prizes) + added
    assert after.extensions == 1
    for prize, before in zip(after.prizes, prizes, strict=True):
        exact = added * before / sum(prizes)
        assert abs(prize.amount - before - exact) <= 1 + exact * 1e-9


def test_an_extension_in_proportion() -> None:
    agreed = terms(50_000, 30_000, 20_000)
    after = extended(agreed, state(agreed), 10_001)
    assert [prize.amount for prize in after.prizes] == [55_001, 33_000, 22_000]


def test_the_least_extension_is_a_tenth_and_at_least_one_unit() -> None:
    assert least_extension(terms(100_000)) == 10_000
    assert least_extension(terms(3)) == 1
    free = ContestPolicy(extension_basis_points=0)
    assert least_extension(terms(policy=free)) == 1


@given(amount=st.integers(1, MAX_AMOUNT), fee=st.integers(0, 10_000))
def test_a_released_prize_is_what_was_paid_for_it(amount: int, fee: int) -> None:
    agreed = terms(amount, policy=ContestPolicy(fee_basis_points=fee))
    prize = Prize(rank=1, amount=amount, state=PrizeState.REVIEW, entry_id="e1", creator_id="c1")
    lines = release_entry(agreed, prize, accounts.payable("c1"), "key").postings
    assert lines[0].amount == amount == sum(line.amount for line in lines[1:])


def test_prizes_make_up_the_bounty() -> None:
    require_sum(100, (60, 40))
    with pytest.raises(errors.SharesDoNotSum) as refused:
        require_sum(100, (60, 39))
    assert (refused.value.field, refused.value.accepted) == ("prizes", "prizes that add up to 100")


def test_a_contest_that_outlasts_the_provider_is_refused() -> None:
    agreed = terms()
    require_holdable(agreed, agreed.policy.hold_seconds())
    with pytest.raises(errors.HoldTooLong):
        require_holdable(agreed, agreed.policy.hold_seconds() - 1)


# After the choice.


def test_prizes_in_progress_come_first_then_lost_ones_then_the_end() -> None:
    released, open_ = won("e1"), Prize(rank=2, amount=50_000)
    running = won("e3", 3, PrizeState.REVIEW)
    assert after_prizes(state(prizes=(released, open_, running))) is Phase.HAND_OVER
    assert after_prizes(state(prizes=(released, open_))) is Phase.CHOOSING
    assert after_prizes(state(prizes=(released,))) is Phase.COMPLETED


def test_the_next_in_the_order_is_the_best_that_can_still_win() -> None:
    entries = [entry(number) for number in (1, 2, 4, 5)] + [entry(3, "eliminated")]
    now = state(prizes=(won("e1"),), ranking=("e9", "e1", "e3", "e4", "e2"))
    follower = next_ranked(now, entries)
    assert follower is not None and follower.entry_id == "e4"
    assert next_ranked(state(ranking=("e9", "e3")), entries) is None


def test_only_an_unguaranteed_bounty_can_be_taken_back_and_for_sixty_days() -> None:
    refundable = terms(guaranteed=False)
    paid = state(funded_at=NOW)
    assert refund_until(refundable, paid) == NOW + 60 * DAY
    assert refund_until(terms(), paid) is None
    assert refund_until(refundable, state()) is None
    assert refund_until(refundable, state(funded_at=NOW, final_round=True)) is None


# Deadlines.


def timers(phase: Phase, agreed: ContestTerms | None = None, **changes: Any) -> dict[str, Deadline]:
    """The timers at the beginning of a phase, by name."""
    agreed = agreed or terms()
    found = deadlines(agreed, state(agreed, **changes), phase, NOW, (entry(1),), ())
    return {each.name: each for each in found}


@pytest.mark.parametrize(
    ("phase", "name", "days", "event", "grace"),
    [
        (Phase.OPEN, "entries", 7, Event.ENTRIES_CLOSED, GRACE),
        (Phase.PICKING, "finalists", 4, Event.PICKING_LAPSED, 0),
        (Phase.FINAL_ROUND, "final_round", 3, Event.FINAL_ROUND_CLOSED, GRACE),
        (Phase.VOTING, "vote", 2, "", 0),
        (Phase.ANNOUNCED, "notice", 3, Event.NOTICE_PASSED, 0),
        (Phase.CONTESTED, "ruling", 7, Event.OBJECTION_LAPSED, 0),
    ],
)
def test_each_phase_has_its_window(
    phase: Phase, name: str, days: int, event: str, grace: int
) -> None:
    [timer] = timers(phase).values()
    assert (timer.name, timer.due_at, timer.event) == (name, NOW + days * DAY, event)
    assert timer.passes_at == timer.due_at + timedelta(seconds=grace)
    assert timer.outcome.endswith(".")


@pytest.mark.parametrize("phase", sorted(FINAL | {Phase.DRAFT}))
def test_nothing_runs_before_and_after(phase: Phase) -> None:
    assert timers(phase) == {}


def test_silence_of_fourteen_days_is_broken_by_three_reminders() -> None:
    agreed = terms()
    now = state(agreed, choosing_since=NOW)
    at, running, seen = NOW, tuple[Deadline, ...](), []
    while True:
        running = deadlines(agreed, now, Phase.CHOOSING, at, [entry(1)], running)
        following = min(running, key=lambda each: each.passes_at)
        seen.append((following.event, (following.passes_at - NOW).days))
        at = following.passes_at
        if following.event == Event.CHOOSING_LAPSED:
            break
    assert seen == [
        (Event.NUDGED, 7),
        (Event.NUDGED, 11),
        (Event.NUDGED, 13),
        (Event.CHOOSING_LAPSED, 14),
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"decided_by": "owner"},
        {"decided_by": "owner", "prizes": (won("e9"), Prize(rank=2, amount=50_000))},
        {"decided_by": "owner", "ranking": ("e2",)},
    ],
)
def test_a_new_choice_has_seven_days(changes: dict[str, Any]) -> None:
    found = timers(Phase.CHOOSING, choosing_since=NOW, **changes)
    assert {name: each.due_at for name, each in found.items()} == {"choice": NOW + 7 * DAY}


def test_short_windows_leave_out_the_reminders_that_come_too_late() -> None:
    agreed = terms(policy=ContestPolicy(choose_seconds=8 * 86_400))
    found = timers(Phase.CHOOSING, agreed, choosing_since=NOW)
    assert found["reminder"].due_at == NOW + 7 * DAY
    later = NOW + 7 * DAY
    after = deadlines(
        agreed, state(agreed, choosing_since=NOW), Phase.CHOOSING, later, (), (*found.values(),)
    )
    assert [(each.name, each.due_at) for each in after] == [("choice", NOW + 8 * DAY)]


def told(contenders: Sequence[Contender], agreed: ContestTerms | None = None) -> Deadline:
    """The receipt of the owner's time to choose."""
    agreed = agreed or terms()
    found = deadlines(agreed, state(agreed), Phase.CHOOSING, NOW, contenders, ())
    return next(each for each in found if each.name == "choice")


def test_the_receipt_tells_exactly_what_silence_would_post() -> None:
    seven = told([entry(number) for number in range(1, 8)])
    assert "7 creators share CNY 1,000.00" in seven.outcome
    assert [str(line) for line in seven.postings] == [
        "debit escrow:con CNY 1,000.00",
        "credit payable:c1 CNY 128.58",
        *[f"credit payable:c{number} CNY 128.57" for number in range(2, 8)],
        "credit fee:platform CNY 100.00",
    ]
    back = told([entry(1)], terms(guaranteed=False))
    assert "CNY 1,000.00 goes back to the owner" in back.outcome
    assert [str(line) for line in back.postings] == [
        "debit escrow:con CNY 1,000.00",
        "credit refund_due:new CNY 1,000.00",
    ]
    assert "one entry wins" in told([entry(1, "shortlisted")]).outcome
    several = told([entry(1, "shortlisted"), entry(2, "shortlisted")])
    assert "the crowd votes on 2 entries" in several.outcome
    assert several.postings == ()
    assert told([entry(number) for number in range(1, 52)]).postings == ()


def test_the_receipt_is_told_anew_without_moving_the_deadline() -> None:
    agreed = terms()
    running = deadlines(agreed, state(agreed), Phase.CHOOSING, NOW, [entry(1), entry(2)], ())
    after = choice_receipt(agreed, state(agreed), [entry(1, "shortlisted"), entry(2)], running)
    assert [each.due_at for each in after] == [each.due_at for each in running]
    assert "as things stand one entry wins" in after[0].outcome


def test_more_bounty_is_more_time_for_entries_only() -> None:
    agreed = terms()
    running = deadlines(agreed, state(agreed), Phase.OPEN, NOW, (), ())
    now = extended(agreed, state(agreed), 10_000)
    [after] = longer(agreed, now, running)
    assert after.due_at == NOW + 9 * DAY
    assert [line.amount for line in after.postings] == [110_000, 110_000]
    notice = deadlines(agreed, now, Phase.ANNOUNCED, NOW, (), ())
    assert longer(agreed, now, notice) == notice


@pytest.mark.parametrize(
    ("phase", "name"),
    [(Phase.OPEN, "entries"), (Phase.CONTESTED, "ruling"), (Phase.CHOOSING, "choice")],
)
def test_what_happens_within_a_phase_does_not_move_its_deadline(phase: Phase, name: str) -> None:
    agreed = terms()
    before = deadlines(agreed, state(agreed), phase, NOW, (), ())
    after = deadlines(agreed, state(agreed), phase, NOW + DAY, (), before)
    assert [each.due_at for each in after if each.name == name] == [
        each.due_at for each in before if each.name == name
    ]


def test_each_prize_has_a_timer_of_its_own_that_others_do_not_move() -> None:
    agreed = terms(50_000, 50_000)
    waiting, second = won("e1", 1, PrizeState.HAND_OVER), won("e2", 2, PrizeState.HAND_OVER)
    both = deadlines(agreed, state(prizes=(waiting, second)), Phase.HAND_OVER, NOW, (), ())
    assert {(rank_of(each.subject), each.event, each.due_at) for each in both} == {
        (1, Event.HAND_OVER_LAPSED, NOW + 10 * DAY),
        (2, Event.HAND_OVER_LAPSED, NOW + 10 * DAY),
    }
    review = second.model_copy(update={"state": PrizeState.REVIEW})
    now = state(prizes=(waiting, review))
    later = deadlines(agreed, now, Phase.HAND_OVER, NOW + DAY, (), both)
    assert [(each.event, each.due_at) for each in later] == [
        (Event.HAND_OVER_LAPSED, NOW + 10 * DAY),
        (Event.ACCEPTANCE_LAPSED, NOW + 8 * DAY),
    ]
    assert [line.amount for line in later[1].postings] == [50_000, 45_000, 5_000]
    asked = second.model_copy(update={"revisions": 1})
    again = deadlines(
        agreed, state(prizes=(waiting, asked)), Phase.HAND_OVER, NOW + 2 * DAY, (), later
    )
    assert [each.due_at for each in again] == [NOW + 10 * DAY, NOW + 12 * DAY]


def test_a_prize_that_goes_on_to_somebody_else_has_a_new_timer() -> None:
    agreed = terms(50_000)
    first = state(prizes=(won("e1", 1, PrizeState.HAND_OVER),))
    before = deadlines(agreed, first, Phase.HAND_OVER, NOW, (), ())
    second = state(prizes=(won("e2", 1, PrizeState.HAND_OVER),))
    after = deadlines(agreed, second, Phase.HAND_OVER, NOW + 10 * DAY, (), before)
    assert [each.due_at for each in after] == [NOW + 20 * DAY]
