"""What the platform writes down about its payees for tax offices, per user, quarter and currency.

Fields follow the State Council's rules on tax information of internet platforms (order 810, 2025: each quarter, identity and
income of everyone who earns on the platform) and the Council Directive (EU) 2021/514, "DAC7" (annex V, section III: each year,
consideration, activities, fees and taxes withheld per quarter). Income is gross: what the payee got and the commission on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Self
from zoneinfo import ZoneInfo

from pydantic import Field

from domain.model import Instant, Message
from domain.money import Currency, split
from domain.postings import EntryKind

INCOME = frozenset({EntryKind.RELEASE, EntryKind.COMPENSATE})
"""Entries that let somebody earn; money that only comes back to a payer is none."""
TAKEN_BACK = frozenset(
    {
        EntryKind.RETURN,
        EntryKind.CLAWBACK,
        EntryKind.CLAIM,
        EntryKind.GOODWILL,
        EntryKind.CHARGEBACK_LOST,
    }
)
"""Entries that take from a payee what they had earned on the same path."""
EITHER = frozenset({EntryKind.CORRECTION, EntryKind.REVERSAL})
"""Income or taken back by what they do; they count in the quarter in which they are made."""
OUTGOING = frozenset({EntryKind.PAYOUT, EntryKind.PAYOUT_FAILED, EntryKind.PAYOUT_RETURNED})
COUNTED = INCOME | TAKEN_BACK | EITHER | OUTGOING | {EntryKind.ARBITRATION}


class Activity(StrEnum):
    """What the money was for, as both reports divide it."""

    GOODS = "goods"
    SERVICES = "services"
    OTHER = "other"


_ACTIVITIES = {
    "sal": Activity.GOODS,
    "cmp": Activity.GOODS,
    "con": Activity.SERVICES,
    "ten": Activity.SERVICES,
    "prd": Activity.SERVICES,
    "lot": Activity.SERVICES,
}


def activity_of(path_id: str | None) -> Activity:
    """By the kind of path: goods sold or promised, work done, or anything else."""
    return _ACTIVITIES.get((path_id or "").partition("_")[0], Activity.OTHER)


class Quarter(Message):
    """A quarter of a calendar year, in the time zone of the tax rules."""

    year: Annotated[int, Field(ge=2000, le=2199)]
    number: Annotated[int, Field(ge=1, le=4)]

    @classmethod
    def of(cls, at: datetime, zone: ZoneInfo) -> Self:
        """The one in which a moment lies."""
        local = at.astimezone(zone)
        return cls(year=local.year, number=(local.month - 1) // 3 + 1)

    def begins(self, zone: ZoneInfo) -> datetime:
        """Its first moment."""
        return datetime(self.year, 3 * self.number - 2, 1, tzinfo=zone)

    def ends(self, zone: ZoneInfo) -> datetime:
        """The first moment after it."""
        return self.next.begins(zone)

    @property
    def next(self) -> Quarter:
        """The one after it."""
        if self.number < 4:
            return Quarter(year=self.year, number=self.number + 1)
        return Quarter(year=self.year + 1, number=1)

    @property
    def previous(self) -> Quarter:
        """The one before it."""
        if self.number > 1:
            return Quarter(year=self.year, number=self.number - 1)
        return Quarter(year=self.year - 1, number=4)


class EntryFacts(Message):
    """What one journal entry did to a payee, minor units."""

    kind: EntryKind
    path_id: str | None
    currency: Currency
    own: int
    """Credits less debits on what the platform owes the payee and the payee owes it."""
    fee: int
    """Credits less debits on the commission, of the whole entry."""
    owners: tuple[str, ...]
    """Everybody to whom the entry gave, or from whom it took, sorted."""
    nets: tuple[int, ...]
    """The same as `own`, of each."""
    earned_before: bool
    """Whether the payee had earned on this path before."""


class Figures(Message):
    """A payee's quarter in one currency, minor units."""

    currency: Currency
    goods: int = 0
    services: int = 0
    other: int = 0
    refunds: int = 0
    """Income of this or an earlier quarter that was taken back, gross as the income was."""
    fees: int = 0
    """Commission and arbitration fees, less what was given back; below 0 when more was given back."""
    withheld: int = 0
    """Taxes withheld: the platform withholds none."""
    paid_out: int = 0
    transactions: int = 0
    """How many entries let the payee earn."""
    refund_count: int = 0

    @property
    def income(self) -> int:
        """All income, gross."""
        return self.goods + self.services + self.other

    @property
    def net(self) -> int:
        """Income less refunds and fees."""
        return self.income - self.refunds - self.fees


