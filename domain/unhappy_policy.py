"""The timers, limits and fallback rules of returns, disputes, operators' commands, holds and tax records."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from domain.model import BasisPoints, Message
from domain.money import Currency

_MINUTE = 60
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR

Wait = Annotated[int, Field(ge=1, le=365 * _DAY)]
"""Seconds that somebody has for an answer."""


class ReturnPolicy(Message):
    """Rules of returns, frozen in the terms of each sale. All times in seconds; the defaults are those of paths 2.6."""

    no_reason_seconds: Wait = 7 * _DAY
    """After delivery, goods go back without a reason; not those that were made to order."""
    defect_seconds: Wait = 15 * _DAY
    """After completion, goods that are defective or not as described may still be claimed."""
    answer_seconds: Wait = 5 * _DAY
    """How long the seller may take to answer a claim; then it is accepted."""
    ship_back_seconds: Wait = 10 * _DAY
    """How long the buyer may take to send the goods; then the return is closed."""
    scan_silence_seconds: Wait = 10 * _DAY
    """A parcel without any scan for this long counts as lost."""
    inspect_seconds: Wait = 5 * _DAY
    """How long the seller may look at what came back; then it is accepted (Escrow.com)."""
    part_reply_seconds: Wait = 5 * _DAY
    """How long the buyer may think about a part of the price; then it is taken."""
    refused_dispute_seconds: Wait = 5 * _DAY
    """How long the buyer may dispute a refusal; then the return is closed."""
    exchange_ship_seconds: Wait = 14 * _DAY
    """How long the seller may take to send other goods in exchange; then the price goes back."""
    exchange_confirm_seconds: Wait = 10 * _DAY
    """How long the buyer may look at the other goods once delivered; then the exchange is done."""
    keep_fee_on_refund: bool = False
    """Whether the platform keeps its commission on what goes back; the seller bears it then."""


class DisputePolicy(Message):
    """Rules of a dispute, frozen when it is opened. All times in seconds; the defaults are those of paths 2.11."""

    talk_seconds: Annotated[int, Field(ge=0, le=30 * _DAY)] = 48 * _HOUR
    """So long after the first message about it a dispute may be opened."""
    answer_seconds: Wait = 5 * _DAY
    """How long the other side may take to answer; then it loses."""
    reply_seconds: Wait = 5 * _DAY
    """How long an offer stands; silence takes it."""
    mediation_seconds: Wait = 30 * _DAY
    """How long both may talk before operators rule."""
    escalate_seconds: Annotated[int, Field(ge=0, le=30 * _DAY)] = 3 * _DAY
    """After so much mediation either side may ask for a ruling."""
    evidence_seconds: Wait = 14 * _DAY
    """How long after mediation began evidence is taken."""
    total_seconds: Wait = 60 * _DAY
    """So long after opening, without a ruling, the path's own rule decides (Sharetribe)."""
    appeal_seconds: Wait = 5 * _DAY
    """How long either side may appeal."""
    appeal_ruling_seconds: Wait = 14 * _DAY
    """How long another operator may take over an appeal; then the first ruling stands."""
    sale_window_seconds: Wait = 100 * _DAY
    """So long after the estimated delivery a sale may be disputed (Etsy)."""
    arbitration_basis_points: BasisPoints = 500
    """What the side that loses a ruling pays of the disputed amount."""
    arbitration_most: Annotated[int, Field(ge=0)] = 10_000
    """At most so many minor units; never more than its balance holds."""
    offers_each: Annotated[int, Field(ge=1, le=100)] = 10
    """How many offers each side may make."""


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
