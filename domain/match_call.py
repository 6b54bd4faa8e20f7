"""The match call 众扶 (paths 2.9): a sponsor's budget that grows what backers give, and the rules by which it does.

Phases, legal transitions and frozen terms of the path; what a pledge is matched with is a pure function of the rule, the
caps and what is left, and so is who gets what becomes free.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from enum import StrEnum

from pydantic import Field

from domain import accounts
from domain.accounts import Account
from domain.campaign import Kind as CampaignKind
from domain.errors import CurrencyMismatch, HoldTooLong, InvalidInput, WrongPhase
from domain.model import Message
from domain.money import Currency, MinorUnits, format_money
from domain.policy import MatchPolicy, RefundPolicy

DOUBLE = 10_000
"""The factor of a 1:1 match, in basis points."""


class Phase(StrEnum):
    """Where a match call stands. Whether its budget is used up is no phase: every pledge may change it."""

    DRAFT = "draft"
    FUNDING = "funding"
    """The sponsor is paying the budget."""
    OPEN = "open"
    """Projects apply, and pledges to those accepted are matched."""
    CLOSED = "closed"
    """Nothing new is promised; what was promised waits for its campaigns to be decided."""
    ENDED = "ended"
    """All of the budget is used, spent or on its way back."""
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    """Called off: what is not used goes back."""


FINAL = frozenset({Phase.ENDED, Phase.EXPIRED, Phase.CANCELLED})
HOLDS_BUDGET = frozenset({Phase.OPEN, Phase.CLOSED})


class Shown(StrEnum):
    """What people are told about a call that is open."""

    OPEN = "open"
    EXHAUSTED = "exhausted"
    """Everything is promised, used or spent; it is open again when something becomes free."""


class SponsorKind(StrEnum):
    """Who gives the money."""

    GOVERNMENT = "government"
    CHARITY = "charity"
    COMPANY = "company"
    PERSON = "person"


class Event(StrEnum):
    """What moves a match call."""

    FUNDING_ASKED = "funding_asked"
    BUDGET_PAID = "budget_paid"
    BUDGET_UNPAID = "budget_unpaid"
    CANCELLED = "cancelled"
    TOP_UP_ASKED = "top_up_asked"
    TOPPED_UP = "topped_up"
    TOP_UP_UNPAID = "top_up_unpaid"
    TIME_UP = "time_up"
    CLOSED = "closed"
    """By the sponsor, before its time."""
    SETTLED = "settled"
    """Campaigns have been decided; what has become free goes back."""
    SETTLEMENT_OVERDUE = "settlement_overdue"
    SPENDING_ASKED = "spending_asked"
    SPENDING_APPROVED = "spending_approved"
    SPENDING_REFUSED = "spending_refused"
    SPENDING_LAPSED = "spending_lapsed"
    CHARGED_BACK = "charged_back"
    """The sponsor's bank keeps what it has taken back."""
    RESUMED = "resumed"
    """The bank has decided, and what has waited for it goes where it belongs."""


_P = Phase
_CLOSES = frozenset({_P.CLOSED, _P.ENDED})

