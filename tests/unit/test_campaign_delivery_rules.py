"""What follows a campaign's success, without any I/O: releases, losses, shares of what is left, timers, rewards."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import errors
from domain.campaign import (
    Kind,
    Ledger,
    Phase,
    Report,
    TrancheState,
    Trigger,
)
from domain.campaign_delivery import (
    Part,
    borne,
    clawback_of,
    clawed_back,
    divided,
    is_ready,
    match_set_free,
    part_of,
    parts_of,
    phase_after,
    reached_by,
    releasable,
    release_entry,
    released,
    reported,
    require_reported,
    share,
    with_part,
)
from domain.money import basis_points_of
from tests.unit.campaigns import FEE, NOW, delivery, terms

AMOUNTS = st.integers(1, 10**13)


@st.composite
def some_parts(draw: st.DrawFn) -> tuple[Part, ...]:
    """Parts that sum to everything, each reached so far."""
    cuts = sorted(draw(st.lists(st.integers(0, 10_000), min_size=3, max_size=3)))
    sizes = [b - a for a, b in zip([0, *cuts], [*cuts, 10_000], strict=True)]
    return tuple(
        Part(
            number=number,
            title=trigger,
            trigger=trigger,
            basis_points=size,
            reached=draw(st.integers(0, 10_000)),
        )
        for number, (trigger, size) in enumerate(zip(Trigger, sizes, strict=True), start=1)
    )


@given(AMOUNTS, some_parts())
def test_the_reached_share_is_exact_and_everything_is_all(
    base: int, parts: tuple[Part, ...]
) -> None:
    reached = sum(each.basis_points * each.reached for each in parts)
    assert share(base, parts) <= base
    assert 0 <= base * reached - share(base, parts) * 10**8 < 10**8
    assert share(base, reached_by(parts, *Trigger)) == base


class Story:
    """A campaign's money from its success on, with every posting to its escrow counted apart."""

    def __init__(self, pledges: list[int], fee: int) -> None:
        self.fee = fee
        self.standing = list(pledges)
        self.disputed: list[int] = []
        self.parts = parts_of(terms())
        self.ledger = Ledger(taken_in=sum(pledges))
        self.escrow = sum(pledges)
        self.creator = self.commission = self.banks = 0

    def late(self, amount: int) -> None:
        """A late pledge is paid."""
        self.standing.append(amount)
        self.escrow += amount
        self._taken_in(amount)

    def refunded(self, index: int) -> None:
        """A single pledge goes back, as far as escrow holds it."""
        amount = min(self._take(index), self.ledger.left)
        self.escrow -= amount
        self._taken_in(-amount)

    def opened(self, index: int) -> None:
        """A bank takes a pledge back for the moment."""
        self.disputed.append(self._take(index))
        self._count()

    def won(self) -> None:
        if self.disputed:
            self.standing.append(self.disputed.pop())
            self._count()

    def lost(self, kept: int) -> None:
        """The bank keeps all of it, or only a part."""
        if not self.disputed:
            return
        amount = self.disputed.pop()
        lost = min(amount, max(1, kept))
        self._count()
        found = borne(self.ledger, self.parts, lost, self.fee)
        by_creator = lost - found.from_escrow - found.fee_returned
        assert min(found.from_escrow, found.fee_returned, by_creator) >= 0
        self.escrow -= found.from_escrow
        self.commission -= found.fee_returned
        self.creator -= by_creator
        self.banks += lost
        self.ledger = found.after
        self.standing.append(amount - lost)

    def reach(self, number: int, more: int) -> None:
        part = part_of(self.parts, number)
        self.parts = with_part(self.parts, part.to(min(10_000, part.reached + more)))

    def release(self) -> None:
        amount = releasable(self.ledger, self.parts)
        after = released(self.ledger, amount, self.fee)
        fee = after.fee_taken - self.ledger.fee_taken
        assert 0 <= fee <= amount
        self.escrow -= amount
        self.commission += fee
        self.creator += amount - fee
        self.ledger = after
        if amount:
            base = self.ledger.taken_in - self.ledger.disputed
            assert self.ledger.released == share(base, self.parts)

    def check(self) -> None:
        """What always holds, whatever came before."""
        ledger = self.ledger
        assert self.escrow == ledger.left >= 0
        assert ledger.fee_taken == basis_points_of(ledger.released, self.fee) == self.commission
        assert ledger.released == self.creator + self.commission
        assert ledger.released <= ledger.taken_in

    def _take(self, index: int) -> int:
        return self.standing.pop(index % len(self.standing)) if self.standing else 0

    def _taken_in(self, more: int) -> None:
        total = self.ledger.taken_in + more
        self.ledger = self.ledger.model_copy(update={"taken_in": total})

    def _count(self) -> None:
        total = min(sum(self.disputed), self.ledger.taken_in)
        self.ledger = self.ledger.model_copy(update={"disputed": total})


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("late"), st.integers(1, 10**6)),
        st.tuples(st.just("opened"), st.integers(0, 10)),
        st.tuples(st.just("won"), st.just(0)),
        st.tuples(st.just("lost"), st.integers(1, 10**6)),
        st.tuples(st.just("reach"), st.integers(1, 10_000)),
        st.tuples(st.just("release"), st.just(0)),
    ),
    max_size=40,
)


