"""A lot 批次 (paths 2.5): the units of a production order that one maker takes on, from the claim to the last payment.

sample -> sample_review -> kit_reserved -> kit_paid -> kit_shipped -> making -> return_shipped -> inspecting -> decided
-> settled, with rework and appeal in between. What does not apply is left out: no sample, no materials, no deposit.
Wages lie in the order's escrow, the deposit in the lot's own account.
"""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from domain import accounts
from domain.accounts import Account
from domain.errors import InvalidInput, WrongPhase
from domain.model import Instant, Message
from domain.production import Label, ProductionTerms

REWORK_MOST = 2
"""How often goods may be sent back to their maker."""


class Phase(StrEnum):
    """Where a lot stands."""

    SAMPLE = "sample"
    """The maker makes one piece to show."""
    SAMPLE_REVIEW = "sample_review"
    KIT_RESERVED = "kit_reserved"
    """The maker is paying the deposit."""
    KIT_PAID = "kit_paid"
    """The requester has to send the materials."""
    KIT_SHIPPED = "kit_shipped"
    MAKING = "making"
    RETURN_SHIPPED = "return_shipped"
    """The goods are on their way to whoever inspects them."""
    INSPECTING = "inspecting"
    DECIDED = "decided"
    """Units are rejected; the maker may appeal."""
    REWORK = "rework"
    """Units are with their maker once more."""
    APPEALED = "appealed"
    SETTLED = "settled"
    ABANDONED = "abandoned"
    """The maker has never sent anything."""
    LAPSED = "lapsed"
    """It ended before materials were sent, by the maker: no sample, a refused one, no deposit, or stepped back."""
    CANCELLED = "cancelled"
    """The requester has not sent the materials, or operators have ended it before."""
    LOST = "lost"
    """The goods got lost on their way back."""


FINAL = frozenset({Phase.SETTLED, Phase.ABANDONED, Phase.LAPSED, Phase.CANCELLED, Phase.LOST})


class Event(StrEnum):
    """What moves a lot."""

    CLAIMED = "claimed"
    SAMPLE_SENT = "sample_sent"
    SAMPLE_APPROVED = "sample_approved"
    SAMPLE_SILENCE = "sample_silence"
    """The requester has not looked at it in time: it counts as approved."""
    SAMPLE_REFUSED = "sample_refused"
    SAMPLE_LAPSED = "sample_lapsed"
    DEPOSIT_PAID = "deposit_paid"
    DEPOSIT_UNPAID = "deposit_unpaid"
    WITHDRAWN = "withdrawn"
    """The maker steps back before materials are sent."""
    CALLED_OFF = "called_off"
    """By operators, before materials are sent."""
    KIT_SENT = "kit_sent"
    KIT_NOT_SENT = "kit_not_sent"
    KIT_RECEIVED = "kit_received"
    KIT_LOST = "kit_lost"
    HEARTBEAT = "heartbeat"
    """The maker says that the work goes on."""
    SILENT = "silent"
    """A week without a word."""
    OVERDUE = "overdue"
    """The time is up; the maker is reminded."""
    EXTENDED = "extended"
    """The requester gives more time."""
    ABANDONED = "abandoned"
    GOODS_SENT = "goods_sent"
    GOODS_RECEIVED = "goods_received"
    GOODS_LOST = "goods_lost"
    INSPECTED = "inspected"
    INSPECTION_LAPSED = "inspection_lapsed"
    """Nobody has inspected in time: everything is accepted."""
    REWORK_LAPSED = "rework_lapsed"
    """Units that were to be mended were not sent back in time."""
    APPEALED = "appealed"
    APPEAL_WAIVED = "appeal_waived"
    APPEAL_OVER = "appeal_over"
    RULED = "ruled"
    RULING_LAPSED = "ruling_lapsed"
    """Nobody has ruled in time: the appeal counts as granted."""


