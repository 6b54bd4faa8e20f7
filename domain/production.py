"""The production order 生产众包 (paths 2.5): phases, legal transitions, frozen terms and what has to be paid in first.

The requester pays all wages in before any maker can be asked for a deposit. Makers claim units of it as lots, and each
lot is a path of its own: domain.lot.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from domain.errors import AmountOutOfRange, HoldTooLong, InvalidInput, WrongPhase
from domain.model import Message
from domain.money import MAX_AMOUNT, Currency, MinorUnits
from domain.policy import RefundPolicy
from domain.production_policy import ProductionPolicy

MOST_UNITS = 1_000_000
"""Of one order."""
Count = Annotated[int, Field(ge=1, le=MOST_UNITS)]


class Phase(StrEnum):
    """Where a production order stands."""

    DRAFT = "draft"
    FUNDING = "funding"
    """The requester is paying the wages in."""
    PUBLISHED = "published"
    """Makers claim lots."""
    CLOSING = "closing"
    """Nothing more can be claimed; the lots that run are finished."""
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    """Given up before it was paid."""


FINAL = frozenset({Phase.COMPLETED, Phase.CANCELLED})
HAS_LOTS = frozenset({Phase.PUBLISHED, Phase.CLOSING})
PRIVATE = frozenset({Phase.DRAFT, Phase.FUNDING, Phase.CANCELLED})
"""Until it is published an order is nobody's business but its requester's."""


class Event(StrEnum):
    """What moves a production order."""

    FUNDING_ASKED = "funding_asked"
    FUNDED = "funded"
    UNPAID = "unpaid"
    CANCELLED = "cancelled"
    """By the requester before it is paid, or by operators: what runs is finished, the rest goes back."""
    CLAIMS_STOPPED = "claims_stopped"
    """By the requester."""
    CLAIMS_OVER = "claims_over"
    """The time for claims is up."""
    LOOKED = "looked"
    """Time to show how far it is; ends the order if the news that all lots are over was never heard."""
    LOTS_OVER = "lots_over"
    """No lot runs and none can be claimed: what is left of the wages goes back."""
    CHARGED_BACK = "charged_back"
    """The requester's bank keeps what it has taken back."""


_P = Phase
_ENDS = frozenset({_P.CLOSING, _P.COMPLETED})

TRANSITIONS: dict[tuple[Phase, Event], frozenset[Phase]] = {
    (_P.DRAFT, Event.FUNDING_ASKED): frozenset({_P.FUNDING}),
    (_P.DRAFT, Event.CANCELLED): frozenset({_P.CANCELLED}),
    (_P.FUNDING, Event.FUNDED): frozenset({_P.PUBLISHED}),
    (_P.FUNDING, Event.UNPAID): frozenset({_P.CANCELLED}),
    (_P.FUNDING, Event.CANCELLED): frozenset({_P.CANCELLED}),
    **{
        (_P.PUBLISHED, event): _ENDS
        for event in (
            Event.CANCELLED,
            Event.CLAIMS_STOPPED,
            Event.CLAIMS_OVER,
            Event.CHARGED_BACK,
        )
    },
    (_P.CLOSING, Event.CHARGED_BACK): _ENDS,
    **{
        (phase, event): frozenset({phase, _P.COMPLETED})
        for phase in (_P.PUBLISHED, _P.CLOSING)
        for event in (Event.LOOKED, Event.LOTS_OVER)
    },
}
"""The whole state machine of the order; that of a lot is domain.lot.TRANSITIONS."""


def require_event(phase: str, event: str) -> frozenset[Phase]:
    """Where the event can lead from this phase. Raises WrongPhase when it cannot happen in it."""
    found = TRANSITIONS.get((Phase(phase), Event(event)))
    if found is None:
        possible = sorted({str(each) for origin, each in TRANSITIONS if origin == phase})
        raise WrongPhase(
            f"a production order that is {phase} cannot become {event}",
            field="phase",
            accepted=", ".join(possible) or "nothing: the order has ended",
        )
    return found


class DefectClass(StrEnum):
    """How bad a defect is (ISO 2859-1, 3.1.5 and 3.1.6)."""

    CRITICAL = "critical"
    """Somebody could be hurt: not one is taken."""
    MAJOR = "major"
    """The piece cannot be used or sold as it is."""
    MINOR = "minor"
    """It can, but it is not as agreed."""


