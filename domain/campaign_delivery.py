"""After a campaign has succeeded (paths 2.4): what is released when, what is lost or taken back, who shares what is left, and the timers.

At any moment the creator may have had the reached share of what was taken in. A release pays the difference to what
has been released, so that late pledges, lost chargebacks and single refunds need no case of their own. Minor units.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta

from pydantic import Field

from domain import accounts, postings
from domain.campaign import (
    CampaignTerms,
    Event,
    Kind,
    Ledger,
    Phase,
    Report,
    TrancheState,
    Trigger,
)
from domain.deadlines import Deadline, PlannedPosting, planned
from domain.errors import InvalidInput, TooLate, WrongPhase
from domain.model import BasisPoints, Instant, Message
from domain.money import basis_points_of, split
from domain.pledge import Item
from domain.postings import JournalEntry, Share

DISBURSAL = "disbursal"
UPDATE = "update"
REVIEW = "review"
WEEKLY = "late_pledges"
RESERVE = "reserve"
DELIVERY = "delivery"
VOTE = "vote"
LONG_STOP = "long_stop"
GO_ON = "go_on"
"""Id of the option of a vote which leaves everything as it is; a tie does too."""
_ALL = 10_000
_STOPPERS = ("initiator: cancel", "operator: ban")
_BY_REPORT = frozenset({Trigger.FIRST_ARTICLE, Trigger.LOTS})


class Part(Message):
    """A part of the money as it stands."""

    number: int
    title: str
    trigger: Trigger
    basis_points: BasisPoints
    state: TrancheState = TrancheState.PLANNED
    reached: BasisPoints = 0
    """How much of the part may be released."""
    claimed: BasisPoints = 0
    """How much of it the creator reports as reached."""
    reported_at: Instant | None = None

    @property
    def subject(self) -> str:
        """Names the part in timers and events."""
        return f"tranche {self.number}"

    def to(self, reached: int) -> Part:
        """The part when so much of it is reached."""
        state = TrancheState.RELEASED if reached == _ALL else TrancheState.PLANNED
        return self.model_copy(update={"reached": reached, "claimed": 0, "state": state})


class Delivery(Message):
    """All that the timers of a campaign depend on once it has succeeded."""

    ledger: Ledger
    parts: tuple[Part, ...]
    succeeded_at: Instant
    deliver_by: date | None = None
    """The latest delivery that was promised, late pledges included; None when nothing was."""
    owed: int = Field(default=0, ge=0)
    """Rewards that have not been shipped."""
    owed_amount: int = Field(default=0, ge=0)
    """What the backers of those rewards have paid and not got back."""
    told_at: Instant | None = None
    """When the creator last wrote to the backers."""
    alerted: bool = False
    """Whether it has been told that the delivery is late."""
    vote: Deadline | None = None
    """The vote that is under way: nothing new is released meanwhile."""


def parts_of(terms: CampaignTerms) -> tuple[Part, ...]:
    """The parts as they stand before anything is reached, numbered from 1."""
    return tuple(
        Part(number=number, **each.model_dump())
        for number, each in enumerate(terms.tranches, start=1)
    )


# Arithmetic.


def share(base: int, parts: Sequence[Part]) -> int:
    """The reached share of `base`, rounded down; when everything is reached, all of it."""
    reached = sum(each.basis_points * each.reached for each in parts)
    return base * reached // (_ALL * _ALL)


def releasable(ledger: Ledger, parts: Sequence[Part]) -> int:
    """What may be released now, the platform's commission included; what banks dispute is kept back."""
    base = max(0, ledger.taken_in - ledger.disputed)
    return max(0, share(base, parts) - ledger.released)


def released(ledger: Ledger, amount: int, fee_basis_points: int) -> Ledger:
    """The ledger after so much has been released; the commission is exact on all that was ever released."""
    total = ledger.released + amount
    fee = basis_points_of(total, fee_basis_points)
    return ledger.model_copy(update={"released": total, "fee_taken": fee})


def release_entry(
    terms: CampaignTerms, ledger: Ledger, after: Ledger, key: str
) -> JournalEntry | None:
    """RELEASE of what `after` has released more than `ledger`; None when that is nothing."""
    amount = after.released - ledger.released
    if amount <= 0:
        return None
    fee = after.fee_taken - ledger.fee_taken
    shares = [
        Share(account=accounts.payable(terms.creator_id), amount=amount - fee),
        Share(account=accounts.FEE, amount=fee),
    ]
    return postings.release(key, terms.campaign_id, shares, terms.currency)


class Borne(Message):
    """Who bears money of a pledge that its backer's bank keeps, minor units."""

    from_escrow: int
    """What had not been released."""
    fee_returned: int
    """The commission on the rest; what is left of it is the creator's to bear."""
    after: Ledger


