"""The ballot 众投 (paths 2.8): phases, legal transitions, terms, who may vote, what a valid paper is, deadlines."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum

from pydantic import Field

from domain.deadlines import Deadline
from domain.errors import InvalidInput, NotEligible, WrongPhase
from domain.model import Message, Seconds
from domain.policy import BallotPolicy

NO_CURRENCY = "XXX"
"""ISO 4217 for "no currency": what the row of a ballot's path carries, since a ballot never holds money.

The column stays NOT NULL, because everything that reads the paths that do hold money relies on it; and `XXX` is not
among the accepted currencies, so no amount can ever be booked, shown or asked for in it.
"""
MAX_OPTIONS = 100
MAX_POINTS = 10_000


class Phase(StrEnum):
    """Where a ballot stands."""

    DRAFT = "draft"
    OPEN = "open"
    CLOSED = "closed"
    """Nobody can vote any more; the votes are being counted."""
    NOTICE = "notice"
    """公示: the result and every paper are public and can be contested."""
    FINAL = "final"
    CANCELLED = "cancelled"


FINAL = frozenset({Phase.FINAL, Phase.CANCELLED})
COUNTED = frozenset({Phase.NOTICE, Phase.FINAL})
"""Phases in which the tally is public; before them nobody sees a choice but one's own."""


class Event(StrEnum):
    """What moves a ballot."""

    OPENED = "opened"
    WITHDRAWN = "withdrawn"
    """The initiator drops the draft."""
    VOTING_ENDED = "voting_ended"
    """Time is up: the voting goes on once if too few have voted, else it is closed."""
    COUNTED = "counted"
    VOTES_VOIDED = "votes_voided"
    """Operators declare votes void; what has been counted already is counted again."""
    NOTICE_ENDED = "notice_ended"
    RETALLIED = "retallied"
    """Votes declared void after the end, and the rest counted again."""
    CANCELLED = "cancelled"


TRANSITIONS: dict[tuple[Phase, Event], frozenset[Phase]] = {
    (Phase.DRAFT, Event.OPENED): frozenset({Phase.OPEN}),
    (Phase.DRAFT, Event.WITHDRAWN): frozenset({Phase.CANCELLED}),
    (Phase.OPEN, Event.VOTES_VOIDED): frozenset({Phase.OPEN}),
    (Phase.OPEN, Event.VOTING_ENDED): frozenset({Phase.OPEN, Phase.CLOSED}),
    (Phase.OPEN, Event.CANCELLED): frozenset({Phase.CANCELLED}),
    (Phase.CLOSED, Event.COUNTED): frozenset({Phase.NOTICE, Phase.FINAL}),
    (Phase.CLOSED, Event.CANCELLED): frozenset({Phase.CANCELLED}),
    (Phase.NOTICE, Event.VOTES_VOIDED): frozenset({Phase.CLOSED}),
    (Phase.NOTICE, Event.NOTICE_ENDED): frozenset({Phase.FINAL}),
    (Phase.NOTICE, Event.CANCELLED): frozenset({Phase.CANCELLED}),
    (Phase.FINAL, Event.RETALLIED): frozenset({Phase.FINAL}),
}
"""The whole state machine; what is not in it cannot happen."""


def allow(phase: Phase, event: Event) -> None:
    """Raises WrongPhase unless the event can happen in this phase."""
    if (phase, event) not in TRANSITIONS:
        possible = sorted(e for p, e in TRANSITIONS if p is phase)
        raise WrongPhase(
            f"a ballot that is {phase} cannot become {event}",
            field="phase",
            accepted=", ".join(possible) or "nothing: the ballot has ended",
        )


class Mode(StrEnum):
    """How people vote."""

    APPROVAL = "approval"
    """Each voter names up to `max_choices` options; the option named most often wins."""
    RANKED = "ranked"
    """Each voter puts options in order; instant run-off."""
    POINTS = "points"
    """Each voter spreads up to `points` points; quadratic: n votes for an option cost n x n points."""


class BallotOption(Message):
    """Something that can be voted for."""

    id: str
    label: str
    author_id: str | None = None
    """Whose it is: they, and whoever counts as the same person, may not vote."""