class Defect(Message):
    """A kind of defect that counts, as the contract names it."""

    code: str
    text: str
    severity: DefectClass
    file_ids: tuple[str, ...] = ()
    """Pictures of it."""


class Tolerance(Message):
    """A measure that each piece has to keep."""

    name: str
    value: str
    """As people write it, such as `120 mm ± 2 mm`."""


class Sampling(Message):
    """How goods are inspected; drawn up per lot by domain.sampling."""

    level: str = "II"
    critical_aql: str | None = None
    """Acceptable quality limit as the standard writes it; None: not one is taken."""
    major_aql: str = "2.5"
    minor_aql: str = "4.0"
    limiting_quality: str | None = None
    """Of ISO 2859-2, for a requester who sees each maker's lots as isolated ones; None: by acceptable quality limits."""
    reduced: bool = False
    """Whether makers whose lots were good for long may have smaller samples: for steady production (ISO 2859-1, 9.3.3)."""


class Standard(Message):
    """What counts as good: part of the contract, shown to makers before they claim."""

    text: str
    good_file_ids: tuple[str, ...] = ()
    bad_file_ids: tuple[str, ...] = ()
    tolerances: tuple[Tolerance, ...] = ()
    defects: tuple[Defect, ...]
    sampling: Sampling = Sampling()


class Material(Message):
    """One line of the bill of materials of one piece."""

    number: int = Field(ge=1)
    title: str
    pieces: int = Field(ge=1, le=10_000)
    """How many of it make one piece."""
    cost: MinorUnits
    """What one of it costs, minor units."""


class Label(StrEnum):
    """Whose label the finished goods travel under; decides who bears their loss."""

    PLATFORM = "platform"
    """The protection fund pays the wages."""
    MAKER = "maker"
    """The maker does."""


class Rules(Message):
    """The platform's rules as they stood when the requester began to pay."""

    policy: ProductionPolicy
    refund_policy: RefundPolicy
    provider: str
    return_url: str
    max_hold_seconds: int = 180 * 86_400
    """How long the provider holds the wages."""


class ProductionTerms(Message):
    """What the requester wants made. A draft's may change; once it is being funded nothing is ever recomputed."""

    order_id: str
    requester_id: str
    title: str
    process: str
    """How a piece is made, step by step."""
    file_ids: tuple[str, ...] = ()
    """Pictures and video of it."""
    standard: Standard
    materials: tuple[Material, ...] = ()
    currency: Currency
    units: Count
    lot_least: Count = 1
    lot_most: Count
    """How many units one lot may have."""
    lots_at_once: int = Field(default=3, ge=1, le=1_000)
    """How many lots one maker may have running."""
    rate: MinorUnits
    """Wages of one accepted unit, before the platform's commission, minor units."""
    deposit: int = Field(default=0, ge=0)
    """What a maker leaves for the materials of one unit, minor units; at most what they cost."""
    sample_fee: int | None = Field(default=None, ge=0)
    """Minor units for the sample each maker makes first; None: nobody has to make one."""
    samples: int = Field(default=0, ge=0, le=10_000)
    """For how many samples the fee is paid in."""
    freight: int = Field(default=0, ge=0)
    """What the maker gets for sending one unit back, minor units; nothing under a label that the platform pays for."""
    label: Label = Label.PLATFORM
    certifier_id: str | None = None
    """An independent inspector; None: the requester inspects."""
    certifier_fee: int = Field(default=0, ge=0)
    """Theirs for each unit that is handed in, once, minor units."""
    make_seconds: int
    """How long a maker has from the kit's arrival to sending the goods."""
    claims_seconds: int
    """How long lots can be claimed."""
    rules: Rules

    @property
    def policy(self) -> ProductionPolicy:
        """The windows and fees."""
        return self.rules.policy

    @property
    def kit_cost(self) -> int:
        """What the materials of one unit cost, minor units: no deposit can be above it."""
        return sum(each.pieces * each.cost for each in self.materials)

    @property
    def shown_files(self) -> tuple[str, ...]:
        """All files that the contract is made of, each once."""
        standard = self.standard
        of_defects = (file_id for defect in standard.defects for file_id in defect.file_ids)
        named = (*self.file_ids, *standard.good_file_ids, *standard.bad_file_ids, *of_defects)
        return tuple(dict.fromkeys(named))

    @property
    def wants_sample(self) -> bool:
        """Whether each maker shows a sample before anything else."""
        return self.sample_fee is not None

    @property
    def per_unit(self) -> int:
        """What is paid in for one unit, minor units.

        Freight for each time that it may have to be sent: goods that are mended for no fault of the maker's are paid
        for again, at most domain.lot.REWORK_MOST times.
        """
        return self.rate + 3 * self.freight + self.certifier_fee

    @property
    def to_fund(self) -> int:
        """What the requester pays in before the first lot can be claimed, minor units."""
        return self.units * self.per_unit + self.samples * (self.sample_fee or 0)