def borne(ledger: Ledger, parts: Sequence[Part], amount: int, fee_basis_points: int) -> Borne:
    """What becomes of the ledger when `amount` of what was taken in is lost: the creator keeps the reached share of the rest.

    Dr escrow `from_escrow`, fee `fee_returned`, and the creator the rest of `amount`, which is at most `taken_in`.
    """
    taken_in = ledger.taken_in - amount
    back = min(amount, max(0, ledger.released - share(taken_in, parts)))
    fee = basis_points_of(ledger.released - back, fee_basis_points)
    return Borne(
        from_escrow=amount - back,
        fee_returned=ledger.fee_taken - fee,
        after=ledger.model_copy(
            update={
                "taken_in": taken_in,
                "released": ledger.released - back,
                "fee_taken": fee,
            }
        ),
    )


def match_set_free(ledger: Ledger, parts: Sequence[Part], matched: int) -> int:
    """What of a pledge's used match goes back to its call when the pledge is lost: the share that was not released."""
    return min(matched - share(matched, parts), ledger.left)


class Clawback(Message):
    """What of a stopped campaign's released money comes back, minor units."""

    from_balance: int
    """What the creator's balance holds of what they got."""
    fee: int
    """The platform's commission on that part."""
    owed: int
    """The rest of what was released: the creator owes it to the backers."""

    @property
    def amount(self) -> int:
        """What is in escrow again."""
        return self.from_balance + self.fee


def clawback_of(ledger: Ledger, balance: int) -> Clawback:
    """What can be taken back from a creator whose balance holds so much."""
    got = ledger.released - ledger.fee_taken
    taken = min(got, max(0, balance))
    fee = ledger.fee_taken if taken == got else ledger.fee_taken * taken // got
    return Clawback(from_balance=taken, fee=fee, owed=ledger.released - taken - fee)


def clawed_back(ledger: Ledger, back: Clawback) -> Ledger:
    """The ledger after a clawback."""
    return ledger.model_copy(
        update={
            "released": ledger.released - back.amount,
            "fee_taken": ledger.fee_taken - back.fee,
        }
    )


def divided(amount: int, weights: Sequence[int]) -> list[int]:
    """Shares `amount` by weight, nobody more than their weight; what is beyond all weights is left over."""
    total = sum(weights)
    return split(min(amount, total), weights) if total else [0] * len(weights)


# Which release follows from which event.


def part_of(parts: Sequence[Part], number: int) -> Part:
    """The part of that number. Raises InvalidInput."""
    for each in parts:
        if each.number == number:
            return each
    raise InvalidInput(f"there is no part {number}", field="tranche", accepted=f"1 to {len(parts)}")


def with_part(parts: Sequence[Part], part: Part) -> tuple[Part, ...]:
    """The parts with one of them changed."""
    return tuple(part if each.number == part.number else each for each in parts)


def reached_by(parts: Sequence[Part], *triggers: Trigger) -> tuple[Part, ...]:
    """The parts when those of these triggers are reached in full."""
    return tuple(each.to(_ALL) if each.trigger in triggers else each for each in parts)


def reported(part: Part, report: Report, at: datetime) -> Part:
    """The part with the creator's word that it is reached. Raises WrongPhase, InvalidInput."""
    if part.trigger not in _BY_REPORT or part.reached == _ALL:
        raise WrongPhase(
            f"{part.title} is not reported",
            field="tranche",
            accepted="the first article or lots, until all of it is reached",
        )
    if part.state is TrancheState.REPORTED:
        raise WrongPhase(f"{part.title} is being looked at", field="tranche")
    claimed = report.share if part.trigger is Trigger.LOTS else _ALL
    if claimed <= part.reached:
        raise InvalidInput(
            "say how much of the lots is accepted in all by now",
            field="share",
            accepted=f"{part.reached + 1} to {_ALL}",
        )
    return part.model_copy(
        update={"state": TrancheState.REPORTED, "claimed": claimed, "reported_at": at}
    )


def require_reported(part: Part) -> None:
    """Raises WrongPhase unless operators are looking at the part."""
    if part.state is not TrancheState.REPORTED:
        raise WrongPhase(
            f"nothing of {part.title} waits for an answer",
            field="tranche",
            accepted="a part that the creator has reported",
        )


def require_no_vote(delivery: Delivery) -> None:
    """Raises WrongPhase while the backers vote on what is left."""
    if delivery.vote is not None:
        raise WrongPhase(
            "the backers are voting; nothing new is released meanwhile",
            field="phase",
            accepted="the same request when the vote is over",
        )


