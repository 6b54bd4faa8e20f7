"""A backer's reward: where it goes and what it is to be like, and whether it has come. Rows; no story hears of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import APIRouter, Response
from sqlalchemy.ext.asyncio import AsyncSession

from api.arrival import ArrivalDep
from api.auth import CurrentUser
from api.errors import problems
from api.idempotency import Once, OnceDep
from api.pledges import ThisPledge, seen_pledge
from api.schemas.base import Body
from api.schemas.fulfilment import AddressIn, AnswersIn, RewardView
from api.schemas.sales import Note
from api.services import ServicesDep
from db import reward_rows
from db.queries import paths
from db.tables import Pledge
from domain.access import Action
from domain.errors import Forbidden, InvalidInput, NotFound, TooLate, WrongPhase
from domain.pledge import RewardState

router = APIRouter(prefix="/v1/pledges/{pledge_id}", tags=["pledges"])
_ACT = (Forbidden, NotFound, WrongPhase)


@router.get(
    "/reward",
    operation_id="getReward",
    summary="The reward of a pledge",
    responses=problems(NotFound),
)
async def get_reward(pledge_id: ThisPledge, user: CurrentUser, services: ServicesDep) -> RewardView:
    """For its backer, the creator and operators; of a stopped campaign with what goes back and what does not."""
    rows = await seen_pledge(services, user, pledge_id)
    async with services.database.reading() as session:
        return await _view(session, rows.pledge, user.id)


@router.put(
    "/survey",
    operation_id="answerSurvey",
    summary="Answer the creator's questions",
    responses=problems(*_ACT, InvalidInput),
)
async def answer_survey(
    pledge_id: ThisPledge,
    body: AnswersIn,
    user: CurrentUser,
    services: ServicesDep,
    arrival: ArrivalDep,
) -> RewardView:
    """By the backer, until the reward is locked."""
    rows = await seen_pledge(services, user, pledge_id, Action.PLEDGE_EDIT)
    async with services.database.transaction() as session:
        row = await reward_rows.answer(session, rows.pledge, arrival, body.answers)
        return await _view(session, row, user.id)


@router.put(
    "/address",
    operation_id="setRewardAddress",
    summary="Say where the reward is sent",
    responses=problems(*_ACT),
)
async def set_address(
    pledge_id: ThisPledge,
    body: AddressIn,
    user: CurrentUser,
    services: ServicesDep,
    arrival: ArrivalDep,
) -> RewardView:
    """By the backer, until the reward is locked."""
    rows = await seen_pledge(services, user, pledge_id, Action.PLEDGE_EDIT)
    async with services.database.transaction() as session:
        row = await reward_rows.send_to(session, rows.pledge, arrival, body.address)
        return await _view(session, row, user.id)


@router.post(
    "/unlock-reward",
    operation_id="unlockReward",
    summary="Let the backer change address and answers again",
    response_model=RewardView,
    responses=problems(*_ACT),
)
async def unlock_reward(
    pledge_id: ThisPledge,
    body: Note,
    user: CurrentUser,
    services: ServicesDep,
    once: OnceDep,
    arrival: ArrivalDep,
) -> Response:
    """By the creator or an operator, before it is shipped."""
    rows = await seen_pledge(services, user, pledge_id, Action.REWARD_UNLOCK)

    async def unlock(session: AsyncSession) -> Pledge:
        return await reward_rows.unlock(session, rows.pledge, arrival)

    return await _act(once, body, unlock)


@router.post(
    "/received",
    operation_id="confirmReward",
    summary="Say that the reward has come",
    response_model=RewardView,
    responses=problems(*_ACT),
)
async def confirm_reward(
    pledge_id: ThisPledge,
    body: Note,
    user: CurrentUser,
    services: ServicesDep,
    once: OnceDep,
    arrival: ArrivalDep,
) -> Response:
    """By the backer; silence after the shipping counts as received."""
    rows = await seen_pledge(services, user, pledge_id, Action.PLEDGE_EDIT)

    async def confirm(session: AsyncSession) -> Pledge:
        return await reward_rows.say(session, rows.pledge, arrival, RewardState.RECEIVED)

    return await _act(once, body, confirm)


@router.post(
    "/missing",
    operation_id="reportRewardMissing",
    summary="Say that the reward has not come",
    response_model=RewardView,
    responses=problems(*_ACT, TooLate),
)
async def report_missing(
    pledge_id: ThisPledge,
    body: Note,
    user: CurrentUser,
    services: ServicesDep,
    once: OnceDep,
    arrival: ArrivalDep,
) -> Response:
    """By the backer, in time after the shipping; the creator may send it anew."""
    rows = await seen_pledge(services, user, pledge_id, Action.PLEDGE_EDIT)

    async def report(session: AsyncSession) -> Pledge:
        return await reward_rows.say(session, rows.pledge, arrival, RewardState.MISSING)

    return await _act(once, body, report)


async def _act(
    once: Once, body: Body, act: Callable[[AsyncSession], Awaitable[Pledge]]
) -> Response:
    async def carry_out(session: AsyncSession, _: str) -> RewardView:
        return await _view(session, await act(session), once.user_id)

    return await once.in_transaction("act", body, carry_out, status=200)


async def _view(session: AsyncSession, row: Pledge, user_id: str) -> RewardView:
    pending = await paths.pending(session, row.campaign_id)
    return RewardView.of(row, pending.phase, own=row.backer_id == user_id)
