"""Prompts the payout schedule, where released money may leave at once."""

from __future__ import annotations

import structlog
from temporalio.client import Client
from temporalio.service import RPCError

log = structlog.get_logger()


def payout_schedule(task_queue: str) -> str:
    """Id of the schedule that gathers what is due per payee; each task queue has its own."""
    return f"{task_queue}-payouts"


async def gather_payouts(temporal: Client, task_queue: str) -> None:
    """Asks the payout schedule of this task queue to run now."""
    try:
        await temporal.get_schedule_handle(payout_schedule(task_queue)).trigger()
    except RPCError as missed:
        # The schedule comes round by itself; only the promptness is lost.
        log.warning("payout schedule not triggered", reason=str(missed))