_P = Phase
_AFTER_SAMPLE = frozenset({_P.KIT_RESERVED, _P.KIT_PAID, _P.MAKING})
_LAPSE = frozenset({_P.LAPSED})
_CANCEL = frozenset({_P.CANCELLED})
_AFTER_DECISION = frozenset({_P.REWORK, _P.DECIDED, _P.SETTLED})
_SETTLE = frozenset({_P.SETTLED})
BEFORE_KIT = (_P.SAMPLE, _P.SAMPLE_REVIEW, _P.KIT_RESERVED, _P.KIT_PAID)

TRANSITIONS: dict[tuple[Phase, Event], frozenset[Phase]] = {
    (_P.SAMPLE, Event.CLAIMED): frozenset({_P.SAMPLE, *_AFTER_SAMPLE}),
    (_P.SAMPLE, Event.SAMPLE_SENT): frozenset({_P.SAMPLE_REVIEW}),
    (_P.SAMPLE, Event.SAMPLE_LAPSED): _LAPSE,
    (_P.SAMPLE, Event.WITHDRAWN): _LAPSE,
    (_P.SAMPLE_REVIEW, Event.SAMPLE_APPROVED): _AFTER_SAMPLE,
    (_P.SAMPLE_REVIEW, Event.SAMPLE_SILENCE): _AFTER_SAMPLE,
    (_P.SAMPLE_REVIEW, Event.SAMPLE_REFUSED): _LAPSE,
    (_P.KIT_RESERVED, Event.DEPOSIT_PAID): frozenset({_P.KIT_PAID}),
    (_P.KIT_RESERVED, Event.DEPOSIT_UNPAID): _LAPSE,
    (_P.KIT_RESERVED, Event.WITHDRAWN): _LAPSE,
    (_P.KIT_PAID, Event.KIT_SENT): frozenset({_P.KIT_SHIPPED}),
    (_P.KIT_PAID, Event.KIT_NOT_SENT): _CANCEL,
    (_P.KIT_PAID, Event.WITHDRAWN): _LAPSE,
    **{(phase, Event.CALLED_OFF): _CANCEL for phase in BEFORE_KIT},
    (_P.KIT_SHIPPED, Event.KIT_RECEIVED): frozenset({_P.MAKING}),
    (_P.KIT_SHIPPED, Event.KIT_LOST): frozenset({_P.KIT_PAID}),
    **{
        (_P.MAKING, event): frozenset({_P.MAKING})
        for event in (Event.HEARTBEAT, Event.SILENT, Event.OVERDUE, Event.EXTENDED)
    },
    (_P.MAKING, Event.GOODS_SENT): frozenset({_P.RETURN_SHIPPED}),
    (_P.MAKING, Event.ABANDONED): frozenset({_P.ABANDONED}),
    (_P.RETURN_SHIPPED, Event.GOODS_RECEIVED): frozenset({_P.INSPECTING, *_AFTER_DECISION}),
    (_P.RETURN_SHIPPED, Event.GOODS_LOST): frozenset({_P.LOST}),
    (_P.INSPECTING, Event.INSPECTED): _AFTER_DECISION,
    (_P.INSPECTING, Event.INSPECTION_LAPSED): _AFTER_DECISION,
    (_P.REWORK, Event.GOODS_SENT): frozenset({_P.RETURN_SHIPPED}),
    (_P.REWORK, Event.REWORK_LAPSED): frozenset({_P.DECIDED, _P.SETTLED}),
    (_P.DECIDED, Event.APPEALED): frozenset({_P.APPEALED}),
    (_P.DECIDED, Event.APPEAL_WAIVED): _SETTLE,
    (_P.DECIDED, Event.APPEAL_OVER): _SETTLE,
    (_P.APPEALED, Event.RULED): _SETTLE,
    (_P.APPEALED, Event.RULING_LAPSED): _SETTLE,
}
"""The whole state machine of a lot."""


def require_event(phase: str, event: str) -> frozenset[Phase]:
    """Where the event can lead from this phase. Raises WrongPhase when it cannot happen in it."""
    found = TRANSITIONS.get((Phase(phase), Event(event)))
    if found is None:
        possible = sorted({str(each) for origin, each in TRANSITIONS if origin == phase})
        raise WrongPhase(
            f"a lot that is {phase} cannot become {event}",
            field="phase",
            accepted=", ".join(possible) or "nothing: the lot has ended",
        )
    return found


