"""One pass over many votes: right, and in memory that does not grow with them."""

from __future__ import annotations

import tracemalloc

from db import ballot_count, ballot_rows
from db.engine import Database
from db.tables import Ballot
from domain.ballot import BallotTerms, Mode, Paper
from domain.ballot_tally import tally_of
from domain.ids import new_id
from tests.stories.voters import fill, new_users
from tests.unit.test_ballot_tally import terms

MANY = 20_000
CHANGED = 2_000
MOST_BYTES = 6_000_000
"""Of Python's memory while counting; a thousand rows at a time is most of it."""
PAPERS = [Paper(options=("a", "b")), Paper(options=("b", "c", "a")), Paper(options=("c",))]


async def filled(database: Database, url: str, rules: BallotTerms) -> Ballot:
    """A ballot with many votes; some of them replace others."""
    [initiator] = new_users(url, 1)
    ballot_id = new_id("bal")
    async with database.transaction() as session:
        await ballot_rows.draft(
            session, ballot_id, workflow_id=ballot_id, initiator_id=initiator, terms=rules
        )
    fill(url, ballot_id, [PAPERS[n % 3] for n in range(MANY)], changed=CHANGED)
    async with database.transaction() as session:
        return await session.get_one(Ballot, ballot_id)


async def test_many_votes_in_little_memory(database_url: str) -> None:
    database, rules = Database(database_url), terms(Mode.RANKED)
    try:
        ballot = await filled(database, database_url, rules)
        tracemalloc.start()
        async with database.transaction() as session:
            result = await ballot_count.count(session, ballot, rules)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        async with database.transaction() as session:
            assert await ballot_count.turnout(session, ballot.id) == result.turnout
    finally:
        await database.aclose()
    assert (result.papers, result.turnout) == (MANY, MANY - CHANGED)
    assert result.head_hash == ballot.head_hash
    assert peak < MOST_BYTES, f"{peak} bytes"
    # Whoever voted twice is counted as they voted last.
    tally = tally_of(rules)
    for n in range(CHANGED, MANY):
        tally.add(PAPERS[n % 3])
    assert result.standings == tally.standings()
