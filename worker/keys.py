"""`python -m worker.keys`: which payload keys workflows still need, so that an old key can be taken away.

Reads every history that is asked for, so it takes a while where there are many; needs no keys itself.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter

from temporalio.client import Client, WorkflowExecution
from temporalio.service import RPCError, RPCStatusCode

from runtime.codec import keys_in
from runtime.leaving import leave
from runtime.settings import Settings, settings
from runtime.temporal import connect

IN_CLEAR = "(in clear)"
_RUNNING = "ExecutionStatus = 'Running'"
_AT_ONCE = 20


async def needed(client: Client, task_queue: str, *, closed_too: bool = False) -> Counter[str]:
    """Key id -> how many workflows of the task queue hold payloads under it; IN_CLEAR for payloads that are not encrypted.

    Only running ones, unless those that have ended and are still kept count too: the UI cannot show them without theirs.
    """
    query = f"TaskQueue = '{task_queue}'" + ("" if closed_too else f" AND {_RUNNING}")
    found: Counter[str] = Counter()
    waiting: set[asyncio.Task[set[str]]] = set()
    async for each in client.list_workflows(query):
        waiting.add(asyncio.create_task(_keys_of(client, each)))
        if len(waiting) >= _AT_ONCE:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            found.update(key for task in done for key in task.result())
    for keys in await asyncio.gather(*waiting):
        found.update(keys)
    return found


async def _keys_of(client: Client, execution: WorkflowExecution) -> set[str]:
    handle = client.get_workflow_handle(execution.id, run_id=execution.run_id)
    try:
        return {
            key or IN_CLEAR
            async for event in handle.fetch_history_events()
            for key in keys_in(event)
        }
    except RPCError as gone:
        if gone.status is RPCStatusCode.NOT_FOUND:  # removed between the list and the look
            return set()
        raise


async def main(settings: Settings, closed_too: bool) -> None:
    """Prints a line for each key, and for those of the settings that nothing needs."""
    client = await connect(settings)
    found = await needed(client, settings.temporal_task_queue, closed_too=closed_too)
    for key in sorted({*found, *settings.payload_keys}):
        lacking = "" if key in settings.payload_keys or key == IN_CLEAR else "  NOT IN THE SETTINGS"
        print(f"{key}: {found[key]} workflows{lacking}")


if __name__ == "__main__":
    asyncio.run(main(settings(), "--closed" in sys.argv[1:]))
    leave()