TRANSITIONS: dict[tuple[Phase, Event], frozenset[Phase]] = {
    (_P.DRAFT, Event.FUNDING_ASKED): frozenset({_P.FUNDING}),
    (_P.DRAFT, Event.CANCELLED): frozenset({_P.CANCELLED}),
    (_P.FUNDING, Event.BUDGET_PAID): frozenset({_P.OPEN}),
    (_P.FUNDING, Event.BUDGET_UNPAID): frozenset({_P.EXPIRED}),
    (_P.FUNDING, Event.CANCELLED): frozenset({_P.CANCELLED}),
    (_P.OPEN, Event.TOP_UP_ASKED): frozenset({_P.OPEN}),
    (_P.OPEN, Event.TOPPED_UP): frozenset({_P.OPEN}),
    (_P.OPEN, Event.TOP_UP_UNPAID): frozenset({_P.OPEN}),
    (_P.OPEN, Event.SPENDING_ASKED): frozenset({_P.OPEN}),
    (_P.OPEN, Event.SPENDING_APPROVED): frozenset({_P.OPEN}),
    (_P.OPEN, Event.SPENDING_REFUSED): frozenset({_P.OPEN}),
    (_P.OPEN, Event.SPENDING_LAPSED): frozenset({_P.OPEN}),
    (_P.OPEN, Event.TIME_UP): _CLOSES,
    (_P.OPEN, Event.CLOSED): _CLOSES,
    (_P.OPEN, Event.CHARGED_BACK): _CLOSES,
    (_P.OPEN, Event.RESUMED): frozenset({_P.OPEN}),
    (_P.OPEN, Event.CANCELLED): frozenset({_P.CANCELLED}),
    (_P.CLOSED, Event.SPENDING_APPROVED): _CLOSES,
    (_P.CLOSED, Event.SPENDING_REFUSED): _CLOSES,
    (_P.CLOSED, Event.SPENDING_LAPSED): _CLOSES,
    (_P.CLOSED, Event.SETTLED): _CLOSES,
    (_P.CLOSED, Event.SETTLEMENT_OVERDUE): _CLOSES,
    (_P.CLOSED, Event.CHARGED_BACK): _CLOSES,
    (_P.CLOSED, Event.RESUMED): _CLOSES,
}
"""The whole state machine of the path."""


def require_event(phase: str, event: str) -> frozenset[Phase]:
    """Where the event can lead from this phase. Raises WrongPhase when it cannot happen in it."""
    found = TRANSITIONS.get((Phase(phase), Event(event)))
    if found is None:
        possible = sorted({str(each) for origin, each in TRANSITIONS if origin == phase})
        raise WrongPhase(
            f"a match call that is {phase} cannot become {event}",
            field="phase",
            accepted=", ".join(possible) or "nothing: the match call has ended",
        )
    return found


class ProjectState(StrEnum):
    """Where a campaign's application stands."""

    APPLIED = "applied"
    ACCEPTED = "accepted"
    """Its pledges are matched from now on."""
    DECLINED = "declined"
    LAPSED = "lapsed"
    """Nobody answered in time; that is a no."""


class ReservationState(StrEnum):
    """Where money that is promised to a campaign stands."""

    RESERVED = "reserved"
    """Conditional on the campaign's success; with less than is wanted it waits for money that becomes free."""
    USED = "used"
    """The campaign has succeeded and has the money."""
    FREED = "freed"
    """Not promised any more."""


class SpendingState(StrEnum):
    """Where a spending out of the budget stands."""

    ASKED = "asked"
    PAID = "paid"
    REFUSED = "refused"
    LAPSED = "lapsed"
    CALLED_OFF = "called_off"
    """The call was called off, or its budget taken back, before it was approved."""


class Mode(StrEnum):
    """How the sponsor's money grows what backers give."""

    PER_PLEDGE = "per_pledge"
    """So much for each pledge."""
    LUMP = "lump"
    """A fixed sum for a campaign that comes far enough."""


class Offer(Message):
    """By which rule pledges are matched. Amounts in minor units of the call's currency; a cap of None is none."""

    mode: Mode
    factor_basis_points: int = Field(default=DOUBLE, ge=1, le=10 * DOUBLE)
    """Of PER_PLEDGE: what is added to a pledge, in hundredths of a percent of it; 10,000 doubles it."""
    lump: int = Field(default=0, ge=0)
    """Of LUMP: the fixed sum."""
    at_goal_basis_points: int | None = Field(default=None, ge=1, le=10 * DOUBLE)
    """Of LUMP: due once so much of the goal is pledged …"""
    at_backers: int | None = Field(default=None, ge=1)
    """… or once so many different people have pledged."""
    per_pledge_cap: int | None = Field(default=None, ge=1)
    per_project_cap: int | None = Field(default=None, ge=1)
    per_person_cap: int | None = Field(default=None, ge=1)
    """The most that is added to all pledges of one backer, in all projects of the call."""

    def wanted(self, pledge: int) -> int:
        """What the rule gives for a pledge of so much, if there is money and no other cap is reached."""
        if self.mode is not Mode.PER_PLEDGE:
            return 0
        given = pledge * self.factor_basis_points // 10_000
        return given if self.per_pledge_cap is None else min(given, self.per_pledge_cap)

    def lump_is_due(self, *, goal: int, pledged: int, backers: int) -> bool:
        """Whether a campaign has come far enough for the lump sum."""
        by_share = (
            self.at_goal_basis_points is not None
            and pledged * 10_000 >= goal * self.at_goal_basis_points
        )
        return by_share or (self.at_backers is not None and backers >= self.at_backers)


