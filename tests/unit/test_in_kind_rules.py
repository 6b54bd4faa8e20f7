"""The rules of help in kind without any I/O: transitions, terms, the day of return, and who gets the deposit."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import errors
from domain.in_kind import (
    FINAL,
    LENDING,
    TRANSITIONS,
    Course,
    Event,
    Help,
    InKindTerms,
    Phase,
    Rules,
    Said,
    published,
    require_event,
    require_terms,
)
from domain.in_kind_deadlines import deadlines
from domain.in_kind_moves import entries, move
from domain.policy import InKindPolicy, RefundPolicy

NOW = datetime(2027, 3, 1, 9, tzinfo=UTC)
DAY = timedelta(days=1)
LONGEST = 180 - 63
"""Days ahead that a loan with a deposit may be due: 63 days may pass until the deposit has left."""


def terms(help: Help = Help.LOAN, **changes: Any) -> InKindTerms:
    """Terms that are accepted; a loan with a deposit."""
    of_kind: dict[Help, dict[str, Any]] = {
        Help.MATERIAL: {"quantity": "20 kg"},
        Help.TASK: {"hours": 12},
        Help.LOAN: {"due_at": NOW + 20 * DAY, "currency": "CNY", "deposit": 10_001},
    }
    return InKindTerms(
        **{
            "in_kind_id": "ink",
            "supporter_id": "supporter",
            "help": help,
            "title": "A loom",
            "description": "Eight shafts",
            "rules": Rules(
                policy=InKindPolicy(),
                refund_policy=RefundPolicy(),
                provider="sandbox",
                return_url="https://shop.example/",
                max_hold_seconds=180 * 86_400,
            ),
            **of_kind[help],
            **changes,
        }
    )


def course(**changes: Any) -> Course:
    """A loan that somebody has, with its deposit."""
    return Course(
        **{
            "due_at": NOW + 20 * DAY,
            "offer_ends_at": NOW + 30 * DAY,
            "asker_id": "borrower",
            "held": 10_001,
            "hold_until": NOW + 180 * DAY,
            "picks": 1,
            **changes,
        }
    )


EXPECTED = """
    draft       published            offered
    draft       withdrawn            withdrawn
    offered     withdrawn            withdrawn
    offered     offer_lapsed         expired
    offered     picked               deposit matched
    offered     cancelled            cancelled
    offered     extended             offered
    deposit     deposit_paid         ready
    deposit     deposit_unpaid       offered
    deposit     called_off           offered withdrawn
    deposit     cancelled            cancelled
    deposit     extended             deposit
    matched     called_off           offered withdrawn
    matched     cancelled            cancelled
    matched     hand_over_lapsed     cancelled
    matched     handed_over          handed_over lent
    matched     extended             matched
    ready       called_off           offered withdrawn
    ready       cancelled            cancelled
    ready       hand_over_lapsed     cancelled
    ready       handed_over          lent
    ready       extended             ready
    ready       charged_back         cancelled
    handed_over confirmed            completed
    handed_over confirmation_lapsed  completed
    handed_over objected             objected
    objected    confirmed            completed
    objected    ruled                completed failed
    objected    ruling_lapsed        completed
    lent        fell_due             lent
    lent        overdue              overdue
    lent        extended             lent
    lent        sent_back            sent_back
    lent        return_confirmed     returned
    lent        claimed              claimed
    lent        charged_back         lent
    overdue     extended             lent
    overdue     sent_back            sent_back
    overdue     return_confirmed     returned
    overdue     claimed              claimed
    overdue     overdue_lapsed       returned
    overdue     written_off          failed
    overdue     charged_back         overdue
    sent_back   return_confirmed     returned
    sent_back   return_lapsed        returned
    sent_back   claimed              claimed
    sent_back   charged_back         sent_back
    claimed     return_confirmed     returned
    claimed     claim_agreed         failed returned
    claimed     claim_lapsed         failed returned
    claimed     claim_contested      contested
    claimed     charged_back         claimed
    contested   return_confirmed     returned
    contested   ruled                failed returned
    contested   ruling_lapsed        failed returned
    contested   charged_back         contested
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
    for refuse in (
        lambda: require_event(phase, event),
        lambda: move(terms().bounds, course(), phase, event, NOW),
    ):
        with pytest.raises(errors.WrongPhase) as refused:
            refuse()
        assert (refused.value.field, bool(refused.value.accepted)) == ("phase", True)


