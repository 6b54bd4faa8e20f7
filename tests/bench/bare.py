"""A workflow that has as many steps as a path's has, and nothing in them."""

from __future__ import annotations

import asyncio

from temporalio import activity, workflow

with workflow.unsafe.imports_passed_through():
    from activities.options import MONEY, STATUS
    from domain.model import Message


class Work(Message):
    """What follows one prompt."""

    activities: int
    local_activities: int
    timers: int


@activity.defn
async def nothing(step: int) -> int:
    """What is left of an activity without its work."""
    return step


@workflow.defn
class Bare:
    """As many steps as a path's workflow has, and nothing in them."""

    @workflow.init
    def __init__(self, prompts: int) -> None:
        self.left = prompts
        self.todo: list[Work] = []

    @workflow.run
    async def run(self, prompts: int) -> None:
        while self.left or self.todo:
            await workflow.wait_condition(lambda: bool(self.todo) or not self.left)
            while self.todo:
                await self.do(self.todo.pop(0))
                self.left -= 1
        await workflow.wait_condition(workflow.all_handlers_finished)

    @workflow.update
    async def ask(self, work: Work) -> None:
        """Work that somebody waits for."""
        await self.do(work)
        self.left -= 1

    @workflow.signal
    def tell(self, work: Work) -> None:
        """Work that nobody waits for."""
        self.todo.append(work)

    async def do(self, work: Work) -> None:
        """Timers are left running, as a path's alarm is."""
        self.running = [asyncio.create_task(workflow.sleep(86_400)) for _ in range(work.timers)]
        for step in range(work.local_activities):
            await workflow.execute_local_activity(nothing, step, **STATUS)
        for step in range(work.activities):
            await workflow.execute_activity(nothing, step, **MONEY)
