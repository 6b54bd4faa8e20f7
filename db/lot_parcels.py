"""Parcels of lots: kits on their way to a maker, goods on their way back, and what carriers report about them."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import exists, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from db import inbox, lot_rows, parcels
from db.tables import InboxRow, Lot, Path, ProductionOrder, Sale, SaleReturn
from domain.deadlines import Deadline
from domain.errors import InvalidInput
from domain.lot import Event, Parcel, Phase
from domain.lot_deadlines import Clock, heard_of
from domain.lot_moves import Said
from domain.parcels import LabelPayer, ParcelFact, ParcelScan, ScanKind
from domain.production import ProductionTerms
from runtime.temporal import Tell

_SILENCE = frozenset({Event.KIT_LOST, Event.GOODS_LOST})
"""What happens to a parcel that nobody has scanned for long."""
_DECIDE = frozenset({ScanKind.DELIVERED, ScanKind.LOST})
_IN_HAND = frozenset({ScanKind.IN_TRANSIT, ScanKind.LOST})
"""What a carrier says of a parcel that it has, or had; a label that was printed says nothing."""


async def heard(
    session: AsyncSession, row: InboxRow, carrier: str, scan: ParcelScan
) -> Tell | None:
    """What a lot is told of a scan; None when the scan concerns none, or one whose parcel is there already.

    Any scan keeps the parcel alive: the time after which it counts as lost begins anew, in the path's row at once.
    What decides something stays in the inbox until the lot has moved on.
    """
    found = await _lot_of(session, carrier, scan.tracking_number)
    if found is None:
        return None
    path = await session.get_one(Path, found.id, with_for_update=True, populate_existing=True)
    lot = await session.get_one(Lot, found.id, populate_existing=True)
    if scan.occurred_at < (lot.sent_at or path.opened_at).replace(microsecond=0):
        await inbox.ignore(session, row, "older than the parcel: another one had this number")
        return None
    row.subject = lot.id
    if _on_the_way(lot, path.phase) != Parcel(
        carrier=carrier, tracking_number=scan.tracking_number
    ):
        await inbox.ignore(session, row, f"the lot is {path.phase} already")
        return None
    if scan.kind in _IN_HAND and scan.label_paid_by is LabelPayer.PLATFORM:
        lot.covered = True
    silent_until = await _keep_alive(session, path, lot, scan)
    if scan.kind not in _DECIDE:
        await session.flush()
        row.status = "consumed"
        row.consumed_at = await session.scalar(select(func.now()))
    fact = ParcelFact(kind=scan.kind, silent_until=silent_until)
    return Tell(workflow_id=path.workflow_id, signal="parcel", fact=fact)


async def require_free(session: AsyncSession, lot_id: str, parcel: Parcel) -> None:
    """Raises InvalidInput when another path's parcel travels under this number: a scan can be news of one only."""
    number = parcel.tracking_number
    if number is None:
        return
    of_lot = exists().where(Lot.id != lot_id, parcels.of_running_lot(parcel.carrier, number))
    of_sale = exists().where(Sale.carrier == parcel.carrier, Sale.tracking_number == number)
    of_return = exists().where(
        SaleReturn.carrier == parcel.carrier, SaleReturn.tracking_number == number
    )
    if await session.scalar(select(or_(of_lot, of_sale, of_return))):
        raise InvalidInput(
            "another parcel travels under this tracking number",
            field="tracking_number",
            accepted="the number of this parcel",
        )


async def take(session: AsyncSession, lot_id: str, parcel: Parcel) -> None:
    """The number is this lot's when the transaction ends. Raises InvalidInput when it is another's."""
    if parcel.tracking_number is None:
        return
    await parcels.hold(session, parcel.carrier, parcel.tracking_number)
    await require_free(session, lot_id, parcel)
    # Else the scans of the kit would prove that goods were sent, and those of goods that mended ones were.
    own = or_(
        parcels.is_kit(parcel.carrier, parcel.tracking_number),
        parcels.is_goods(parcel.carrier, parcel.tracking_number),
    )
    if await session.scalar(select(exists().where(Lot.id == lot_id, own))):
        raise InvalidInput(
            "an earlier parcel of this lot had this tracking number",
            field="tracking_number",
            accepted="the number of this parcel",
        )


async def _lot_of(session: AsyncSession, carrier: str, number: str) -> Lot | None:
    """The lot that waits for the parcel of this number, else the newest one that had it for its kit or goods."""
    query = (
        select(Lot)
        .join(Path, Path.id == Lot.id)
        .where(or_(parcels.is_kit(carrier, number), parcels.is_goods(carrier, number)))
        .order_by(parcels.is_on_the_way(carrier, number).desc().nulls_last(), Lot.id.desc())
        .limit(1)
    )
    found: Lot | None = await session.scalar(query)
    return found


def _on_the_way(lot: Lot, phase: str) -> Parcel | None:
    """The parcel that the lot waits for in this phase."""
    match phase:
        case Phase.KIT_SHIPPED:
            return Parcel(carrier=lot.kit_carrier, tracking_number=lot.kit_tracking)
        case Phase.RETURN_SHIPPED:
            return Parcel(carrier=lot.goods_carrier, tracking_number=lot.goods_tracking)
        case _:
            return None


async def _keep_alive(session: AsyncSession, path: Path, lot: Lot, scan: ParcelScan) -> datetime:
    """When the parcel counts as lost from now on; what was longer stays so."""
    order = await session.get_one(ProductionOrder, lot.order_id)
    terms = ProductionTerms.model_validate(order.terms)
    heard_at: datetime | None = await session.scalar(
        select(func.least(func.now(), scan.occurred_at))
    )
    assert heard_at is not None
    until = heard_at + timedelta(seconds=terms.policy.scan_silence_seconds)
    pending = [Deadline.model_validate(each) for each in path.deadlines]
    until = max([until, *(each.due_at for each in pending if each.event in _SILENCE)])
    if lot.sent_at is not None:
        # However often it is scanned: nobody waits for a parcel without end.
        longest = timedelta(seconds=terms.policy.parcel_longest_seconds)
        until = min(until, lot.sent_at + longest)
    clock = Clock(
        lot_id=lot.id,
        maker_id=lot.maker_id,
        terms=terms,
        course=lot_rows.course_of(lot),
        said=Said(hand_in=lot_rows.hand_in_of(lot)),
    )
    others = [each for each in pending if each.event not in _SILENCE]
    moved = (*heard_of(clock, Phase(path.phase), until), *others)
    path.deadlines = [each.model_dump(mode="json") for each in moved]
    return until