@given(
    st.lists(st.integers(1, 10**6), min_size=1, max_size=8),
    STEPS,
    st.integers(0, 10_000),
    st.randoms(use_true_random=False),
)
def test_late_pledges_and_lost_ones_in_any_order_add_up(
    pledges: list[int], steps: list[tuple[str, int]], fee: int, random: Any
) -> None:
    story = Story(pledges, fee)
    for name, value in steps:
        match name:
            case "reach":
                story.reach(random.randint(1, 4), value)
            case "won" | "release":
                getattr(story, name)()
            case _:
                getattr(story, name)(value)
        story.check()
        assert story.ledger.released <= share(story.ledger.taken_in, story.parts)
    while story.disputed:
        story.won()
    story.parts = reached_by(story.parts, *Trigger)
    story.release()
    story.check()
    assert story.escrow == 0
    assert story.ledger.released == story.ledger.taken_in == sum(story.standing)


@given(
    st.lists(st.integers(1, 10**6), min_size=1, max_size=8),
    st.lists(st.tuples(st.sampled_from(["refunded", "late", "release"]), st.integers(1, 9_999))),
)
def test_single_refunds_need_no_case_of_their_own(
    pledges: list[int], steps: list[tuple[str, int]]
) -> None:
    story = Story(pledges, FEE)
    for name, value in steps:
        story.reach(1 + value % 4, value)
        if name == "release":
            story.release()
        else:
            getattr(story, name)(value)
        story.check()


def test_the_worked_case_of_a_pledge_that_its_bank_takes_back() -> None:
    parts = reached_by(parts_of(terms()), Trigger.START)
    ledger = released(Ledger(taken_in=10_000), 4_000, FEE)
    assert ledger.fee_taken == 200
    found = borne(ledger, parts, 10_000, FEE)
    assert (found.from_escrow, found.fee_returned) == (6_000, 200)
    assert found.after == Ledger(taken_in=0)


def test_a_match_goes_back_as_far_as_it_was_not_released() -> None:
    parts = reached_by(parts_of(terms()), Trigger.START)
    ledger = Ledger(taken_in=10_000, released=4_000, fee_taken=200)
    assert match_set_free(ledger, parts, 1_001) == 601
    assert match_set_free(ledger, reached_by(parts, *Trigger), 1_001) == 0
    assert match_set_free(Ledger(taken_in=4_300, released=4_000), parts, 1_001) == 300


@given(st.integers(0, 10**9), st.integers(0, 10_000), st.integers(0, 10**9))
def test_a_clawback_and_what_is_owed_are_all_that_was_released(
    amount: int, fee: int, balance: int
) -> None:
    ledger = released(Ledger(taken_in=10**9), amount, fee)
    back = clawback_of(ledger, balance)
    assert back.amount + back.owed == ledger.released
    assert 0 <= back.from_balance <= balance
    assert 0 <= back.fee <= ledger.fee_taken
    after = clawed_back(ledger, back)
    assert after.released == back.owed
    assert 0 <= after.fee_taken <= after.released
    if balance >= ledger.released - ledger.fee_taken:
        assert after.released == after.fee_taken == 0


@given(st.integers(0, 10**9), st.lists(st.integers(0, 10**8), min_size=1, max_size=9))
def test_nobody_gets_more_than_they_gave(amount: int, weights: list[int]) -> None:
    parts = divided(amount, weights)
    assert sum(parts) == min(amount, sum(weights))
    assert all(part <= weight for part, weight in zip(parts, weights, strict=True))


def test_what_is_released_names_creator_and_commission() -> None:
    before = Ledger(taken_in=10_001)
    after = released(before, 4_000, FEE)
    entry = release_entry(terms(), before, after, "key")
    assert entry is not None
    assert [(p.side, p.account.code, p.amount) for p in entry.postings] == [
        ("debit", "escrow:cmp", 4_000),
        ("credit", "payable:creator", 3_800),
        ("credit", "fee:platform", 200),
    ]
    assert release_entry(terms(), after, after, "key") is None


def test_parts_are_reported_approved_and_reported_again() -> None:
    parts = parts_of(terms())
    first, lots = part_of(parts, 2), part_of(parts, 3)
    shown = reported(first, Report(note="", share=1), NOW)
    assert (shown.state, shown.claimed) == (TrancheState.REPORTED, 10_000)
    assert shown.to(shown.claimed).state is TrancheState.RELEASED
    some = reported(lots, Report(note="", share=4_000), NOW).to(4_000)
    assert (some.state, some.reached) == (TrancheState.PLANNED, 4_000)
    with pytest.raises(errors.InvalidInput, match="how much of the lots"):
        reported(some, Report(note="", share=4_000), NOW)
    with pytest.raises(errors.WrongPhase, match="being looked at"):
        reported(shown, Report(note=""), NOW)
    for number in (1, 4):
        with pytest.raises(errors.WrongPhase, match="is not reported"):
            reported(part_of(parts, number), Report(note=""), NOW)
    with pytest.raises(errors.WrongPhase):
        require_reported(first)
    with pytest.raises(errors.InvalidInput):
        part_of(parts, 5)


def test_a_campaign_is_over_when_all_is_reached_shipped_and_the_reserve_is_due() -> None:
    everything = reached_by(parts_of(terms()), *Trigger)
    done = delivery(parts=everything, owed=0)
    assert phase_after(terms(), done, last=True) is Phase.COMPLETED
    assert phase_after(terms(), done, last=False) is Phase.FULFILLING
    assert phase_after(terms(), delivery(parts=everything), last=True) is Phase.FULFILLING
    assert phase_after(terms(), delivery(owed=0), last=True) is Phase.FULFILLING
    donation = terms(kind=Kind.DONATION)
    assert phase_after(donation, done, last=False) is Phase.COMPLETED
    but_reserve = reached_by(parts_of(terms()), *list(Trigger)[:3])
    assert is_ready(delivery(parts=but_reserve, owed=0))
    assert not is_ready(delivery(parts=but_reserve))
    assert not is_ready(delivery(owed=0))