class Fault(StrEnum):
    """Whose fault it is that units are not as agreed; decides who pays for sending them again."""

    MAKER = "maker"
    REQUESTER = "requester"
    """Bad materials, or a description that was wrong."""


class Parcel(Message):
    """What is sent, by which carrier. Handed over in person without a number."""

    carrier: str | None = None
    tracking_number: str | None = None


class HandIn(Message):
    """What a maker says they send back, in units."""

    made: int = Field(ge=0)
    unused: int = Field(default=0, ge=0)
    """Units whose materials come back as they were."""
    spoiled: int = Field(default=0, ge=0)
    """Units whose materials were spoiled in the making."""


class Decision(Message):
    """What an inspection has decided about the units that were handed in."""

    accepted: int = Field(ge=0)
    rework: int = Field(default=0, ge=0)
    rejected: int = Field(default=0, ge=0)
    fault: Fault = Fault.MAKER
    """Of units that are not accepted."""
    concession: bool = False
    """Accepted although the sample had failed."""

    @property
    def total(self) -> int:
        """All units that it is about."""
        return self.accepted + self.rework + self.rejected


class Course(Message):
    """How a lot has gone so far. Counts are units."""

    units: int
    made: int = 0
    """Handed in the first time."""
    unused: int = 0
    spoiled: int = 0
    accepted: int = 0
    in_rework: int = 0
    """With their maker once more, or on the way there and back."""
    rejected: int = 0
    not_at_fault: int = 0
    """Of the rejected ones: those that are the requester's fault, whose deposit goes back."""
    unreturned: int = 0
    """Sent back to their maker to be mended, and never seen again."""
    lost: int = 0
    rework_rounds: int = 0
    kits_lost: int = 0
    due_at: Instant | None = None
    """When the goods are to be sent; known once the kit is there."""
    deposit_held: int = 0
    """Minor units."""
    sample_paid: bool = False

    @property
    def undecided(self) -> int:
        """Units that were handed in and that nobody has decided about yet."""
        return self.made - self.accepted - self.in_rework - self.rejected - self.unreturned

    @property
    def missing(self) -> int:
        """Units of which neither goods nor materials were handed in."""
        return self.units - self.made - self.unused - self.spoiled


class Flow(Message):
    """What one transition does with money, in minor units, and with units. The activity posts it."""

    wages: int = 0
    """From the order's escrow to the maker, before the commission."""
    freight: int = 0
    """From the order's escrow to the maker, free of commission; sample fees likewise."""
    certifier: int = 0
    """From the order's escrow to the independent inspector."""
    protected: int = 0
    """From the protection fund to the maker."""
    deposit_back: int = 0
    """From the deposit to the maker's balance, or with `deposit_refunded` the way it came."""
    deposit_refunded: bool = False
    """Whether it goes back through the payment company: nothing was made yet."""
    deposit_kept: int = 0
    """From the deposit to the requester, for materials that are gone."""
    unmade: int = 0
    """Units that others can claim again."""
    accepted: int = 0
    rejected: int = 0
    lost: int = 0


class Moved(Message):
    """What one transition does."""

    course: Course
    phase: Phase
    flow: Flow = Flow()


def deposit_account(lot_id: str, maker_id: str) -> Account:
    """Where a maker's deposit lies."""
    return accounts.deposit(lot_id, maker_id)


def begin(terms: ProductionTerms, units: int, *, sample_known: bool) -> Moved:
    """A claim. `sample_known`: an earlier sample of this maker was approved for this order."""
    course = Course(units=units)
    if terms.wants_sample and not sample_known:
        return Moved(course=course, phase=Phase.SAMPLE)
    return Moved(course=course, phase=after_sample(terms))


def after_sample(terms: ProductionTerms) -> Phase:
    """The first phase that applies once no sample is waited for."""
    if not terms.materials:
        return Phase.MAKING
    return Phase.KIT_RESERVED if terms.deposit else Phase.KIT_PAID


