"""Production order 生产众包: a requester pays all wages in, and makers take units of it on as lots.

funding -> published -> closing -> completed; not paid, or called off before -> cancelled. Lots are paths of their own
(domain.lot) that this story does not hear of, but for one word when the last of them is over: its history stays short
however many there are. The legal transitions are domain.production.TRANSITIONS.
"""

from __future__ import annotations

from datetime import datetime

from temporalio import workflow
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from activities.options import MONEY
    from activities.productions import Productions
    from domain.errors import DomainError, Forbidden, WrongPhase
    from domain.path import Standing
    from domain.production import Event, Phase, require_event
    from domain.production_messages import (
        ProductionAct,
        ProductionEnd,
        ProductionStart,
        ProductionStep,
    )
    from workflows.story import Story


@workflow.defn(name="Production", failure_exception_types=[DomainError])
class Production(Story[ProductionAct]):
    """One production order of one requester."""

    @workflow.init
    def __init__(self, start: ProductionStart) -> None:
        super().__init__()
        self.start = start
        self.initiator = start.requester_id

    @workflow.run
    async def run(self, start: ProductionStart) -> ProductionEnd:
        await self.publication()
        if self.standing is None and self.refusal is not None:
            # A story that has failed leaves the draft to the next one.
            raise self.refusal
        await self.wages()
        await self.claims()
        await self.last_lots()
        await self.withdraw("system", "the order is over")
        await self.run_errands()
        assert self.phase is not None
        refusal = self.refusal.message if self.refusal else None
        return ProductionEnd(phase=self.phase, refusal=refusal)

    # The story, phase by phase.

    async def publication(self) -> None:
        """The terms are fixed and the requester is shown where to pay the wages in."""
        await workflow.wait_condition(lambda: self.standing is not None or self.refusal is not None)

    async def wages(self) -> None:
        """The requester pays all wages in, or the order is never published: no maker pays a deposit before that."""
        await self.stay_in(Phase.FUNDING)

    async def claims(self) -> None:
        """Makers claim lots, until the time is over, the requester stops it or everything is made."""
        await self.stay_in(Phase.PUBLISHED)

    async def last_lots(self) -> None:
        """Lots that run are finished; what is left of the wages then goes back to the requester."""
        await self.stay_in(Phase.CLOSING)

    # What people and other stories do.

    @workflow.signal
    async def lots_over(self) -> None:
        """No lot runs any more and none can be claimed, says the lot that ended last."""
        await self.bring_about(Event.LOTS_OVER, over=lambda: self.over)

    @workflow.update
    async def fund(self, act: ProductionAct) -> Standing:
        """The requester wants to pay the wages in: where to pay is ready, or the order does not begin."""
        try:
            async with self.one_at_a_time:
                standing = await self.transition(Event.FUNDING_ASKED, act)
            for collection in standing.collections:
                await self.collect(collection)
        except ApplicationError as refused:
            self.refusal = refused
            raise
        return standing

    @workflow.update
    async def cancel(self, act: ProductionAct) -> Standing:
        """Called off: by the requester before it is paid, by operators later as well."""
        standing = await self.act(Event.CANCELLED, act)
        await self.withdraw(act.actor, act.note)
        return standing

    @workflow.update
    async def stop(self, act: ProductionAct) -> Standing:
        """The requester wants nothing more to be claimed."""
        return await self.act(Event.CLAIMS_STOPPED, act)

    @fund.validator
    def _can_fund(self, act: ProductionAct) -> None:
        if self.standing is not None or self.refusal is not None:
            raise WrongPhase("the wages have been asked for already", field="phase")

    @cancel.validator
    def _can_cancel(self, act: ProductionAct) -> None:
        self.require(Event.CANCELLED, act)
        if self.stands_in(Phase.PUBLISHED) and act.actor != "operator":
            raise Forbidden(
                "an order that is paid is stopped, not called off", accepted="stop, or an operator"
            )

    @stop.validator
    def _can_stop(self, act: ProductionAct) -> None:
        self.require(Event.CLAIMS_STOPPED, act)

    # How it is done.

    async def heed_cancellation(self) -> None:
        """An operator who cancels the workflow stops the claims, and calls off wages that are not paid yet."""
        await super().heed_cancellation()
        if self.stands_in(Phase.CANCELLED):
            await self.withdraw("operator")

    async def commit(
        self, event: str, act: ProductionAct, key: str, at: datetime, subject: str
    ) -> Standing:
        return await workflow.execute_activity_method(
            Productions.move,
            ProductionStep(
                order_id=self.start.order_id,
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

    def nobody(self, actor: str) -> ProductionAct:
        return ProductionAct(actor=actor)

    def called_off_by_operators(self) -> str | None:
        return Event.CANCELLED if self.stands_in(Phase.FUNDING, Phase.PUBLISHED) else None
