"""The work of a tender: milestones paid one at a time, and what each act and each silence does with the money.

Pure functions over all milestones of one tender. Amounts are minor units of its currency.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import pairwise

from domain.errors import AmountOutOfRange, LimitReached, NotFound, WrongPhase
from domain.model import Instant, Message
from domain.policy import TenderPolicy
from domain.tender import Event, Phase, PlannedMilestone

REMAINDER = "Remainder"
"""Title of the milestone that takes up what was not released of the last one."""


class State(StrEnum):
    """Where a milestone stands."""

    WAITING = "waiting"
    """Its turn has not come."""
    FUNDING = "funding"
    """The buyer is asked to pay it."""
    FUNDED = "funded"
    SUBMITTED = "submitted"
    CHANGES_REQUESTED = "changes_requested"
    OVERDUE = "overdue"
    """The worker is so late that the buyer may cancel."""
    DISPUTED = "disputed"
    RELEASED = "released"
    REFUNDED = "refunded"
    DROPPED = "dropped"
    """Never paid, and never will be: the tender has ended."""


ENDED = frozenset({State.RELEASED, State.REFUNDED, State.DROPPED})
_WORKED_ON = frozenset({State.FUNDED, State.SUBMITTED, State.CHANGES_REQUESTED, State.OVERDUE})
_TO_RULE = frozenset({State.RELEASED, State.REFUNDED})

TRANSITIONS: dict[tuple[State, Event], frozenset[State]] = {
    (State.FUNDING, Event.MILESTONE_PAID): frozenset({State.FUNDED}),
    (State.FUNDING, Event.MILESTONE_UNPAID): frozenset({State.DROPPED}),
    (State.FUNDED, Event.SUBMITTED): frozenset({State.SUBMITTED}),
    (State.CHANGES_REQUESTED, Event.SUBMITTED): frozenset({State.SUBMITTED}),
    (State.OVERDUE, Event.SUBMITTED): frozenset({State.SUBMITTED}),
    (State.SUBMITTED, Event.APPROVED): frozenset({State.RELEASED}),
    (State.SUBMITTED, Event.APPROVAL_LAPSED): frozenset({State.RELEASED}),
    (State.SUBMITTED, Event.CHANGES_REQUESTED): frozenset({State.CHANGES_REQUESTED}),
    (State.CHANGES_REQUESTED, Event.CHANGES_LAPSED): frozenset({State.OVERDUE}),
    (State.FUNDED, Event.DELIVERY_LAPSED): frozenset({State.OVERDUE}),
    (State.OVERDUE, Event.MILESTONE_CANCELLED): frozenset({State.REFUNDED}),
    (State.FUNDED, Event.HARD_STOP): frozenset({State.REFUNDED}),
    (State.OVERDUE, Event.HARD_STOP): frozenset({State.REFUNDED}),
    **{(state, Event.DISPUTED): frozenset({State.DISPUTED}) for state in sorted(_WORKED_ON)},
    (State.DISPUTED, Event.RULED): _TO_RULE,
    (State.DISPUTED, Event.RULING_LAPSED): _TO_RULE,
}
"""What a milestone can do; what is not in it cannot happen."""


class Milestone(Message):
    """One part of the work."""

    number: int
    title: str
    amount: int
    """What the buyer pays for it."""
    carried: int = 0
    """What was not released of the one before and has rolled on to this one."""
    due_days: int
    state: State = State.WAITING
    due_at: Instant | None = None
    """When the worker should have submitted it; known once it is paid."""
    hard_stop_at: Instant | None = None
    rounds: int = 0
    """How often something was submitted."""
    changes: int = 0
    """How often the buyer has asked for changes."""
    disputed_from: State | None = None
    released: int = 0
    """What left the escrow for the worker, commission included."""
    refunded: int = 0

    @property
    def total(self) -> int:
        """What it holds once it is paid."""
        return self.amount + self.carried

    @property
    def subject(self) -> str:
        """Its name in deadlines."""
        return f"milestone {self.number}"


class DepositFate(StrEnum):
    """What a transition does with the buyer's deposit."""

    KEPT = "kept"
    RETURNED = "returned"
    FORFEITED = "forfeited"


