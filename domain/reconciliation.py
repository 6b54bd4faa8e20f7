"""Reconciliation 对账: what a payment company says it has moved, against what our books say, object by object."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from domain.model import Instant, Message
from domain.money import format_money


class ReconcilePolicy(Message):
    """How patient the comparison is. Days are UTC days of the statement."""

    grace_days: Annotated[int, Field(ge=0, le=30)] = 3
    """So long after the last movement of an object the other side may still be missing."""
    window_days: Annotated[int, Field(ge=1, le=400)] = 60
    """Objects that neither side has moved for so long are not compared again."""


class ReconcileRun(Message):
    """Input of a comparison: up to which day; none means yesterday, the last day that is over."""

    upto: date | None = None

    def until(self, now: datetime) -> date:
        """The last day of the comparison (UTC)."""
        return self.upto or now.date() - timedelta(days=1)


class Companies(Message):
    """Payment companies, by their codes."""

    codes: tuple[str, ...]


class ReadStatements(Message):
    """Ask to read the days up to this one."""

    provider: str
    upto: date


class StatementsRead(Message):
    """Whether all days are read, or the next ones have to be asked for."""

    complete: bool


class CompareBooks(Message):
    """Ask to compare one page of objects, those after this id."""

    provider: str
    upto: date
    after: str = ""


class Compared(Message):
    """What a comparison has found; `next`: where the next page begins."""

    found: int = 0
    matched: int = 0
    next: str | None = None


class Part(StrEnum):
    """One kind of movement of one object. What returns is counted together with what left."""

    PAYMENT = "payment"
    FEE = "fee"
    REFUND = "refund"
    PAYOUT = "payout"
    PAYOUT_FEE = "payout_fee"
    DISPUTE = "dispute"
    DISPUTE_FEE = "dispute_fee"
    OTHER = "other"
    """Nothing that we know."""
    BALANCE = "balance"
    """A whole day."""


_PARTS = {
    "payment": Part.PAYMENT,
    "fee": Part.FEE,
    "refund": Part.REFUND,
    "payout": Part.PAYOUT,
    "payout_return": Part.PAYOUT,
    "payout_fee": Part.PAYOUT_FEE,
    "payout_fee_return": Part.PAYOUT_FEE,
    "dispute": Part.DISPUTE,
    "dispute_return": Part.DISPUTE,
    "dispute_fee": Part.DISPUTE_FEE,
}
_FEES = frozenset({Part.FEE, Part.PAYOUT_FEE, Part.DISPUTE_FEE})
OURS: Mapping[str, tuple[Part, Part]] = {
    "settle": (Part.PAYMENT, Part.FEE),
    "refund_paid": (Part.REFUND, Part.OTHER),
    "payout_paid": (Part.PAYOUT, Part.PAYOUT_FEE),
    "payout_returned": (Part.PAYOUT, Part.PAYOUT_FEE),
}
"""By kind of journal entry: what it says about its object, and about the provider's fee. All chargebacks say the same."""
CHARGEBACKS = (Part.DISPUTE, Part.DISPUTE_FEE)


class DifferenceKind(StrEnum):
    """How the two sides differ."""

    MISSING_THERE = "missing_there"
    """We say it has moved, the provider does not."""
    MISSING_HERE = "missing_here"
    """The provider has moved it, we have not written it down."""
    UNKNOWN_SUBJECT = "unknown_subject"
    """The provider has moved something that we never asked for."""
    WRONG_SUBJECT = "wrong_subject"
    """It is ours by the provider's own reference, but under another name."""
    WRONG_KIND = "wrong_kind"
    """The provider calls it something that we do not know."""
    AMOUNT = "amount"
    FEE = "fee"
    CURRENCY = "currency"
    SIGN = "sign"
    """The money went the other way."""
    DOUBLED_THERE = "doubled_there"
    DOUBLED_HERE = "doubled_here"
    BALANCE = "balance"
    """A day's lines do not lead from its opening to its closing balance."""


class Moved(Message):
    """One movement, of either side. Signed minor units: positive came in at the provider."""

    subject: str
    part: Part
    amount: int
    currency: str
    at: Instant
    reference: str = ""


class Difference(Message):
    """One object, or day, about which the two sides do not agree. Sums in minor units by currency."""

    subject: str
    part: Part
    kind: DifferenceKind
    ours: dict[str, int]
    theirs: dict[str, int]

    @property
    def words(self) -> str:
        """The difference in words."""
        return f"{self.kind} ({self.part} of {self.subject}): here {_said(self.ours)}, there {_said(self.theirs)}"


def part_of(kind: str) -> Part:
    """What kind of movement a line of a statement tells of."""
    return _PARTS.get(kind, Part.OTHER)