def require_terms(terms: ProductionTerms, shortest_window_seconds: int) -> None:
    """Raises InvalidInput for terms that no production order can have, AmountOutOfRange for sums nobody can pay."""
    policy = terms.policy
    for field, amount in (
        ("rate", terms.to_fund),
        ("materials", terms.lot_most * terms.kit_cost),
    ):
        if amount > MAX_AMOUNT:
            raise AmountOutOfRange(
                "the sum is larger than the platform can hold",
                field=field,
                accepted=f"a sum of at most {MAX_AMOUNT} minor units",
            )
    if terms.deposit > terms.kit_cost:
        raise InvalidInput(
            "a deposit is at most what the materials cost",
            field="deposit",
            accepted=f"at most {terms.kit_cost}",
        )
    if not terms.lot_least <= terms.lot_most <= terms.units:
        raise InvalidInput(
            "a lot has at least lot_least and at most lot_most units, and no more than the order",
            field="lot_most",
            accepted=f"{terms.lot_least} to {terms.units}",
        )
    if terms.wants_sample and not terms.samples:
        raise InvalidInput(
            "somebody has to be paid for a sample", field="samples", accepted="at least 1"
        )
    if not terms.wants_sample and terms.samples:
        raise InvalidInput("no sample is wanted", field="samples", accepted="0, or a sample_fee")
    if terms.certifier_fee and terms.certifier_id is None:
        raise InvalidInput(
            "there is no inspector to be paid", field="certifier_fee", accepted="0, or certifier_id"
        )
    windows = (
        ("make_seconds", terms.make_seconds, policy.make_longest_seconds),
        ("claims_seconds", terms.claims_seconds, policy.claims_longest_seconds),
    )
    for field, seconds, longest in windows:
        if not shortest_window_seconds <= seconds <= longest:
            raise InvalidInput(
                "the time is out of range",
                field=field,
                accepted=f"{shortest_window_seconds} to {longest} seconds",
            )
    _require_each_once([each.number for each in terms.materials], "materials", "number")
    _require_each_once([each.code for each in terms.standard.defects], "standard.defects", "code")
    if not terms.standard.defects:
        raise InvalidInput(
            "say which defects count: what the contract does not name cannot be held against a maker",
            field="standard.defects",
            accepted="at least one",
        )


def require_holdable(terms: ProductionTerms, max_hold_seconds: int) -> None:
    """Raises HoldTooLong when wages could stay longer than the provider holds money."""
    if terms.claims_seconds + terms.policy.lot_seconds(terms.make_seconds) > max_hold_seconds:
        raise HoldTooLong(
            "the payment provider does not hold the wages that long",
            field="claims_seconds",
            accepted=f"at most {max_hold_seconds // 86_400} days from payment to the last lot's end",
        )


def _require_each_once(names: Sequence[object], field: str, what: str) -> None:
    if len(set(names)) != len(names):
        raise InvalidInput(f"a {what} is named twice", field=field, accepted=f"each {what} once")


class Units(Message):
    """Where the units of an order are; together always all of it."""

    open: int = 0
    """To be claimed."""
    running: int = 0
    """In lots that are not over."""
    accepted: int = 0
    rejected: int = 0
    lost: int = 0
    """On the way back, paid for by the protection fund."""

    @property
    def total(self) -> int:
        """All units of the order."""
        return self.open + self.running + self.accepted + self.rejected + self.lost


def after_lots(phase: Phase, units: Units, lots_running: int) -> Phase:
    """Where the order stands when a lot has ended, or claims have: over once nothing runs and nothing can be claimed."""
    if lots_running or (phase is Phase.PUBLISHED and units.open):
        return phase
    return Phase.COMPLETED
