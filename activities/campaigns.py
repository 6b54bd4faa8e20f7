"""The campaign's transitions, each one transaction; those after its success are in activities.campaign_delivery."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta

from pydantic import JsonValue
from sqlalchemy import select
from temporalio import activity
from temporalio.client import Client

from activities import pledge_money
from activities.campaign_case import Case, Change, facts, load, settle, unmoved
from activities.campaign_delivery import DELIVERS
from activities.gathering import gather_payouts
from activities.transitions import lock_path, recall, require_not_paused, timers
from db import campaign_rows, fulfilment_rows, match_rows, pledge_states
from db.campaign_counts import counted, promised_if_silent
from db.engine import Database
from db.queries import file_access
from db.tables import Path
from domain import postings_match
from domain.campaign import (
    LATE_PLEDGES,
    Count,
    Event,
    Phase,
    Result,
    after_closing,
    after_waiting,
    decided,
    require_event,
)
from domain.campaign_deadlines import (
    FIXING,
    PLEDGING,
    SLOW_FUNDS,
    phase_deadlines,
    put_off,
    with_final_charges,
)
from domain.campaign_delivery import success_deadlines
from domain.campaign_messages import CampaignStanding, CampaignStep
from domain.deadlines import Deadline
from domain.errors import InvalidInput
from domain.pledge import PledgeState

_UNTIMED = frozenset(
    {
        Event.ROUND_CLOSED,
        Event.COLLECTED,
        Event.FUNDS_SETTLED,
        Event.REWARDS_SHIPPED,
        Event.VOTED,
        Event.NOT_DECIDED,
        Event.GIVEN_BACK,
    }
)
"""What the story brings about as soon as it can, whatever the timers say."""
_AT_ONCE = 1_000
"""The most pledges of which what was kept is set free in one statement."""

Handler = Callable[[Case], Awaitable[Change | CampaignStanding]]


class Campaigns:
    """Activities of the campaign. `payout_at_once`: released money may leave without a waiting time.

    `rate_per_second`: how many calls batches may make at the provider, 0 without a limit.
    """

    def __init__(
        self,
        database: Database,
        temporal: Client,
        *,
        payout_at_once: bool,
        rate_per_second: int,
    ) -> None:
        self.database = database
        self.temporal = temporal
        self.payout_at_once = payout_at_once
        self.rate_per_second = rate_per_second

    @activity.defn(name="move_campaign")
    async def move(self, step: CampaignStep) -> CampaignStanding:
        """Takes the campaign through one transition with everything that belongs to it."""
        async with self.database.transaction() as session:
            path = await lock_path(session, step.campaign_id)
            before = await recall(session, step.key, CampaignStanding)
            if before is not None:
                return before
            case = await load(
                session,
                path,
                event=step.event,
                key=step.key,
                at=step.at,
                act=step.act,
                subject=step.subject,
            )
            case.rate_per_second = self.rate_per_second
            if _has_moved(case):
                return unmoved(case)
            require_not_paused(path)
            require_event(case.phase, case.event)
            happened = await _handler(case)(case)
            if isinstance(happened, CampaignStanding):
                return happened
            standing = await settle(case, happened)
        if self.payout_at_once and happened.earner is not None:
            await gather_payouts(self.temporal, activity.info().task_queue)
        return standing


def _handler(case: Case) -> Handler:
    after_success = case.phase in LATE_PLEDGES
    return DELIVERS[case.event] if after_success else _HAPPENS[case.event]


def _has_moved(case: Case) -> bool:
    """Whether a timer fired for a deadline that has moved or gone meanwhile."""
    if case.act.actor != "system" or case.event in _UNTIMED:
        return False
    due = (t for t in timers(case.path) if (t.event, t.subject) == (case.event, case.subject))
    return not any(each.passes_at <= case.at for each in due)


async def _submitted(case: Case) -> Change:
    """The draft is handed in: its terms and the platform's rules are fixed, unless operators want something mended."""
    if case.act.rules is None:
        raise InvalidInput("no rules came with the submission", field="rules")
    case.terms = case.terms.model_copy(update={"rules": case.act.rules})
    case.row.terms = case.terms.model_dump(mode="json")
    case.row.review_note = None
    return _entered(case, Phase.IN_REVIEW, "Handed in for review")


