"""Records that are made on a schedule: proofs of closed paths."""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.options import COUNT
    from activities.proofs import Proofs
    from domain.path_proof import PublishedProofs


@workflow.defn(name="PublishProofs")
class PublishProofs:
    """Publishes a proof of each path that has closed."""

    @workflow.run
    async def run(self) -> PublishedProofs:
        return await workflow.execute_activity_method(
            Proofs.publish, summary="Publish proofs of closed paths", **COUNT
        )