def sample_seen(terms: ProductionTerms, course: Course, *, refused: bool) -> Moved:
    """The sample was looked at, or nobody has: its fee is paid either way."""
    paid = course.model_copy(update={"sample_paid": True})
    flow = Flow(freight=terms.sample_fee or 0, unmade=course.units if refused else 0)
    phase = Phase.LAPSED if refused else after_sample(terms)
    return Moved(course=paid, phase=phase, flow=flow)


def given_up(course: Course, phase: Phase) -> Moved:
    """The lot ends before materials were sent: the deposit goes back the way it came, and others can claim the units."""
    flow = Flow(deposit_back=course.deposit_held, deposit_refunded=True, unmade=course.units)
    return Moved(course=_without_deposit(course), phase=phase, flow=flow)


def abandoned(course: Course) -> Moved:
    """Nothing has ever come: the deposit pays for the materials, and others can claim the units.

    A deposit is never above what the materials cost, so nothing of it is left (paths 2.5).
    """
    flow = Flow(deposit_kept=course.deposit_held, unmade=course.units)
    return Moved(course=_without_deposit(course), phase=Phase.ABANDONED, flow=flow)


def require_hand_in(course: Course, sent: HandIn, phase: Phase) -> None:
    """Raises InvalidInput for more than the lot has, or for units of a rework that are not in it."""
    most = course.units if phase is Phase.MAKING else course.in_rework
    if phase is Phase.REWORK and (sent.unused or sent.spoiled or not sent.made):
        raise InvalidInput(
            "only mended units are sent now", field="made", accepted=f"1 to {course.in_rework}"
        )
    total = sent.made + sent.unused + sent.spoiled
    if not 1 <= total <= most:
        raise InvalidInput(
            "the lot has not so many units", field="made", accepted=f"1 to {most} in all"
        )


def goods_lost(terms: ProductionTerms, course: Course, sent: HandIn) -> Moved:
    """The goods never arrived. Under our label the protection fund pays the wages and the deposit goes back in full.

    Under the maker's own label they bear it: the deposit pays for the materials. Units accepted before stay paid.
    """
    gone = sent.made
    ours = terms.label is Label.PLATFORM
    unused = course.unused + sent.unused
    now = course.model_copy(update={"lost": gone if ours else 0, "in_rework": 0})
    back = 0
    if ours:
        whole = (gone + unused + course.not_at_fault) * terms.deposit
        back = min(course.deposit_held, whole)
    flow = Flow(
        protected=gone * terms.rate if ours else 0,
        deposit_back=back,
        deposit_kept=course.deposit_held - back,
        unmade=course.units - course.accepted - course.rejected - now.lost,
        lost=now.lost,
        rejected=course.rejected,
    )
    return Moved(course=_without_deposit(now), phase=Phase.LOST, flow=flow)


def arrived(terms: ProductionTerms, course: Course, sent: HandIn, *, again: bool) -> Moved:
    """The goods are there. `again`: they were mended; what was not sent with them is not waited for.

    Freight is paid for the first time, and for another when what was wrong is not the maker's fault: the decision
    about the rework has said so. A lot of which nothing was made is settled at once.
    """
    if again:
        missing = course.in_rework - sent.made
        now = course.model_copy(update={"in_rework": 0, "unreturned": course.unreturned + missing})
        return Moved(course=now, phase=Phase.INSPECTING)
    now = course.model_copy(
        update={"made": sent.made, "unused": sent.unused, "spoiled": sent.spoiled}
    )
    if not sent.made:
        return settle(terms, now)
    flow = Flow(freight=sent.made * terms.freight, certifier=sent.made * terms.certifier_fee)
    return Moved(course=now, phase=Phase.INSPECTING, flow=flow)


