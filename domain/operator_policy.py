"""The limits and waiting times of operators' commands, and the rules of tax records."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from domain.model import Message
from domain.money import Currency

_MINUTE = 60
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR

Wait = Annotated[int, Field(ge=1, le=365 * _DAY)]
"""Seconds that somebody has for an answer."""


class OperatorPolicy(Message):
    """Rules of operators' cases and commands. Times in seconds, amounts in minor units."""

    sla_seconds: Wait = 2 * _DAY
    """Within so long somebody decides about a case."""
    alone_amounts: dict[Currency, Annotated[int, Field(ge=0)]] = Field(default_factory=dict)
    """By currency, how much one operator may move alone; above it a second one approves."""
    alone_amount: Annotated[int, Field(ge=0)] = 100_000
    """The same for a currency that is not named."""
    command_seconds: Wait = 7 * _DAY
    """A command that nobody has approved or executed for so long is void."""
    bulk_most: Annotated[int, Field(ge=1, le=10_000)] = 1_000
    """How many paths one command may concern."""

    def alone(self, currency: Currency) -> int:
        """How much one operator may move alone in this currency, minor units."""
        return self.alone_amounts.get(currency, self.alone_amount)


class HoldPolicy(Message):
    """What is done before a payment company lets go of money it holds. Times in seconds."""

    before_seconds: Wait = 7 * _DAY
    """So long before, an extension is asked for."""
    last_seconds: Wait = _DAY
    """So long before, money that could not be kept goes back to who paid it."""


class TaxPolicy(Message):
    """What the platform tells tax authorities about payees."""

    time_zone: str = "Asia/Shanghai"
    """In which quarters begin and end."""
    freeze_days: Annotated[int, Field(ge=0, le=180)] = 30
    """So many days after its end a quarter's figures are written down for good."""
