"""The timers, fees and fallback rules of a path. Settings with bounds; fixed in the path's input when it starts."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import Field

from domain.model import BasisPoints, Message

_MINUTE = 60
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR


class Backoff(Message):
    """Looking again at doubling distance: `first`, 2 x `first`, … up to `longest` seconds."""

    first: Annotated[int, Field(ge=1)]
    longest: Annotated[int, Field(ge=1)]

    def wait(self, attempt: int) -> timedelta:
        """How long to wait before look number `attempt`, counted from 0."""
        return timedelta(seconds=min(self.longest, self.first * 2 ** min(attempt, 30)))


class SalePolicy(Message):
    """Rules of one sale. All times in seconds; the defaults are those of paths 2.6."""

    payment_seconds: Annotated[int, Field(ge=1, le=3 * _DAY)] = 15 * _MINUTE
    """How long pieces stay reserved while the buyer pays."""
    accept_seconds: Annotated[int, Field(ge=1, le=14 * _DAY)] = 72 * _HOUR
    """How long the seller may take to accept a paid order."""
    ship_seconds: Annotated[int, Field(ge=1, le=60 * _DAY)] = 14 * _DAY
    """How long pieces in stock may stay unshipped after acceptance."""
    lead_grace_seconds: Annotated[int, Field(ge=1, le=60 * _DAY)] = 7 * _DAY
    """How far made-to-order and pre-ordered pieces may run past their lead time or release date."""
    scan_silence_seconds: Annotated[int, Field(ge=1, le=60 * _DAY)] = 10 * _DAY
    """A parcel without any scan for this long counts as lost."""
    confirm_express_seconds: Annotated[int, Field(ge=1, le=60 * _DAY)] = 10 * _DAY
    """How long a buyer may inspect a delivered parcel before the sale completes by itself."""
    confirm_pickup_seconds: Annotated[int, Field(ge=1, le=60 * _DAY)] = 2 * _DAY
    """The same for pieces handed over in person."""
    fee_basis_points: BasisPoints = 800
    """The platform's commission on each line."""
    protection_basis_points: BasisPoints = 0
    """Share of the commission that feeds the protection fund."""
    poll_first_seconds: Annotated[int, Field(ge=1, le=_DAY)] = 30
    """When no webhook comes: first look at the provider after this long, then at doubling distance."""

    provider_silence_seconds: Annotated[int, Field(ge=1, le=30 * _DAY)] = _HOUR
    """A payment company that cannot be reached for this long while the buyer pays calls the operators."""

    @property
    def poll(self) -> Backoff:
        """When to look at the provider while the buyer pays."""
        return Backoff(first=self.poll_first_seconds, longest=self.payment_seconds)

    def hold_seconds(self, lead_days: int) -> int:
        """Longest time the money of a sale that goes well can stay in escrow."""
        making = max(self.ship_seconds, lead_days * _DAY + self.lead_grace_seconds)
        return (
            self.accept_seconds
            + making
            + self.scan_silence_seconds
            + max(self.confirm_express_seconds, self.confirm_pickup_seconds)
        )


class RefundPolicy(Message):
    """Rules of one refund. All times in seconds."""

    poll_first_seconds: Annotated[int, Field(ge=1, le=_DAY)] = 30
    poll_longest_seconds: Annotated[int, Field(ge=1, le=7 * _DAY)] = _DAY
    """Looks at the provider happen at doubling distance up to this."""
    offer_seconds: Annotated[int, Field(ge=1, le=90 * _DAY)] = 14 * _DAY
    """A refund the provider refuses is offered as balance; after this long it is credited without an answer."""

    silence_seconds: Annotated[int, Field(ge=1, le=90 * _DAY)] = 7 * _DAY
    """A provider that has not answered for this long calls the operators; asking goes on."""

    @property
    def silence(self) -> timedelta:
        """How long a provider may be silent."""
        return timedelta(seconds=self.silence_seconds)

    @property
    def offer(self) -> timedelta:
        """How long the offer stands."""
        return timedelta(seconds=self.offer_seconds)

    @property
    def poll(self) -> Backoff:
        """When to look at the provider."""
        return Backoff(first=self.poll_first_seconds, longest=self.poll_longest_seconds)


class PayoutPolicy(Message):
    """Rules of payouts. All times in seconds, amounts in minor units of the payout's currency."""

    availability_seconds: Annotated[int, Field(ge=0, le=90 * _DAY)] = 7 * _DAY
    """Income can leave only after it has stood this long (room for refunds and disputes)."""
    min_interval_seconds: Annotated[int, Field(ge=0, le=31 * _DAY)] = _DAY
    """Least time between two payouts of one payee and currency."""
    minimum_amount: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    silence_seconds: Annotated[int, Field(ge=1, le=90 * _DAY)] = 7 * _DAY
    """A bank that has not answered for this long calls the operators; asking goes on."""
    poll_first_seconds: Annotated[int, Field(ge=1, le=_DAY)] = 30
    poll_longest_seconds: Annotated[int, Field(ge=1, le=7 * _DAY)] = _DAY

    @property
    def silence(self) -> timedelta:
        """How long a bank may be silent."""
        return timedelta(seconds=self.silence_seconds)

    @property
    def poll(self) -> Backoff:
        """When to look at the provider."""
        return Backoff(first=self.poll_first_seconds, longest=self.poll_longest_seconds)
