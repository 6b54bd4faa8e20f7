"""From the announced winner to the released prize: hand-over, revision, acceptance, and awards that are taken back."""

from __future__ import annotations

from fastapi import APIRouter, Response

from api.auth import CurrentUser
from api.contest_acts import ThisContest, act_on, as_operator, look_at, seen_contest, void_winner
from api.errors import problems
from api.idempotency import OnceDep
from api.policy import on_path
from api.schemas.contests import (
    ContestView,
    DeliveryIn,
    HandOversView,
    HandOverView,
    LicenceView,
    PrizeNote,
    SignatureView,
    VoidAward,
)
from api.services import ServicesDep
from db import entries as entry_rows
from db.queries import contests
from domain.access import Action, Relation
from domain.contest_messages import ContestAct, Delivery
from domain.errors import (
    AccountFrozen,
    Forbidden,
    InvalidInput,
    LimitReached,
    NotFound,
    TooLate,
    UnknownFile,
    WrongPhase,
)
from workflows.contest import Contest

router = APIRouter(prefix="/v1/contests", tags=["contests"])


@router.post(
    "/{contest_id}/hand-over",
    operation_id="handOver",
    summary="Sign the licence and hand the files over",
    response_model=ContestView,
    responses=problems(Forbidden, NotFound, WrongPhase, InvalidInput, UnknownFile),
)
async def hand_over(
    contest_id: ThisContest,
    body: DeliveryIn,
    user: CurrentUser,
    services: ServicesDep,
    once: OnceDep,
) -> Response:
    """By the winner of the prize."""
    act = ContestAct(
        actor="",
        note=body.note,
        prize=body.prize,
        delivery=Delivery(licence_sha256=body.licence_sha256, file_ids=body.file_ids),
    )
    by_winner, update = Action.CONTEST_HAND_OVER, Contest.deliver
    return await act_on(
        services, once, user, contest_id, body, by_winner, update, act, active=False
    )


@router.post(
    "/{contest_id}/request-revision",
    operation_id="requestRevision",
    summary="Ask a winner for a revision",
    response_model=ContestView,
    responses=problems(Forbidden, NotFound, WrongPhase, AccountFrozen, LimitReached),
)
async def request_revision(
    contest_id: ThisContest,
    body: PrizeNote,
    user: CurrentUser,
    services: ServicesDep,
    once: OnceDep,
) -> Response:
    """By the owner, a limited number of times; the winner's and then the owner's window begin anew."""
    act = ContestAct(actor="", note=body.note, prize=body.prize)
    decide, update = Action.CONTEST_DECIDE, Contest.ask_revision
    return await act_on(services, once, user, contest_id, body, decide, update, act)


@router.post(
    "/{contest_id}/accept",
    operation_id="acceptHandOver",
    summary="Accept what a winner handed over",
    response_model=ContestView,
    responses=problems(Forbidden, NotFound, WrongPhase),
)
async def accept_hand_over(
    contest_id: ThisContest,
    body: PrizeNote,
    user: CurrentUser,
    services: ServicesDep,
    once: OnceDep,
) -> Response:
    """By the owner; the prize is released to its winner."""
    act = ContestAct(actor="", note=body.note, prize=body.prize)
    decide, update = Action.CONTEST_DECIDE, Contest.accept
    return await act_on(services, once, user, contest_id, body, decide, update, act, active=False)


@router.get(
    "/{contest_id}/hand-overs",
    operation_id="listHandOvers",
    summary="What was handed over and signed",
    responses=problems(Forbidden, NotFound),
)
async def list_hand_overs(
    contest_id: ThisContest, user: CurrentUser, services: ServicesDep
) -> HandOversView:
    """For the owner and operators all of it, for a creator their own part."""
    async with services.database.reading() as session:
        seen = await on_path(session, user, Action.PATH_STATEMENT_VIEW, contest_id, "contest")
        terms = await entry_rows.terms_of(session, contest_id)
        signed = await contests.signatures(session, contest_id)
        given = await contests.hand_overs(session, contest_id)
        own = await entry_rows.entry_ids_of(session, contest_id, user.id)
    everything = bool(seen.relations & {Relation.INITIATOR, Relation.OPERATOR})
    return HandOversView(
        licence=LicenceView(text=terms.licence, sha256=terms.licence_sha256),
        hand_overs=[HandOverView.of(g) for g in given if everything or g.entry_id in own],
        signatures=[
            SignatureView.of(s)
            for s in signed
            if everything or s.entry_id is None or s.entry_id in own
        ],
    )


@router.post(
    "/{contest_id}/void-award",
    operation_id="voidAward",
    summary="Take a winning entry out",
    response_model=ContestView,
    responses=problems(Forbidden, NotFound, WrongPhase, InvalidInput, TooLate),
)
async def void_award(
    contest_id: ThisContest,
    body: VoidAward,
    user: CurrentUser,
    services: ServicesDep,
    once: OnceDep,
) -> Response:
    """By operators, for plagiarism or fraud: before the prize is paid it goes on, afterwards it is clawed back."""
    seen = await seen_contest(services, user, contest_id, Action.CONTEST_RULE)

    async def void(update_id: str) -> ContestView:
        act = as_operator(user, seen, body.reason).model_copy(update={"entry_id": body.entry_id})
        await void_winner(services, seen, contest_id, act, update_id)
        return await look_at(services, contest_id, user)

    return await once.resumable("act", body, void, status=200)
