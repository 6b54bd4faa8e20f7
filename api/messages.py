"""What the people of a path write to each other. It stays as it was written: it may be evidence one day."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from sqlalchemy.ext.asyncio import AsyncSession

from api.auth import Caller, CurrentUser
from api.errors import problems
from api.idempotency import OnceDep
from api.policy import on_path, require, role_of, unknown
from api.schemas.base import Limit, Page, page_of
from api.schemas.messages import MessageIn, MessageView
from api.services import ServicesDep
from db.queries import files, messages, paths
from domain.access import Action, Relation, allowed
from domain.errors import Forbidden, InvalidInput, LimitReached, NotFound, UnknownFile
from domain.ids import MessageId, PathId

router = APIRouter(prefix="/v1/paths/{path_id}/messages", tags=["paths"])
ThisPath = Annotated[PathId, Path(description="Id of the path, such as `sal_…`.")]
MessageCursor = Annotated[MessageId | None, Query(description="`next` of the page before.")]


async def _taking_part(
    session: AsyncSession, user: Caller, path_id: str, action: Action
) -> frozenset[Relation]:
    """What the caller is to the path. Raises NotFound for everybody who has no part in it."""
    found = await paths.seen_by(session, path_id, user.id)
    if found is None or not allowed(Action.MESSAGE_SEE, user.relations() | found.relations):
        raise unknown("path")
    if action is Action.MESSAGE_WRITE:
        require(action, found.relations)
    return (await on_path(session, user, action, path_id)).relations


@router.post(
    "",
    operation_id="writeMessage",
    summary="Write to somebody of the path",
    status_code=201,
    response_model=MessageView,
    responses=problems(Forbidden, InvalidInput, LimitReached, NotFound, UnknownFile),
)
async def write_message(
    path_id: ThisPath,
    body: MessageIn,
    user: CurrentUser,
    services: ServicesDep,
    once: OnceDep,
) -> Response:
    """By those who have a part in it, also while their account is frozen. Nothing that was written is changed later."""
    async with services.database.transaction() as session:
        relations = await _taking_part(session, user, path_id, Action.MESSAGE_WRITE)

    async def write(session: AsyncSession, message_id: str) -> MessageView:
        await files.attachable(session, user.id, body.file_ids)
        to_id = await messages.other_side(session, path_id, user.id, body.to_id, relations)
        said = messages.Said(
            message_id=message_id,
            path_id=path_id,
            author_id=user.id,
            role=role_of(relations),
            to_id=to_id,
            subject=body.subject,
            body=body.body,
            file_ids=body.file_ids,
        )
        return MessageView.of(await messages.write(session, said))

    return await once.in_transaction("msg", body, write, status=201)


@router.get(
    "",
    operation_id="listMessages",
    summary="What was written on the path, oldest first",
    responses=problems(NotFound),
)
async def list_messages(
    path_id: ThisPath,
    user: CurrentUser,
    services: ServicesDep,
    after: MessageCursor = None,
    limit: Limit = 50,
) -> Page[MessageView]:
    """For operators all of it, for others what they wrote and what was written to them."""
    async with services.database.reading() as session:
        relations = await _taking_part(session, user, path_id, Action.MESSAGE_SEE)
        reader = None if Relation.OPERATOR in relations else user.id
        rows = await messages.page(session, path_id, reader, after, limit + 1)
    return page_of(rows, limit, MessageView.of, lambda row: row.id)
