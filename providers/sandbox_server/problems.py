"""Refusals of the sandbox as RFC 9457 problem documents."""

from __future__ import annotations

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

_TITLES = {
    400: "Bad request",
    401: "Not authenticated",
    402: "Payment declined",
    403: "Forbidden",
    404: "Not found",
    405: "Method not allowed",
    409: "Refused",
    422: "Not acceptable",
    500: "The answer got lost",
    503: "Temporarily unavailable",
}


class Problem(Exception):
    """A request this company refuses; `code` is stable, `detail` is for people."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail


def problem_response(status: int, code: str, detail: str) -> JSONResponse:
    """The problem document for a refusal."""
    return JSONResponse(
        {
            "type": f"urn:sandbox:{code}",
            "title": _TITLES.get(status, "Problem"),
            "status": status,
            "code": code,
            "detail": detail,
        },
        status_code=status,
        media_type="application/problem+json",
        headers={"Retry-After": "1"} if status == 503 else None,
    )


async def on_problem(_request: Request, problem: Exception) -> JSONResponse:
    """Answers a Problem."""
    assert isinstance(problem, Problem)
    return problem_response(problem.status, problem.code, problem.detail)


async def on_invalid(_request: Request, error: Exception) -> JSONResponse:
    """Answers a body, query or header that does not fit, naming the first field that is wrong."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return problem_response(422, "invalid_request", f"{where}: {first['msg']}")


async def on_http_error(_request: Request, error: Exception) -> JSONResponse:
    """Answers unknown addresses, wrong methods and unreadable bodies."""
    assert isinstance(error, HTTPException)
    return problem_response(error.status_code, "http_error", str(error.detail))
