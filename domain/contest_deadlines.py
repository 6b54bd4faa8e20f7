"""The pending timers of a contest: until when, who can stop them, what silence does, and what would be posted."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from domain import accounts, postings
from domain.contest import (
    Contender,
    ContestState,
    ContestTerms,
    Event,
    Outcome,
    Phase,
    Prize,
    PrizeState,
    release_entry,
    resolve,
    split_shares,
)
from domain.deadlines import Deadline, PlannedPosting, planned
from domain.money import format_money
from domain.postings import Share

ENTRIES = "entries"
FINAL_ROUND = "final_round"
_PREVIEWED_SHARES = 50
"""A split among more people than this is told in words only."""


def deadlines(
    terms: ContestTerms,
    state: ContestState,
    phase: Phase,
    at: datetime,
    contenders: Sequence[Contender],
    running: Sequence[Deadline],
) -> tuple[Deadline, ...]:
    """The timers after a transition at `at` into `phase`; those of `running` that it does not concern go on."""
    if phase is Phase.HAND_OVER:
        return tuple(_of_prize(terms, state, prize, at, running) for prize in _pending(state))
    if phase is Phase.CHOOSING:
        return _choice(terms, state, at, contenders, running)
    if running:
        return tuple(running)
    make = {
        Phase.FUNDING: _payment,
        Phase.OPEN: _entries,
        Phase.PICKING: _finalists,
        Phase.FINAL_ROUND: _final_round,
        Phase.VOTING: _vote,
        Phase.ANNOUNCED: _notice,
        Phase.CONTESTED: _ruling,
    }.get(phase)
    return (make(terms, state, at),) if make else ()


def choice_receipt(
    terms: ContestTerms,
    state: ContestState,
    contenders: Sequence[Contender],
    running: Sequence[Deadline],
) -> tuple[Deadline, ...]:
    """The running timers with the owner's silence told anew, after entries were shortlisted, put aside or withdrawn."""
    return tuple(
        _with_resolution(each, terms, state, contenders)
        if each.event == Event.CHOOSING_LAPSED
        else each
        for each in running
    )


def extended(
    terms: ContestTerms, state: ContestState, running: Sequence[Deadline]
) -> tuple[Deadline, ...]:
    """The running timers with more time for entries."""
    more = timedelta(seconds=terms.policy.extension_seconds)
    return tuple(
        each.model_copy(update={"due_at": each.due_at + more, "postings": _all_back(terms, state)})
        if each.name == ENTRIES
        else each
        for each in running
    )


def _payment(terms: ContestTerms, state: ContestState, at: datetime) -> Deadline:
    return Deadline(
        name="payment",
        due_at=at,
        stopped_by=("initiator: pay", "initiator: cancel"),
        outcome="The contest never opens.",
    )


def _entries(terms: ContestTerms, state: ContestState, at: datetime) -> Deadline:
    then = "the owner picks the finalists" if terms.rounds == 2 else "the owner chooses"
    return Deadline(
        name=ENTRIES,
        due_at=at + timedelta(seconds=terms.policy.entry_seconds),
        stopped_by=("initiator: extend",),
        outcome=f"Entries close and {then}; without a single valid entry the owner gets everything back.",
        postings=_all_back(terms, state),
        event=Event.ENTRIES_CLOSED,
        grace_seconds=terms.policy.grace_seconds,
    )


def _all_back(terms: ContestTerms, state: ContestState) -> tuple[PlannedPosting, ...]:
    return planned(
        postings.refund("preview", terms.contest_id, "new", state.bounty, terms.currency)
    )


def _finalists(terms: ContestTerms, state: ContestState, at: datetime) -> Deadline:
    return Deadline(
        name="finalists",
        due_at=at + timedelta(seconds=terms.policy.pick_seconds),
        stopped_by=("initiator: pick finalists",),
        outcome="The shortlisted entries are the finalists; without any, the owner chooses among all entries.",
        event=Event.PICKING_LAPSED,
    )


def _final_round(terms: ContestTerms, state: ContestState, at: datetime) -> Deadline:
    return Deadline(
        name=FINAL_ROUND,
        due_at=at + timedelta(seconds=terms.policy.final_seconds),
        stopped_by=(),
        outcome="The finalists' entries stand as they are and the owner chooses.",
        event=Event.FINAL_ROUND_CLOSED,
        grace_seconds=terms.policy.grace_seconds,
    )


def _choice(
    terms: ContestTerms,
    state: ContestState,
    at: datetime,
    contenders: Sequence[Contender],
    running: Sequence[Deadline],
) -> tuple[Deadline, ...]:
    """The owner's time to choose, and the next reminder within it."""
    chosen_by = next((d for d in running if d.event == Event.CHOOSING_LAPSED), None)
    if chosen_by is None:
        again = state.decided_by is not None
        window = terms.policy.choose_again_seconds if again else terms.policy.choose_seconds
        chosen_by = Deadline(
            name="choice",
            due_at=at + timedelta(seconds=window),
            stopped_by=("initiator: announce",),
            outcome="",
            event=Event.CHOOSING_LAPSED,
        )
    since = state.choosing_since or at
    nudges = (since + timedelta(seconds=offset) for offset in terms.policy.nudge_seconds)
    next_nudge = min((n for n in nudges if at < n < chosen_by.due_at), default=None)
    choice = _with_resolution(chosen_by, terms, state, contenders)
    if next_nudge is None:
        return (choice,)
    reminder = Deadline(
        name="reminder",
        due_at=next_nudge,
        stopped_by=("initiator: announce",),
        outcome="The owner is reminded.",
        event=Event.NUDGED,
    )
    return (choice, reminder)


