"""Many votes without many requests: written straight into the tables."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import psycopg
from psycopg.types.json import Jsonb

from domain.ballot import Paper
from domain.ballot_chain import first_hash, stored, vote_hash, voter_tag
from domain.ids import new_id


def new_users(url: str, number: int) -> list[str]:
    """Ids of users nobody else knows."""
    ids, tail = [new_id("usr") for _ in range(number)], uuid.uuid4().hex[:8]
    with psycopg.connect(url) as connection:
        connection.cursor().executemany(
            "INSERT INTO users (id, issuer, subject, display_name) VALUES (%s, 'elsewhere', %s, 'V')",
            [(one, f"{tail}-{place}") for place, one in enumerate(ids)],
        )
    return ids


def fill(url: str, ballot_id: str, papers: Sequence[Paper], *, changed: int = 0) -> None:
    """A sound chain of votes of new users; the last `changed` papers replace those of the first of them."""
    voters = new_users(url, len(papers) - changed)
    head, at = first_hash(ballot_id), datetime.now(UTC)
    copying = (
        "COPY votes (ballot_id, seq, voter_id, voter_tag, nonce, choice, at, previous_hash, hash)"
        " FROM STDIN"
    )
    with psycopg.connect(url) as connection:
        with connection.cursor().copy(copying) as copy:
            for place, paper in enumerate(papers):
                voter, seq = voters[place % len(voters)], place + 1
                tag, choice = voter_tag(ballot_id, voter, "n"), stored(paper)
                at, before = at + timedelta(microseconds=1), head
                head = vote_hash(before, seq=seq, voter_tag=tag, choice=choice, at=at)
                copy.write_row((ballot_id, seq, voter, tag, "n", Jsonb(choice), at, before, head))
        connection.execute(
            "UPDATE ballots SET vote_count = %s, voter_count = %s, head_hash = %s WHERE id = %s",
            (len(papers), len(voters), head, ballot_id),
        )
        # As autovacuum does by itself after so many rows, only not at once.
        connection.execute("ANALYZE votes")
