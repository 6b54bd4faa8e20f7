"""Sending notices, apart from what they tell of: a port that is down hinders nothing else."""

from __future__ import annotations

import asyncio
import time
from enum import Enum, auto

import structlog
from temporalio import activity

from db import notices
from db.engine import Database
from db.tables import Notice
from domain.notices import Outgoing, SentNotices, link_line
from domain.plain import Language
from domain.taps import token_of
from domain.time import utc_now
from runtime.notices import NoticePort
from runtime.settings import Settings

_FAILURES_IN_A_ROW = 3
"""Then the port counts as down, and the rest waits for the next round without being tried."""

log = structlog.get_logger()


class _Came(Enum):
    SENT = auto()
    PUT_OFF = auto()
    NOTHING = auto()


class Notices:
    """Activities of the schedule that sends notices. Without a port they are given up when they are old."""

    def __init__(self, database: Database, settings: Settings, port: NoticePort | None) -> None:
        self.database = database
        self.settings = settings
        self.port = port

    @activity.defn(name="send_notices")
    async def send(self) -> SentNotices:
        """One round: everything that is due, oldest first, each in a transaction of its own.

        The row stays locked while it is sent, so that nobody else sends it; only a worker that dies between the port's
        answer and the commit, or a port whose answer gets lost, lets one be sent again.
        """
        policy = self.settings.notice_policy
        async with self.database.transaction() as session:
            given_up = await notices.give_up_old(session, policy)
        sent = put_off = in_a_row = 0
        until = time.monotonic() + policy.run_seconds
        while in_a_row < _FAILURES_IN_A_ROW and time.monotonic() < until:
            match await self._next():
                case _Came.SENT:
                    sent, in_a_row = sent + 1, 0
                case _Came.PUT_OFF:
                    put_off, in_a_row = put_off + 1, in_a_row + 1
                case _Came.NOTHING:
                    break
        return SentNotices(sent=sent, put_off=put_off, given_up=given_up)

    async def _next(self) -> _Came:
        if self.port is None:
            return _Came.NOTHING
        async with self.database.transaction() as session:
            row = await notices.next_due(session)
            if row is None:
                return _Came.NOTHING
            try:
                async with asyncio.timeout(self.settings.notice_policy.send_seconds):
                    await self.port.send(self._outgoing(row))
            except Exception as failed:
                # A port of somebody's own may raise anything: none of it may stop the others.
                log.warning("notice not sent", notice=row.id, tries=row.tries, reason=repr(failed))
                notices.put_off(row, utc_now(), self.settings.notice_policy)
                return _Came.PUT_OFF
            notices.mark_sent(row, utc_now())
            return _Came.SENT

    def _outgoing(self, row: Notice) -> Outgoing:
        language = Language(row.language)
        return Outgoing(
            notice_id=row.id,
            user_id=row.user_id,
            language=language,
            words=row.words,
            links=tuple(
                link_line(each.does, self.link(token_of(self._key, each)), language)
                for each in notices.taps_of(row)
            ),
        )

    def link(self, token: str) -> str:
        """The address of a tap."""
        return f"{self.settings.api_url}/v1/taps/{token}"

    @property
    def _key(self) -> bytes:
        return self.settings.tap_key.get_secret_value().encode()