def require_decision(course: Course, decision: Decision) -> None:
    """Raises InvalidInput unless it is about just the units that were handed in, or for a rework too many."""
    if decision.total != course.undecided:
        raise InvalidInput(
            f"accepted, rework and rejected are {decision.total} units together",
            field="accepted",
            accepted=f"{course.undecided} in all",
        )
    if decision.rework and course.rework_rounds >= REWORK_MOST:
        raise InvalidInput(
            f"units were sent back to their maker {course.rework_rounds} times already",
            field="rework",
            accepted="0: accept or reject them",
        )


def decided(terms: ProductionTerms, course: Course, decision: Decision) -> Moved:
    """Accepted units are paid at once and their deposit goes back at once; rejected ones wait for an appeal.

    Freight for mending is paid when what is wrong is not the maker's fault.
    """
    require_decision(course, decision)
    others = decision.fault is Fault.REQUESTER
    back = decision.accepted * terms.deposit
    now = course.model_copy(
        update={
            "accepted": course.accepted + decision.accepted,
            "in_rework": decision.rework,
            "rejected": course.rejected + decision.rejected,
            "not_at_fault": course.not_at_fault + (decision.rejected if others else 0),
            "rework_rounds": course.rework_rounds + (1 if decision.rework else 0),
            "deposit_held": course.deposit_held - back,
        }
    )
    flow = Flow(
        wages=decision.accepted * terms.rate,
        freight=decision.rework * terms.freight if others else 0,
        deposit_back=back,
        accepted=decision.accepted,
    )
    return _onward(terms, now, flow)


def rework_lapsed(terms: ProductionTerms, course: Course) -> Moved:
    """Units that were to be mended were never sent: they are not paid, and the deposit pays for their materials."""
    now = course.model_copy(
        update={"in_rework": 0, "unreturned": course.unreturned + course.in_rework}
    )
    return _onward(terms, now, Flow())


def _onward(terms: ProductionTerms, course: Course, flow: Flow) -> Moved:
    if course.in_rework:
        return Moved(course=course, phase=Phase.REWORK, flow=flow)
    if course.rejected:
        return Moved(course=course, phase=Phase.DECIDED, flow=flow)
    end = settle(terms, course)
    return end.model_copy(update={"flow": plus(flow, end.flow)})


def ruled(terms: ProductionTerms, course: Course, granted: int) -> Moved:
    """An appeal is decided: so many of the rejected units are accepted after all. Raises InvalidInput for more."""
    if not 0 <= granted <= course.rejected:
        raise InvalidInput(
            "so many units were not rejected", field="accepted", accepted=f"0 to {course.rejected}"
        )
    back = granted * terms.deposit
    rest = course.rejected - granted
    now = course.model_copy(
        update={
            "accepted": course.accepted + granted,
            "rejected": rest,
            "not_at_fault": min(course.not_at_fault, rest),
            "deposit_held": course.deposit_held - back,
        }
    )
    end = settle(terms, now)
    flow = Flow(wages=granted * terms.rate, deposit_back=back, accepted=granted)
    return end.model_copy(update={"flow": plus(flow, end.flow)})


def settle(terms: ProductionTerms, course: Course) -> Moved:
    """All units are decided: what is left of the deposit is divided, unit by unit.

    Materials that came back unused, and rejects that are not the maker's fault, give it back; spoiled, missing and
    rejected units cost their materials and nothing more, never an automatic full forfeit (paths 2.5).
    """
    back = min(course.deposit_held, (course.unused + course.not_at_fault) * terms.deposit)
    flow = Flow(
        deposit_back=back,
        deposit_kept=course.deposit_held - back,
        unmade=course.unused + course.spoiled + course.missing + course.unreturned,
        rejected=course.rejected,
    )
    return Moved(course=_without_deposit(course), phase=Phase.SETTLED, flow=flow)


def plus(first: Flow, second: Flow) -> Flow:
    """Both together."""
    sums = {
        name: getattr(first, name) + getattr(second, name)
        for name in Flow.model_fields
        if name != "deposit_refunded"
    }
    return Flow(**sums, deposit_refunded=first.deposit_refunded or second.deposit_refunded)


def _without_deposit(course: Course) -> Course:
    return course.model_copy(update={"deposit_held": 0})
