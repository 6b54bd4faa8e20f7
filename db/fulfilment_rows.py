"""What a campaign that has succeeded owes and has done: its parts, its rewards, and who shares what is left, as rows.

Amounts are minor units. Nothing here writes money.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Numeric,
    Subquery,
    and_,
    case,
    cast,
    exists,
    func,
    literal,
    not_,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession

from db.tables import (
    Ballot,
    Campaign,
    CampaignItem,
    CampaignTranche,
    Chargeback,
    MatchReservation,
    Path,
    PathEvent,
    Payment,
    Pledge,
)
from domain.campaign import (
    LATE_PLEDGES,
    CampaignTerms,
    Event,
    Ledger,
    Phase,
    TrancheState,
    Trigger,
)
from domain.campaign_delivery import VOTE, WEEKLY, Delivery, Part, delivery_deadlines
from domain.chargebacks import UNDECIDED
from domain.deadlines import Deadline
from domain.match_call import ReservationState
from domain.pledge import PledgeState, RewardState

_NEVER_SHIPPED = (RewardState.OWED, RewardState.LOCKED, RewardState.MISSING)
"""Also what the backer says has not come: it has to be sent again."""
_WEIGHT = Pledge.paid - Pledge.refunded - func.coalesce(Pledge.to_refund, 0)
"""What a backer has paid and neither got back nor is about to."""
_GAVE_BACK = (PledgeState.COLLECTED, PledgeState.REFUNDING, PledgeState.REFUNDED)
"""Where a pledge of a stopped campaign can stand while its backer is short of something."""


# The campaign as its timers see it.


async def delivery_of(
    session: AsyncSession, path: Path, row: Campaign, terms: CampaignTerms
) -> Delivery:
    """All that the timers depend on. Exact while the caller holds the path's lock."""
    assert row.succeeded_at is not None
    owed, amount = await never_shipped(session, path.id)
    timers = (Deadline.model_validate(each) for each in path.deadlines)
    return Delivery(
        ledger=ledger_of(row),
        parts=tuple(as_part(each) for each in await tranches(session, path.id)),
        succeeded_at=row.succeeded_at,
        deliver_by=row.deliver_by,
        owed=owed,
        owed_amount=amount,
        told_at=row.updated_backers_at,
        alerted=await _alerted(session, path.id),
        vote=next((each for each in timers if each.name == VOTE), None),
    )


async def retime(
    session: AsyncSession,
    path: Path,
    row: Campaign,
    terms: CampaignTerms,
    at: datetime,
    *,
    money: bool = True,
) -> None:
    """Tells the timers anew after rows have changed that they depend on; the path's row is locked exclusively.

    The story hears of it when its next timer fires. `money`: whether there can be more or less to release.
    """
    if Phase(path.phase) not in LATE_PLEDGES:
        return
    delivery = await delivery_of(session, path, row, terms)
    timers = delivery_deadlines(terms, Phase(path.phase), delivery, at)
    told = [each.model_dump(mode="json") for each in timers]
    if not money:
        weekly = [each for each in path.deadlines if each["name"] == WEEKLY]
        told = [*weekly, *(each for each in told if each["name"] != WEEKLY)]
    path.deadlines = told


def ledger_of(row: Campaign) -> Ledger:
    """What the campaign has got."""
    return Ledger(
        taken_in=row.taken_in,
        released=row.released,
        fee_taken=row.fee_taken,
        disputed=row.disputed,
    )


def keep_ledger(row: Campaign, ledger: Ledger) -> None:
    """Writes down what the campaign has got; what is disputed is counted from the chargebacks instead."""
    row.taken_in = ledger.taken_in
    row.released = ledger.released
    row.fee_taken = min(ledger.fee_taken, ledger.released)


async def tranches(session: AsyncSession, campaign_id: str) -> Sequence[CampaignTranche]:
    """The parts of the money, in their order."""
    rows = await session.scalars(
        select(CampaignTranche)
        .where(CampaignTranche.campaign_id == campaign_id)
        .order_by(CampaignTranche.number)
        .execution_options(populate_existing=True)
    )
    return rows.all()


def as_part(row: CampaignTranche) -> Part:
    """The part as the domain has it."""
    return Part(
        number=row.number,
        title=row.title,
        trigger=Trigger(row.trigger),
        basis_points=row.basis_points,
        state=TrancheState(row.state),
        reached=row.reached,
        claimed=row.claimed,
        reported_at=row.reported_at,
    )


async def keep_parts(
    session: AsyncSession, campaign_id: str, parts: Sequence[Part], at: datetime
) -> None:
    """Writes down where the parts stand."""
    by_number = {each.number: each for each in parts}
    for row in await tranches(session, campaign_id):
        part = by_number[row.number]
        if row.state == TrancheState.REPORTED and part.state is not TrancheState.REPORTED:
            row.decided_at = at
        row.state, row.reached, row.claimed = part.state, part.reached, part.claimed
        row.reported_at = part.reported_at
    await session.flush()