def match_of(offer: Offer, wanted: int, *, project: int, person: int, left: int) -> int:
    """What can be promised of what is wanted: min(rule, caps, left), never below 0; all in minor units.

    `project` and `person` are what the project and the backer have been promised already, `left` what the call has
    promised to nobody.
    """
    rooms = [wanted, left]
    if offer.per_project_cap is not None:
        rooms.append(offer.per_project_cap - project)
    if offer.per_person_cap is not None:
        rooms.append(offer.per_person_cap - person)
    return max(0, min(rooms))


class Waiting(Message):
    """A reservation that has got less than the rule would give, minor units."""

    id: int
    campaign_id: str
    backer_id: str | None
    """None for a lump sum, which no person's cap concerns."""
    lacks: int


def passed_on(
    offer: Offer,
    waiting: Sequence[Waiting],
    *,
    projects: Mapping[str, int],
    people: Mapping[str, int],
    left: int,
) -> dict[int, int]:
    """Who gets how much of what is left: the waiting in their order, each as much as the caps allow.

    `projects` and `people` are what each campaign and each backer has been promised already. Answers reservation ->
    minor units more, above 0.
    """
    by_project, by_person, given = dict(projects), dict(people), {}
    for each in waiting:
        if left <= 0:
            break
        person = by_person.get(each.backer_id, 0) if each.backer_id else 0
        project = by_project.get(each.campaign_id, 0)
        rule = offer if each.backer_id else offer.model_copy(update={"per_person_cap": None})
        more = match_of(rule, each.lacks, project=project, person=person, left=left)
        if more == 0:
            continue
        given[each.id] = more
        left -= more
        by_project[each.campaign_id] = project + more
        if each.backer_id:
            by_person[each.backer_id] = person + more
    return given


class Eligibility(Message):
    """Which campaigns may apply."""

    kinds: tuple[CampaignKind, ...] = tuple(CampaignKind)
    largest_goal: int | None = None
    """Minor units."""
    words: str = ""
    """What else the sponsor asks for; they judge it themselves."""


class Rules(Message):
    """The platform's rules as they stood when the sponsor began to pay."""

    policy: MatchPolicy
    refund_policy: RefundPolicy
    provider: str
    return_url: str


class CallTerms(Message):
    """What the sponsor promises. A draft's may change; once it is being funded nothing is ever recomputed."""

    call_id: str
    sponsor_id: str
    sponsor_kind: SponsorKind
    sponsor_name: str
    title: str
    story: str
    file_ids: tuple[str, ...] = ()
    currency: Currency
    budget: MinorUnits
    offer: Offer
    eligibility: Eligibility = Eligibility()
    accept_all: bool = False
    """Every campaign that may apply is accepted at once."""
    open_seconds: int
    approvers: tuple[str, ...] = ()
    """Who decides on spendings, user ids."""
    approvals_needed: int = 0
    """How many of them must agree; 0 when nothing is spent but by matching."""
    rules: Rules

    @property
    def policy(self) -> MatchPolicy:
        """The windows."""
        return self.rules.policy

    @property
    def account(self) -> Account:
        """Where the budget lies."""
        return accounts.match(self.call_id)

    @property
    def open_for(self) -> timedelta:
        """How long projects and pledges are taken."""
        return timedelta(seconds=self.open_seconds)

    def money(self, amount: int) -> str:
        """An amount in words."""
        return format_money(amount, self.currency)


