"""A lot 批次 (paths 2.5): the units of a production order that one maker takes on, from the claim to the last payment.

sample -> sample_review -> kit_reserved -> kit_paid -> kit_shipped -> making -> return_shipped -> inspecting -> decided
-> settled, with rework and appeal in between. What does not apply is left out: no sample, no materials, no deposit.
Materials that are not as promised are contested: making -> kit_contested -> making, kit_paid or cancelled.
Wages lie in the order's escrow, the deposit in the lot's own account.
"""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from domain import accounts
from domain.accounts import Account
from domain.errors import InvalidInput, WrongPhase
from domain.model import Instant, Message
from domain.production import ProductionTerms

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
    KIT_CONTESTED = "kit_contested"
    """The maker says that the materials are not as promised, or not there; operators decide."""
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
    """No good materials were sent, or operators have ended it before."""
    LOST = "lost"
    """The goods never arrived, as far as anybody knows."""


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
    DEPOSIT_LOST = "deposit_lost"
    """The maker's bank keeps what it has taken back of the deposit."""
    KIT_SENT = "kit_sent"
    KIT_NOT_SENT = "kit_not_sent"
    KIT_RECEIVED = "kit_received"
    KIT_LOST = "kit_lost"
    KIT_CONTESTED = "kit_contested"
    CONTEST_ADMITTED = "contest_admitted"
    """The requester agrees, and sends another kit."""
    KIT_RULED = "kit_ruled"
    """Operators say whether the materials are as promised."""
    CONTEST_LAPSED = "contest_lapsed"
    """Nobody has said so in time: the maker's word counts."""
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
    GOODS_DENIED = "goods_denied"
    """Goods that travel without a number have not come, says who should have them."""
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
_SETTLE = frozenset({_P.SETTLED, _P.LOST})
_NEVER_CAME = frozenset({_P.LOST, _P.DECIDED, _P.SETTLED})
_ANOTHER_KIT = frozenset({_P.KIT_PAID, _P.CANCELLED})
BEFORE_KIT = (_P.SAMPLE, _P.SAMPLE_REVIEW, _P.KIT_RESERVED, _P.KIT_PAID)
WITH_KIT = (
    _P.KIT_SHIPPED,
    _P.MAKING,
    _P.KIT_CONTESTED,
    _P.RETURN_SHIPPED,
    _P.INSPECTING,
    _P.DECIDED,
    _P.REWORK,
    _P.APPEALED,
)
"""From the sending of the materials to the last decision."""

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
    (_P.KIT_PAID, Event.DEPOSIT_LOST): _LAPSE,
    **{(phase, Event.DEPOSIT_LOST): frozenset({phase}) for phase in WITH_KIT},
    (_P.KIT_SHIPPED, Event.KIT_RECEIVED): frozenset({_P.MAKING}),
    (_P.KIT_SHIPPED, Event.KIT_LOST): _ANOTHER_KIT,
    (_P.MAKING, Event.KIT_CONTESTED): frozenset({_P.KIT_CONTESTED}),
    (_P.KIT_CONTESTED, Event.CONTEST_ADMITTED): _ANOTHER_KIT,
    (_P.KIT_CONTESTED, Event.KIT_RULED): frozenset({_P.MAKING, _P.CANCELLED}),
    (_P.KIT_CONTESTED, Event.CONTEST_LAPSED): _CANCEL,
    **{
        (_P.MAKING, event): frozenset({_P.MAKING})
        for event in (Event.HEARTBEAT, Event.SILENT, Event.OVERDUE, Event.EXTENDED)
    },
    (_P.MAKING, Event.GOODS_SENT): frozenset({_P.RETURN_SHIPPED}),
    (_P.MAKING, Event.ABANDONED): frozenset({_P.ABANDONED}),
    (_P.RETURN_SHIPPED, Event.GOODS_RECEIVED): frozenset({_P.INSPECTING, *_AFTER_DECISION}),
    (_P.RETURN_SHIPPED, Event.GOODS_LOST): _NEVER_CAME,
    (_P.RETURN_SHIPPED, Event.GOODS_DENIED): frozenset({_P.DECIDED, _P.LOST}),
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
    missing: int = Field(default=0, ge=0)
    """Of the rejected ones: those that were not in the parcel. Not of mended goods."""
    returned: int | None = Field(default=None, ge=0)
    """Units whose materials really came back unused; None: as many as their maker has said."""
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
    absent: int = 0
    """Of the rejected ones: those that were not in the parcel, says the inspector."""
    gone: int = 0
    """Of the rejected ones: those whose parcel never arrived, and that nobody covers."""
    not_returned: int = 0
    """Of the unused ones: those whose materials were not in the parcel, says the inspector, or never arrived."""
    arrived: bool = False
    """Whether any goods of the lot have come back."""
    unreturned: int = 0
    """Sent back to their maker to be mended, and never seen again."""
    lost: int = 0
    """On their way back, paid for by the protection fund."""
    rework_rounds: int = 0
    kits_lost: int = 0
    """Kits that never arrived, or were not as promised."""
    kit_confirmed_at: Instant | None = None
    """When the maker has said that the materials are there; a carrier's word is not theirs."""
    contested_at: Instant | None = None
    """When the maker has contested the present kit, which is possible once."""
    due_at: Instant | None = None
    """When the goods are to be sent; known once the kit is there."""
    deposit_held: int = 0
    """Minor units."""
    sample_paid: bool = False

    @property
    def undecided(self) -> int:
        """Units that were handed in and that nobody has decided about yet."""
        over = self.accepted + self.rejected + self.unreturned + self.lost
        return self.made - self.in_rework - over

    @property
    def missing(self) -> int:
        """Units of which neither goods nor materials were handed in."""
        return self.units - self.made - self.unused - self.spoiled

    @property
    def disputable(self) -> bool:
        """Whether there is something that the maker may appeal against."""
        return bool(self.rejected or self.not_returned)