def is_ready(delivery: Delivery) -> bool:
    """Whether nothing but time stands between the creator and the reserve: all else is reached and shipped."""
    others = (each for each in delivery.parts if each.trigger is not Trigger.RESERVE)
    return delivery.owed == 0 and all(each.reached == _ALL for each in others)


def phase_after(terms: CampaignTerms, delivery: Delivery, *, last: bool) -> Phase:
    """FULFILLING, or COMPLETED when all is reached and, but for a donation, the time of the reserve is over.

    `last`: the reserve's time or the long stop has just ended.
    """
    if any(each.reached < _ALL for each in delivery.parts):
        return Phase.FULFILLING
    over = terms.kind is Kind.DONATION or (last and delivery.owed == 0)
    return Phase.COMPLETED if over else Phase.FULFILLING


def next_vote(terms: CampaignTerms, deliver_by: date, last: datetime | None) -> datetime:
    """From when on backers may ask for a vote on what is left; `last` is when the last one ended."""
    policy = terms.policy
    late = end_of(deliver_by) + timedelta(seconds=policy.late_vote_seconds)
    return late if last is None else max(late, last + timedelta(seconds=policy.vote_again_seconds))


def require_in_time(deliver_by: date | None, chosen: Mapping[str, Item], at: datetime) -> None:
    """Raises TooLate for a late pledge once the delivery is late, or for what was expected to be delivered before `at`.

    `deliver_by` is the latest delivery that was promised so far; `chosen` goes by the field of the request.
    """
    days = {"deliver_by": deliver_by, **{field: each.deliver_on for field, each in chosen.items()}}
    for field, day in days.items():
        if day is not None and at >= end_of(day):
            raise TooLate(
                f"it was to be delivered by {day.isoformat()}; no late pledges are taken for it",
                field=field,
                accepted="something that is still to be delivered"
                if field in chosen
                else f"a late pledge before {end_of(day).isoformat()}",
            )


def end_of(day: date) -> datetime:
    """The end of a day, UTC."""
    return datetime.combine(day, time(), UTC) + timedelta(days=1)


# Timers.


def success_deadlines(
    terms: CampaignTerms, ledger: Ledger, succeeded_at: datetime, *, owed: int = 0
) -> tuple[Deadline, ...]:
    """The timers of a campaign at the moment of its success; `owed` is how many rewards are."""
    delivery = Delivery(ledger=ledger, parts=parts_of(terms), succeeded_at=succeeded_at, owed=owed)
    return delivery_deadlines(terms, Phase.SUCCESSFUL, delivery, succeeded_at)


def delivery_deadlines(
    terms: CampaignTerms, phase: Phase, delivery: Delivery, at: datetime
) -> tuple[Deadline, ...]:
    """The timers after a transition at `at`, with exactly what each would post as things stand."""
    if phase is Phase.SUCCESSFUL:
        return (_disbursal(terms, delivery), *_update(terms, delivery, at))
    if phase is not Phase.FULFILLING:
        return ()
    common = (*_update(terms, delivery, at), *_lateness(delivery))
    if delivery.vote is not None:
        return (delivery.vote, *common)
    return (
        *(
            _review(terms, delivery, each)
            for each in delivery.parts
            if each.reported_at and _waits(each)
        ),
        *_late_pledges(terms, delivery, at),
        *_reserve(terms, delivery, at),
        *common,
        _long_stop(terms, delivery),
    )


