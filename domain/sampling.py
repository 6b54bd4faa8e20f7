"""Acceptance sampling of production lots: which units are looked at, and whether the lot is accepted.

Four steps, all pure: `planned` (or `planned_alone` for a lot that stands alone) makes the plan that goes into the
contract and is never reckoned again; `taken` draws the units from a recorded seed; the inspector looks at every one of
them; `judged` compares what was found with the plan. `domain.sampling_rules` says what the next lot's severity is.

Several classes of defects, one sample. Each class has its own AQL and so its own plan: sample size, Ac and Re. One
sample of the largest size is drawn, and each class is judged on as many of its units as its own plan has, the first
ones in the order of drawing: these are a random sample of the lot as well. That is the standard's rule of one plan per
class, with the samples lying inside each other so that no unit is looked at twice. Two other customs were weighed.
To judge every class on the whole sample with the Ac of its smaller one is simpler to tell, but rejects lots more
often than the AQL in the contract promises the maker. The code letter of the largest sample for all classes
(ISO 2859-1:1999, 10.3, which leaves it to the parties) follows arrows twice and makes small lots dear: of 40 units
it looks at 20 instead of 13, tightened at 32 instead of 20. Defects of a class outside its part of the sample do not
decide about the lot; they are counted apart (`ClassVerdict.beyond`), and the unit itself is never an accepted one.

A class may be "none allowed" instead of having an AQL: judged on the whole sample, one unit with such a defect rejects
the lot. A sample without one does not say that the lot has none.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from math import comb
from typing import Self

from pydantic import model_validator

from domain.errors import InvalidInput, NotFound
from domain.model import Message
from domain.sampling_tables import (
    ISOLATED_LOT,
    LOT_BY_LOT,
    Level,
    Severity,
    SinglePlan,
    code_letter,
    isolated_plan,
    single_plan,
)


class DefectClass(StrEnum):
    """How grave a defect is, from the gravest on."""

    CRITICAL = "critical"
    """Somebody may be hurt, or the law forbids it."""
    MAJOR = "major"
    """The piece will not do what it was bought for."""
    MINOR = "minor"
    """It departs from what was agreed, but does its work."""


class Scheme(StrEnum):
    """Where a plan comes from."""

    LOT_BY_LOT = "lot_by_lot"
    """A lot of a series, by AQL."""
    ISOLATED = "isolated"
    """A lot that stands alone, by limiting quality."""
    EVERY_UNIT = "every_unit"
    """No sample: every unit is looked at and accepted or not for itself."""


class ClassLimit(Message):
    """What is agreed for one class of defects."""

    defect_class: DefectClass
    percent: Decimal | None
    """The AQL, or the limiting quality of a lot that stands alone, in percent; none: no such defect is allowed."""


HOUSE_LIMITS = (
    ClassLimit(defect_class=DefectClass.CRITICAL, percent=None),
    ClassLimit(defect_class=DefectClass.MAJOR, percent=Decimal("2.5")),
    ClassLimit(defect_class=DefectClass.MINOR, percent=Decimal("4.0")),
)
"""What holds where nothing else is agreed, at level II."""


class ClassPlan(Message):
    """The plan of one class of defects. In a unit by unit plan it says that a unit may not have any."""

    defect_class: DefectClass
    percent: Decimal | None
    letter: str | None = None
    """The code letter whose row of the table it is, arrows followed; none where no such table was read."""
    size: int
    """Units on which the class is judged: the first so many of the sample."""
    accept: int
    """Ac: with at most so many nonconforming units among them the lot is accepted."""
    reject: int
    """Re: with so many or more it is not."""


class Plan(Message):
    """Everything that was fixed about the inspection of one lot. Made once and kept."""

    edition: str | None
    """The standard and edition whose tables were read; none for a unit by unit inspection."""
    scheme: Scheme
    lot_size: int
    level: Level | None = None
    severity: Severity = Severity.NORMAL
    letter: str | None = None
    """The code letter of the lot (table 1)."""
    size: int
    """Units to draw: the largest of the classes' sizes."""
    classes: tuple[ClassPlan, ...]

    @property
    def full(self) -> bool:
        """Every unit of the lot is looked at. By AQL or limiting quality Ac holds all the same."""
        return self.size == self.lot_size

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        sizes = [part.size for part in self.classes]
        least = 0 if self.scheme is Scheme.EVERY_UNIT else 1
        if (
            not sizes
            or max(sizes) != self.size
            or not least <= min(sizes) <= self.size <= self.lot_size
        ):
            raise ValueError("the sizes of the plan do not fit together")
        if any(part.reject != part.accept + 1 or part.accept < 0 for part in self.classes):
            raise ValueError("Re is one more than Ac")
        return self


