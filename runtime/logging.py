"""JSON logs on standard output: one line an event, each with the correlation id, user and path it belongs to."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from runtime.correlation import CORRELATION_ID

_REDIRECTED = ("uvicorn", "uvicorn.error", "uvicorn.access", "sqlalchemy", "temporalio", "alembic")


def _with_correlation_id(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    current = CORRELATION_ID.get()
    if current is not None:
        event.setdefault("correlation_id", current)
    return event


_SHARED: tuple[Processor, ...] = (
    structlog.contextvars.merge_contextvars,
    _with_correlation_id,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
    structlog.processors.StackInfoRenderer(),
)


def configure(level: str = "INFO", stream: TextIO | None = None) -> None:
    """Sends everything this process logs to `stream` (standard output) as JSON lines.

    Log records of uvicorn, SQLAlchemy and Temporal take the same way. Safe to call again.
    """
    handler = logging.StreamHandler(stream or sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*_SHARED, structlog.stdlib.ExtraAdder()],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                structlog.processors.UnicodeDecoder(),
                structlog.processors.JSONRenderer(default=str),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in _REDIRECTED:
        theirs = logging.getLogger(name)
        theirs.handlers.clear()
        theirs.propagate = True
    # The API writes its own line for each request, with user and duration.
    logging.getLogger("uvicorn.access").disabled = True
    for chatty in ("httpx", "httpcore"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_SHARED,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def logger(name: str) -> structlog.stdlib.BoundLogger:
    """The logger of one module."""
    bound: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return bound


def bind(*, user_id: str | None = None, path_id: str | None = None) -> None:
    """Adds what is given to every further log line of this request or task.

    The correlation id is not bound here: it is runtime.correlation.CORRELATION_ID, which also crosses Temporal.
    """
    structlog.contextvars.bind_contextvars(**_given(user_id, path_id))


def unbind_all() -> None:
    """Forgets what was bound; for the start of a request."""
    structlog.contextvars.clear_contextvars()


@contextmanager
def bound(*, user_id: str | None = None, path_id: str | None = None) -> Iterator[None]:
    """Adds what is given to every log line inside the block."""
    with structlog.contextvars.bound_contextvars(**_given(user_id, path_id)):
        yield


def _given(user_id: str | None, path_id: str | None) -> dict[str, str]:
    pairs = {"user_id": user_id, "path_id": path_id}
    return {name: value for name, value in pairs.items() if value is not None}