async def _review_overdue(case: Case) -> Change:
    """Nobody has looked at it in time: operators are called, and called again."""
    change = _entered(case, Phase.IN_REVIEW, "Nobody has reviewed it in time; operators are called")
    change.calls_operator = True
    change.facts = ("The review is overdue",)
    return change


async def _approved(case: Case) -> Change:
    """Everybody may see it from now on; it goes live at once or at its time."""
    await file_access.grant(case.session, case.terms.file_ids, case.path.id, file_access.MEMBERS)
    if case.terms.starts_at is not None and case.terms.starts_at > case.at:
        return _entered(case, Phase.SCHEDULED, "Approved; it goes live at its time")
    return _live(case, "Approved; pledges are taken from now on")


async def _sent_back(case: Case) -> Change:
    """Operators want something mended."""
    case.row.review_note = case.act.note
    return _entered(case, Phase.DRAFT, "Operators want something mended")


async def _mending_lapsed(case: Case) -> Change:
    return Change(phase=Phase.CANCELLED, summary="It was not mended in time and is given up")


async def _withdrawn(case: Case) -> Change:
    return Change(phase=Phase.CANCELLED, summary="Withdrawn before it went live")


async def _launched(case: Case) -> Change:
    return _live(case, "Live; pledges are taken from now on")


def _live(case: Case, words: str) -> Change:
    case.row.launched_at = case.at
    return _entered(case, Phase.LIVE, words)


async def _deadline(case: Case) -> Change:
    """No pledge is taken any more; those that were begun in time are settled first."""
    due = _timer(case, PLEDGING)
    ended_at = due.due_at if due else case.at
    case.row.closed_for_pledges_at = ended_at
    case.row.slow_until = ended_at + timedelta(seconds=case.terms.policy.slow_seconds)
    count = await counted(case.session, case.path.id)
    return Change(
        phase=Phase.CLOSING,
        summary=f"The time is up: {_in_words(case, count)}",
        facts=(
            "What was begun in time is being settled; then it shows whether enough is pledged",
            *_count_facts(case, count),
        ),
    )


async def _round_closed(case: Case) -> Change | CampaignStanding:
    """What was begun in time is settled: another round, the collection, a wait for transfers, or the decision."""
    if await campaign_rows.being_paid(case.session, case.path.id):
        return unmoved(case)
    count = await _count_with_lumps(case)
    phase = after_closing(case.terms, case.row.round, count)
    if phase is Phase.ROUND2:
        case.row.round = 2
        return _entered(
            case, phase, f"The minimum is reached, a second round begins: {_in_words(case, count)}"
        )
    return await _onwards(case, phase, count)


async def _count_with_lumps(case: Case) -> Count:
    """What stands, with lump sums that overlapping pledges have made due only together; the path is locked alone."""
    await match_rows.reserve_lumps(case.session, case.path.id)
    return await counted(case.session, case.path.id)


async def _collected(case: Case) -> Change | CampaignStanding:
    """Cards have been charged; what has still failed when the time for mending is over is dropped."""
    count = await counted(case.session, case.path.id)
    if count.to_charge:
        due = await _with_time_for_last_tries(case)
        if due is None or case.at < due.passes_at:
            return unmoved(case)
        await _drop_errored(case)
        count = await counted(case.session, case.path.id)
        if count.to_charge:
            return await _not_yet(
                case, due, f"The outcome of {count.to_charge} charges is not known yet"
            )
    return await _onwards(case, decided(case.terms, count), count)


async def _with_time_for_last_tries(case: Case) -> Deadline | None:
    """The timer of the collection, told anew when more charges have failed than it leaves time for."""
    due = _timer(case, FIXING)
    if due is None:
        return None
    failed = await pledge_money.count(case.session, case.path.id, [PledgeState.ERRORED])
    due = with_final_charges(due, failed, case.rate_per_second)
    told = (due if each.name == FIXING else each for each in timers(case.path))
    case.path.deadlines = [each.model_dump(mode="json") for each in told]
    return due


