"""The ballot's rules: what can happen when, what a paper may say, who may vote."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from domain.ballot import (
    FINAL,
    TRANSITIONS,
    BallotOption,
    BallotTerms,
    Event,
    Mode,
    Paper,
    Phase,
    accepted,
    allow,
    cost,
    deadlines,
    require_eligible,
    require_sound,
    require_windows,
)
from domain.ballot_chain import first_hash, in_text, stored, vote_hash, voter_tag
from domain.errors import InvalidInput, NotEligible, WrongPhase
from domain.policy import BallotPolicy
from tests.unit.test_ballot_tally import IDS, terms

NOW = datetime(2027, 3, 1, 9, tzinfo=UTC)
DAY = 86_400


def test_what_is_not_in_the_table_cannot_happen() -> None:
    for phase in Phase:
        for event in Event:
            if (phase, event) in TRANSITIONS:
                allow(phase, event)
            else:
                with pytest.raises(WrongPhase):
                    allow(phase, event)


def test_an_ended_ballot_can_only_be_counted_again() -> None:
    possible = {(phase, event) for phase, event in TRANSITIONS if phase in FINAL}
    assert possible == {(Phase.FINAL, Event.RETALLIED)}


def test_every_phase_leads_to_an_end() -> None:
    reached, pending = {Phase.DRAFT}, [Phase.DRAFT]
    while pending:
        phase = pending.pop()
        for (origin, _), to in TRANSITIONS.items():
            if origin is phase:
                pending += to - reached
                reached |= to
    assert reached == set(Phase)


@given(
    st.dictionaries(st.sampled_from([*IDS, "x"]), st.integers(-1, 6)),
    st.integers(1, 20),
    st.booleans(),
)
def test_points_are_accepted_exactly_when_they_can_be_paid(
    points: dict[str, int], budget: int, quadratic: bool
) -> None:
    rules = terms(Mode.POINTS, points=budget, quadratic=quadratic)
    price = sum(n * n if quadratic else n for n in points.values())
    sound = "x" not in points and min(points.values(), default=0) >= 0 and 1 <= price <= budget
    try:
        paper = accepted(rules, Paper(points=points))
    except InvalidInput:
        assert not sound
    else:
        assert sound
        assert paper.points == {one: n for one, n in points.items() if n}


@given(st.lists(st.sampled_from([*IDS, "x"]), max_size=6), st.integers(1, 5))
def test_approvals_are_accepted_exactly_when_they_are_few_and_different(
    options: list[str], most: int
) -> None:
    rules = terms(Mode.APPROVAL).model_copy(update={"max_choices": most})
    sound = "x" not in options and len(set(options)) == len(options) and 1 <= len(options) <= most
    try:
        paper = accepted(rules, Paper(options=tuple(options)))
    except InvalidInput:
        assert not sound
    else:
        assert sound
        assert paper.options == tuple(sorted(options))


def test_a_ranked_paper_keeps_its_order() -> None:
    paper = Paper(options=("c", "a"))
    assert accepted(terms(Mode.RANKED), paper) == paper


def test_what_quadratic_votes_cost() -> None:
    assert [cost(n, quadratic=True) for n in range(4)] == [0, 1, 4, 9]
    assert [cost(n, quadratic=False) for n in range(4)] == [0, 1, 2, 3]


def test_quadratic_votes_need_verified_people() -> None:
    rules = terms(Mode.POINTS, quadratic=True)
    require_sound(rules)
    with pytest.raises(InvalidInput) as refused:
        require_sound(rules.model_copy(update={"verified_only": False}))
    assert refused.value.field == "quadratic"


@pytest.mark.parametrize(
    ("voting", "notice", "field"),
    [
        (2 * DAY, DAY, None),
        (30 * DAY, 3 * DAY, None),
        (2 * DAY - 1, DAY, "voting_seconds"),
        (30 * DAY + 1, DAY, "voting_seconds"),
        (2 * DAY, DAY - 1, "notice_seconds"),
        (2 * DAY, 3 * DAY + 1, "notice_seconds"),
    ],
)
def test_windows(voting: int, notice: int, field: str | None) -> None:
    rules = terms(Mode.RANKED).model_copy(
        update={"voting_seconds": voting, "notice_seconds": notice}
    )
    try:
        require_windows(rules, 1)
    except InvalidInput as refused:
        assert refused.field == field
    else:
        assert field is None


def test_no_window_is_below_the_shortest_of_the_platform() -> None:
    short = BallotPolicy(voting_shortest_seconds=1, notice_shortest_seconds=1)
    rules = terms(Mode.RANKED).model_copy(
        update={"voting_seconds": 60, "notice_seconds": 60, "policy": short}
    )
    require_windows(rules, 60)
    with pytest.raises(InvalidInput):
        require_windows(rules, 61)


@given(st.integers(1, 90 * DAY), st.integers(1, 100))
def test_the_added_time_is_never_short_of_its_share(seconds: int, percent: int) -> None:
    policy = BallotPolicy(extension_percent=percent)
    rules = terms(Mode.RANKED).model_copy(update={"voting_seconds": seconds, "policy": policy})
    assert 0 <= rules.extension_seconds * 100 - seconds * percent < 100


def test_who_may_vote() -> None:
    rules = terms(Mode.RANKED).model_copy(update={"account_age_seconds": 60, "verified_only": True})
    born = NOW - timedelta(seconds=60)
    require_eligible(rules, registered_at=born, verified=True, at=NOW)
    with pytest.raises(NotEligible) as young:
        require_eligible(
            rules, registered_at=born, verified=True, at=NOW - timedelta(microseconds=1)
        )
    assert (young.value.field, young.value.accepted) == (
        "account_age_seconds",
        f"from {NOW.isoformat()} on",
    )
    with pytest.raises(NotEligible) as unknown:
        require_eligible(rules, registered_at=born, verified=False, at=NOW)
    assert unknown.value.field == "verified_only"


def test_who_is_barred() -> None:
    options = (
        BallotOption(id="a", label="A", author_id="usr_1"),
        BallotOption(id="b", label="B"),
    )
    rules = terms(Mode.RANKED).model_copy(update={"options": options, "barred_ids": ("usr_2",)})
    assert rules.barred("usr_0") == {"usr_0", "usr_1", "usr_2"}


def test_deadlines_say_what_silence_does() -> None:
    rules = terms(Mode.RANKED).model_copy(update={"quorum": 7, "voting_seconds": 100})
    [first] = deadlines(rules, Phase.OPEN, NOW, extended=False)
    [second] = deadlines(rules, Phase.OPEN, NOW, extended=True)
    assert "fewer than 7 people have voted, the voting goes on once for 50 seconds" in first.outcome
    assert "fewer than 7 people have voted, there is no decision" in second.outcome
    assert first.passes_at == NOW + timedelta(seconds=10)
    [notice] = deadlines(rules, Phase.NOTICE, NOW, extended=False)
    assert notice.passes_at == NOW
    assert deadlines(rules, Phase.CLOSED, NOW, extended=False) == ()


def test_the_chain_is_what_its_description_says() -> None:
    """A fixed example: whoever checks a ballot with a program of their own relies on it."""
    head = first_hash("bal_1")
    assert head == "02bdce4beb9a47f977cd7bc1ce809581da27a266da2dac4c94a0053dd65485bc"
    tag = voter_tag("bal_1", "usr_1", "nonce")
    choice = stored(Paper(points={"b": 2, "a": 1}))
    assert choice == {"points": {"b": 2, "a": 1}}
    one = vote_hash(head, seq=1, voter_tag=tag, choice=choice, at=NOW)
    assert one == "885338fbaaea212e265482e88917bde258f4c609c91b65112a6dcc6858b6db39"
    # The order in which the database returns keys does not matter, nor the zone of the time.
    swapped: dict[str, JsonValue] = {"points": {"a": 1, "b": 2}}
    elsewhere = NOW.astimezone(tz=None)
    assert vote_hash(head, seq=1, voter_tag=tag, choice=swapped, at=elsewhere) == one
    assert in_text(elsewhere) == "2027-03-01T09:00:00.000000+00:00"
    for changed in (
        vote_hash(tag, seq=1, voter_tag=tag, choice=choice, at=NOW),
        vote_hash(head, seq=2, voter_tag=tag, choice=choice, at=NOW),
        vote_hash(head, seq=1, voter_tag=head, choice=choice, at=NOW),
        vote_hash(head, seq=1, voter_tag=tag, choice={"points": {"a": 2}}, at=NOW),
        vote_hash(head, seq=1, voter_tag=tag, choice=choice, at=NOW + timedelta(microseconds=1)),
    ):
        assert changed != one


def test_terms_survive_the_way_through_the_database() -> None:
    rules = terms(Mode.POINTS, quadratic=True)
    assert BallotTerms.model_validate(rules.model_dump(mode="json")) == rules
