"""What a creator writes to the backers."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from db import campaign_rows, fulfilment_rows
from db.admission import Arrival, admit
from db.queries import file_access
from db.tables import Campaign, CampaignUpdate, Path
from domain.campaign import PRIVATE, CampaignTerms, Phase
from domain.model import Message

SHOWN = frozenset(Phase) - PRIVATE
"""Phases in which others than the creator and operators can see a campaign."""


class News(Message):
    """What is written, and for whom."""

    title: str
    body: str
    for_backers: bool = False
    file_ids: tuple[str, ...] = ()


async def write(
    session: AsyncSession, campaign_id: str, arrival: Arrival, news: News
) -> CampaignUpdate:
    """Writes an update down, shows its pictures to its readers, and puts the reminder off. Raises WrongPhase."""
    admitted = await admit(session, campaign_id, arrival, phases=SHOWN, alone=True)
    last = await session.scalar(
        select(func.max(CampaignUpdate.number)).where(CampaignUpdate.campaign_id == campaign_id)
    )
    row = CampaignUpdate(
        campaign_id=campaign_id,
        number=(last or 0) + 1,
        title=news.title,
        body=news.body,
        for_backers=news.for_backers,
        file_ids=list(news.file_ids),
        at=admitted.at,
    )
    session.add(row)
    readers = file_access.BACKERS if news.for_backers else file_access.MEMBERS
    await file_access.grant(session, news.file_ids, campaign_id, readers)
    campaign = await session.get_one(Campaign, campaign_id, populate_existing=True)
    campaign.updated_backers_at = admitted.at
    await session.flush()
    terms = CampaignTerms.model_validate(campaign.terms)
    await fulfilment_rows.retime(session, admitted.path, campaign, terms, admitted.at, money=False)
    return row


async def is_public(session: AsyncSession, campaign_id: str) -> bool:
    """Whether everybody can see the campaign: it has been approved."""
    path = await session.get(Path, campaign_id)
    if path is None or path.kind != "campaign" or path.phase not in SHOWN:
        return False
    return path.phase != Phase.CANCELLED or await campaign_rows.was_shown(session, campaign_id)


async def page(
    session: AsyncSession, campaign_id: str, before: int | None, limit: int, *, inside: bool
) -> Sequence[CampaignUpdate]:
    """Updates, newest first, older than number `before`; without `inside` only those for everybody."""
    query = select(CampaignUpdate).where(CampaignUpdate.campaign_id == campaign_id)
    if not inside:
        query = query.where(CampaignUpdate.for_backers.is_(False))
    if before is not None:
        query = query.where(CampaignUpdate.number < before)
    rows = await session.scalars(query.order_by(CampaignUpdate.number.desc()).limit(limit))
    return rows.all()
