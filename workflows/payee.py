"""Verification of a payee: one look at the payment company, and another whenever it says that something has changed."""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.options import PROVIDER
    from activities.payee_checks import PayeeChecks
    from domain.errors import DomainError
    from domain.payees import PayeeCase, PayeeOutcome
    from workflows.following import Follower


@workflow.defn(name="Payee", failure_exception_types=[DomainError])
class Payee(Follower):
    """Looks until there is no news. Woken again by the company's webhook."""

    @workflow.init
    def __init__(self, case: PayeeCase) -> None:
        super().__init__(silence=case.policy.silence)
        self.case = case

    @workflow.run
    async def run(self, case: PayeeCase) -> PayeeOutcome:
        outcome = await self.look()
        while self.news:
            outcome = await self.look()
        self.end_of_wait()
        return outcome

    async def look(self) -> PayeeOutcome:
        """Reads the payee at the company."""
        self.news = False
        return await self.answer(self.ask, "verification of a payee", self.case.policy.poll)

    async def ask(self) -> PayeeOutcome:
        """One look."""
        return await workflow.execute_activity_method(
            PayeeChecks.look, self.case, summary="How far is the verification?", **PROVIDER
        )
