"""What the routes of help in kind share: seeing an offer, acting on one, showing one."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Response
from sqlalchemy.ext.asyncio import AsyncSession
from temporalio.workflow import UpdateMethodMultiParam

from api.acts import said_by, tell
from api.auth import Caller
from api.idempotency import Once
from api.policy import on_path, unknown
from api.schemas.base import Body
from api.schemas.in_kind import AgreementView, InKindView
from api.services import Services
from db.queries import files, in_kind
from db.queries.paths import Seen
from domain.access import Action, Relation
from domain.ids import InKindId
from domain.in_kind import Phase, Said
from domain.in_kind_messages import InKindAct
from domain.path import Standing
from workflows.in_kind import InKind

ThisInKind = Annotated[InKindId, Path(alias="in_kind_id", description="Id of the offer.")]
InKindUpdate = UpdateMethodMultiParam[[InKind, InKindAct], Standing]


async def seen_in_kind(
    services: Services, user: Caller, in_kind_id: str, action: Action = Action.IN_KIND_VIEW
) -> Seen:
    """The offer and what the caller is to it, who may act on it. Raises NotFound or Forbidden."""
    async with services.database.reading() as session:
        return await see_in_kind(session, user, in_kind_id, action)


async def see_in_kind(
    session: AsyncSession, user: Caller, in_kind_id: str, action: Action = Action.IN_KIND_VIEW
) -> Seen:
    """The same within a transaction."""
    seen = await on_path(session, user, action, in_kind_id, "offer")
    outside = not seen.relations & {Relation.INITIATOR, Relation.OPERATOR}
    if outside and seen.phase == Phase.WITHDRAWN and await in_kind.was_draft(session, in_kind_id):
        raise unknown("offer")
    return seen


async def act_on_in_kind(
    services: Services,
    once: Once,
    user: Caller,
    in_kind_id: str,
    body: Body,
    action: Action,
    update: InKindUpdate,
    said: Said | None = None,
    *,
    ask_id: str | None = None,
) -> Response:
    """One act of one party; the workflow decides whether it is still possible. `said`: what they say besides.

    Raises UnknownFile for files of somebody else.
    """
    seen = await seen_in_kind(services, user, in_kind_id, action)
    file_ids: tuple[str, ...] = getattr(body, "file_ids", ())
    if file_ids:
        async with services.database.transaction() as session:
            await files.attachable(session, user.id, file_ids)

    async def act(update_id: str) -> InKindView:
        who = said_by(user, seen, getattr(body, "note", ""))
        if action is Action.IN_KIND_RULE:
            who = who.model_copy(update={"actor": Relation.OPERATOR.value})
        full = InKindAct(**who.model_dump(), said=said or Said(), ask_id=ask_id, file_ids=file_ids)
        await tell(services, seen, update, full, update_id)
        return await show_in_kind(services, user, in_kind_id)

    return await once.resumable("act", body, act, status=200)


async def show_in_kind(services: Services, user: Caller, in_kind_id: str) -> InKindView:
    """The offer as the caller may see it. Raises NotFound."""
    async with services.database.reading() as session:
        seen = await see_in_kind(session, user, in_kind_id)
        return await in_kind_view(session, user, seen, in_kind_id)


async def in_kind_view(
    session: AsyncSession, user: Caller, seen: Seen, in_kind_id: str
) -> InKindView:
    """The offer as somebody of these relations may see it."""
    rows = await in_kind.in_kind(session, in_kind_id)
    if rows is None:
        raise unknown("offer")
    judges = bool(seen.relations & {Relation.INITIATOR, Relation.OPERATOR})
    picked = Relation.ASKER in seen.relations and rows.offer.asker_id is not None
    agreement = None
    if judges or picked:
        agreement = AgreementView.of(rows, as_asker=not judges, user_id=user.id)
    return InKindView.seen(rows, asks=rows.asks if judges else None, agreement=agreement)
