"""Sending notices: each once, side by side, and a port that is down neither loses one nor hinders the others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import pytest_asyncio
from pydantic import SecretStr

from activities.notices import Notices
from db import notices
from db.engine import Database
from domain.notice_policy import NoticePolicy
from domain.notices import Outgoing, SentNotices
from domain.plain import Language
from domain.taps import Does, Tap
from domain.time import utc_now
from runtime.notices import ConsoleNotices, FileNotices, NoticePort, notice_port
from runtime.settings import Settings
from tests.stories.calls import Field

pytestmark = pytest.mark.asyncio
POLICY = NoticePolicy(first_seconds=3_600)


class Port:
    """A port that keeps what it was given, or is down."""

    def __init__(self, *failures: Exception) -> None:
        self.taken: list[int] = []
        self.failures = list(failures)
        self.tried = 0

    async def send(self, notice: Outgoing) -> None:
        self.tried += 1
        await asyncio.sleep(0)
        if self.failures:
            raise self.failures.pop()
        self.taken.append(notice.notice_id)


class Outbox:
    """A database with notices to one person."""

    def __init__(self, url: str, database: Database, folder: Path) -> None:
        self.url = url
        self.database = database
        field = Field(url, database)
        [self.user_id] = field.people(1)
        self.path_id = field.campaign()
        self.settings = Settings(
            data_dir=folder,
            database_url=SecretStr(url),
            notice_policy=POLICY,
            public_url="https://baigong.example",
        )

    async def write(self, *keys: str, taps: tuple[Tap, ...] = ()) -> None:
        """Notices as transitions write them."""
        for key in keys:
            async with self.database.transaction() as session:
                await notices.say(
                    session,
                    key=key,
                    user_id=self.user_id,
                    path_id=self.path_id,
                    language=Language.ZH,
                    words=f"《竹篮》{key}",
                    taps=taps,
                )

    async def round(self, port: NoticePort | None) -> SentNotices:
        """One round of sending."""
        return await Notices(self.database, self.settings, port).send()

    def rows(self) -> list[tuple[Any, ...]]:
        """Key, state and tries of each notice."""
        return self.sql("SELECT key, state, tries FROM notices ORDER BY id")

    def sql(self, query: str) -> list[tuple[Any, ...]]:
        """Reads or changes the rows past the platform."""
        with psycopg.connect(self.url) as connection:
            cursor = connection.execute(query.encode())
            return cursor.fetchall() if cursor.description else []


@pytest_asyncio.fixture
async def outbox(ledger_url: str, tmp_path: Path) -> AsyncIterator[Outbox]:
    """An otherwise empty database."""
    database = Database(ledger_url, pool_size=10)
    try:
        yield Outbox(ledger_url, database, tmp_path)
    finally:
        await database.aclose()


async def test_each_is_written_once_and_sent_once_by_many(outbox: Outbox) -> None:
    await outbox.write(*"abcdefgh", "a", "b")
    ports = [Port() for _ in range(4)]
    rounds = await asyncio.gather(*(outbox.round(port) for port in ports))
    taken = sorted(each for port in ports for each in port.taken)
    assert len(taken) == len(set(taken)) == sum(each.sent for each in rounds) == 8
    assert outbox.rows() == [(key, "sent", 1) for key in "abcdefgh"]
    assert (await outbox.round(Port())).sent == 0


async def test_a_port_that_is_down_loses_nothing_and_is_not_pestered(outbox: Outbox) -> None:
    await outbox.write(*"abcde")
    down = Port(*(OSError("no network") for _ in range(9)))
    assert await outbox.round(down) == SentNotices(put_off=3)
    assert down.tried == 3
    assert outbox.rows() == [(key, "waiting", 1) for key in "abc"] + [
        (key, "waiting", 0) for key in "de"
    ]
    # One that nobody can deliver does not stand in the way of the others.
    up = Port(ValueError("no such number"))
    assert await outbox.round(up) == SentNotices(sent=1, put_off=1)
    outbox.sql("UPDATE notices SET due_at = now() WHERE state = 'waiting'")
    assert await outbox.round(up) == SentNotices(sent=4)
    assert {state for _, state, _ in outbox.rows()} == {"sent"}
    assert len(set(up.taken)) == 5


async def test_tries_come_at_doubled_distance_and_old_ones_are_given_up(outbox: Outbox) -> None:
    await outbox.write("a")
    for tries in range(4):
        outbox.sql("UPDATE notices SET due_at = now()")
        await outbox.round(Port(TimeoutError()))
        [(waits,)] = outbox.sql("SELECT extract(epoch FROM due_at - now())::int FROM notices")
        assert waits == pytest.approx(min(3_600 * 2**tries, POLICY.longest_seconds), abs=60)
    outbox.sql("UPDATE notices SET due_at = now(), created_at = now() - interval '4 days'")
    port = Port()
    assert await outbox.round(port) == SentNotices(given_up=1)
    assert (port.tried, outbox.rows()) == (0, [("a", "given_up", 4)])


async def test_a_port_that_hangs_is_left(outbox: Outbox) -> None:
    class Hanging:
        async def send(self, notice: Outgoing) -> None:
            await asyncio.Event().wait()

    await outbox.write("a")
    brief = POLICY.model_copy(update={"send_seconds": 0})
    outbox.settings = outbox.settings.model_copy(update={"notice_policy": brief})
    assert await outbox.round(Hanging()) == SentNotices(put_off=1)


async def test_the_ports_that_come_with_the_platform(
    outbox: Outbox, capsys: pytest.CaptureFixture[str]
) -> None:
    still = Tap(
        lot_id="lot_01m84w48p2efraax340ck8tnqz",
        does=Does.WORKING,
        number=1,
        expires_at=utc_now() + timedelta(days=1),
    )
    assert isinstance(notice_port(outbox.settings), FileNotices)
    await outbox.write("a", taps=(still,))
    await outbox.round(notice_port(outbox.settings))
    file = outbox.settings.data_dir / "notices.jsonl"
    [line] = file.read_text(encoding="utf-8").splitlines()
    told = Outgoing.model_validate_json(line)
    assert (told.user_id, told.words) == (outbox.user_id, "《竹篮》a")
    [link] = told.links
    assert link.startswith("还在做请点 https://baigong.example/v1/taps/")
    assert file.stat().st_mode & 0o077 == 0

    console = outbox.settings.model_copy(update={"notice_port": "console"})
    assert isinstance(notice_port(console), ConsoleNotices)
    await outbox.write("b")
    await outbox.round(notice_port(console))
    assert capsys.readouterr().out == f"To {outbox.user_id}: 《竹篮》b\n"

    # Without a port nothing is sent, and nothing is kept for ever.
    silent = notice_port(outbox.settings.model_copy(update={"notice_port": "none"}))
    await outbox.write("c")
    assert await outbox.round(silent) == SentNotices()
    outbox.sql("UPDATE notices SET created_at = now() - interval '4 days'")
    assert await outbox.round(silent) == SentNotices(given_up=1)