class Sample(Message):
    """The units that were drawn, and from which seed."""

    seed: str
    units: tuple[int, ...]
    """Unit numbers in the order of drawing."""


class Finding(Message):
    """What was seen on one unit: the classes of which it has a defect, none when it is good.

    A unit counts once in each class named here, however many defects of it it has. The standard's own definition counts
    a unit in its gravest class alone: whoever wants that names only this one.
    """

    unit: int
    classes: tuple[DefectClass, ...] = ()


class Decision(StrEnum):
    """What becomes of the lot."""

    ACCEPTED = "accepted"
    NOT_ACCEPTED = "not_accepted"
    UNIT_BY_UNIT = "unit_by_unit"
    """There is no decision about the lot: each unit is accepted or not."""


class ClassVerdict(Message):
    """What was found of one class, beside what the plan allows."""

    defect_class: DefectClass
    found: int
    """Nonconforming units among those the class is judged on."""
    beyond: int
    """Nonconforming units in the rest of the sample; they do not decide."""
    accept: int
    reject: int
    accepted: bool


class Verdict(Message):
    """The outcome of one inspection."""

    decision: Decision
    classes: tuple[ClassVerdict, ...]
    nonconforming: tuple[int, ...]
    """Units with any defect, ascending: not accepted themselves, whatever becomes of the lot."""
    missing: tuple[int, ...] = ()
    """Units that were not there to be looked at, ascending."""


def planned(
    lot_size: int,
    limits: Sequence[ClassLimit] = HOUSE_LIMITS,
    *,
    every_unit_up_to: int,
    level: Level = Level.II,
    severity: Severity = Severity.NORMAL,
) -> Plan:
    """The plan of a lot in a series (ISO 2859-1:1999, single sampling).

    Lots of at most `every_unit_up_to` units are inspected unit by unit, a rule of the house. Where the sample of a class
    would reach the size of the lot, every unit is inspected for it and the lot judged with the Ac of the plan. Raises
    `InvalidInput` for an AQL the tables do not have, a class named twice, no class with an AQL, or an empty lot.
    """
    _checked(limits)
    letter = code_letter(lot_size, level)
    found = [
        None if limit.percent is None else single_plan(severity, letter, limit.percent)
        for limit in limits
    ]
    if lot_size <= every_unit_up_to:
        return unit_by_unit(lot_size, limits)
    parts = _parts(lot_size, limits, found)
    return Plan(
        edition=LOT_BY_LOT,
        scheme=Scheme.LOT_BY_LOT,
        lot_size=lot_size,
        level=level,
        severity=severity,
        letter=letter,
        size=max(part.size for part in parts),
        classes=parts,
    )


def planned_alone(lot_size: int, limits: Sequence[ClassLimit], *, every_unit_up_to: int) -> Plan:
    """The plan of a lot that stands alone, by limiting quality (ISO 2859-2:1985, procedure A).

    Of lots as bad as the limiting quality mostly less than one in ten is accepted, and never one in five. Lots of at
    most `every_unit_up_to` units are inspected unit by unit. Raises `InvalidInput` as `planned` does.
    """
    _checked(limits)
    found = [
        None if limit.percent is None else isolated_plan(lot_size, limit.percent)
        for limit in limits
    ]
    if lot_size <= every_unit_up_to:
        return unit_by_unit(lot_size, limits)
    parts = _parts(lot_size, limits, found)
    return Plan(
        edition=ISOLATED_LOT,
        scheme=Scheme.ISOLATED,
        lot_size=lot_size,
        size=max(part.size for part in parts),
        classes=parts,
    )


