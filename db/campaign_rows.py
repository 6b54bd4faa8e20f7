"""Campaigns and what they offer, between rows and the rules of domain.campaign."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from sqlalchemy import Select, case, delete, exists, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from db.campaign_seats import as_item
from db.tables import (
    Campaign,
    CampaignItem,
    CampaignTranche,
    Path,
    PathEvent,
    Pledge,
)
from domain.campaign import CampaignTerms, Event, Phase, TrancheState
from domain.campaign_offer import OfferedItem, require_item, require_seats
from domain.errors import NotFound, WrongPhase
from domain.pledge import ENDED, ItemKind, Method, PledgeState, RewardState

BACKS_NOTHING = (
    PledgeState.INITIATED,
    PledgeState.EXPIRED,
    PledgeState.CANCELLED,
    PledgeState.DROPPED,
    PledgeState.CHARGED_BACK,
)
"""States in which a pledge does not make anybody a backer: never paid or saved, taken back, or paid no more."""


async def draft(
    session: AsyncSession, terms: CampaignTerms, items: Sequence[OfferedItem], workflow_id: str
) -> None:
    """Writes a new draft down."""
    session.add(
        Path(
            id=terms.campaign_id,
            kind="campaign",
            workflow_id=workflow_id,
            initiator_id=terms.creator_id,
            currency=terms.currency,
            phase=Phase.DRAFT,
        )
    )
    await session.flush()
    session.add(Campaign(id=terms.campaign_id, terms=terms.model_dump(mode="json")))
    await session.flush()
    await _write_items(session, terms.campaign_id, items)


async def redraft(
    session: AsyncSession, terms: CampaignTerms, items: Sequence[OfferedItem]
) -> None:
    """Replaces a draft. Raises WrongPhase when it is none any more."""
    path = await _locked_draft(session, terms.campaign_id)
    path.currency = terms.currency
    row = await session.get_one(Campaign, terms.campaign_id)
    row.terms = terms.model_dump(mode="json")
    await session.execute(delete(CampaignItem).where(CampaignItem.campaign_id == terms.campaign_id))
    await _write_items(session, terms.campaign_id, items)


async def discard(session: AsyncSession, campaign_id: str, note: str) -> bool:
    """Gives up a draft about which no story has begun; False when one has. Raises WrongPhase when it is no draft."""
    path = await _locked_draft(session, campaign_id)
    row = await session.get_one(Campaign, campaign_id)
    if row.moves:
        return False
    path.phase = Phase.CANCELLED
    path.closed_at = await session.scalar(select(func.now()))
    row.end_reason = Event.WITHDRAWN
    session.add(
        PathEvent(
            path_id=campaign_id,
            key=f"{campaign_id}/discarded",
            kind=Event.WITHDRAWN,
            phase=Phase.CANCELLED,
            actor="initiator",
            summary=f"The draft was given up{f': {note}' if note else ''}",
        )
    )
    await session.flush()
    return True


async def add_item(
    session: AsyncSession, campaign_id: str, item: OfferedItem, today: date, key: str
) -> int:
    """Adds a tier or an add-on to a campaign whose path row is locked exclusively. Answers its number.

    Raises InvalidInput. `key` makes the event happen once.
    """
    rows = (await session.scalars(_items(campaign_id))).all()
    tiers = [as_item(row) for row in rows if row.kind == ItemKind.TIER]
    require_item(item, tiers, "item", today)
    number = max((row.number for row in rows), default=0) + 1
    new = item.model_copy(update={"number": number})
    await _write_items(session, campaign_id, [new])
    await _note(session, campaign_id, key, f"Newly offered: {item.title}")
    return number


async def change_item(
    session: AsyncSession,
    campaign_id: str,
    number: int,
    *,
    title: str | None,
    description: str | None,
    on_sale: bool | None,
    seats: tuple[int | None] | None,
    key: str,
) -> None:
    """Changes what may change while backers choose; None leaves it as it is. `seats` is a new limit.

    The caller holds the path's row at least shared. Raises NotFound, BelowSold, InvalidInput.
    """
    row = await session.scalar(
        _items(campaign_id).where(CampaignItem.number == number).with_for_update()
    )
    if row is None:
        raise NotFound(f"the campaign has no tier or add-on {number}")
    if seats is not None:
        require_seats(row.seats, row.taken, seats[0])
        if seats[0] is None:
            # What has no limit keeps no count.
            row.taken = 0
        row.seats = seats[0]
    row.title = row.title if title is None else title
    row.description = row.description if description is None else description
    row.on_sale = row.on_sale if on_sale is None else on_sale
    await session.flush()
    await _note(session, campaign_id, key, f"Changed: {row.title}")


async def collect_paid(session: AsyncSession, campaign_id: str) -> None:
    """The campaign has succeeded: every paid pledge is collected, and owed its reward, in one statement."""
    await session.execute(
        update(Pledge)
        .where(Pledge.campaign_id == campaign_id, Pledge.state == PledgeState.FUNDED)
        .values(
            state=PledgeState.COLLECTED,
            reward=case(
                (Pledge.tier.is_(None), RewardState.NONE.value), else_=RewardState.OWED.value
            ),
        )
        .execution_options(synchronize_session=False)
    )


async def last_delivery(session: AsyncSession, campaign_id: str) -> date | None:
    """The latest delivery that collected pledges were promised."""
    found: date | None = await session.scalar(
        select(func.max(CampaignItem.deliver_on)).where(
            CampaignItem.campaign_id == campaign_id,
            exists().where(
                Pledge.campaign_id == campaign_id,
                Pledge.tier == CampaignItem.number,
                Pledge.state == PledgeState.COLLECTED,
            ),
        )
    )
    return found


async def rewards_owed(session: AsyncSession, campaign_id: str) -> int:
    """How many rewards are owed to backers of collected pledges."""
    found = await session.scalar(
        select(func.count()).where(
            Pledge.campaign_id == campaign_id,
            Pledge.state == PledgeState.COLLECTED,
            Pledge.reward == RewardState.OWED,
        )
    )
    return int(found or 0)


async def plan_tranches(session: AsyncSession, terms: CampaignTerms) -> None:
    """Writes down in which parts the money is released."""
    session.add_all(
        CampaignTranche(
            campaign_id=terms.campaign_id,
            number=number,
            trigger=each.trigger,
            title=each.title,
            basis_points=each.basis_points,
            state=TrancheState.PLANNED,
        )
        for number, each in enumerate(terms.tranches, start=1)
    )
    await session.flush()


async def errored(session: AsyncSession, campaign_id: str) -> Sequence[Pledge]:
    """Pledges whose charge failed and was not mended, locked."""
    rows = await session.scalars(
        select(Pledge)
        .where(Pledge.campaign_id == campaign_id, Pledge.state == PledgeState.ERRORED)
        .order_by(Pledge.id)
        .with_for_update()
    )
    return rows.all()


async def being_paid(session: AsyncSession, campaign_id: str) -> bool:
    """Whether somebody began to pay by a fast method and it is not settled yet."""
    found = exists().where(
        Pledge.campaign_id == campaign_id,
        Pledge.state == PledgeState.INITIATED,
        Pledge.method != Method.BANK,
    )
    return bool(await session.scalar(select(found)))


async def unended(session: AsyncSession, campaign_id: str) -> int:
    """How many pledges have not ended, apart from those whose refund, or whose bank's decision, a story follows."""
    found = await session.scalar(
        select(func.count()).where(
            Pledge.campaign_id == campaign_id,
            Pledge.state.not_in(sorted({*ENDED, PledgeState.REFUNDING})),
            ~Pledge.dispute_open,
        )
    )
    return int(found or 0)


