"""One's notices, and how they are written."""

from __future__ import annotations

from fastapi import APIRouter

from api.auth import CurrentUser
from api.schemas.base import Limit, Page, RowCursor, page_of
from api.schemas.notices import NoticeView, NoticeWishIn, NoticeWishView
from api.services import ServicesDep
from db import notices

router = APIRouter(prefix="/v1/me", tags=["notices"])


@router.get("/notices", operation_id="listMyNotices", summary="What I was told, newest first")
async def list_my_notices(
    user: CurrentUser, services: ServicesDep, after: RowCursor = None, limit: Limit = 50
) -> Page[NoticeView]:
    """The short texts about each step of one's lots, and of those one acts for as a broker. Without their links."""
    async with services.database.reading() as session:
        rows = await notices.page(session, user.id, after, limit + 1)
    return page_of(rows, limit, NoticeView.of, lambda row: str(row.id))


@router.get(
    "/notice-settings", operation_id="getNoticeSettings", summary="How my notices are written"
)
async def get_notice_settings(user: CurrentUser, services: ServicesDep) -> NoticeWishView:
    """Language and time zone; Chinese and Beijing time unless something else was chosen."""
    async with services.database.reading() as session:
        return NoticeWishView.of(await notices.reader_of(session, user.id))


@router.put(
    "/notice-settings",
    operation_id="chooseNoticeSettings",
    summary="Choose how my notices are written",
)
async def choose_notice_settings(
    body: NoticeWishIn, user: CurrentUser, services: ServicesDep
) -> NoticeWishView:
    """From now on; what was written before stays as it is."""
    async with services.database.transaction() as session:
        await notices.wish(session, user.id, body.language, body.time_zone)
        return NoticeWishView.of(await notices.reader_of(session, user.id))
