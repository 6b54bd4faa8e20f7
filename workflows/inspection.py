"""Inspection 检验: somebody looks at the goods of a lot and decides; silence accepts everything.

What is found on each unit are rows and never comes here. A full look after a failed sample is the same story, within
the same time. The lot's story follows this one and acts on its outcome.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

with workflow.unsafe.imports_passed_through():
    from activities.inspections import Inspections
    from activities.options import MONEY
    from domain.errors import DomainError, TooLate, WrongPhase
    from domain.ids import step_key
    from domain.inspection import reminders
    from domain.production_messages import (
        InspectionAct,
        InspectionOutcome,
        InspectionStart,
        InspectionStep,
    )
    from domain.text import as_markdown
    from workflows.following import Attended, in_words, reason_of, uninterrupted


@workflow.defn(name="Inspection", failure_exception_types=[DomainError])
class Inspection(Attended):
    """One look at the goods of one lot."""

    @workflow.init
    def __init__(self, start: InspectionStart) -> None:
        super().__init__()
        self.start = start
        self.outcome: InspectionOutcome | None = None
        self.one_at_a_time = asyncio.Lock()
        self.steps = 0

    @workflow.run
    async def run(self, start: InspectionStart) -> InspectionOutcome:
        self.tell()
        for moment in reminders(workflow.now(), start.due_at):
            if await self.is_silent_until(moment, "reminder"):
                await self.remind()
        if await self.is_silent_until(start.due_at, "inspection ends"):
            await self.lapse()
        await workflow.wait_condition(workflow.all_handlers_finished)
        assert self.outcome is not None
        return self.outcome

    # The story.

    async def remind(self) -> None:
        """The inspector is reminded of what silence does."""
        await uninterrupted(
            workflow.execute_activity_method(
                Inspections.remind,
                self.step(InspectionAct(actor="system"), "reminded"),
                summary="Remind the inspector",
                **MONEY,
            )
        )

    async def lapse(self) -> None:
        """Nobody has decided: everything is accepted."""
        while self.outcome is None:
            try:
                await self.decided(InspectionAct(actor="system"), lapsed=True)
            except ApplicationError as refused:
                await self.ask_operator(
                    f"The end of the inspection of {self.start.title}: {refused.message}"
                )

    @workflow.update
    async def decide(self, act: InspectionAct) -> InspectionOutcome:
        """The inspector decides."""
        return await self.decided(act)

    @decide.validator
    def _can_decide(self, act: InspectionAct) -> None:
        self.require_undecided()
        if workflow.now() >= self.start.due_at:
            raise TooLate(
                "the time for the inspection is over",
                accepted=f"before {self.start.due_at.isoformat()}",
            )

    # How it is done.

    async def decided(self, act: InspectionAct, *, lapsed: bool = False) -> InspectionOutcome:
        """One decision, one activity, one transaction."""
        async with self.one_at_a_time:
            if lapsed and self.outcome is not None:
                return self.outcome
            self.require_undecided()
            step = self.step(act, "lapsed" if lapsed else "decided", lapsed=lapsed)
            try:
                self.outcome = await uninterrupted(
                    workflow.execute_activity_method(
                        Inspections.decide,
                        step,
                        summary="Nobody has decided: accept everything" if lapsed else "Decide",
                        **MONEY,
                    )
                )
            except ActivityError as refused:
                raise reason_of(refused) from refused
        return self.outcome

    def require_undecided(self) -> None:
        """Raises WrongPhase once there is a decision."""
        if self.outcome is not None:
            raise WrongPhase("the inspection is decided", field="phase", accepted="an appeal")

    async def is_silent_until(self, moment: datetime, what: str) -> bool:
        """Waits for a decision: True when there is none by then. An operator cannot cancel the inspector's time."""
        while True:
            try:
                await workflow.wait_condition(
                    lambda: self.outcome is not None,
                    timeout=max(moment - workflow.now(), timedelta()),
                    timeout_summary=f"{self.start.title}: {what} {in_words(moment)}",
                )
            except TimeoutError:
                return self.outcome is None
            except asyncio.CancelledError:
                continue
            return False

    def step(self, act: InspectionAct, what: str, *, lapsed: bool = False) -> InspectionStep:
        """What an activity is asked for."""
        self.steps += 1
        return InspectionStep(
            inspection_id=self.start.inspection_id,
            key=step_key(workflow.info().workflow_id, f"{self.steps}-{what}"),
            act=act,
            at=workflow.now(),
            lapsed=lapsed,
        )

    def tell(self) -> None:
        """What operators read while it waits."""
        workflow.set_current_details(
            f"**{as_markdown(self.start.title)}**\n\n- Waiting for: inspector: findings, then decide\n"
            f"- Until: {in_words(self.start.due_at)}\n"
            "- If nothing comes: everything is accepted and paid\n"
            f"- Lot {self.start.lot_id}"
        )
