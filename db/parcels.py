"""Tracking numbers: what a carrier says is news of one parcel, whichever path has sent it."""

from __future__ import annotations

from sqlalchemy import ColumnElement, and_, exists, or_, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from db.tables import Lot, Path, Sale, SaleReturn
from domain.errors import InvalidInput
from domain.lot import FINAL, Phase


async def hold(session: AsyncSession, carrier: str | None, number: str) -> None:
    """Nobody else takes the number before the transaction ends; whoever takes one has to hold it first.

    Two parcels that are sent off at the same moment must not both find the number free.
    """
    await session.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended(:parcel, 0))"),
        {"parcel": f"{carrier}/{number}"},
    )


def is_kit(carrier: str | None, number: str) -> ColumnElement[bool]:
    """Of a lot: whether its kit has this number."""
    return and_(Lot.kit_carrier == carrier, Lot.kit_tracking == number)


def is_goods(carrier: str | None, number: str) -> ColumnElement[bool]:
    """Of a lot: whether its goods have this number."""
    return and_(Lot.goods_carrier == carrier, Lot.goods_tracking == number)


def of_running_lot(carrier: str | None, number: str) -> ColumnElement[bool]:
    """Whether a lot that is not over has this number, for its kit or its goods; more may be asked of that lot."""
    return and_(
        or_(is_kit(carrier, number), is_goods(carrier, number)),
        Path.id == Lot.id,
        Path.phase.not_in(FINAL),
    )


def is_on_the_way(carrier: str | None, number: str) -> ColumnElement[bool]:
    """Of a lot and its path: whether it waits for the parcel of this number right now."""
    return or_(
        and_(is_kit(carrier, number), Path.phase == Phase.KIT_SHIPPED),
        and_(is_goods(carrier, number), Path.phase == Phase.RETURN_SHIPPED),
    )


async def a_lot_waits(session: AsyncSession, carrier: str, number: str) -> bool:
    """Whether some lot waits for the parcel of this number right now."""
    found = exists().where(Path.id == Lot.id, is_on_the_way(carrier, number))
    return bool(await session.scalar(select(found)))


async def take_for_return(session: AsyncSession, carrier: str | None, number: str) -> None:
    """No other parcel has the number until the transaction ends. Raises InvalidInput when one has it."""
    await hold(session, carrier, number)
    others = (
        exists().where(of_running_lot(carrier, number)),
        exists().where(Sale.carrier == carrier, Sale.tracking_number == number),
        exists().where(SaleReturn.carrier == carrier, SaleReturn.tracking_number == number),
    )
    if await session.scalar(select(or_(*others))):
        raise InvalidInput(
            "another parcel travels under this tracking number",
            field="tracking_number",
            accepted="the number of this parcel",
        )


async def take_for_sale(session: AsyncSession, carrier: str | None, number: str) -> None:
    """No lot or return has the number until the transaction ends. Raises InvalidInput when one has it.

    The scans of a lot's parcel would be read as the sale's: it would be paid for what was never sent, and the lot's
    goods would count as lost.
    """
    await hold(session, carrier, number)
    of_return = exists().where(SaleReturn.carrier == carrier, SaleReturn.tracking_number == number)
    of_lot = exists().where(of_running_lot(carrier, number))
    if await session.scalar(select(or_(of_lot, of_return))):
        raise InvalidInput(
            "another parcel travels under this tracking number",
            field="tracking_number",
            accepted="the number of this parcel",
        )
