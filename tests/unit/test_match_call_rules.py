"""The rules of match calls: what a pledge is matched with, who gets what becomes free, and which terms stand."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.campaign import Kind
from domain.errors import CurrencyMismatch, DomainError, HoldTooLong, InvalidInput, WrongPhase
from domain.match_call import (
    FINAL,
    TRANSITIONS,
    Budget,
    CallTerms,
    Eligibility,
    Event,
    Mode,
    Offer,
    Phase,
    Rules,
    SponsorKind,
    Waiting,
    match_of,
    passed_on,
    require_eligible,
    require_event,
    require_holdable,
    require_terms,
    shown,
)
from domain.match_call_deadlines import as_of_now, phase_deadlines, spending_deadline
from domain.policy import MatchPolicy, RefundPolicy

NOW = datetime(2026, 7, 1, tzinfo=UTC)
CAP = st.none() | st.integers(1, 500)
OFFERS = st.builds(
    Offer,
    mode=st.just(Mode.PER_PLEDGE),
    factor_basis_points=st.integers(1, 30_000),
    per_pledge_cap=CAP,
    per_project_cap=CAP,
    per_person_cap=CAP,
)


def terms(**changes: Any) -> CallTerms:
    """Terms that stand."""
    return CallTerms.model_validate(
        {
            "call_id": "mtc",
            "sponsor_id": "usr",
            "sponsor_kind": SponsorKind.COMPANY,
            "sponsor_name": "Kiln works",
            "title": "Kilns",
            "story": "One for one",
            "currency": "CNY",
            "budget": 10_000,
            "offer": Offer(mode=Mode.PER_PLEDGE),
            "open_seconds": 86_400,
            "rules": Rules(
                policy=MatchPolicy(),
                refund_policy=RefundPolicy(),
                provider="sandbox",
                return_url="https://shop.test",
            ),
            **changes,
        }
    )


def test_the_worked_case() -> None:
    """postings.md: 1:1, cap 100.00, left 60.00, pledge 80.00."""
    offer = Offer(mode=Mode.PER_PLEDGE, per_pledge_cap=10_000)
    assert offer.wanted(8_000) == 8_000
    assert match_of(offer, 8_000, project=0, person=0, left=6_000) == 6_000
    next_one = Waiting(id=2, campaign_id="other", backer_id="wu", lacks=9_000)
    assert passed_on(offer, [next_one], projects={}, people={}, left=6_000) == {2: 6_000}


@given(
    OFFERS, st.integers(1, 1_000), *(st.integers(0, 600) for _ in range(2)), st.integers(-5, 999)
)
def test_never_more_than_rule_caps_and_budget(
    offer: Offer, pledge: int, project: int, person: int, left: int
) -> None:
    wanted = offer.wanted(pledge)
    assert wanted * 10_000 <= pledge * offer.factor_basis_points
    got = match_of(offer, wanted, project=project, person=person, left=left)
    assert 0 <= got <= wanted
    rooms = [wanted, left]
    if offer.per_pledge_cap is not None:
        rooms.append(offer.per_pledge_cap)
    if offer.per_project_cap is not None:
        rooms.append(offer.per_project_cap - project)
    if offer.per_person_cap is not None:
        rooms.append(offer.per_person_cap - person)
    assert got == max(0, min(rooms))


@st.composite
def queues(draw: st.DrawFn) -> list[Waiting]:
    """People and campaigns who wait, some more than once; lump sums among them."""
    rows = draw(
        st.lists(
            st.tuples(
                st.sampled_from("ABC"), st.none() | st.sampled_from("xyz"), st.integers(1, 300)
            ),
            max_size=12,
        )
    )
    return [
        Waiting(id=place, campaign_id=campaign, backer_id=backer, lacks=lacks)
        for place, (campaign, backer, lacks) in enumerate(rows)
    ]


@given(
    OFFERS,
    queues(),
    st.fixed_dictionaries({name: st.integers(0, 300) for name in "ABC"}),
    st.fixed_dictionaries({name: st.integers(0, 300) for name in "xyz"}),
    st.integers(0, 900),
)
def test_what_is_free_goes_on_in_order(
    offer: Offer,
    waiting: list[Waiting],
    projects: dict[str, int],
    people: dict[str, int],
    left: int,
) -> None:
    """Nobody gets more than they lack or the caps allow, nothing is kept back from who could have it, and who comes
    first is served first."""
    given_ = passed_on(offer, waiting, projects=projects, people=people, left=left)
    assert all(0 < given_[each.id] <= each.lacks for each in waiting if each.id in given_)
    rest = left - sum(given_.values())
    assert rest >= 0
    by_project, by_person = Counter(projects), Counter(people)
    for each in waiting:
        by_project[each.campaign_id] += given_.get(each.id, 0)
        by_person[each.backer_id or ""] += given_.get(each.id, 0)
    for name, cap, before, after in (
        *((n, offer.per_project_cap, projects[n], by_project[n]) for n in "ABC"),
        *((n, offer.per_person_cap, people[n], by_person[n]) for n in "xyz"),
    ):
        assert cap is None or after <= max(cap, before), name

    def blocked(each: Waiting) -> bool:
        project_full = (
            offer.per_project_cap is not None
            and by_project[each.campaign_id] >= offer.per_project_cap
        )
        person_full = (
            offer.per_person_cap is not None
            and each.backer_id is not None
            and by_person[each.backer_id] >= offer.per_person_cap
        )
        return project_full or person_full

    unserved = [each for each in waiting if given_.get(each.id, 0) < each.lacks]
    if rest:
        assert all(blocked(each) for each in unserved)
    for early in unserved:
        if not blocked(early):
            assert all(later.id not in given_ for later in waiting if later.id > early.id)


@pytest.mark.parametrize(
    ("pledged", "backers", "due"),
    [(49_999, 2, False), (50_000, 0, True), (0, 3, True), (0, 2, False)],
)
def test_when_a_lump_sum_is_due(pledged: int, backers: int, due: bool) -> None:
    offer = Offer(mode=Mode.LUMP, lump=500, at_goal_basis_points=5_000, at_backers=3)
    assert offer.lump_is_due(goal=100_000, pledged=pledged, backers=backers) is due
    assert offer.wanted(1_000) == 0


def test_the_state_machine_has_no_dead_ends() -> None:
    origins = {phase for phase, _ in TRANSITIONS}
    assert origins == set(Phase) - FINAL
    reached = {Phase.DRAFT}
    for _ in Phase:
        reached |= {p for (old, _), new in TRANSITIONS.items() if old in reached for p in new}
    assert reached == set(Phase)
    assert {event for _, event in TRANSITIONS} == set(Event)
    for phase in origins:
        ways = {p for (old, _), new in TRANSITIONS.items() if old == phase for p in new}
        assert ways != {phase}
    assert require_event("open", "cancelled") == {Phase.CANCELLED}
    with pytest.raises(WrongPhase) as refused:
        require_event("ended", "closed")
    assert refused.value.accepted == "nothing: the match call has ended"


def lump(**changes: Any) -> Offer:
    return Offer.model_validate({"mode": Mode.LUMP, "lump": 500, "at_backers": 3, **changes})


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"open_seconds": 0}, "open_seconds"),
        ({"open_seconds": 181 * 86_400}, "open_seconds"),
        ({"eligibility": Eligibility(kinds=())}, "eligibility.kinds"),
        ({"approvers": ("a", "a"), "approvals_needed": 1}, "approvers"),
        ({"approvers": ("a",), "approvals_needed": 2}, "approvals_needed"),
        ({"approvers": ("a",)}, "approvals_needed"),
        ({"offer": lump(lump=10_001)}, "offer.lump"),
        ({"offer": lump(lump=0)}, "offer.lump"),
        ({"offer": lump(at_backers=None)}, "offer.at_goal_basis_points"),
        ({"offer": lump(per_pledge_cap=1)}, "offer.per_pledge_cap"),
        ({"offer": lump(per_person_cap=1)}, "offer.per_person_cap"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_terms_that_no_call_can_have(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        require_terms(terms(**changes), 1)
    assert refused.value.field == field
    assert refused.value.accepted


def test_terms_that_stand() -> None:
    require_terms(terms(), 1)
    require_terms(terms(offer=lump(), approvers=("a", "b"), approvals_needed=2), 1)
    require_holdable(terms(), 86_400)
    with pytest.raises(HoldTooLong):
        require_holdable(terms(), 86_399)


@pytest.mark.parametrize(
    ("kind", "currency", "goal", "error"),
    [
        (Kind.DONATION, "CNY", 1_000, None),
        (Kind.REWARD, "CNY", 1_000, InvalidInput),
        (Kind.DONATION, "JPY", 1_000, CurrencyMismatch),
        (Kind.DONATION, "CNY", 1_001, InvalidInput),
    ],
)
def test_who_may_apply(
    kind: Kind, currency: str, goal: int, error: type[DomainError] | None
) -> None:
    call = terms(eligibility=Eligibility(kinds=(Kind.DONATION,), largest_goal=1_000))
    if error is None:
        require_eligible(call, kind, currency, goal)
    else:
        with pytest.raises(error) as refused:
            require_eligible(call, kind, currency, goal)
        assert type(refused.value) is error
        assert refused.value.field == "campaign_id"


def test_what_people_are_told() -> None:
    spent = Budget(paid=100, reserved=40, used=30, spent=10, returned=5, lost=5)
    assert (spent.held, spent.left) == (50, 10)
    assert shown("open", spent) == "open"
    assert shown("open", Budget(paid=100, reserved=100)) == "exhausted"
    assert shown("closed", Budget()) == "closed"


def test_deadlines_say_what_silence_does() -> None:
    call = terms()
    [end] = phase_deadlines(call, Phase.OPEN, NOW)
    assert (end.due_at, end.event, end.grace_seconds) == (
        NOW + timedelta(days=1),
        Event.TIME_UP,
        10,
    )
    [settlement] = phase_deadlines(call, Phase.CLOSED, NOW)
    assert settlement.due_at == NOW + timedelta(days=180)
    spending = spending_deadline(call, "spd", NOW)
    assert (spending.subject, spending.due_at) == ("spd", NOW + timedelta(days=14))
    assert phase_deadlines(call, Phase.ENDED, NOW) == ()
    shown_ = as_of_now(call, [end, spending], 700)
    assert [str(line) for line in shown_[0].postings] == [
        "debit match:mtc CNY 7.00",
        "credit refund_due:new CNY 7.00",
    ]
    assert shown_[1].postings == ()
    assert as_of_now(call, [end], 0) == (end,)
