"""What the routes of a contest have in common: one act of one party, and the view it is answered with."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Response
from sqlalchemy.ext.asyncio import AsyncSession
from temporalio.workflow import UpdateMethodMultiParam

from api.acts import Opening, begin, said_by, tell
from api.auth import Caller
from api.idempotency import Once
from api.policy import on_path, require_active, unknown
from api.schemas.base import Body
from api.schemas.contests import ContestView
from api.services import Services
from db import contest_drafts
from db import entries as entry_rows
from db.queries import contests
from db.queries.paths import Seen
from domain.access import Action, Relation
from domain.contest import ContestTerms, Phase, bounty_in_words
from domain.contest_messages import ContestAct, ContestStart, Reopening
from domain.errors import WrongPhase
from domain.ids import ContestId, reopened_workflow_id
from domain.path import Standing
from domain.text import as_markdown
from workflows.contest import Contest
from workflows.names import contest_workflow_id

ThisContest = Annotated[ContestId, Path(alias="contest_id", description="Id of the contest.")]


async def act_on(
    services: Services,
    once: Once,
    user: Caller,
    contest_id: str,
    body: Body,
    action: Action,
    update: UpdateMethodMultiParam[[Contest, ContestAct], Standing],
    act: ContestAct,
    *,
    active: bool = True,
) -> Response:
    """One act of one party; the workflow decides whether it is still possible."""
    seen = await seen_contest(services, user, contest_id, action)
    if active:
        require_active(user)
    said = said_by(user, seen, act.note)
    said_act = act.model_copy(update=said.model_dump())

    async def tell_it(update_id: str) -> ContestView:
        if seen.phase == Phase.DRAFT:
            raise WrongPhase(
                "a draft has no story yet", field="phase", accepted="the same when it is funded"
            )
        await tell(services, seen, update, said_act, update_id)
        return await look_at(services, contest_id, user)

    return await once.resumable("act", body, tell_it, status=200)


def as_operator(user: Caller, seen: Seen, note: str) -> ContestAct:
    """Who rules, as an operator whatever else they are to the contest."""
    said = said_by(user, seen, note)
    return ContestAct(**said.model_dump()).model_copy(update={"actor": Relation.OPERATOR.value})


async def seen_contest(services: Services, user: Caller, contest_id: str, action: Action) -> Seen:
    """The contest and what the caller is to it. Raises NotFound or Forbidden."""
    async with services.database.reading() as session:
        return await on_path(session, user, action, contest_id, "contest")


def opening_of(terms: ContestTerms) -> Opening:
    """What operators read about a contest from its start."""
    amount = bounty_in_words(terms, contest_drafts.fresh_state(terms))
    kind = "guaranteed" if terms.guaranteed else "refundable"
    return Opening(
        workflow="Contest",
        workflow_id=contest_workflow_id(terms.contest_id),
        kind="contest",
        initiator_id=terms.owner_id,
        currency=terms.currency,
        summary=f"{amount}: {as_markdown(terms.title)}",
        details=(
            f"Contest **{as_markdown(terms.title)}** with a bounty of **{amount}** ({kind}), held in escrow until "
            f"the winners have handed over.\n\n- Owner: {terms.owner_id}\n- Prizes: {len(terms.prizes)}"
        ),
    )


async def look_at(services: Services, contest_id: str, user: Caller) -> ContestView:
    """The contest as its caller sees it now."""
    async with services.database.reading() as session:
        return await view_of(session, contest_id, user)


async def view_of(session: AsyncSession, contest_id: str, user: Caller) -> ContestView:
    """The contest as its caller sees it. Raises NotFound."""
    rows = await contests.contest(session, contest_id)
    if rows is None:
        raise unknown("contest")
    return ContestView.of(rows, payments=rows.contest.owner_id == user.id)


async def void_winner(
    services: Services, seen: Seen, contest_id: str, act: ContestAct, update_id: str
) -> None:
    """Takes a winning entry out, in a running contest or in one that has ended."""
    if seen.phase != Phase.COMPLETED:
        await tell(services, seen, Contest.void_entry, act, update_id)
        return
    async with services.database.transaction() as session:
        state = await entry_rows.state_of(session, contest_id)
        terms = await entry_rows.terms_of(session, contest_id)
    number = state.reopened + 1
    opening = opening_of(terms).model_copy(
        update={"workflow_id": reopened_workflow_id(contest_workflow_id(contest_id), number)}
    )
    start = ContestStart(
        contest_id=contest_id,
        owner_id=terms.owner_id,
        title=terms.title,
        reopening=Reopening(number=number),
    )
    await begin(services, opening, start, Contest.take_award_back, act, update_id)
