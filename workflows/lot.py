"""Lot 批次: a maker takes units of a production order on, gets the materials against a deposit, makes them at home, sends
them back, has them inspected and is paid.

sample -> sample_review -> kit_reserved -> kit_paid -> kit_shipped -> making -> return_shipped -> inspecting -> decided
-> settled; with rework and appeal in between. What never begins -> lapsed or cancelled, with the deposit back; nothing
ever sent -> abandoned; goods lost on their way -> lost. The legal transitions are domain.lot.TRANSITIONS, what each of
them does is domain.lot_moves.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import datetime

from temporalio import workflow
from temporalio.exceptions import (
    ApplicationError,
    ChildWorkflowError,
    WorkflowAlreadyStartedError,
)
from temporalio.workflow import ParentClosePolicy

with workflow.unsafe.imports_passed_through():
    from activities.lots import Lots
    from activities.options import MONEY
    from domain.ballot_messages import BallotOutcome, BallotStart
    from domain.errors import DomainError, WrongPhase
    from domain.inspection import GRANT
    from domain.lot import BEFORE_KIT, FINAL, Event, Phase, require_event
    from domain.lot_deadlines import scanned
    from domain.parcels import ParcelFact, ScanKind
    from domain.path import Standing
    from domain.production_messages import (
        InspectionOutcome,
        InspectionStart,
        InspectionTime,
        LotAct,
        LotEnd,
        LotNews,
        LotStart,
        LotStep,
    )
    from runtime.temporal import start_attributes
    from workflows.ballot import Ballot
    from workflows.following import uninterrupted
    from workflows.inspection import Inspection
    from workflows.names import ballot_workflow_id, inspection_workflow_id
    from workflows.story import Story

_ON_THE_WAY = {
    Phase.KIT_SHIPPED: {
        ScanKind.DELIVERED: Event.KIT_RECEIVED,
        ScanKind.LOST: Event.KIT_LOST,
    },
    Phase.RETURN_SHIPPED: {
        ScanKind.DELIVERED: Event.GOODS_RECEIVED,
        ScanKind.LOST: Event.GOODS_LOST,
    },
}
"""What a carrier's word does with a parcel on its way."""