def _with_resolution(
    deadline: Deadline,
    terms: ContestTerms,
    state: ContestState,
    contenders: Sequence[Contender],
) -> Deadline:
    """The receipt with what the silence resolver would do as things stand."""
    found = resolve(terms, state, contenders)
    amount = format_money(state.open_amount, terms.currency)
    rule = (
        "One shortlisted entry wins; several go to a vote of the crowd; with none the bounty is "
        + ("shared evenly" if terms.guaranteed or state.final_round else "sent back to the owner")
    )
    now = {
        Outcome.WIN: "as things stand one entry wins",
        Outcome.VOTE: f"as things stand the crowd votes on {len(found.contenders)} entries",
        Outcome.SPLIT: f"as things stand {len(found.contenders)} creators share {amount}",
        Outcome.REFUND: f"as things stand {amount} goes back to the owner",
    }[found.outcome]
    preview: tuple[PlannedPosting, ...] = ()
    if found.outcome is Outcome.REFUND:
        preview = planned(
            postings.refund("preview", terms.contest_id, "new", state.open_amount, terms.currency)
        )
    elif found.outcome is Outcome.SPLIT and len(found.contenders) <= _PREVIEWED_SHARES:
        preview = _split_preview(terms, state, found.contenders)
    return deadline.model_copy(update={"outcome": f"{rule}; {now}.", "postings": preview})


def _split_preview(
    terms: ContestTerms, state: ContestState, sharers: Sequence[Contender]
) -> tuple[PlannedPosting, ...]:
    fee, parts = split_shares(terms, state.open_amount, len(sharers))
    shares = [
        Share(account=accounts.payable(sharer.creator_id), amount=part)
        for sharer, part in zip(sharers, parts, strict=True)
    ]
    shares.append(Share(account=accounts.FEE, amount=fee))
    return planned(postings.release("preview", terms.contest_id, shares, terms.currency))


def _vote(terms: ContestTerms, state: ContestState, at: datetime) -> Deadline:
    return Deadline(
        name="vote",
        due_at=at + timedelta(seconds=terms.policy.vote_seconds),
        stopped_by=("crowd: vote",),
        outcome="The votes are counted and the winner is announced; a tie goes to the earliest entry, and without "
        "enough votes the shortlisted creators share the bounty.",
    )


def _notice(terms: ContestTerms, state: ContestState, at: datetime) -> Deadline:
    return Deadline(
        name="notice",
        due_at=at + timedelta(seconds=terms.policy.notice_seconds),
        stopped_by=("anyone: object",),
        outcome="The decision stands and the winners hand over.",
        event=Event.NOTICE_PASSED,
    )


def _ruling(terms: ContestTerms, state: ContestState, at: datetime) -> Deadline:
    return Deadline(
        name="ruling",
        due_at=at + timedelta(seconds=terms.policy.ruling_seconds),
        stopped_by=("operator: rule",),
        outcome="Without a ruling the decision stands and the winners hand over.",
        event=Event.OBJECTION_LAPSED,
    )


def _pending(state: ContestState) -> tuple[Prize, ...]:
    return state.in_state(PrizeState.HAND_OVER, PrizeState.REVIEW)


def _of_prize(
    terms: ContestTerms,
    state: ContestState,
    prize: Prize,
    at: datetime,
    running: Sequence[Deadline],
) -> Deadline:
    """The timer of one prize: a new one when the prize has just entered its state, else the running one."""
    event = (
        Event.HAND_OVER_LAPSED if prize.state is PrizeState.HAND_OVER else Event.ACCEPTANCE_LAPSED
    )
    for each in running:
        if (each.subject, each.event) == (_about(prize), event):
            return each
    if event is Event.HAND_OVER_LAPSED:
        return Deadline(
            name="hand_over",
            due_at=at + timedelta(seconds=terms.policy.hand_over_seconds),
            stopped_by=("creator: hand over",),
            outcome="The winner loses the prize; it goes to the next in the order, else the owner chooses again.",
            event=event,
            subject=_about(prize),
        )
    payee = accounts.payable(prize.creator_id or "")
    return Deadline(
        name="acceptance",
        due_at=at + timedelta(seconds=terms.policy.accept_seconds),
        stopped_by=("initiator: accept", "initiator: ask for a revision"),
        outcome=f"It counts as accepted and {format_money(terms.net(prize.amount), terms.currency)} goes to the "
        "winner.",
        postings=planned(release_entry(terms, prize, payee, "preview")),
        event=event,
        subject=_about(prize),
    )


def _about(prize: Prize) -> str:
    """Names prize and winner, so that a prize that goes on to somebody else gets a timer of its own."""
    return f"{prize.subject}: {prize.entry_id}, delivery {prize.revisions + 1}"


def rank_of(subject: str) -> int:
    """The prize that a deadline's subject is about."""
    return int(subject.removeprefix("prize ").partition(":")[0])
