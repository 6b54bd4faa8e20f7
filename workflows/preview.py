"""Previews: questions that are answered by the same code that would act."""

from __future__ import annotations

from temporalio import workflow
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    from activities.options import PREVIEW
    from activities.ruling_preview import RulingPreviews
    from activities.unwinding import Unwinding
    from domain.disputes import RulingAsked
    from domain.errors import DomainError
    from domain.unwinding import Unwind, UnwindAsked
    from workflows.following import reason_of


@workflow.defn(name="Preview", failure_exception_types=[DomainError])
class Preview:
    """What would happen if a path were called off now."""

    @workflow.run
    async def run(self, asked: UnwindAsked) -> Unwind:
        try:
            return await workflow.execute_activity_method(
                Unwinding.preview, asked, summary="Who would get what?", **PREVIEW
            )
        except ActivityError as refused:
            raise reason_of(refused) from refused


@workflow.defn(name="PreviewRuling", failure_exception_types=[DomainError])
class PreviewRuling:
    """What a ruling on a dispute would post."""

    @workflow.run
    async def run(self, asked: RulingAsked) -> Unwind:
        try:
            return await workflow.execute_activity_method(
                RulingPreviews.preview, asked, summary="Who would get what?", **PREVIEW
            )
        except ActivityError as refused:
            raise reason_of(refused) from refused
