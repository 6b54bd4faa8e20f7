"""Looking for what is stuck, so that operators are called before anybody complains."""

from __future__ import annotations

from temporalio import activity
from temporalio.client import Client

from db.case_rows import end_case, open_case
from db.engine import Database
from db.queries import stuck
from domain.operator_cases import CaseKind
from domain.operator_policy import OperatorPolicy
from domain.stuck import WORDS, Looked, Stuck, Why

_MOST = 500
_ASKING = "NeedsOperator = true AND ExecutionStatus = 'Running'"
_ENDED_BADLY = "ExecutionStatus IN ('Failed', 'Terminated', 'TimedOut', 'Canceled')"


class StuckFinder:
    """Activities of the schedule that looks for what is stuck."""

    def __init__(
        self, database: Database, temporal: Client, task_queue: str, policy: OperatorPolicy
    ) -> None:
        self.database = database
        self.temporal = temporal
        self.task_queue = task_queue
        self.policy = policy

    @activity.defn(name="find_stuck")
    async def look(self) -> Looked:
        """A case for each thing that is stuck, one at a time; cases of what goes on again are ended."""
        asking = await self._workflows(_ASKING)
        ended = await self._workflows(_ENDED_BADLY)
        async with self.database.transaction() as session:
            found = {each.subject: each for each in await stuck.by_rows(session, _MOST)}
            paths = await stuck.of_stories(session, {*asking, *ended})
            before = set(await stuck.open_cases(session))
        for workflow_id in ended:
            if workflow_id in paths and workflow_id not in asking:
                found[workflow_id] = Stuck(
                    subject=workflow_id, why=Why.STORY_ENDED, path_id=paths[workflow_id]
                )
        for workflow_id in asking:
            path_id = paths.get(workflow_id)
            found.setdefault(workflow_id, Stuck(subject=workflow_id, why=Why.ASKS, path_id=path_id))
        for each in found.values():
            await self._open(each)
        recovered = before - found.keys()
        for subject in sorted(recovered):
            async with self.database.transaction() as session:
                await end_case(session, CaseKind.STUCK, subject, "goes_on")
        return Looked(stuck=len(found), recovered=len(recovered))

    async def _open(self, found: Stuck) -> None:
        async with self.database.transaction() as session:
            await open_case(
                session,
                CaseKind.STUCK,
                found.subject,
                summary=f"{found.subject}: {WORDS[found.why]}.",
                within_seconds=self.policy.sla_seconds,
                path_id=found.path_id,
                facts=found,
            )

    async def _workflows(self, query: str) -> list[str]:
        """Ids of this platform's workflows that answer the query, newest first; the latest run of each counts."""
        listed = self.temporal.list_workflows(
            f"TaskQueue = '{self.task_queue}' AND {query}", limit=_MOST
        )
        return [each.id async for each in listed]