async def terms_of(session: AsyncSession, campaign_id: str) -> CampaignTerms | None:
    """The terms as they stand; None when there is no such campaign."""
    row = await session.get(Campaign, campaign_id, populate_existing=True)
    return None if row is None else CampaignTerms.model_validate(row.terms)


async def has_story(session: AsyncSession, campaign_id: str) -> bool:
    """Whether the campaign was ever handed in."""
    row = await session.get(Campaign, campaign_id)
    return row is not None and row.moves > 0


async def was_shown(session: AsyncSession, campaign_id: str) -> bool:
    """Whether the campaign was ever approved, so that everybody could see it."""
    found = exists().where(PathEvent.path_id == campaign_id, PathEvent.kind == Event.APPROVED)
    return bool(await session.scalar(select(found)))


def _items(campaign_id: str) -> Select[CampaignItem]:
    return select(CampaignItem).where(CampaignItem.campaign_id == campaign_id)


async def _write_items(
    session: AsyncSession, campaign_id: str, items: Sequence[OfferedItem]
) -> None:
    session.add_all(
        CampaignItem(campaign_id=campaign_id, **each.model_dump(mode="python")) for each in items
    )
    await session.flush()


async def _note(session: AsyncSession, campaign_id: str, key: str, summary: str) -> None:
    """Tells the timeline what the creator has changed while backers choose."""
    phase = await session.scalar(select(Path.phase).where(Path.id == campaign_id))
    session.add(
        PathEvent(
            path_id=campaign_id,
            key=key,
            kind="offer_changed",
            phase=phase,
            actor="initiator",
            summary=summary,
        )
    )
    await session.flush()


async def _locked_draft(session: AsyncSession, campaign_id: str) -> Path:
    path = await session.get_one(Path, campaign_id, with_for_update=True, populate_existing=True)
    if path.phase != Phase.DRAFT:
        raise WrongPhase(
            f"a campaign that is {path.phase} is no draft any more",
            field="phase",
            accepted=Phase.DRAFT,
        )
    return path