class Flow(Message):
    """What one transition does with money, in minor units, and with units. The activity posts it."""

    wages: int = 0
    """From the order's escrow to the maker, before the commission."""
    freight: int = 0
    """From the order's escrow to the maker, free of commission; sample fees likewise."""
    certifier: int = 0
    """From the order's escrow to the independent inspector, free of commission."""
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
    """Paid for by the protection fund; or gone for good after they were paid to be sent and inspected once."""

    @property
    def finished(self) -> int:
        """Units that the lot does not have any more."""
        return self.unmade + self.accepted + self.rejected + self.lost


class Moved(Message):
    """What one transition does."""

    course: Course
    phase: Phase
    flow: Flow = Flow()


def deposit_account(lot_id: str, maker_id: str) -> Account:
    """Where a maker's deposit lies."""
    return accounts.deposit(lot_id, maker_id)


def require_claim(terms: ProductionTerms, units: int, left: int) -> None:
    """Raises InvalidInput for a lot of a size the order does not have; `left`: units that can be claimed.

    The last units may be fewer than a lot has otherwise, or they could never be claimed.
    """
    last = units == left < terms.lot_least
    if not last and not terms.lot_least <= units <= terms.lot_most:
        raise InvalidInput(
            "a lot of this order has another size",
            field="units",
            accepted=f"{terms.lot_least} to {terms.lot_most}, or the last ones",
        )


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
    return Moved(course=without_deposit(course), phase=phase, flow=flow)


def abandoned(course: Course) -> Moved:
    """Nothing has ever come: the deposit pays for the materials, and others can claim the units.

    A deposit is never above what the materials cost, so nothing of it is left (paths 2.5).
    """
    flow = Flow(deposit_kept=course.deposit_held, unmade=course.units)
    return Moved(course=without_deposit(course), phase=Phase.ABANDONED, flow=flow)


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


def require_decision(course: Course, decision: Decision) -> None:
    """Raises InvalidInput unless it is about just the units that were handed in, or for a rework too many."""
    first = course.rework_rounds == 0
    most_missing = decision.rejected if first else 0
    if decision.missing > most_missing:
        raise InvalidInput(
            "units that were not in the parcel are part of the rejected ones"
            if first
            else "of mended goods what is not there is rejected",
            field="missing",
            accepted=f"0 to {most_missing}",
        )
    if decision.returned is not None and not (first and decision.returned <= course.unused):
        raise InvalidInput(
            f"materials of {course.unused} units were said to come back",
            field="returned",
            accepted=f"0 to {course.unused}, with the first decision" if first else "none",
        )
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


def plus(first: Flow, second: Flow) -> Flow:
    """Both together."""
    sums = {
        name: getattr(first, name) + getattr(second, name)
        for name in Flow.model_fields
        if name != "deposit_refunded"
    }
    return Flow(**sums, deposit_refunded=first.deposit_refunded or second.deposit_refunded)


def without_deposit(course: Course) -> Course:
    """The same once nothing of the deposit is held any more."""
    return course.model_copy(update={"deposit_held": 0})
