"""What happens to a campaign that has succeeded, but for its end against the creator's will (activities.campaign_stop)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta

from activities.campaign_case import Case, Change, unmoved
from activities.campaign_stop import long_stop, stopped, voted
from db import ballot_rows, campaign_rows, fulfilment_rows
from db.queries import file_access
from domain.ballot import BallotOption, BallotTerms
from domain.campaign import Event, Phase, TrancheState, Trigger
from domain.campaign_delivery import (
    DELIVERY,
    GO_ON,
    LONG_STOP,
    VOTE,
    Delivery,
    Part,
    delivery_deadlines,
    is_ready,
    next_vote,
    part_of,
    phase_after,
    reached_by,
    releasable,
    release_entry,
    released,
    reported,
    require_no_vote,
    require_reported,
    with_part,
)
from domain.campaign_messages import MONEY_BACK, CampaignStanding
from domain.deadlines import Deadline
from domain.errors import InvalidInput, NotEligible, WrongPhase
from domain.ids import new_id
from domain.policy import BallotPolicy


async def _disbursed(case: Case) -> Change:
    """The waiting time is over: what is due at the start is released."""
    now = await _now(case)
    parts = reached_by(now.parts, Trigger.START)
    return await _paid(case, now, parts, "The waiting time is over")


async def _tranche_reported(case: Case) -> Change:
    """The creator shows that a part is reached; operators look at it."""
    report = case.act.report
    if report is None:
        raise InvalidInput("nothing was reported", field="report")
    now = await _now(case)
    part = reported(part_of(now.parts, case.act.tranche), report, case.at)
    now = await _keep(case, now, with_part(now.parts, part))
    for row in await fulfilment_rows.tranches(case.session, case.path.id):
        if row.number == part.number:
            row.report = report.model_dump(mode="json")
    await file_access.grant(case.session, report.file_ids, case.path.id, file_access.MEMBERS)
    return _goes_on(case, now, f"The creator reports {part.title}{_how_much(part)}")


async def _tranche_approved(case: Case) -> Change:
    """Operators agree that a part is reached."""
    now = await _now(case)
    part = part_of(now.parts, case.act.tranche)
    require_reported(part)
    require_no_vote(now)
    parts = with_part(now.parts, part.to(part.claimed))
    return await _paid(case, now, parts, f"{part.title}{_how_much(part)} was approved")


async def _tranche_refused(case: Case) -> Change:
    """Operators do not agree, and say why; the creator may report again."""
    now = await _now(case)
    part = part_of(now.parts, case.act.tranche)
    require_reported(part)
    now = await _keep(case, now, with_part(now.parts, part.to(part.reached)))
    return _goes_on(case, now, f"{part.title}{_how_much(part)} was not approved")


async def _tranche_lapsed(case: Case) -> Change:
    """Nobody has said no in time."""
    now = await _now(case)
    part = next(each for each in now.parts if each.subject == case.subject)
    parts = with_part(now.parts, part.to(part.claimed))
    words = f"Nobody has objected to {part.title}{_how_much(part)} in time"
    return await _paid(case, now, parts, words)


async def _rewards_locked(case: Case) -> Change:
    """Addresses and answers are fixed where they are complete; the others may still answer."""
    locked = await fulfilment_rows.lock_rewards(case.session, case.path.id, case.terms)
    open_ = await fulfilment_rows.count_incomplete(case.session, case.path.id, case.terms)
    case.row.rewards_locked_at = case.row.rewards_locked_at or case.at
    lack = f"; {open_} backers have not told everything yet" if open_ else ""
    return _goes_on(case, await _now(case), f"{locked} rewards are locked{lack}")


async def _rewards_shipped(case: Case) -> Change:
    """Nothing is owed any more: what has waited only for that comes next."""
    return _goes_on(case, await _now(case), "The last reward that was owed is on its way")


async def _delivery_late(case: Case) -> Change | CampaignStanding:
    """The promised day is over and rewards are still owed: everybody reads it, operators see it."""
    now = await _now(case)
    if later := _promised_later(case, now, DELIVERY):
        return later
    now = now.model_copy(update={"alerted": True})
    change = _goes_on(case, now, f"The delivery is late: {now.owed} rewards are not shipped")
    change.facts = (f"Late since {case.row.deliver_by}: {now.owed} rewards are not shipped",)
    return change


async def _update_due(case: Case) -> Change:
    return _goes_on(case, await _now(case), "The backers have heard nothing from the creator")


async def _late_pledges_paid(case: Case) -> Change:
    """What late pledges have added to the parts that are reached."""
    now = await _now(case)
    return await _paid(case, now, now.parts, "Late pledges of the last days")


async def _reserve_due(case: Case) -> Change:
    """The end, if everything is reached and shipped; otherwise what is left stays until it is, or the long stop."""
    now = await _now(case)
    if not is_ready(now):
        return _goes_on(case, now, _why_not(now))
    parts = reached_by(now.parts, *Trigger)
    return await _paid(case, now, parts, "Everything is reached and shipped", last=True)


async def _vote_asked(case: Case) -> Change:
    """A backer asks for a vote on what is left. Raises NotEligible, WrongPhase."""
    now = await _now(case)
    voters = await _require_vote(case, now)
    policy = case.terms.policy
    ballot_id = new_id("bal")
    ballot = BallotTerms(
        title=f"{case.terms.title}: shall what is left go back to the backers?",
        description="The delivery is late. A tie, or too few votes, leaves everything as it is.",
        options=(
            BallotOption(id=GO_ON, label="Go on", author_id=case.terms.creator_id),
            BallotOption(id=MONEY_BACK, label="What is left goes back"),
        ),
        quorum=max(1, -(-voters * policy.vote_quorum_basis_points // 10_000)),
        account_age_seconds=0,
        voting_seconds=policy.vote_seconds,
        notice_seconds=policy.vote_notice_seconds,
        electorate=case.path.id,
        policy=BallotPolicy(grace_seconds=policy.grace_seconds),
    )
    await ballot_rows.draft(
        case.session,
        ballot_id,
        workflow_id=f"ballot-{ballot_id}",
        initiator_id=case.terms.creator_id,
        terms=ballot,
        parent_path_id=case.path.id,
    )
    case.row.ballot_id = ballot_id
    due_at = case.at + timedelta(seconds=policy.vote_seconds + policy.vote_notice_seconds)
    vote = Deadline(
        name=VOTE,
        due_at=due_at,
        stopped_by=("backers: vote",),
        outcome="What most voters want happens; a tie or too few votes leave everything as it is.",
        subject=ballot_id,
    )
    now = now.model_copy(update={"vote": vote})
    change = _goes_on(case, now, f"A backer has asked for a vote; {voters} people may vote")
    change.ballot_id, change.ballot, change.subject = ballot_id, ballot, ballot_id
    return change


async def _require_vote(case: Case, now: Delivery) -> int:
    """How many may vote. Raises NotEligible, WrongPhase."""
    user_id, policy = case.act.user_id, case.terms.policy
    require_no_vote(now)
    if user_id is None or not await fulfilment_rows.may_vote(case.session, case.path.id, user_id):
        raise NotEligible(
            "backers who have received nothing ask for a vote", accepted="such a backer"
        )
    if now.deliver_by is None or not now.owed:
        raise WrongPhase("no delivery is late", field="phase", accepted="when one is")
    before = await fulfilment_rows.last_vote(case.session, case.path.id)
    possible_from = next_vote(case.terms, now.deliver_by, before)
    if case.at < possible_from:
        raise WrongPhase(
            "a vote cannot be asked for yet",
            field="deliver_by",
            accepted=f"from {possible_from.isoformat()} on",
        )
    return await fulfilment_rows.electorate(case.session, case.path.id, policy.received_seconds)


async def _voted(case: Case) -> Change:
    """The backers' word: what is left goes back to them, or it goes on."""
    if case.act.decided:
        return await voted(case)
    return await _vote_over(case, "The backers want it to go on")


