"""5,000 entries, a fifth of them in the last second: none that arrived in time is lost, none is admitted late."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from datetime import datetime

import pytest

from db import entries
from db.admission import Arrival
from db.entries import Work
from domain.errors import DomainError
from domain.ids import new_id
from tests.stories.contests import Show
from tests.stories.house import House
from tests.waiting import eventually

pytestmark = pytest.mark.crowd

EARLY = 4_000
CROWD = 1_000
EACH = 5
EVENTS = 500


async def test_a_crowd_in_the_last_second(house: House) -> None:
    show = await Show.opened(house)
    crowd = _people(house, CROWD // EACH)
    _enter_early(house, show)
    closes_at: datetime = house.sql(
        "UPDATE paths SET deadlines = jsonb_set(deadlines, '{0,due_at}',"
        " to_jsonb(clock_timestamp() + interval '2 seconds'))"
        " WHERE id = %s RETURNING (deadlines->0->>'due_at')::timestamptz",
        show.id,
    )[0][0]
    await _clock(house, closes_at, "1 second")
    in_time = [
        asyncio.create_task(_enter(house, show, *person, Arrival(time.monotonic())))
        for _ in range(EACH)
        for person in crowd
    ]
    await _clock(house, closes_at, "0 seconds")
    still_in_the_queue = sum(not task.done() for task in in_time)
    late = await asyncio.gather(
        *(_enter(house, show, *person, Arrival(time.monotonic())) for person in crowd)
    )
    assert still_in_the_queue > 0, "nobody had to wait: the test shows nothing"
    assert Counter(await asyncio.gather(*in_time)) == {"entered": CROWD}
    assert Counter(late) == {"too_late": len(crowd)}
    count, last = house.sql(
        "SELECT count(*), max(received_at) FROM entries WHERE contest_id = %s", show.id
    )[0]
    assert count == EARLY + CROWD
    assert last < closes_at
    await _few_events(house, show)


async def _clock(house: House, moment: datetime, before: str) -> None:
    """Waits until the database's clock is past this long before the moment."""
    query = "SELECT 1 WHERE clock_timestamp() > %s - %s::interval"
    await eventually(lambda: house.sql(query, moment, before))


async def _few_events(house: House, show: Show) -> None:
    """The story has heard of none of them."""
    await show.entries_close()
    await show.until("choosing")
    history = await house.workflow(show.story).fetch_history()
    assert len(history.events) < EVENTS
    assert (await show.seen())["entry_counts"]["entered"] >= EARLY
    await house.workflow(show.story).cancel()
    await show.ended("cancelled")


def _people(house: House, count: int) -> list[tuple[str, str]]:
    """So many people with a picture each: user id and file id."""
    people = []
    for _ in range(count):
        user_id, file_id = new_id("usr"), new_id("fil")
        people.append((user_id, file_id))
        house.sql(
            "INSERT INTO users (id, issuer, subject, display_name) VALUES (%s, 'crowd', %s, 'Crowd')",
            user_id,
            user_id,
        )
        house.sql(
            "INSERT INTO files (id, owner_id, sha256, media_type, size_bytes, width, height, name, private)"
            " VALUES (%s, %s, %s, 'image/png', 1, 1, 1, 'work.png', true)",
            file_id,
            user_id,
            "0" * 64,
        )
    return people


def _enter_early(house: House, show: Show) -> None:
    """What came in earlier, by others."""
    house.sql(
        "WITH made AS (INSERT INTO users (id, issuer, subject, display_name)"
        " SELECT 'usr_early' || n, %s, 'early' || %s || n, 'Early' FROM generate_series(1, %s) n"
        " ON CONFLICT DO NOTHING RETURNING id)"
        " INSERT INTO entries (id, contest_id, creator_id, title, status, received_at)"
        " SELECT 'ent_early' || %s || id, %s, id, 'Early', 'entered', now() FROM made",
        house.settings.issuer_url,
        show.id,
        EARLY,
        show.id,
        show.id,
    )


async def _enter(house: House, show: Show, user_id: str, file_id: str, arrival: Arrival) -> str:
    """What the API does for one entry, from the moment the request has arrived; its answer."""
    try:
        async with house.database.transaction() as session:
            await entries.enter(
                session,
                contest_id=show.id,
                entry_id=new_id("ent"),
                creator_id=user_id,
                work=Work(title="In the last second", note="", file_ids=(file_id,)),
                arrival=arrival,
            )
    except DomainError as refused:
        return refused.code
    return "entered"