def figures(user_id: str, entries: Iterable[EntryFacts]) -> tuple[Figures, ...]:
    """One for each currency in which anything counts, by code."""
    made: dict[str, Figures] = {}
    for each in entries:
        before = made.get(each.currency, Figures(currency=each.currency))
        made[each.currency] = _with(before, user_id, each)
    return tuple(made[code] for code in sorted(made))


def _with(before: Figures, user_id: str, entry: EntryFacts) -> Figures:
    if entry.kind in OUTGOING:
        return before.model_copy(update={"paid_out": before.paid_out - entry.own})
    if entry.kind is EntryKind.ARBITRATION:
        return before.model_copy(update={"fees": before.fees - entry.own})
    if entry.own > 0 and entry.kind in INCOME | EITHER:
        fee = fee_share(user_id, entry)
        activity = activity_of(entry.path_id)
        return before.model_copy(
            update={
                activity: getattr(before, activity) + entry.own + fee,
                "fees": before.fees + fee,
                "transactions": before.transactions + 1,
            }
        )
    if entry.own < 0 and entry.kind in TAKEN_BACK | EITHER and entry.earned_before:
        fee = fee_share(user_id, entry)
        return before.model_copy(
            update={
                "refunds": before.refunds - entry.own - fee,
                "fees": before.fees + fee,
                "refund_count": before.refund_count + 1,
            }
        )
    return before


def fee_share(user_id: str, entry: EntryFacts) -> int:
    """The payee's part of the entry's commission, by what each got (largest remainder); below 0 when it was given back."""
    same_way = [max(net, 0) if entry.own > 0 else max(-net, 0) for net in entry.nets]
    of_payee = entry.owners.index(user_id)
    if entry.own > 0:
        return split(max(entry.fee, 0), same_way)[of_payee]
    return -split(max(-entry.fee, 0), same_way)[of_payee]


class PersonKind(StrEnum):
    """Whom the tax office sees."""

    PERSON = "person"
    BUSINESS = "business"


class PostalAddress(Message):
    """Where somebody lives or is registered."""

    lines: Annotated[tuple[str, ...], Field(min_length=1, max_length=4)]
    city: str
    postal_code: str = ""
    country: str


class TaxProfile(Message):
    """What a payee states about themselves; numbers are kept sealed, and shown by their last four characters."""

    kind: PersonKind
    legal_name: str
    country: str
    """Tax residence, ISO 3166 alpha-2."""
    tax_number_last4: str
    """China: of the unified social credit code, or of the identity document."""
    vat_number_last4: str | None
    birth_date: date | None
    """Of persons only."""
    address: PostalAddress
    contact: str
    shop_urls: tuple[str, ...]
    updated_at: Instant


class FrozenQuarters(Message):
    """What one run of the schedule wrote down."""

    written: int


def due_quarters(now: datetime, zone: ZoneInfo, freeze_days: int) -> Sequence[Quarter]:
    """The last four quarters whose figures are to be written down by now, oldest first."""
    found: list[Quarter] = []
    current = Quarter.of(now, zone)
    for _ in range(4):
        current = current.previous
        if (now - current.ends(zone)).days >= freeze_days:
            found.insert(0, current)
    return found
