"""Votes: rows written one after the other, each linked to the one before, in one short transaction."""

from __future__ import annotations

import secrets

from sqlalchemy import exists, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from db import fulfilment_rows, juries
from db.admission import Admitted, Arrival, admit
from db.queries import kinship
from db.tables import Ballot, Path, PathEvent, User, Vote, VoteVoid
from domain.ballot import (
    NO_CURRENCY,
    BallotTerms,
    Event,
    Paper,
    Phase,
    accepted,
    allow,
    require_eligible,
)
from domain.ballot_chain import first_hash, stored, vote_hash, voter_tag
from domain.errors import NotEligible
from domain.people import Tie


async def cast(
    session: AsyncSession, ballot_id: str, voter_id: str, paper: Paper, arrival: Arrival
) -> Vote:
    """Writes down what somebody votes; what they voted before does not count any more.

    Holds the ballot from its first query to the end of the transaction: votes come one after the other, so that two
    accounts of one person cannot both slip in, and the chain has no branches. Raises NotFound, WrongPhase, TooLate,
    NotEligible, InvalidInput, SecondAccount.
    """
    admitted = await admit(
        session, ballot_id, arrival, phases={Phase.OPEN}, deadline="voting", alone=True
    )
    ballot = await session.get_one(Ballot, ballot_id, populate_existing=True)
    terms = BallotTerms.model_validate(ballot.terms)
    await _require_eligible(session, terms, voter_id, admitted)
    choice = accepted(terms, paper)
    if not await _has_voted(session, ballot_id, voter_id):
        await _require_one_person_one_vote(session, ballot_id, voter_id)
        ballot.voter_count += 1
    return await _append(session, ballot, voter_id, choice, admitted)


async def last_of(session: AsyncSession, ballot_id: str, voter_id: str) -> Vote | None:
    """The newest vote of somebody, or None."""
    found: Vote | None = await session.scalar(
        select(Vote)
        .where(Vote.ballot_id == ballot_id, Vote.voter_id == voter_id)
        .order_by(Vote.seq.desc())
        .limit(1)
    )
    return found


async def _require_eligible(
    session: AsyncSession, terms: BallotTerms, voter_id: str, admitted: Admitted
) -> None:
    voter = await session.get_one(User, voter_id)
    require_eligible(
        terms,
        registered_at=voter.created_at,
        verified=voter.verified_at is not None,
        at=admitted.at,
    )
    campaign_id = terms.electorate
    if campaign_id and not await fulfilment_rows.may_vote(session, campaign_id, voter_id):
        raise NotEligible(
            "only backers of the campaign vote here who have received nothing",
            field="electorate",
            accepted="a pledge that is paid, and no reward received",
        )
    if terms.jury and not await juries.is_juror(session, admitted.path.id, voter_id):
        raise NotEligible(
            "only the jurors vote here who were drawn", field="jury", accepted="one of the jurors"
        )
    out = exists().where(VoteVoid.ballot_id == admitted.path.id, VoteVoid.voter_id == voter_id)
    if await session.scalar(select(out)):
        raise NotEligible(
            "an operator has declared your votes on this ballot void", field="voter", accepted=None
        )


async def _has_voted(session: AsyncSession, ballot_id: str, voter_id: str) -> bool:
    voted = exists().where(Vote.ballot_id == ballot_id, Vote.voter_id == voter_id)
    return bool(await session.scalar(select(voted)))


async def _require_one_person_one_vote(
    session: AsyncSession, ballot_id: str, voter_id: str
) -> None:
    others = select(Vote.voter_id).where(Vote.ballot_id == ballot_id)
    tie = await kinship.tie(session, voter_id, others)
    if tie is not None:
        raise SecondAccount(tie)


class SecondAccount(Exception):
    """Another account of the same person has voted; `tie` says which one, for operators only."""

    def __init__(self, tie: Tie) -> None:
        super().__init__("another account of the same person has voted")
        self.tie = tie


async def _append(
    session: AsyncSession, ballot: Ballot, voter_id: str, choice: Paper, admitted: Admitted
) -> Vote:
    seq, nonce = ballot.vote_count + 1, secrets.token_hex(16)
    tag = voter_tag(ballot.id, voter_id, nonce)
    content = stored(choice)
    vote = Vote(
        ballot_id=ballot.id,
        seq=seq,
        voter_id=voter_id,
        voter_tag=tag,
        nonce=nonce,
        choice=content,
        at=admitted.at,
        previous_hash=ballot.head_hash,
        hash=vote_hash(ballot.head_hash, seq=seq, voter_tag=tag, choice=content, at=admitted.at),
    )
    session.add(vote)
    ballot.vote_count, ballot.head_hash = seq, vote.hash
    await session.flush()
    return vote


async def draft(
    session: AsyncSession,
    ballot_id: str,
    *,
    workflow_id: str,
    initiator_id: str,
    terms: BallotTerms,
    parent_path_id: str | None = None,
) -> Ballot:
    """Writes down a ballot that nobody can vote on yet."""
    path = Path(
        id=ballot_id,
        kind="ballot",
        workflow_id=workflow_id,
        initiator_id=initiator_id,
        currency=NO_CURRENCY,
        phase=Phase.DRAFT,
    )
    session.add(path)
    await session.flush()
    ballot = Ballot(
        id=ballot_id,
        terms=terms.model_dump(mode="json"),
        parent_path_id=parent_path_id,
        head_hash=first_hash(ballot_id),
    )
    session.add(ballot)
    await session.flush()
    return ballot


async def withdraw(session: AsyncSession, path: Path, key: str, note: str) -> None:
    """The initiator drops a draft whose row the caller has locked. Nothing runs yet, so nothing else has to be told.

    Raises WrongPhase.
    """
    allow(Phase(path.phase), Event.WITHDRAWN)
    path.phase = Phase.CANCELLED
    path.closed_at = await session.scalar(select(func.clock_timestamp()))
    session.add(
        PathEvent(
            path_id=path.id,
            key=key,
            kind=Event.WITHDRAWN,
            phase=Phase.CANCELLED,
            actor="initiator",
            summary=f"Withdrawn: {note}" if note else "Withdrawn",
        )
    )


async def happened(session: AsyncSession, key: str) -> bool:
    """Whether the transition of this key is in the books."""
    return bool(await session.scalar(select(exists().where(PathEvent.key == key))))
