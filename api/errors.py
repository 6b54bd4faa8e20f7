"""Every refusal as an RFC 9457 problem document.

fastapi-problem is not used: it wants errors to derive from its own Problem class, but ours are domain errors that
also cross the Temporal boundary; it writes `str(exception)` of unexpected errors into the answer; and it replaces
what a route documents in OpenAPI by generic 4XX and 5XX entries. One mapping function is shorter than its hooks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from sqlalchemy.exc import DataError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from api.validation import refusals
from domain.errors import (
    DomainError,
    IdempotencyKeyMissing,
    InvalidInput,
    NotFound,
    StepUpNeeded,
    Unauthenticated,
    Unavailable,
    all_errors,
)
from runtime.correlation import CORRELATION_ID
from runtime.logging import logger
from runtime.temporal_errors import domain_error_of

PROBLEM_JSON = "application/problem+json"
RETRY_AFTER_SECONDS = 2
_TAP = re.compile(r"(?<=/v1/taps/)[^/]+")
_log = logger("api.errors")


class MalformedRequest(DomainError):
    """The request is not HTTP or JSON that can be read."""

    code = "malformed_request"
    http_status = 400
    title = "The request cannot be read"


class MethodNotAllowed(DomainError):
    """The address exists, but not for this method."""

    code = "method_not_allowed"
    http_status = 405
    title = "Method not allowed"


class ContentTooLarge(DomainError):
    """The request body is larger than this address takes."""

    code = "content_too_large"
    http_status = 413
    title = "Request body too large"


class UnsupportedMediaType(DomainError):
    """The request body is of another type than this address takes."""

    code = "unsupported_media_type"
    http_status = 415
    title = "Unsupported media type"


class RateLimited(DomainError):
    """Too many requests in a short time; Retry-After says in how many seconds there is room again."""

    code = "rate_limited"
    http_status = 429
    title = "Too many requests"

    def __init__(
        self,
        detail: str,
        *,
        field: str | None = None,
        accepted: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail, field=field, accepted=accepted)
        self.headers = headers or {}


class InternalError(DomainError):
    """An error of ours. It is logged under the request id of the answer."""

    code = "internal_error"
    http_status = 500
    title = "Internal error"


class ProblemItem(BaseModel):
    """One refused value."""

    field: str | None = Field(
        default=None,
        description="The refused input in dotted form.",
        examples=["unit_price.amount"],
    )
    detail: str
    accepted: str | None = Field(default=None, description="What would be accepted.")


class Problem(BaseModel):
    """A problem document (RFC 9457)."""

    type: str = Field(description="Address of a page about this kind of problem.")
    title: str
    status: int
    detail: str
    instance: str = Field(description="Path of the request.")
    code: str = Field(description="Stable name of the kind of problem.")
    request_id: str | None = Field(
        default=None, description="Also in the header X-Request-ID and in the logs."
    )
    field: str | None = Field(default=None, description="The refused input in dotted form.")
    accepted: str | None = Field(default=None, description="What would be accepted.")
    errors: list[ProblemItem] | None = Field(default=None, description="Every refused value.")


_STATUS_ERRORS: Mapping[int, tuple[type[DomainError], str]] = {
    400: (MalformedRequest, "the request cannot be read"),
    401: (Unauthenticated, "no valid bearer token"),
    404: (NotFound, "there is nothing at this address"),
    405: (MethodNotAllowed, "this address does not take this method"),
    413: (ContentTooLarge, "the request body is too large"),
    415: (UnsupportedMediaType, "the request body is of a type this address does not take"),
    503: (Unavailable, "a part of the platform is down"),
}


def errors_of(request: Request, exception: Exception) -> Sequence[DomainError]:
    """The refusals that any exception stands for, at least one; InternalError for those that are our fault."""
    if isinstance(exception, DomainError):
        return [exception]
    if isinstance(exception, RequestValidationError):
        return _of_validation(request, exception)
    if isinstance(exception, HTTPException):
        kind, detail = _STATUS_ERRORS.get(exception.status_code, (None, ""))
        if kind is not None:
            return [kind(detail, accepted=(exception.headers or {}).get("Allow"))]
    if isinstance(exception, TimeoutError):
        return [Unavailable("a part of the platform did not answer in time")]
    if isinstance(exception, DataError):
        # The schemas refuse what PostgreSQL cannot store; this is the net below them.
        _log.warning("the database refused a value", error=str(exception.orig))
        return [InvalidInput("a value cannot be stored")]
    return [domain_error_of(exception) or InternalError("something went wrong on our side")]


def _of_validation(request: Request, invalid: RequestValidationError) -> Sequence[DomainError]:
    errors = invalid.errors()
    places = [error["loc"] for error in errors]
    if ("header", "Idempotency-Key") in places:
        return [
            IdempotencyKeyMissing(
                "this request needs an Idempotency-Key",
                field="Idempotency-Key",
                accepted="1 to 255 visible ASCII characters, fresh for each new request",
            )
        ]
    if any(error["type"] == "json_invalid" for error in errors):
        return [MalformedRequest("the body is not valid JSON", field="body", accepted="JSON")]
    if ("body",) in places and _has_body_of_other_type(request):
        return [
            UnsupportedMediaType(
                "the body is not JSON", field="Content-Type", accepted="application/json"
            )
        ]
    return refusals(errors)


def _has_body_of_other_type(request: Request) -> bool:
    if request.headers.get("content-length", "") == "0":
        return False
    if "content-length" not in request.headers and "transfer-encoding" not in request.headers:
        return False
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return media_type != "application/json" and not media_type.endswith("+json")


def document(errors: Sequence[DomainError], base_url: str, instance: str) -> dict[str, object]:
    """The problem document of one or several refusals, ready for JSON; the first one speaks for all."""
    first = errors[0]
    problem = Problem(
        type=problem_uri(base_url, first.code),
        title=first.title,
        status=first.http_status,
        instance=_clean(without_link(instance)),
        code=first.code,
        request_id=CORRELATION_ID.get(),
        errors=[_item(error) for error in errors] if len(errors) > 1 else None,
        **_item(first).model_dump(),
    )
    return problem.model_dump(exclude_none=True)


def without_link(path: str) -> str:
    """The path of a request without the token of a one-tap link, which is a key to what it does."""
    return _TAP.sub("…", path)


def problem_uri(base_url: str, code: str) -> str:
    """The address of the page about a kind of problem."""
    return f"{base_url}/problems/{code}"


def _item(error: DomainError) -> ProblemItem:
    field = None if error.field is None else _clean(error.field)
    return ProblemItem(field=field, detail=_clean(error.detail), accepted=error.accepted)


def _clean(text: str) -> str:
    """Text of the caller, safe to encode (lone surrogates are not) and of bounded length."""
    return re.sub(r"[\x00-\x1f\ud800-\udfff]", "\ufffd", text)[:500]


def headers_of(error: DomainError) -> dict[str, str]:
    """The headers that belong to a refusal."""
    if isinstance(error, StepUpNeeded):
        wrong = 'error="insufficient_user_authentication", error_description="sign in again"'
        return {"WWW-Authenticate": f'Bearer realm="baigong", {wrong}, {error.accepted}'}
    if isinstance(error, Unauthenticated):
        # Without any token there is nothing wrong with it to tell (RFC 6750, section 3.1).
        wrong = "" if error.field else ', error="invalid_token"'
        return {"WWW-Authenticate": f'Bearer realm="baigong"{wrong}'}
    if error.http_status == 503:
        return {"Retry-After": str(RETRY_AFTER_SECONDS)}
    return {}


def response_of(request: Request, exception: Exception) -> Response:
    """The answer to a request that ended in this exception; logs what is our fault with its stack."""
    errors = errors_of(request, exception)
    error = errors[0]
    if isinstance(error, InternalError):
        _log.error("request failed", exc_info=exception)
    elif error.http_status >= 500:
        _log.warning("part of the platform down", detail=error.detail, cause=repr(error.__cause__))
    headers = headers_of(error)
    if isinstance(exception, HTTPException) and exception.headers:
        headers.update({k: v for k, v in exception.headers.items() if k == "Allow"})
    return JSONResponse(
        document(errors, request.app.state.base_url, request.url.path),
        status_code=error.http_status,
        headers=headers,
        media_type=PROBLEM_JSON,
    )


async def _handle(request: Request, exception: Exception) -> Response:
    return response_of(request, exception)


def install(app: FastAPI) -> None:
    """Answers every refusal of the application with a problem document."""
    for kind in (DomainError, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, _handle)


MARKER = "x-problem-codes"
"""Where `problems` leaves its codes until api.openapi writes them out."""


def problems(*errors: type[DomainError]) -> dict[int | str, dict[str, Any]]:
    """The `responses=` of a route: the errors that are its own.

    api.openapi adds what every operation shares: 401 when it needs a token, the key errors of a POST, the body
    errors of a request with a body, 422 of its parameters, 500 and 503.
    """
    by_status: dict[int | str, dict[str, Any]] = {}
    for error in errors:
        entry = by_status.setdefault(error.http_status, {"description": "", MARKER: []})
        entry[MARKER].append(error.code)
    return by_status


def known_problems() -> list[type[DomainError]]:
    """Every kind of problem the API can answer, by status and code."""
    return sorted(all_errors().values(), key=lambda kind: (kind.http_status, kind.code))
