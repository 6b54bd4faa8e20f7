"""The OpenAPI document: what FastAPI derives, plus the problems every operation can answer."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, cast

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from api.errors import (
    MARKER,
    PROBLEM_JSON,
    ContentTooLarge,
    InternalError,
    MalformedRequest,
    Problem,
    RateLimited,
    UnsupportedMediaType,
    known_problems,
    problem_uri,
)
from api.gates import NEEDED, STEP_UP
from api.rate_limits import class_of
from domain.errors import (
    CapabilityLimited,
    DomainError,
    IdempotencyConflict,
    IdempotencyKeyMissing,
    InvalidInput,
    StepUpNeeded,
    Unauthenticated,
    Unavailable,
)

Node = dict[str, Any]
_METHODS = ("get", "put", "post", "delete", "patch")


def install(app: FastAPI) -> None:
    """Makes the application serve the completed document."""

    def document() -> Node:
        if app.openapi_schema is None:
            app.openapi_schema = _completed(app)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]


def _completed(app: FastAPI) -> Node:
    document = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        routes=app.routes,
        tags=app.openapi_tags,
        servers=[{"url": app.state.base_url}],
    )
    kinds = {kind.code: kind for kind in known_problems()}
    for path, operations in document["paths"].items():
        for method in _METHODS:
            if method in operations:
                _write_gate(operations[method])
                _write_problems(operations[method], kinds, app.state.base_url, path)
    schema = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas = cast(Node, document.setdefault("components", {}).setdefault("schemas", {}))
    schemas.update(schema.pop("$defs", {}))
    schemas["Problem"] = schema
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    return document


def _write_problems(
    operation: Node, kinds: dict[str, type[DomainError]], base_url: str, path: str
) -> None:
    responses: Node = operation["responses"]
    codes = {code for entry in responses.values() for code in entry.pop(MARKER, [])}
    codes |= {kind.code for kind in _shared(operation)}
    if "422" in responses and "application/json" in responses["422"].get("content", {}):
        del responses["422"]  # FastAPI's own form, which is never sent
    by_status: dict[int, list[type[DomainError]]] = {}
    for code in sorted(codes):
        by_status.setdefault(kinds[code].http_status, []).append(kinds[code])
    for status, errors in sorted(by_status.items()):
        responses[str(status)] = _response(errors, base_url, path)


def _write_gate(operation: Node) -> None:
    """Adds what the operation needs by the tables of api.gates."""
    gates: tuple[tuple[type[DomainError], Collection[str]], ...] = (
        (CapabilityLimited, NEEDED),
        (StepUpNeeded, STEP_UP),
    )
    for error, operations in gates:
        if operation["operationId"] in operations:
            empty: Node = {"description": "", MARKER: []}
            operation["responses"].setdefault(str(error.http_status), empty)[MARKER].append(
                error.code
            )


def _shared(operation: Node) -> set[type[DomainError]]:
    """The problems that follow from the form of an operation."""
    found: set[type[DomainError]] = {InternalError, Unavailable}
    if class_of(operation["operationId"], ()) is not None:
        found.add(RateLimited)
    parameters = operation.get("parameters", [])
    if operation.get("security"):
        found.add(Unauthenticated)
    if any(parameter["name"] == "Idempotency-Key" for parameter in parameters):
        found |= {IdempotencyKeyMissing, IdempotencyConflict}
    if parameters or "requestBody" in operation:
        found.add(InvalidInput)
    if "requestBody" in operation:
        found |= {MalformedRequest, ContentTooLarge, UnsupportedMediaType}
    return found


def _response(errors: list[type[DomainError]], base_url: str, path: str) -> Node:
    status = errors[0].http_status
    answer: Node = {
        "description": " / ".join(error.title for error in errors),
        "content": {
            PROBLEM_JSON: {
                "schema": {"$ref": "#/components/schemas/Problem"},
                "examples": {error.code: _example(error, base_url, path) for error in errors},
            }
        },
    }
    if status == 503:
        answer["headers"] = {
            "Retry-After": {"schema": {"type": "integer"}, "description": "Seconds."}
        }
    if status == 429:
        answer["headers"] = {
            "Retry-After": {"schema": {"type": "integer"}, "description": "Seconds."},
            "RateLimit": {
                "schema": {"type": "string"},
                "description": "What is left, and until when.",
            },
            "RateLimit-Policy": {
                "schema": {"type": "string"},
                "description": "Requests in seconds.",
            },
        }
    if status == 401:
        answer["headers"] = {"WWW-Authenticate": {"schema": {"type": "string"}}}
    return answer


def _example(error: type[DomainError], base_url: str, path: str) -> Node:
    return {
        "summary": error.title,
        "value": {
            "type": problem_uri(base_url, error.code),
            "title": error.title,
            "status": error.http_status,
            "detail": (error.__doc__ or error.title).split("\n")[0],
            "instance": path,
            "code": error.code,
        },
    }
