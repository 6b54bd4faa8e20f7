"""Ballots, as the API takes and shows them."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints

from api.schemas.base import MAX_BIGINT, Body, Line, Prose, Remark, Utc, View
from db.queries.ballots import BallotRows, PaperRow
from db.tables import Vote
from domain.ballot import (
    COUNTED,
    MAX_OPTIONS,
    MAX_POINTS,
    BallotOption,
    BallotTerms,
    Mode,
    Paper,
    Phase,
)
from domain.ballot_chain import in_text
from domain.ballot_tally import BallotResult, Round, Score
from domain.deadlines import Deadline
from domain.ids import UserId
from domain.policy import BallotPolicy

_YEAR = 365 * 86_400
OptionId = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Seq = Annotated[int, Field(strict=True, ge=1, le=MAX_BIGINT)]
Reason = Annotated[Remark, Field(min_length=1)]


class NewOption(Body):
    """Something that can be voted for."""

    label: Line = Field(examples=["Indigo"])
    author_id: UserId | None = Field(
        default=None, description="Whose it is; they cannot vote, nor accounts of the same person."
    )


class NewBallot(Body):
    """A question to the crowd. Options are given in order of age: ties go to the earlier."""

    title: Line = Field(examples=["Which glaze shall it be?"])
    description: Prose = ""
    mode: Mode = Mode.APPROVAL
    options: list[NewOption] = Field(min_length=2, max_length=MAX_OPTIONS)
    max_choices: int = Field(
        default=1, ge=1, le=MAX_OPTIONS, strict=True, description="Approval: options a voter names."
    )
    points: int = Field(
        default=0,
        ge=0,
        le=MAX_POINTS,
        strict=True,
        description="Points: what each voter may spend.",
    )
    quadratic: bool = Field(
        default=False, strict=True, description="Points: n votes for one option cost n x n points."
    )
    quorum: int = Field(default=1, ge=1, le=1_000_000_000, strict=True)
    verified_only: bool = Field(default=False, strict=True)
    account_age_seconds: int | None = Field(
        default=None,
        ge=0,
        le=_YEAR,
        strict=True,
        description="How old accounts must be; the platform's usual age when left out.",
    )
    voting_seconds: int = Field(ge=1, le=_YEAR, strict=True, examples=[7 * 86_400])
    notice_seconds: int = Field(ge=1, le=_YEAR, strict=True, examples=[86_400])

    def terms(self, policy: BallotPolicy) -> BallotTerms:
        """The rules as they will be fixed when the ballot opens. Options get their place as id."""
        age = self.account_age_seconds
        return BallotTerms(
            title=self.title,
            description=self.description,
            mode=self.mode,
            options=tuple(
                BallotOption(id=str(place), label=option.label, author_id=option.author_id)
                for place, option in enumerate(self.options, 1)
            ),
            max_choices=self.max_choices,
            points=self.points,
            quadratic=self.quadratic,
            quorum=self.quorum,
            verified_only=self.verified_only,
            account_age_seconds=policy.account_age_seconds if age is None else age,
            voting_seconds=self.voting_seconds,
            notice_seconds=self.notice_seconds,
            policy=policy,
        )


class NewVote(Body):
    """A vote: `options` in approval and ranked ballots (best first), `points` in ballots with points."""

    options: list[OptionId] = Field(default=[], max_length=MAX_OPTIONS, examples=[["2"]])
    points: dict[OptionId, Annotated[int, Field(strict=True, ge=0, le=MAX_POINTS)]] = Field(
        default={}, max_length=MAX_OPTIONS
    )

    @property
    def paper(self) -> Paper:
        """The vote as the rules see it."""
        return Paper(options=tuple(self.options), points=self.points)


class VoidedVotes(Body):
    """Votes that do not count, by their number or by who cast them, whatever else they cast."""

    seqs: list[Seq] = Field(default=[], max_length=500)
    voter_ids: list[UserId] = Field(default=[], max_length=500)
    reason: Reason = Field(examples=["Accounts bought in bulk, case 12"])


class ReceiptView(View):
    """A voter's receipt: with it they find their paper among the published ones."""

    seq: int
    tag: str = Field(description="Stands for the voter in public.")
    hash: str = Field(description="The vote's place in the chain.")
    at: str

    @classmethod
    def of(cls, vote: Vote) -> Self:
        """The receipt of a vote."""
        return cls(seq=vote.seq, tag=vote.voter_tag, hash=vote.hash, at=in_text(vote.at))


class ChoiceView(View):
    """What a paper says: `options` in approval and ranked ballots, `points` in ballots with points."""

    options: list[str] | None = None
    points: dict[str, int] | None = None


class MyVoteView(ReceiptView):
    """The signed-in user's vote as it stands."""

    choice: ChoiceView

    @classmethod
    def of(cls, vote: Vote) -> Self:
        """The view of one's own vote."""
        receipt = ReceiptView.of(vote)
        return cls(**receipt.model_dump(), choice=ChoiceView.model_validate(vote.choice))


