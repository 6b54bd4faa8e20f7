"""Contests: what owner, winners and operators do with one."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response
from sqlalchemy.ext.asyncio import AsyncSession

from api.acts import begin, said_by, tell
from api.auth import CurrentUser
from api.contest_acts import ThisContest, act_on, look_at, opening_of, seen_contest, view_of
from api.contest_drafts import drafted, funding_wish, terms_of_draft
from api.errors import problems
from api.idempotency import OnceDep
from api.policy import (
    DRAFT,
    on_path,
    refuse_self_dealing,
    require,
    require_active,
    require_may_pay,
    see_path,
)
from api.schemas.base import Limit, Page, page_of
from api.schemas.contests import (
    Announcement,
    ContestView,
    ExtendContest,
    Finalists,
    FundContest,
    NewContest,
)
from api.schemas.sales import Note
from api.services import ServicesDep
from db import contest_drafts
from db.queries import contests
from domain.access import Action
from domain.contest import Phase
from domain.contest_messages import Award, ContestAct, ContestStart
from domain.errors import (
    AccountFrozen,
    AmountOutOfRange,
    Forbidden,
    HoldTooLong,
    InvalidInput,
    LimitReached,
    NotFound,
    PayerLocked,
    ProviderUnreachable,
    SelfDealing,
    SharesDoNotSum,
    TooLate,
    UnknownFile,
    WrongPhase,
)
from domain.ids import ContestId
from workflows.contest import Contest

router = APIRouter(prefix="/v1/contests", tags=["contests"])
ContestCursor = Annotated[ContestId | None, Query(description="`next` of the page before.")]
_ACT = problems(Forbidden, NotFound, WrongPhase, AccountFrozen)


@router.post(
    "",
    operation_id="draftContest",
    summary="Draft a contest",
    status_code=201,
    response_model=ContestView,
    responses=problems(SharesDoNotSum, InvalidInput, UnknownFile, AccountFrozen),
)
async def draft_contest(
    body: NewContest, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """Nobody but its owner sees a draft; it opens when it is funded."""
    require(Action.CONTEST_CREATE, user.relations())
    require_active(user)

    async def draft(session: AsyncSession, contest_id: str) -> ContestView:
        await drafted(session, services, user, contest_id, body)
        return await view_of(session, contest_id, user)

    return await once.in_transaction("con", body, draft, status=201)


@router.put(
    "/{contest_id}",
    operation_id="changeContestDraft",
    summary="Change a draft",
    responses=problems(SharesDoNotSum, InvalidInput, UnknownFile, Forbidden, NotFound, WrongPhase),
)
async def change_draft(
    contest_id: ThisContest, body: NewContest, user: CurrentUser, services: ServicesDep
) -> ContestView:
    """By its owner, before it is funded."""
    async with services.database.transaction() as session:
        await on_path(session, user, Action.CONTEST_EDIT, contest_id, "contest")
        await drafted(session, services, user, contest_id, body)
        return await view_of(session, contest_id, user)


@router.get("", operation_id="listContests", summary="Contests, newest first")
async def list_contests(
    user: CurrentUser,
    services: ServicesDep,
    mine: bool = False,
    after: ContestCursor = None,
    limit: Limit = 50,
) -> Page[ContestView]:
    """Those that run; with `mine` all of the signed-in user's own, drafts and ended ones too."""
    async with services.database.reading() as session:
        rows = await contests.contests(
            session, owner_id=user.id if mine else None, after=after, limit=limit + 1
        )
    return page_of(
        rows, limit, lambda row: ContestView.of(row, payments=mine), lambda row: row.contest.id
    )


@router.get(
    "/{contest_id}", operation_id="getContest", summary="A contest", responses=problems(NotFound)
)
async def get_contest(
    contest_id: ThisContest, user: CurrentUser, services: ServicesDep
) -> ContestView:
    """For everybody who is signed in; a draft for its owner and operators."""
    async with services.database.reading() as session:
        await see_path(session, user, contest_id)
        return await view_of(session, contest_id, user)


@router.post(
    "/{contest_id}/fund",
    operation_id="fundContest",
    summary="Sign the licence and pay the bounty",
    response_model=ContestView,
    responses=problems(
        Forbidden,
        NotFound,
        WrongPhase,
        PayerLocked,
        AccountFrozen,
        HoldTooLong,
        ProviderUnreachable,
    ),
)
async def fund_contest(
    contest_id: ThisContest,
    body: FundContest,
    user: CurrentUser,
    services: ServicesDep,
    once: OnceDep,
) -> Response:
    """Fixes the terms and answers where to pay; the contest opens when the bounty has arrived."""
    seen = await seen_contest(services, user, contest_id, Action.CONTEST_FUND)
    require_active(user)
    await require_may_pay(services, user)

    async def fund(update_id: str) -> ContestView:
        if seen.phase not in (Phase.DRAFT, Phase.FUNDING):
            raise WrongPhase(f"the contest is {seen.phase}", field="phase", accepted=Phase.DRAFT)
        terms = await terms_of_draft(services, contest_id)
        if body.licence_sha256 != terms.licence_sha256:
            raise InvalidInput(
                "this is not the licence of the contest",
                field="licence_sha256",
                accepted=terms.licence_sha256,
            )
        wish = funding_wish(services, terms, body.pay_by, body.return_url)
        # A story that has not begun stands nowhere yet.
        act = said_by(user, seen).model_copy(update={"phase_seen": None})
        await begin(
            services,
            opening_of(terms),
            ContestStart(contest_id=contest_id, owner_id=user.id, title=terms.title),
            Contest.fund,
            ContestAct(**act.model_dump(), funding=wish),
            update_id,
        )
        return await look_at(services, contest_id, user)

    return await once.resumable("act", body, fund, status=200)


