"""The timers and rules of returns, frozen in the terms of each sale."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from domain.model import Message

_DAY = 86_400

Wait = Annotated[int, Field(ge=1, le=365 * _DAY)]
"""Seconds that somebody has for an answer."""


class ReturnPolicy(Message):
    """Rules of returns. All times in seconds; the defaults are those of paths 2.6."""

    no_reason_seconds: Wait = 7 * _DAY
    """After delivery, goods go back without a reason; not those that were made to order (消费者权益保护法 25)."""
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
    refused_seconds: Wait = 5 * _DAY
    """How long the buyer may dispute a refusal; then the return is closed."""
    exchange_ship_seconds: Wait = 14 * _DAY
    """How long the seller may take to send other goods in exchange; then the price goes back."""
    exchange_confirm_seconds: Wait = 20 * _DAY
    """How long the other goods may travel and be looked at; then the exchange is done."""
    keep_fee_on_refund: bool = False
    """Whether the platform keeps its commission on what goes back; the seller bears it then."""