def unit_by_unit(lot_size: int, limits: Sequence[ClassLimit]) -> Plan:
    """Every unit is looked at and accepted or not for itself. The lot may be empty: then there is nothing to look at."""
    return Plan(
        edition=None,
        scheme=Scheme.EVERY_UNIT,
        lot_size=lot_size,
        size=lot_size,
        classes=tuple(
            ClassPlan(
                defect_class=limit.defect_class,
                percent=limit.percent,
                size=lot_size,
                accept=0,
                reject=1,
            )
            for limit in limits
        ),
    )


def drawing_order(seed: str, units: Iterable[int]) -> tuple[int, ...]:
    """All units in the order in which they are drawn from this seed.

    A unit's place is its SHA-256: of the text seed, colon, unit number in decimal digits, in UTF-8. Units are sorted by
    it, as bytes, ascending. Anybody can recompute it: `printf '%s:%d' "$SEED" 7 | sha256sum` is the place of unit 7.
    The seed must become known only after the units were numbered, or who numbers them chooses the sample. Raises
    `InvalidInput` for an empty seed or a unit named twice.
    """
    if not seed:
        raise InvalidInput("A drawing needs a seed", field="seed", accepted="any text")
    numbers = list(units)
    if len(set(numbers)) != len(numbers):
        raise InvalidInput(
            "A unit is named twice", field="units", accepted="every unit number once"
        )
    return tuple(
        sorted(numbers, key=lambda unit: hashlib.sha256(f"{seed}:{unit}".encode()).digest())
    )


def draw(seed: str, units: Iterable[int], size: int) -> tuple[int, ...]:
    """Which units are looked at: the first so many in the order of drawing, ascending by number.

    Raises `InvalidInput` when there are fewer units than that, and as `drawing_order` does.
    """
    order = drawing_order(seed, units)
    if not 0 <= size <= len(order):
        raise InvalidInput(
            f"{size} units cannot be drawn from {len(order)}",
            field="size",
            accepted=f"a whole number from 0 to {len(order)}",
        )
    return tuple(sorted(order[:size]))


def taken(plan: Plan, seed: str, units: Iterable[int]) -> Sample:
    """The sample of a plan. Raises `InvalidInput` unless these are as many units as the plan's lot has."""
    order = drawing_order(seed, units)
    if len(order) != plan.lot_size:
        raise InvalidInput(
            f"The plan is for a lot of {plan.lot_size} units, these are {len(order)}",
            field="units",
            accepted=f"{plan.lot_size} unit numbers",
        )
    return Sample(seed=seed, units=order[: plan.size])


def judged(plan: Plan, sample: Sample, findings: Sequence[Finding]) -> Verdict:
    """The verdict once every unit of the sample was looked at.

    Raises `InvalidInput` for a sample of another size than the plan's, a unit that was not drawn or is reported twice,
    units not looked at yet, and a defect of a class the plan does not know.
    """
    _complete(plan, sample, findings)
    seen = {finding.unit: finding.classes for finding in findings}
    classes = tuple(_class_verdict(part, sample, seen) for part in plan.classes)
    if plan.scheme is Scheme.EVERY_UNIT:
        decision = Decision.UNIT_BY_UNIT
    elif all(one.accepted for one in classes):
        decision = Decision.ACCEPTED
    else:
        decision = Decision.NOT_ACCEPTED
    return Verdict(
        decision=decision,
        classes=classes,
        nonconforming=tuple(sorted(unit for unit, found in seen.items() if found)),
    )


def accept_probability(plan: Plan, defect_class: DefectClass, nonconforming: int) -> Fraction:
    """How often this class accepts a lot with so many units nonconforming in it. Exact (hypergeometric).

    "A plan accepts a lot with 5 % defects in 83 of 100 cases" is this at 5 % of the lot's units. Raises `NotFound` for a
    class the plan does not know, `InvalidInput` for more units than the lot has and for a unit by unit plan, which does
    not decide about lots.
    """
    part = next((one for one in plan.classes if one.defect_class is defect_class), None)
    if part is None:
        raise NotFound(f"The plan has no class {defect_class}", field="defect_class")
    if plan.scheme is Scheme.EVERY_UNIT:
        raise InvalidInput(
            "Every unit is inspected for itself: there is no decision about the lot", field="plan"
        )
    if not 0 <= nonconforming <= plan.lot_size:
        raise InvalidInput(
            f"A lot of {plan.lot_size} units cannot have {nonconforming} nonconforming ones",
            field="nonconforming",
            accepted=f"a whole number from 0 to {plan.lot_size}",
        )
    good = plan.lot_size - nonconforming
    ways = sum(
        comb(nonconforming, bad) * comb(good, part.size - bad)
        for bad in range(min(part.accept, part.size) + 1)
    )
    return Fraction(ways, comb(plan.lot_size, part.size))