@router.post(
    "/{contest_id}/cancel",
    operation_id="cancelContest",
    summary="Give up before the bounty is paid",
    response_model=ContestView,
    responses=_ACT,
)
async def cancel_contest(
    contest_id: ThisContest, body: Note, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """By the owner, while it is a draft or waits for its money."""
    seen = await seen_contest(services, user, contest_id, Action.CONTEST_EDIT)

    async def cancel(update_id: str) -> ContestView:
        if seen.phase == DRAFT:
            async with services.database.transaction() as session:
                await contest_drafts.drop_draft(session, contest_id)
        elif seen.phase not in (Phase.FUNDING, Phase.EXPIRED):
            raise WrongPhase(
                f"the contest is {seen.phase}", field="phase", accepted="draft or funding"
            )
        else:
            # Expired: a request that is repeated gets the story's former answer, any other one hears that it has ended.
            act = ContestAct(**said_by(user, seen, body.note).model_dump())
            await tell(services, seen, Contest.cancel, act, update_id)
        return await look_at(services, contest_id, user)

    return await once.resumable("act", body, cancel, status=200)


@router.post(
    "/{contest_id}/extend",
    operation_id="extendContest",
    summary="Add bounty for more time",
    response_model=ContestView,
    responses=problems(
        Forbidden,
        NotFound,
        WrongPhase,
        AccountFrozen,
        AmountOutOfRange,
        LimitReached,
        ProviderUnreachable,
    ),
)
async def extend_contest(
    contest_id: ThisContest,
    body: ExtendContest,
    user: CurrentUser,
    services: ServicesDep,
    once: OnceDep,
) -> Response:
    """By the owner while entries are open; answers where to pay, and counts when the money arrives in time."""
    await seen_contest(services, user, contest_id, Action.CONTEST_DECIDE)
    terms = await terms_of_draft(services, contest_id)
    wish = funding_wish(services, terms, body.pay_by, body.return_url)
    return await act_on(
        services,
        once,
        user,
        contest_id,
        body,
        Action.CONTEST_DECIDE,
        Contest.extend,
        ContestAct(actor="", amount=body.amount, funding=wish),
    )


@router.post(
    "/{contest_id}/finalists",
    operation_id="pickFinalists",
    summary="Name the finalists",
    response_model=ContestView,
    responses=problems(Forbidden, NotFound, WrongPhase, AccountFrozen, InvalidInput),
)
async def pick_finalists(
    contest_id: ThisContest,
    body: Finalists,
    user: CurrentUser,
    services: ServicesDep,
    once: OnceDep,
) -> Response:
    """By the owner of a contest with two rounds; from now on the bounty is guaranteed."""
    act = ContestAct(actor="", note=body.note, entry_ids=body.entry_ids)
    decide, update = Action.CONTEST_DECIDE, Contest.pick_finalists
    return await act_on(services, once, user, contest_id, body, decide, update, act)


@router.post(
    "/{contest_id}/announce",
    operation_id="announceWinners",
    summary="Choose the winners",
    response_model=ContestView,
    responses=problems(Forbidden, NotFound, WrongPhase, AccountFrozen, InvalidInput, SelfDealing),
)
async def announce_winners(
    contest_id: ThisContest,
    body: Announcement,
    user: CurrentUser,
    services: ServicesDep,
    once: OnceDep,
) -> Response:
    """By the owner; the choice is on public notice before any money moves."""
    act = ContestAct(
        actor="",
        note=body.note,
        awards=tuple(Award(prize=a.prize, entry_id=a.entry_id) for a in body.awards),
        runners_up=body.runners_up,
    )
    decide, update = Action.CONTEST_DECIDE, Contest.announce
    await seen_contest(services, user, contest_id, decide)
    named = contests.creators(contest_id, [*(a.entry_id for a in body.awards), *body.runners_up])
    await refuse_self_dealing(services, decide, contest_id, user.id, named)
    return await act_on(services, once, user, contest_id, body, decide, update, act)


@router.post(
    "/{contest_id}/take-back",
    operation_id="takeBountyBack",
    summary="Take the bounty of a refundable contest back",
    response_model=ContestView,
    responses=problems(Forbidden, NotFound, WrongPhase, AccountFrozen, TooLate),
)
async def take_back(
    contest_id: ThisContest, body: Note, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """By the owner, while nobody is shortlisted; all entries are hidden again and the owner has no right to any."""
    act = ContestAct(actor="", note=body.note)
    decide, update = Action.CONTEST_DECIDE, Contest.take_back
    return await act_on(services, once, user, contest_id, body, decide, update, act)
