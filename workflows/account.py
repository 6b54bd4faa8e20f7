"""Freezing or limiting an account, or the end of it. Money moves, so it is a story, however short."""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.accounts import Accounts
    from activities.options import MONEY
    from domain.errors import DomainError
    from domain.people import AccountChange, AccountEvent
    from workflows.following import uninterrupted


@workflow.defn(name="ChangeAccount", failure_exception_types=[DomainError])
class ChangeAccount:
    """One change of one account, carried out once."""

    @workflow.run
    async def run(self, change: AccountChange) -> None:
        step, summary = _STEPS[change.event]
        await uninterrupted(
            workflow.execute_activity_method(step, change, summary=summary, **MONEY)
        )


_STEPS = {
    AccountEvent.FROZEN: (Accounts.freeze, "Hold the balance"),
    AccountEvent.UNFROZEN: (Accounts.unfreeze, "Give the held balance free"),
    AccountEvent.LIMITED: (Accounts.limit, "Take a capability away"),
    AccountEvent.ALLOWED: (Accounts.allow, "Give a capability back"),
}
