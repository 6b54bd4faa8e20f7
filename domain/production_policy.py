"""The timers, fees and fallback rules of a production order and its lots."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from domain.model import BasisPoints, Message
from domain.policy import Backoff

_MINUTE = 60
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR


class ProductionPolicy(Message):
    """Rules of one production order and its lots. All times in seconds; the defaults are those of paths 2.5."""

    payment_seconds: Annotated[int, Field(ge=1, le=3 * _DAY)] = 15 * _MINUTE
    """How long the requester may take to pay the wages in at once."""
    transfer_seconds: Annotated[int, Field(ge=1, le=14 * _DAY)] = 3 * _DAY
    """The same by bank transfer, which takes days."""
    claims_longest_seconds: Annotated[int, Field(ge=1, le=180 * _DAY)] = 60 * _DAY
    """The longest time for claims that a requester may choose."""
    make_longest_seconds: Annotated[int, Field(ge=1, le=180 * _DAY)] = 60 * _DAY
    """The longest time for making one lot."""
    look_seconds: Annotated[int, Field(ge=1, le=30 * _DAY)] = _DAY
    """How often operators see anew where the units of an order are."""
    sample_seconds: Annotated[int, Field(ge=1, le=60 * _DAY)] = 7 * _DAY
    """How long a maker may take over the sample."""
    sample_review_seconds: Annotated[int, Field(ge=1, le=30 * _DAY)] = 3 * _DAY
    """How long the requester may look at it; then it counts as approved."""
    deposit_seconds: Annotated[int, Field(ge=1, le=14 * _DAY)] = _DAY
    """How long a kit stays reserved while its deposit is paid."""
    kit_ship_seconds: Annotated[int, Field(ge=1, le=30 * _DAY)] = 72 * _HOUR
    """How long the requester may take to send the kit; then the lot is off (Mercado Libre)."""
    scan_silence_seconds: Annotated[int, Field(ge=1, le=60 * _DAY)] = 10 * _DAY
    """A parcel without any scan for this long counts as lost; goods without a number count as arrived."""
    parcel_longest_seconds: Annotated[int, Field(ge=1, le=120 * _DAY)] = 30 * _DAY
    """A parcel that was not delivered for this long counts as lost, however often it is scanned."""
    kits_most: Annotated[int, Field(ge=1, le=5)] = 2
    """With so many kits lost, or not as promised, a lot is cancelled."""
    kit_contest_seconds: Annotated[int, Field(ge=1, le=30 * _DAY)] = 3 * _DAY
    """How long after saying that the materials are there a maker may say that they are not as promised."""
    cover_most: Annotated[int, Field(ge=0)] = 5_000_000
    """The most that the protection fund pays for the lost goods of one lot, minor units."""
    heartbeat_seconds: Annotated[int, Field(ge=1, le=30 * _DAY)] = 7 * _DAY
    """After so long without a word the maker is asked how the work goes."""
    overdue_seconds: Annotated[int, Field(ge=1, le=30 * _DAY)] = 3 * _DAY
    """How long after the due date the maker is reminded."""
    abandon_seconds: Annotated[int, Field(ge=2, le=90 * _DAY)] = 10 * _DAY
    """How long after the due date a lot of which nothing has come counts as abandoned."""
    inspect_seconds: Annotated[int, Field(ge=1, le=30 * _DAY)] = 5 * _DAY
    """How long an inspection may take; then everything is accepted (Escrow.com 1 to 30 days, MTurk 7)."""
    rework_seconds: Annotated[int, Field(ge=1, le=60 * _DAY)] = 7 * _DAY
    """How long a maker may take to mend units."""
    appeal_seconds: Annotated[int, Field(ge=1, le=30 * _DAY)] = 3 * _DAY
    """How long a maker may take to appeal against rejected units."""
    ruling_seconds: Annotated[int, Field(ge=1, le=60 * _DAY)] = 5 * _DAY
    """How long a second inspector or a jury may take; then the appeal counts as granted."""
    jury_age_seconds: Annotated[int, Field(ge=0, le=3650 * _DAY)] = 30 * _DAY
    """How old a juror's account is at least, where the platform has verified nobody."""
    inspect_all_up_to: Annotated[int, Field(ge=0, le=1_000)] = 15
    """Lots of up to so many units are inspected unit by unit instead of by a sample."""
    flag_basis_points: BasisPoints = 3_000
    """A requester who rejects more than this share of units is flagged."""
    flag_from_units: Annotated[int, Field(ge=1)] = 20
    """But not before so many units were decided."""
    fee_basis_points: BasisPoints = 500
    """The platform's commission, taken out of the wages."""
    protection_basis_points: BasisPoints = 2_000
    """Share of the commission that feeds the protection fund."""
    tap_seconds: Annotated[int, Field(ge=1, le=90 * _DAY)] = 30 * _DAY
    """How long a link works at most with which a maker confirms a step by one tap; it ends with its step."""
    grace_seconds: Annotated[int, Field(ge=0, le=300)] = 10
    """How long after the end of the claims those that had arrived in time are still being written down."""
    poll_first_seconds: Annotated[int, Field(ge=1, le=_DAY)] = 30
    provider_silence_seconds: Annotated[int, Field(ge=1, le=30 * _DAY)] = _HOUR

    def poll(self, window_seconds: int) -> Backoff:
        """When to look at the provider while somebody may take so long to pay."""
        return Backoff(first=self.poll_first_seconds, longest=window_seconds)

    def lot_seconds(self, make_seconds: int) -> int:
        """Longest time from a claim to the last payment of a lot, as long as nobody gives more time."""
        before = (
            self.sample_seconds
            + self.sample_review_seconds
            + self.deposit_seconds
            + self.kits_most * (self.kit_ship_seconds + self.scan_silence_seconds)
            + self.ruling_seconds
        )
        return before + make_seconds + self.after_making_seconds

    @property
    def after_making_seconds(self) -> int:
        """Longest time from the due date of a lot to its last payment."""
        one_round = self.scan_silence_seconds + self.inspect_seconds
        return (
            self.abandon_seconds
            + one_round
            + 2 * (self.rework_seconds + one_round)
            + self.appeal_seconds
            + self.ruling_seconds
        )