class Work(Message):
    """All milestones of an accepted award."""

    milestones: tuple[Milestone, ...]
    ending: Phase | None = None
    """How the tender will end once what is still disputed is ruled; None while it goes on."""

    def milestone(self, number: int) -> Milestone:
        """The milestone of this number. Raises NotFound."""
        if not 1 <= number <= len(self.milestones):
            raise NotFound("there is no such milestone", field="milestone")
        return self.milestones[number - 1]

    @property
    def in_escrow(self) -> int:
        """What the path's escrow holds for the milestones."""
        paid = sum(each.amount for each in self.milestones if each.state not in _UNPAID)
        return paid - sum(each.released + each.refunded for each in self.milestones)


_UNPAID = frozenset({State.WAITING, State.FUNDING, State.DROPPED})


class Moved(Message):
    """What one transition does."""

    work: Work
    phase: Phase
    released: int = 0
    """Leaves the escrow for the worker, commission included."""
    refunded: int = 0
    """Leaves the escrow for the buyer."""
    taken: int = 0
    """Leaves the escrow for the buyer's bank."""
    deposit: DepositFate = DepositFate.KEPT
    asks_for: int | None = None
    """The milestone whose payment is asked for now."""
    changed: frozenset[int] = frozenset()
    """Milestones whose timers start anew."""


def planned(milestones: Sequence[PlannedMilestone]) -> Work:
    """The work as agreed, the payment of its first milestone asked for."""
    made = tuple(
        Milestone(number=i, title=each.title, amount=each.amount, due_days=each.due_days)
        for i, each in enumerate(milestones, start=1)
    )
    return Work(milestones=(made[0].model_copy(update={"state": State.FUNDING}), *made[1:]))


def subject_number(subject: str) -> int:
    """The number of the milestone that a deadline is about. Raises NotFound for another subject."""
    kind, _, number = subject.partition(" ")
    if kind != "milestone" or not number.isdecimal():
        raise NotFound("there is no such milestone", field="milestone")
    return int(number)


def require_move(
    policy: TenderPolicy, work: Work, number: int, event: Event, amount: int | None = None
) -> Milestone:
    """The milestone, which can do this now.

    Raises NotFound, WrongPhase, LimitReached when changes were asked for often enough, AmountOutOfRange for an amount
    that the milestone does not hold.
    """
    found = work.milestone(number)
    if (found.state, event) not in TRANSITIONS:
        raise _impossible(found, event)
    if event is Event.CHANGES_REQUESTED and found.changes >= policy.change_requests:
        raise LimitReached(
            f"changes were asked for {found.changes} times",
            field="milestone",
            accepted="approve or dispute",
        )
    least = 0 if event is Event.RULED else 1
    if amount is not None and not least <= amount <= found.total:
        raise AmountOutOfRange(
            "the milestone does not hold that much",
            field="amount",
            accepted=f"{least} to {found.total}",
        )
    return found


def _impossible(found: Milestone, event: Event) -> WrongPhase:
    possible = sorted({str(each) for state, each in TRANSITIONS if state is found.state})
    return WrongPhase(
        f"milestone {found.number} is {found.state}",
        field="milestone",
        accepted=", ".join(possible) or "nothing: it has ended",
    )


