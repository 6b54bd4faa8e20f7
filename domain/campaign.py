"""The campaign 众筹 (paths 2.4): phases, legal transitions, frozen terms and the rules of success."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum

from pydantic import Field

from domain.errors import HoldTooLong, InvalidInput, SharesDoNotSum, WrongPhase
from domain.model import BasisPoints, Instant, Message
from domain.money import Currency, MinorUnits
from domain.pledge import Method
from domain.policy import CampaignPolicy, RefundPolicy


class Kind(StrEnum):
    """What backers get."""

    REWARD = "reward"
    """A reward of their tier; something may be given on top."""
    DONATION = "donation"
    """Nothing but thanks: no tiers."""
    PRESALE = "presale"
    """The product itself, ordered before it is made."""


class Funding(StrEnum):
    """When the creator gets the money."""

    ALL_OR_NOTHING = "all_or_nothing"
    FLEXIBLE = "flexible"
    """Whatever comes together."""
    TWO_ROUNDS = "two_rounds"
    """The minimum in the first round, or all goes back; then a second one towards the optimum (Goteo)."""


class ShortRule(StrEnum):
    """What happens when charges fail and less is collected than the goal. Fixed at launch and shown to backers."""

    PAY_ANYWAY = "pay_anyway"
    """The goal was reached in pledges: what is collected is paid (Kickstarter)."""
    REQUIRE_SHARE = "require_share"
    """Unless a share of the goal is collected all goes back (answers opencollective#2795)."""


class Trigger(StrEnum):
    """When a part of the money is released to the creator."""

    START = "start"
    """After the waiting time."""
    FIRST_ARTICLE = "first_article"
    """When the first piece has passed."""
    LOTS = "lots"
    """As lots are accepted."""
    RESERVE = "reserve"
    """Last of all."""


class TrancheState(StrEnum):
    """Where a part of the money stands."""

    PLANNED = "planned"
    REPORTED = "reported"
    """The creator says that it is reached; operators look."""
    RELEASED = "released"
    STOPPED = "stopped"
    """Goes back to the backers."""


class Phase(StrEnum):
    """Where a campaign stands."""

    DRAFT = "draft"
    """Also while operators want something mended."""
    IN_REVIEW = "in_review"
    SCHEDULED = "scheduled"
    LIVE = "live"
    """Pledges come in."""
    ROUND2 = "round2"
    """The minimum is reached; pledges come in towards the optimum."""
    CLOSING = "closing"
    """The time is up; what was begun in time is being settled."""
    COLLECTING = "collecting"
    """Enough is pledged; saved cards are being charged."""
    WAITING_FUNDS = "waiting_funds"
    """Bank transfers that were begun in time are on their way."""
    SUCCESSFUL = "successful"
    """Enough is collected; nothing is released before the waiting time has passed."""
    FULFILLING = "fulfilling"
    """The creator is paid in parts and makes what was promised."""
    COMPLETED = "completed"
    FAILED = "failed"
    """Not enough: everybody gets everything back."""
    CANCELLED = "cancelled"
    """Called off before it had succeeded: everybody gets everything back."""
    STOPPED = "stopped"
    """Called off after it had succeeded: backers share what is left."""


FINAL = frozenset({Phase.COMPLETED, Phase.FAILED, Phase.CANCELLED, Phase.STOPPED})
OPEN_FOR_PLEDGES = frozenset({Phase.LIVE, Phase.ROUND2})
LATE_PLEDGES = frozenset({Phase.SUCCESSFUL, Phase.FULFILLING})
"""Phases in which late pledges are taken, if the creator takes any: they are paid at once."""
AWAITS_MONEY = frozenset(
    {Phase.LIVE, Phase.ROUND2, Phase.CLOSING, Phase.COLLECTING, Phase.WAITING_FUNDS}
)
"""Phases in which a pledge that was begun in time finds its place when its money comes."""
GIVES_BACK = frozenset({Phase.FAILED, Phase.CANCELLED, Phase.STOPPED})
PRIVATE = frozenset({Phase.DRAFT, Phase.IN_REVIEW})
"""Phases in which only the creator and operators see a campaign."""


class Event(StrEnum):
    """What moves a campaign."""

    SUBMITTED = "submitted"
    REVIEW_OVERDUE = "review_overdue"
    APPROVED = "approved"
    SENT_BACK = "sent_back"
    """Operators want something mended."""
    MENDING_LAPSED = "mending_lapsed"
    WITHDRAWN = "withdrawn"
    LAUNCHED = "launched"
    DEADLINE = "deadline"
    ROUND_CLOSED = "round_closed"
    COLLECTED = "collected"
    FUNDS_SETTLED = "funds_settled"
    DISBURSED = "disbursed"
    TRANCHE_REPORTED = "tranche_reported"
    TRANCHE_APPROVED = "tranche_approved"
    TRANCHE_REFUSED = "tranche_refused"
    TRANCHE_LAPSED = "tranche_lapsed"
    REWARDS_LOCKED = "rewards_locked"
    REWARDS_SHIPPED = "rewards_shipped"
    """The last one that was owed."""
    DELIVERY_LATE = "delivery_late"
    UPDATE_DUE = "update_due"
    LATE_PLEDGES_PAID = "late_pledges_paid"
    RESERVE_DUE = "reserve_due"
    VOTE_ASKED = "vote_asked"
    VOTED = "voted"
    NOT_DECIDED = "not_decided"
    LONG_STOP = "long_stop"
    CANCELLED = "cancelled"
    """By the creator."""
    BANNED = "banned"
    """By operators."""
    GIVEN_BACK = "given_back"
    """Every pledge has ended."""


_P = Phase
_AFTER_CLOSING = frozenset({_P.ROUND2, _P.COLLECTING, _P.WAITING_FUNDS, _P.SUCCESSFUL, _P.FAILED})
_DECIDED = frozenset({_P.SUCCESSFUL, _P.FAILED})
_MAKING = frozenset({_P.FULFILLING})
_PAID = frozenset({_P.FULFILLING, _P.COMPLETED})
_GIVEN_UP = frozenset({_P.CANCELLED})
_STOP = frozenset({_P.STOPPED})

TRANSITIONS: dict[tuple[Phase, Event], frozenset[Phase]] = {
    (_P.DRAFT, Event.SUBMITTED): frozenset({_P.IN_REVIEW}),
    (_P.DRAFT, Event.WITHDRAWN): _GIVEN_UP,
    (_P.DRAFT, Event.MENDING_LAPSED): _GIVEN_UP,
    (_P.IN_REVIEW, Event.REVIEW_OVERDUE): frozenset({_P.IN_REVIEW}),
    (_P.IN_REVIEW, Event.APPROVED): frozenset({_P.SCHEDULED, _P.LIVE}),
    (_P.IN_REVIEW, Event.SENT_BACK): frozenset({_P.DRAFT}),
    (_P.IN_REVIEW, Event.WITHDRAWN): _GIVEN_UP,
    (_P.SCHEDULED, Event.LAUNCHED): frozenset({_P.LIVE}),
    (_P.SCHEDULED, Event.WITHDRAWN): _GIVEN_UP,
    (_P.LIVE, Event.DEADLINE): frozenset({_P.CLOSING}),
    (_P.ROUND2, Event.DEADLINE): frozenset({_P.CLOSING}),
    (_P.CLOSING, Event.ROUND_CLOSED): _AFTER_CLOSING,
    (_P.WAITING_FUNDS, Event.FUNDS_SETTLED): frozenset({_P.COLLECTING, *_DECIDED}),
    (_P.COLLECTING, Event.COLLECTED): frozenset({_P.WAITING_FUNDS, *_DECIDED}),
    (_P.SUCCESSFUL, Event.DISBURSED): _PAID,
    **{
        (phase, event): frozenset({phase})
        for phase in (_P.SUCCESSFUL, _P.FULFILLING)
        for event in (Event.REWARDS_LOCKED, Event.REWARDS_SHIPPED, Event.UPDATE_DUE)
    },
    (_P.FULFILLING, Event.TRANCHE_REPORTED): _MAKING,
    (_P.FULFILLING, Event.TRANCHE_APPROVED): _PAID,
    (_P.FULFILLING, Event.TRANCHE_REFUSED): _MAKING,
    (_P.FULFILLING, Event.TRANCHE_LAPSED): _PAID,
    (_P.FULFILLING, Event.DELIVERY_LATE): _MAKING,
    (_P.FULFILLING, Event.LATE_PLEDGES_PAID): _MAKING,
    (_P.FULFILLING, Event.RESERVE_DUE): _PAID,
    (_P.FULFILLING, Event.VOTE_ASKED): _MAKING,
    (_P.FULFILLING, Event.VOTED): frozenset({_P.FULFILLING, _P.STOPPED}),
    (_P.FULFILLING, Event.NOT_DECIDED): _MAKING,
    (_P.FULFILLING, Event.LONG_STOP): frozenset({_P.STOPPED, _P.COMPLETED}),
    **{
        (phase, event): _GIVEN_UP
        for phase in (_P.LIVE, _P.ROUND2, _P.CLOSING, _P.COLLECTING, _P.WAITING_FUNDS)
        for event in (Event.CANCELLED, Event.BANNED)
    },
    **{(phase, Event.BANNED): _GIVEN_UP for phase in (_P.IN_REVIEW, _P.SCHEDULED)},
    **{
        (phase, event): _STOP
        for phase in (_P.SUCCESSFUL, _P.FULFILLING)
        for event in (Event.CANCELLED, Event.BANNED)
    },
    **{(phase, Event.GIVEN_BACK): frozenset({phase}) for phase in sorted(GIVES_BACK)},
}
"""The whole state machine of the path; that of a pledge is domain.pledge.NEXT."""


def require_event(phase: str, event: str) -> frozenset[Phase]:
    """Where the event can lead from this phase. Raises WrongPhase when it cannot happen in it."""
    found = TRANSITIONS.get((Phase(phase), Event(event)))
    if found is None:
        possible = sorted({str(each) for origin, each in TRANSITIONS if origin == phase})
        raise WrongPhase(
            f"a campaign that is {phase} cannot become {event}",
            field="phase",
            accepted=", ".join(possible) or "nothing: the campaign has ended",
        )
    return found


class Tranche(Message):
    """A part of what was taken in, released when its condition is met."""

    title: str
    trigger: Trigger
    basis_points: BasisPoints


class Question(Message):
    """What the creator has to know to make somebody's reward, such as a colour."""

    key: str
    text: str
    choices: tuple[str, ...] = ()
    """Accepted answers; empty for free text."""
    tiers: tuple[int, ...] = ()
    """Which tiers are asked; empty for all."""
    required: bool = True


class Report(Message):
    """The creator says that a part of the work is done, and shows it."""

    note: str
    file_ids: tuple[str, ...] = ()
    share: BasisPoints = 10_000
    """Of lots: how much is accepted in all by now."""


class Rules(Message):
    """The platform's rules as they stood when the campaign was submitted."""

    policy: CampaignPolicy
    refund_policy: RefundPolicy
    provider: str
    return_url: str


class CampaignTerms(Message):
    """What the creator promises. A draft's may change; once it is submitted nothing is ever recomputed."""

    campaign_id: str
    creator_id: str
    title: str
    story: str
    file_ids: tuple[str, ...] = ()
    currency: Currency
    kind: Kind
    funding: Funding
    goal: MinorUnits
    """What must come together, minor units; with two rounds the minimum."""
    optimum: int | None = None
    """Of two rounds: what the second one aims at."""
    live_seconds: int
    round2_seconds: int | None = None
    starts_at: Instant | None = None
    """None: as soon as operators have approved it."""
    methods: tuple[Method, ...] = tuple(Method)
    short_rule: ShortRule = ShortRule.REQUIRE_SHARE
    required_basis_points: BasisPoints = 9_000
    """Of REQUIRE_SHARE: how much of the goal must be collected."""
    late_pledges: bool = False
    tranches: tuple[Tranche, ...] = ()
    survey: tuple[Question, ...] = ()
    rules: Rules

    @property
    def policy(self) -> CampaignPolicy:
        """The windows and fees."""
        return self.rules.policy

    def live(self, round_: int) -> timedelta:
        """How long pledges are taken in this round."""
        seconds = self.live_seconds if round_ == 1 else self.round2_seconds
        return timedelta(seconds=seconds or self.live_seconds)

    @property
    def required(self) -> int:
        """What must be collected for the campaign to succeed, minor units."""
        if self.funding is Funding.FLEXIBLE or self.short_rule is ShortRule.PAY_ANYWAY:
            return 1
        # Rounded up: a unit less than the share is less than the share.
        return max(1, -(-self.goal * self.required_basis_points // 10_000))


class Count(Message):
    """What stands at one moment, in pledges and minor units."""

    pledges: int = 0
    pledged: int = 0
    """Saved, paid and being charged."""
    paid: int = 0
    """The part of it that is in the books."""
    matched: int = 0
    """What match calls add if the campaign succeeds."""
    to_charge: int = 0
    """Pledges whose card is still to be charged, or whose failed charge can still be mended."""
    slow: int = 0
    """What is still under way by slow methods, minor units."""
    slow_pledges: int = 0

    @property
    def total(self) -> int:
        """What counts towards the goal."""
        return self.pledged + self.matched


class Result(Message):
    """What was counted when it was decided, and the decision."""

    goal: int
    required: int
    count: Count
    succeeded: bool


def reached(terms: CampaignTerms, total: int) -> bool:
    """Whether so much, in minor units, is enough for the pledges to be collected."""
    if terms.funding is Funding.FLEXIBLE:
        return total > 0
    return total >= terms.goal


def after_closing(terms: CampaignTerms, round_: int, count: Count) -> Phase:
    """Where a round leads whose pledges are settled but for slow methods."""
    if not reached(terms, count.total):
        return Phase.WAITING_FUNDS if reached(terms, count.total + count.slow) else Phase.FAILED
    if terms.funding is Funding.TWO_ROUNDS and round_ == 1:
        return Phase.ROUND2
    return after_waiting(terms, count)


def after_waiting(terms: CampaignTerms, count: Count) -> Phase:
    """Where enough pledges lead: cards are charged first, then slow money is waited for, then it is decided."""
    if not reached(terms, count.total):
        return Phase.FAILED
    if count.to_charge:
        return Phase.COLLECTING
    return decided(terms, count)


def decided(terms: CampaignTerms, count: Count) -> Phase:
    """Where the end of the collection leads; `count.pledged` is all paid by now."""
    if count.slow_pledges:
        return Phase.WAITING_FUNDS
    return Phase.SUCCESSFUL if count.paid + count.matched >= terms.required else Phase.FAILED


def require_terms(terms: CampaignTerms, shortest_window_seconds: int) -> None:
    """Raises InvalidInput or SharesDoNotSum for terms that no campaign can have."""
    policy = terms.policy
    windows = [("live_seconds", terms.live_seconds)]
    if terms.funding is Funding.TWO_ROUNDS:
        if terms.round2_seconds is None or terms.optimum is None:
            raise InvalidInput(
                "a second round needs its length and an optimum",
                field="round2_seconds" if terms.round2_seconds is None else "optimum",
            )
        if terms.optimum <= terms.goal:
            raise InvalidInput(
                "the optimum is more than the minimum",
                field="optimum",
                accepted=f"more than {terms.goal}",
            )
        windows.append(("round2_seconds", terms.round2_seconds))
    for field, seconds in windows:
        if not shortest_window_seconds <= seconds <= policy.live_longest_seconds:
            raise InvalidInput(
                "the time for pledges is out of range",
                field=field,
                accepted=f"{shortest_window_seconds} to {policy.live_longest_seconds} seconds",
            )
    if not terms.methods:
        raise InvalidInput("no way to pay is taken", field="methods", accepted="at least one")
    _require_tranches(terms.tranches)


def _require_tranches(tranches: tuple[Tranche, ...]) -> None:
    total = sum(each.basis_points for each in tranches)
    if total != 10_000:
        raise SharesDoNotSum(
            f"the parts sum to {total} basis points", field="tranches", accepted="10000"
        )
    order = [list(Trigger).index(each.trigger) for each in tranches]
    if order != sorted(set(order)):
        raise InvalidInput(
            "the parts come once each and in their order",
            field="tranches",
            accepted=", ".join(Trigger),
        )


def require_holdable(terms: CampaignTerms, max_hold_seconds: int) -> None:
    """Raises HoldTooLong when money paid on the first day could go back only after the provider's longest hold."""
    needed = terms.policy.hold_seconds(terms.live_seconds, terms.round2_seconds)
    if needed > max_hold_seconds:
        raise HoldTooLong(
            "the payment provider does not hold money until it is decided",
            field="live_seconds",
            accepted=f"at most {max(0, terms.live_seconds - (needed - max_hold_seconds))} seconds",
        )


class Ledger(Message):
    """What a campaign that has succeeded has got, minor units; its escrow holds `taken_in` less `released`."""

    taken_in: int = Field(ge=0)
    released: int = Field(default=0, ge=0)
    fee_taken: int = Field(default=0, ge=0)
    disputed: int = Field(default=0, ge=0)

    @property
    def left(self) -> int:
        """What is still in escrow."""
        return self.taken_in - self.released