class PaperView(View):
    """A published paper: who cast it is not shown."""

    seq: int
    tag: str
    choice: ChoiceView
    at: str = Field(
        description="Exactly as it is in the chain.", examples=["2027-03-01T09:00:00.000000+00:00"]
    )
    previous_hash: str
    hash: str
    status: Literal["counts", "superseded", "void"]

    @classmethod
    def of(cls, row: PaperRow) -> Self:
        """The view of a vote."""
        vote = row.vote
        return cls(
            seq=vote.seq,
            tag=vote.voter_tag,
            choice=ChoiceView.model_validate(vote.choice),
            at=in_text(vote.at),
            previous_hash=vote.previous_hash,
            hash=vote.hash,
            status="superseded" if row.superseded else "void" if row.void else "counts",
        )


class OptionView(View):
    """Something that can be voted for."""

    id: str
    label: str
    author_id: str | None


class BallotView(View):
    """A ballot. What people chose is not shown before the votes have been counted."""

    id: str = Field(examples=["bal_01h45ytscbebyvny4gc8cr8ma2"])
    phase: Phase
    initiator_id: str
    parent_path_id: str | None = Field(description="The path that asks the crowd, if any.")
    title: str
    description: str
    mode: Mode
    options: list[OptionView]
    max_choices: int
    points: int
    quadratic: bool
    quorum: int
    verified_only: bool
    account_age_seconds: int
    voting_seconds: int
    notice_seconds: int
    extended: bool = Field(description="Whether the voting goes on because too few had voted.")
    due_at: Utc | None = Field(description="When the voting, or the public notice, ends.")
    voters: int = Field(description="People who have voted so far, however often.")
    outcome: Literal["decided", "no_decision"] | None
    winner: str | None = Field(description="Id of the option that won.")
    opened_at: Utc | None
    closed_at: Utc | None

    @classmethod
    def of(cls, rows: BallotRows) -> Self:
        """The view of a ballot."""
        ballot, path, phase = rows.ballot, rows.path, Phase(rows.path.phase)
        terms = BallotTerms.model_validate(ballot.terms)
        result = _public(rows)
        pending = [Deadline.model_validate(each) for each in path.deadlines]
        decided = None if result is None else "decided" if result.decided else "no_decision"
        return cls(
            **terms.model_dump(include=_TERMS),
            id=ballot.id,
            phase=phase,
            initiator_id=path.initiator_id,
            parent_path_id=ballot.parent_path_id,
            options=[OptionView(**option.model_dump()) for option in terms.options],
            extended=ballot.extended,
            due_at=pending[0].due_at if pending else None,
            voters=ballot.voter_count,
            outcome=decided,
            winner=result.winner if result else None,
            opened_at=None if phase is Phase.DRAFT else path.opened_at,
            closed_at=path.closed_at,
        )


_TERMS = {
    "title",
    "description",
    "mode",
    "max_choices",
    "points",
    "quadratic",
    "quorum",
    "verified_only",
    "account_age_seconds",
    "voting_seconds",
    "notice_seconds",
}


def _public(rows: BallotRows) -> BallotResult | None:
    counted = Phase(rows.path.phase) in COUNTED and rows.ballot.result
    return BallotResult.model_validate(rows.ballot.result) if counted else None


class ScoreView(View):
    """What an option got."""

    option_id: str
    score: int = Field(description="Ranked: papers in the last round it was in.")

    @classmethod
    def of(cls, score: Score) -> Self:
        """The view of a score."""
        return cls(option_id=score.option_id, score=score.score)


class RoundView(View):
    """One round of an instant run-off."""

    counts: list[ScoreView]
    exhausted: int = Field(description="Papers that name none of the options still in.")
    eliminated: str

    @classmethod
    def of(cls, each: Round) -> Self:
        """The view of a round."""
        return cls(
            counts=[ScoreView.of(score) for score in each.counts],
            exhausted=each.exhausted,
            eliminated=each.eliminated,
        )


class TallyView(View):
    """A count."""

    outcome: Literal["decided", "no_decision"]
    winner: str | None
    ranking: list[ScoreView] = Field(description="Every option, the best first.")
    rounds: list[RoundView] = Field(description="Ranked ballots only.")
    turnout: int = Field(description="People whose votes count.")
    papers: int = Field(description="All papers, those replaced or void included.")
    voided: int = Field(description="Papers that would count if they were not void.")
    head_hash: str = Field(description="Hash of the last paper.")
    retallies: int = Field(description="How often it was counted again after the end.")

    @classmethod
    def of(cls, result: BallotResult, retallies: int) -> Self:
        """The view of a count."""
        return cls(
            outcome="decided" if result.decided else "no_decision",
            winner=result.winner,
            ranking=[ScoreView.of(score) for score in result.standings.ranking],
            rounds=[RoundView.of(each) for each in result.standings.rounds],
            turnout=result.turnout,
            papers=result.papers,
            voided=result.voided,
            head_hash=result.head_hash,
            retallies=retallies,
        )


class RecountView(View):
    """A count anew, compared with what was published."""

    chain_intact: bool = Field(description="Every paper is as it was cast, and none is missing.")
    agrees: bool = Field(description="The papers, read again, give the published result.")
    problem: str | None = Field(examples=["vote 17 is not as it was cast"])
    turnout: int | None
    head_hash: str | None
