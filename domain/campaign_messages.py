"""What the campaign's stories, their activities and the API tell each other."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum

from domain.ballot import BallotTerms
from domain.campaign import Event, Report, Rules
from domain.cases import RefundCase
from domain.errors import LimitReached, TooLate
from domain.model import Instant, Message
from domain.path import Act, Standing
from domain.policy import Backoff


class CampaignAct(Act):
    """Somebody's act on a campaign; each act uses the fields that it needs."""

    rules: Rules | None = None
    """Of the submission: the platform's rules as they stand then."""
    tranche: int = 0
    report: Report | None = None
    decided: bool = False
    """Of a vote: whether the backers want what is left back."""


class CampaignStart(Message):
    """Input of the Campaign workflow: a draft that is handed in for review."""

    campaign_id: str
    creator_id: str
    title: str = ""


class CampaignEnd(Message):
    """How a campaign ended."""

    phase: str
    refusal: str | None = None


class CampaignStep(Message):
    """Ask the database to take a campaign through one transition. `key` makes it happen once."""

    campaign_id: str
    key: str
    event: Event
    act: CampaignAct
    at: Instant
    subject: str = ""


class CampaignStanding(Standing):
    """Where a campaign stands."""

    match_calls: tuple[str, ...] = ()
    """Workflows of the match calls that have to hear that the campaign is decided."""
    calls_operator: bool = False
    """Whether operators have to see to something; the story goes on meanwhile."""
    ballot_id: str | None = None
    """Of a vote that has been asked for: the ballot that the story has to hold."""
    ballot: BallotTerms | None = None
    given_back: bool = False
    """Whether this is the transition after which every pledge has ended."""


MONEY_BACK = "money_back"
"""Id of the option of that ballot which sends what is left back to the backers."""


class RunGoal(StrEnum):
    """What a run does with every pledge of a campaign."""

    CLOSE = "close"
    """What was begun and not paid yet is settled: paid after all, or expired. Slow methods may go on."""
    CLOSE_SLOW = "close_slow"
    """The same for slow methods."""
    COLLECT = "collect"
    """Every saved card is charged."""
    GIVE_BACK = "give_back"
    """Every pledge ends: pages are closed, cards released, money sent back."""


class Progress(Message):
    """How far a run is. Counts are pledges."""

    done: int = 0
    failed: int = 0
    """Refused by the provider: each has a story of its own now."""
    left: int = 0
    per_second: int = 0
    """The provider's limit; 0 without one."""

    @property
    def seconds_left(self) -> int:
        """An estimate, from the limit alone."""
        return -(-self.left // self.per_second) if self.per_second else 0


class RunCase(Message):
    """Input of the PledgeRun workflow: bring all pledges of one campaign one step further."""

    campaign_id: str
    goal: RunGoal
    shard: int = 0
    """This run's part of the pledges, of `shards`."""
    shards: int = 1
    title: str = ""
    so_far: Progress | None = None
    """What former runs of the same story have done."""
    poll: Backoff = Backoff(first=30, longest=3_600)
    """When to come by again while nothing moves."""
    silence_seconds: int = 3_600
    """When nothing has moved for so long, operators are called."""


RETRIES_A_DAY = 3
"""How often a backer may have the saved card tried again; banks take more for fraud."""


class PledgeCase(Message):
    """Input of the Pledge workflow: a charge that failed, and what may be done about it until when."""

    pledge_id: str
    campaign_id: str
    amount: int
    currency: str
    fix_until: Instant
    remind_seconds: int
    drop_after_seconds: int = 0
    """So long after `fix_until` it is dropped: crowds must not ask the provider all at once."""
    poll: Backoff = Backoff(first=30, longest=3_600)
    """When to ask again a provider that does not answer."""
    silence_seconds: int = 3_600
    """A provider that cannot be reached for so long calls operators, and ends the waiting for the last try."""

    @property
    def remind(self) -> timedelta:
        """How often the backer is reminded."""
        return timedelta(seconds=self.remind_seconds)

    @property
    def drop_at(self) -> datetime:
        """When it is tried for the last time, and dropped."""
        return self.fix_until + timedelta(seconds=self.drop_after_seconds)

    @property
    def silence(self) -> timedelta:
        """How long a provider may be out of reach."""
        return timedelta(seconds=self.silence_seconds)

    def require_retry(self, tried: Sequence[datetime], now: datetime) -> None:
        """Raises TooLate once the time to mend it is over, LimitReached when the card was tried too often of late."""
        if now >= self.fix_until:
            raise TooLate("the time to mend the charge is over", field="state")
        recent = [each for each in tried if each > now - timedelta(days=1)]
        if len(recent) >= RETRIES_A_DAY:
            again = recent[-RETRIES_A_DAY] + timedelta(days=1)
            raise LimitReached(
                f"the card was tried {RETRIES_A_DAY} times within a day",
                accepted=f"again from {again.isoformat()}, or paying on the page at any time",
            )


class PledgeStep(Message):
    """Ask for one step of a pledge whose charge has failed."""

    pledge_id: str
    key: str
    at: Instant
    number: int = 0
    """Of a reminder: which one, counted from 1."""
    last_try: bool = True
    """Of a drop: whether the card is to be tried once more before."""


class PledgeNews(Message):
    """Where such a pledge stands."""

    state: str
    over: bool = False
    """Whether nobody waits for its money any more: it is paid or has ended, or its campaign was called off."""
    campaign_workflow_id: str = ""
    refunds: tuple[RefundCase, ...] = ()
    last: bool = False
    """Whether it was the last one its campaign was waiting for."""


class TakenIn(Message):
    """What the intake of pledges has dealt with."""

    news: int = 0
    """Webhooks."""
    due: int = 0
    """Pledges whose time was up."""
    refunds: int = 0
    """Pledges of which something was sent back."""
    looks: int = 0
    """Things that were looked at again."""

    @property
    def total(self) -> int:
        """All together."""
        return self.news + self.due + self.refunds + self.looks

    def plus(self, more: TakenIn) -> TakenIn:
        """Both together."""
        return TakenIn(
            **{name: getattr(self, name) + getattr(more, name) for name in TakenIn.model_fields}
        )
