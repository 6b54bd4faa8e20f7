"""Pledges of one campaign, locked in the order that everybody keeps: the path's row, then the pledges by id."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ARRAY, ColumnElement, Text, any_, bindparam, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from db.tables import Campaign, Path, Payment, Pledge, SavedCard
from domain.campaign import CampaignTerms, Phase
from domain.errors import NotFound


@dataclass(frozen=True)
class Held:
    """Pledges whose rows nobody else can change until the transaction ends, and their campaign, whose phase stays."""

    path: Path
    campaign: Campaign
    terms: CampaignTerms
    pledges: dict[str, Pledge]
    at: datetime
    """By the database's clock."""

    @property
    def phase(self) -> Phase:
        """Where the campaign stands."""
        return Phase(self.path.phase)

    def those(self, *states: str) -> list[Pledge]:
        """The pledges that are in one of these states, by id."""
        return [each for each in self.pledges.values() if each.state in states]


async def hold(session: AsyncSession, campaign_id: str, pledge_ids: Collection[str]) -> Held:
    """Locks the path (shared) and the pledges. Raises NotFound without a campaign."""
    path = await session.scalar(
        select(Path)
        .where(Path.id == campaign_id)
        .with_for_update(read=True)
        .execution_options(populate_existing=True)
    )
    campaign = await session.get(Campaign, campaign_id, populate_existing=True)
    if path is None or campaign is None:
        raise NotFound(f"there is no campaign {campaign_id}")
    rows = await session.scalars(
        select(Pledge)
        .where(among(Pledge.id, pledge_ids), Pledge.campaign_id == campaign_id)
        .order_by(Pledge.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    at = await session.scalar(select(func.now()))
    assert at is not None
    return Held(
        path=path,
        campaign=campaign,
        terms=CampaignTerms.model_validate(campaign.terms),
        pledges={row.id: row for row in rows},
        at=at,
    )


async def payments(session: AsyncSession, ids: Sequence[str]) -> dict[str, Payment]:
    """These payments, locked; the pledges' rows come first."""
    rows = await session.scalars(
        select(Payment)
        .where(among(Payment.id, ids))
        .order_by(Payment.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return {row.id: row for row in rows}


async def cards(session: AsyncSession, ids: Sequence[str]) -> dict[str, SavedCard]:
    """These cards, locked; the pledges' rows come first."""
    rows = await session.scalars(
        select(SavedCard)
        .where(among(SavedCard.id, ids))
        .order_by(SavedCard.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return {row.id: row for row in rows}


def among(
    column: InstrumentedAttribute[str] | InstrumentedAttribute[str | None],
    values: Collection[str],
) -> ColumnElement[bool]:
    """That the column is one of the values, as one parameter: hundreds of them cost more to parse than to find."""
    return column == any_(bindparam(None, list(values), type_=ARRAY(Text)))
