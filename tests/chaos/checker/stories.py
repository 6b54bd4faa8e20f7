"""What Temporal says: whoever is open is being worked on or waits for somebody, and nothing has ended badly."""

from __future__ import annotations

import psycopg
from temporalio.api.enums.v1 import EventType
from temporalio.client import (
    Client,
    WorkflowExecutionStatus,
    WorkflowFailureError,
    WorkflowHandle,
)

from tests.chaos.checker.books import Books, Path
from tests.chaos.checker.found import Difference

_ENDED_BADLY = "ExecutionStatus IN ('Failed', 'Terminated', 'TimedOut', 'Canceled')"
_UNFINISHED = """
    SELECT 'path ' || id || ' is ' || phase FROM paths WHERE closed_at IS NULL
    UNION ALL SELECT 'refund ' || id || ' is ' || status FROM refunds
        WHERE status NOT IN ('succeeded', 'credited')
    UNION ALL SELECT 'payout ' || id || ' is ' || status FROM payouts
        WHERE status NOT IN ('paid', 'failed', 'returned', 'cancelled')
    UNION ALL SELECT 'chargeback ' || id || ' is ' || status FROM chargebacks
        WHERE status IN ('open', 'under_review')
    UNION ALL SELECT 'webhook ' || event_id || ' waits' FROM webhook_inbox WHERE status = 'received'
    UNION ALL SELECT 'payment ' || id || ' is ' || status FROM payments
        WHERE status = 'captured' AND settled_at IS NULL
    ORDER BY 1
"""


def unfinished(url: str) -> list[str]:
    """What has not come to its end. Raises psycopg.OperationalError while the database is down."""
    with psycopg.connect(url, connect_timeout=5) as connection:
        return unfinished_on(connection)


def unfinished_on(connection: psycopg.Connection[tuple[object, ...]]) -> list[str]:
    """The same, as this connection sees it."""
    return [str(row[0]) for row in connection.execute(_UNFINISHED)]


async def check_stories(books: Books, client: Client) -> list[Difference]:
    """Open paths that nothing would ever move, and workflows that have ended badly."""
    found = []
    async for each in client.list_workflows(_ENDED_BADLY):
        if _matters(each.id, books):
            story = client.get_workflow_handle(each.id, run_id=each.run_id)
            found.append(Difference("story ended badly", each.id, await _why(story)))
    # A path whose money a bank has taken back after its end is open again, and followed with the payment.
    followed = {each.path_id: f"chargeback-{each.payment_id}" for each in books.chargebacks}
    for path in books.paths:
        if not path.is_closed:
            stuck = await _stuck(client.get_workflow_handle(path.workflow_id), path)
            if stuck and path.id in followed:
                stuck = await _stuck(client.get_workflow_handle(followed[path.id]), path)
            found += stuck
    return found


def _matters(workflow_id: str, books: Books) -> bool:
    """Not a question that got no answer in time, and not a wish that was refused before anything was made."""
    kind, _, subject = workflow_id.partition("-")
    if kind == "preview":
        return False
    made = {path.id for path in books.paths} | {payment.id for payment in books.payments}
    made |= {refund.id for refund in books.refunds} | {payout.id for payout in books.payouts}
    return subject in made or "_" not in subject


async def _why(story: WorkflowHandle[object, object]) -> str:
    """What it ended with, down to the cause."""
    try:
        await story.result(follow_runs=False)
    except WorkflowFailureError as failed:
        words = []
        cause: BaseException | None = failed.cause
        while cause is not None:
            words.append(f"{type(cause).__name__}: {cause}")
            cause = cause.__cause__
        return "; ".join(words)
    return "it has ended well after all"


async def _stuck(story: WorkflowHandle[object, object], path: Path) -> list[Difference]:
    described = await story.describe()
    if described.status is not WorkflowExecutionStatus.RUNNING:
        status = described.status and described.status.name
        return [Difference("path without a story", path.id, f"{path.phase}, story {status}")]
    raw = described.raw_description
    busy = len(raw.pending_activities) + len(raw.pending_children)
    if busy or raw.HasField("pending_workflow_task") or path.waits or await _timers(story):
        return []
    return [Difference("path waits for nothing", path.id, f"it is {path.phase}")]


async def _timers(story: WorkflowHandle[object, object]) -> int:
    """How many timers of the story have not fired yet."""
    pending = 0
    async for event in story.fetch_history_events():
        if event.event_type == EventType.EVENT_TYPE_TIMER_STARTED:
            pending += 1
        if event.event_type in (
            EventType.EVENT_TYPE_TIMER_FIRED,
            EventType.EVENT_TYPE_TIMER_CANCELED,
        ):
            pending -= 1
    return pending
