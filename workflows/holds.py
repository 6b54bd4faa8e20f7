"""Money that a provider will let go of is kept longer, or goes back in time."""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.holds import Holds
    from activities.options import UPKEEP
    from domain.holds import HeldMoney, HoldsAsked, Kept
    from workflows.command import see_to


@workflow.defn(name="KeepHolds")
class KeepHolds:
    """One round of the schedule, page by page."""

    @workflow.run
    async def run(self, asked: HoldsAsked) -> None:
        page = await workflow.execute_activity_method(
            Holds.due, asked, summary="What will be let go of soon?", **UPKEEP
        )
        for held in page.due:
            await self.keep(held)
        if page.next is not None:
            workflow.continue_as_new(asked.model_copy(update={"after": page.next}))

    async def keep(self, held: HeldMoney) -> None:
        """More time, else a case, and in the end back to who paid."""
        kept = await workflow.execute_activity_method(
            Holds.keep, held, summary=f"Ask for more time for {held.payment_id}", **UPKEEP
        )
        if kept.result is not Kept.TO_GO_BACK:
            return
        gone = await workflow.execute_activity_method(
            Holds.let_go, held, summary=f"Call {held.path_id} off", **UPKEEP
        )
        if gone.executed is not None:
            await see_to(gone.executed)
