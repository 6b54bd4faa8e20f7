"""Records that are made on a schedule: proofs of closed paths, figures of past quarters."""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.options import COUNT
    from activities.proofs import Proofs
    from activities.tax import Tax
    from domain.path_proof import PublishedProofs
    from domain.tax import FrozenQuarters


@workflow.defn(name="PublishProofs")
class PublishProofs:
    """Publishes a proof of each path that has closed."""

    @workflow.run
    async def run(self) -> PublishedProofs:
        return await workflow.execute_activity_method(
            Proofs.publish, summary="Publish proofs of closed paths", **COUNT
        )


@workflow.defn(name="WriteDownQuarters")
class WriteDownQuarters:
    """Writes down the figures of quarters that are over."""

    @workflow.run
    async def run(self) -> FrozenQuarters:
        return await workflow.execute_activity_method(
            Tax.write_down, summary="Write down the figures of past quarters", **COUNT
        )