class BallotTerms(Message):
    """The rules of one ballot, fixed when it opens. Options stand in order of age: ties go to the earlier."""

    title: str
    description: str = ""
    mode: Mode = Mode.APPROVAL
    options: tuple[BallotOption, ...]
    max_choices: int = Field(default=1, ge=1)
    """Approval: how many options a voter may name."""
    points: int = Field(default=0, ge=0)
    """Points: how many each voter may spend."""
    quadratic: bool = False
    quorum: int = Field(default=1, ge=1)
    """Least number of people whose votes count; with fewer there is no decision."""
    verified_only: bool = False
    account_age_seconds: Seconds
    """How old a voter's account must be when they vote."""
    voting_seconds: int = Field(ge=1)
    notice_seconds: int = Field(ge=1)
    barred_ids: tuple[str, ...] = ()
    """People who may not vote, besides the initiator and the authors of the options."""
    electorate: str | None = None
    """A campaign of which only backers may vote who have received nothing; None: everybody may."""
    jury: bool = False
    """Whether only the jurors vote who were drawn for it."""
    policy: BallotPolicy

    @property
    def extension_seconds(self) -> int:
        """What is added, once, when too few have voted; part seconds are rounded up."""
        return -(-self.voting_seconds * self.policy.extension_percent // 100)

    @property
    def option_ids(self) -> tuple[str, ...]:
        """The options in order of age."""
        return tuple(option.id for option in self.options)

    def barred(self, initiator_id: str) -> frozenset[str]:
        """Who may not vote, nor anybody who counts as the same person."""
        authors = (option.author_id for option in self.options if option.author_id)
        return frozenset({initiator_id, *self.barred_ids, *authors})


def require_sound(terms: BallotTerms) -> None:
    """Raises InvalidInput unless somebody could vote by these terms."""
    ids = terms.option_ids
    if not 2 <= len(ids) <= MAX_OPTIONS or len(set(ids)) != len(ids):
        raise InvalidInput(
            "a ballot needs several different options",
            field="options",
            accepted=f"2 to {MAX_OPTIONS} options, each once",
        )
    if terms.mode is Mode.APPROVAL and terms.max_choices > len(ids):
        raise InvalidInput(
            "more choices than options", field="max_choices", accepted=f"1 to {len(ids)}"
        )
    if terms.mode is Mode.POINTS and not 1 <= terms.points <= MAX_POINTS:
        raise InvalidInput(
            "voters need points to spend", field="points", accepted=f"1 to {MAX_POINTS}"
        )
    # With two accounts one person would get more for the same points: quadratic without identity is a lottery
    # for whoever has most accounts (snapshot-v1#951).
    if terms.quadratic and not (terms.mode is Mode.POINTS and terms.verified_only):
        raise InvalidInput(
            "quadratic votes are fair only among people known to be one person each",
            field="quadratic",
            accepted="mode points with verified_only",
        )


def require_windows(terms: BallotTerms, shortest_seconds: int) -> None:
    """Raises InvalidInput unless the chosen windows are within the policy and not below `shortest_seconds`."""
    policy = terms.policy
    bounds = (
        (
            "voting_seconds",
            terms.voting_seconds,
            policy.voting_shortest_seconds,
            policy.voting_longest_seconds,
        ),
        (
            "notice_seconds",
            terms.notice_seconds,
            policy.notice_shortest_seconds,
            policy.notice_longest_seconds,
        ),
    )
    for name, seconds, least, most in bounds:
        least = max(least, shortest_seconds)
        if not least <= seconds <= most:
            raise InvalidInput(
                "this is not a time that may be chosen",
                field=name,
                accepted=f"{least} to {most} seconds",
            )


class Paper(Message):
    """What a voter says: `options` for approval and ranked ballots (best first), `points` for the third kind."""

    options: tuple[str, ...] = ()
    points: Mapping[str, int] = {}


def accepted(terms: BallotTerms, paper: Paper) -> Paper:
    """The paper in the one spelling in which it is stored. Raises InvalidInput unless it is valid.

    Approvals stand in the order of the options; options that get no points are left out.
    """
    _require_only(terms.mode, paper)
    if terms.mode is Mode.POINTS:
        return _accepted_points(terms, paper.points)
    known = {option_id: index for index, option_id in enumerate(terms.option_ids)}
    most = terms.max_choices if terms.mode is Mode.APPROVAL else len(known)
    for index, option_id in enumerate(paper.options):
        if option_id not in known or option_id in paper.options[:index]:
            raise InvalidInput(
                "this is not an option, or it is named twice",
                field=f"options[{index}]",
                accepted="ids of options of this ballot, each once",
            )
    if not 1 <= len(paper.options) <= most:
        raise InvalidInput(
            "too few or too many options", field="options", accepted=f"1 to {most} options"
        )
    if terms.mode is Mode.APPROVAL:
        return Paper(options=tuple(sorted(paper.options, key=known.__getitem__)))
    return Paper(options=paper.options)


def _require_only(mode: Mode, paper: Paper) -> None:
    wrong, right = ("options", "points") if mode is Mode.POINTS else ("points", "options")
    if getattr(paper, wrong):
        raise InvalidInput(
            f"in this ballot people vote with {right}", field=wrong, accepted=f"only {right}"
        )


def _accepted_points(terms: BallotTerms, points: Mapping[str, int]) -> Paper:
    for option_id, given in points.items():
        if option_id not in terms.option_ids or not 0 <= given <= MAX_POINTS:
            raise InvalidInput(
                "this is not an option, or not a number of votes",
                field=f"points.{option_id[:64]}",
                accepted=f"ids of options of this ballot with 0 to {MAX_POINTS}",
            )
    spent = sum(cost(given, quadratic=terms.quadratic) for given in points.values())
    if not 1 <= spent <= terms.points:
        raise InvalidInput(
            f"this costs {spent} points", field="points", accepted=f"1 to {terms.points} points"
        )
    return Paper(points={key: points[key] for key in terms.option_ids if points.get(key)})


def cost(votes: int, *, quadratic: bool) -> int:
    """What so many votes for one option cost, in points."""
    return votes * votes if quadratic else votes


def require_eligible(
    terms: BallotTerms, *, registered_at: datetime, verified: bool, at: datetime
) -> None:
    """Raises NotEligible unless the voter meets the rules of the ballot at this moment."""
    if terms.verified_only and not verified:
        raise NotEligible(
            "only verified people vote here", field="verified_only", accepted="a verified identity"
        )
    old_enough = registered_at + timedelta(seconds=terms.account_age_seconds)
    # Without an age, even the request that makes the account known may vote, which arrived a moment before it.
    if terms.account_age_seconds and at < old_enough:
        raise NotEligible(
            "your account is too young for this ballot",
            field="account_age_seconds",
            accepted=f"from {old_enough.isoformat()} on",
        )


def deadlines(
    terms: BallotTerms, phase: Phase, due_at: datetime, *, extended: bool
) -> tuple[Deadline, ...]:
    """The pending timer of a ballot in this phase; `extended`: the voting time has been prolonged already."""
    if phase is Phase.OPEN:
        too_few = (
            "there is no decision"
            if extended
            else f"the voting goes on once for {terms.extension_seconds} seconds"
        )
        return (
            Deadline(
                name="voting",
                due_at=due_at,
                stopped_by=("operator: cancel",),
                outcome=f"The votes are counted; if fewer than {terms.quorum} people have voted, {too_few}.",
                event=Event.VOTING_ENDED,
                grace_seconds=terms.policy.grace_seconds,
            ),
        )
    if phase is Phase.NOTICE:
        return (
            Deadline(
                name="notice",
                due_at=due_at,
                stopped_by=("operator: void votes", "operator: cancel"),
                outcome="The result is final.",
                event=Event.NOTICE_ENDED,
            ),
        )
    return ()


def facts(terms: BallotTerms) -> tuple[str, ...]:
    """What operators read about a ballot that is under way; who voted how is not among it."""
    how = {
        Mode.APPROVAL: f"approval, up to {terms.max_choices} of {len(terms.options)} options",
        Mode.RANKED: f"ranked, {len(terms.options)} options",
        Mode.POINTS: f"{terms.points} points each over {len(terms.options)} options"
        + (", quadratic" if terms.quadratic else ""),
    }[terms.mode]
    people = "verified people only, " if terms.verified_only else ""
    return (
        f"How people vote: {how}",
        f"Who: {people}accounts at least {terms.account_age_seconds} seconds old",
        f"Quorum: {terms.quorum}",
        *_listed(terms.options),
    )


def _listed(options: Sequence[BallotOption], most: int = 10) -> Collection[str]:
    shown = [f"Option {number}: {each.label}" for number, each in enumerate(options[:most], 1)]
    if len(options) > most:
        shown.append(f"and {len(options) - most} more options")
    return shown
