"""Reconciliation: each day the statements of payment companies are read and compared with the books."""

from __future__ import annotations

from datetime import date

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.options import UPKEEP
    from activities.reconciliation import Reconciliation
    from domain.reconciliation import CompareBooks, Compared, ReadStatements, ReconcileRun


@workflow.defn(name="Reconcile")
class Reconcile:
    """One comparison with every payment company; it can be repeated at any time."""

    @workflow.run
    async def run(self, run: ReconcileRun) -> Compared:
        upto = run.until(workflow.now())
        total = Compared()
        whom = await workflow.execute_activity_method(
            Reconciliation.whom, summary="With whom?", **UPKEEP
        )
        for provider in whom.codes:
            await self.read(provider, upto)
            part = await self.compare(provider, upto)
            total = Compared(found=total.found + part.found, matched=total.matched + part.matched)
        return total

    async def read(self, provider: str, upto: date) -> None:
        """Every day's statement, those read lately once more."""
        complete = False
        while not complete:
            done = await workflow.execute_activity_method(
                Reconciliation.read,
                ReadStatements(provider=provider, upto=upto),
                summary=f"Read the statements of {provider}",
                **UPKEEP,
            )
            complete = done.complete

    async def compare(self, provider: str, upto: date) -> Compared:
        """Every object that either side has moved lately."""
        found = matched = 0
        after: str | None = ""
        while after is not None:
            page = await workflow.execute_activity_method(
                Reconciliation.compare,
                CompareBooks(provider=provider, upto=upto, after=after),
                summary=f"Compare the books with {provider}",
                **UPKEEP,
            )
            found, matched, after = found + page.found, matched + page.matched, page.next
        return Compared(found=found, matched=matched)
