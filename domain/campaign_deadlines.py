"""The pending timers of a campaign up to its decision: until when, who can stop them, and what silence does.

Those of a campaign that has succeeded are in domain.campaign_delivery.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from domain import postings_match
from domain.campaign import CampaignTerms, Event, Funding, Phase
from domain.deadlines import Deadline, PlannedPosting, planned
from domain.model import Message

PLEDGING = "pledging"
"""The timer that pledges have to beat."""
FIXING = "fixing"
SLOW_FUNDS = "slow_funds"
FINAL_CHARGES_SECONDS = 3_600
"""The least time, after the last moment for mending, in which the stories of failed charges try once more."""
CALLS_OF_A_DROP = 3
"""Last try, cancellation and release of the card: what ends a pledge whose charge was never mended."""
_LONGEST_WAIT = timedelta(hours=1)

_CANCEL = "initiator: cancel"
_WITHDRAW = "initiator: withdraw"
_BAN = "operator: ban"
_PAY = "backers: pay"


class Promised(Message):
    """What one match call adds if the campaign succeeds, minor units."""

    call_id: str
    amount: int


def phase_deadlines(
    terms: CampaignTerms,
    phase: Phase,
    at: datetime,
    *,
    round_: int = 1,
    until: datetime | None = None,
    promised: Sequence[Promised] = (),
) -> tuple[Deadline, ...]:
    """The timer of a phase entered at this moment, of phases that have one.

    `until`: the end of a wait that was fixed before. `promised`: what match calls add if the campaign succeeds when the
    timer fires.
    """
    policy = terms.policy

    def after(seconds: int) -> datetime:
        return until or at + timedelta(seconds=seconds)

    match phase:
        case Phase.DRAFT:
            return (_mending(after(policy.mending_seconds)),)
        case Phase.IN_REVIEW:
            return (_review(after(policy.review_seconds)),)
        case Phase.SCHEDULED:
            return (_launch(terms.starts_at or at),)
        case Phase.LIVE | Phase.ROUND2:
            return (_pledging(terms, round_, at + terms.live(round_)),)
        case Phase.COLLECTING:
            return (_fixing(terms, after(policy.fix_seconds), promised),)
        case Phase.WAITING_FUNDS:
            return (_slow_funds(terms, after(policy.slow_seconds), promised),)
        case _:
            return ()


def with_match(terms: CampaignTerms, timer: Deadline, promised: Sequence[Promised]) -> Deadline:
    """The timer of a decision with what it would post if match calls promised so much."""
    if timer.name not in (FIXING, SLOW_FUNDS):
        return timer
    return timer.model_copy(update={"postings": _match_used(terms, promised)})


def final_charges_seconds(failed: int, rate_per_second: int) -> int:
    """How long the last tries of so many failed charges may take: twice as long as their calls do at the provider's rate.

    Others use the rate as well, and the parts of a campaign differ in size. A rate of 0 is none.
    """
    calls = CALLS_OF_A_DROP * failed
    needed = -(-2 * calls // rate_per_second) if rate_per_second else 0
    return max(FINAL_CHARGES_SECONDS, needed)


def with_final_charges(timer: Deadline, failed: int, rate_per_second: int) -> Deadline:
    """The timer of the collection with time enough for the last tries of so many; one that was put off stays."""
    seconds = final_charges_seconds(failed, rate_per_second)
    if timer.name != FIXING or not 0 < timer.grace_seconds < seconds:
        return timer
    update = {"grace_seconds": seconds, "outcome": _after_last_tries(seconds)}
    return timer.model_copy(update=update)


def put_off(overdue: Deadline, at: datetime) -> Deadline:
    """The same timer once more, as its event could not happen at `at`: soon at first, less and less often later."""
    wait = min(max(at - overdue.due_at, timedelta(minutes=1)), _LONGEST_WAIT)
    return overdue.model_copy(update={"due_at": at + wait, "grace_seconds": 0})


def _mending(due_at: datetime) -> Deadline:
    return Deadline(
        name="mending",
        due_at=due_at,
        stopped_by=("initiator: submit", _WITHDRAW),
        outcome="The campaign is given up.",
        event=Event.MENDING_LAPSED,
    )


def _review(due_at: datetime) -> Deadline:
    return Deadline(
        name="review",
        due_at=due_at,
        stopped_by=("operator: approve", "operator: send back", _BAN, _WITHDRAW),
        outcome="Operators are called; the campaign goes on waiting for them.",
        event=Event.REVIEW_OVERDUE,
    )


def _launch(due_at: datetime) -> Deadline:
    return Deadline(
        name="launch",
        due_at=due_at,
        stopped_by=(_WITHDRAW, _BAN),
        outcome="The campaign goes live and takes pledges.",
        event=Event.LAUNCHED,
    )


def _pledging(terms: CampaignTerms, round_: int, due_at: datetime) -> Deadline:
    return Deadline(
        name=PLEDGING,
        due_at=due_at,
        stopped_by=(_CANCEL, _BAN),
        outcome=_at_the_end(terms, round_),
        event=Event.DEADLINE,
        grace_seconds=terms.policy.grace_seconds,
    )


def _at_the_end(terms: CampaignTerms, round_: int) -> str:
    if terms.funding is Funding.FLEXIBLE:
        return "Whatever is pledged is collected; without any pledge the campaign fails."
    if terms.funding is Funding.TWO_ROUNDS and round_ == 1:
        return (
            "If the minimum is pledged, the second round begins; else everybody gets everything "
            "back and saved cards are never charged."
        )
    if terms.funding is Funding.TWO_ROUNDS:
        return "What is pledged is collected."
    return (
        "If the goal is pledged, saved cards are charged; else everybody gets everything back and "
        "saved cards are never charged."
    )


def _fixing(terms: CampaignTerms, due_at: datetime, promised: Sequence[Promised]) -> Deadline:
    return Deadline(
        name=FIXING,
        due_at=due_at,
        stopped_by=(_PAY, _CANCEL, _BAN),
        outcome=_after_last_tries(FINAL_CHARGES_SECONDS),
        postings=_match_used(terms, promised),
        event=Event.COLLECTED,
        grace_seconds=FINAL_CHARGES_SECONDS,
    )


def _after_last_tries(seconds: int) -> str:
    return (
        f"Charges that have still failed are tried a last time, for {seconds // 60} minutes at most; "
        "then pledges whose charge has failed are dropped, and it is decided whether enough is "
        "collected. If so, match calls add what is reserved for the pledges that are left; what the "
        "dropped ones set free may come on top."
    )


def _slow_funds(terms: CampaignTerms, due_at: datetime, promised: Sequence[Promised]) -> Deadline:
    return Deadline(
        name=SLOW_FUNDS,
        due_at=due_at,
        stopped_by=(_PAY, _CANCEL, _BAN),
        outcome="Transfers that have not come are given up, and it is decided with what is there.",
        postings=_match_used(terms, promised),
        event=Event.FUNDS_SETTLED,
        grace_seconds=terms.policy.grace_seconds,
    )


def _match_used(terms: CampaignTerms, promised: Sequence[Promised]) -> tuple[PlannedPosting, ...]:
    """What success posts at once: money of backers is in escrow already, that of match calls joins it."""
    return planned(
        *(
            postings_match.match_used(
                "preview", each.call_id, terms.campaign_id, each.amount, terms.currency
            )
            for each in promised
            if each.amount
        )
    )
