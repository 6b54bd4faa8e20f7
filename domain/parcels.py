"""What carriers report about parcels."""

from __future__ import annotations

from enum import StrEnum

from domain.model import Instant, Message


class ScanKind(StrEnum):
    """A carrier's fact about a parcel."""

    REGISTERED = "registered"
    IN_TRANSIT = "in_transit"
    DELIVERED = "delivered"
    LOST = "lost"


class LabelPayer(StrEnum):
    """Whose label the parcel travels under; decides who bears its loss."""

    SELLER = "seller"
    PLATFORM = "platform"


class ParcelScan(Message):
    """One verified scan."""

    tracking_number: str
    kind: ScanKind
    label_paid_by: LabelPayer = LabelPayer.SELLER
    occurred_at: Instant


class ParcelFact(Message):
    """A scan as the path's workflow gets it: a sale hears of what decides something, a lot of every one."""

    kind: ScanKind
    silent_until: Instant | None = None
    """For a lot: when the parcel counts as lost unless it is scanned once more."""
