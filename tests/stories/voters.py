"""Many votes without many requests: written as the API writes them, or straight into the tables."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import psycopg
from psycopg.types.json import Jsonb

from db import ballot_rows
from db.admission import Arrival
from domain.ballot import Paper
from domain.ballot_chain import first_hash, stored, vote_hash, voter_tag
from domain.ids import new_id
from tests.stories.polls import Poll


def new_users(poll: Poll, number: int) -> list[str]:
    """Ids of users who have signed in some time ago."""
    ids, tail = [new_id("usr") for _ in range(number)], uuid.uuid4().hex[:8]
    with psycopg.connect(poll.house.settings.require_database_url()) as connection:
        with connection.cursor().copy(
            "COPY users (id, issuer, subject, display_name, created_at) FROM STDIN"
        ) as copy:
            for place, one in enumerate(ids):
                copy.write_row((one, "elsewhere", f"{tail}-{place}", "Voter", "2026-01-01T00:00Z"))
    return ids


async def cast_all(poll: Poll, papers: Sequence[Paper]) -> None:
    """Each paper is the vote of a new user, in a transaction of its own, as for a request."""
    voters = new_users(poll, len(papers))
    for voter, paper in zip(voters, papers, strict=True):
        async with poll.house.database.transaction() as session:
            await ballot_rows.cast(session, poll.id, voter, paper, Arrival(time.monotonic()))


def fill(poll: Poll, papers: Sequence[Paper], *, each_twice: int = 0) -> None:
    """A sound chain of votes of new users; the first `each_twice` of them vote again at the end."""
    voters = new_users(poll, len(papers))
    cast = [*zip(voters, papers, strict=True)]
    cast += zip(voters[:each_twice], reversed(papers), strict=False)
    head, at = first_hash(poll.id), datetime.now(UTC)
    with psycopg.connect(poll.house.settings.require_database_url()) as connection:
        copying = connection.cursor().copy(
            "COPY votes (ballot_id, seq, voter_id, voter_tag, nonce, choice, at, previous_hash, hash)"
            " FROM STDIN"
        )
        with copying as copy:
            for seq, (voter, paper) in enumerate(cast, 1):
                tag, choice = voter_tag(poll.id, voter, "n"), stored(paper)
                at += timedelta(microseconds=1)
                previous = head
                head = vote_hash(previous, seq=seq, voter_tag=tag, choice=choice, at=at)
                copy.write_row((poll.id, seq, voter, tag, "n", Jsonb(choice), at, previous, head))
        connection.execute(
            "UPDATE ballots SET vote_count = %s, voter_count = %s, head_hash = %s WHERE id = %s",
            (len(cast), len(voters), head, poll.id),
        )
    # As autovacuum does of itself after so many rows, only not at once.
    with psycopg.connect(poll.house.settings.require_database_url(), autocommit=True) as connection:
        connection.execute("ANALYZE votes")
