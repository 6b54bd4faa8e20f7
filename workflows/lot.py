"""Lot 批次: a maker takes units of a production order on, gets the materials against a deposit, makes them at home, sends
them back, has them inspected and is paid.

sample -> sample_review -> kit_reserved -> kit_paid -> kit_shipped -> making -> return_shipped -> inspecting -> decided
-> settled; with rework and appeal in between. What never begins -> lapsed or cancelled, with the deposit back; nothing
ever sent -> abandoned; materials that are not as promised -> kit_contested; goods lost on their way -> lost. The legal
transitions are domain.lot.TRANSITIONS, what each of them does is domain.lot_moves.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import datetime

from temporalio import workflow
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from activities.lots import Lots
    from activities.options import MONEY
    from domain.errors import DomainError, WrongPhase
    from domain.lot import BEFORE_KIT, FINAL, Event, Phase, require_event
    from domain.lot_deadlines import scanned
    from domain.parcels import ParcelFact, ScanKind
    from domain.path import Standing
    from domain.production_messages import (
        LotAct,
        LotEnd,
        LotStart,
        LotStep,
    )
    from workflows.lot_looks import Judged

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
class Lot(Judged):
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
        """The maker makes, and says so now and then; long after the due date the lot counts as abandoned.

        Materials that are not as promised are contested first: operators decide, and without their word the lot is off.
        """
        await self.stay_in(Phase.MAKING, Phase.KIT_CONTESTED)

    async def way_back(self) -> None:
        """The goods come back; a parcel that nobody scans any more is lost, and silence about others is their arrival."""
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
    async def contest_kit(self, act: LotAct) -> Standing:
        """The maker says that the materials are not as promised."""
        return await self.act(Event.KIT_CONTESTED, act)

    @workflow.update
    async def admit_contest(self, act: LotAct) -> Standing:
        """The requester agrees, and sends another kit."""
        return await self.act(Event.CONTEST_ADMITTED, act)

    @workflow.update
    async def rule_kit(self, act: LotAct) -> Standing:
        """Operators say whether the materials are as promised."""
        return await self.act(Event.KIT_RULED, act)

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
    async def deny_goods(self, act: LotAct) -> Standing:
        """Goods that travel without a number have not come."""
        return await self.act(Event.GOODS_DENIED, act)

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

    @contest_kit.validator
    def _can_contest_kit(self, act: LotAct) -> None:
        self.require(Event.KIT_CONTESTED, act)

    @admit_contest.validator
    def _can_admit_contest(self, act: LotAct) -> None:
        self.require(Event.CONTEST_ADMITTED, act)

    @rule_kit.validator
    def _can_rule_kit(self, act: LotAct) -> None:
        self.require(Event.KIT_RULED, act)

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

    @deny_goods.validator
    def _can_deny_goods(self, act: LotAct) -> None:
        self.require(Event.GOODS_DENIED, act)

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