async def _alerted(session: AsyncSession, campaign_id: str) -> bool:
    told = exists().where(PathEvent.path_id == campaign_id, PathEvent.kind == Event.DELIVERY_LATE)
    return bool(await session.scalar(select(told)))


# Rewards.


def is_unshipped() -> ColumnElement[bool]:
    """Whether the pledge's reward is owed and was never shipped."""
    return and_(Pledge.state == PledgeState.COLLECTED, Pledge.reward.in_(_NEVER_SHIPPED))


def has_received(received_seconds: int) -> ColumnElement[bool]:
    """Whether the reward has been received; silence after the shipping counts as that, by the database's clock."""
    silent = Pledge.shipped_at <= func.clock_timestamp() - timedelta(seconds=received_seconds)
    return or_(
        Pledge.reward == RewardState.RECEIVED,
        and_(Pledge.reward == RewardState.SHIPPED, silent),
    )


def is_waiting(received_seconds: int) -> ColumnElement[bool]:
    """Whether the backer is a party to a vote: has paid, and has not received a reward."""
    return and_(Pledge.state == PledgeState.COLLECTED, not_(has_received(received_seconds)))


async def never_shipped(session: AsyncSession, campaign_id: str) -> tuple[int, int]:
    """How many rewards were never shipped, and what their backers have paid and not got back."""
    row = (
        await session.execute(
            select(func.count(), func.coalesce(func.sum(_WEIGHT), 0)).where(
                Pledge.campaign_id == campaign_id, is_unshipped()
            )
        )
    ).one()
    return int(row[0]), int(row[1])


async def lock_rewards(session: AsyncSession, campaign_id: str, terms: CampaignTerms) -> int:
    """Fixes address and answers of every reward that is owed and has them all, in one statement. Answers how many."""
    locked = await session.execute(
        update(Pledge)
        .where(
            Pledge.campaign_id == campaign_id,
            Pledge.state == PledgeState.COLLECTED,
            Pledge.reward == RewardState.OWED,
            not_(is_incomplete(terms)),
        )
        .values(reward=RewardState.LOCKED)
        .execution_options(synchronize_session=False)
    )
    return int(getattr(locked, "rowcount", 0))


async def count_incomplete(session: AsyncSession, campaign_id: str, terms: CampaignTerms) -> int:
    """How many rewards are owed whose backers have not told everything yet."""
    found = await session.scalar(
        select(func.count()).where(
            Pledge.campaign_id == campaign_id,
            Pledge.state == PledgeState.COLLECTED,
            Pledge.reward == RewardState.OWED,
            is_incomplete(terms),
        )
    )
    return int(found or 0)


def is_incomplete(terms: CampaignTerms) -> ColumnElement[bool]:
    """Whether a required answer or the address is missing for the reward to be made and sent."""
    missing = [and_(is_sent(), Pledge.address.is_(None))]
    for question in terms.survey:
        if not question.required:
            continue
        asked: ColumnElement[bool] = Pledge.tier.is_not(None)
        if question.tiers:
            asked = Pledge.tier.in_(question.tiers)
        answer = func.coalesce(Pledge.survey["answers"][question.key].astext, "")
        missing.append(and_(asked, answer == ""))
    return or_(*missing)


def is_sent() -> ColumnElement[bool]:
    """Whether something of the pledge is sent somewhere."""
    chosen = func.jsonb_build_array(func.jsonb_build_object("number", CampaignItem.number))
    return exists().where(
        CampaignItem.campaign_id == Pledge.campaign_id,
        CampaignItem.shipping != cast(literal("{}"), JSONB),
        or_(
            CampaignItem.number == Pledge.tier,
            Pledge.selection["add_ons"].op("@>")(chosen),
        ),
    )


# Votes.


async def electorate(session: AsyncSession, campaign_id: str, received_seconds: int) -> int:
    """How many people may vote on what is left."""
    found = await session.scalar(
        select(func.count(Pledge.backer_id.distinct())).where(
            Pledge.campaign_id == campaign_id, is_waiting(received_seconds)
        )
    )
    return int(found or 0)


async def may_vote(session: AsyncSession, campaign_id: str, user_id: str) -> bool:
    """Whether this person is a backer whose reward has not been received."""
    terms = await session.scalar(select(Campaign.terms).where(Campaign.id == campaign_id))
    if terms is None:
        return False
    seconds = CampaignTerms.model_validate(terms).policy.received_seconds
    is_one = exists().where(
        Pledge.campaign_id == campaign_id, Pledge.backer_id == user_id, is_waiting(seconds)
    )
    return bool(await session.scalar(select(is_one)))


async def last_vote(session: AsyncSession, campaign_id: str) -> datetime | None:
    """When the last vote of the backers ended."""
    found: datetime | None = await session.scalar(
        select(func.max(Path.closed_at))
        .join(Ballot, Ballot.id == Path.id)
        .where(Ballot.parent_path_id == campaign_id)
    )
    return found


# Disputes.


