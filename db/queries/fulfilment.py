"""How far a campaign is that has succeeded, as everybody may know it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import case, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from db import fulfilment_rows
from db.tables import Campaign, CampaignTranche, Path, Pledge
from domain.campaign import FINAL, CampaignTerms, Phase
from domain.campaign_delivery import next_vote
from domain.pledge import PledgeState, RewardState


@dataclass(frozen=True)
class Counts:
    """Rewards of a campaign, in pledges."""

    owed: int
    """Of all rewards, those not locked and not shipped."""
    locked: int
    shipped: int
    """On their way: shipped, and nobody has said whether they have come."""
    received: int
    """Silence counts as received."""
    missing: int

    @property
    def total(self) -> int:
        """All rewards that are or were owed."""
        return self.owed + self.locked + self.shipped + self.received + self.missing


async def counts(session: AsyncSession, campaign_id: str, received_seconds: int) -> Counts:
    """Where the rewards stand."""
    state = case(
        (fulfilment_rows.has_received(received_seconds), RewardState.RECEIVED.value),
        else_=Pledge.reward,
    ).label("state")
    rows = await session.execute(
        select(state, func.count())
        .where(
            Pledge.campaign_id == campaign_id,
            Pledge.state == PledgeState.COLLECTED,
            Pledge.reward != RewardState.NONE,
        )
        .group_by(state)
    )
    found = {str(name): int(count) for name, count in rows}
    return Counts(
        owed=found.get(RewardState.OWED, 0),
        locked=found.get(RewardState.LOCKED, 0),
        shipped=found.get(RewardState.SHIPPED, 0),
        received=found.get(RewardState.RECEIVED, 0),
        missing=found.get(RewardState.MISSING, 0),
    )


@dataclass(frozen=True)
class Progress:
    """How far a campaign is, of one moment."""

    campaign: Campaign
    path: Path
    tranches: Sequence[CampaignTranche]
    counts: Counts
    now: datetime
    """By the database's clock."""
    vote_from: datetime | None
    """From when on backers may ask for a vote, if the delivery is late then."""


async def progress(session: AsyncSession, campaign_id: str) -> Progress | None:
    """How far a campaign is that has succeeded; None when it has not, or does not exist."""
    row = (
        await session.execute(
            select(Campaign, Path, func.now())
            .join(Path, Path.id == Campaign.id)
            .where(Campaign.id == campaign_id, Campaign.succeeded_at.is_not(None))
        )
    ).first()
    if row is None:
        return None
    campaign, path, now = row
    terms = CampaignTerms.model_validate(campaign.terms)
    possible = None
    if campaign.deliver_by is not None and Phase(path.phase) not in FINAL:
        possible = next_vote(
            terms, campaign.deliver_by, await fulfilment_rows.last_vote(session, campaign_id)
        )
    return Progress(
        campaign=campaign,
        path=path,
        tranches=await fulfilment_rows.tranches(session, campaign_id),
        counts=await counts(session, campaign_id, terms.policy.received_seconds),
        now=now,
        vote_from=possible,
    )
