"""Seats of limited tiers and add-ons: taken before anything is paid, given free exactly once."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from db.tables import CampaignItem, Pledge
from domain.errors import OutOfStock
from domain.pledge import Item, ItemKind, PendingChange, Selection

Seats = Mapping[tuple[str, int], int]
"""(campaign, item number) -> pieces."""


def as_item(row: CampaignItem) -> Item:
    """The item as the domain has it."""
    return Item(
        number=row.number,
        kind=ItemKind(row.kind),
        title=row.title,
        price=row.price,
        seats=row.seats,
        each_most=row.each_most,
        shipping=row.shipping,
        for_tiers=tuple(row.for_tiers),
        on_sale=row.on_sale,
        deliver_on=row.deliver_on,
    )


async def items_of(session: AsyncSession, campaign_id: str) -> list[Item]:
    """Everything the campaign offers, by number."""
    rows = await session.scalars(
        select(CampaignItem)
        .where(CampaignItem.campaign_id == campaign_id)
        .order_by(CampaignItem.number)
        .execution_options(populate_existing=True)
    )
    return [as_item(row) for row in rows]


async def lock(session: AsyncSession, campaign_id: str, numbers: Collection[int]) -> None:
    """Locks the rows of these items in everybody's order: for who changes several of them one after the other."""
    await session.execute(
        select(CampaignItem.number)
        .where(
            CampaignItem.campaign_id == campaign_id,
            CampaignItem.number.in_(sorted(numbers)),
            CampaignItem.seats.is_not(None),
        )
        .order_by(CampaignItem.number)
        .with_for_update()
    )


async def take(session: AsyncSession, campaign_id: str, seats: Mapping[int, int]) -> None:
    """Reserves so many pieces of each item. Raises OutOfStock, and then nothing is reserved."""
    for number, pieces in sorted(seats.items()):
        taken = await session.execute(
            update(CampaignItem)
            .where(
                CampaignItem.campaign_id == campaign_id,
                CampaignItem.number == number,
                CampaignItem.seats.is_not(None),
                CampaignItem.taken + pieces <= CampaignItem.seats,
            )
            .values(taken=CampaignItem.taken + pieces)
            .returning(CampaignItem.number)
            .execution_options(synchronize_session=False)
        )
        if taken.first() is None:
            raise OutOfStock(
                "fewer are left than were asked for", field="tier", accepted="another tier"
            )


async def free(session: AsyncSession, seats: Seats) -> None:
    """Gives so many pieces free. Items without a limit keep no count."""
    for (campaign_id, number), pieces in sorted(seats.items()):
        if pieces:
            await session.execute(
                update(CampaignItem)
                .where(
                    CampaignItem.campaign_id == campaign_id,
                    CampaignItem.number == number,
                    CampaignItem.seats.is_not(None),
                )
                .values(taken=CampaignItem.taken - pieces)
                .execution_options(synchronize_session=False)
            )


async def free_those_of(session: AsyncSession, pledges: Sequence[Pledge]) -> None:
    """Gives the seats of these pledges free, whose rows the caller has locked; each pledge's only once."""
    seats: dict[tuple[str, int], int] = {}
    for pledge in pledges:
        for number, pieces in _given_up(pledge).items():
            key = (pledge.campaign_id, number)
            seats[key] = seats.get(key, 0) + pieces
    await free(session, seats)


def _given_up(pledge: Pledge) -> dict[int, int]:
    """What the pledge holds, a change that waits for its payment included; it holds nothing from now on."""
    found: dict[int, int] = {}
    if pledge.holds_seats:
        pledge.holds_seats = False
        found = pieces_of(Selection.model_validate(pledge.selection))
    if pledge.pending is not None:
        for number, pieces in PendingChange.model_validate(pledge.pending).seats.items():
            found[number] = found.get(number, 0) + pieces
        pledge.pending = None
    return found


async def retake(session: AsyncSession, pledge: Pledge) -> bool:
    """Takes the seats of a pledge that had given them free; False when they are gone."""
    if pledge.holds_seats:
        return True
    items = {item.number for item in await items_of(session, pledge.campaign_id) if item.seats}
    wanted = pieces_of(Selection.model_validate(pledge.selection))
    try:
        async with session.begin_nested():
            await take(session, pledge.campaign_id, {n: q for n, q in wanted.items() if n in items})
    except OutOfStock:
        return False
    pledge.holds_seats = True
    return True


def pieces_of(selection: Selection) -> dict[int, int]:
    """Item number -> pieces, of everything chosen."""
    chosen = (*((selection.tier,) if selection.tier else ()), *selection.add_ons)
    return {each.number: each.quantity for each in chosen}