async def count_disputed(session: AsyncSession, campaign_id: str) -> int:
    """What banks have taken back of pledges of the campaign and not decided yet, at most what is in the books of each."""
    each = (
        select(func.least(func.sum(Chargeback.amount), _WEIGHT).label("part"))
        .join(Payment, Payment.id == Chargeback.payment_id)
        .join(Pledge, Pledge.id == Payment.pledge_id)
        .where(
            Chargeback.path_id == campaign_id,
            Chargeback.status.in_(UNDECIDED),
            Pledge.state == PledgeState.COLLECTED,
        )
        .group_by(Pledge.id)
        .subquery()
    )
    return int(await session.scalar(select(func.coalesce(func.sum(each.c.part), 0))) or 0)


async def has_open_dispute(session: AsyncSession, pledge_id: str) -> bool:
    """Whether a bank has taken back money of the pledge and not decided yet."""
    found = exists().where(
        Chargeback.payment_id == Payment.id,
        Payment.pledge_id == pledge_id,
        Chargeback.status.in_(UNDECIDED),
    )
    return bool(await session.scalar(select(found)))


async def matched_with(session: AsyncSession, pledge_id: str) -> dict[str, int]:
    """What each match call has added to the pledge and the campaign has used."""
    rows = await session.execute(
        select(MatchReservation.call_id, func.sum(MatchReservation.amount))
        .where(
            MatchReservation.pledge_id == pledge_id,
            MatchReservation.state == ReservationState.USED,
            MatchReservation.amount > 0,
        )
        .group_by(MatchReservation.call_id)
        .order_by(MatchReservation.call_id)
    )
    return {call_id: int(amount) for call_id, amount in rows}


# Sharing out.


async def weight(session: AsyncSession, campaign_id: str, *those: ColumnElement[bool]) -> int:
    """What the backers of these collected pledges have paid and not got back."""
    found = await session.scalar(
        select(func.coalesce(func.sum(_WEIGHT), 0)).where(*_sharing(campaign_id, those))
    )
    return int(found or 0)


async def share_out(
    session: AsyncSession, campaign_id: str, amount: int, total: int, *those: ColumnElement[bool]
) -> None:
    """Plans what goes back to every collected pledge: `amount` to these, by what each has paid and not got back.

    `total` is their `weight` and at least `amount`. Exact (largest remainder, ties to the earlier pledge), and one
    statement however many pledges there are; the caller holds the path's lock. For all others nothing more is planned.
    """
    if amount:
        await _share(session, campaign_id, amount, total, those)
    await session.execute(
        update(Pledge)
        .where(
            Pledge.campaign_id == campaign_id,
            Pledge.state == PledgeState.COLLECTED,
            Pledge.to_refund.is_(None),
        )
        .values(to_refund=0)
        .execution_options(synchronize_session=False)
    )


async def _share(
    session: AsyncSession,
    campaign_id: str,
    amount: int,
    total: int,
    those: Sequence[ColumnElement[bool]],
) -> None:
    part = shares(amount, total, *_sharing(campaign_id, those))
    await session.execute(
        update(Pledge)
        .where(Pledge.id == part.c.id)
        .values(to_refund=cast(func.coalesce(Pledge.to_refund, 0) + part.c.share, BigInteger))
        .execution_options(synchronize_session=False)
    )


def shares(amount: int, total: int, *those: ColumnElement[bool]) -> Subquery:
    """Of these pledges `id` and `share` of `amount`, by what each has paid and not got back, which is `total` together.

    Exact (largest remainder, ties to the earlier pledge); nobody gets more than that, if `amount` is at most `total`.
    """
    scaled = cast(literal(amount), Numeric) * _WEIGHT
    parts = (
        select(
            Pledge.id,
            cast(func.div(scaled, total), BigInteger).label("whole"),
            func.mod(scaled, total).label("rest"),
        )
        .where(*those)
        .cte("parts")
    )
    over = select(amount - func.sum(parts.c.whole)).scalar_subquery()
    places = select(
        parts.c.id,
        parts.c.whole,
        func.row_number().over(order_by=(parts.c.rest.desc(), parts.c.id)).label("place"),
    ).cte("places")
    share = places.c.whole + case((places.c.place <= over, 1), else_=0)
    return select(places.c.id, share.label("share")).subquery("shares")


async def short(session: AsyncSession, campaign_id: str) -> int:
    """What the backers of a stopped campaign are short of, minor units, but for those whose banks have it in dispute."""
    found = await session.scalar(
        select(func.coalesce(func.sum(_WEIGHT), 0)).where(*is_short(campaign_id))
    )
    return int(found or 0)


def is_short(campaign_id: str) -> tuple[ColumnElement[bool], ...]:
    """Which pledges of a stopped campaign have been paid and not all given back, and no bank disputes them."""
    return (
        Pledge.campaign_id == campaign_id,
        Pledge.state.in_(sorted(_GAVE_BACK)),
        Pledge.dispute_open.is_(False),
        _WEIGHT > 0,
    )


def _sharing(
    campaign_id: str, those: Sequence[ColumnElement[bool]]
) -> tuple[ColumnElement[bool], ...]:
    return (
        Pledge.campaign_id == campaign_id,
        Pledge.state == PledgeState.COLLECTED,
        _WEIGHT > 0,
        *those,
    )
