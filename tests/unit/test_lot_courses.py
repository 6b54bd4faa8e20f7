"""Random legal courses of lots: the deposit is divided to the last unit of money, units and materials never get lost."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from domain import materials
from domain.lot import (
    FINAL,
    REWORK_MOST,
    TRANSITIONS,
    Course,
    Decision,
    Event,
    Fault,
    Flow,
    HandIn,
    Moved,
    Phase,
    plus,
)
from domain.lot_deadlines import Clock, entered, stayed
from domain.lot_moves import Said, move, steps
from domain.lot_postings import entries
from domain.materials import Movement
from domain.policy import RefundPolicy
from domain.production import (
    Defect,
    DefectClass,
    Label,
    Material,
    ProductionTerms,
    Rules,
    Standard,
)
from domain.production_policy import ProductionPolicy

AT = datetime(2026, 5, 4, 12, tzinfo=UTC)
LOT, MAKER = "lot_1", "usr_maker"
_TURNS = 40
_ONWARD = (
    Event.SAMPLE_SENT,
    Event.SAMPLE_APPROVED,
    Event.DEPOSIT_PAID,
    Event.KIT_SENT,
    Event.KIT_RECEIVED,
    Event.KIT_RULED,
    Event.GOODS_SENT,
    Event.GOODS_RECEIVED,
    Event.INSPECTED,
    Event.APPEALED,
    Event.RULED,
)
"""What happens more often than the rest, so that lots get to their later phases."""


@st.composite
def terms(draw: st.DrawFn) -> ProductionTerms:
    """An order of a few units, in any of its forms."""
    made_of = tuple(
        Material(number=n, title="Bamboo", pieces=draw(st.integers(1, 3)), cost=100)
        for n in range(1, draw(st.integers(0, 2)) + 1)
    )
    certified = draw(st.booleans())
    sampled = draw(st.booleans())
    units = draw(st.integers(1, 12))
    return ProductionTerms(
        order_id="prd_1",
        requester_id="usr_requester",
        title="Baskets",
        process="Weave",
        standard=Standard(
            text="No splinters",
            defects=(Defect(code="hole", text="A hole", severity=DefectClass.MAJOR),),
        ),
        materials=made_of,
        currency="CNY",
        units=units,
        lot_most=units,
        rate=draw(st.integers(1, 999)),
        deposit=draw(st.integers(0, sum(m.pieces * m.cost for m in made_of))),
        sample_fee=draw(st.integers(0, 50)) if sampled else None,
        samples=_TURNS if sampled else 0,
        freight=draw(st.integers(0, 30)),
        label=draw(st.sampled_from(Label)),
        certifier_id="usr_inspector" if certified else None,
        certifier_fee=draw(st.integers(0, 30)) if certified else 0,
        make_seconds=86_400,
        claims_seconds=86_400,
        rules=Rules(
            policy=ProductionPolicy(cover_most=draw(st.sampled_from([0, 1_000, 5_000_000]))),
            refund_policy=RefundPolicy(),
            provider="sandbox",
            return_url="https://shop.test",
        ),
    )


class Walk:
    """One lot on its way, with everything that its flows have done."""

    def __init__(self, terms: ProductionTerms, units: int, data: st.DataObject) -> None:
        self.terms = terms
        self.data = data
        self.at = AT
        self.phase = Phase.SAMPLE
        self.course = Course(units=units)
        self.sent: HandIn | None = None
        self.flows: list[Flow] = []
        self.movements: list[Movement] = []
        self.paid_in = self.bank_keeps = 0
        self.clock = Clock(lot_id=LOT, maker_id=MAKER, terms=terms, course=self.course)
        self.timers = entered(self.clock, self.phase, self.at)
        self.happens(Event.CLAIMED, Said(sample_known=data.draw(st.booleans())))

    @property
    def flow(self) -> Flow:
        """All flows together."""
        total = Flow()
        for each in self.flows:
            total = plus(total, each)
        return total

    def goes_to_its_end(self) -> None:
        """Whatever can happen happens, in any order; at last what brings every lot on."""
        for turn in range(3 * _TURNS):
            if self.phase in FINAL:
                return
            possible = sorted(event for phase, event in TRANSITIONS if phase is self.phase)
            if not self._may_contest():
                possible = [event for event in possible if event is not Event.KIT_CONTESTED]
            onward = [event for event in possible if event in _ONWARD]
            if turn < _TURNS or not onward:
                self.happens(self.data.draw(st.sampled_from(9 * onward + possible)))
            else:
                self.happens(onward[0])
        raise AssertionError(f"the lot is still {self.phase}")

    def _may_contest(self) -> bool:
        """Whether the present materials can be contested: there are any, once, and soon."""
        confirmed = self.course.kit_confirmed_at
        seconds = self.terms.policy.kit_contest_seconds - 3_600
        soon = confirmed is None or self.at < confirmed + timedelta(seconds=seconds)
        return bool(self.terms.materials) and self.course.contested_at is None and soon

    def happens(self, event: Event, said: Said | None = None) -> None:
        """One transition, and what is true of each."""
        said = said or self._said(event)
        self.at += timedelta(hours=1)
        before, phase = self.course, self.phase
        moved = move(self.terms, before, phase, event, self.at, said)
        assert moved.phase in TRANSITIONS[phase, event]
        assert moved.course.deposit_held >= 0
        self._keep(event, said, before, moved)
        if event is Event.DEPOSIT_PAID:
            self.paid_in = moved.course.deposit_held
        if event is Event.DEPOSIT_LOST:
            self.bank_keeps += min(before.deposit_held, said.amount)
        clock = self.clock.model_copy(update={"course": moved.course, "said": said})
        if moved.phase is phase and event is not Event.CLAIMED:
            self.timers = stayed(clock, phase, event, self.at, self.timers)
        else:
            self.timers = entered(clock, moved.phase, self.at)
        assert bool(self.timers) != (moved.phase in FINAL), "every wait has a deadline"
        self.course, self.phase = moved.course, moved.phase

    def _keep(self, event: Event, said: Said, before: Course, moved: Moved) -> None:
        self.flows.append(moved.flow)
        for entry in entries(self.terms, LOT, MAKER, moved.flow, "key"):
            entry.require_balance()
        done = materials.movements(self.terms.materials, steps(before, event, moved, said))
        self.movements += done

    def _said(self, event: Event) -> Said:
        draw = self.data.draw
        if event is Event.GOODS_SENT:
            self.sent = draw(_hand_in(self.course, self.phase))
        rest, not_back = self.course.rejected, self.course.not_returned
        return Said(
            hand_in=self.sent,
            tracked=event is not Event.GOODS_DENIED,
            covered=event is Event.GOODS_LOST and draw(st.booleans()),
            by_carrier=event is Event.KIT_RECEIVED and draw(st.booleans()),
            as_promised=draw(st.booleans()) if event is Event.KIT_RULED else None,
            returned=draw(st.integers(0, not_back)) if event is Event.RULED else None,
            decision=draw(_decision(self.course)) if event is Event.INSPECTED else None,
            granted=draw(st.integers(0, rest)) if event is Event.RULED else None,
            seconds=86_400 if event is Event.EXTENDED else None,
            amount=draw(st.integers(0, 500)) if event is Event.DEPOSIT_LOST else 0,
        )


def _hand_in(course: Course, phase: Phase) -> st.SearchStrategy[HandIn]:
    if phase is Phase.REWORK:
        return st.builds(HandIn, made=st.integers(1, course.in_rework))
    part = st.integers(0, course.units)
    return st.one_of(
        st.just(HandIn(made=course.units)),
        st.tuples(part, part, part).map(lambda cut: _cut(course.units, cut)),
    )


def _cut(units: int, cut: Sequence[int]) -> HandIn:
    """At most so many units in all, at least one."""
    made = min(cut[0], units)
    unused = min(cut[1], units - made)
    spoiled = min(cut[2], units - made - unused)
    if not made + unused + spoiled:
        return HandIn(made=1)
    return HandIn(made=made, unused=unused, spoiled=spoiled)


@st.composite
def _decision(draw: st.DrawFn, course: Course) -> Decision:
    accepted = draw(st.integers(0, course.undecided))
    left = course.undecided - accepted
    rework = draw(st.integers(0, left)) if course.rework_rounds < REWORK_MOST else 0
    first = course.rework_rounds == 0
    return Decision(
        accepted=accepted,
        rework=rework,
        rejected=left - rework,
        missing=draw(st.integers(0, left - rework)) if first else 0,
        returned=draw(st.none() | st.integers(0, course.unused)) if first else None,
        fault=draw(st.sampled_from(Fault)),
    )


@settings(max_examples=100, deadline=None)
@given(terms(), st.data())
def test_a_lot_divides_its_deposit_and_accounts_for_every_unit_and_piece(
    terms: ProductionTerms, data: st.DataObject
) -> None:
    walk = Walk(terms, terms.units, data)
    walk.goes_to_its_end()
    flow = walk.flow
    assert flow.deposit_back + flow.deposit_kept + walk.bank_keeps == walk.paid_in
    assert flow.finished == terms.units
    assert flow.wages == flow.accepted * terms.rate == walk.course.accepted * terms.rate
    assert flow.deposit_kept <= terms.units * terms.kit_cost
    materials.require_accounted(materials.balances(walk.movements))
    used = walk.course.accepted
    held = materials.balances(walk.movements)
    for each in terms.materials:
        assert held.get((each.number, materials.Place.USED), 0) == used * each.pieces


@settings(max_examples=50, deadline=None)
@given(terms(), st.data())
def test_what_is_paid_in_pays_for_an_order_however_often_its_units_are_made_again(
    terms: ProductionTerms, data: st.DataObject
) -> None:
    left, paid, accepted, samples = terms.units, 0, 0, 0
    for _ in range(6):
        if not left:
            break
        units = data.draw(st.integers(1, left))
        walk = Walk(terms, units, data)
        walk.goes_to_its_end()
        left += walk.flow.unmade - units
        accepted += walk.flow.accepted
        samples += int(walk.course.sample_paid)
        paid += walk.flow.wages + walk.flow.freight + walk.flow.certifier
    unused_samples = (terms.samples - samples) * (terms.sample_fee or 0)
    not_earned = (terms.units - accepted) * terms.rate
    assert terms.to_fund - paid >= not_earned + unused_samples
    assert terms.to_fund - paid >= left * terms.per_unit + unused_samples
