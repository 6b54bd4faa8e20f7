"""What the routes of match calls share: seeing one, acting on one, showing one."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path
from sqlalchemy.ext.asyncio import AsyncSession
from temporalio.workflow import UpdateMethodMultiParam

from api.acts import said_by, tell
from api.auth import Caller
from api.policy import on_path, unknown
from api.schemas.match_calls import MatchCallView
from api.services import Services
from db.queries import match_calls
from db.queries.match_calls import CallRows
from db.queries.paths import Seen
from domain.access import Action, Relation
from domain.ids import MatchCallId
from domain.match_call import CallTerms, Phase
from domain.match_call_messages import CallAct
from domain.path import Standing
from workflows.match_call import MatchCall

ThisCall = Annotated[MatchCallId, Path(alias="call_id", description="Id of the match call.")]
CallUpdate = UpdateMethodMultiParam[[MatchCall, CallAct], Standing]
_INSIDE = {Relation.INITIATOR, Relation.OPERATOR}


async def seen_call(
    services: Services, user: Caller, call_id: str, action: Action = Action.MATCH_VIEW
) -> Seen:
    """The call and what the caller is to it, who may act on it. Raises NotFound or Forbidden."""
    async with services.database.reading() as session:
        return await see_call(session, user, call_id, action)


async def see_call(
    session: AsyncSession, user: Caller, call_id: str, action: Action = Action.MATCH_VIEW
) -> Seen:
    """The same within a transaction."""
    seen = await on_path(session, user, action, call_id, "match call")
    outside = not seen.relations & _INSIDE
    if outside and seen.phase == Phase.CANCELLED and await match_calls.was_draft(session, call_id):
        raise unknown("match call")
    return seen


async def tell_call(
    services: Services,
    user: Caller,
    seen: Seen,
    update: CallUpdate,
    act: CallAct,
    update_id: str,
    *,
    actor: str | None = None,
) -> Standing:
    """Tells the call's story of an act by the caller, in the role they have or in `actor`'s."""
    who = said_by(user, seen, act.note).model_dump()
    said = act.model_copy(update={**who, **({"actor": actor} if actor else {})})
    return await tell(services, seen, update, said, update_id)


async def call_rows(session: AsyncSession, call_id: str) -> CallRows:
    """The call and what belongs to it. Raises NotFound."""
    rows = await match_calls.call(session, call_id)
    if rows is None:
        raise unknown("match call")
    return rows


async def stored_terms(services: Services, call_id: str) -> CallTerms:
    """What the sponsor promises. Raises NotFound."""
    async with services.database.reading() as session:
        return CallTerms.model_validate((await call_rows(session, call_id)).call.terms)


async def call_view(session: AsyncSession, seen: Seen, call_id: str) -> MatchCallView:
    """The call as somebody of these relations may see it."""
    rows = await call_rows(session, call_id)
    return MatchCallView.seen(rows, as_sponsor=Relation.INITIATOR in seen.relations)


async def show_call(services: Services, user: Caller, call_id: str) -> MatchCallView:
    """The call as the caller may see it. Raises NotFound."""
    async with services.database.reading() as session:
        return await call_view(session, await see_call(session, user, call_id), call_id)
