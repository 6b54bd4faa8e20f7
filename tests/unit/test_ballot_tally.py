"""The three ways to count, against slow and obvious ones, and what holds for every count."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from domain.ballot import BallotOption, BallotTerms, Mode, Paper, accepted
from domain.ballot_tally import Round, Score, Standings, tally_of
from domain.policy import BallotPolicy

IDS = tuple("abcde")


def terms(mode: Mode, *ids: str, points: int = 20, **rules: bool) -> BallotTerms:
    """A ballot among these options, in this order of age."""
    return BallotTerms(
        title="Which?",
        mode=mode,
        options=tuple(BallotOption(id=one, label=one.upper()) for one in ids or IDS),
        max_choices=len(ids or IDS),
        points=points,
        verified_only=bool(rules),
        account_age_seconds=0,
        voting_seconds=1,
        notice_seconds=1,
        policy=BallotPolicy(),
        **rules,
    )


def counted(rules: BallotTerms, papers: Sequence[Paper]) -> Standings:
    """The papers, counted one at a time."""
    tally = tally_of(rules)
    for paper in papers:
        tally.add(accepted(rules, paper))
    return tally.standings()


def orders(*lines: str) -> list[Paper]:
    """Ranked papers such as `abc` or `3 ba`."""
    papers = []
    for line in lines:
        times, _, order = line.rpartition(" ")
        papers += [Paper(options=tuple(order))] * int(times or 1)
    return papers


def run_off(ids: Sequence[str], papers: Sequence[Paper]) -> list[str]:
    """The order of the options, by the textbook: count first choices anew in each round."""
    left, out = list(ids), []
    while left:
        firsts = Counter(
            next((one for one in paper.options if one in left), None) for paper in papers
        )
        fewest = min(firsts[one] for one in left)
        loser = [one for one in left if firsts[one] == fewest][-1]
        left.remove(loser)
        out.append(loser)
    return out[::-1]


subsets = st.lists(st.sampled_from(IDS), min_size=1, max_size=5, unique=True).map(
    lambda options: Paper(options=tuple(options))
)
spent = st.dictionaries(st.sampled_from(IDS), st.integers(0, 4), min_size=1).filter(
    lambda points: any(points.values())
)


@given(st.lists(subsets, max_size=40))
def test_approval(papers: list[Paper]) -> None:
    found = counted(terms(Mode.APPROVAL), papers)
    sums = {one: sum(one in paper.options for paper in papers) for one in IDS}
    assert {each.option_id: each.score for each in found.ranking} == sums
    order = [each.option_id for each in found.ranking]
    assert order == sorted(IDS, key=lambda one: (-sums[one], IDS.index(one)))


@given(st.lists(spent, max_size=40))
def test_points(spendings: list[dict[str, int]]) -> None:
    found = counted(terms(Mode.POINTS), [Paper(points=points) for points in spendings])
    sums = {one: sum(points.get(one, 0) for points in spendings) for one in IDS}
    assert {each.option_id: each.score for each in found.ranking} == sums
    order = [each.option_id for each in found.ranking]
    assert order == sorted(IDS, key=lambda one: (-sums[one], IDS.index(one)))


@given(st.lists(subsets, max_size=40))
def test_ranked(papers: list[Paper]) -> None:
    found = counted(terms(Mode.RANKED), papers)
    assert [each.option_id for each in found.ranking] == run_off(IDS, papers)
    for each in found.rounds:
        assert sum(score.score for score in each.counts) + each.exhausted == len(papers)
    assert [each.eliminated for each in found.rounds] == [
        each.option_id for each in reversed(found.ranking[1:])
    ]


@given(
    st.lists(subsets, max_size=30).flatmap(
        lambda all: st.tuples(st.just(all), st.permutations(all))
    )
)
def test_the_order_of_the_papers_does_not_matter(both: tuple[list[Paper], list[Paper]]) -> None:
    papers, shuffled = both
    for mode in (Mode.APPROVAL, Mode.RANKED):
        assert counted(terms(mode), papers) == counted(terms(mode), shuffled)


@given(st.lists(subsets, min_size=1, max_size=30), st.sampled_from(IDS))
def test_a_majority_of_first_places_wins_the_run_off(papers: list[Paper], one: str) -> None:
    majority = [*papers, *([Paper(options=(one,))] * (len(papers) + 1))]
    assert counted(terms(Mode.RANKED), majority).ranking[0].option_id == one


def test_a_run_off_round_by_round() -> None:
    papers = orders("4 abc", "3 bca", "2 cba", "1 c")
    assert counted(terms(Mode.RANKED, *"abc"), papers) == Standings(
        # c and b have 3 papers each: the later one goes first, and 2 of its papers go to b.
        ranking=(
            Score(option_id="b", score=5),
            Score(option_id="a", score=4),
            Score(option_id="c", score=3),
        ),
        rounds=(
            Round(
                counts=(
                    Score(option_id="a", score=4),
                    Score(option_id="b", score=3),
                    Score(option_id="c", score=3),
                ),
                exhausted=0,
                eliminated="c",
            ),
            Round(
                counts=(Score(option_id="a", score=4), Score(option_id="b", score=5)),
                exhausted=1,
                eliminated="a",
            ),
        ),
    )


def test_of_equals_the_earliest_wins_the_run_off() -> None:
    found = counted(terms(Mode.RANKED, *"abc"), orders("cab", "bca"))
    assert [each.option_id for each in found.ranking] == ["b", "c", "a"]
    found = counted(terms(Mode.RANKED, *"abc"), orders("c", "b", "a"))
    assert [each.option_id for each in found.ranking] == ["a", "b", "c"]


def test_nobody_has_voted() -> None:
    for mode in Mode:
        found = counted(terms(mode), [])
        assert found.ranking == tuple(Score(option_id=one, score=0) for one in IDS)


def test_equal_orders_take_the_place_of_one() -> None:
    rules = terms(Mode.RANKED)
    tally = tally_of(rules)
    for paper in orders("1000 abc", "1000 cba"):
        tally.add(paper)
    assert len(vars(tally)["_times"]) == 2