def move(
    policy: TenderPolicy,
    work: Work,
    number: int,
    event: Event,
    at: datetime,
    *,
    amount: int | None = None,
    at_fault: bool = True,
) -> Moved:
    """One milestone's transition and everything that follows from it.

    `amount`: what the worker gets, of an approval in part or a ruling. `at_fault`: whether the buyer could have paid.
    Raises what `require_move` raises.
    """
    found = require_move(policy, work, number, event, amount)
    match event:
        case Event.MILESTONE_PAID:
            moved = _stay(work, _started(policy, found, at))
        case Event.MILESTONE_UNPAID:
            fate = DepositFate.FORFEITED if at_fault else DepositFate.RETURNED
            moved = _cut_short(work, found, Phase.FAILED, fate)
        case Event.SUBMITTED:
            moved = _stay(work, found, state=State.SUBMITTED, rounds=found.rounds + 1)
        case Event.APPROVED | Event.APPROVAL_LAPSED:
            moved = _release(policy, work, found, found.total if amount is None else amount, at)
        case Event.CHANGES_REQUESTED:
            moved = _stay(work, found, state=State.CHANGES_REQUESTED, changes=found.changes + 1)
        case Event.CHANGES_LAPSED | Event.DELIVERY_LAPSED:
            moved = _stay(work, _overdue(policy, found, at))
        case Event.MILESTONE_CANCELLED | Event.HARD_STOP:
            moved = _cut_short(work, found, Phase.CANCELLED, DepositFate.KEPT)
        case Event.DISPUTED:
            moved = _stay(work, found, state=State.DISPUTED, disputed_from=found.state)
        case Event.RULED:
            moved = _rule(work, found, amount or 0)
        case Event.RULING_LAPSED:
            moved = _rule(work, found, found.total if has_something_to_show(found) else 0)
        case _:
            raise _impossible(found, event)
    return _going_on(moved)


def charged_back(work: Work, number: int | None, amount: int) -> Moved:
    """The buyer's bank keeps so much of a milestone's payment (None: of another payment); the tender ends.

    The bank's part comes out of what the escrow holds of that payment, then out of what would go back to the buyer all
    the same. Of the rest, what was shown is the worker's, as when nobody answers, and what was not goes back. The fate
    of the deposit is left to the caller.
    """
    left = {each.number: _holds(each) for each in work.milestones if each.state not in ENDED}
    shown = {each for each in left if _is_shown(work.milestone(each))}
    taken = dict.fromkeys(left, 0)
    if number is not None:
        holder, own = _own_part(work, number)
        most = {holder: own, **{each: left[each] for each in left if each not in shown}}
        for each in sorted(most, key=lambda other: other != holder):
            if each in left:
                taken[each] = min(most[each], amount - sum(taken.values()))
    changed = []
    for each, held in left.items():
        released = held - taken[each] if each in shown else 0
        paid = work.milestone(each).state not in _UNPAID
        state = State.RELEASED if released else State.REFUNDED if paid else State.DROPPED
        update = {"state": state, "released": released, "refunded": held - released}
        changed.append(work.milestone(each).model_copy(update=update))
    return Moved(
        work=_with(work, *changed, ending=Phase.FAILED),
        phase=Phase.FAILED,
        released=sum(each.released for each in changed),
        refunded=sum(each.refunded for each in changed) - sum(taken.values()),
        taken=sum(taken.values()),
        changed=frozenset(left),
    )


def _holds(found: Milestone) -> int:
    return found.carried if found.state in _UNPAID else found.total


def _is_shown(found: Milestone) -> bool:
    """Whether the worker has shown something that waits for the buyer's word, or for changes in time."""
    looked_at = (State.SUBMITTED, State.CHANGES_REQUESTED)
    return found.state in looked_at or (
        found.state is State.DISPUTED and has_something_to_show(found)
    )


def _own_part(work: Work, number: int) -> tuple[int, int]:
    """How much the escrow still holds of a milestone's own payment, and in which milestone: it may have rolled on.

    What was paid first is released first.
    """
    found = work.milestone(number)
    part, newer = found.amount, 0
    for each, following in pairwise(work.milestones[number - 1 :]):
        if each.state is not State.RELEASED:
            break
        found, rolled = following, following.carried
        part = min(part, max(rolled - newer, 0))
        newer = min(newer, rolled) + following.amount
    return found.number, 0 if found.state in ENDED else part


def has_something_to_show(found: Milestone) -> bool:
    """Whether a disputed milestone had something submitted that the worker had not left lying."""
    return found.disputed_from in (State.SUBMITTED, State.CHANGES_REQUESTED)


def _with(work: Work, *changed: Milestone, **more: object) -> Work:
    by_number = {each.number: each for each in (*work.milestones, *changed)}
    return work.model_copy(update={"milestones": tuple(by_number.values()), **more})


