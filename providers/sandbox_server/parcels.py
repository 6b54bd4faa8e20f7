"""The carrier face: parcels and the scans a person or the demo makes."""

from __future__ import annotations

from providers.sandbox_server.events import emit
from providers.sandbox_server.problems import Problem
from providers.sandbox_server.records import NewParcel, NewScan, Parcel
from providers.sandbox_server.store import Tx


def register(tx: Tx, wish: NewParcel) -> tuple[Parcel, bool]:
    """A parcel the carrier knows of, and whether it is new; the same again changes nothing."""
    row = tx.one("SELECT * FROM parcels WHERE tracking_number = ?", wish.tracking_number)
    if row is not None:
        known = Parcel.model_validate(row)
        if known.label_paid_by != wish.label_paid_by:
            raise Problem(409, "label_differs", f"the label was paid by {known.label_paid_by}")
        return known, False
    tx.run(
        "INSERT INTO parcels (tracking_number, label_paid_by, kind, created_at)"
        " VALUES (?, ?, 'registered', ?)",
        wish.tracking_number,
        wish.label_paid_by,
        tx.moment,
    )
    return _tell(tx, wish.tracking_number), True


def scan(tx: Tx, tracking_number: str, wish: NewScan) -> Parcel:
    """Records a scan and reports it. Any order is possible: lost parcels do turn up again."""
    get(tx, tracking_number)
    tx.run(
        "UPDATE parcels SET kind = ? WHERE tracking_number = ?",
        wish.kind,
        tracking_number,
    )
    return _tell(tx, tracking_number)


def get(tx: Tx, tracking_number: str) -> Parcel:
    """One parcel."""
    row = tx.one("SELECT * FROM parcels WHERE tracking_number = ?", tracking_number)
    if row is None:
        raise Problem(404, "not_found", "no such parcel")
    return Parcel.model_validate(row)


def listed(tx: Tx, limit: int) -> list[Parcel]:
    """Parcels, newest first."""
    rows = tx.all("SELECT * FROM parcels ORDER BY created_at DESC LIMIT ?", limit)
    return [Parcel.model_validate(row) for row in rows]


def _tell(tx: Tx, tracking_number: str) -> Parcel:
    parcel = get(tx, tracking_number)
    data = {
        "tracking_number": parcel.tracking_number,
        "kind": parcel.kind,
        "label_paid_by": parcel.label_paid_by,
        "occurred_at": tx.moment,
    }
    emit(tx, "carrier", f"parcel.{parcel.kind}", data, (tracking_number,))
    return parcel
