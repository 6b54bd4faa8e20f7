"""The material ledger of a lot: every piece of material is always somewhere, as every cent is.

Each movement takes pieces from one place to another, so the sum over all places is 0 by construction; what a lot still
holds on the way or with its maker when it has ended is a mistake, as money would be.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum

from domain.errors import UnbalancedEntry
from domain.lot import Course, HandIn
from domain.model import Message
from domain.production import Material


class Place(StrEnum):
    """Where material is."""

    STORE = "store"
    """With the requester; the only place that may owe."""
    ON_THE_WAY = "on_the_way"
    """To the maker."""
    MAKER = "maker"
    GOODS = "goods"
    """In goods that were sent and are not decided about."""
    USED = "used"
    """In accepted goods."""
    REJECTED = "rejected"
    """In goods that were not accepted."""
    RETURNED = "returned"
    """Back with the requester as it was."""
    SCRAPPED = "scrapped"
    """Spoiled in the making."""
    LOST = "lost"
    """By a carrier."""
    MISSING = "missing"
    """Never seen again."""


WITHIN = frozenset({Place.ON_THE_WAY, Place.MAKER, Place.GOODS})
"""Places where nothing may be left when a lot has ended."""


class Movement(Message):
    """So many pieces of one material go from one place to another."""

    material: int
    """Its number in the bill of materials."""
    source: Place
    target: Place
    pieces: int


class Step(Message):
    """The same of the materials of so many units."""

    units: int
    source: Place
    target: Place


def kit_sent(units: int) -> list[Step]:
    """A kit leaves the requester."""
    return [Step(units=units, source=Place.STORE, target=Place.ON_THE_WAY)]


def kit_received(units: int) -> list[Step]:
    """It is with the maker."""
    return [Step(units=units, source=Place.ON_THE_WAY, target=Place.MAKER)]


def kit_lost(units: int) -> list[Step]:
    """It never arrived."""
    return [Step(units=units, source=Place.ON_THE_WAY, target=Place.LOST)]


def handed_in(units: int, sent: HandIn) -> list[Step]:
    """The goods are there, with what was not used; what is not named is missing."""
    missing = units - sent.made - sent.unused - sent.spoiled
    return [
        Step(units=sent.made, source=Place.MAKER, target=Place.GOODS),
        Step(units=sent.unused, source=Place.MAKER, target=Place.RETURNED),
        Step(units=sent.spoiled, source=Place.MAKER, target=Place.SCRAPPED),
        Step(units=missing, source=Place.MAKER, target=Place.MISSING),
    ]


def kit_refused(units: int) -> list[Step]:
    """It was not as promised: nobody knows where the materials are that should have been in it."""
    return [Step(units=units, source=Place.MAKER, target=Place.MISSING)]


def goods_lost(covered: int, unused: int) -> list[Step]:
    """A carrier has lost goods for which the protection fund pays, and materials with them.

    About others the maker can appeal: until then they count as sent.
    """
    return [
        Step(units=covered, source=Place.GOODS, target=Place.LOST),
        Step(units=unused, source=Place.RETURNED, target=Place.LOST),
    ]


def abandoned(units: int) -> list[Step]:
    """Nothing has ever come."""
    return [Step(units=units, source=Place.MAKER, target=Place.MISSING)]


def accepted(units: int) -> list[Step]:
    """Accepted goods are used; rejected ones wait for the end of the appeal; goods to be mended stay goods."""
    return [Step(units=units, source=Place.GOODS, target=Place.USED)]


def ended(course: Course) -> list[Step]:
    """The lot is over: rejected goods stay rejected, and what was said to be sent and never came is missing."""
    never = course.absent + course.gone
    return [
        Step(units=course.rejected - never, source=Place.GOODS, target=Place.REJECTED),
        Step(units=course.unreturned + never, source=Place.GOODS, target=Place.MISSING),
        Step(units=course.not_returned, source=Place.RETURNED, target=Place.MISSING),
    ]


def movements(materials: Sequence[Material], steps: Iterable[Step]) -> list[Movement]:
    """The pieces of each material that steps move; steps of 0 units move nothing."""
    return [
        Movement(
            material=each.number,
            source=step.source,
            target=step.target,
            pieces=step.units * each.pieces,
        )
        for step in steps
        if step.units
        for each in materials
    ]


def balances(made: Iterable[Movement]) -> dict[tuple[int, Place], int]:
    """(material, place) -> pieces, over all movements; they sum to 0 for each material."""
    found: dict[tuple[int, Place], int] = {}
    for each in made:
        for place, sign in ((each.source, -1), (each.target, 1)):
            key = (each.material, place)
            found[key] = found.get(key, 0) + sign * each.pieces
    return found


def require_accounted(held: Mapping[tuple[int, Place], int]) -> None:
    """Raises UnbalancedEntry when a lot that has ended still holds material, or ever gave out what it did not have."""
    for (material, place), pieces in sorted(held.items()):
        if pieces and place in WITHIN:
            raise UnbalancedEntry(f"{pieces} of material {material} are still {place}")
        if pieces < 0 and place is not Place.STORE:
            raise UnbalancedEntry(f"{-pieces} of material {material} too many have left {place}")