def next_update(terms: CampaignTerms, told_at: datetime, at: datetime) -> datetime:
    """When a creator who last wrote at `told_at` is reminded next, after `at`."""
    every = timedelta(seconds=terms.policy.update_seconds)
    return told_at + every * (max(0, (at - told_at) // every) + 1)


def _waits(part: Part) -> bool:
    return part.state is TrancheState.REPORTED


def _release(
    terms: CampaignTerms, delivery: Delivery, parts: Sequence[Part]
) -> tuple[PlannedPosting, ...]:
    """What would be released if these parts were reached."""
    ledger = delivery.ledger
    amount = releasable(ledger, parts)
    after = released(ledger, amount, terms.policy.fee_basis_points)
    entry = release_entry(terms, ledger, after, "preview")
    return planned(entry) if entry else ()


def _disbursal(terms: CampaignTerms, delivery: Delivery) -> Deadline:
    return Deadline(
        name=DISBURSAL,
        due_at=delivery.succeeded_at + timedelta(seconds=terms.policy.disbursal_seconds),
        stopped_by=_STOPPERS,
        outcome="The part that is due at the start is released to the creator.",
        postings=_release(terms, delivery, reached_by(delivery.parts, Trigger.START)),
        event=Event.DISBURSED,
    )


def _update(terms: CampaignTerms, delivery: Delivery, at: datetime) -> Iterator[Deadline]:
    if delivery.owed:
        told_at = max(delivery.told_at or delivery.succeeded_at, delivery.succeeded_at)
        yield Deadline(
            name=UPDATE,
            due_at=next_update(terms, told_at, at),
            stopped_by=("initiator: write to the backers",),
            outcome="The creator is reminded that the backers have heard nothing.",
            event=Event.UPDATE_DUE,
        )


def _review(terms: CampaignTerms, delivery: Delivery, part: Part) -> Deadline:
    assert part.reported_at is not None
    parts = with_part(delivery.parts, part.to(part.claimed))
    return Deadline(
        name=REVIEW,
        due_at=part.reported_at + timedelta(seconds=terms.policy.milestone_review_seconds),
        stopped_by=("operator: approve", "operator: refuse", *_STOPPERS),
        outcome="It counts as reached and is released to the creator.",
        postings=_release(terms, delivery, parts),
        event=Event.TRANCHE_LAPSED,
        subject=part.subject,
    )


def _late_pledges(terms: CampaignTerms, delivery: Delivery, at: datetime) -> Iterator[Deadline]:
    """Weekly, counted from the first release; after the promised delivery only while there is something to release."""
    first = delivery.succeeded_at + timedelta(seconds=terms.policy.disbursal_seconds)
    every = timedelta(seconds=terms.policy.late_payout_seconds)
    due_at = first + every * (max(0, (at - first) // every) + 1)
    taken = terms.late_pledges and due_at <= _promised(delivery)
    if taken or releasable(delivery.ledger, delivery.parts):
        yield Deadline(
            name=WEEKLY,
            due_at=due_at,
            stopped_by=_STOPPERS,
            outcome="What late pledges have added to the parts that are reached is released.",
            postings=_release(terms, delivery, delivery.parts),
            event=Event.LATE_PLEDGES_PAID,
        )


def _reserve(terms: CampaignTerms, delivery: Delivery, at: datetime) -> Iterator[Deadline]:
    """Once its time has passed in vain, it comes again as soon as all else is reached and shipped."""
    due_at = delivery.succeeded_at + timedelta(seconds=terms.policy.reserve_seconds)
    ready = is_ready(delivery)
    if at < due_at or ready:
        everything = reached_by(delivery.parts, *Trigger)
        yield Deadline(
            name=RESERVE,
            due_at=due_at,
            stopped_by=_STOPPERS,
            outcome="If everything else is reached and every reward is shipped, all that is left is released and the "
            "campaign is completed; otherwise it stays where it is.",
            postings=_release(terms, delivery, everything) if ready else (),
            event=Event.RESERVE_DUE,
        )


def _lateness(delivery: Delivery) -> Iterator[Deadline]:
    if delivery.deliver_by is not None and delivery.owed and not delivery.alerted:
        yield Deadline(
            name=DELIVERY,
            due_at=end_of(delivery.deliver_by),
            stopped_by=("initiator: ship every reward",),
            outcome="Backers and operators are told that the delivery is late; later the backers may vote on what is left.",
            event=Event.DELIVERY_LATE,
        )


def _long_stop(terms: CampaignTerms, delivery: Delivery) -> Deadline:
    everything = reached_by(delivery.parts, *Trigger)
    if delivery.owed:
        outcome = (
            "What is still in escrow goes back to the backers whose reward was never shipped, "
            "at most what they have paid."
        )
        shown = _last_shares(terms, delivery)
    else:
        outcome = "All that is left is released to the creator and the campaign is completed."
        shown = _release(terms, delivery, everything)
    return Deadline(
        name=LONG_STOP,
        due_at=_promised(delivery) + timedelta(seconds=terms.policy.long_stop_seconds),
        stopped_by=("initiator: ship every reward", *_STOPPERS),
        outcome=outcome,
        postings=shown,
        event=Event.LONG_STOP,
    )


def _last_shares(terms: CampaignTerms, delivery: Delivery) -> tuple[PlannedPosting, ...]:
    """Of the long stop: what goes back to those who have nothing, in one sum; the rest is released."""
    ledger = delivery.ledger
    back = min(ledger.left, delivery.owed_amount)
    after = released(ledger, ledger.left - back, terms.policy.fee_basis_points)
    entries = []
    if back:
        entries.append(postings.refund("preview", terms.campaign_id, "new", back, terms.currency))
    rest = release_entry(terms, ledger, after, "preview")
    return planned(*entries, *([rest] if rest else []))


def _promised(delivery: Delivery) -> datetime:
    """The end of the day by which delivery was promised; the success, when nothing was."""
    return end_of(delivery.deliver_by) if delivery.deliver_by else delivery.succeeded_at
