"""Totals of a campaign's pledges by hour and tier, kept in the transaction that changes what stands."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from db.tables import PledgeStat
from domain.model import Instant, Message


class Delta(Message):
    """What came to stand, or went, in pledges and minor units; signed."""

    campaign_id: str
    tier: int
    """0 without one."""
    at: Instant
    pledges: int = 0
    amount: int = 0
    paid: int = 0


class Standing(Message):
    """What stands of a campaign."""

    pledges: int
    amount: int
    """Saved and paid, minor units."""
    paid: int
    """The part that is in the books."""


async def note(session: AsyncSession, deltas: Iterable[Delta]) -> None:
    """Adds the changes up. Rows are locked in one order for everybody; call it after all other rows are locked."""
    sums: dict[tuple[str, datetime, int], list[int]] = {}
    for each in deltas:
        hour = each.at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        found = sums.setdefault((each.campaign_id, hour, each.tier), [0, 0, 0])
        for index, change in enumerate((each.pledges, each.amount, each.paid)):
            found[index] += change
    rows = [
        {
            "campaign_id": campaign_id,
            "hour": hour,
            "tier": tier,
            "pledges": pledges,
            "amount": amount,
            "paid": paid,
        }
        for (campaign_id, hour, tier), (pledges, amount, paid) in sorted(sums.items())
        if (pledges, amount, paid) != (0, 0, 0)
    ]
    if not rows:
        return
    made = insert(PledgeStat).values(rows)
    await session.execute(
        made.on_conflict_do_update(
            index_elements=[PledgeStat.campaign_id, PledgeStat.hour, PledgeStat.tier],
            set_={
                "pledges": PledgeStat.pledges + made.excluded.pledges,
                "amount": PledgeStat.amount + made.excluded.amount,
                "paid": PledgeStat.paid + made.excluded.paid,
            },
        )
    )


async def standing(session: AsyncSession, campaign_id: str) -> Standing:
    """What stands now."""
    row = (
        await session.execute(
            select(
                func.coalesce(func.sum(PledgeStat.pledges), 0),
                func.coalesce(func.sum(PledgeStat.amount), 0),
                func.coalesce(func.sum(PledgeStat.paid), 0),
            ).where(PledgeStat.campaign_id == campaign_id)
        )
    ).one()
    return Standing(pledges=int(row[0]), amount=int(row[1]), paid=int(row[2]))
