"""Voting: one vote a person, changed as often as they like until the end; then everything is open to everybody.

Votes are rows, written in one short transaction. No workflow hears of them.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response
from sqlalchemy.ext.asyncio import AsyncSession

from api.arrival import ArrivalDep
from api.auth import Caller, CurrentUser
from api.ballots import ThisBallot
from api.errors import problems
from api.idempotency import OnceDep
from api.policy import on_path, refuse_self_dealing, require_active, unknown
from api.schemas.ballots import (
    MyVoteView,
    NewVote,
    PaperView,
    ReceiptView,
    RecountView,
    TallyView,
)
from api.schemas.base import Page, RowCursor, page_of
from api.services import Services, ServicesDep
from db import ballot_count, ballot_rows
from db.queries import ballots, refusals
from db.queries.ballots import BallotRows
from domain.access import Action
from domain.ballot import COUNTED, BallotTerms, Phase
from domain.ballot_tally import BallotResult
from domain.errors import (
    AccountFrozen,
    ChainBroken,
    Forbidden,
    InvalidInput,
    NotEligible,
    NotFound,
    SelfDealing,
    TooLate,
    WrongPhase,
)
from domain.people import Tie

router = APIRouter(prefix="/v1/ballots", tags=["ballots"])
PapersLimit = Annotated[int, Query(ge=1, le=1_000, description="Largest number on the page.")]


@router.post(
    "/{ballot_id}/votes",
    operation_id="castVote",
    summary="Vote, or vote anew",
    status_code=201,
    response_model=ReceiptView,
    responses=problems(
        AccountFrozen,
        Forbidden,
        InvalidInput,
        NotEligible,
        NotFound,
        SelfDealing,
        TooLate,
        WrongPhase,
    ),
)
async def cast_vote(
    ballot_id: ThisBallot,
    body: NewVote,
    user: CurrentUser,
    services: ServicesDep,
    once: OnceDep,
    arrival: ArrivalDep,
) -> Response:
    """A later vote replaces the one before, until the voting ends.

    Nobody votes on what is their own, nor with a second account. Keep the receipt: with it you find your paper among
    the published ones.
    """
    async with services.database.transaction() as session:
        await on_path(session, user, Action.BALLOT_VOTE, ballot_id, "ballot")
        rows = await _rows(session, ballot_id)
    require_active(user)
    terms = BallotTerms.model_validate(rows.ballot.terms)
    barred, request_id = terms.barred(rows.path.initiator_id), f"{user.id}/{once.key}"
    await refuse_self_dealing(
        services, Action.BALLOT_VOTE, ballot_id, user.id, barred, request_id=request_id
    )
    ties: list[Tie] = []

    async def cast(session: AsyncSession, _: str) -> ReceiptView:
        try:
            vote = await ballot_rows.cast(session, ballot_id, user.id, body.paper, arrival)
        except ballot_rows.SecondAccount as second:
            ties.append(second.tie)
            raise NotEligible(str(second), field="voter", accepted="one vote a person") from None
        return ReceiptView.of(vote)

    answer = await once.in_transaction("act", body, cast, status=201)
    for tie in ties:
        # Only now: while votes wait for each other, each of them holds a connection and none is left to write this.
        await _record(services, ballot_id, user.id, tie, request_id)
    return answer


async def _record(
    services: Services, ballot_id: str, user_id: str, tie: Tie, request_id: str
) -> None:
    async with services.database.transaction() as session:
        await refusals.record(
            session,
            request_id=request_id,
            path_id=ballot_id,
            action=Action.BALLOT_VOTE,
            user_id=user_id,
            tie=tie,
        )


@router.get(
    "/{ballot_id}/votes/mine",
    operation_id="getMyVote",
    summary="The own vote",
    responses=problems(NotFound),
)
async def my_vote(ballot_id: ThisBallot, user: CurrentUser, services: ServicesDep) -> MyVoteView:
    """As it stands, with its receipt. Only the voter sees it."""
    async with services.database.reading() as session:
        await on_path(session, user, Action.BALLOT_VIEW, ballot_id, "ballot")
        vote = await ballot_rows.last_of(session, ballot_id, user.id)
    if vote is None:
        raise unknown("vote")
    return MyVoteView.of(vote)


@router.get(
    "/{ballot_id}/tally",
    operation_id="getTally",
    summary="The result",
    responses=problems(NotFound, WrongPhase),
)
async def tally(ballot_id: ThisBallot, user: CurrentUser, services: ServicesDep) -> TallyView:
    """From the public notice on; before it nobody sees how the votes stand."""
    async with services.database.reading() as session:
        rows = await _counted(session, user, ballot_id)
    return TallyView.of(BallotResult.model_validate(rows.ballot.result), rows.ballot.retallies)


@router.get(
    "/{ballot_id}/papers",
    operation_id="listPapers",
    summary="Every vote, in the order in which they were cast",
    responses=problems(NotFound, WrongPhase),
)
async def papers(
    ballot_id: ThisBallot,
    user: CurrentUser,
    services: ServicesDep,
    after: RowCursor = None,
    limit: PapersLimit = 100,
) -> Page[PaperView]:
    """From the public notice on, without names: enough to check the chain and to count for oneself.

    `hash` is the SHA-256, in hex, of `previous_hash`, `|` and the JSON of `at`, `choice`, `seq` and `voter_tag` (here
    `tag`) with sorted keys and without spaces; fields of `choice` that are null are left out.
    """
    async with services.database.reading() as session:
        await _counted(session, user, ballot_id)
        rows = await ballots.papers(session, ballot_id, after or 0, limit + 1)
    return page_of(rows, limit, PaperView.of, lambda row: str(row.vote.seq))


@router.post(
    "/{ballot_id}/recount",
    operation_id="recountBallot",
    summary="Count again and compare",
    response_model=RecountView,
    responses=problems(NotFound, WrongPhase),
)
async def recount(
    ballot_id: ThisBallot, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """By anybody, from the public notice on: reads every vote and compares with what was published.

    Changes nothing.
    """
    async with services.database.transaction() as session:
        await _counted(session, user, ballot_id)

    async def count(_: str) -> RecountView:
        async with services.counting, services.database.transaction() as session:
            rows = await _counted(session, user, ballot_id)
            terms = BallotTerms.model_validate(rows.ballot.terms)
            try:
                found = await ballot_count.count(session, rows.ballot, terms)
            except ChainBroken as broken:
                return RecountView(
                    chain_intact=False,
                    agrees=False,
                    problem=broken.detail,
                    turnout=None,
                    head_hash=None,
                )
        agrees = found == BallotResult.model_validate(rows.ballot.result)
        return RecountView(
            chain_intact=True,
            agrees=agrees,
            problem=None if agrees else "the papers give another result than the published one",
            turnout=found.turnout,
            head_hash=found.head_hash,
        )

    return await once.resumable("act", "", count, status=200)


async def _rows(session: AsyncSession, ballot_id: str) -> BallotRows:
    rows = await ballots.ballot(session, ballot_id)
    if rows is None:
        raise unknown("ballot")
    return rows


async def _counted(session: AsyncSession, user: Caller, ballot_id: str) -> BallotRows:
    """The ballot whose papers are public. Raises NotFound or WrongPhase."""
    await on_path(session, user, Action.BALLOT_VIEW, ballot_id, "ballot")
    rows = await _rows(session, ballot_id)
    if Phase(rows.path.phase) not in COUNTED:
        raise WrongPhase(
            "the votes are secret until they have been counted",
            field="phase",
            accepted=" or ".join(sorted(COUNTED)),
        )
    return rows
