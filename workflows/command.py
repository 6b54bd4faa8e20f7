"""Command: what an operator proposes is shown, approved by a second one when it matters, and done; or it lapses."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError
from temporalio.workflow import ParentClosePolicy

with workflow.unsafe.imports_passed_through():
    from activities.command_steps import Commands
    from activities.options import COUNT, MONEY
    from domain.cases import RefundCase
    from domain.commands import (
        ENDED,
        BulkDone,
        BulkStart,
        BulkStep,
        CommandAct,
        CommandStanding,
        CommandStart,
        CommandState,
        CommandStep,
        CommandVerb,
        Executed,
        Tell,
    )
    from domain.errors import DomainError
    from domain.money import format_money
    from runtime.temporal import start_attributes
    from workflows.following import Attended, reason_of, uninterrupted
    from workflows.names import bulk_workflow_id, refund_workflow_id
    from workflows.refund import Refund


async def see_to(executed: Executed) -> None:
    """Tells the path's story what has happened to its rows, and follows the refunds that no path does."""
    refunds = executed.refunds
    if executed.tell is Tell.LOOK:
        story = workflow.get_external_workflow_handle(executed.workflow_id)
        # A story that has ended has nothing to look at any more.
        with suppress(ApplicationError):
            await uninterrupted(story.signal(executed.tell))
    if executed.tell is not Tell.NOTHING and executed.standing is not None:
        story = workflow.get_external_workflow_handle(executed.workflow_id)
        try:
            await uninterrupted(story.signal(executed.tell, executed.standing))
        except ApplicationError:
            # The path's story has ended: nobody else would follow its refunds.
            refunds += executed.standing.refunds
    for case in refunds:
        await _follow(case)


async def _follow(case: RefundCase) -> None:
    await workflow.start_child_workflow(
        Refund.run,
        case,
        id=refund_workflow_id(case.refund_id),
        parent_close_policy=ParentClosePolicy.ABANDON,
        static_summary=f"Refund of {format_money(case.amount, case.currency)}",
        search_attributes=start_attributes("refund", "operators", case.currency),
    )


@workflow.defn(name="Command", failure_exception_types=[DomainError])
class Command(Attended):
    """One command of operators."""

    @workflow.init
    def __init__(self, start: CommandStart) -> None:
        super().__init__()
        self.start = start
        self.standing: CommandStanding | None = None
        self.refusal: ApplicationError | None = None
        self.one_at_a_time = asyncio.Lock()

    @workflow.run
    async def run(self, start: CommandStart) -> CommandState | None:
        try:
            self.standing = await uninterrupted(
                workflow.execute_activity_method(
                    Commands.propose,
                    start,
                    summary=f"Show what {start.order.kind} would do",
                    **COUNT,
                )
            )
        except ActivityError as refused:
            self.refusal = reason_of(refused)
            await workflow.wait_condition(workflow.all_handlers_finished)
            return None
        await self.decision(self.standing.lapses_at)
        await workflow.wait_condition(workflow.all_handlers_finished)
        if self.standing.executed is not None:
            await see_to(self.standing.executed)
        if self.standing.bulk:
            await self.every_path()
        return self.standing.state

    async def decision(self, lapses_at: datetime) -> None:
        """Somebody executes or rejects it in time, or it is void."""
        try:
            await workflow.wait_condition(
                lambda: self.decided,
                timeout=max(lapses_at - workflow.now(), timedelta()),
                timeout_summary=f"{self.start.order.kind} lapses",
            )
        except TimeoutError:
            async with self.one_at_a_time:
                if not self.decided:
                    await self.step(CommandVerb.LAPSE, CommandAct())

    async def every_path(self) -> None:
        """Its own story goes through the paths, however many there are."""
        start = BulkStart(
            command_id=self.start.command_id,
            by=self.start.by,
            policy=self.start.policy,
        )
        await uninterrupted(
            workflow.execute_child_workflow(
                BulkCommand.run,
                start,
                id=bulk_workflow_id(start.command_id),
                parent_close_policy=ParentClosePolicy.ABANDON,
                static_summary=f"Bulk {start.command_id}",
            )
        )

    @property
    def decided(self) -> bool:
        """Whether nothing more can be decided about it."""
        known = self.standing
        return known is not None and (known.state in ENDED or known.bulk)

    @workflow.update
    async def proposed(self) -> CommandStanding:
        """What it would do can be read, or it is refused."""
        return await self.ready()

    async def ready(self) -> CommandStanding:
        """Waits until it has been rehearsed."""
        await workflow.wait_condition(lambda: self.standing is not None or self.refusal is not None)
        if self.refusal is not None:
            raise self.refusal
        assert self.standing is not None
        return self.standing

    @workflow.update
    async def approve(self, act: CommandAct) -> CommandStanding:
        """A second operator agrees to what they were shown."""
        return await self.act(CommandVerb.APPROVE, act)

    @workflow.update
    async def reject(self, act: CommandAct) -> CommandStanding:
        """Somebody does not want it, the proposer among them."""
        return await self.act(CommandVerb.REJECT, act)

    @workflow.update
    async def rehearse(self, act: CommandAct) -> CommandStanding:
        """Things have moved: it is shown anew."""
        return await self.act(CommandVerb.REHEARSE, act)

    @workflow.update
    async def execute(self, act: CommandAct) -> CommandStanding:
        """It is done as it was shown."""
        return await self.act(CommandVerb.EXECUTE, act)

    async def act(self, verb: CommandVerb, act: CommandAct) -> CommandStanding:
        """Somebody's act, one at a time."""
        await self.ready()
        async with self.one_at_a_time:
            return await self.step(verb, act)

    async def step(self, verb: CommandVerb, act: CommandAct) -> CommandStanding:
        """One step, one activity."""
        step = CommandStep(
            command_id=self.start.command_id,
            verb=verb,
            act=act,
            at=workflow.now(),
            policy=self.start.policy,
        )
        run = Commands.execute if verb is CommandVerb.EXECUTE else Commands.decide
        try:
            done = await uninterrupted(
                workflow.execute_activity_method(
                    run, step, summary=f"{verb} {self.start.order.kind}", **MONEY
                )
            )
        except ActivityError as refused:
            raise reason_of(refused) from refused
        self.standing = done
        return done


@workflow.defn(name="BulkCommand", failure_exception_types=[DomainError])
class BulkCommand:
    """The paths of one bulk command, page by page."""

    @workflow.run
    async def run(self, start: BulkStart) -> None:
        after: int | None = start.after
        while after is not None:
            done = await self.page(start, after)
            for executed in done.executed:
                await see_to(executed)
            after = done.last
            if after is not None and workflow.info().is_continue_as_new_suggested():
                workflow.continue_as_new(start.model_copy(update={"after": after}))

    async def page(self, start: BulkStart, after: int) -> BulkDone:
        """The next paths."""
        step = BulkStep(
            command_id=start.command_id,
            by=start.by,
            after=after,
            at=workflow.now(),
            policy=start.policy,
        )
        return await uninterrupted(
            workflow.execute_activity_method(
                Commands.next_of_bulk, step, summary=f"Paths after number {after}", **COUNT
            )
        )