async def _drop_errored(case: Case) -> None:
    """Fallback for charges whose own story has not ended them."""
    pledges = await campaign_rows.errored(case.session, case.path.id)
    for first in range(0, len(pledges), _AT_ONCE):
        part = pledges[first : first + _AT_ONCE]
        await pledge_states.end(case.session, part, PledgeState.DROPPED, case.at)
        why = "The charge was not mended in time"
        events = [pledge_states.dropped(each, why) for each in part]
        await pledge_states.write_events(case.session, events)
    await case.session.flush()


async def _funds_settled(case: Case) -> Change | CampaignStanding:
    """Transfers have come, or their time is over: the collection, or the decision."""
    count = await _count_with_lumps(case)
    if count.slow_pledges:
        due = _timer(case, SLOW_FUNDS)
        if due is None or case.at < due.passes_at:
            return unmoved(case)
        return await _not_yet(
            case, due, f"The outcome of {count.slow_pledges} transfers is not known yet"
        )
    charged = case.row.fix_until is not None
    phase = decided(case.terms, count) if charged else after_waiting(case.terms, count)
    return await _onwards(case, phase, count)


async def _onwards(case: Case, phase: Phase, count: Count) -> Change:
    """The way to the decision, whichever comes next."""
    words = _in_words(case, count)
    match phase:
        case Phase.COLLECTING:
            due_at = case.at + timedelta(seconds=case.terms.policy.fix_seconds)
            case.row.fix_until = due_at
            promised = await promised_if_silent(case.session, case.row, case.terms, phase)
            return Change(
                phase=phase,
                summary=f"Enough is pledged, {count.to_charge} cards are charged: {words}",
                deadlines=phase_deadlines(
                    case.terms, phase, case.at, until=due_at, promised=promised
                ),
                facts=_count_facts(case, count),
            )
        case Phase.WAITING_FUNDS:
            return await _waiting(case, count)
        case _:
            return await _decided(case, phase, count)


async def _waiting(case: Case, count: Count) -> Change:
    """Transfers that were begun in time may still come."""
    promised = await promised_if_silent(case.session, case.row, case.terms, Phase.WAITING_FUNDS)
    return Change(
        phase=Phase.WAITING_FUNDS,
        summary=(
            f"Waiting for {count.slow_pledges} transfers of {case.money(count.slow)}: "
            f"{_in_words(case, count)}"
        ),
        deadlines=phase_deadlines(
            case.terms,
            Phase.WAITING_FUNDS,
            case.at,
            until=case.row.slow_until,
            promised=promised,
        ),
        facts=_count_facts(case, count),
    )


async def _decided(case: Case, phase: Phase, count: Count) -> Change:
    """Success only if what match calls really add makes it enough."""
    if phase is not Phase.SUCCESSFUL:
        return await _failed(case, count)
    await case.session.flush()
    trial = await case.session.begin_nested()
    used = await match_rows.use(case.session, case.path.id)
    exact = count.model_copy(update={"matched": sum(each.amount for each in used)})
    if decided(case.terms, exact) is not Phase.SUCCESSFUL:
        await trial.rollback()
        return await _failed(case, exact)
    await trial.commit()
    return await _succeeded(case, exact, used)


async def _succeeded(case: Case, count: Count, used: Sequence[match_rows.Matched]) -> Change:
    """Enough is in the books: pledges are collected, matches join the escrow, and rewards are owed."""
    campaign_id = case.path.id
    await campaign_rows.collect_paid(case.session, campaign_id)
    case.row.disputed = await fulfilment_rows.count_disputed(case.session, campaign_id)
    await campaign_rows.plan_tranches(case.session, case.terms)
    case.row.succeeded_at = case.at
    case.row.taken_in = count.paid + count.matched
    case.row.deliver_by = await campaign_rows.last_delivery(case.session, campaign_id)
    case.row.result = _result(case, count, succeeded=True)
    owed = await campaign_rows.rewards_owed(case.session, campaign_id)
    return Change(
        phase=Phase.SUCCESSFUL,
        summary=f"The campaign has succeeded: {_in_words(case, count)}",
        deadlines=success_deadlines(case.terms, case.ledger, case.at, owed=owed),
        entries=[
            postings_match.match_used(
                f"{case.key}/match/{each.call_id}",
                each.call_id,
                campaign_id,
                each.amount,
                each.currency,
            )
            for each in used
        ],
        match_calls=await _stories_of_calls(case),
        facts=_count_facts(case, count),
    )