def accept_probability_of_process(size: int, accept: int, share: Fraction) -> Fraction:
    """How often a plan accepts the lots of a process in which this share of units is nonconforming. Exact (binomial).

    What the operating characteristic curves of ISO 2859-1 show. Raises `InvalidInput` for a share below 0 or above 1.
    """
    if not 0 <= share <= 1:
        raise InvalidInput(
            "A share is between 0 and 1", field="share", accepted="a fraction from 0 to 1"
        )
    bad, whole = share.numerator, share.denominator
    ways = sum(
        comb(size, found) * bad**found * (whole - bad) ** (size - found)
        for found in range(min(accept, size) + 1)
    )
    return Fraction(ways, whole**size)


def _checked(limits: Sequence[ClassLimit]) -> None:
    named = [limit.defect_class for limit in limits]
    if len(set(named)) != len(named):
        raise InvalidInput(
            "A class of defects is named twice", field="limits", accepted="every class once"
        )
    if all(limit.percent is None for limit in limits):
        raise InvalidInput(
            "At least one class needs a limit in percent: it gives the sample its size",
            field="limits",
            accepted="a class with a limit in percent",
        )


def _parts(
    lot_size: int, limits: Sequence[ClassLimit], found: Sequence[SinglePlan | None]
) -> tuple[ClassPlan, ...]:
    """One plan per class, none larger than the lot; a class with none allowed takes the largest sample."""
    largest = min(lot_size, max(one.size for one in found if one is not None))
    parts = []
    for limit, one in zip(limits, found, strict=True):
        accept = 0 if one is None else one.accept
        parts.append(
            ClassPlan(
                defect_class=limit.defect_class,
                percent=limit.percent,
                letter=(one.letter or None) if one else None,
                size=min(one.size, lot_size) if one else largest,
                accept=accept,
                reject=accept + 1,
            )
        )
    return tuple(parts)


def _complete(plan: Plan, sample: Sample, findings: Sequence[Finding]) -> None:
    drawn, reported = set(sample.units), [finding.unit for finding in findings]
    if len(drawn) != plan.size or len(sample.units) != plan.size:
        raise InvalidInput(
            f"The sample has {len(drawn)} units, the plan asks for {plan.size}",
            field="sample",
            accepted=f"{plan.size} different units",
        )
    strangers = sorted(set(reported) - drawn)
    if strangers:
        raise InvalidInput(
            f"Unit {strangers[0]} was not drawn", field="findings", accepted="units of the sample"
        )
    if len(set(reported)) != len(reported):
        raise InvalidInput(
            "A unit is reported twice", field="findings", accepted="every unit of the sample once"
        )
    if missing := sorted(drawn - set(reported)):
        raise InvalidInput(
            f"{len(missing)} units were not looked at yet, the first is unit {missing[0]}",
            field="findings",
            accepted="every unit of the sample once",
        )
    known = {part.defect_class for part in plan.classes}
    if unknown := sorted({one for finding in findings for one in finding.classes} - known):
        raise InvalidInput(
            f"The plan has no class {unknown[0]}",
            field="findings",
            accepted=", ".join(sorted(known)),
        )


def _class_verdict(
    part: ClassPlan, sample: Sample, seen: dict[int, tuple[DefectClass, ...]]
) -> ClassVerdict:
    has_it = [part.defect_class in seen[unit] for unit in sample.units]
    found = sum(has_it[: part.size])
    return ClassVerdict(
        defect_class=part.defect_class,
        found=found,
        beyond=sum(has_it) - found,
        accept=part.accept,
        reject=part.reject,
        accepted=found <= part.accept,
    )
