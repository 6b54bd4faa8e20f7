"""What a campaign's story does with all of its pledges: runs side by side, one for each part of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from temporalio import workflow
from temporalio.exceptions import ChildWorkflowError, WorkflowAlreadyStartedError
from temporalio.workflow import ParentClosePolicy

with workflow.unsafe.imports_passed_through():
    from domain.campaign import GIVES_BACK, Phase
    from domain.campaign_messages import CampaignAct, CampaignStart, Progress, RunCase, RunGoal
    from domain.policy import CampaignPolicy
    from runtime.temporal import start_attributes
    from workflows.following import uninterrupted
    from workflows.names import pledge_run_workflow_id
    from workflows.pledge_run import PledgeRun
    from workflows.story import Story

_RUNS_IN = {
    RunGoal.CLOSE: frozenset({Phase.CLOSING}),
    RunGoal.COLLECT: frozenset({Phase.COLLECTING}),
    RunGoal.CLOSE_SLOW: frozenset({Phase.WAITING_FUNDS}),
    RunGoal.GIVE_BACK: GIVES_BACK,
}
"""Phases in which somebody needs what a run does."""
_IN_WORDS = {
    RunGoal.CLOSE: "Settle what was begun in time",
    RunGoal.COLLECT: "Charge saved cards",
    RunGoal.CLOSE_SLOW: "Settle transfers",
    RunGoal.GIVE_BACK: "Give everything back",
}


class StoryWithRuns(Story[CampaignAct]):
    """A story that has something done with every pledge of its campaign, and goes on hearing people meanwhile."""

    def __init__(self, start: CampaignStart) -> None:
        super().__init__()
        self.start = start
        self.policy = CampaignPolicy()
        self.rounds = 0
        """How often pledging has ended."""
        self.runs: dict[str, workflow.ChildWorkflowHandle[PledgeRun, Progress]] = {}

    async def run_all(self, goal: RunGoal) -> None:
        """Brings every pledge one step further, in parts side by side, until none is left or nobody needs it any more."""
        over = self.has_left(*_RUNS_IN[goal])
        parts = [
            asyncio.create_task(self.run_part(goal, shard, over))
            for shard in range(self.policy.run_shards)
        ]
        while not _all_done(parts):
            try:
                await workflow.wait_condition(lambda: _all_done(parts) or over())
            except asyncio.CancelledError:
                await self.heed_cancellation()
                continue
            if over():
                for run in list(self.runs.values()):
                    run.cancel()
                await uninterrupted(asyncio.gather(*parts))
        for part in parts:
            part.result()

    async def run_part(self, goal: RunGoal, shard: int, over: Callable[[], bool]) -> None:
        """One part of the pledges; a run that fails is shown to operators and begun again when they have mended it."""
        so_far: Progress | None = None
        tries = 0
        while not over():
            try:
                so_far = await self.run_once(goal, shard, so_far)
            except (ChildWorkflowError, WorkflowAlreadyStartedError) as failed:
                if not over():
                    why = failed.cause or failed
                    await self.ask_operator(f"{_IN_WORDS[goal]}: {why}", over=over)
                continue
            if not so_far.left:
                return
            await self.wait_before_again(tries, over)
            tries += 1

    async def run_once(self, goal: RunGoal, shard: int, so_far: Progress | None) -> Progress:
        """One run over one part of the pledges. Raises ChildWorkflowError."""
        run_id = pledge_run_workflow_id(self.start.campaign_id, goal, self.rounds, shard)
        run = await workflow.start_child_workflow(
            PledgeRun.run,
            RunCase(
                campaign_id=self.start.campaign_id,
                goal=goal,
                shard=shard,
                shards=self.policy.run_shards,
                title=self.start.title,
                so_far=so_far,
                poll=self.policy.poll,
                silence_seconds=self.policy.provider_silence_seconds,
            ),
            id=run_id,
            parent_close_policy=ParentClosePolicy.ABANDON,
            static_summary=f"{_IN_WORDS[goal]}: {self.title}"[:200],
            search_attributes=start_attributes("campaign", self.initiator, "XXX"),
        )
        self.runs[run_id] = run
        try:
            return await run
        finally:
            del self.runs[run_id]

    async def wait_before_again(self, tries: int, over: Callable[[], bool]) -> None:
        """A pause before the same is tried again, longer each time; none when it is over."""
        try:
            await workflow.wait_condition(
                over, timeout=self.policy.poll.wait(tries), timeout_summary="Try again"
            )
        except TimeoutError:
            return
        except asyncio.CancelledError:
            await self.heed_cancellation()

    def has_left(self, *phases: str) -> Callable[[], bool]:
        """A condition that becomes true when the campaign stands in none of these phases."""
        return lambda: not self.stands_in(*phases)


def _all_done(parts: Sequence[asyncio.Task[None]]) -> bool:
    return all(part.done() for part in parts)
