"""The types every request and answer of the API is made of."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Generic, Self, TypeVar

from fastapi import Query
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
)
from pydantic_core import PydanticCustomError

from domain.money import Currency, MinorUnits, Money, format_money

MAX_BIGINT = 2**63 - 1
"""Largest value of a row number."""


class Body(BaseModel):
    """A request body: unknown fields are refused, so that a misspelt one is not silently ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class View(BaseModel):
    """A part of an answer."""

    model_config = ConfigDict(frozen=True)


_BIDI_CONTROLS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Turn the reading direction around; in a title or a name they only serve to deceive."""


def printable(text: str, allowed: str = "") -> bool:
    """Whether the text has no control characters but those `allowed` (PostgreSQL cannot store NUL)."""
    return all(
        ch in allowed
        or (unicodedata.category(ch) not in {"Cc", "Cs", "Zl", "Zp"} and ch not in _BIDI_CONTROLS)
        for ch in text
    )


def _one_line(text: str) -> str:
    if not printable(text):
        raise PydanticCustomError(
            "control_characters",
            "control characters are not allowed",
            {"accepted": "one line of text without control characters"},
        )
    return text


def _lines(text: str) -> str:
    if not printable(text, "\n\r\t"):
        raise PydanticCustomError(
            "control_characters",
            "control characters other than line breaks and tabs are not allowed",
            {"accepted": "text, line breaks and tabs"},
        )
    return text


def _must_be_text(value: object) -> object:
    if not isinstance(value, str):
        raise PydanticCustomError(
            "datetime_text",
            "expected a date and time as text",
            {"accepted": "ISO 8601 with a zone, such as 2027-03-01T09:00:00Z"},
        )
    return value


def _in_range(value: datetime) -> datetime:
    # Years at the ends of the calendar overflow when moved to another zone.
    if not 2000 <= value.year <= 2200:
        raise PydanticCustomError(
            "datetime_range",
            "the date is out of range",
            {"accepted": "a date between the years 2000 and 2200"},
        )
    return value.astimezone(UTC)


def _utc(value: datetime) -> datetime:
    return value.astimezone(UTC)


Line = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=200),
    AfterValidator(_one_line),
]
"""One line of text, 1 to 200 characters."""
Name = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=80),
    AfterValidator(_one_line),
]
"""A person's or holder's name, 1 to 80 characters."""
Prose = Annotated[
    str, StringConstraints(strip_whitespace=True, max_length=10_000), AfterValidator(_lines)
]
"""Several lines of text, up to 10,000 characters."""
Remark = Annotated[
    str, StringConstraints(strip_whitespace=True, max_length=500), AfterValidator(_lines)
]
"""A few lines of text, up to 500 characters."""
Moment = Annotated[AwareDatetime, BeforeValidator(_must_be_text), AfterValidator(_in_range)]
"""A point in time in a request: ISO 8601 with a zone."""
Utc = Annotated[AwareDatetime, AfterValidator(_utc)]
"""A point in time in an answer: ISO 8601 in UTC."""


def distinct(items: tuple[str, ...]) -> tuple[str, ...]:
    """The items as they are. Raises PydanticCustomError when one appears twice."""
    if len(set(items)) != len(items):
        raise PydanticCustomError(
            "repeated", "the same item appears twice", {"accepted": "each item once"}
        )
    return items


class MoneyIn(Body):
    """An amount in a request, in whole minor units (fen, cents, yen)."""

    amount: MinorUnits = Field(examples=[12_000])
    currency: Currency = Field(default="CNY", examples=["CNY"], description="ISO 4217 code.")

    @property
    def money(self) -> Money:
        """The amount as the domain has it."""
        return Money(amount=self.amount, currency=self.currency)


class MoneyView(View):
    """An amount in an answer: whole minor units, and the same as text."""

    amount: int = Field(examples=[12_000])
    currency: str = Field(examples=["CNY"])
    text: str = Field(examples=["CNY 120.00"])

    @classmethod
    def of(cls, amount: int, currency: str) -> Self:
        """The view of `amount` minor units of `currency`."""
        return cls(amount=amount, currency=currency, text=format_money(amount, currency))


Item = TypeVar("Item")
Row = TypeVar("Row")


class Page(View, Generic[Item]):
    """A part of a list. To go on, ask again with `after` set to `next`; null means there is no more."""

    items: list[Item]
    next: str | None = Field(description="Value for `after` of the next page, or null at the end.")


def page_of(
    rows: Sequence[Row], limit: int, view: Callable[[Row], Item], cursor: Callable[[Row], str]
) -> Page[Item]:
    """A page of at most `limit` items, from up to `limit + 1` rows: the extra one tells whether there is more."""
    shown = rows[:limit]
    more = len(rows) > limit
    return Page(items=[view(row) for row in shown], next=cursor(shown[-1]) if more else None)


Limit = Annotated[int, Query(ge=1, le=100, description="Largest number of items on the page.")]
RowCursor = Annotated[
    int | None, Query(ge=0, le=MAX_BIGINT, description="`next` of the page before.")
]
"""Cursor of lists that are numbered by row."""
