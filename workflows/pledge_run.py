"""PledgeRun: something is done with every pledge of a campaign, in chunks of a few minutes, until nothing is left to do."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from temporalio import workflow
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    from activities.options import PLEDGES
    from activities.pledge_runs import PledgeRuns
    from domain.campaign_messages import Progress, RunCase, RunGoal
    from domain.errors import DomainError
    from domain.text import as_markdown
    from runtime.search_attributes import NEEDS_OPERATOR
    from workflows.following import Attended, reason_of, uninterrupted

CHUNKS_A_RUN = 100
"""Chunks after which the story goes on with a fresh history."""

_WORDS = {
    RunGoal.CLOSE: "Settling what backers have begun",
    RunGoal.CLOSE_SLOW: "Settling slow payments",
    RunGoal.COLLECT: "Charging saved cards",
    RunGoal.GIVE_BACK: "Giving everything back",
}


@workflow.defn(name="PledgeRun", failure_exception_types=[DomainError])
class PledgeRun(Attended):
    """One part of the pledges of one campaign."""

    @workflow.init
    def __init__(self, case: RunCase) -> None:
        super().__init__()
        self.case = case
        self.so_far = case.so_far or Progress()
        self.moved_at = workflow.now()
        self.idle = 0

    @workflow.run
    async def run(self, case: RunCase) -> Progress:
        self.tell()
        chunks = 0
        while not await self.chunk():
            chunks += 1
            if chunks == CHUNKS_A_RUN:
                workflow.continue_as_new(case.model_copy(update={"so_far": self.so_far}))
        return self.so_far

    @workflow.query
    def progress(self) -> Progress:
        """How far it is, with everything that former runs have done."""
        return self.so_far

    async def chunk(self) -> bool:
        """A few minutes' work; while nothing moves it comes by at growing distance. True when nothing is left."""
        self.news = False
        try:
            found = await uninterrupted(
                workflow.execute_activity_method(
                    PledgeRuns.run,
                    self.case.model_copy(update={"so_far": self.so_far}),
                    summary=f"{_WORDS[self.case.goal]}: {self.so_far.left or 'all'} left",
                    **PLEDGES,
                )
            )
        except ActivityError as failed:
            await self.ask_operator(f"{_WORDS[self.case.goal]}: {reason_of(failed).message}")
            return False
        self.so_far = found.model_copy(
            update={
                "done": self.so_far.done + found.done,
                "failed": self.so_far.failed + found.failed,
            }
        )
        if found.left == 0:
            self.calm()
            self.tell()
            return True
        await self.pause(moved=bool(found.done or found.failed))
        return False

    async def pause(self, *, moved: bool) -> None:
        """None while something moves; else longer each time, and after a while operators are called."""
        if moved:
            self.idle = 0
            self.moved_at = workflow.now()
            self.calm()
            self.tell()
            return
        wait = self.case.poll.wait(self.idle)
        self.idle += 1
        self.tell()
        if (workflow.now() - self.moved_at).total_seconds() >= self.case.silence_seconds:
            self.call_operators()
        # Cancelling the story cannot stop the provider: it goes on until every pledge has its money somewhere.
        with suppress(TimeoutError, asyncio.CancelledError):
            await workflow.wait_condition(
                lambda: self.news, timeout=wait, timeout_summary="Come by again"
            )

    def call_operators(self) -> None:
        """Nothing has moved for long: somebody should see it, while the run goes on coming by."""
        workflow.set_current_details(
            f"**Nothing moves**\n\n{self.words()}\n\nThe payment company does not answer, or says something else than "
            "our books: see the log of the worker. The run comes by again; the signal `wake` makes it do so now."
        )
        if not self.overdue:
            self.overdue = True
            workflow.upsert_search_attributes([NEEDS_OPERATOR.value_set(True)])

    def calm(self) -> None:
        """It moves after all."""
        if self.overdue:
            self.overdue = False
            workflow.upsert_search_attributes([NEEDS_OPERATOR.value_set(False)])

    def tell(self) -> None:
        """For the operators' eyes."""
        workflow.set_current_details(self.words())

    def words(self) -> str:
        """How far it is."""
        case, so_far = self.case, self.so_far
        part = f", part {case.shard + 1} of {case.shards}" if case.shards > 1 else ""
        left = (
            f"\n- about {so_far.seconds_left // 60} minutes at {so_far.per_second} calls a second"
        )
        return (
            f"**{_WORDS[case.goal]}: {as_markdown(case.title or case.campaign_id)}{part}**\n\n"
            f"- {so_far.done} done\n- {so_far.failed} with a story of their own\n- {so_far.left} left"
            f"{left if so_far.per_second and so_far.left else ''}"
        )
