"""The one way to talk to Temporal: converter, connection, interceptors and the wake-up of a following workflow."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from pydantic import SerializeAsAny
from temporalio import activity, worker
from temporalio.api.failure.v1 import Failure
from temporalio.client import Client, Interceptor
from temporalio.common import (
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.converter import DataConverter, DefaultFailureConverter, PayloadConverter
from temporalio.exceptions import (
    ApplicationError,
    ApplicationErrorCategory,
    WorkflowAlreadyStartedError,
)
from temporalio.runtime import Runtime
from temporalio.service import RPCError, RPCStatusCode

from domain.errors import DomainError, Unavailable
from domain.model import Message
from runtime import search_attributes as attributes
from runtime.codec import EncryptionCodec
from runtime.correlation import CorrelationInterceptor
from runtime.settings import Settings


class RefusalDetails(Message):
    """What crosses the Temporal boundary with a DomainError besides its code."""

    detail: str
    field: str | None = None
    accepted: str | None = None


def as_application_error(error: DomainError) -> ApplicationError:
    """The error as Temporal carries it: type = code; retried only when a part of the platform is down.

    Any other is an answer and no fault: the SDK neither logs it with a traceback nor counts it as a failure.
    """
    is_down = isinstance(error, Unavailable)
    return ApplicationError(
        error.detail,
        RefusalDetails(detail=error.detail, field=error.field, accepted=error.accepted),
        type=error.code,
        non_retryable=not is_down,
        category=(
            ApplicationErrorCategory.UNSPECIFIED if is_down else ApplicationErrorCategory.BENIGN
        ),
    )


class DomainFailureConverter(DefaultFailureConverter):
    """Lets a DomainError raised in an activity or an update handler cross with its code, field and words."""

    def to_failure(
        self, exception: BaseException, payload_converter: PayloadConverter, failure: Failure
    ) -> None:
        if isinstance(exception, DomainError):
            refused = as_application_error(exception)
            refused.__traceback__ = exception.__traceback__
            exception = refused
        super().to_failure(exception, payload_converter, failure)


class SealedFailureConverter(DomainFailureConverter):
    """Puts messages and stack traces where the codec encrypts them."""

    def __init__(self) -> None:
        super().__init__(encode_common_attributes=True)


DATA_CONVERTER = replace(pydantic_data_converter, failure_converter_class=DomainFailureConverter)
"""Pydantic models in and out, nothing encrypted: as recorded histories are replayed."""


def data_converter(settings: Settings) -> DataConverter:
    """Pydantic models in and out, encrypted under the keys of the settings.

    Without keys nothing is encrypted, and what others have encrypted is refused with PayloadKeyMissing.
    """
    codec = EncryptionCodec(settings.payload_keys)
    if not settings.payload_keys:
        return replace(DATA_CONVERTER, payload_codec=codec)
    return replace(
        DATA_CONVERTER, payload_codec=codec, failure_converter_class=SealedFailureConverter
    )


class RefusalInterceptor(Interceptor, worker.Interceptor):
    """What an activity refuses is one line in the log, not a failure with its traceback."""

    def intercept_activity(
        self, next: worker.ActivityInboundInterceptor
    ) -> worker.ActivityInboundInterceptor:
        return _Refusals(next)


class _Refusals(worker.ActivityInboundInterceptor):
    async def execute_activity(self, input: worker.ExecuteActivityInput) -> object:
        try:
            return await super().execute_activity(input)
        except DomainError as refused:
            if isinstance(refused, Unavailable):
                raise
            activity.logger.info("refused %s: %s", refused.code, refused.detail)
            # The SDK takes its own class only for harmless; operators still read where it was raised.
            answer = as_application_error(refused).with_traceback(refused.__traceback__)
            raise answer from None


INTERCEPTORS: Sequence[Interceptor] = (CorrelationInterceptor(), RefusalInterceptor())


async def connect(
    settings: Settings, *, runtime: Runtime | None = None, lazy: bool = True
) -> Client:
    """A client of the configured cluster.

    `lazy` connects at the first call, so that a cluster that is down is no obstacle; a worker must not be lazy.
    """
    return await Client.connect(
        settings.temporal_address or f"{settings.host}:{settings.temporal_port}",
        namespace=settings.temporal_namespace,
        data_converter=data_converter(settings),
        interceptors=INTERCEPTORS,
        runtime=runtime,
        lazy=lazy,
    )


class Start(Message):
    """How to start a workflow whose type is known by name only."""

    workflow: str
    workflow_id: str
    summary: str
    path: str
    initiator: str
    currency: str


def start_attributes(
    path: str, initiator: str, currency: str, *further: SearchAttributePair[Any]
) -> TypedSearchAttributes:
    """The search attributes every path and its helpers carry from the start; what is told then is no event later."""
    return TypedSearchAttributes(
        [
            SearchAttributePair(attributes.PATH, path),
            SearchAttributePair(attributes.INITIATOR, initiator),
            SearchAttributePair(attributes.CURRENCY, currency),
            *further,
        ]
    )


async def wake(client: Client, task_queue: str, start: Start, case: Message) -> None:
    """Tells a following workflow to look; starts it again with `case` when it has ended.

    Raises temporalio.service.RPCError when Temporal cannot be reached.
    """
    await client.start_workflow(
        start.workflow,
        case,
        id=start.workflow_id,
        task_queue=task_queue,
        start_signal="wake",
        id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        static_summary=start.summary,
        search_attributes=start_attributes(start.path, start.initiator, start.currency),
    )


async def begin(client: Client, task_queue: str, start: Start, case: Message) -> None:
    """Starts a following workflow, once in its life: one that runs or has ended stays as it is.

    Raises temporalio.service.RPCError when Temporal cannot be reached.
    """
    with suppress(WorkflowAlreadyStartedError):
        await client.start_workflow(
            start.workflow,
            case,
            id=start.workflow_id,
            task_queue=task_queue,
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            static_summary=start.summary,
            search_attributes=start_attributes(start.path, start.initiator, start.currency),
        )


class Wake(Message):
    """Wakes a following workflow, starting it again with its case when it has ended.

    `start_again` False while a parent is about to start it: starting it here would take its place.
    """

    start: Start
    case: SerializeAsAny[Message]
    start_again: bool = True


class Tell(Message):
    """Tells a running path a fact."""

    workflow_id: str
    signal: str
    fact: SerializeAsAny[Message]


async def send(client: Client, task_queue: str, what: Wake | Tell) -> None:
    """Hands a wake-up to Temporal. Telling a path that has ended is no error.

    Raises temporalio.service.RPCError when Temporal cannot be reached.
    """
    if isinstance(what, Wake) and what.start_again:
        await wake(client, task_queue, what.start, what.case)
    elif isinstance(what, Wake):
        await _tell(client, what.start.workflow_id, "wake")
    else:
        await _tell(client, what.workflow_id, what.signal, what.fact)


async def _tell(client: Client, workflow_id: str, signal: str, *facts: Message) -> None:
    try:
        await client.get_workflow_handle(workflow_id).signal(signal, args=facts)
    except RPCError as missing:
        if missing.status is not RPCStatusCode.NOT_FOUND:
            raise