async def _not_decided(case: Case) -> Change:
    return await _vote_over(case, "The vote has decided nothing; it goes on")


async def _vote_over(case: Case, words: str) -> Change:
    """Everything that waited for the vote goes on."""
    case.row.ballot_id = None
    now = (await _now(case)).model_copy(update={"vote": None})
    return _goes_on(case, now, words)


async def _long_stop(case: Case) -> Change | CampaignStanding:
    """The silence of a creator ends here: those who have nothing get what is left, or, if nobody is, the creator."""
    now = await _now(case)
    if later := _promised_later(case, now, LONG_STOP):
        return later
    if now.owed:
        return await long_stop(case, now)
    parts = reached_by(now.parts, *Trigger)
    return await _paid(case, now, parts, "The time is up and no reward is owed", last=True)


# What they have in common.


async def _now(case: Case) -> Delivery:
    """How it stands; the promised day is also that of late pledges which have been paid since, and never an earlier one."""
    if case.terms.late_pledges:
        promised = await campaign_rows.last_delivery(case.session, case.path.id)
        days = [each for each in (case.row.deliver_by, promised) if each is not None]
        case.row.deliver_by = max(days, default=None)
    return await fulfilment_rows.delivery_of(case.session, case.path, case.row, case.terms)


def _promised_later(case: Case, now: Delivery, name: str) -> CampaignStanding | None:
    """The timers anew, if late pledges were promised a later day than that of the timer which has just fired."""
    told = delivery_deadlines(case.terms, case.phase, now, case.at)
    if not any(each.name == name and each.passes_at > case.at for each in told):
        return None
    case.path.deadlines = [each.model_dump(mode="json") for each in told]
    return unmoved(case)


