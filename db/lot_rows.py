"""Lots, their units in the order's row, and where their materials are, between rows and the rules of domain.lot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, insert, not_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from db.tables import Lot, MaterialMove, Path, ProductionOrder
from domain.errors import NotFound
from domain.lot import FINAL, Course, Event, Flow, HandIn, Parcel, Phase
from domain.materials import Movement, Place
from domain.production import Units


async def lot_of(session: AsyncSession, lot_id: str) -> Lot:
    """The lot's row as it is now. Raises NotFound."""
    row = await session.get(Lot, lot_id, populate_existing=True)
    if row is None:
        raise NotFound(f"there is no lot {lot_id}")
    return row


async def order_of(session: AsyncSession, order_id: str) -> ProductionOrder:
    """The order's row, not locked: only what never changes may be read from it. Raises NotFound."""
    row = await session.get(ProductionOrder, order_id)
    if row is None:
        raise NotFound(f"there is no production order {order_id}")
    return row


async def lock_order_path(session: AsyncSession, order_id: str) -> Path:
    """The order's path as it is now, shared with other lots: the order cannot move until the transaction ends."""
    found = await session.scalars(
        select(Path)
        .where(Path.id == order_id)
        .with_for_update(read=True)
        .execution_options(populate_existing=True)
    )
    return found.one()


def course_of(row: Lot) -> Course:
    """How the lot has gone so far."""
    return Course.model_validate(row.course)


def hand_in_of(row: Lot) -> HandIn | None:
    """The goods that were sent last."""
    return HandIn.model_validate(row.hand_in) if row.hand_in is not None else None


async def note_kit(session: AsyncSession, row: Lot, parcel: Parcel) -> None:
    """The kit travels under this number, from now on."""
    row.kit_carrier, row.kit_tracking = parcel.carrier, parcel.tracking_number
    await _note_sent(session, row)


async def note_goods(session: AsyncSession, row: Lot, parcel: Parcel, sent: HandIn) -> None:
    """The goods travel under this number, from now on."""
    row.goods_carrier, row.goods_tracking = parcel.carrier, parcel.tracking_number
    row.hand_in = sent.model_dump(mode="json")
    await _note_sent(session, row)


async def _note_sent(session: AsyncSession, row: Lot) -> None:
    row.sent_at = await session.scalar(select(func.now()))
    row.covered = False


# Units of the order.


async def take_units(session: AsyncSession, order_id: str, units: int) -> bool:
    """Takes units of the order for a new lot; False when so many are not open. The order's row is locked by it."""
    taken = await session.scalar(
        update(ProductionOrder)
        .where(ProductionOrder.id == order_id, ProductionOrder.open >= units)
        .values(
            open=ProductionOrder.open - units,
            running=ProductionOrder.running + units,
            lots=ProductionOrder.lots + 1,
            lots_running=ProductionOrder.lots_running + 1,
        )
        .returning(ProductionOrder.id)
        .execution_options(synchronize_session=False)
    )
    return taken is not None


async def open_units(session: AsyncSession, order_id: str) -> int:
    """Units of the order that can be claimed now."""
    found = await session.scalar(select(ProductionOrder.open).where(ProductionOrder.id == order_id))
    return int(found or 0)


async def reserve_sample(session: AsyncSession, order_id: str) -> bool:
    """Sets the fee of one sample aside; False when none is left."""
    taken = await session.scalar(
        update(ProductionOrder)
        .where(ProductionOrder.id == order_id, ProductionOrder.samples_left > 0)
        .values(samples_left=ProductionOrder.samples_left - 1)
        .returning(ProductionOrder.id)
        .execution_options(synchronize_session=False)
    )
    return taken is not None


async def give_units(
    session: AsyncSession, order_id: str, flow: Flow, *, ends: bool, sample_unused: bool
) -> tuple[Units, int]:
    """Moves units of a lot in the order's row; `ends`: it was the lot's last transition.

    Answers where the units of the order are now, and how many of its lots run.
    """
    order = ProductionOrder
    row = (
        await session.execute(
            update(order)
            .where(order.id == order_id)
            .values(
                open=order.open + flow.unmade,
                running=order.running - flow.finished,
                accepted=order.accepted + flow.accepted,
                rejected=order.rejected + flow.rejected,
                lost=order.lost + flow.lost,
                lots_running=order.lots_running - int(ends),
                samples_left=order.samples_left + int(sample_unused),
            )
            .returning(
                order.open,
                order.running,
                order.accepted,
                order.rejected,
                order.lost,
                order.lots_running,
            )
            .execution_options(synchronize_session=False)
        )
    ).one()
    units = Units(
        open=row.open,
        running=row.running,
        accepted=row.accepted,
        rejected=row.rejected,
        lost=row.lost,
    )
    return units, row.lots_running


# What a maker has taken on before.


async def is_sample_known(session: AsyncSession, order_id: str, maker_id: str) -> bool:
    """Whether a sample of this maker was approved for the order before, by word or by silence."""
    found = await session.scalar(
        select(Lot.id)
        .where(
            Lot.order_id == order_id,
            Lot.maker_id == maker_id,
            Lot.course["sample_paid"].as_boolean(),
            func.coalesce(Lot.end_reason, "").not_in((Event.SAMPLE_REFUSED, Event.CALLED_OFF)),
        )
        .limit(1)
    )
    return found is not None


@dataclass(frozen=True)
class Taken:
    """How many lots of one order a maker has, or had."""

    running: int
    abandoned: int
    samples_open: int
    """Of the running ones: those whose sample nobody has approved yet."""
    samples_refused: int


async def taken(session: AsyncSession, order_id: str, maker_id: str) -> Taken:
    """What a maker has taken on of an order so far."""
    ended = Path.phase.in_(FINAL)
    row = (
        await session.execute(
            select(
                func.count().filter(not_(ended)),
                func.count().filter(Path.phase == Phase.ABANDONED),
                func.count().filter(Path.phase.in_((Phase.SAMPLE, Phase.SAMPLE_REVIEW))),
                func.count().filter(Lot.end_reason == Event.SAMPLE_REFUSED),
            )
            .select_from(Lot)
            .join(Path, Path.id == Lot.id)
            .where(Lot.order_id == order_id, Lot.maker_id == maker_id)
        )
    ).one()
    return Taken(*row)


# Materials.


async def add_moves(session: AsyncSession, lot_id: str, key: str, made: Sequence[Movement]) -> None:
    """Writes down what one transition does with the lot's materials."""
    if made:
        await session.execute(
            insert(MaterialMove),
            [
                {
                    "lot_id": lot_id,
                    "key": key,
                    "number": number,
                    "material": each.material,
                    "source": each.source,
                    "target": each.target,
                    "pieces": each.pieces,
                }
                for number, each in enumerate(made, start=1)
            ],
        )


async def moves_of(session: AsyncSession, lot_id: str) -> list[Movement]:
    """Everything that was done with the lot's materials, in order."""
    rows = await session.scalars(
        select(MaterialMove).where(MaterialMove.lot_id == lot_id).order_by(MaterialMove.id)
    )
    return [
        Movement(
            material=row.material,
            source=Place(row.source),
            target=Place(row.target),
            pieces=row.pieces,
        )
        for row in rows
    ]
