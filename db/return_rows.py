"""Returns, between rows and the rules of domain.returns; and what carriers report about their parcels."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from db import inbox
from db.tables import InboxRow, Path, SaleReturn
from domain.deadlines import Deadline
from domain.parcels import ParcelFact, ParcelScan, ScanKind
from domain.returns import Course, Event, Phase, ReturnLine, ReturnTerms, due_at
from runtime.temporal import Tell

_NOTHING_BACK = (Phase.CLOSED,)


def terms_of(row: SaleReturn) -> ReturnTerms:
    """The frozen terms."""
    return ReturnTerms.model_validate(row.terms)


def course_of(row: SaleReturn) -> Course:
    """What has become of it so far."""
    return Course.model_validate(row.course)


async def of_sale(session: AsyncSession, sale_id: str) -> Sequence[tuple[SaleReturn, Path]]:
    """All returns of a sale, oldest first."""
    rows = await session.execute(
        select(SaleReturn, Path)
        .join(Path, Path.id == SaleReturn.id)
        .where(SaleReturn.sale_id == sale_id)
        .order_by(SaleReturn.id)
    )
    return [(row, path) for row, path in rows]


async def count(session: AsyncSession, sale_id: str) -> int:
    """How many returns a sale has had."""
    rows = select(func.count()).select_from(SaleReturn).where(SaleReturn.sale_id == sale_id)
    return int(await session.scalar(rows) or 0)


async def found(session: AsyncSession, return_id: str) -> tuple[SaleReturn, Path] | None:
    """A return with its path, or None."""
    row = (
        await session.execute(
            select(SaleReturn, Path)
            .join(Path, Path.id == SaleReturn.id)
            .where(SaleReturn.id == return_id)
        )
    ).first()
    return None if row is None else (row[0], row[1])


async def earlier_lines(session: AsyncSession, sale_id: str) -> list[ReturnLine]:
    """The pieces of all returns of the sale that run, or of which something went back."""
    rows = await of_sale(session, sale_id)
    return [
        line
        for row, path in rows
        if path.phase not in _NOTHING_BACK
        for line in terms_of(row).lines
    ]


async def heard(
    session: AsyncSession, row: InboxRow, carrier: str, scan: ParcelScan
) -> tuple[bool, Tell | None]:
    """Whether the scan is about a return's parcel, and what the return is told of it.

    Any scan keeps the parcel alive: the time after which it counts as lost begins anew in the path's row.
    """
    return_id = await session.scalar(
        select(SaleReturn.id).where(
            SaleReturn.carrier == carrier, SaleReturn.tracking_number == scan.tracking_number
        )
    )
    if return_id is None:
        return False, None
    path = await session.get_one(Path, return_id, with_for_update=True, populate_existing=True)
    sent = await session.get_one(SaleReturn, return_id, populate_existing=True)
    row.subject = return_id
    if path.phase != Phase.SHIPPED or scan.occurred_at < path.opened_at.replace(microsecond=0):
        await inbox.ignore(session, row, f"the return is {path.phase}, or another parcel had this")
        return True, None
    sent.label_paid_by = sent.label_paid_by or scan.label_paid_by
    heard_at = await session.scalar(select(func.least(func.now(), scan.occurred_at)))
    if heard_at is not None and (sent.last_scan_at is None or heard_at > sent.last_scan_at):
        sent.last_scan_at = heard_at
        path.deadlines = [
            each.model_dump(mode="json") for each in _kept_alive(path, terms_of(sent), sent)
        ]
    if scan.kind in (ScanKind.DELIVERED, ScanKind.LOST):
        fact = ParcelFact(kind=scan.kind)
        return True, Tell(workflow_id=path.workflow_id, signal="parcel", fact=fact)
    await session.flush()
    row.status = "consumed"
    row.consumed_at = await session.scalar(select(func.now()))
    return True, None


def _kept_alive(path: Path, terms: ReturnTerms, sent: SaleReturn) -> list[Deadline]:
    pending = [Deadline.model_validate(each) for each in path.deadlines]
    later = due_at(terms, Phase.SHIPPED, sent.last_scan_at) if sent.last_scan_at else None
    return [
        each.model_copy(update={"due_at": max(each.due_at, later)})
        if later is not None and each.event == Event.LOST
        else each
        for each in pending
    ]