def test_nothing_follows_the_end() -> None:
    assert {phase for phase, _ in TRANSITIONS} == set(Phase) - FINAL


OF_ALL_HELP = {Phase.OFFERED, Phase.MATCHED, Phase.HANDED_OVER, Phase.OBJECTED}
FITTING = {
    Event.RULED: Said(received=True, amount=10),
    Event.CLAIMED: Said(amount=10),
    Event.EXTENDED: Said(due_at=NOW + 30 * DAY),
    Event.CHARGED_BACK: Said(amount=10),
}


@pytest.mark.parametrize(
    ("phase", "event"), [each for each in TRANSITIONS if each[0] is not Phase.DRAFT], ids=str
)
def test_every_arrow_leads_where_the_table_says_and_loses_no_money(
    phase: Phase, event: Event
) -> None:
    for help in Help if phase in OF_ALL_HELP else [Help.LOAN]:
        for back in (True, False):
            said = FITTING.get(event, Said(offer_again=back))
            before = course(claimed=500, is_back=back)
            moved = move(terms(help).bounds, before, phase, event, NOW, said)
            assert moved.phase in TRANSITIONS[phase, event]
            if event is Event.DEPOSIT_PAID:
                continue
            taken = 10 if event is Event.CHARGED_BACK else 0
            left = moved.course.held + moved.to_lender + moved.to_borrower
            assert left == before.held - taken
            if moved.phase in FINAL:
                assert moved.course.held == 0


@pytest.mark.parametrize(
    ("help", "changes", "field"),
    [
        (Help.MATERIAL, {"hours": 1}, "hours"),
        (Help.MATERIAL, {"due_at": NOW + DAY}, "due_at"),
        (Help.MATERIAL, {"currency": "CNY", "deposit": 1}, "deposit"),
        (Help.TASK, {"hours": None}, "hours"),
        (Help.TASK, {"quantity": "much"}, "quantity"),
        (Help.TASK, {"currency": "CNY", "deposit": 1}, "deposit"),
        (Help.LOAN, {"due_at": None}, "due_at"),
        (Help.LOAN, {"quantity": "one"}, "quantity"),
        (Help.LOAN, {"due_at": NOW}, "due_at"),
        (Help.LOAN, {"due_at": NOW - DAY}, "due_at"),
        (Help.LOAN, {"due_at": NOW + 366 * DAY}, "due_at"),
    ],
    ids=lambda value: value.value if isinstance(value, Help) else None,
)
def test_terms_that_no_offer_can_have(help: Help, changes: dict[str, Any], field: str) -> None:
    with pytest.raises(errors.InvalidInput) as refused:
        require_terms(terms(help, **changes), NOW)
    assert refused.value.field == field


@pytest.mark.parametrize("help", Help)
def test_terms_that_are_accepted(help: Help) -> None:
    require_terms(terms(help), NOW)
    begun = published(terms(help), NOW)
    assert (begun.offer_ends_at, begun.held, begun.asker_id) == (NOW + 30 * DAY, 0, None)


def test_a_deposit_is_not_held_longer_than_the_provider_holds_it() -> None:
    assert published(terms(due_at=NOW + LONGEST * DAY), NOW).due_at == NOW + LONGEST * DAY
    late = NOW + LONGEST * DAY + timedelta(seconds=1)
    with pytest.raises(errors.HoldTooLong) as refused:
        published(terms(due_at=late), NOW)
    assert refused.value.field == "due_at"
    free = published(terms(due_at=late, deposit=0, currency=None), NOW)
    assert free.due_at == late, "without a deposit nothing is held"