def compare(
    ours: Iterable[Moved],
    theirs: Iterable[Moved],
    *,
    known: Collection[str],
    by_reference: Mapping[str, str],
    unfinished: Collection[str],
    ripe_before: datetime,
) -> list[Difference]:
    """Where the two sides differ, of objects whose last movement was before `ripe_before`.

    `known`: ids of ours; `by_reference`: our ids by the provider's references; `unfinished`: ids of what is still on its
    way, of which our side is written down when it arrives.
    """
    here, there = _Side(), _Side()
    for moved in ours:
        here.add(moved, moved.subject)
    strangers: dict[str, Moved] = {}
    for moved in theirs:
        subject = moved.subject
        if subject not in known and moved.reference in by_reference:
            subject = by_reference[moved.reference]
            strangers[subject] = moved
        there.add(moved, subject)
    found = []
    for subject in sorted(here.subjects | there.subjects):
        if max(here.latest[subject], there.latest[subject]) >= ripe_before:
            continue
        found += _of_object(
            subject, here, there, is_known=subject in known, unfinished=subject in unfinished
        )
        if subject in strangers:
            line = strangers[subject]
            found.append(
                Difference(
                    subject=subject,
                    part=Part.OTHER,
                    kind=DifferenceKind.WRONG_SUBJECT,
                    ours=_clean(here.sums[subject][line.part]),
                    theirs={line.currency: line.amount},
                )
            )
    return found


def day_adds_up(
    day: date, opening: Mapping[str, int], closing: Mapping[str, int], lines: Iterable[Moved]
) -> Difference | None:
    """The difference of a day whose lines do not lead from its opening to its closing balance."""
    sums: Counter[str] = Counter(opening)
    for line in lines:
        sums[line.currency] += line.amount
    if _clean(sums) == _clean(Counter(closing)):
        return None
    return Difference(
        subject=day.isoformat(),
        part=Part.BALANCE,
        kind=DifferenceKind.BALANCE,
        ours=_clean(sums),
        theirs=_clean(Counter(closing)),
    )


class _Side:
    def __init__(self) -> None:
        self.sums: dict[str, dict[Part, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
        self.lines: dict[tuple[str, Part], list[int]] = defaultdict(list)
        self.latest: dict[str, datetime] = defaultdict(lambda: datetime.min.replace(tzinfo=UTC))

    def add(self, moved: Moved, subject: str) -> None:
        self.sums[subject][moved.part][moved.currency] += moved.amount
        self.lines[subject, moved.part].append(moved.amount)
        self.latest[subject] = max(self.latest[subject], moved.at)

    @property
    def subjects(self) -> set[str]:
        return set(self.sums)


def _of_object(
    subject: str, here: _Side, there: _Side, *, is_known: bool, unfinished: bool
) -> list[Difference]:
    """The differences of one object; a line of a kind that we do not know stands for the one that is missing."""
    found = []
    for part in sorted({*here.sums[subject], *there.sums[subject]}):
        ours, theirs = (_clean(side.sums[subject][part]) for side in (here, there))
        if ours == theirs:
            continue
        kind = _kind(part, ours, theirs, there.lines[subject, part], is_known=is_known)
        if kind is DifferenceKind.MISSING_HERE and unfinished:
            continue
        found.append(Difference(subject=subject, part=part, kind=kind, ours=ours, theirs=theirs))
    other = next((each for each in found if each.part is Part.OTHER), None)
    lacking = [each for each in found if each.kind is DifferenceKind.MISSING_THERE]
    if other is not None and is_known:
        same = next((each for each in lacking if each.ours == other.theirs), None)
        if same is not None:
            found.remove(same)
            found.remove(other)
            merged = {"kind": DifferenceKind.WRONG_KIND, "theirs": other.theirs}
            found.append(same.model_copy(update=merged))
    return found


def _kind(
    part: Part,
    ours: Mapping[str, int],
    theirs: Mapping[str, int],
    lines: list[int],
    *,
    is_known: bool,
) -> DifferenceKind:
    if not theirs:
        return DifferenceKind.MISSING_THERE
    if not is_known:
        return DifferenceKind.UNKNOWN_SUBJECT
    if part is Part.OTHER:
        return DifferenceKind.WRONG_KIND
    if not ours:
        return DifferenceKind.MISSING_HERE
    if set(ours) != set(theirs):
        return DifferenceKind.CURRENCY
    [currency, *_] = [each for each in ours if ours[each] != theirs[each]]
    mine, yours = ours[currency], theirs[currency]
    if mine == -yours:
        return DifferenceKind.SIGN
    if yours % mine == 0 and yours // mine >= 2 and len(lines) >= 2:
        return DifferenceKind.DOUBLED_THERE
    if mine % yours == 0 and mine // yours >= 2:
        return DifferenceKind.DOUBLED_HERE
    return DifferenceKind.FEE if part in _FEES else DifferenceKind.AMOUNT


def _clean(sums: Mapping[str, int]) -> dict[str, int]:
    return {currency: amount for currency, amount in sorted(sums.items()) if amount}


def _said(sums: Mapping[str, int]) -> str:
    return ", ".join(format_money(n, currency) for currency, n in sums.items()) or "nothing"
