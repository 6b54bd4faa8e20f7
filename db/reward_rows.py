"""What becomes of the rewards that are owed, as rows: answers and addresses, shipping, and whether they have come.

Every act is one short transaction under the path's lock; the campaign's story does not hear of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncSession

from db import fulfilment_rows
from db.admission import Admitted, Arrival, admit
from db.tables import Campaign, Pledge
from domain.campaign import AWAITS_MONEY, LATE_PLEDGES, CampaignTerms, Phase
from domain.errors import NotFound, WrongPhase
from domain.model import Message
from domain.pledge import Address, PledgeState, RewardState
from domain.rewards import TO_SHIP, checked, received, require_open, require_told

_TELLING = AWAITS_MONEY | LATE_PLEDGES
"""Phases in which backers tell where their reward goes."""
_DELIVERING = LATE_PLEDGES | {Phase.COMPLETED}
_R = RewardState


class Which(StrEnum):
    """Which rewards somebody wants to see."""

    ALL = "all"
    INCOMPLETE = "incomplete"
    """Owed, and something has not been told yet."""
    OWED = "owed"
    LOCKED = "locked"
    """Ready to be made and sent."""
    SHIPPED = "shipped"
    RECEIVED = "received"
    MISSING = "missing"


class Parcel(Message):
    """How the reward of a pledge was sent; without carrier it was handed over."""

    pledge_id: str
    carrier: str | None = None
    tracking_number: str | None = None


class Refused(Message):
    """A parcel that could not be written down, and why."""

    pledge_id: str
    reason: str


class Shipped(Message):
    """What has become of a list of parcels."""

    shipped: int = 0
    unchanged: int = 0
    """Written down before in the same way."""
    refused: tuple[Refused, ...] = ()


async def answer(
    session: AsyncSession, pledge: Pledge, arrival: Arrival, answers: Mapping[str, str]
) -> Pledge:
    """Writes down what the backer answers. Raises InvalidInput, WrongPhase."""
    row, terms, _ = await _open(session, pledge, arrival)
    assert row.tier is not None
    row.survey = checked(terms.survey, row.tier, answers).model_dump(mode="json")
    return row


async def send_to(
    session: AsyncSession, pledge: Pledge, arrival: Arrival, address: Address
) -> Pledge:
    """Writes down where the reward goes. Raises WrongPhase."""
    row, _, _ = await _open(session, pledge, arrival)
    row.address = address.model_dump(mode="json")
    return row


async def _open(
    session: AsyncSession, pledge: Pledge, arrival: Arrival
) -> tuple[Pledge, CampaignTerms, Admitted]:
    admitted = await admit(session, pledge.campaign_id, arrival, phases=_TELLING)
    [row] = await _locked(session, pledge.campaign_id, [pledge.id])
    require_open(row.state, row.reward, row.tier)
    return row, await _terms(session, pledge.campaign_id), admitted


async def unlock(session: AsyncSession, pledge: Pledge, arrival: Arrival) -> Pledge:
    """Lets the backer change address and answers again. Raises WrongPhase."""
    await admit(session, pledge.campaign_id, arrival, phases=LATE_PLEDGES)
    [row] = await _locked(session, pledge.campaign_id, [pledge.id])
    if row.reward not in (_R.LOCKED, _R.OWED):
        raise WrongPhase(f"the reward is {row.reward}", field="reward", accepted=_R.LOCKED)
    row.reward = _R.OWED
    return row


async def say(session: AsyncSession, pledge: Pledge, arrival: Arrival, said: RewardState) -> Pledge:
    """Writes down whether the reward has come: RECEIVED, or MISSING in time. Raises WrongPhase, TooLate."""
    admitted = await admit(session, pledge.campaign_id, arrival, phases=_DELIVERING)
    [row] = await _locked(session, pledge.campaign_id, [pledge.id])
    terms = await _terms(session, pledge.campaign_id)
    until = (row.shipped_at or admitted.at) + timedelta(seconds=terms.policy.received_seconds)
    require_told(row.reward, row.shipped_at, said, until, admitted.at)
    if row.reward != said:
        row.reward = said
        row.received_at = admitted.at if said is _R.RECEIVED else None
    return row


async def ship(
    session: AsyncSession, campaign_id: str, arrival: Arrival, parcels: Sequence[Parcel]
) -> Shipped:
    """Writes down up to some hundred parcels; the same again changes nothing, another number corrects the former.

    Raises WrongPhase. When nothing is left to be shipped, the campaign's timers are told anew.
    """
    admitted = await admit(session, campaign_id, arrival, phases=_DELIVERING, alone=True)
    by_id = {each.pledge_id: each for each in parcels}
    rows = {row.id: row for row in await _locked(session, campaign_id, sorted(by_id))}
    terms = await _terms(session, campaign_id)
    shipped = unchanged = 0
    refused = []
    for pledge_id, parcel in by_id.items():
        row = rows.get(pledge_id)
        why = _why_not(row, terms, admitted.at)
        if row is None or why:
            refused.append(Refused(pledge_id=pledge_id, reason=why))
        elif row.reward not in TO_SHIP and _same(row, parcel):
            unchanged += 1
        else:
            _send(row, parcel, admitted.at)
            shipped += 1
    await session.flush()
    campaign = await session.get_one(Campaign, campaign_id)
    await fulfilment_rows.retime(session, admitted.path, campaign, terms, admitted.at, money=False)
    return Shipped(shipped=shipped, unchanged=unchanged, refused=tuple(refused))


async def are_all_shipped(session: AsyncSession, campaign_id: str) -> bool:
    """Whether no reward is left to be sent."""
    left = await session.scalar(
        select(Pledge.id)
        .where(Pledge.campaign_id == campaign_id, Pledge.reward.in_(sorted(TO_SHIP)))
        .limit(1)
    )
    return left is None


def _why_not(row: Pledge | None, terms: CampaignTerms, at: datetime) -> str:
    """Why a parcel cannot be written down; empty when it can."""
    if row is None:
        return "no such pledge of this campaign"
    if row.state != PledgeState.COLLECTED or row.reward == _R.NONE:
        return f"the pledge is {row.state} and no reward is owed"
    if received(row.reward, row.shipped_at, at, terms.policy.received_seconds):
        return "the reward has been received"
    return ""


def _same(row: Pledge, parcel: Parcel) -> bool:
    return (row.carrier, row.tracking_number) == (parcel.carrier, parcel.tracking_number)


def _send(row: Pledge, parcel: Parcel, at: datetime) -> None:
    if row.reward in TO_SHIP:
        row.reward = _R.SHIPPED
        row.shipped_at = at
    row.carrier, row.tracking_number = parcel.carrier, parcel.tracking_number


async def page(
    session: AsyncSession,
    campaign_id: str,
    terms: CampaignTerms,
    which: Which,
    after: str | None,
    limit: int,
) -> Sequence[Pledge]:
    """Pledges with a reward, oldest first, after the pledge `after`."""
    query = select(Pledge).where(
        Pledge.campaign_id == campaign_id,
        Pledge.state == PledgeState.COLLECTED,
        Pledge.reward != _R.NONE,
    )
    query = _only(query, which, terms)
    if after is not None:
        query = query.where(Pledge.id > after)
    rows = await session.scalars(query.order_by(Pledge.id).limit(limit))
    return rows.all()


def _only(query: Select[Pledge], which: Which, terms: CampaignTerms) -> Select[Pledge]:
    come = fulfilment_rows.has_received(terms.policy.received_seconds)
    match which:
        case Which.ALL:
            return query
        case Which.INCOMPLETE:
            return query.where(Pledge.reward == _R.OWED, fulfilment_rows.is_incomplete(terms))
        case Which.RECEIVED:
            return query.where(come)
        case Which.SHIPPED:
            return query.where(Pledge.reward == _R.SHIPPED, ~come)
        case _:
            return query.where(Pledge.reward == which.value)


async def _locked(session: AsyncSession, campaign_id: str, ids: Sequence[str]) -> Sequence[Pledge]:
    """These pledges of the campaign, locked after its path, by id."""
    rows = await session.scalars(
        select(Pledge)
        .where(Pledge.id.in_(ids), Pledge.campaign_id == campaign_id)
        .order_by(Pledge.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return rows.all()


async def _terms(session: AsyncSession, campaign_id: str) -> CampaignTerms:
    found = await session.scalar(select(Campaign.terms).where(Campaign.id == campaign_id))
    if found is None:
        raise NotFound("there is no such campaign")
    return CampaignTerms.model_validate(found)