def test_putting_off_the_day_of_return_counts_from_the_payment() -> None:
    def extended(due_at: datetime, phase: Phase = Phase.LENT, **changes: Any) -> Course:
        said = Said(due_at=due_at)
        found = move(terms().bounds, course(**changes), phase, Event.EXTENDED, NOW + 10 * DAY, said)
        assert found.phase is Phase.LENT
        return found.course

    last = NOW + LONGEST * DAY
    assert (extended(last).due_at, extended(last).extensions) == (last, 1)
    assert extended(last, Phase.OVERDUE).due_at == last
    with pytest.raises(errors.HoldTooLong):
        extended(last + DAY)
    for too_early in (NOW + 20 * DAY, NOW + 19 * DAY):
        with pytest.raises(errors.InvalidInput):
            extended(too_early)
    with pytest.raises(errors.LimitReached):
        extended(last, extensions=10)
    nothing_lent = course(due_at=None)
    with pytest.raises(errors.InvalidInput):
        move(terms().bounds, nothing_lent, Phase.MATCHED, Event.EXTENDED, NOW, Said(due_at=last))


def test_nobody_is_picked_for_and_nothing_handed_over_after_the_day_of_return() -> None:
    for phase, event in ((Phase.OFFERED, Event.PICKED), (Phase.READY, Event.HANDED_OVER)):
        with pytest.raises(errors.TooLate) as refused:
            move(terms().bounds, course(), phase, event, NOW + 20 * DAY)
        assert refused.value.field == "due_at"
    with pytest.raises(errors.LimitReached):
        move(terms().bounds, course(picks=20), Phase.OFFERED, Event.PICKED, NOW)


def test_offered_again_for_the_rest_of_the_time_and_at_least_seven_days() -> None:
    for at, ends_at in ((NOW + 10 * DAY, 30), (NOW + 23 * DAY, 30), (NOW + 29 * DAY, 36)):
        moved = move(terms().bounds, course(), Phase.READY, Event.CALLED_OFF, at)
        again = moved.course
        assert (moved.phase, moved.to_borrower) == (Phase.OFFERED, 10_001)
        assert (again.asker_id, again.held, again.hold_until) == (None, 0, None)
        assert (again.offer_ends_at, again.picks) == (NOW + ends_at * DAY, 1)


@pytest.mark.parametrize("amount", [None, 0, -1, 10_002])
def test_a_claim_is_a_part_of_the_deposit(amount: int | None) -> None:
    for phase in (Phase.LENT, Phase.SENT_BACK, Phase.OVERDUE):
        with pytest.raises(errors.AmountOutOfRange) as refused:
            move(terms().bounds, course(), phase, Event.CLAIMED, NOW, Said(amount=amount))
        assert refused.value.field == "amount"
    with pytest.raises(errors.AmountOutOfRange):
        move(terms().bounds, course(held=0), Phase.LENT, Event.CLAIMED, NOW, Said(amount=1))


def test_only_what_is_overdue_or_was_sent_back_can_be_claimed_as_not_returned() -> None:
    gone = Said(amount=10_001, is_back=False)
    with pytest.raises(errors.InvalidInput) as refused:
        move(terms().bounds, course(), Phase.LENT, Event.CLAIMED, NOW, gone)
    assert refused.value.field == "is_back"
    for phase in (Phase.OVERDUE, Phase.SENT_BACK):
        moved = move(terms().bounds, course(), phase, Event.CLAIMED, NOW, gone)
        assert (moved.course.claimed, moved.course.is_back) == (10_001, False)