def _stay(work: Work, found: Milestone, **changes: object) -> Moved:
    """Nothing leaves the escrow."""
    new = found.model_copy(update=changes)
    return Moved(work=_with(work, new), phase=Phase.IN_PROGRESS, changed=frozenset({found.number}))


def _started(policy: TenderPolicy, found: Milestone, at: datetime) -> Milestone:
    return found.model_copy(
        update={
            "state": State.FUNDED,
            "due_at": at + timedelta(days=found.due_days),
            "hard_stop_at": at + timedelta(seconds=policy.hard_stop_seconds),
        }
    )


def _overdue(policy: TenderPolicy, found: Milestone, at: datetime) -> Milestone:
    """After a late change the hard stop may have passed long ago: everybody has some days to act all the same."""
    earliest = at + timedelta(seconds=policy.late_seconds)
    stop = max(found.hard_stop_at or earliest, earliest)
    return found.model_copy(update={"state": State.OVERDUE, "hard_stop_at": stop})


def _release(
    policy: TenderPolicy, work: Work, found: Milestone, amount: int, at: datetime
) -> Moved:
    """What is not released rolls on: to the next milestone, or to one more that is paid already."""
    rest = found.total - amount
    done = found.model_copy(update={"state": State.RELEASED, "released": amount})
    changed = [done]
    if rest:
        # The money of `done` leaves it with the roll: `amount` of the one, `carried` of the other.
        following = next((each for each in work.milestones if each.state is State.WAITING), None)
        changed.append(
            following.model_copy(update={"carried": following.carried + rest})
            if following
            else _started(policy, _remainder(work, found, rest), at)
        )
    return Moved(
        work=_with(work, *changed),
        phase=Phase.IN_PROGRESS,
        released=amount,
        changed=frozenset(each.number for each in changed),
    )


def _remainder(work: Work, found: Milestone, amount: int) -> Milestone:
    return Milestone(
        number=len(work.milestones) + 1,
        title=REMAINDER,
        amount=0,
        carried=amount,
        due_days=found.due_days,
    )


def _rule(work: Work, found: Milestone, amount: int) -> Moved:
    """The worker gets so much of what is disputed, the buyer the rest."""
    back = found.total - amount
    state = State.RELEASED if amount else State.REFUNDED
    done = found.model_copy(update={"state": state, "released": amount, "refunded": back})
    return Moved(
        work=_with(work, done),
        phase=Phase.IN_PROGRESS,
        released=amount,
        refunded=back,
        changed=frozenset({found.number}),
    )


def _cut_short(work: Work, found: Milestone, ending: Phase, fate: DepositFate) -> Moved:
    """Nothing more will be paid; what this milestone holds, and what has rolled on to others, goes back."""
    paid = found.state is not State.FUNDING
    back = found.total if paid else found.carried
    state = State.REFUNDED if paid else State.DROPPED
    changed = [found.model_copy(update={"state": state, "refunded": back})]
    changed += [
        each.model_copy(update={"state": State.DROPPED, "refunded": each.carried})
        for each in work.milestones
        if each.state is State.WAITING
    ]
    return Moved(
        work=_with(work, *changed, ending=ending),
        phase=Phase.IN_PROGRESS,
        refunded=sum(each.refunded for each in changed),
        deposit=fate,
        changed=frozenset(each.number for each in changed),
    )


def _going_on(moved: Moved) -> Moved:
    """Asks for the next payment when its turn has come; ends the tender with its last milestone."""
    work = moved.work
    if all(each.state in ENDED for each in work.milestones):
        settled = moved.deposit is not DepositFate.KEPT or work.ending is Phase.FAILED
        fate = moved.deposit if settled else DepositFate.RETURNED
        return moved.model_copy(update={"phase": work.ending or Phase.COMPLETED, "deposit": fate})
    waiting = next((each for each in work.milestones if each.state is State.WAITING), None)
    aside = ENDED | {State.DISPUTED, State.WAITING}
    if waiting is None or any(each.state not in aside for each in work.milestones):
        return moved
    asked = waiting.model_copy(update={"state": State.FUNDING})
    return moved.model_copy(
        update={
            "work": _with(work, asked),
            "asks_for": asked.number,
            "changed": moved.changed | {asked.number},
        }
    )
