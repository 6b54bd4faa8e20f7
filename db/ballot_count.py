"""One pass over all votes of a ballot: checks the chain and counts at the same time, in bounded memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime

from sqlalchemy import ColumnElement, Row, Select, exists, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from db.tables import Ballot, Json, Vote, VoteVoid
from domain.ballot import BallotTerms, Paper
from domain.ballot_chain import first_hash, vote_hash, voter_tag
from domain.ballot_tally import BallotResult, tally_of
from domain.errors import ChainBroken

_AT_ONCE = 1_000
"""Rows fetched at a time."""


def is_superseded() -> ColumnElement[bool]:
    """Whether the same voter has voted again later."""
    later = aliased(Vote)
    return exists().where(
        later.ballot_id == Vote.ballot_id, later.voter_id == Vote.voter_id, later.seq > Vote.seq
    )


def is_void() -> ColumnElement[bool]:
    """Whether the vote itself, or everything of its voter, has been declared void."""
    # Two questions, each answered by an index of its own; joined by OR inside they would be answered by none.
    of_vote = exists().where(VoteVoid.ballot_id == Vote.ballot_id, VoteVoid.seq == Vote.seq)
    of_voter = exists().where(
        VoteVoid.ballot_id == Vote.ballot_id, VoteVoid.voter_id == Vote.voter_id
    )
    return of_vote | of_voter


async def turnout(session: AsyncSession, ballot_id: str) -> int:
    """People whose votes count, without looking at what they chose."""
    found = await session.scalar(
        select(func.count()).where(Vote.ballot_id == ballot_id, ~is_superseded(), ~is_void())
    )
    return int(found or 0)


async def voids(session: AsyncSession, ballot_id: str) -> int:
    """How many votes and voters have been declared void."""
    found = await session.scalar(select(func.count()).where(VoteVoid.ballot_id == ballot_id))
    return int(found or 0)


async def count(
    session: AsyncSession,
    ballot: Ballot,
    terms: BallotTerms,
    *,
    on_progress: Callable[[int], None] = lambda seq: None,
) -> BallotResult:
    """Reads every vote once, in the order in which they were cast. Takes no lock: call it once nobody can vote.

    `on_progress` hears now and then how far it is. Raises ChainBroken, naming the first vote that is not as it was
    cast.
    """
    found = _Pass(ballot.id, terms)
    rows = await session.stream(_rows(ballot.id))
    async for batch in rows.partitions(_AT_ONCE):
        for row in batch:
            found.read(row)
        on_progress(found.seq)
    if (found.seq, found.head_hash) != (ballot.vote_count, ballot.head_hash):
        raise ChainBroken(
            f"the votes end with number {found.seq}, not with number {ballot.vote_count} as it was cast"
        )
    # A run-off among many thousand different orders takes a moment, in which others should be served.
    return await asyncio.to_thread(found.result)


def _rows(
    ballot_id: str,
) -> Select[int, str, str, str, Json, datetime, str, str, bool, bool]:
    return (
        select(
            Vote.seq,
            Vote.voter_id,
            Vote.voter_tag,
            Vote.nonce,
            Vote.choice,
            Vote.at,
            Vote.previous_hash,
            Vote.hash,
            is_superseded().label("superseded"),
            is_void().label("void"),
        )
        .where(Vote.ballot_id == ballot_id)
        .order_by(Vote.seq)
        .execution_options(yield_per=_AT_ONCE)
    )


class _Pass:
    """What one pass knows after each vote."""

    def __init__(self, ballot_id: str, terms: BallotTerms) -> None:
        self.ballot_id = ballot_id
        self.quorum = terms.quorum
        self.tally = tally_of(terms)
        self.seq = self.turnout = self.voided = 0
        self.head_hash = first_hash(ballot_id)

    def read(self, row: Row[int, str, str, str, Json, datetime, str, str, bool, bool]) -> None:
        """Checks that the vote is the next one of the chain, and counts it if it counts."""
        seq, voter_id, tag, nonce, choice, at, previous, own, superseded, void = row
        expected = vote_hash(self.head_hash, seq=seq, voter_tag=tag, choice=choice, at=at)
        of_voter = voter_tag(self.ballot_id, voter_id, nonce)
        links = (seq, previous, own, tag)
        if links != (self.seq + 1, self.head_hash, expected, of_voter):
            raise ChainBroken(f"vote {self.seq + 1} is not as it was cast", field="seq")
        self.seq, self.head_hash = seq, own
        if superseded:
            return
        if void:
            self.voided += 1
            return
        self.turnout += 1
        self.tally.add(Paper.model_validate(choice))

    def result(self) -> BallotResult:
        """What the votes say."""
        return BallotResult(
            decided=self.turnout >= self.quorum,
            standings=self.tally.standings(),
            turnout=self.turnout,
            papers=self.seq,
            voided=self.voided,
            head_hash=self.head_hash,
        )