@given(
    held=st.integers(0, 10_001),
    claimed=st.integers(1, 10_001),
    back=st.booleans(),
    ruling=st.integers(0, 10_001),
)
def test_a_claim_is_settled_to_the_last_minor_unit(
    held: int, claimed: int, back: bool, ruling: int
) -> None:
    def settled(phase: Phase, event: Event, amount: int | None = None) -> tuple[int, int]:
        before = course(held=held, claimed=claimed, is_back=back)
        moved = move(terms().bounds, before, phase, event, NOW, Said(amount=amount))
        assert moved.phase is (Phase.RETURNED if back else Phase.FAILED)
        assert moved.to_lender + moved.to_borrower == held
        assert moved.course.released == moved.to_lender
        posted = entries(terms(), "borrower", moved, "key")
        assert sum(p.amount for e in posted for p in e.postings) == 2 * moved.to_lender
        return moved.to_lender, moved.to_borrower

    wanted = min(held, claimed)
    assert settled(Phase.CLAIMED, Event.CLAIM_AGREED)[0] == wanted
    assert settled(Phase.CLAIMED, Event.CLAIM_LAPSED)[0] == wanted
    share, _ = settled(Phase.CONTESTED, Event.RULING_LAPSED)
    assert share - (wanted - share) in (0, 1), "half each, the odd unit to the lender"
    if ruling <= held:
        assert settled(Phase.CONTESTED, Event.RULED, ruling)[0] == ruling
    else:
        with pytest.raises(errors.AmountOutOfRange):
            settled(Phase.CONTESTED, Event.RULED, ruling)


def test_a_ruling_says_what_it_is_about() -> None:
    for phase, said in (
        (Phase.OBJECTED, Said(amount=1)),
        (Phase.CONTESTED, Said(received=True)),
    ):
        with pytest.raises(errors.InvalidInput):
            move(terms().bounds, course(), phase, Event.RULED, NOW, said)


@pytest.mark.parametrize("phase", sorted(LENDING))
def test_a_bank_that_takes_more_than_is_held_leaves_nothing(phase: Phase) -> None:
    moved = move(
        terms().bounds, course(claimed=5), phase, Event.CHARGED_BACK, NOW, Said(amount=99_999)
    )
    assert (moved.phase, moved.course.held, moved.to_borrower) == (phase, 0, 0)


TIMED = {
    Phase.OFFERED: {"offer": 30},
    Phase.DEPOSIT: {"deposit": 3},
    Phase.MATCHED: {"hand_over": 14},
    Phase.READY: {"hand_over": 14},
    Phase.HANDED_OVER: {"confirmation": 7},
    Phase.OBJECTED: {"ruling": 14},
    Phase.LENT: {"due": 20, "overdue": 27},
    Phase.OVERDUE: {"lender_silence": 30},
    Phase.SENT_BACK: {"return": 7},
    Phase.CLAIMED: {"claim_answer": 5},
    Phase.CONTESTED: {"ruling": 14},
}


@pytest.mark.parametrize("phase", Phase)
def test_every_wait_has_its_deadline_and_a_rule_for_silence(phase: Phase) -> None:
    timed = deadlines(terms(), phase, course(claimed=5, is_back=True), NOW)
    wanted = {name: NOW + days * DAY for name, days in TIMED.get(phase, {}).items()}
    assert {each.name: each.due_at for each in timed} == wanted
    for each in timed:
        assert each.outcome
        assert each.stopped_by
        if each.event:
            assert (phase, Event(each.event)) in TRANSITIONS
        assert sum(p.amount for p in each.postings if p.side == "debit") in (0, 10_001)
    if phase is not Phase.DRAFT:
        assert bool(timed) is (phase not in FINAL)


def test_a_timer_keeps_its_time_and_tells_what_is_left_of_the_deposit() -> None:
    [timer] = deadlines(terms(), Phase.SENT_BACK, course(), NOW)
    put_off = timer.model_copy(update={"due_at": timer.due_at + 3 * DAY})
    [kept] = deadlines(terms(), Phase.SENT_BACK, course(held=0), NOW + DAY, (put_off,))
    assert (kept.due_at, kept.postings) == (NOW + 10 * DAY, ())
    assert "deposit" in timer.outcome
    assert "deposit" not in kept.outcome
    reminded = deadlines(terms(), Phase.LENT, course(), NOW)[1:]
    assert [each.name for each in deadlines(terms(), Phase.LENT, course(), NOW, reminded)] == [
        "overdue"
    ]