@workflow.defn(name="Lot", failure_exception_types=[DomainError])
class Lot(Story[LotAct]):
    """One lot of one maker."""

    @workflow.init
    def __init__(self, start: LotStart) -> None:
        super().__init__()
        self.start = start
        self.initiator = start.maker_id
        self.called = "the lot"
        self.carrier_said: ScanKind | None = None

    @workflow.run
    async def run(self, start: LotStart) -> LotEnd:
        await self.claimed()
        if self.standing is None and self.refusal is not None:
            # A story that was refused its beginning leaves the units to the next one.
            raise self.refusal
        while not self.over:
            await self.sample()
            await self.deposit()
            await self.kit()
            await self.making()
            await self.way_back()
            await self.inspection()
            await self.rework()
            await self.appeal_window()
            await self.appealed()
        await self.withdraw("system", "the lot is over")
        await self.tell_order()
        await self.run_errands()
        assert self.phase is not None
        return LotEnd(phase=self.phase, refusal=self.refusal.message if self.refusal else None)

    # The story, phase by phase.

    async def claimed(self) -> None:
        """The units are the maker's, or the claim is refused."""
        await workflow.wait_condition(lambda: self.standing is not None or self.refusal is not None)

    async def sample(self) -> None:
        """The maker shows a piece, or the lot lapses; the requester looks at it, and silence approves it."""
        await self.stay_in(Phase.SAMPLE, Phase.SAMPLE_REVIEW)

    async def deposit(self) -> None:
        """The maker pays the deposit in time, or the units go to others."""
        await self.stay_in(Phase.KIT_RESERVED)

    async def kit(self) -> None:
        """The requester sends the materials, or the deposit goes back; a kit that nobody scans any more is lost."""
        while self.stands_in(Phase.KIT_PAID, Phase.KIT_SHIPPED):
            await self.stay_in(Phase.KIT_PAID)
            await self.on_the_way(Phase.KIT_SHIPPED)

    async def making(self) -> None:
        """The maker makes, and says so now and then; long after the due date the lot counts as abandoned."""
        await self.stay_in(Phase.MAKING)

    async def way_back(self) -> None:
        """The goods come back; a parcel that nobody scans any more is lost."""
        await self.on_the_way(Phase.RETURN_SHIPPED)

    async def inspection(self) -> None:
        """The inspection has a story of its own; silence accepts everything."""
        while self.stands_in(Phase.INSPECTING):
            inspection_id = self.news_of_lot.inspection_id
            assert inspection_id is not None
            await self.follow_inspection(inspection_id)

    async def rework(self) -> None:
        """The maker mends units and sends them again; what is not sent in time is not paid."""
        await self.stay_in(Phase.REWORK)

    async def appeal_window(self) -> None:
        """Units are rejected: the maker may appeal for a while."""
        await self.stay_in(Phase.DECIDED)

    async def appealed(self) -> None:
        """Somebody else decides about the rejected units; without their word in time they are accepted."""
        if self.stands_in(Phase.APPEALED) and self.news_of_lot.jury is not None:
            self.errands.append(asyncio.create_task(self.hold_vote(self.news_of_lot)))
        await self.stay_in(Phase.APPEALED)

    async def tell_order(self) -> None:
        """The last lot of an order of which nothing can be claimed any more lets it end."""
        order = self.news_of_lot.tells_order
        if order is not None:
            # The order looks at its lots by itself too, and may have ended meanwhile.
            with suppress(ApplicationError):
                await workflow.get_external_workflow_handle(order).signal("lots_over")

    # What people do.

    @workflow.update
    async def claim(self, act: LotAct) -> Standing:
        """The maker takes units on, or is refused."""
        async with self.one_at_a_time:
            try:
                return await self.transition(Event.CLAIMED, act)
            except ApplicationError as refused:
                if self.standing is None:
                    self.refusal = refused
                raise

    @workflow.update
    async def send_sample(self, act: LotAct) -> Standing:
        """The maker shows the sample."""
        return await self.act(Event.SAMPLE_SENT, act)

    @workflow.update
    async def approve_sample(self, act: LotAct) -> Standing:
        """The requester approves the sample."""
        return await self.act(Event.SAMPLE_APPROVED, act)

    @workflow.update
    async def refuse_sample(self, act: LotAct) -> Standing:
        """The requester refuses the sample."""
        return await self.act(Event.SAMPLE_REFUSED, act)

    @workflow.update(name="withdraw")
    async def step_back(self, act: LotAct) -> Standing:
        """The maker steps back before materials are sent; a deposit that comes all the same goes back."""
        return await self.without_payment(Event.WITHDRAWN, act)

    @workflow.update
    async def call_off(self, act: LotAct) -> Standing:
        """Operators end the lot before materials are sent."""
        return await self.without_payment(Event.CALLED_OFF, act)

    @workflow.update
    async def send_kit(self, act: LotAct) -> Standing:
        """The requester has sent the materials."""
        return await self.act(Event.KIT_SENT, act)

    @workflow.update
    async def receive_kit(self, act: LotAct) -> Standing:
        """The maker has the materials."""
        return await self.act(Event.KIT_RECEIVED, act)

    @workflow.update
    async def report(self, act: LotAct) -> Standing:
        """The maker says that the work goes on."""
        return await self.act(Event.HEARTBEAT, act)

    @workflow.update
    async def extend(self, act: LotAct) -> Standing:
        """The requester gives more time."""
        return await self.act(Event.EXTENDED, act)

    @workflow.update
    async def send_goods(self, act: LotAct) -> Standing:
        """The maker has sent the goods, or the mended ones."""
        return await self.act(Event.GOODS_SENT, act)

    @workflow.update
    async def receive_goods(self, act: LotAct) -> Standing:
        """The goods are there."""
        return await self.act(Event.GOODS_RECEIVED, act)

    @workflow.update
    async def appeal(self, act: LotAct) -> Standing:
        """The maker does not agree that units are rejected."""
        return await self.act(Event.APPEALED, act)

    @workflow.update
    async def accept_decision(self, act: LotAct) -> Standing:
        """The maker agrees that units are rejected."""
        return await self.act(Event.APPEAL_WAIVED, act)

    @workflow.update
    async def rule(self, act: LotAct) -> Standing:
        """An appeal is decided."""
        return await self.act(Event.RULED, act)

    @workflow.signal
    def parcel(self, fact: ParcelFact) -> None:
        """A carrier has scanned the kit or the goods. Any scan keeps the parcel alive; some decide about it."""
        if fact.kind in (ScanKind.DELIVERED, ScanKind.LOST):
            self.carrier_said = fact.kind
        elif self.standing is not None and fact.silent_until is not None:
            self.standing = scanned(self.standing, fact.silent_until)
        self.moves += 1

    @claim.validator
    def _can_claim(self, act: LotAct) -> None:
        if self.standing is not None or self.refusal is not None:
            raise WrongPhase("the lot is claimed already", field="phase")

    @send_sample.validator
    def _can_send_sample(self, act: LotAct) -> None:
        self.require(Event.SAMPLE_SENT, act)

    @approve_sample.validator
    def _can_approve_sample(self, act: LotAct) -> None:
        self.require(Event.SAMPLE_APPROVED, act)

    @refuse_sample.validator
    def _can_refuse_sample(self, act: LotAct) -> None:
        self.require(Event.SAMPLE_REFUSED, act)

    @step_back.validator
    def _can_step_back(self, act: LotAct) -> None:
        self.require(Event.WITHDRAWN, act)

    @call_off.validator
    def _can_call_off(self, act: LotAct) -> None:
        self.require(Event.CALLED_OFF, act)

    @send_kit.validator
    def _can_send_kit(self, act: LotAct) -> None:
        self.require(Event.KIT_SENT, act)

    @receive_kit.validator
    def _can_receive_kit(self, act: LotAct) -> None:
        self.require(Event.KIT_RECEIVED, act)

    @report.validator
    def _can_report(self, act: LotAct) -> None:
        self.require(Event.HEARTBEAT, act)

    @extend.validator
    def _can_extend(self, act: LotAct) -> None:
        self.require(Event.EXTENDED, act)

    @send_goods.validator
    def _can_send_goods(self, act: LotAct) -> None:
        self.require(Event.GOODS_SENT, act)

    @receive_goods.validator
    def _can_receive_goods(self, act: LotAct) -> None:
        self.require(Event.GOODS_RECEIVED, act)

    @appeal.validator
    def _can_appeal(self, act: LotAct) -> None:
        self.require(Event.APPEALED, act)

    @accept_decision.validator
    def _can_accept_decision(self, act: LotAct) -> None:
        self.require(Event.APPEAL_WAIVED, act)

    @rule.validator
    def _can_rule(self, act: LotAct) -> None:
        self.require(Event.RULED, act)

    # How it is done.

    async def on_the_way(self, phase: Phase) -> None:
        """Stays while a parcel is on its way: the carrier's word decides, or its silence."""
        while self.stands_in(phase):
            event = _ON_THE_WAY[phase].get(self.carrier_said) if self.carrier_said else None
            if event is not None:
                await self.bring_about(
                    event, actor="carrier", over=lambda: not self.stands_in(phase)
                )
                continue
            due = self.next_deadline()
            if await self.passes(due) and due is not None:
                await self.bring_about(due.event, over=self.has_moved())

    async def follow_inspection(self, inspection_id: str) -> None:
        """Waits until an inspection is decided, or its time is up, and takes note of it."""
        try:
            outcome = await uninterrupted(self.inspected(inspection_id))
        except (ChildWorkflowError, WorkflowAlreadyStartedError):
            # Operators have terminated it, or this story: it begins anew when they say so.
            await self.ask_operator(f"The inspection of {self.title} was ended from outside")
            return
        await self.bring_about(
            Event.INSPECTION_LAPSED if outcome.lapsed else Event.INSPECTED,
            act=LotAct(
                actor="system" if outcome.lapsed else "inspector", decision=outcome.decision
            ),
            subject=inspection_id,
            over=lambda: not self.waits_for_inspection(inspection_id),
        )

    async def inspected(self, inspection_id: str) -> InspectionOutcome:
        """Follows an inspection until it is decided, or its time is up; its time stands still when the lot does."""
        due_at = self.end_of_inspection(inspection_id)
        assert due_at is not None
        child = await workflow.start_child_workflow(
            Inspection.run,
            InspectionStart(
                inspection_id=inspection_id,
                lot_id=self.start.lot_id,
                due_at=due_at,
                title=self.start.title,
            ),
            id=inspection_workflow_id(inspection_id),
            parent_close_policy=ParentClosePolicy.ABANDON,
            static_summary=f"Inspection: {self.start.title}",
            search_attributes=start_attributes("lot", self.initiator, self.start.currency),
        )
        told: datetime | None = due_at
        while not await self.is_decided(child, inspection_id, told):
            told = self.time_left(inspection_id)
            # It may have been decided meanwhile.
            with suppress(ApplicationError):
                await child.signal(Inspection.timed, InspectionTime(due_at=told))
        return await child

    async def is_decided(
        self,
        child: workflow.ChildWorkflowHandle[Inspection, InspectionOutcome],
        inspection_id: str,
        told: datetime | None,
    ) -> bool:
        """Waits until the inspection has ended: True; False when its time is not any more what it was told."""
        await workflow.wait_condition(lambda: child.done() or self.time_left(inspection_id) != told)
        return child.done()

    def end_of_inspection(self, inspection_id: str) -> datetime | None:
        """Until when the inspection can be decided; None when the lot does not wait for it."""
        timers = self.standing.deadlines if self.standing else ()
        return next((each.due_at for each in timers if each.subject == inspection_id), None)

    def time_left(self, inspection_id: str) -> datetime | None:
        """The same; None while the lot stands still."""
        return None if self.paused else self.end_of_inspection(inspection_id)

    async def hold_vote(self, asked: LotNews) -> None:
        """Three peers vote on an appeal; if it is ruled on meanwhile nobody needs their vote.

        A jury that decides nothing leaves the appeal to operators, and to the end of their time.
        """
        ballot = await self.begun_vote(asked)
        if ballot is None:
            return
        await workflow.wait_condition(lambda: ballot.done() or not self.stands_in(Phase.APPEALED))
        if not ballot.done():
            ballot.cancel()
        outcome: BallotOutcome | None = None
        # A vote that operators have terminated has decided nothing.
        with suppress(ChildWorkflowError):
            outcome = await ballot
        if outcome is not None and outcome.decided:
            granted = asked.rejected if outcome.ranking[:1] == (GRANT,) else 0
            await self.bring_about(
                Event.RULED,
                act=LotAct(actor="jury", granted=granted),
                over=lambda: not self.stands_in(Phase.APPEALED),
            )

    async def begun_vote(
        self, asked: LotNews
    ) -> workflow.ChildWorkflowHandle[Ballot, BallotOutcome] | None:
        """The jurors' vote, begun; None when the appeal was decided before it could be."""
        assert asked.ballot_id is not None
        while self.stands_in(Phase.APPEALED):
            try:
                return await workflow.start_child_workflow(
                    Ballot.run,
                    BallotStart(
                        ballot_id=asked.ballot_id,
                        terms=asked.jury,
                        initiator_id=self.initiator,
                        parent_path_id=self.start.lot_id,
                    ),
                    id=ballot_workflow_id(asked.ballot_id),
                    parent_close_policy=ParentClosePolicy.ABANDON,
                    static_summary=f"Jury: {self.title}"[:200],
                    search_attributes=start_attributes("ballot", self.initiator, "XXX"),
                )
            except WorkflowAlreadyStartedError:
                await self.ask_operator(
                    f"The jury of {self.title} cannot be asked: another story runs as {asked.ballot_id}",
                    over=lambda: not self.stands_in(Phase.APPEALED),
                )
        return None

    def waits_for_inspection(self, inspection_id: str) -> bool:
        """Whether the lot stands where this inspection decides."""
        return self.stands_in(Phase.INSPECTING) and self.news_of_lot.inspection_id == inspection_id

    async def without_payment(self, event: Event, act: LotAct) -> Standing:
        """An act after which nobody waits for the deposit any more."""
        standing = await self.act(event, act)
        await self.withdraw(act.actor, act.note)
        return standing

    async def transition(self, event: str, act: LotAct, subject: str = "") -> Standing:
        """One transition; the deposit that it asks for is collected beside the story."""
        if event in (Event.KIT_SENT, Event.GOODS_SENT):
            # What a carrier says from now on is about this parcel.
            self.carrier_said = None
        standing = await super().transition(event, act, subject)
        for collection in standing.collections:
            self.errands.append(asyncio.create_task(self.collect_patiently(collection)))
        return standing

    async def heed_cancellation(self) -> None:
        """An operator who cancels the workflow ends a lot whose materials were not sent, and a deposit not paid yet."""
        await super().heed_cancellation()
        if self.stands_in(*FINAL):
            await self.withdraw("operator")

    async def commit(
        self, event: str, act: LotAct, key: str, at: datetime, subject: str
    ) -> Standing:
        return await workflow.execute_activity_method(
            Lots.move,
            LotStep(
                lot_id=self.start.lot_id,
                key=key,
                event=Event(event),
                act=act,
                at=at,
                subject=subject,
            ),
            summary=event.replace("_", " ").capitalize(),
            **MONEY,
        )

    def allow(self, phase: str, event: str) -> None:
        require_event(phase, event)

    def nobody(self, actor: str) -> LotAct:
        return LotAct(actor=actor)

    def called_off_by_operators(self) -> str | None:
        return Event.CALLED_OFF if self.phase in BEFORE_KIT else None

    @property
    def news_of_lot(self) -> LotNews:
        """What is to be seen to besides timers and payments."""
        if self.standing is None or self.standing.details is None:
            return LotNews()
        return LotNews.model_validate(self.standing.details)