async def _keep(case: Case, now: Delivery, parts: Sequence[Part]) -> Delivery:
    await fulfilment_rows.keep_parts(case.session, case.path.id, parts, case.at)
    return now.model_copy(update={"parts": tuple(parts)})


def _goes_on(case: Case, now: Delivery, words: str, *, phase: Phase | None = None) -> Change:
    """No money moves; the timers as they are now."""
    phase = phase or case.phase
    timers = delivery_deadlines(case.terms, phase, now, case.at)
    return Change(phase=phase, summary=words, deadlines=timers)


async def _paid(
    case: Case, now: Delivery, parts: Sequence[Part], words: str, *, last: bool = False
) -> Change:
    """RELEASE of what the reached share of everything is more than what was released before."""
    amount = 0 if now.vote is not None else releasable(now.ledger, parts)
    after = released(now.ledger, amount, case.terms.policy.fee_basis_points)
    entry = release_entry(case.terms, now.ledger, after, f"{case.key}/release")
    fulfilment_rows.keep_ledger(case.row, after)
    now = (await _keep(case, now, parts)).model_copy(update={"ledger": after})
    phase = phase_after(case.terms, now, last=last)
    told = f"{case.money(amount)} released" if amount else "nothing is to be released"
    change = _goes_on(case, now, f"{words}; {told}", phase=phase)
    change.entries = [entry] if entry else []
    change.earner = case.terms.creator_id
    return change


def _how_much(part: Part) -> str:
    """What is claimed of lots, in words."""
    if part.trigger is not Trigger.LOTS:
        return ""
    whole, rest = divmod(part.claimed, 100)
    return f", {whole}.{rest:02d} % of them" if rest else f", {whole} % of them"


def _why_not(now: Delivery) -> str:
    if now.owed:
        return f"The reserve stays where it is: {now.owed} rewards are not shipped"
    waits = [each.title for each in now.parts if each.state is not TrancheState.RELEASED]
    return f"The reserve stays where it is: not all is reached of {', '.join(waits)}"


DELIVERS: Mapping[Event, Callable[[Case], Awaitable[Change | CampaignStanding]]] = {
    Event.DISBURSED: _disbursed,
    Event.TRANCHE_REPORTED: _tranche_reported,
    Event.TRANCHE_APPROVED: _tranche_approved,
    Event.TRANCHE_REFUSED: _tranche_refused,
    Event.TRANCHE_LAPSED: _tranche_lapsed,
    Event.REWARDS_LOCKED: _rewards_locked,
    Event.REWARDS_SHIPPED: _rewards_shipped,
    Event.DELIVERY_LATE: _delivery_late,
    Event.UPDATE_DUE: _update_due,
    Event.LATE_PLEDGES_PAID: _late_pledges_paid,
    Event.RESERVE_DUE: _reserve_due,
    Event.VOTE_ASKED: _vote_asked,
    Event.VOTED: _voted,
    Event.NOT_DECIDED: _not_decided,
    Event.LONG_STOP: _long_stop,
    Event.CANCELLED: stopped,
    Event.BANNED: stopped,
}
"""What each event does to a campaign that is SUCCESSFUL or FULFILLING."""
