"""Campaign 众筹: a creator says what they want to make, backers pledge, and only if enough comes together the money moves.

draft -> in_review -> (scheduled) -> live -> closing -> (round2 -> closing) -> (collecting) -> (waiting_funds) -> successful
-> fulfilling -> completed. Not enough -> failed, called off -> cancelled, called off after the success -> stopped: then
everything goes back. The legal transitions are domain.campaign.TRANSITIONS, those of a pledge domain.pledge.NEXT.

Pledges are rows that this story does not hear of, however many; what is done with all of them is done by runs.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import datetime

from temporalio import workflow
from temporalio.exceptions import ApplicationError, ChildWorkflowError
from temporalio.workflow import ParentClosePolicy

with workflow.unsafe.imports_passed_through():
    from activities.campaigns import Campaigns
    from activities.options import MONEY, UPKEEP
    from domain.ballot_messages import BallotOutcome, BallotStart
    from domain.campaign import GIVES_BACK, TRANSITIONS, Event, Phase, require_event
    from domain.campaign_messages import (
        MONEY_BACK,
        CampaignAct,
        CampaignEnd,
        CampaignStanding,
        CampaignStart,
        CampaignStep,
        RunGoal,
    )
    from domain.errors import DomainError, WrongPhase
    from domain.path import Standing
    from runtime import search_attributes as attributes
    from runtime.temporal import start_attributes
    from workflows.ballot import Ballot
    from workflows.campaign_runs import StoryWithRuns
    from workflows.following import uninterrupted
    from workflows.names import ballot_workflow_id

_LOOKS_AT_ALL = frozenset(
    {
        Event.DEADLINE,
        Event.ROUND_CLOSED,
        Event.COLLECTED,
        Event.FUNDS_SETTLED,
        Event.REWARDS_LOCKED,
        Event.VOTED,
        Event.LONG_STOP,
        Event.CANCELLED,
        Event.BANNED,
        Event.GIVEN_BACK,
    }
)
"""Events that look at every pledge, which can take longer than a moment."""


@workflow.defn(name="Campaign", failure_exception_types=[DomainError])
class Campaign(StoryWithRuns):
    """One campaign of one creator."""

    @workflow.init
    def __init__(self, start: CampaignStart) -> None:
        super().__init__(start)
        self.initiator = start.creator_id
        self.called = start.title or "the campaign"
        self.collection: asyncio.Task[None] | None = None
        self.went_live = False
        self.given_back = False
        self.wants_money_back = False
        """What the backers' last vote has decided."""

    @workflow.run
    async def run(self, start: CampaignStart) -> CampaignEnd:
        await self.submission()
        if self.standing is None and self.refusal is not None:
            # A story that has failed leaves the draft to the next one.
            raise self.refusal
        while self.stands_in(Phase.DRAFT, Phase.IN_REVIEW):
            await self.review()
            await self.mending()
        await self.schedule()
        while self.stands_in(Phase.LIVE, Phase.ROUND2, Phase.CLOSING):
            await self.pledging()
            await self.closing()
        while self.stands_in(Phase.COLLECTING, Phase.WAITING_FUNDS):
            await self.collecting()
            await self.slow_funds()
        await self.waiting_time()
        await self.fulfilment()
        await self.giving_back()
        await self.run_errands()
        assert self.phase is not None
        return CampaignEnd(phase=self.phase, refusal=self.refusal.message if self.refusal else None)

    # The story, phase by phase.

    async def submission(self) -> None:
        """The creator hands the draft in; its terms and the platform's rules are fixed."""
        await workflow.wait_condition(lambda: self.standing is not None or self.refusal is not None)

    async def review(self) -> None:
        """Operators approve it or want something mended; when they are late they are called, again and again."""
        await self.stay_in(Phase.IN_REVIEW)

    async def mending(self) -> None:
        """The creator mends what operators want and hands it in again, or it is given up."""
        await self.stay_in(Phase.DRAFT)

    async def schedule(self) -> None:
        """Everybody can see it; it goes live at its time."""
        await self.stay_in(Phase.SCHEDULED)

    async def pledging(self) -> None:
        """Backers pledge, to the second, by the clock of the database."""
        await self.stay_in(Phase.LIVE, Phase.ROUND2)

    async def closing(self) -> None:
        """What was begun in time is settled; then it shows whether enough is pledged."""
        if self.stands_in(Phase.CLOSING):
            self.rounds += 1
        tries = 0
        while self.stands_in(Phase.CLOSING):
            await self.run_all(RunGoal.CLOSE)
            await self.bring_about(Event.ROUND_CLOSED, over=self.has_left(Phase.CLOSING))
            tries += 1
            await self.wait_before_again(tries, self.has_left(Phase.CLOSING))

    async def collecting(self) -> None:
        """Saved cards are charged; whoever's charge fails can mend it for days. Settled earlier, it is decided at once."""
        if self.stands_in(Phase.COLLECTING):
            self.collection = asyncio.create_task(self.charge_all())
        await self.stay_in(Phase.COLLECTING)

    async def charge_all(self) -> None:
        """Charges every saved card once, and sees whether that was all."""
        await self.run_all(RunGoal.COLLECT)
        await self.see_whether_settled()

    async def slow_funds(self) -> None:
        """Transfers that were begun in time are waited for; what has not come in the end is given up."""
        while self.stands_in(Phase.WAITING_FUNDS):
            if await self.passes(self.next_deadline()):
                await self.run_all(RunGoal.CLOSE_SLOW)
                await self.bring_about(Event.FUNDS_SETTLED, over=self.has_left(Phase.WAITING_FUNDS))

    async def waiting_time(self) -> None:
        """Enough is collected; nothing is released yet, so that mistakes can still be undone."""
        await self.stay_in(Phase.SUCCESSFUL)

    async def fulfilment(self) -> None:
        """The creator is paid in parts and makes what was promised; domain.campaign_delivery says what silence does."""
        await self.stay_in(Phase.FULFILLING)

    async def giving_back(self) -> None:
        """Every pledge ends: pages are closed, cards forgotten, money sent back."""
        if self.collection is not None:
            await uninterrupted(self.collection)
        tries = 0
        while self.went_live and self.stands_in(*GIVES_BACK) and not self.given_back:
            await self.run_all(RunGoal.GIVE_BACK)
            await self.bring_about(Event.GIVEN_BACK, over=lambda: self.given_back)
            tries += 1
            await self.wait_before_again(tries, lambda: self.given_back)

    # What people do.

    @workflow.update
    async def submit(self, act: CampaignAct) -> Standing:
        """The creator hands the draft in, for the first time or mended."""
        async with self.one_at_a_time:
            self._can_submit(act)
            try:
                standing = await self.transition(Event.SUBMITTED, act)
            except ApplicationError as refused:
                if self.standing is None:
                    self.refusal = refused
                raise
            if act.rules is not None:
                self.policy = act.rules.policy
            return standing

    @workflow.update
    async def approve(self, act: CampaignAct) -> Standing:
        """Operators let it go live."""
        return await self.act(Event.APPROVED, act)

    @workflow.update
    async def send_back(self, act: CampaignAct) -> Standing:
        """Operators want something mended."""
        return await self.act(Event.SENT_BACK, act)

    @workflow.update
    async def take_back(self, act: CampaignAct) -> Standing:
        """The creator withdraws it before it is live."""
        return await self.act(Event.WITHDRAWN, act)

    @workflow.update
    async def cancel(self, act: CampaignAct) -> Standing:
        """The creator calls it off: everything goes back, or after the success what is left."""
        return await self.act(Event.CANCELLED, act)

    @workflow.update
    async def ban(self, act: CampaignAct) -> Standing:
        """Operators do."""
        return await self.act(Event.BANNED, act)

    @workflow.update
    async def report_tranche(self, act: CampaignAct) -> Standing:
        """The creator says that a part of the work is done."""
        return await self.act(Event.TRANCHE_REPORTED, act, _tranche(act))

    @workflow.update
    async def approve_tranche(self, act: CampaignAct) -> Standing:
        """Operators agree, and the money for it is released."""
        return await self.act(Event.TRANCHE_APPROVED, act, _tranche(act))

    @workflow.update
    async def refuse_tranche(self, act: CampaignAct) -> Standing:
        """Operators do not."""
        return await self.act(Event.TRANCHE_REFUSED, act, _tranche(act))

    @workflow.update
    async def lock_rewards(self, act: CampaignAct) -> Standing:
        """Addresses and answers are fixed, so that rewards can be made and sent."""
        return await self.act(Event.REWARDS_LOCKED, act)

    @workflow.update
    async def ask_vote(self, act: CampaignAct) -> Standing:
        """A backer of a late campaign asks for a vote on the money that is left."""
        return await self.act(Event.VOTE_ASKED, act)

    @submit.validator
    def _can_submit(self, act: CampaignAct) -> None:
        if self.refusal is not None:
            raise WrongPhase("the submission was refused", field="phase", accepted=Phase.DRAFT)
        if self.standing is not None:
            self.require(Event.SUBMITTED, act)

    @approve.validator
    def _can_approve(self, act: CampaignAct) -> None:
        self.require(Event.APPROVED, act)

    @send_back.validator
    def _can_send_back(self, act: CampaignAct) -> None:
        self.require(Event.SENT_BACK, act)

    @take_back.validator
    def _can_take_back(self, act: CampaignAct) -> None:
        self.require(Event.WITHDRAWN, act)

    @cancel.validator
    def _can_cancel(self, act: CampaignAct) -> None:
        self.require(Event.CANCELLED, act)

    @ban.validator
    def _can_ban(self, act: CampaignAct) -> None:
        self.require(Event.BANNED, act)

    @report_tranche.validator
    def _can_report_tranche(self, act: CampaignAct) -> None:
        self.require(Event.TRANCHE_REPORTED, act)

    @approve_tranche.validator
    def _can_approve_tranche(self, act: CampaignAct) -> None:
        self.require(Event.TRANCHE_APPROVED, act)

    @refuse_tranche.validator
    def _can_refuse_tranche(self, act: CampaignAct) -> None:
        self.require(Event.TRANCHE_REFUSED, act)

    @lock_rewards.validator
    def _can_lock_rewards(self, act: CampaignAct) -> None:
        self.require(Event.REWARDS_LOCKED, act)

    @ask_vote.validator
    def _can_ask_vote(self, act: CampaignAct) -> None:
        self.require(Event.VOTE_ASKED, act)

    # News of pledges.

    @workflow.signal
    def pledges_settled(self) -> None:
        """Nothing may be left to wait for: the last failed charge was mended or dropped, or the last transfer came."""
        self.errands.append(asyncio.create_task(self.see_whether_settled()))

    @workflow.signal
    def rewards_shipped(self, act: CampaignAct) -> None:
        """The creator has sent the last reward that was owed."""
        self.errands.append(asyncio.create_task(self.take_note_of_shipment(act)))

    async def take_note_of_shipment(self, act: CampaignAct) -> None:
        """What has waited only for the last parcel comes next."""
        await self.bring_about(
            Event.REWARDS_SHIPPED,
            over=lambda: not self.stands_in(Phase.SUCCESSFUL, Phase.FULFILLING),
        )

    async def see_whether_settled(self) -> None:
        """Asks the books whether the collection, or the wait for transfers, is over."""
        for phase, event in (
            (Phase.COLLECTING, Event.COLLECTED),
            (Phase.WAITING_FUNDS, Event.FUNDS_SETTLED),
        ):
            if self.stands_in(phase):
                await self.bring_about(event, over=self.has_left(phase))
                return

    # The backers' vote.

    async def hold_vote(self, asked: CampaignStanding) -> None:
        """Backers of a late campaign vote on what is left; if it ends meanwhile nobody needs the vote."""
        over = self.has_left(Phase.FULFILLING)
        ballot = await self.start_ballot(asked)
        await workflow.wait_condition(lambda: ballot.done() or over())
        if not ballot.done():
            ballot.cancel()
        outcome: BallotOutcome | None = None
        # A vote that operators have terminated has decided nothing.
        with suppress(ChildWorkflowError):
            outcome = await ballot
        decided = outcome is not None and outcome.decided
        self.wants_money_back = outcome is not None and outcome.ranking[:1] == (MONEY_BACK,)
        await self.bring_about(Event.VOTED if decided else Event.NOT_DECIDED, over=over)

    async def start_ballot(
        self, asked: CampaignStanding
    ) -> workflow.ChildWorkflowHandle[Ballot, BallotOutcome]:
        """The ballot's own story."""
        assert asked.ballot_id is not None
        return await workflow.start_child_workflow(
            Ballot.run,
            BallotStart(
                ballot_id=asked.ballot_id,
                terms=asked.ballot,
                initiator_id=self.initiator,
                parent_path_id=self.start.campaign_id,
            ),
            id=ballot_workflow_id(asked.ballot_id),
            parent_close_policy=ParentClosePolicy.ABANDON,
            static_summary=f"Backers vote on what is left: {self.title}"[:200],
            search_attributes=start_attributes("ballot", self.initiator, "XXX"),
        )

    # How it is done.

    async def commit(
        self, event: str, act: CampaignAct, key: str, at: datetime, subject: str
    ) -> CampaignStanding:
        about = f" of {subject}" if subject else ""
        return await workflow.execute_activity_method(
            Campaigns.move,
            CampaignStep(
                campaign_id=self.start.campaign_id,
                key=key,
                event=Event(event),
                act=act,
                at=at,
                subject=subject,
            ),
            summary=f"{event.replace('_', ' ').capitalize()}{about}",
            **(UPKEEP if event in _LOOKS_AT_ALL else MONEY),
        )

    def enter(self, standing: Standing) -> None:
        """The campaign now stands here; what the transition asks for is on its way."""
        super().enter(standing)
        self.went_live = self.went_live or self.stands_in(Phase.LIVE)
        if not isinstance(standing, CampaignStanding):
            return
        self.given_back = self.given_back or standing.given_back
        if standing.calls_operator is not self.overdue:
            self.overdue = standing.calls_operator
            workflow.upsert_search_attributes([attributes.NEEDS_OPERATOR.value_set(self.overdue)])
        self.errands += [
            asyncio.create_task(self.tell_decided(each)) for each in standing.match_calls
        ]
        if standing.ballot is not None:
            self.errands.append(asyncio.create_task(self.hold_vote(standing)))

    async def tell_decided(self, workflow_id: str) -> None:
        """A match call hears that nothing is reserved for the campaign any more; one that has ended need not."""
        with suppress(ApplicationError):
            await workflow.get_external_workflow_handle(workflow_id).signal("campaign_decided")

    def allow(self, phase: str, event: str) -> None:
        require_event(phase, event)

    def nobody(self, actor: str) -> CampaignAct:
        return CampaignAct(actor=actor, decided=self.wants_money_back)

    def called_off_by_operators(self) -> str | None:
        """Cancelling the workflow calls the campaign off as long as that is possible."""
        if self.stands_in(Phase.DRAFT):
            return Event.WITHDRAWN
        possible = self.phase is not None and (Phase(self.phase), Event.BANNED) in TRANSITIONS
        return Event.BANNED if possible else None


def _tranche(act: CampaignAct) -> str:
    return f"tranche {act.tranche}"
