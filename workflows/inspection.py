"""Inspection 检验: somebody looks at the goods of a lot and decides; silence accepts everything.

What is found on each unit are rows and never comes here. A full look after a failed sample is the same story, within
the same time. The lot's story follows this one and acts on its outcome; it also says when the lot stands still, as the
inspector's time does then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

with workflow.unsafe.imports_passed_through():
    from activities.inspections import Inspections
    from activities.options import MONEY
    from domain.errors import DomainError, WrongPhase
    from domain.ids import step_key
    from domain.inspection import reminders
    from domain.production_messages import (
        InspectionAct,
        InspectionOutcome,
        InspectionStart,
        InspectionStep,
        InspectionTime,
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
        self.due_at = start.due_at
        self.held = False
        """Whether the lot stands still, as far as is known here."""
        self.told = 0
        self.outcome: InspectionOutcome | None = None
        self.one_at_a_time = asyncio.Lock()
        self.steps = 0

    @workflow.run
    async def run(self, start: InspectionStart) -> InspectionOutcome:
        self.tell()
        for moment in reminders(workflow.now(), start.due_at):
            if await self.is_silent_until(start.due_at - moment, "reminder"):
                await self.remind()
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
        """Nobody decides in time: everything is accepted."""
        while await self.is_silent_until(timedelta(), "inspection ends"):
            try:
                await self.decided(InspectionAct(actor="system"), lapsed=True)
            except ApplicationError as refused:
                await self.ask_operator(
                    f"The end of the inspection of {self.start.title}: {refused.message}",
                    over=self.has_news(),
                )

    @workflow.update
    async def decide(self, act: InspectionAct) -> InspectionOutcome:
        """The inspector decides. The time for it is that of the books, whose news may be on its way here."""
        return await self.decided(act)

    @decide.validator
    def _can_decide(self, act: InspectionAct) -> None:
        self.require_undecided()

    @workflow.signal
    def timed(self, time: InspectionTime) -> None:
        """The lot stands still, or goes on with the time that was left."""
        self.told += 1
        self.held = time.due_at is None
        self.due_at = time.due_at or self.due_at
        self.tell()

    # How it is done.

    async def decided(self, act: InspectionAct, *, lapsed: bool = False) -> InspectionOutcome:
        """One decision, one activity, one transaction."""
        async with self.one_at_a_time:
            if lapsed and self.outcome is not None:
                return self.outcome
            self.require_undecided()
            step = self.step(act, "lapsed" if lapsed else "decided", lapsed=lapsed)
            told = self.told
            try:
                found = await uninterrupted(
                    workflow.execute_activity_method(
                        Inspections.decide,
                        step,
                        summary="Nobody has decided: accept everything" if lapsed else "Decide",
                        **MONEY,
                    )
                )
            except ActivityError as refused:
                raise reason_of(refused) from refused
            if found.decision is not None:
                self.outcome = found
            elif told == self.told:
                # What the lot's story has said meanwhile is newer than the books as they were read.
                self.timed(InspectionTime(due_at=found.due_at))
        return found

    def require_undecided(self) -> None:
        """Raises WrongPhase once there is a decision."""
        if self.outcome is not None:
            raise WrongPhase("the inspection is decided", field="phase", accepted="an appeal")

    async def is_silent_until(self, before: timedelta, what: str) -> bool:
        """Waits until so long before the end: True when nobody has decided by then.

        While the lot stands still it waits to be told, by its story or by operators. They cannot cancel the inspector's
        time.
        """
        while self.outcome is None:
            moment = self.due_at - before
            left = None if self.held else max(moment - workflow.now(), timedelta())
            try:
                await workflow.wait_condition(
                    self.has_news(),
                    timeout=left,
                    timeout_summary=f"{self.start.title}: {what} {in_words(moment)}",
                )
            except TimeoutError:
                return self.outcome is None
            except asyncio.CancelledError:
                continue
            if self.news:
                self.news = self.held = False
        return False

    def has_news(self) -> Callable[[], bool]:
        """A condition that becomes true with the decision, when the end moves, and when somebody wakes the story."""
        told = self.told
        return lambda: self.outcome is not None or self.told != told or self.news

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
        ends = in_words(self.due_at)
        until = "the lot goes on: the maker's bank has the deposit" if self.held else ends
        workflow.set_current_details(
            f"**{as_markdown(self.start.title)}**\n\n- Waiting for: inspector: findings, then decide\n"
            f"- Until: {until}\n"
            "- If nothing comes: everything is accepted and paid\n"
            f"- Lot {self.start.lot_id}"
        )
