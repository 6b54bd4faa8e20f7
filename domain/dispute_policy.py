"""The timers and fees of a dispute, frozen when it is opened."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from domain.model import BasisPoints, Message

_HOUR = 3_600
_DAY = 24 * _HOUR

Wait = Annotated[int, Field(ge=1, le=365 * _DAY)]
"""Seconds that somebody has for an answer."""


class DisputePolicy(Message):
    """Rules of a dispute. All times in seconds; the defaults are those of paths 2.11."""

    talk_seconds: Annotated[int, Field(ge=0, le=30 * _DAY)] = 48 * _HOUR
    """So long after the first message to the other side a dispute may be opened (Etsy)."""
    answer_seconds: Wait = 5 * _DAY
    """How long the other side may take to answer; then it loses (Freelancer: 4 to 14 days)."""
    reply_seconds: Wait = 5 * _DAY
    """How long an offer stands; silence takes it."""
    mediation_seconds: Wait = 30 * _DAY
    """How long both may talk before operators rule (Upwork)."""
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
    window_seconds: Wait = 100 * _DAY
    """So long after delivery, or after money was released, it may be disputed (Etsy)."""
    arbitration_basis_points: BasisPoints = 500
    """What the side that loses a ruling pays of the disputed amount."""
    arbitration_most: Annotated[int, Field(ge=0)] = 10_000
    """At most so many minor units; never more than its balance holds."""
    offers_each: Annotated[int, Field(ge=1, le=100)] = 10
    """How many offers each side may make."""
