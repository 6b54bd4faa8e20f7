"""The way back over the Temporal boundary: from what a client call raises to the DomainError that caused it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pydantic import BaseModel
from temporalio.client import RPCTimeoutOrCancelledError
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from domain.errors import DomainError, Unavailable, all_errors
from runtime.codec import PayloadKeyMissing

_DOWN = {
    RPCStatusCode.UNAVAILABLE,
    RPCStatusCode.DEADLINE_EXCEEDED,
    RPCStatusCode.CANCELLED,
    RPCStatusCode.RESOURCE_EXHAUSTED,
}
_LAZY_CONNECT_FAILED = "Failed client connect"
"""A lazily connected client reports a refused connection as a RuntimeError that begins with this."""


def domain_error_of(exception: BaseException) -> DomainError | None:
    """The refusal inside what a Temporal call raised, however deep, or None when there is none.

    A Temporal server that cannot be reached or does not answer in time, and one whose answer needs a key that this
    process does not have, is Unavailable.
    """
    for link in _causes(exception):
        if isinstance(link, DomainError):
            return link
        if isinstance(link, ApplicationError) and link.type in all_errors():
            return _rebuilt(link)
    if any(isinstance(link, PayloadKeyMissing) for link in _causes(exception)):
        return Unavailable("this process lacks a key that its operator must give it")
    if any(_says_down(link) for link in _causes(exception)):
        return Unavailable("the workflow service cannot be reached")
    return None


def _causes(exception: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    link: BaseException | None = exception
    while link is not None and id(link) not in seen:
        yield link
        seen.add(id(link))
        link = link.__cause__


def _says_down(exception: BaseException) -> bool:
    if isinstance(exception, RPCError):
        return exception.status in _DOWN
    if isinstance(exception, RPCTimeoutOrCancelledError):
        return True
    return isinstance(exception, RuntimeError) and str(exception).startswith(_LAZY_CONNECT_FAILED)


def _rebuilt(error: ApplicationError) -> DomainError:
    kind = all_errors()[error.type or ""]
    first: object = error.details[0] if error.details else None
    if isinstance(first, BaseModel):  # not sent through a converter yet
        first = first.model_dump()
    carried: Mapping[str, object] = first if isinstance(first, Mapping) else {}

    def text(name: str) -> str | None:
        value = carried.get(name)
        return value if isinstance(value, str) else None

    return kind(text("detail") or error.message, field=text("field"), accepted=text("accepted"))