def require_terms(terms: CallTerms, shortest_window_seconds: int) -> None:
    """Raises InvalidInput for terms that no match call can have."""
    longest = terms.policy.open_longest_seconds
    if not shortest_window_seconds <= terms.open_seconds <= longest:
        raise InvalidInput(
            "the time for projects and pledges is out of range",
            field="open_seconds",
            accepted=f"{shortest_window_seconds} to {longest} seconds",
        )
    if not terms.eligibility.kinds:
        raise InvalidInput(
            "no kind of campaign may apply", field="eligibility.kinds", accepted="at least one"
        )
    _require_offer(terms.offer, terms.budget)
    if len(set(terms.approvers)) != len(terms.approvers):
        raise InvalidInput("an approver is named twice", field="approvers", accepted="each once")
    if terms.approvals_needed > len(terms.approvers):
        raise InvalidInput(
            "more approvals are needed than there are approvers",
            field="approvals_needed",
            accepted=f"at most {len(terms.approvers)}",
        )
    if terms.approvers and not terms.approvals_needed:
        raise InvalidInput(
            "approvers are named, but no approval is needed",
            field="approvals_needed",
            accepted=f"1 to {len(terms.approvers)}",
        )


def _require_offer(offer: Offer, budget: int) -> None:
    if offer.mode is Mode.PER_PLEDGE:
        return
    if not 0 < offer.lump <= budget:
        raise InvalidInput(
            "the fixed sum does not fit into the budget",
            field="offer.lump",
            accepted=f"1 to {budget}",
        )
    if offer.at_goal_basis_points is None and offer.at_backers is None:
        raise InvalidInput(
            "say when the fixed sum is due",
            field="offer.at_goal_basis_points",
            accepted="a share of the goal, or a number of backers",
        )
    if offer.per_pledge_cap is not None or offer.per_person_cap is not None:
        raise InvalidInput(
            "a fixed sum has no caps for pledges and people",
            field="offer.per_pledge_cap" if offer.per_pledge_cap else "offer.per_person_cap",
            accepted="none",
        )


def require_holdable(terms: CallTerms, max_hold_seconds: int) -> None:
    """Raises HoldTooLong when the provider does not hold the budget until the call closes."""
    if terms.open_seconds > max_hold_seconds:
        raise HoldTooLong(
            "the payment provider does not hold the budget that long",
            field="open_seconds",
            accepted=f"at most {max_hold_seconds} seconds",
        )


def require_eligible(terms: CallTerms, kind: str, currency: str, goal: int) -> None:
    """Raises CurrencyMismatch or InvalidInput for a campaign that the sponsor does not want; the goal in minor units."""
    if currency != terms.currency:
        raise CurrencyMismatch(
            f"this call is in {terms.currency}", field="campaign_id", accepted=terms.currency
        )
    kinds = terms.eligibility.kinds
    if kind not in kinds:
        raise InvalidInput(
            f"campaigns of the kind {kind} are not matched by this call",
            field="campaign_id",
            accepted=", ".join(sorted(kinds)),
        )
    largest = terms.eligibility.largest_goal
    if largest is not None and goal > largest:
        raise InvalidInput(
            f"the campaign's goal is above {terms.money(largest)}",
            field="campaign_id",
            accepted=f"a goal of at most {largest}",
        )


class Budget(Message):
    """Where the budget of a call is, minor units: paid = left + reserved + used + spent + returned + lost."""

    paid: int = 0
    reserved: int = 0
    """Promised to campaigns that are not decided, and asked for by spendings."""
    used: int = 0
    """With campaigns that have succeeded, less what they gave back."""
    spent: int = 0
    returned: int = 0
    """Back with the sponsor, or on its way."""
    lost: int = 0
    """Taken out of the budget by the sponsor's bank for good."""

    @property
    def held(self) -> int:
        """What the call's account holds."""
        return self.paid - self.used - self.spent - self.returned - self.lost

    @property
    def left(self) -> int:
        """What is promised to nobody."""
        return self.held - self.reserved


def shown(phase: str, budget: Budget) -> str:
    """The phase as people are told: an open call without money is exhausted."""
    if phase == Phase.OPEN:
        return Shown.OPEN if budget.left > 0 else Shown.EXHAUSTED
    return phase
