"""How votes are counted: fed one paper at a time, whole numbers only, bounded memory.

The result is the same on every computer that reads the same papers; ties always go to the earlier option.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Protocol

from domain.ballot import BallotTerms, Mode, Paper
from domain.ballot_messages import BallotOutcome
from domain.model import Message


class Score(Message):
    """What an option got: approvals or votes bought with points; ranked: papers in the last round it was in."""

    option_id: str
    score: int


class Round(Message):
    """One round of an instant run-off."""

    counts: tuple[Score, ...]
    """Papers of each option that was still in, in order of age."""
    exhausted: int
    """Papers that name none of them."""
    eliminated: str
    """Who left after it: the one with fewest papers, of equals the latest."""


class Standings(Message):
    """The options in order, the best first, with how it came about."""

    ranking: tuple[Score, ...]
    rounds: tuple[Round, ...] = ()


class Tally(Protocol):
    """Collects papers that have been accepted."""

    def add(self, paper: Paper) -> None:
        """Counts one paper."""

    def standings(self) -> Standings:
        """The order of the options by the papers so far."""


class BallotResult(Message):
    """One count of a ballot."""

    decided: bool
    """Whether as many people as the quorum asks for have a vote that counts."""
    standings: Standings
    turnout: int
    """People whose votes count; each has one paper that does."""
    papers: int
    """All papers ever cast, those that were replaced or declared void included."""
    voided: int
    """Papers that were the voter's last word and do not count because they are void."""
    head_hash: str

    @property
    def winner(self) -> str | None:
        """Id of the option that won, if anything was decided."""
        return self.ranking[0] if self.decided else None

    @property
    def ranking(self) -> tuple[str, ...]:
        """Ids of all options, the best first, whether anything was decided or not."""
        return tuple(score.option_id for score in self.standings.ranking)

    def outcome(self, ballot_id: str) -> BallotOutcome:
        """What other paths need to know of it."""
        return BallotOutcome(
            ballot_id=ballot_id,
            decided=self.decided,
            ranking=self.ranking if self.decided else (),
            turnout=self.turnout,
            head_hash=self.head_hash,
        )


def tally_of(terms: BallotTerms) -> Tally:
    """An empty tally for a ballot by these terms."""
    if terms.mode is Mode.RANKED:
        return RankedTally(terms.option_ids)
    return SumTally(terms.option_ids)


class SumTally:
    """Approval and points: each option's sum. One number for each option."""

    def __init__(self, option_ids: Sequence[str]) -> None:
        self._sums = dict.fromkeys(option_ids, 0)

    def add(self, paper: Paper) -> None:
        """Counts one paper: 1 for each option approved, or the votes given to it."""
        for option_id in paper.options:
            self._sums[option_id] += 1
        for option_id, votes in paper.points.items():
            self._sums[option_id] += votes

    def standings(self) -> Standings:
        """The largest sum first."""
        # sorted() keeps the order of equals, which is the order of age.
        ordered = sorted(self._sums.items(), key=lambda item: -item[1])
        return Standings(ranking=tuple(Score(option_id=id, score=sum) for id, sum in ordered))


class RankedTally:
    """Instant run-off: how often each order of options was given. At most one short byte string for each paper."""

    def __init__(self, option_ids: Sequence[str]) -> None:
        self._ids = tuple(option_ids)
        self._index = {option_id: index for index, option_id in enumerate(option_ids)}
        self._times: Counter[bytes] = Counter()

    def add(self, paper: Paper) -> None:
        """Counts one paper."""
        self._times[bytes(self._index[option_id] for option_id in paper.options)] += 1

    def standings(self) -> Standings:
        """The last one in first, then the others in the reverse of the order in which they were eliminated.

        Goes on to the last two even when one has a majority: that cannot be lost, and every place goes by the same
        rule.
        """
        left = list(range(len(self._ids)))
        piles: dict[int, list[bytes]] = {index: [] for index in left}
        for order in self._times:
            piles[order[0]].append(order)
        sizes = {index: self._papers(pile) for index, pile in piles.items()}
        exhausted, rounds, places = 0, [], []
        while len(left) > 1:
            out = min(left, key=lambda index: (sizes[index], -index))
            rounds.append(self._round(left, sizes, exhausted, out))
            places.append(self._score(out, sizes))
            left.remove(out)
            if len(left) == 1:
                places.append(self._score(left[0], sizes))
            exhausted += self._hand_on(piles.pop(out), piles, sizes)
        return Standings(ranking=tuple(reversed(places)), rounds=tuple(rounds))

    def _score(self, index: int, sizes: dict[int, int]) -> Score:
        return Score(option_id=self._ids[index], score=sizes[index])

    def _papers(self, orders: Sequence[bytes]) -> int:
        return sum(self._times[order] for order in orders)

    def _hand_on(
        self, pile: Sequence[bytes], piles: dict[int, list[bytes]], sizes: dict[int, int]
    ) -> int:
        """Gives each paper to its best option that is still in; how many papers have none."""
        exhausted = 0
        for order in pile:
            heir = next((index for index in order if index in piles), None)
            if heir is None:
                exhausted += self._times[order]
            else:
                piles[heir].append(order)
                sizes[heir] += self._times[order]
        return exhausted

    def _round(self, left: Sequence[int], sizes: dict[int, int], exhausted: int, out: int) -> Round:
        return Round(
            counts=tuple(self._score(index, sizes) for index in left),
            exhausted=exhausted,
            eliminated=self._ids[out],
        )
