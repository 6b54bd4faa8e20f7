"""The comparison of two sides: whatever differs is found, and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from domain.reconciliation import DifferenceKind, Moved, Part, compare

NOW = datetime(2026, 11, 1, tzinfo=UTC)
LATER = NOW + timedelta(days=4)


def moved(subject: str, amount: int, part: Part = Part.PAYMENT, currency: str = "CNY") -> Moved:
    """One movement."""
    return Moved(subject=subject, part=part, amount=amount, currency=currency, at=NOW)


def kinds(ours: list[Moved], theirs: list[Moved], *unfinished: str) -> list[tuple[str, str]]:
    """What differs, as (subject, kind)."""
    known = {each.subject for each in ours} | set(unfinished)
    found = compare(
        ours, theirs, known=known, by_reference={}, unfinished=unfinished, ripe_before=LATER
    )
    return [(each.subject, each.kind) for each in found]


amounts = st.integers(1, 10**9)
books = st.dictionaries(st.from_regex(r"pay_[a-z]{4}", fullmatch=True), amounts, min_size=1)


@given(books, st.randoms())
def test_the_order_of_lines_does_not_matter(sums: dict[str, int], chance: object) -> None:
    ours = [moved(*each) for each in sums.items()]
    theirs = list(reversed(ours))
    assert kinds(ours, theirs) == []


@given(books, st.data())
def test_each_line_that_is_dropped_is_found(sums: dict[str, int], data: st.DataObject) -> None:
    ours = [moved(*each) for each in sums.items()]
    gone = data.draw(st.sets(st.sampled_from(sorted(sums))))
    theirs = [each for each in ours if each.subject not in gone]
    assert kinds(ours, theirs) == [(each, "missing_there") for each in sorted(gone)]


@given(books, st.data())
def test_each_line_that_is_doubled_is_found(sums: dict[str, int], data: st.DataObject) -> None:
    ours = [moved(*each) for each in sums.items()]
    twice = data.draw(st.sets(st.sampled_from(sorted(sums))))
    theirs = ours + [each for each in ours if each.subject in twice]
    assert kinds(ours, theirs) == [(each, "doubled_there") for each in sorted(twice)]


@given(amounts, st.integers(-(10**9), 10**9).filter(bool))
def test_every_other_sum_is_a_difference(amount: int, other: int) -> None:
    found = kinds([moved("pay_a", amount)], [moved("pay_a", other)])
    assert bool(found) == (other != amount)


def test_what_is_still_on_its_way_is_no_difference() -> None:
    sent = [moved("pyo_a", -5, Part.PAYOUT)]
    assert kinds([], sent, "pyo_a") == []
    assert kinds(sent, [], "pyo_a") == [("pyo_a", DifferenceKind.MISSING_THERE)]


def test_what_is_not_ripe_waits() -> None:
    found = compare(
        [moved("pay_a", 5)],
        [],
        known={"pay_a"},
        by_reference={},
        unfinished=(),
        ripe_before=NOW,
    )
    assert found == []