async def _failed(case: Case, count: Count) -> Change:
    """Not enough: everybody gets everything back, and no saved card is charged."""
    case.row.result = _result(case, count, succeeded=False)
    return await _everything_back(case, Phase.FAILED, f"Not enough: {_in_words(case, count)}")


async def _called_off(case: Case) -> Change:
    """Called off before it had succeeded."""
    who = "operators" if case.event is Event.BANNED else "the creator"
    return await _everything_back(case, Phase.CANCELLED, f"Called off by {who}")


async def _everything_back(case: Case, phase: Phase, why: str) -> Change:
    calls = await _stories_of_calls(case)
    await match_rows.free_campaign(case.session, case.path.id)
    pledged = case.row.launched_at is not None
    return Change(
        phase=phase,
        summary=f"{why}; everybody gets everything back" if pledged else why,
        match_calls=calls,
        facts=("Every backer is getting everything back",) if pledged else (),
    )


async def _given_back(case: Case) -> Change | CampaignStanding:
    """Every pledge has ended, but for refunds that were refused and are followed one by one."""
    if await campaign_rows.unended(case.session, case.path.id):
        return unmoved(case)
    followed = await pledge_money.count(case.session, case.path.id, [PledgeState.REFUNDING])
    rest = f"; {followed} refunds are still followed one by one" if followed else ""
    return Change(phase=case.phase, summary=f"Everything has been sent back{rest}")


async def _not_yet(case: Case, due: Deadline, why: str) -> CampaignStanding:
    """What is waited for has not come: the timer fires once more later, and operators see why."""
    later = put_off(due, case.at)
    case.path.deadlines = [later.model_dump(mode="json")]
    return unmoved(case).model_copy(update={"facts": (*facts(case), why), "calls_operator": True})


async def _stories_of_calls(case: Case) -> tuple[str, ...]:
    """Workflows of the match calls that the campaign takes part in."""
    calls = await match_rows.involved(case.session, case.path.id)
    rows = await case.session.scalars(
        select(Path.workflow_id).where(Path.id.in_(calls)).order_by(Path.id)
    )
    return tuple(rows)


def _entered(case: Case, phase: Phase, words: str) -> Change:
    """A phase with the timer that every campaign has there."""
    return Change(
        phase=phase,
        summary=words,
        deadlines=phase_deadlines(case.terms, phase, case.at, round_=case.row.round),
    )


def _timer(case: Case, name: str) -> Deadline | None:
    return next((each for each in timers(case.path) if each.name == name), None)


def _result(case: Case, count: Count, *, succeeded: bool) -> dict[str, JsonValue]:
    result = Result(
        goal=case.terms.goal, required=case.terms.required, count=count, succeeded=succeeded
    )
    return result.model_dump(mode="json")


def _in_words(case: Case, count: Count) -> str:
    matched = f" and {case.money(count.matched)} of match calls" if count.matched else ""
    return (
        f"{count.pledges} pledges of {case.money(count.pledged)}{matched}, "
        f"goal {case.money(case.terms.goal)}"
    )


def _count_facts(case: Case, count: Count) -> tuple[str, ...]:
    return (
        f"Pledged {case.money(count.pledged)} by {count.pledges} pledges, "
        f"paid {case.money(count.paid)}, matched {case.money(count.matched)}",
        f"To charge: {count.to_charge} pledges; under way by bank: {count.slow_pledges} pledges "
        f"of {case.money(count.slow)}",
    )


_HAPPENS: Mapping[Event, Handler] = {
    Event.SUBMITTED: _submitted,
    Event.REVIEW_OVERDUE: _review_overdue,
    Event.APPROVED: _approved,
    Event.SENT_BACK: _sent_back,
    Event.MENDING_LAPSED: _mending_lapsed,
    Event.WITHDRAWN: _withdrawn,
    Event.LAUNCHED: _launched,
    Event.DEADLINE: _deadline,
    Event.ROUND_CLOSED: _round_closed,
    Event.COLLECTED: _collected,
    Event.FUNDS_SETTLED: _funds_settled,
    Event.CANCELLED: _called_off,
    Event.BANNED: _called_off,
    Event.GIVEN_BACK: _given_back,
}
"""What each event does before the success, and when everything goes back."""
