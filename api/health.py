"""Whether the process lives, whether it can do its work, and what each kind of problem means."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from typing import Annotated, Literal

from fastapi import APIRouter, Path
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.responses import Response
from temporalio.service import RPCError

from api.errors import RETRY_AFTER_SECONDS, known_problems, problems
from api.services import Services, ServicesDep
from domain.errors import DomainError, NotFound
from runtime.logging import logger

_PATIENCE_SECONDS = 2
_log = logger("api.health")
router = APIRouter(tags=["operations"])


class Alive(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"


class Readiness(BaseModel):
    """Whether each part behind the API can be reached."""

    status: Literal["ready", "not_ready"]
    parts: dict[str, Literal["ok", "down"]]


class ProblemKind(BaseModel):
    """A kind of problem the API answers."""

    code: str
    status: int
    title: str
    meaning: str


@router.get("/healthz", operation_id="health", summary="The process lives")
async def health() -> Alive:
    """Answers as long as the process can answer at all; asks nothing else."""
    return Alive()


@router.get(
    "/readyz",
    operation_id="readiness",
    summary="Database and Temporal can be reached",
    response_model=Readiness,
    responses={503: {"model": Readiness, "description": "A part is down"}},
)
async def readiness(services: ServicesDep) -> Response:
    """Names each part behind the API and whether it answers; 503 with Retry-After unless all do."""
    names = ("database", "temporal")
    found = await asyncio.gather(
        _answers(services.database.ping), _answers(partial(_temporal, services))
    )
    ready = all(found)
    answer = Readiness(
        status="ready" if ready else "not_ready",
        parts={name: "ok" if ok else "down" for name, ok in zip(names, found, strict=True)},
    )
    return JSONResponse(
        answer.model_dump(),
        status_code=200 if ready else 503,
        headers={} if ready else {"Retry-After": str(RETRY_AFTER_SECONDS)},
    )


async def _temporal(services: Services) -> None:
    patience = timedelta(seconds=_PATIENCE_SECONDS)
    if not await services.temporal.service_client.check_health(timeout=patience):
        raise ConnectionError("Temporal is not serving")


async def _answers(probe: Callable[[], Awaitable[None]]) -> bool:
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            await probe()
    except (DomainError, RPCError, RuntimeError, OSError) as down:
        _log.warning("not ready", error=repr(down))
        return False
    return True


@router.get("/problems", operation_id="listProblems", summary="Every kind of problem")
async def list_problems() -> list[ProblemKind]:
    """The codes that problem documents carry, with status and meaning."""
    return [_kind(kind) for kind in known_problems()]


@router.get(
    "/problems/{code}",
    operation_id="getProblem",
    summary="What one kind of problem means",
    responses=problems(NotFound),
)
async def get_problem(code: Annotated[str, Path(max_length=64)]) -> ProblemKind:
    """The page that the `type` of a problem document points to."""
    for kind in known_problems():
        if kind.code == code:
            return _kind(kind)
    raise NotFound("there is no such kind of problem")


def _kind(error: type[DomainError]) -> ProblemKind:
    meaning = " ".join((error.__doc__ or "").split("\n\n")[0].split())
    return ProblemKind(
        code=error.code, status=error.http_status, title=error.title, meaning=meaning
    )
