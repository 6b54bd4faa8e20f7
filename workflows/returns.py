"""Return 退货: the buyer of a sale sends goods back, and gets the price, a part of it, or other goods.

asked -> agreed -> shipped -> received -> refunded | exchanging -> exchanged; an offer or a refusal in between, and whoever
falls silent, it ends. The legal transitions are domain.returns.TRANSITIONS. The sale goes on beside it with all that
nobody wants to send back.
"""

from __future__ import annotations

import asyncio
from datetime import datetime

from temporalio import workflow
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from activities.options import MONEY
    from activities.returns import Returns
    from domain.errors import DomainError, WrongPhase
    from domain.parcels import ParcelFact, ScanKind
    from domain.path import Standing
    from domain.returns import (
        Event,
        OpenReturn,
        Phase,
        ReturnAct,
        ReturnStep,
        can_follow,
        require_possible,
    )
    from workflows.story import Story


@workflow.defn(name="Return", failure_exception_types=[DomainError])
class Return(Story[ReturnAct]):
    """One return of one buyer."""

    @workflow.init
    def __init__(self, opening: OpenReturn) -> None:
        super().__init__()
        self.opening = opening
        self.initiator = opening.buyer_id
        self.called = "the return"

    @workflow.run
    async def run(self, opening: OpenReturn) -> str:
        await self.request()
        if self.standing is None and self.refusal is not None:
            raise self.refusal
        await self.answer()
        await self.way_back()
        await self.inspection()
        await self.offer()
        await self.refusal_of_the_seller()
        await self.exchange()
        await self.run_errands()
        assert self.phase is not None
        return self.phase

    # The story, phase by phase.

    async def request(self) -> None:
        """The buyer says what is to go back, and why."""
        await workflow.wait_condition(lambda: self.standing is not None or self.refusal is not None)

    async def answer(self) -> None:
        """The seller answers a claim; silence agrees. Without a reason nobody has to agree."""
        await self.stay_in(Phase.ASKED)

    async def way_back(self) -> None:
        """The buyer sends the goods, or leaves it; a parcel nobody scans any more is lost."""
        await self.stay_in(Phase.AGREED, Phase.SHIPPED)

    async def inspection(self) -> None:
        """The seller looks at what came back; silence accepts."""
        await self.stay_in(Phase.RECEIVED)

    async def offer(self) -> None:
        """The buyer thinks about a part of the price; silence takes it."""
        await self.stay_in(Phase.OFFERED)

    async def refusal_of_the_seller(self) -> None:
        """The buyer disputes a refusal in time, or leaves it."""
        await self.stay_in(Phase.REFUSED)

    async def exchange(self) -> None:
        """The seller sends other goods, or the price goes back; silence about them is content."""
        await self.stay_in(Phase.EXCHANGING, Phase.EXCHANGE_SENT)

    # What people and carriers do.

    @workflow.update
    async def open(self, act: ReturnAct) -> Standing:
        """The buyer asks."""
        async with self.one_at_a_time:
            try:
                return await self.transition(Event.OPENED, act)
            except ApplicationError as refused:
                if self.standing is None:
                    self.refusal = refused
                raise

    @workflow.update
    async def agree(self, act: ReturnAct) -> Standing:
        """The seller wants the goods back."""
        return await self.act(Event.AGREED, act)

    @workflow.update
    async def refund(self, act: ReturnAct) -> Standing:
        """The seller sends the price back, wherever the goods are."""
        return await self.act(Event.KEPT, act)

    @workflow.update
    async def offer_part(self, act: ReturnAct) -> Standing:
        """The seller offers a part of the price."""
        return await self.act(Event.PART_OFFERED, act)

    @workflow.update
    async def refuse(self, act: ReturnAct) -> Standing:
        """The seller refuses."""
        return await self.act(Event.REFUSED, act)

    @workflow.update
    async def ship(self, act: ReturnAct) -> Standing:
        """The buyer has sent the goods back, or handed them over in person."""
        return await self.act(Event.SHIPPED, act)

    @workflow.update
    async def accept(self, act: ReturnAct) -> Standing:
        """The seller accepts what came back."""
        return await self.act(Event.ACCEPTED, act)

    @workflow.update
    async def take(self, act: ReturnAct) -> Standing:
        """The buyer takes the part on offer."""
        return await self.act(Event.OFFER_TAKEN, act)

    @workflow.update
    async def reject(self, act: ReturnAct) -> Standing:
        """The buyer does not take it."""
        return await self.act(Event.OFFER_REJECTED, act)

    @workflow.update
    async def send_others(self, act: ReturnAct) -> Standing:
        """The seller has sent other goods."""
        return await self.act(Event.EXCHANGE_SENT, act)

    @workflow.update
    async def confirm(self, act: ReturnAct) -> Standing:
        """The buyer has the other goods."""
        return await self.act(Event.EXCHANGE_CONFIRMED, act)

    @workflow.update
    async def withdraw_return(self, act: ReturnAct) -> Standing:
        """The buyer has thought again."""
        return await self.act(Event.WITHDRAWN, act)

    @open.validator
    def _can_open(self, act: ReturnAct) -> None:
        if self.standing is not None or self.refusal is not None:
            raise WrongPhase("the return is open already", field="phase")

    @agree.validator
    def _can_agree(self, act: ReturnAct) -> None:
        self.require(Event.AGREED, act)

    @refund.validator
    def _can_refund(self, act: ReturnAct) -> None:
        self.require(Event.KEPT, act)

    @offer_part.validator
    def _can_offer_part(self, act: ReturnAct) -> None:
        self.require(Event.PART_OFFERED, act)

    @refuse.validator
    def _can_refuse(self, act: ReturnAct) -> None:
        self.require(Event.REFUSED, act)

    @ship.validator
    def _can_ship(self, act: ReturnAct) -> None:
        self.require(Event.SHIPPED, act)

    @accept.validator
    def _can_accept(self, act: ReturnAct) -> None:
        self.require(Event.ACCEPTED, act)

    @take.validator
    def _can_take(self, act: ReturnAct) -> None:
        self.require(Event.OFFER_TAKEN, act)

    @reject.validator
    def _can_reject(self, act: ReturnAct) -> None:
        self.require(Event.OFFER_REJECTED, act)

    @send_others.validator
    def _can_send_others(self, act: ReturnAct) -> None:
        self.require(Event.EXCHANGE_SENT, act)

    @confirm.validator
    def _can_confirm(self, act: ReturnAct) -> None:
        self.require(Event.EXCHANGE_CONFIRMED, act)

    @withdraw_return.validator
    def _can_withdraw(self, act: ReturnAct) -> None:
        self.require(Event.WITHDRAWN, act)

    @workflow.signal
    async def parcel(self, fact: ParcelFact) -> None:
        """The carrier reports that the parcel has arrived or is lost."""
        event = Event.DELIVERED if fact.kind is ScanKind.DELIVERED else Event.LOST
        self.errands.append(asyncio.create_task(self.carried(event)))

    async def carried(self, event: Event) -> None:
        """The carrier's word counts while the parcel is on its way."""
        if self.stands_in(Phase.SHIPPED):
            await self.bring_about(
                event, actor="carrier", over=lambda: not self.stands_in(Phase.SHIPPED)
            )

    # How it is done.

    async def commit(
        self, event: str, act: ReturnAct, key: str, at: datetime, subject: str
    ) -> Standing:
        return await workflow.execute_activity_method(
            Returns.move,
            ReturnStep(
                opening=self.opening,
                workflow_id=workflow.info().workflow_id,
                key=key,
                event=Event(event),
                act=act,
                at=at,
            ),
            summary=event.replace("_", " ").capitalize(),
            **MONEY,
        )

    def allow(self, phase: str, event: str) -> None:
        require_possible(phase, event)

    def is_behind(self, act: ReturnAct) -> bool:
        """Whether the books stand one phase further than this story: a scan shows there a moment before it is heard here."""
        if act.phase_seen is None or self.phase is None or self.over:
            return False
        return act.phase_seen != self.phase and can_follow(self.phase, act.phase_seen)

    def nobody(self, actor: str) -> ReturnAct:
        return ReturnAct(actor=actor)
