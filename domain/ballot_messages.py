"""What the ballot's story, its activities, the API and paths that hold a ballot tell each other."""

from __future__ import annotations

from domain.ballot import BallotTerms, Event
from domain.model import Instant, Message
from domain.path import Act, Standing


class BallotStart(Message):
    """Input of the Ballot workflow.

    Alone: only `ballot_id`; the draft is in the books and waits for its update `open`. As the child of another path:
    `terms`, `initiator_id` and `parent_path_id` as well; it opens by itself.
    """

    ballot_id: str
    terms: BallotTerms | None = None
    initiator_id: str | None = None
    """Whose path it belongs to; they cannot vote."""
    parent_path_id: str | None = None


class BallotOutcome(Message):
    """What a ballot has decided: the result of the Ballot workflow, and of each later count that changed it."""

    ballot_id: str
    decided: bool
    """False: too few have voted, or the ballot was cancelled."""
    ranking: tuple[str, ...] = ()
    """Ids of all options, the best first; empty without a decision."""
    turnout: int = 0
    """People whose votes count."""
    head_hash: str = ""
    """Hash of the last vote in the chain; empty when nothing was counted."""


class BallotAct(Act):
    """Somebody's act on a ballot; for operators who declare votes void also which ones."""

    seqs: tuple[int, ...] = ()
    """Numbers of single votes."""
    voter_ids: tuple[str, ...] = ()
    """People, none of whose votes count, whenever they were or will be cast."""
    request_id: str = ""
    """The same at every try of one request."""


class BallotStep(Message):
    """Ask the database to take a ballot through one transition. `key` makes it happen once."""

    ballot_id: str
    key: str
    event: Event
    act: BallotAct
    at: Instant
    workflow_id: str
    opening: BallotStart | None = None
    """A ballot of another path, which is not in the books yet."""


class BallotStanding(Standing):
    """Where a ballot stands after a transition, with what it has decided by then."""

    outcome: BallotOutcome | None = None
    """The newest count; None before there is one."""
    changed: bool = False
    """Whether a count after the end has changed what was decided."""
    parent_workflow_id: str | None = None
    """The story to be told of such a change."""


class RetallyStart(Message):
    """Input of the BallotRetally workflow."""

    ballot_id: str
