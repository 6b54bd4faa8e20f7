"""Tomorrow's sales, as a new version of the platform would bring them: with a patch, and with the patch forgotten."""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.options import PROVIDER
    from activities.payments import Payments
    from domain.errors import DomainError
    from domain.payments import FollowPayment
    from domain.sale import Phase
    from domain.sale_messages import SaleEnd, SaleStart
    from workflows.following import uninterrupted
    from workflows.sale import Sale

PATCH = "look-before-acceptance"


@workflow.defn(name="Sale", failure_exception_types=[DomainError])
class PatchedSale(Sale):
    """Looks at the payment once more before the seller is asked; sales that are being asked for go on as they were."""

    @workflow.run
    async def run(self, start: SaleStart) -> SaleEnd:
        return await super().run(start)

    async def acceptance(self) -> None:
        if workflow.patched(PATCH):
            await look_again(self)
        await super().acceptance()


@workflow.defn(name="Sale", failure_exception_types=[DomainError])
class UnpatchedSale(Sale):
    """The same change for all sales at once."""

    @workflow.run
    async def run(self, start: SaleStart) -> SaleEnd:
        return await super().run(start)

    async def acceptance(self) -> None:
        await look_again(self)
        await super().acceptance()


async def look_again(sale: Sale) -> None:
    """What the change is about."""
    if sale.stands_in(Phase.PAID):
        payment_id = sale.agreed().payment_id
        await uninterrupted(
            workflow.execute_activity_method(
                Payments.follow,
                FollowPayment(payment_id=payment_id, at=workflow.now(), close=False),
                summary="Look at the payment once more",
                **PROVIDER,
            )
        )
